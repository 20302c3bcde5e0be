import MartletColumns
import MartletCore

/// A SELECT, analysed: the logical plan up to its projection, and what the columns are.
struct AnalyzedSelect {
    struct Output {
        var name: String
        var expression: BoundExpression
        /// Index of the key column it is; nil: a value.
        var keyIndex: Int?
        var field: Field { Field(name, expression.type) }
    }

    var from: FromClause
    /// Up to the projection.
    var input: LogicalPlan
    /// In SELECT order.
    var outputs: [Output]
    /// How the result's keys are windowed.
    var window: Source.SourceWindow?
    /// The stream was made keyless by PARTITION BY NULL.
    var isUnkeyed: Bool
    var limit: Int64?
    var warnings: [String] = []
    /// What happens to the results when the input of a query that ends has ended, and columns behind the outputs that this needs.
    var ending: PhysicalPlan.Ending?
    /// Rows are groups.
    var isGrouped = false
    var hidden: [Output] = []
    var span: SourceSpan

    var keyOutputs: [Output] { outputs.filter { $0.keyIndex != nil }.sorted { ($0.keyIndex ?? 0) < ($1.keyIndex ?? 0) } }
    var valueOutputs: [Output] { outputs.filter { $0.keyIndex == nil } }

    /// The plan with its projection, columns in the order of `outputs`.
    func projected(_ outputs: [Output]) -> LogicalPlan {
        .project(input, outputs.map(\.expression), names: outputs.map(\.name))
    }
}

/// Analyses SELECTs: FROM, WHERE, table functions, PARTITION BY, then the projection, in the order in which rows pass them.
struct QueryAnalysis {
    var catalog: Catalog
    var context: AnalysisContext
    /// Name of the sink; nil for a transient query, whose rules are looser.
    var sink: String?
    /// The query ends: it reads what is there.
    var isPull = false
    /// It stands in the FROM clause of another.
    var isInner = false
    /// The rows go to a sink in the end.
    var isPersistent: Bool
    /// A table's rows are read from its topic, not looked up.
    var readsChanges: Bool

    init(
        catalog: Catalog, context: AnalysisContext, sink: String?, isPull: Bool = false, isInner: Bool = false, isPersistent: Bool? = nil,
        readsChanges: Bool? = nil
    ) {
        self.readsChanges = readsChanges ?? !isPull
        self.catalog = catalog
        self.context = context
        self.sink = sink
        self.isPull = isPull
        self.isInner = isInner
        self.isPersistent = isPersistent ?? (sink != nil)
    }

    func analyze(_ query: Query) throws(MartletError) -> AnalyzedSelect {
        if !isPull { try checkEnding(query) }
        return query.unions.isEmpty ? try single(query) : try UnionAnalysis(query: self).analyze(query)
    }

    /// Clauses that need all rows at once.
    private func checkEnding(_ query: Query) throws(MartletError) {
        func refuse(_ what: String, _ span: SourceSpan, _ hint: String? = nil) -> MartletError {
            MartletError(.badStatement, "\(what) is only for queries that end, which this one does not.", at: span, hint: hint)
        }
        if let first = query.orderBy.first { throw refuse("ORDER BY", first.expression.span) }
        if let offset = query.offset { throw refuse("OFFSET", offset.span) }
        if isInner, let limit = query.limit { throw refuse("LIMIT in a subquery", limit.span) }
        if query.isDistinct { throw refuse("SELECT DISTINCT", query.span, "GROUP BY makes a table with one row for each combination of values") }
    }

