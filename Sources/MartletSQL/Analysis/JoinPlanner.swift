import MartletColumns
import MartletCore

/// Plans one join: which equalities are its key, which side has to be written to an internal topic first, in which key format, and by which
/// expressions the key of the result goes (ksqlDB, "Partition data", "Synthetic key columns").
struct JoinPlanner {
    private let analysis: JoinAnalysis
    private let node: JoinTree.Node
    private var left: JoinAnalysis.Side
    private var right: JoinAnalysis.Side
    private let prefix: String
    /// Left columns, then right columns.
    private var scope: Scope
    private let leftWidth: Int
    private let rightWidth: Int

    private var span: SourceSpan { node.join.on.span }
    private var isPersistent: Bool { analysis.from.isPersistent }
    private var isWindowed: Bool { left.from.isWindowed }

    /// An equality that rows are matched by: what it is on each side, and which key column of the side that is already.
    private struct Key {
        var equality: JoinTree.Equality
        var left: Typed
        var right: Typed
        var leftSlot: Int?
        var rightSlot: Int?
    }

    init(analysis: JoinAnalysis, node: JoinTree.Node, left: JoinAnalysis.Side, right: JoinAnalysis.Side, depth: Int) throws(MartletError) {
        self.analysis = analysis
        self.node = node
        self.left = left
        self.right = right
        prefix = String(repeating: "L_", count: depth)
        leftWidth = left.from.plan.width
        rightWidth = right.from.plan.width
        let width = leftWidth
        scope = Scope(
            sources: left.from.scope.sources + right.from.scope.sources,
            columns: left.from.scope.columns
                + right.from.scope.columns.map { column in
                    var column = column
                    column.index += width
                    return column
                })
        // The key that an inner join made up has no name any more.
        scope.columns.removeAll { scope.syntheticKeys.contains($0.name) && $0.source == nil }
    }

    mutating func plan() throws(MartletError) -> FromClause {
        switch (left.from.kind, right.from.kind) {
        case (.stream, .stream): return try streamStream()
        case (.stream, .table): return try streamTable()
        default: return try tableTable()
        }
    }

    // MARK: keys

    private func keys() throws(MartletError) -> [Key] {
        var out: [Key] = []
        for equality in node.equalities {
            let l = try bind(equality.left, left), r = try bind(equality.right, right)
            out.append(
                Key(
                    equality: equality, left: l, right: r, leftSlot: slot(equality.left, left.from),
                    rightSlot: slot(equality.right, right.from)))
        }
        return out
    }

    private func slot(_ expression: Expression, _ from: FromClause) -> Int? {
        from.keys.firstIndex { $0.viable.contains(expression) || $0.equivalent.contains(expression) }
    }

    private func bind(_ expression: Expression, _ side: JoinAnalysis.Side) throws(MartletError) -> Typed {
        let typed = try ExpressionAnalyzer(
            scope: side.from.scope, clause: .joinOn, catalog: analysis.from.catalog, functions: analysis.context.functions
        ).bind(expression)
        if let slot = slot(expression, side.from) { return Typed(side.from.keys[slot].expression) }
        return typed
    }

    private func checkTypes(_ keys: [Key]) throws(MartletError) {
        let text = ExpressionText(columns: .qualified)
        for key in keys where key.left.type != key.right.type {
            let (a, b) = key.equality.written
            let (x, y) = key.equality.isFlipped ? (key.right, key.left) : (key.left, key.right)
            throw MartletError(
                .badStatement,
                "Invalid join condition: types don't match. Got \(text(a)){\(x.typeText)} = \(text(b)){\(y.typeText)}.", at: span,
                hint: "CAST one side to the type of the other")
        }
        for (index, key) in keys.enumerated() {
            try FormatRules.checkNoMaps(inKey: [Field(keyNames(keys)[index], key.left.expression.type)], at: span)
        }
    }

