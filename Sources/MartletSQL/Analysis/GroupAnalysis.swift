import MartletColumns
import MartletCore

/// GROUP BY, HAVING and WINDOW: what is grouped by what, which aggregate functions are computed, and what names mean above the groups
/// (ksqlDB, "SELECT (Push Query)"; SEMANTICS of grouping).
struct GroupAnalysis {
    var catalog: Catalog
    var context: AnalysisContext
    /// Name of the sink; nil for a transient query.
    var sink: String?
    /// The rows go to a sink in the end, perhaps through another query.
    var isPersistent: Bool
    /// The query ends: rows of a table are just rows.
    var isPull: Bool
    var query: Query
    /// What is grouped.
    var from: FromClause
    /// The columns of FROM; the bounds of the query's own windows are among them, without an index.
    var scope: Scope

    /// What a query is above its groups.
    struct Result {
        var plan: LogicalPlan
        var from: FromClause
        /// Group keys, aggregates and window bounds by the expressions that mean them.
        var computed: [Expression: Scope.Column]
        /// The result's keys are windowed.
        var window: Source.SourceWindow?
    }

    /// Whether rows are taken out of their groups again.
    private var isTable: Bool { from.yieldsChanges }
    private var text: ExpressionText { ExpressionText(columns: .plain(isJoin: scope.isJoin)) }

    /// Whether there are groups: GROUP BY, or in a transient query aggregate functions alone, which make all rows one group.
    var isGrouped: Bool { !query.groupBy.isEmpty || (sink == nil && firstAggregate(query.select) != nil) }

    // MARK: rules that need no types

    /// - Throws: what ksqlDB refuses before it looks at types.
    func check() throws(MartletError) {
        if isGrouped { return try checkGrouped() }
        if let call = firstAggregate(query.select) {
            let plain = try selectedExpressions().filter { firstAggregate($0) == nil && !$0.referencedSources.isEmpty }
            if let first = plain.first { throw notGrouped(plain, first.span) }
            var called = try Qualifier(scope: scope, clause: .select, functions: context.functions).qualify(call)
            if case .call(let name, _, true) = called.node {
                let rowTime = Expression(.column(source: nil, Identifier(PseudoColumns.rowTime)), span: call.span)
                called = Expression(.call(name, [rowTime], isStar: false), span: call.span)
            }
            throw MartletError(
                .badStatement,
                "CREATE TABLE AS SELECT statement does not support aggregate function [\(text(called))] without a GROUP BY clause.", at: call.span)
        }
        if let window = query.window { throw MartletError(.badStatement, "WINDOW clause requires a GROUP BY clause.", at: window.span) }
        if let having = query.having { throw MartletError(.badStatement, "HAVING clause requires a GROUP BY clause.", at: having.span) }
        if query.emit == .final {
            throw MartletError(.badStatement, "EMIT FINAL is only supported for windowed aggregations.", at: query.span)
        }
    }

    private func checkGrouped() throws(MartletError) {
        if let first = query.partitionBy.first {
            throw MartletError(
                .badStatement, "GROUP BY and PARTITION BY cannot be used together.", at: first.span,
                hint: "the result of GROUP BY is partitioned by its groups")
        }
        try checkFunctionsExist()
        for expression in query.groupBy {
            if let call = firstAggregate(expression), case .call(let name, _, _) = call.node {
                throw MartletError(
                    .badStatement, "GROUP BY does not support aggregate functions: \(name.name) is an aggregate function.", at: call.span)
            }
        }
        let span = query.groupBy.first?.span ?? query.span
        if firstAggregate(query.select) == nil, query.having.flatMap({ firstAggregate($0) }) == nil {
            throw MartletError(
                .badStatement, "GROUP BY requires aggregate functions in either the SELECT or HAVING clause.", at: span,
                hint: "SELECT DISTINCT gives each combination of values once")
        }
        for case .expression(let expression, _) in query.select {
            if let call = expression.firstCall(where: { context.functions.isTableFunction($0.name) }) {
                throw MartletError(.badStatement, "Table functions cannot be used with aggregations.", at: call.span)
            }
        }
        if query.emit == .final, query.window == nil {
            throw MartletError(.badStatement, "EMIT FINAL is only supported for windowed aggregations.", at: query.span)
        }
        if let window = query.window, isTable {
            throw MartletError(.badStatement, "Windowing not supported for table aggregations.", at: window.span)
        }
        let kafka = from.sources.filter { $0.valueFormat.kind == .kafka }
        if !kafka.isEmpty {
            throw MartletError(
                .badStatement,
                "Source(s) \(kafka.map(\.name).sorted().joined(separator: ", ")) are using the 'KAFKA' value format. This format does not yet support GROUP BY.",
                at: span)
        }
    }

