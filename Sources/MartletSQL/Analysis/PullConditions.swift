import MartletColumns
import MartletCore

/// What the WHERE clause of a pull query on a table has to be: without table scans each alternative names whole keys, and the bounds of windows
/// may not contradict each other (ksqlDB, "Pull queries").
struct PullConditions {
    var table: Source
    var context: AnalysisContext

    private static let scanProperty = "ksql.query.pull.table.scan.enabled", rangeProperty = "ksql.query.pull.range.scan.enabled"
    /// Conditions with more alternatives are looked at no further: their table is scanned.
    private static let alternativesMax = 1_000

    private var allowsScans: Bool { context.properties[Self.scanProperty]?.lowercased() != "false" }
    private var allowsRanges: Bool { context.properties[Self.rangeProperty]?.lowercased() != "false" }
    private let text = ExpressionText()

    init(table: Source, context: AnalysisContext) {
        self.table = table
        self.context = context
    }

    /// - Parameters: `condition` is qualified.
    func check(_ condition: Expression?, at span: SourceSpan) throws(MartletError) {
        guard let condition else {
            if allowsScans { return }
            throw refused("Missing WHERE clause", span)
        }
        try checkOptions(condition)
        guard let alternatives = alternatives(condition) else { return }
        // One alternative that needs a scan makes the whole condition one.
        for alternative in alternatives { if try needsScan(alternative) { return } }
        for alternative in alternatives {
            try checkValues(alternative)
            if table.window != nil { try checkBounds(alternative) }
        }
        if !allowsScans { for alternative in alternatives { try checkRanges(alternative) } }
    }

    // MARK: alternatives

    /// The condition as alternatives of conjuncts, without BETWEEN and IN; nil: too many.
    private func alternatives(_ condition: Expression) -> [[Expression]]? {
        switch condition.node {
        case .or(let a, let b):
            guard let left = alternatives(a), let right = alternatives(b), left.count + right.count <= Self.alternativesMax else { return nil }
            return left + right
        case .and(let a, let b):
            guard let left = alternatives(a), let right = alternatives(b), left.count * right.count <= Self.alternativesMax else { return nil }
            return left.flatMap { one in right.map { one + $0 } }
        case .between(let operand, let low, let high, negated: false):
            return [
                [
                    Expression(.compare(.greaterOrEqual, operand, low), span: condition.span),
                    Expression(.compare(.lessOrEqual, operand, high), span: condition.span),
                ]
            ]
        case .isIn(let operand, let options, negated: false) where options.count <= Self.alternativesMax:
            return options.map { [Expression(.compare(.equal, operand, $0), span: $0.span)] }
        default: return [[condition]]
        }
    }

    private struct Comparison {
        var op: ComparisonOperator
        var column: String
        var other: Expression
        /// The column is on the right.
        var isFlipped: Bool
    }

    /// A comparison of a column with something; the column on the right counts first, as in ksqlDB.
    private func comparison(_ conjunct: Expression) -> Comparison? {
        guard case .compare(let op, let a, let b) = conjunct.node else { return nil }
        if case .column(_, let name) = b.node { return Comparison(op: op, column: name.name, other: a, isFlipped: true) }
        if case .column(_, let name) = a.node { return Comparison(op: op, column: name.name, other: b, isFlipped: false) }
        return nil
    }

    private func keyColumn(_ name: String) -> Field? { table.schema.key.first { $0.name == name } }

    // MARK: what a scan is needed for

