import MartletColumns
import MartletCore

/// One key column of a query's rows, and the expressions a projection may name it by.
struct KeySlot {
    /// Qualified; the key of a join goes by the columns of either side.
    var viable: [Expression]
    var expression: BoundExpression
    /// What `*` calls it.
    var name: String
    /// Qualified expressions that are equal to the key but no names of it: a join on one of them need not re-key the rows.
    var equivalent: [Expression] = []
}

/// A FROM clause: the plan that yields its rows, and what names mean above it.
struct FromClause {
    var plan: LogicalPlan
    var scope: Scope
    var kind: Statement.SourceKind
    /// In FROM order.
    var sources: [Source]
    var keys: [KeySlot]
    /// Types of `keys` come from here in messages: `key column`, `join expression`, `partitioning expression`.
    var keyDescription: (one: String, many: String) = ("key column", "key columns")

    /// Key format of the rows as they are on their topic.
    var keyFormat: FormatSpec
    /// What the key columns are called there: names are part of the bytes of a JSON key with several columns.
    var keyFieldNames: [String]
    /// The topic whose partition count the rows have.
    var partitionsOfTopic: String
    /// How the rows' keys are windowed.
    var window: Source.SourceWindow?
    var isWindowed: Bool
    /// Bounds of the rows' windows by name, of a subquery: names do not mean them, but joins compare them.
    var windowBounds: [String: BoundExpression] = [:]
    /// Rows of equal keys may be on different partitions: they come from several topics, or have keys that they were not written by.
    var isScattered = false
    /// The rows come when all that is read has been read: those of a subquery that sorts or cuts off.
    var isEnded = false
    /// Rows are changes: later ones replace earlier ones of their key. In a query that ends a table's rows are looked up, and groups come once.
    var yieldsChanges: Bool

    init(plan: LogicalPlan, scope: Scope, kind: Statement.SourceKind, sources: [Source], keys: [KeySlot]) {
        self.plan = plan
        self.scope = scope
        self.kind = kind
        self.sources = sources
        self.keys = keys
        keyFormat = sources[0].keyFormat
        keyFieldNames = sources[0].schema.key.map(\.name)
        partitionsOfTopic = sources[0].topic
        window = sources[0].window
        isWindowed = sources.contains { $0.window != nil }
        yieldsChanges = kind == .table
    }

    /// The source whose formats and partitions a sink inherits.
    var left: Source { sources[0] }

    /// Columns of a source as a scope shows them: keys, values, headers, pseudo columns.
    static func columns(of scan: LogicalPlan.Scan, alias: String, from first: Int = 0) -> [Scope.Column] {
        scan.columns.enumerated().map { index, column in
            let role: Scope.Column.Role =
                switch column.source {
                case .key: .key
                case .value: .value
                case .headers, .header: .header
                case .rowTime, .rowPartition, .rowOffset, .windowStart, .windowEnd: .pseudo
                }
            return Scope.Column(source: alias, name: column.name, type: column.type, role: role, index: first + index)
        }
    }
}

/// Resolves FROM clauses against the catalog.
struct FromAnalysis {
    var catalog: Catalog
    var context: AnalysisContext
    /// The rows go to a sink: each partition is worked on by itself, so that rows which are to meet have to be written to the same partition.
    var isPersistent = true
    /// The query ends.
    var isPull = false
    /// A table's rows are read from its topic, not looked up.
    var readsChanges: Bool

    init(catalog: Catalog, context: AnalysisContext, isPersistent: Bool = true, isPull: Bool = false, readsChanges: Bool? = nil) {
        self.catalog = catalog
        self.context = context
        self.isPersistent = isPersistent
        self.isPull = isPull
        self.readsChanges = readsChanges ?? !isPull
    }

    func analyze(_ relation: Relation) throws(MartletError) -> FromClause {
        switch relation {
        case .source(let name, let alias):
            var from = single(try source(name), alias: alias?.name ?? name.name)
            if !readsChanges { from.yieldsChanges = false }
            return from
        case .join(let join):
            try checkSources(join)
            return try JoinAnalysis(from: self, context: context).analyze(relation)
        case .subquery(let query, let alias): return try SubqueryAnalysis(from: self).analyze(query, alias: alias)
        }
    }