    /// One SELECT, without what UNION ALL puts behind it.
    func single(_ query: Query) throws(MartletError) -> AnalyzedSelect {
        var from = try FromAnalysis(
            catalog: catalog, context: context, isPersistent: isPersistent, isPull: isPull, readsChanges: readsChanges
        ).analyze(query.from)
        if let sink, from.kind == .table, from.sources.contains(where: { $0.kind == .table && $0.window != nil }) {
            throw MartletError(
                .badStatement, "KSQL does not support persistent queries on windowed tables.", at: query.span, hint: "\(sink) would be one")
        }
        try checkSwitches(query)
        let sourceScope = scope(query, from)
        try checkReservedNames(query, sourceScope)
        var aliases = AliasGenerator(sourceScope)
        let groups = GroupAnalysis(
            catalog: catalog, context: context, sink: sink, isPersistent: isPersistent, isPull: isPull, query: query, from: from, scope: sourceScope)
        try groups.check()

        var plan = input(query, from)
        if let condition = query.whereClause { plan = try filter(plan, condition, sourceScope) }
        var computed: [Expression: Scope.Column] = [:]
        var isUnkeyed = false
        if !groups.isGrouped { try tableFunctions(query, sourceScope, from, &plan, &computed) }
        if !query.partitionBy.isEmpty {
            isUnkeyed = try partition(query, &from, &plan, &computed, &aliases)
        } else {
            from.plan = plan
        }
        var binder = ExpressionAnalyzer(
            scope: groups.isGrouped ? sourceScope : from.scope, clause: .select, catalog: catalog, functions: context.functions, computed: computed)
        let projection = Projection(
            scope: from.scope, type: { (expression) throws(MartletError) in try binder.bind(expression).type },
            qualifier: Qualifier(scope: sourceScope, clause: .select, functions: context.functions),
            showsWindowBounds: sink == nil && !isInner && from.sources.count == 1 && !groups.isGrouped)
        var items = try projection.expand(query.select, aliases: &aliases)
        var window = from.window
        if groups.isGrouped {
            let result = try groups.analyze(items, plan)
            (from, plan, window) = (result.from, result.plan, result.window)
            from.plan = plan
            binder.computed = result.computed
        } else {
            useKeyNames(&items, from)
        }
        var select = AnalyzedSelect(
            from: from, input: plan, outputs: [], window: window, isUnkeyed: isUnkeyed, limit: query.limit?.count, span: query.span)
        try bind(items, binder, from, &select)
        if isPull, !isInner || query.needsAllRows {
            let ending = EndingAnalysis(items: items, outputs: select.outputs, binder: binder, scope: sourceScope)
            let isTable = groups.isGrouped || select.from.yieldsChanges
            (select.ending, select.hidden) = try ending.analyze(query, groups: isTable ? select.from.keys : nil)
        }
        select.isGrouped = groups.isGrouped
        return select
    }

    /// Parts of the language that can be switched off.
    private func checkSwitches(_ query: Query) throws(MartletError) {
        if query.emit == .final, context.isOff("ksql.suppress.enabled") {
            throw MartletError(
                .badStatement, "Suppression is currently disabled. You can enable it by setting ksql.suppress.enabled to true", at: query.span)
        }
        guard context.isOff("ksql.lambdas.enabled") else { return }
        var expressions = [query.whereClause, query.having].compactMap { $0 } + query.groupBy + query.partitionBy
        for case .expression(let expression, _) in query.select { expressions.append(expression) }
        if let lambda = expressions.lazy.compactMap(\.firstLambda).first {
            throw MartletError(.badStatement, "Lambdas are not enabled at this time.", at: lambda.span)
        }
    }

    /// The columns that names can mean: the source's, and the bounds of the query's own windows, which only what is above the groups has.
    private func scope(_ query: Query, _ from: FromClause) -> Scope {
        var scope = from.scope
        guard query.window != nil, !scope.isJoin, let source = scope.sources.first else { return scope }
        for name in [PseudoColumns.windowStart, PseudoColumns.windowEnd] where scope.column(source, name) == nil {
            scope.columns.append(Scope.Column(source: source, name: name, type: .bigint, role: .pseudo, index: -1))
        }
        return scope
    }

    /// What FROM yields. Of a table's changes whatever is above may need the rows before, and so do lookups in the result.
    private func input(_ query: Query, _ from: FromClause) -> LogicalPlan {
        guard case .scan(let scan) = from.plan, scan.source.kind == .table, !scan.source.schema.key.isEmpty else { return from.plan }
        let isNeeded = isPersistent || readsChanges && (isInner || query.whereClause != nil || !query.groupBy.isEmpty)
        return isNeeded ? .materialize(from.plan, step: "KsqlTopic-Reduce", keyCount: scan.source.schema.key.count) : from.plan
    }