    /// What key columns are called inside: the column's name behind its alias, or ROWKEY for an expression.
    private func keyNames(_ keys: [Key]) -> [String] {
        var out: [String] = []
        for key in keys {
            var name = "ROWKEY", n = 0
            if case .column(let source?, let column) = key.equality.left.node { name = "\(source.name)_\(column.name)" }
            let plain = name
            while out.contains(name) {
                n += 1
                name = "\(plain)_\(n)"
            }
            out.append(name)
        }
        return out
    }

    /// The equalities that meet the key columns of `side`, one a column in their order; nil if a column is not met.
    private func covering(_ keys: [Key], _ slot: (Key) -> Int?, count: Int) -> [Key]? {
        var out: [Key] = []
        for index in 0..<count {
            guard let key = keys.first(where: { slot($0) == index }) else { return nil }
            out.append(key)
        }
        return out.isEmpty ? nil : out
    }

    /// Conditions beside `keys`: other equalities and what is no equality.
    private func residual(beside keys: [Key], _ all: [Key]) throws(MartletError) -> (BoundExpression, String)? {
        var parts = node.residual
        for key in all where !keys.contains(where: { $0.equality.left == key.equality.left && $0.equality.right == key.equality.right }) {
            let (a, b) = key.equality.written
            parts.append(Expression(.compare(.equal, a, b), span: a.span))
        }
        guard var whole = parts.first else { return nil }
        for part in parts.dropFirst() { whole = Expression(.and(whole, part), span: span) }
        let bound = try ExpressionAnalyzer(scope: scope, clause: .joinOn, catalog: analysis.from.catalog, functions: analysis.context.functions).bind(whole)
        let text = ExpressionText(columns: .plain(isJoin: true))(whole)
        guard bound.type == .boolean else {
            throw MartletError(
                .typeMismatch, "Type error in JOIN ON expression: Should evaluate to boolean but is \(text) (\(bound.typeText)) instead.", at: span)
        }
        return (bound.expression, text)
    }

    // MARK: the kinds of joins

    private mutating func streamStream() throws(MartletError) -> FromClause {
        let all = try keys()
        let within = node.join.within ?? WithinClause(beforeMs: 0, afterMs: 0, graceMs: nil, span: span)
        // Rows stay where they are if conditions meet the whole key of both sides in the same order; else all equalities are the key.
        var chosen = all
        if let met = covering(all, { $0.leftSlot }, count: left.from.keys.count), met.map(\.rightSlot) == right.from.keys.indices.map({ $0 }) { chosen = met }
        try checkTypes(all)
        return try join(
            chosen, all, .streamStream(beforeMs: within.beforeMs, afterMs: within.afterMs, graceMs: within.graceMs), kind: .stream)
    }

    private mutating func streamTable() throws(MartletError) -> FromClause {
        let all = try keys()
        guard let chosen = covering(all, { $0.rightSlot }, count: right.from.keys.count), node.equalities.count > 1 || isColumn(all[0].equality.right) else {
            throw MartletError(
                .badStatement,
                "Invalid join condition: stream-table joins require to join on the table's primary key. Got \(got).", at: span,
                hint: "the primary key of \(right.name) is \(right.from.keys.map(\.name).joined(separator: ", "))")
        }
        try checkTypes(all)
        return try join(chosen, all, .streamTable, kind: .stream)
    }