    /// A name that no function has is wrong whatever else is.
    private func checkFunctionsExist() throws(MartletError) {
        func check(_ expression: Expression) throws(MartletError) {
            if case .call(let name, _, _) = expression.node, context.functions.function(named: name.name) == nil,
                catalog.models[name.name] == nil, catalog.models[name.name.uppercased()] == nil
            {
                throw MartletError(
                    .unknownFunction, "Can't find any functions with the name '\(name.name.uppercased())'", at: expression.span,
                    hint: Suggestion.nearest(
                        name.name.uppercased(), among: (context.functions.scalars + context.functions.aggregates).map(\.name) + catalog.models.keys.sorted()))
            }
            for child in expression.children { try check(child) }
        }
        for case .expression(let expression, _) in query.select { try check(expression) }
        for expression in query.groupBy { try check(expression) }
        if let having = query.having { try check(having) }
    }

    private func firstAggregate(_ expression: Expression) -> Expression? {
        expression.firstCall { context.functions.isAggregate($0.name) }
    }

    private func firstAggregate(_ items: [SelectItem]) -> Expression? {
        for case .expression(let expression, _) in items { if let call = firstAggregate(expression) { return call } }
        return nil
    }

    /// The SELECT's own expressions, qualified; not those of `*`.
    private func selectedExpressions() throws(MartletError) -> [Expression] {
        let qualifier = Qualifier(scope: scope, clause: .select, functions: context.functions)
        var out: [Expression] = []
        for case .expression(let expression, _) in query.select { out.append(try qualifier.qualify(expression)) }
        return out
    }

    // MARK: grouping

    /// - Parameters: `items` is the SELECT, expanded and qualified; `input` yields the rows of `scope`.
    func analyze(_ items: [ProjectionItem], _ input: LogicalPlan) throws(MartletError) -> Result {
        let groups = try qualified(query.groupBy, .groupBy)
        for (index, group) in groups.enumerated() where groups[..<index].contains(group) {
            throw MartletError(.badStatement, "Duplicate GROUP BY expression: \(text(group))", at: query.groupBy[index].span)
        }
        let having = try query.having.map { (condition) throws(MartletError) in try qualified([condition], .having)[0] }
        try checkMembership(items, groups, having)

        var calls = AggregateCalls(binder: binder(.select), functions: context.functions, bounds: isWindowBound)
        for item in items { try calls.collect(item.expression) }
        if let having {
            calls.binder.clause = .having
            try calls.collect(having)
        }
        try checkFunctions(calls)

        var node = try aggregation(groups, calls, input)
        if let clause = query.window { node.window = try WindowRules.window(clause, isFinal: query.emit == .final, isPull: isPull) }
        let window = query.window.map { WindowRules.sourceWindow($0) } ?? (groupsByWindow(groups) ? from.window : nil)
        var computed = calls.computed(from: groups.count)
        for (index, group) in groups.enumerated() {
            computed[group] = Scope.Column(source: nil, name: node.names[index], type: node.keys[index].type, role: .key, index: index)
        }
        if query.window != nil {
            for (offset, name) in [PseudoColumns.windowStart, PseudoColumns.windowEnd].enumerated() {
                let column = Scope.Column(source: nil, name: name, type: .bigint, role: .pseudo, index: groups.count + node.calls.count + offset)
                for source in scope.sources { computed[Expression(.column(source: Identifier(source), Identifier(name)), span: .none)] = column }
            }
        }
        var plan = LogicalPlan.aggregate(node)
        if let having { plan = try filter(plan, having, computed) }
        return Result(plan: plan, from: grouped(groups, node), computed: computed, window: window)
    }

    private func binder(_ clause: Clause) -> ExpressionAnalyzer {
        ExpressionAnalyzer(scope: scope, clause: clause, catalog: catalog, functions: context.functions)
    }

    private func qualified(_ expressions: [Expression], _ clause: Clause) throws(MartletError) -> [Expression] {
        let qualifier = Qualifier(scope: scope, clause: clause, functions: context.functions)
        var out: [Expression] = []
        for expression in expressions {
            let one = try qualifier.qualify(expression)
            if query.window != nil, let bound = one.firstColumn(where: isWindowBound), case .column(_, let name) = bound.node {
                throw Self.misplacedBound(name, bound.span)
            }
            out.append(one)
        }
        return out
    }