    /// Whether rows of the alternative have to be looked for.
    ///
    /// - Throws: if they have to and must not be.
    private func needsScan(_ conjuncts: [Expression]) throws(MartletError) -> Bool {
        var seen: [String] = [], needsScan = false
        func scan(_ message: String, _ span: SourceSpan, isWindowed: Bool) throws(MartletError) {
            if !allowsScans { throw refused(message, span, isWindowed: isWindowed) }
            needsScan = true
        }
        for conjunct in conjuncts {
            guard case .compare = conjunct.node else {
                if case .like(let operand, _, _, negated: false) = conjunct.node {
                    if case .column = operand.node { continue }
                    try scan("Like condition must be between strings", conjunct.span, isWindowed: isWindowed)
                } else {
                    try scan("Unsupported expression in WHERE clause: \(text(conjunct))", conjunct.span, isWindowed: false)
                }
                continue
            }
            guard let found = comparison(conjunct) else {
                try scan("A comparison must directly reference a key column", conjunct.span, isWindowed: isWindowed)
                continue
            }
            if found.other.firstColumn(where: { _ in true }) != nil {
                try scan("A comparison must be between a key column and a resolvable expression", conjunct.span, isWindowed: isWindowed)
                continue
            }
            if PseudoColumns.isWindowBound(found.column) {
                switch found.op {
                case .equal, .less, .lessOrEqual, .greater, .greaterOrEqual: continue
                case .notEqual, .isDistinctFrom, .isNotDistinctFrom:
                    throw refused("Unsupported \(SQLType.quoted(found.column)) bounds: \(found.op.messageName)", conjunct.span, isWindowed: true)
                }
            }
            guard keyColumn(found.column) != nil else { continue }
            switch found.op {
            case .equal, .less, .lessOrEqual, .greater, .greaterOrEqual: break
            case .notEqual, .isDistinctFrom, .isNotDistinctFrom:
                let keys = FormatRules.columnList(table.schema.key, .key)
                try scan("Bound on key columns '\(keys)' must currently be '='", conjunct.span, isWindowed: isWindowed)
            }
            if seen.contains(found.column), !allowsScans {
                throw refused(
                    "A comparison condition on the key column cannot be combined with other comparisons such as an IN predicate", conjunct.span,
                    isWindowed: isWindowed)
            }
            seen.append(found.column)
        }
        if needsScan { return true }
        let span = conjuncts.first?.span ?? .none
        if seen.isEmpty {
            try scan("WHERE clause missing key column for disjunct: \(conjunction(conjuncts))", span, isWindowed: isWindowed)
        } else if table.schema.key.contains(where: { !seen.contains($0.name) }) {
            let specified = table.schema.key.map(\.name).filter(seen.contains).map { SQLType.quoted($0) }.joined(separator: ", ")
            try scan(
                "Multi-column sources must specify every key in the WHERE clause. Specified: [\(specified)] Expected: \(FormatRules.columnList(table.schema.key, .key))",
                span, isWindowed: isWindowed)
        }
        return needsScan
    }

    private var isWindowed: Bool { table.window != nil }

    private func conjunction(_ conjuncts: [Expression]) -> String {
        conjuncts.dropFirst().reduce(conjuncts.first.map { text($0) } ?? "") { "(\($0) AND \(text($1)))" }
    }

    /// Ranges of keys are in order only for a single text key.
    private func checkRanges(_ conjuncts: [Expression]) throws(MartletError) {
        let ranges = conjuncts.filter { conjunct in comparison(conjunct).map { keyColumn($0.column) != nil && $0.op != .equal } ?? false }
        guard let first = ranges.first else { return }
        let isText = table.schema.key.count == 1 && table.schema.key[0].type == .string
        guard isText, table.window == nil, allowsRanges else {
            throw MartletError(.badStatement, "Query requires table scan to be enabled", at: first.span, hint: Self.scanHint)
        }
    }

    private static let scanHint = "SET '\(scanProperty)'='true' allows every condition"

    /// ksqlDB's explanation of what is allowed follows the problem.
    private func refused(_ message: String, _ span: SourceSpan, isWindowed: Bool? = nil) -> MartletError {
        let windows =
            isWindowed ?? self.isWindowed
            ? "\n - (optionally) limits the time bounds of the windowed table.\n\t Bounds on [`WINDOWSTART`, `WINDOWEND`] are supported\n\t Supported operators are [EQUAL, GREATER_THAN, GREATER_THAN_OR_EQUAL, LESS_THAN, LESS_THAN_OR_EQUAL]"
            : ""
        return MartletError(
            .badStatement,
            "\(message). \(TransientQueryAnalysis.help)\nPull queries require a WHERE clause that:\n - includes a key equality expression, e.g. `SELECT * FROM X WHERE <key-column> = Y;`.\n - in the case of a multi-column key, is a conjunction of equality expressions that cover all key columns.\n - to support range expressions, e.g.,  SELECT * FROM X WHERE <key-column> < Y;`, range scans need to be enabled by setting ksql.query.pull.range.scan.enabled=true\(windows)\nIf more flexible queries are needed, , table scans can be enabled by setting ksql.query.pull.table.scan.enabled=true.",
            at: span, hint: Self.scanHint)
    }