    private mutating func tableTable() throws(MartletError) -> FromClause {
        let all = try keys()
        guard let chosen = covering(all, { $0.rightSlot }, count: right.from.keys.count) else {
            throw MartletError(
                .badStatement,
                "Invalid join condition: table-table joins require to join on the primary key of the right input table. Got \(got).", at: span,
                hint: "the primary key of \(right.name) is \(right.from.keys.map(\.name).joined(separator: ", "))")
        }
        if chosen.map(\.leftSlot) == left.from.keys.indices.map({ $0 }) {
            try checkTypes(all)
            if node.join.kind == .full, node.residual.count + node.equalities.count > chosen.count {
                throw MartletError(
                    .notSupported, "A FULL OUTER JOIN of tables takes no conditions beside the keys: both rows could be unmatched under one key.",
                    at: span, hint: "filter the result with WHERE")
            }
            return try join(chosen, all, .tableTable, kind: .table)
        }
        if left.from.isWindowed || right.from.isWindowed {
            throw MartletError(.badStatement, "Foreign-key table-table joins are not supported on windowed tables.", at: span)
        }
        guard left.isSource else {
            if isSourceKey(chosen[0].equality.left) {
                throw MartletError(
                    .badStatement,
                    "Cannot repartition a TABLE source. If this is a join, make sure that the criteria uses the TABLE's key column \(left.from.keys.map(\.name).joined(separator: ", ")) instead of \(ExpressionText(columns: .qualified)(chosen[0].equality.left))",
                    at: span)
            }
            throw MartletError(
                .badStatement, "Invalid join condition: foreign-key table-table joins are not supported as part of n-way joins. Got \(got).", at: span,
                hint: "make a table with the inner join first")
        }
        if node.join.kind == .full {
            throw MartletError(
                .badStatement,
                "Invalid join type: full-outer join not supported for foreign-key table-table join. Got \(left.name) \(JoinAnalysis.text(.full)) \(right.name).",
                at: node.join.span)
        }
        if node.join.kind == .right {
            throw MartletError(.badStatement, "RIGHT OUTER JOIN on a foreign key is not supported", at: node.join.span)
        }
        try checkTypes(all)
        return try foreignKey(chosen, all)
    }

    private func isColumn(_ expression: Expression) -> Bool { if case .column = expression.node { true } else { false } }

    /// Whether the expression is the whole key of the source it names.
    private func isSourceKey(_ expression: Expression) -> Bool {
        guard case .column(let alias?, let name) = expression.node, let place = left.from.scope.sources.firstIndex(of: alias.name) else { return false }
        return left.leaves[place].from.keys.map(\.name) == [name.name]
    }

    private var got: String {
        node.equalities.count == 1 && node.residual.isEmpty ? node.equalities[0].text : ExpressionText(columns: .qualified)(node.condition)
    }

    // MARK: joining on the key

    private mutating func join(
        _ keys: [Key], _ all: [Key], _ method: PhysicalPlan.Join.Method, kind: Statement.SourceKind
    ) throws(MartletError) -> FromClause {
        alignGroups()
        let layout = try layout(keys, isTable: kind == .table, rightIsTable: right.from.kind == .table)
        var leftKeys = keys.map(\.left.expression), rightKeys = keys.map(\.right.expression)
        var names = layout.keyNames
        if isWindowed {
            // Rows of different windows are different rows: a session's both bounds count, of a time window its start.
            let bounds = left.from.window?.kind == .session ? [PseudoColumns.windowStart, PseudoColumns.windowEnd] : [PseudoColumns.windowStart]
            for bound in bounds {
                guard let l = windowBound(left, bound), let r = windowBound(right, bound) else { continue }
                leftKeys.append(l)
                rightKeys.append(r)
                names.append(bound)
            }
        }
        let condition = try residual(beside: keys, all)
        let plan = LogicalPlan.join(
            LogicalPlan.Join(
                step: prefix + "Join", left: left.from.plan, right: right.from.plan, kind: Self.physical(node.join.kind), method: method,
                leftKeys: leftKeys, rightKeys: rightKeys, keyNames: names, condition: condition?.0, conditionText: condition?.1,
                leftRepartition: layout.left, rightRepartition: layout.right))
        var out = FromClause(plan: plan, scope: scope, kind: kind, sources: left.from.sources + right.from.sources, keys: [])
        out.window = left.from.window
        out.isWindowed = left.from.isWindowed || right.from.isWindowed
        out.isEnded = left.from.isEnded
        out.keyFormat = layout.keyFormat
        out.keyFieldNames = layout.keyNames
        out.partitionsOfTopic = layout.partitionsOfTopic
        out.keyDescription = ("join expression", "join expressions")
        for (index, key) in keys.enumerated() { addSlot(key, keyNames(keys)[index], leftWidth + rightWidth + index, &out) }
        return out
    }