    /// Windows are known above the groups only.
    static func misplacedBound(_ name: Identifier, _ span: SourceSpan) -> MartletError {
        MartletError(
            .badStatement,
            "Window bounds column \(name.name) can only be used in the SELECT clause of windowed aggregations and can not be passed to aggregate functions.\nSee https://github.com/confluentinc/ksql/issues/4397",
            at: span)
    }

    /// Whether a column is a bound of the query's own windows.
    private func isWindowBound(_ name: Identifier) -> Bool { query.window != nil && PseudoColumns.isWindowBound(name.name) }

    /// Everything outside of aggregate functions must follow from the group's key.
    private func checkMembership(_ items: [ProjectionItem], _ groups: [Expression], _ having: Expression?) throws(MartletError) {
        let wrong = items.filter { !stray(in: $0.expression, groups).isEmpty }
        if let first = wrong.first { throw notGrouped(wrong.map(\.expression), first.span) }
        guard let having else { return }
        let columns = stray(in: having, groups)
        guard let first = columns.first else { return }
        throw MartletError(
            .badStatement, "Non-aggregate HAVING expression not part of GROUP BY: \(columns.map { text($0) }.joined(separator: ", "))\nConsider switching the HAVING clause to a WHERE clause before the GROUP BY.", at: first.span)
    }

    /// Columns in `expression` outside of aggregate functions that no group gives.
    private func stray(in expression: Expression, _ groups: [Expression]) -> [Expression] {
        if groups.contains(expression) { return [] }
        switch expression.node {
        case .call(let name, _, _) where context.functions.isAggregate(name.name): return []
        case .column(let source, let name):
            // Parameters of lambdas and units of time have no source.
            return source == nil || isWindowBound(name) ? [] : [expression]
        default: return expression.children.flatMap { stray(in: $0, groups) }
        }
    }

    private func notGrouped(_ expressions: [Expression], _ span: SourceSpan) -> MartletError {
        MartletError(
            .badStatement,
            "Non-aggregate SELECT expression(s) not part of GROUP BY: \(expressions.map { text($0) }.joined(separator: ", "))\nEither add the column(s) to the GROUP BY or remove them from the SELECT.",
            at: span)
    }

    /// Which functions can work on what is grouped.
    private func checkFunctions(_ calls: AggregateCalls) throws(MartletError) {
        if isTable {
            var names: [String] = []
            for call in calls.calls where !(context.functions.function(named: call.name)?.supportsUndo ?? false) && !names.contains(call.name) {
                names.append(call.name)
            }
            guard names.isEmpty else {
                let list = names.count == 1 ? names[0] : names.dropLast().joined(separator: ", ") + " and " + (names.last ?? "")
                throw MartletError(
                    .badStatement,
                    "The aggregation function\(names.count == 1 ? "" : "s") \(list) cannot be applied to a table source, only to a stream source.",
                    at: calls.spans[0])
            }
        }
        guard isPersistent, from.left.valueFormat.kind == .delimited else { return }
        if let index = calls.calls.firstIndex(where: { Self.withNestedState.contains($0.name) }) {
            throw MartletError(
                .badStatement,
                "One of the functions used in the statement has an intermediate type that the value format can not handle. Please remove the function or change the format.",
                at: calls.spans[index], hint: "\(calls.calls[index].name) needs a format with nested types: make a stream WITH (VALUE_FORMAT='JSON') first")
        }
    }

    /// Functions whose state ksqlDB keeps as a STRUCT, ARRAY or MAP in the source's value format.
    private static let withNestedState: Set<String> = [
        "ATTR", "AVG", "COLLECT_LIST", "COLLECT_SET", "CORRELATION", "COUNT_DISTINCT", "EARLIEST_BY_OFFSET", "HISTOGRAM", "LATEST_BY_OFFSET",
        "STDDEV_SAMP", "STDDEV_SAMPLE", "TOPK", "TOPKDISTINCT",
    ]

    // MARK: plan