    /// System columns have to be renamed in what is written to a topic.
    private func checkReservedNames(_ query: Query, _ scope: Scope) throws(MartletError) {
        guard sink != nil else { return }
        for case .expression(let expression, let alias) in query.select {
            guard case .column(_, let name) = expression.node, PseudoColumns.reserved.contains(name.name) else { continue }
            // Columns that several sources have are called by their source's name too.
            if let alias { if alias.name != name.name { continue } } else if scope.columns.count(where: { $0.name == name.name }) > 1 { continue }
            throw MartletError(
                .badStatement, "Reserved column name in select: \(SQLType.quoted(name.name)). Please remove or alias the column.", at: expression.span)
        }
    }

    // MARK: WHERE

    private func filter(_ plan: LogicalPlan, _ condition: Expression, _ scope: Scope) throws(MartletError) -> LogicalPlan {
        let qualified = try Qualifier(scope: scope, clause: .whereClause, functions: context.functions).qualify(condition)
        var binder = ExpressionAnalyzer(scope: scope, clause: .whereClause, catalog: catalog, functions: context.functions)
        binder.isInterpreted = isPull
        let text = binder.text(qualified)
        do throws(MartletError) {
            let bound = try binder.bind(qualified)
            guard bound.type == .boolean else {
                throw MartletError(
                    .typeMismatch, "Type error in WHERE expression: Should evaluate to boolean but is \(text) (\(bound.typeText)) instead.",
                    at: condition.span)
            }
            return .filter(plan, bound.expression, text: text)
        } catch {
            var error = error
            if error.message.hasPrefix("Error in WHERE expression") { error.message += "\nStatement: \(text)" }
            throw error
        }
    }

    // MARK: table functions

    private func tableFunctions(
        _ query: Query, _ scope: Scope, _ from: FromClause, _ plan: inout LogicalPlan, _ computed: inout [Expression: Scope.Column]
    ) throws(MartletError) {
        var found: [Expression] = []
        func collect(_ expression: Expression, inside branches: Expression?) throws(MartletError) {
            if case .call(let name, _, _) = expression.node, context.functions.isTableFunction(name.name) {
                if let branches {
                    let text = ExpressionText(columns: .plain(isJoin: scope.isJoin))(branches)
                    throw MartletError(.badStatement, "Table functions cannot be used in CASE: \(text)", at: expression.span)
                }
                if !found.contains(expression) { found.append(expression) }
                return
            }
            var branches = branches
            if case .searchedCase = expression.node { branches = expression }
            for child in expression.children { try collect(child, inside: branches) }
        }
        let qualifier = Qualifier(scope: scope, clause: .select, functions: context.functions)
        for case .expression(let expression, _) in query.select where expression.firstCall(where: { context.functions.isTableFunction($0.name) }) != nil {
            try collect(try qualifier.qualify(expression), inside: nil)
        }
        guard let first = found.first else { return }
        if from.kind == .table {
            throw MartletError(.badStatement, "Table source is not supported with table functions", at: first.span)
        }
        let binder = ExpressionAnalyzer(scope: scope, clause: .select, catalog: catalog, functions: context.functions)
        var calls: [PhysicalOperator.TableFunctionCall] = []
        for expression in found {
            guard case .call(let name, let arguments, _) = expression.node else { continue }
            let call = try binder.tableFunction(name, arguments, expression)
            computed[expression] = Scope.Column(
                source: nil, name: "KSQL_SYNTH_\(calls.count)", type: call.type, role: .pseudo, index: plan.width + calls.count)
            calls.append(call)
        }
        plan = .flatMap(plan, calls)
    }

    // MARK: PARTITION BY