    /// The key column of a result, and by which expressions it goes: those that are equal to it. In a full join none is, as either may be null.
    private func addSlot(_ key: Key, _ name: String, _ index: Int, _ out: inout FromClause) {
        var same: [Expression] = []
        func add(_ expression: Expression, _ slot: Int?, _ from: FromClause) {
            let found = slot.map { from.keys[$0].viable + from.keys[$0].equivalent } ?? []
            for one in found + [expression] where !same.contains(one) {
                if case .column(nil, _) = one.node { continue }
                same.append(one)
            }
        }
        if node.join.kind != .full {
            add(key.equality.left, key.leftSlot, left.from)
            add(key.equality.right, key.rightSlot, right.from)
        }
        let type = key.left.expression.type
        var slot = KeySlot(
            viable: same.filter { isColumn($0) }, expression: .column(index, type), name: name, equivalent: same.filter { !isColumn($0) })
        if slot.viable.isEmpty {
            slot.name = syntheticName(out.scope)
            out.scope.syntheticKeys.append(slot.name)
            out.scope.columns.insert(
                Scope.Column(source: nil, name: slot.name, type: type, role: .key, index: index), at: out.scope.syntheticKeys.count - 1)
            slot.viable = [Expression(.column(source: nil, Identifier(slot.name)), span: .none)]
        }
        out.keys.append(slot)
    }

    /// ROWKEY, or ROWKEY_1… if a source has a column of that name.
    private func syntheticName(_ scope: Scope) -> String {
        let used = Set(scope.columns.map(\.name))
        var name = "ROWKEY", n = 0
        while used.contains(name) {
            n += 1
            name = "ROWKEY_\(n)"
        }
        return name
    }

    private func windowBound(_ side: JoinAnalysis.Side, _ name: String) -> BoundExpression? {
        side.from.windowBounds[name] ?? side.from.scope.columns.first { $0.name == name && $0.role == .pseudo }.map { .column($0.index, $0.type) }
    }

    private static func physical(_ kind: Join.Kind) -> PhysicalPlan.Join.Kind {
        switch kind {
        case .inner: .inner
        case .left: .left
        case .right: .right
        case .full: .full
        }
    }

    // MARK: where rows meet

    /// Groups of a subquery are written to a topic anyway: it gets as many partitions as the other side has.
    private mutating func alignGroups() {
        guard isPersistent, left.from.partitionsOfTopic != right.from.partitionsOfTopic else { return }
        if let plan = right.from.plan.regrouped(like: left.from.partitionsOfTopic) {
            right.from.plan = plan
            right.from.partitionsOfTopic = left.from.partitionsOfTopic
        } else if let plan = left.from.plan.regrouped(like: right.from.partitionsOfTopic) {
            left.from.plan = plan
            left.from.partitionsOfTopic = right.from.partitionsOfTopic
        }
    }

    private struct Layout {
        var left: LogicalPlan.Repartition?
        var right: LogicalPlan.Repartition?
        var keyFormat: FormatSpec
        /// What the key's columns are called in the topics.
        var keyNames: [String]
        var partitionsOfTopic: String
    }