    private func aggregation(_ groups: [Expression], _ calls: AggregateCalls, _ input: LogicalPlan) throws(MartletError) -> LogicalPlan.Aggregation {
        let binder = binder(.groupBy)
        var keys: [BoundExpression] = [], names: [String] = []
        var aliases = AliasGenerator(scope)
        for (group, written) in zip(groups, query.groupBy) {
            let typed = try binder.bind(group)
            guard let type = typed.type else { throw MartletError(.typeMismatch, "GROUP BY NULL has no type.", at: written.span, hint: "use CAST(NULL AS …)") }
            let name: String
            if case .column(let source, let column) = group.node, let found = scope.column(source?.name, column.name) {
                name = scope.internalName(found)
            } else {
                name = aliases.name(for: group)
            }
            try FormatRules.checkNoMaps(inKey: [Field(name, type)], at: written.span)
            keys.append(typed.expression)
            names.append(name)
        }
        var taken = Set(names)
        for (index, argument) in calls.arguments.enumerated() {
            var name = "ARG_\(index)"
            if case .column(let column, _) = argument, let found = scope.columns.first(where: { $0.index == column }) { name = scope.internalName(found) }
            var n = 1
            let plain = name
            while !taken.insert(name).inserted {
                name = "\(plain)_\(n)"
                n += 1
            }
            names.append(name)
        }
        var node = LogicalPlan.Aggregation(
            input: input, keys: keys, arguments: calls.arguments, names: names, calls: calls.calls, undoes: isTable,
            isFinal: query.emit == .final)
        // The rows of a windowed table that a subquery yields are grouped over all windows.
        let leavesWindows = isTable && from.isWindowed
        if isPersistent, leavesWindows || !groupsByKey(groups) {
            if from.isWindowed, !leavesWindows {
                throw MartletError(
                    .badStatement, "Implicit repartitioning of windowed sources is not supported. See https://github.com/confluentinc/ksql/issues/4385.",
                    at: query.groupBy[0].span)
            }
            let value = from.left.valueFormat
            node.repartition = LogicalPlan.Aggregation.Repartition(
                keyFormat: internalKeyFormat(zip(names, keys).map { Field($0, $1.type) }),
                valueFormat: FormatSpec(value.kind, properties: FormatRules.inheritedProperties(value)), partitionsOfTopic: from.partitionsOfTopic)
        }
        return node
    }

    /// Rows of a group are together already if the groups are the keys of the rows.
    private func groupsByKey(_ groups: [Expression]) -> Bool {
        !from.isScattered && groups.count == from.keys.count && zip(groups, from.keys).allSatisfy { $1.viable.contains($0) }
    }

    /// Grouping the rows of a windowed stream by their keys groups them by their windows too.
    private func groupsByWindow(_ groups: [Expression]) -> Bool { isPersistent && from.isWindowed && !isTable && groupsByKey(groups) }

    /// The source's key format, or JSON where it cannot hold the groups.
    private func internalKeyFormat(_ fields: [Field]) -> FormatSpec {
        let own = from.keyFormat
        var format = FormatSpec(own.kind, properties: FormatRules.inheritedProperties(own))
        if own.kind == .none || FormatRules.reason(own.kind, fields, .key) != nil { format = FormatSpec(.json) }
        format.unwrapSingle = FormatRules.unwrapsKey(format.kind, columns: fields.count)
        return format
    }

    private func filter(_ plan: LogicalPlan, _ having: Expression, _ computed: [Expression: Scope.Column]) throws(MartletError) -> LogicalPlan {
        var binder = binder(.having)
        binder.computed = computed
        let bound = try binder.bind(having)
        guard bound.type == .boolean else {
            throw MartletError(
                .typeMismatch, "Type error in HAVING expression: Should evaluate to boolean but is \(text(having)) (\(bound.typeText)) instead.",
                at: having.span)
        }
        return .filter(plan, bound.expression, text: text(having))
    }

    /// The result as something to select from: a table keyed by its groups.
    private func grouped(_ groups: [Expression], _ node: LogicalPlan.Aggregation) -> FromClause {
        var out = from
        out.kind = .table
        out.isScattered = false
        out.yieldsChanges = !isPull
        out.windowBounds = [:]
        if node.window != nil {
            let first = groups.count + node.calls.count
            out.windowBounds = [PseudoColumns.windowStart: .column(first, .bigint), PseudoColumns.windowEnd: .column(first + 1, .bigint)]
        }
        if let repartition = node.repartition {
            out.keyFormat = repartition.keyFormat
            out.keyFieldNames = Array(node.names[..<groups.count])
        }
        out.keys = groups.enumerated().map { index, group in
            KeySlot(viable: [group], expression: .column(index, node.keys[index].type), name: node.names[index])
        }
        out.keyDescription = ("grouping expression", "grouping expressions")
        return out
    }
}

extension Expression {
    /// The first column in this expression for which `test` holds.
    func firstColumn(where test: (Identifier) -> Bool) -> Expression? {
        if case .column(_, let name) = node, test(name) { return self }
        for child in children { if let found = child.firstColumn(where: test) { return found } }
        return nil
    }
}