    /// Re-keys the rows; afterwards names mean the columns behind the new keys.
    ///
    /// - Returns: whether the result has no key (`PARTITION BY NULL`).
    private func partition(
        _ query: Query, _ from: inout FromClause, _ plan: inout LogicalPlan, _ computed: inout [Expression: Scope.Column],
        _ aliases: inout AliasGenerator
    ) throws(MartletError) -> Bool {
        let span = query.partitionBy[0].span
        let qualifier = Qualifier(scope: from.scope, clause: .partitionBy, functions: context.functions)
        if from.kind == .table {
            let keys = try query.partitionBy.map { (expression) throws(MartletError) in try qualifier.qualify(expression) }
            if keys.count == from.keys.count, zip(keys, from.keys).allSatisfy({ $1.viable.contains($0) }) {
                from.plan = plan
                return false
            }
            let names = keys.map { ExpressionText(columns: .plain(isJoin: from.scope.isJoin))($0) }
            let reason =
                from.keys.count == 1
                ? "If this is a join, make sure that the criteria uses the TABLE's key column \(from.keys[0].name) instead of [\(names.joined(separator: ", "))]"
                : "If this is a join, joins on tables with multiple columns is not yet supported."
            throw MartletError(.badStatement, "Cannot repartition a TABLE source. \(reason)", at: span, hint: "PARTITION BY is for streams")
        }
        let binder = ExpressionAnalyzer(scope: from.scope, clause: .partitionBy, catalog: catalog, functions: context.functions, computed: computed)
        var expressions: [Expression] = [], keys: [Typed] = []
        for expression in query.partitionBy {
            let qualified = try qualifier.qualify(expression)
            if let call = qualified.firstCall(where: { context.functions.isAggregate($0.name) || context.functions.isTableFunction($0.name) }) {
                throw MartletError(.badStatement, "PARTITION BY takes neither aggregate nor table functions: \(binder.text(call))", at: call.span)
            }
            expressions.append(qualified)
            keys.append(try binder.bind(qualified))
        }
        if from.isWindowed {
            // Rows that have just these keys stay where they are.
            if expressions.count == from.keys.count, zip(expressions, from.keys).allSatisfy({ $1.viable.contains($0) }) {
                from.plan = plan
                return false
            }
            throw MartletError(
                .badStatement, "Implicit repartitioning of windowed sources is not supported. See https://github.com/confluentinc/ksql/issues/4385.", at: span)
        }
        let nulls = keys.filter { $0.type == nil }.count
        if nulls > 0, keys.count > 1 {
            throw MartletError(.badStatement, "Cannot PARTITION BY multiple columns including NULL", at: span)
        }
        if nulls == 1 { expressions = [] }
        let names = expressions.map { expression in
            if case .column(let source, let name) = expression.node, let column = from.scope.column(source?.name, name.name) {
                return from.scope.internalName(column)
            }
            return aliases.name(for: expression)
        }
        for (index, name) in names.enumerated() where names[..<index].contains(name) {
            throw MartletError(.badStatement, "PARTITION BY names the column \(SQLType.quoted(name)) twice.", at: query.partitionBy[index].span)
        }
        let bound = nulls == 1 ? [] : keys.map(\.expression)
        plan = .selectKey(plan, bound, names: names)
        from.isScattered = true
        rekey(&from, expressions, bound, names)
        computed = computed.mapValues { column in
            var column = column
            column.index += bound.count
            return column
        }
        from.plan = plan
        from.keyDescription = ("partitioning expression", "partitioning expressions")
        return nulls == 1
    }

    /// The scope behind a `selectKey`: the new keys, the values, then what was the key before.
    private func rekey(_ from: inout FromClause, _ expressions: [Expression], _ keys: [BoundExpression], _ names: [String]) {
        var columns = from.scope.columns.map { column in
            var column = column
            column.index += keys.count
            return column
        }
        var slots: [KeySlot] = [], newKeys: [Scope.Column] = []
        for (index, expression) in expressions.enumerated() {
            var viable = [expression]
            if case .column(let source, let name) = expression.node,
                let old = columns.firstIndex(where: { $0.source == source?.name && $0.name == name.name })
            {
                var column = columns.remove(at: old)
                column.role = .key
                column.index = index
                newKeys.append(column)
            } else {
                newKeys.append(Scope.Column(source: nil, name: names[index], type: keys[index].type, role: .key, index: index))
                viable.append(Expression(.column(source: nil, Identifier(names[index])), span: .none))
            }
            slots.append(KeySlot(viable: viable, expression: .column(index, keys[index].type), name: names[index]))
        }
        from.keys = slots
        if from.scope.isJoin {
            // Behind a join all columns of its sources are values: `*` shows the pseudo columns too, and the sources' keys after them.
            let rank: [Scope.Column.Role: Int] = [.value: 0, .header: 1, .pseudo: 2, .key: 3]
            var values: [Scope.Column] = []
            for source in from.scope.sources {
                for role in 0...3 { values += columns.filter { $0.source == source && rank[$0.role] == role } }
            }
            for index in values.indices { values[index].role = .value }
            from.scope.columns = newKeys + values
            from.scope.syntheticKeys = []
            return
        }
        let oldKeys = columns.filter { $0.role == .key }.map { column in
            var column = column
            column.role = .value
            return column
        }
        from.scope.columns = newKeys + columns.filter { $0.role == .value || $0.role == .header } + oldKeys + columns.filter { $0.role == .pseudo }
    }