    /// Which sides have to be written to a topic of their own, so that equal keys have equal bytes in topics of equal partition counts.
    ///
    /// The key format is the left side's, unless only the left side has to be re-keyed anyway: then the right side's. Sources whose keys' bytes
    /// hold the id of a schema are always written again: equal keys could have different bytes.
    private func layout(_ keys: [Key], isTable: Bool, rightIsTable: Bool) throws(MartletError) -> Layout {
        let isLeftKeyed = !left.from.isScattered && keys.map(\.leftSlot) == left.from.keys.indices.map { $0 }
        let isRightKeyed = !right.from.isScattered && keys.map(\.rightSlot) == right.from.keys.indices.map { $0 }
        let preferred = isLeftKeyed ? left.from.keyFormat : isRightKeyed ? right.from.keyFormat : left.from.keyFormat
        let format = internalKeyFormat(preferred, zip(keyNames(keys), keys).map { Field($0, $1.left.expression.type) })
        let isForced = format.kind.usesSchemaRegistry
        let hasSameWindows = left.from.window == right.from.window
        let changesLeft = !left.from.keyFormat.isSameKeyFormat(as: format)
        let changesRight = !right.from.keyFormat.isSameKeyFormat(as: format) || !hasSameWindows
        let writesLeft = !isLeftKeyed || changesLeft || (isForced && left.isSource)
        // A JSON key of several columns has their names in its bytes.
        let hasOtherNames = keys.count > 1 && format.kind == .json && !writesLeft && left.from.keyFieldNames != right.from.keyFieldNames
        let writesRight = !isRightKeyed || changesRight || hasOtherNames || (isForced && right.isSource)
        if isWindowed, isPersistent {
            let isRefused = !isLeftKeyed || !isRightKeyed || (!(isForced && left.isSource) && writesLeft) || (!(isForced && right.isSource) && writesRight)
            if isRefused {
                throw MartletError(
                    .badStatement, "Implicit repartitioning of windowed sources is not supported. See https://github.com/confluentinc/ksql/issues/4385.",
                    at: span)
            }
        }
        if !writesLeft, !writesRight { try checkPartitions() }
        let topic = !writesLeft ? left.from.partitionsOfTopic : !writesRight ? right.from.partitionsOfTopic : left.from.partitionsOfTopic
        func repartition(_ side: JoinAnalysis.Side, _ step: String) -> LogicalPlan.Repartition {
            let value = side.from.left.valueFormat
            return LogicalPlan.Repartition(
                step: prefix + step, kind: side.from.kind, keyFormat: format,
                valueFormat: FormatSpec(value.kind, properties: FormatRules.inheritedProperties(value)), partitionsOfTopic: topic,
                window: side.from.window)
        }
        let steps =
            isTable
            ? ("LeftSourceKeyed-SelectKey", "RightSourceKeyed-SelectKey")
            : rightIsTable ? ("Join", "RightSourceKeyed-SelectKey") : ("Join-left", "Join-right")
        return Layout(
            left: isPersistent && writesLeft ? repartition(left, steps.0) : nil,
            right: isPersistent && writesRight ? repartition(right, steps.1) : nil, keyFormat: format,
            keyNames: keys.count == 1 || writesLeft && writesRight ? keyNames(keys) : writesLeft ? right.from.keyFieldNames : left.from.keyFieldNames,
            partitionsOfTopic: topic)
    }

    /// The format of keys in internal topics: JSON where the wanted one cannot hold them. Ids and names of registered schemas are the source's own.
    private func internalKeyFormat(_ wanted: FormatSpec, _ fields: [Field]) -> FormatSpec {
        var format = FormatSpec(wanted.kind, properties: FormatRules.inheritedProperties(wanted))
        if wanted.kind == .none {
            format = FormatSpec(FormatKind(rawValue: (analysis.context.properties["ksql.persistence.default.format.key"] ?? "KAFKA").uppercased()) ?? .kafka)
        }
        if FormatRules.reason(format.kind, fields, .key) != nil { format = FormatSpec(.json) }
        format.unwrapSingle = FormatRules.unwrapsKey(format.kind, columns: fields.count)
        return format
    }

    private func checkPartitions() throws(MartletError) {
        let context = analysis.context
        guard !context.isReplay, isPersistent, let l = context.partitions(left.from.partitionsOfTopic), let r = context.partitions(right.from.partitionsOfTopic), l != r
        else { return }
        let (a, b) = (SQLType.quoted(left.from.left.name), SQLType.quoted(right.from.left.name))
        throw MartletError(
            .badStatement,
            "Can't join \(a) with \(b) since the number of partitions don't match. \(a) partitions = \(l); \(b) partitions = \(r). Please repartition either one so that the number of partitions match.",
            at: node.join.span)
    }

    // MARK: joining on a foreign key

    /// Offsets tell which of two changes of a left row is the later one. What is not read from one table's topic, groups or the result of a join,
    /// is written to a topic of its own first.
    private func rewrittenLeft() -> LogicalPlan.Repartition? {
        if left.from.plan.readsOneTable { return nil }
        let value = left.from.left.valueFormat
        return LogicalPlan.Repartition(
            step: prefix + "LeftSourceKeyed-SelectKey", kind: .table,
            keyFormat: internalKeyFormat(left.from.keyFormat, left.from.keys.map { Field($0.name, $0.expression.type) }),
            valueFormat: FormatSpec(value.kind, properties: FormatRules.inheritedProperties(value)), partitionsOfTopic: left.from.partitionsOfTopic)
    }