    // MARK: values of keys

    /// Literals beside a key column in IN lists have the key's type, whether the table is scanned or not.
    private func checkOptions(_ expression: Expression) throws(MartletError) {
        guard case .isIn(let operand, let options, _) = expression.node, case .column(_, let name) = operand.node, let key = keyColumn(name.name) else {
            for child in expression.children { try checkOptions(child) }
            return
        }
        for option in options {
            let fits: Bool
            switch option.node {
            case .string: fits = key.type == .string || key.type.isTime || key.type == .bytes
            case .boolean: fits = key.type == .boolean
            case .integer, .decimal, .double: fits = key.type.isNumeric || key.type == .string
            default: fits = true
            }
            if !fits { throw misfit(option, key) }
        }
    }

    /// Values that say which keys are looked up are not null, and widen to the key's type; they do not narrow.
    private func checkValues(_ conjuncts: [Expression]) throws(MartletError) {
        for conjunct in conjuncts {
            guard let found = comparison(conjunct), let key = keyColumn(found.column) else { continue }
            if case .null = found.other.node {
                throw MartletError(.badStatement, "Primary key columns can not be NULL: \(text(conjunct))", at: conjunct.span)
            }
            if found.op == .equal, !widens(found.other, to: key.type) { throw misfit(found.other, key) }
        }
    }

    private func misfit(_ value: Expression, _ key: Field) -> MartletError {
        var shown = text(value)
        if case .string(let literal) = value.node { shown = literal }
        return MartletError(
            .badStatement, "'\(shown)' can not be converted to the type of the key column: \(key.name) \(key.type) KEY", at: value.span)
    }

    private func widens(_ value: Expression, to type: SQLType) -> Bool {
        var value = value
        while case .negate(let inner) = value.node { value = inner }
        switch (value.node, type) {
        case (.integer(let number), .integer): return Int32(exactly: number) != nil
        case (.decimal, .integer), (.decimal, .bigint), (.double, .integer), (.double, .bigint), (.double, .decimal): return false
        default: return true
        }
    }

    // MARK: bounds of windows

    /// Of each bound there is one equality, or at most one limit from either side.
    private func checkBounds(_ conjuncts: [Expression]) throws(MartletError) {
        enum Limit { case equal, upper, lower }
        var seen: [String: Set<Limit>] = [:]
        for conjunct in conjuncts {
            guard let found = comparison(conjunct), PseudoColumns.isWindowBound(found.column) else { continue }
            try checkTime(found.other)
            let op = found.isFlipped ? found.op.flipped : found.op
            let limit: Limit, name: String
            switch op {
            case .less, .lessOrEqual: (limit, name) = (.upper, ComparisonOperator.less.messageName)
            case .greater, .greaterOrEqual: (limit, name) = (.lower, ComparisonOperator.greater.messageName)
            case .equal, .notEqual, .isDistinctFrom, .isNotDistinctFrom: (limit, name) = (.equal, ComparisonOperator.equal.messageName)
            }
            let isNew = seen[found.column, default: []].insert(limit).inserted
            if seen[found.column]?.contains(.equal) == true, seen[found.column]?.count ?? 0 > 1 {
                throw refused(
                    "`\(text(conjunct))` cannot be combined with other \(SQLType.quoted(found.column)) bounds", conjunct.span, isWindowed: true)
            }
            if !isNew { throw refused("Duplicate \(SQLType.quoted(found.column)) bounds on: \(name)", conjunct.span, isWindowed: true) }
        }
    }

    /// Bounds are whole milliseconds or a date-time.
    private func checkTime(_ value: Expression) throws(MartletError) {
        var inner = value
        while case .negate(let operand) = inner.node { inner = operand }
        switch inner.node {
        case .decimal, .double, .boolean, .null:
            throw refused("Window bounds must resolve to an INT, BIGINT, or STRING containing a datetime.", value.span, isWindowed: true)
        default: return
        }
    }
}