    // MARK: projection

    /// An unnamed expression that PARTITION BY has named already keeps that name.
    private func useKeyNames(_ items: inout [ProjectionItem], _ from: FromClause) {
        for index in items.indices where !items[index].isAliased {
            if case .column = items[index].expression.node { continue }
            if let slot = from.keys.first(where: { $0.viable.contains(items[index].expression) }) { items[index].name = slot.name }
        }
    }

    private func bind(
        _ items: [ProjectionItem], _ binder: ExpressionAnalyzer, _ from: FromClause, _ select: inout AnalyzedSelect
    ) throws(MartletError) {
        var uses: [[ProjectionItem]] = from.keys.map { _ in [] }
        // The columns of both sides of a join stand for its key; the leftmost source's that is selected is it, the others are copies.
        let chosen = from.keys.map { slot in slot.viable.first { viable in items.contains { $0.expression == viable } } }
        for item in items {
            let key = from.keys.firstIndex { $0.viable.contains(item.expression) }
            if let key {
                if item.expression == chosen[key] {
                    uses[key].append(item)
                    select.outputs.append(.init(name: item.name, expression: from.keys[key].expression, keyIndex: key))
                    continue
                }
            }
            let typed = try binder.bind(item.expression)
            guard typed.type != nil else {
                throw MartletError(.typeMismatch, "The type of the column \(SQLType.quoted(item.name)) is unknown: it is NULL.", at: item.span, hint: "use CAST(NULL AS …)")
            }
            select.outputs.append(.init(name: item.name, expression: typed.expression, keyIndex: nil))
        }
        guard let sink else { return }
        try checkKeys(uses, from, sink, &select)
        try checkNames(select)
        if select.valueOutputs.isEmpty {
            throw MartletError(.badStatement, "The projection contains no value columns.", at: select.span)
        }
    }

    /// The rules of what goes to a sink, for a UNION.
    func checkUnion(_ select: AnalyzedSelect, _ sink: String) throws(MartletError) {
        try checkNames(select)
        if select.valueOutputs.isEmpty { throw MartletError(.badStatement, "The projection contains no value columns.", at: select.span) }
    }

    private func checkKeys(_ uses: [[ProjectionItem]], _ from: FromClause, _ sink: String, _ select: inout AnalyzedSelect) throws(MartletError) {
        if uses.contains(where: \.isEmpty) {
            if mayDropKey(from) {
                for index in select.outputs.indices { select.outputs[index].keyIndex = nil }
                if from.scope.isJoin {
                    let names = from.keys[0].viable.map { ExpressionText(columns: .qualified)($0) }
                    select.warnings.append(
                        "The projection does not include the join expression \(names.joined(separator: " or ")): the result stream has no key column.")
                }
                return
            }
            throw missingKey(uses, from, sink, select.span)
        }
        for (slot, items) in zip(from.keys, uses) where items.count > 1 {
            let names = items.map(\.name)
            if from.keyDescription.one != "key column" {
                throw MartletError(
                    .badStatement,
                    "The projection contains a key column more than once: \(Self.enumeration(names.map { SQLType.quoted($0) }, "and")).\nEach key column must only be in the projection once. If you intended to copy the key into the value, then consider using the AS_VALUE function to indicate which key reference should be copied.",
                    at: items[1].span)
            }
            let list = names.dropLast().joined(separator: ", ") + " and " + (names.last ?? "")
            throw MartletError(
                .badStatement,
                "The projection contains a key column (\(SQLType.quoted(slot.name))) more than once, aliased as: \(list).\nEach key column must only be in the projection once. If you intended to copy the key into the value, then consider using the AS_VALUE function to indicate which key reference should be copied.",
                at: items[1].span)
        }
    }