    /// Rows of the left table find the right table's row by an expression; the result keeps the left table's key.
    private func foreignKey(_ keys: [Key], _ all: [Key]) throws(MartletError) -> FromClause {
        let names = keyNames(keys)
        var format = internalKeyFormat(right.from.keyFormat, zip(names, keys).map { Field($0, $1.right.expression.type) })
        // Subscriptions are written here, with the bytes of keys that the right table's topic has.
        let isRewritten = right.from.keyFormat.kind.usesSchemaRegistry
        if !isRewritten { format = right.from.keyFormat }
        let value = right.from.left.valueFormat
        let rewrite = LogicalPlan.Repartition(
            step: prefix + "RightSourceKeyed-SelectKey", kind: .table, keyFormat: format,
            valueFormat: FormatSpec(value.kind, properties: FormatRules.inheritedProperties(value)), partitionsOfTopic: right.from.partitionsOfTopic)
        let condition = try residual(beside: keys, all)
        let primary = left.from.keys.map(\.expression)
        let rewritten = rewrittenLeft()
        let answers = rewritten?.keyFormat ?? left.from.keyFormat
        let answerNames = rewritten == nil ? left.from.keyFieldNames : left.from.keys.map(\.name)
        let plan = LogicalPlan.join(
            LogicalPlan.Join(
                step: prefix + "Join", left: left.from.plan, right: right.from.plan, kind: Self.physical(node.join.kind), method: .foreignKey(keyCount: primary.count),
                leftKeys: keys.map(\.left.expression), rightKeys: keys.map(\.right.expression), keyNames: left.from.keys.map(\.name),
                condition: condition?.0, conditionText: condition?.1, leftRepartition: rewritten, rightRepartition: isPersistent && isRewritten ? rewrite : nil,
                foreign: LogicalPlan.Join.Foreign(
                    primaryKeys: primary, keyNames: names, keyFieldNames: isRewritten ? names : right.from.keyFieldNames, keyFormat: format, partitionsOfTopic: right.from.partitionsOfTopic,
                    answerKeyFieldNames: answerNames, answerKeyFormat: answers, answerPartitionsOfTopic: left.from.partitionsOfTopic, crossesTopics: isPersistent)))
        var out = FromClause(plan: plan, scope: scope, kind: .table, sources: left.from.sources + right.from.sources, keys: [])
        out.keyFormat = answers
        out.keyFieldNames = answerNames
        out.partitionsOfTopic = left.from.partitionsOfTopic
        out.keyDescription = ("primary key column", "primary key columns")
        out.keys = left.from.keys.enumerated().map { index, slot in
            KeySlot(viable: slot.viable, expression: .column(leftWidth + rightWidth + index, slot.expression.type), name: slot.name)
        }
        return out
    }
}

extension LogicalPlan {
    /// The plan with the topic that brings its groups together as wide as `topic`; nil if there is none.
    fileprivate func regrouped(like topic: String) -> LogicalPlan? {
        switch self {
        case .filter(let input, let condition, let text): return input.regrouped(like: topic).map { .filter($0, condition, text: text) }
        case .project(let input, let expressions, let names): return input.regrouped(like: topic).map { .project($0, expressions, names: names) }
        case .aggregate(var node):
            guard node.repartition != nil else { return nil }
            node.repartition?.partitionsOfTopic = topic
            return .aggregate(node)
        case .scan, .flatMap, .selectKey, .join, .materialize, .union, .ended: return nil
        }
    }

    /// Whether rows are those of one table's topic, filtered and projected: their offsets rise with the changes of each key.
    fileprivate var readsOneTable: Bool {
        switch self {
        case .scan: true
        case .filter(let input, _, _), .project(let input, _, _), .materialize(let input, _, _): input.readsOneTable
        case .flatMap, .selectKey, .join, .aggregate, .union, .ended: false
        }
    }
}