    func source(_ name: Identifier) throws(MartletError) -> Source {
        if let source = catalog.sources[name.name] { return source }
        throw MartletError(
            .unknownSource, "Exception while preparing statement: \(name.name) does not exist.\(didYouMean(name.name))", at: name.span,
            hint: catalog.sources.isEmpty
                ? "no streams or tables are defined" : Suggestion.hint(name.name, among: catalog.sources.keys.sorted(), "streams and tables"))
    }

    /// ksqlDB's hint for a name that exists in another case.
    func didYouMean(_ name: String) -> String {
        let similar = catalog.sources.keys.filter { $0 != name && $0.uppercased() == name.uppercased() }.sorted()
        guard let first = similar.first else { return "" }
        let quotes = similar.map { "\"\($0)\"" }
        return similar.count == 1
            ? "\nDid you mean \"\(first)\"? Hint: wrap the source name in double quotes to make it case-sensitive."
            : "\nDid you mean one of \(quotes.joined(separator: ", "))? Hint: wrap the source name in double quotes to make it case-sensitive."
    }

    func single(_ source: Source, alias: String) -> FromClause {
        let scan = LogicalPlan.Scan(source)
        let columns = FromClause.columns(of: scan, alias: alias)
        let keys = columns.filter { $0.role == .key }.map { column in
            KeySlot(
                viable: [Expression(.column(source: Identifier(alias), Identifier(column.name)), span: .none)],
                expression: .column(column.index, column.type), name: column.name)
        }
        return FromClause(plan: .scan(scan), scope: Scope(sources: [alias], columns: columns), kind: source.kind, sources: [source], keys: keys)
    }

    private func checkSources(_ join: Join) throws(MartletError) {
        var names: [(name: Identifier, alias: String)] = [], subqueries: [Identifier] = []
        func collect(_ relation: Relation) {
            switch relation {
            case .source(let name, let alias): names.append((name, alias?.name ?? name.name))
            case .join(let join):
                collect(join.left)
                collect(join.right)
            case .subquery(_, let alias): if let alias { subqueries.append(alias) }
            }
        }
        collect(.join(join))
        for (index, alias) in subqueries.enumerated() {
            guard subqueries[..<index].contains(where: { $0.name == alias.name }) || names.contains(where: { $0.alias == alias.name }) else { continue }
            throw MartletError(.badStatement, "Each source of a join needs its own alias, but '\(alias.name)' is used twice.", at: alias.span)
        }
        for name in names { _ = try source(name.name) }
        for (index, entry) in names.enumerated() where names[..<index].contains(where: { $0.alias == entry.alias }) {
            let isSame = names[..<index].contains { $0.name == entry.name && $0.alias == entry.alias }
            if isSame, names.count == 2 {
                throw MartletError(
                    .badStatement, "Can not join '\(entry.name.name)' to '\(entry.name.name)': self joins are not yet supported.", at: entry.name.span,
                    hint: "give each side a name: \(entry.name.name) AS a JOIN \(entry.name.name) AS b")
            }
            if isSame {
                throw MartletError(
                    .badStatement, "N-way joins do not support multiple occurrences of the same source. Source: '\(entry.name.name)'", at: entry.name.span,
                    hint: "give each occurrence its own name with AS")
            }
            throw MartletError(.badStatement, "Each source of a join needs its own alias, but '\(entry.alias)' is used twice.", at: entry.name.span)
        }
        let kafka = names.filter { catalog.sources[$0.name.name]?.valueFormat.kind == .kafka }
        if !kafka.isEmpty {
            throw MartletError(
                .badStatement,
                "Source(s) \(kafka.map(\.name.name).sorted().joined(separator: ", ")) are using the 'KAFKA' value format. This format does not yet support JOIN.",
                at: kafka[0].name.span)
        }
    }
}