    /// A stream that was declared without a key column (as all were before ksqlDB 0.10) may be joined without naming the join key: the result
    /// has no key either. So does ksqlDB's newer planner with every key.
    private func mayDropKey(_ from: FromClause) -> Bool {
        if context.properties["ksql.new.query.planner.enabled"]?.lowercased() == "true" { return true }
        return from.scope.isJoin && from.left.schema.key.isEmpty && from.keyDescription.one == "join expression"
    }

    private func missingKey(_ uses: [[ProjectionItem]], _ from: FromClause, _ sink: String, _ span: SourceSpan) -> MartletError {
        let text = ExpressionText(columns: .qualified)
        if from.keyDescription.one == "primary key column" {
            let missing = zip(from.keys, uses).filter { $1.isEmpty }.map { SQLType.quoted($0.0.name) }
            let s = missing.count == 1 ? "" : "s"
            return MartletError(
                .badStatement,
                "Primary key column\(s) missing in projection. For foreign-key table-table joins, the projection must include all primary key columns from the left input table (\(SQLType.quoted(from.scope.sources[0]))). Missing column\(s): \(missing.joined(separator: ", ")).",
                at: span)
        }
        let names: [String], list: String
        if from.keyDescription.one == "grouping expression" {
            let plain = ExpressionText(columns: .plain(isJoin: from.scope.isJoin))
            names = zip(from.keys, uses).filter { $1.isEmpty }.map { plain($0.0.viable[0]) }
            list = Self.enumeration(names, "and")
        } else if from.keyDescription.one == "key column" {
            names = from.keys.map(\.name)
            list = Self.enumeration(names, "and")
        } else if from.keyDescription.one == "join expression" {
            let slot = zip(from.keys, uses).first { $1.isEmpty }?.0 ?? from.keys[0]
            names = slot.viable.map { text($0) }
            list = Self.enumeration(names, "or")
        } else {
            names = from.keys.map { text($0.viable[0]) }
            list = Self.enumeration(names, "and")
        }
        let noun = names.count == 1 ? from.keyDescription.one : from.keyDescription.many
        let example = from.keyDescription.one == "join expression" ? names[0] : names.joined(separator: ", ")
        var explanation = ""
        if let synthetic = from.scope.syntheticKeys.first, from.keyDescription.one == "join expression" {
            explanation =
                "\n\(synthetic) was added as a synthetic key column because the join criteria did not match any source column. This expression must be included in the projection and may be aliased."
        }
        return MartletError(
            .badStatement,
            "Key missing from projection (ie, SELECT). See https://cnfl.io/2LV7ouS.\nThe query used to build \(SQLType.quoted(sink)) must include the \(noun) \(list) in its projection (eg, SELECT \(example)...).\(explanation)",
            at: span)
    }

    private static func enumeration(_ names: [String], _ word: String) -> String {
        names.count < 2 ? names.joined() : names.dropLast().joined(separator: ", ") + " \(word) " + (names.last ?? "")
    }

    private func checkNames(_ select: AnalyzedSelect) throws(MartletError) {
        var seen: Set<String> = []
        for output in select.keyOutputs + select.valueOutputs where !seen.insert(output.name).inserted {
            throw MartletError(
                .badStatement,
                "Duplicate \(output.keyIndex == nil ? "value" : "key") columns found in schema: \(SQLType.quoted(output.name)) \(output.expression.type)",
                at: select.span, hint: "give each column its own name with AS")
        }
    }
}

extension Query {
    /// Whether its result is known only when all its rows are there.
    var needsAllRows: Bool { isDistinct || !orderBy.isEmpty || offset != nil || limit != nil }
}
