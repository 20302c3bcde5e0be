import MartletColumns
import MartletCore

/// What the WHERE clause of a pull query on a table has to be: without table scans each alternative names whole keys (ksqlDB, "Pull queries").
struct PullConditions {
    var table: Source
    var context: AnalysisContext

    private static let scanProperty = "ksql.query.pull.table.scan.enabled", rangeProperty = "ksql.query.pull.range.scan.enabled"
    private static let scanHint = "SET '\(scanProperty)'='true' allows every condition"

    private var allowsScans: Bool { context.properties[Self.scanProperty]?.lowercased() != "false" }
    private var allowsRanges: Bool { context.properties[Self.rangeProperty]?.lowercased() != "false" }
    private let text = ExpressionText()

    init(table: Source, context: AnalysisContext) {
        self.table = table
        self.context = context
    }

    /// - Parameters: `condition` is qualified.
    func check(_ condition: Expression?, at span: SourceSpan) throws(MartletError) {
        if let condition {
            try checkOptions(condition)
            try checkNarrowing(condition)
        }
        if allowsScans { return }
        guard let condition else { throw refused("Missing WHERE clause.", span) }
        for disjunct in disjuncts(condition) { try check(disjunct) }
    }

    private func refused(_ message: String, _ span: SourceSpan) -> MartletError {
        MartletError(.badStatement, message, at: span, hint: Self.scanHint)
    }

    /// Literals beside a key column in IN lists have the key's type, whether the table is scanned or not.
    private func checkOptions(_ expression: Expression) throws(MartletError) {
        guard case .isIn(let operand, let options, _) = expression.node, let key = keyColumn(operand) else {
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
            guard fits else {
                throw MartletError(
                    .badStatement, "\(text(option)) can not be converted to the type of the key column: \(key.name) \(key.type) KEY", at: option.span)
            }
        }
    }

    /// Numbers that say which keys are looked up widen to the key's type, they do not narrow.
    private func checkNarrowing(_ condition: Expression) throws(MartletError) {
        let alternatives = disjuncts(condition).map { $0.conjuncts.flatMap(lookups) }
        // Where one alternative does not name the whole key the table is scanned and nothing is looked up.
        guard alternatives.allSatisfy({ found in table.schema.key.allSatisfy { key in found.contains { $0.key.name == key.name } } }) else { return }
        for (key, value) in alternatives.joined() where !widens(value, to: key.type) {
            throw MartletError(
                .badStatement, "\(text(value)) can not be converted to the type of the key column: \(key.name) \(key.type) KEY", at: value.span)
        }
    }

    private func lookups(_ conjunct: Expression) -> [(key: Field, value: Expression)] {
        switch conjunct.node {
        case .compare(.equal, let a, let b):
            if let key = keyColumn(a) { return [(key, b)] }
            return keyColumn(b).map { [($0, a)] } ?? []
        case .isIn(let operand, let options, negated: false): return keyColumn(operand).map { key in options.map { (key, $0) } } ?? []
        default: return []
        }
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

    private func keyColumn(_ expression: Expression) -> Field? {
        guard case .column(_, let name) = expression.node else { return nil }
        return table.schema.key.first { $0.name == name.name }
    }

    private func disjuncts(_ expression: Expression) -> [Expression] {
        if case .or(let a, let b) = expression.node { return disjuncts(a) + disjuncts(b) }
        return [expression]
    }

    // MARK: one alternative

    private enum Use { case equality, options, range }

    private func check(_ disjunct: Expression) throws(MartletError) {
        var uses: [(name: String, use: Use, span: SourceSpan)] = []
        for conjunct in disjunct.conjuncts { try collect(conjunct, &uses) }
        guard let first = uses.first else {
            if let other = disjunct.conjuncts.lazy.compactMap({ wrapped($0) }).first {
                throw refused("A comparison must directly reference a key column.", other.span)
            }
            throw refused("WHERE clause missing key column for disjunct: \(text(disjunct))", disjunct.span)
        }
        for (index, use) in uses.enumerated() where uses[..<index].contains(where: { $0.name == use.name }) {
            throw refused("A comparison condition on the key column cannot be combined with other comparisons such as an IN predicate", use.span)
        }
        let missing = table.schema.key.contains { key in !uses.contains { $0.name == key.name } }
        if missing {
            let specified = uses.map { SQLType.quoted($0.name) }.joined(separator: ", ")
            let expected = table.schema.key.map { "\(SQLType.quoted($0.name)) \($0.type) KEY" }.joined(separator: ", ")
            throw refused(
                "Multi-column sources must specify every key in the WHERE clause. Specified: [\(specified)] Expected: [\(expected)]", first.span)
        }
        if let range = uses.first(where: { $0.use == .range }) {
            let isText = table.schema.key.count == 1 && table.schema.key[0].type == .string
            guard isText, table.window == nil, allowsRanges else { throw refused("Query requires table scan to be enabled", range.span) }
        }
    }

    /// Notes what `conjunct` says of a key column, if anything.
    private func collect(_ conjunct: Expression, _ uses: inout [(name: String, use: Use, span: SourceSpan)]) throws(MartletError) {
        switch conjunct.node {
        case .compare(let op, let a, let b):
            guard let key = keyColumn(a) ?? keyColumn(b) else { return }
            let other = keyColumn(a) == nil ? a : b
            guard other.firstColumn(where: { _ in true }) == nil else {
                throw refused("A comparison must be between a key column and a resolvable expression.", conjunct.span)
            }
            switch op {
            case .equal: uses.append((key.name, .equality, conjunct.span))
            case .less, .lessOrEqual, .greater, .greaterOrEqual: uses.append((key.name, .range, conjunct.span))
            case .notEqual, .isDistinctFrom, .isNotDistinctFrom: throw refused("Query requires table scan to be enabled", conjunct.span)
            }
        case .isIn(let operand, _, negated: false):
            if let key = keyColumn(operand) { uses.append((key.name, .options, conjunct.span)) }
        default: return
        }
    }

    /// A comparison of an expression around a key column.
    private func wrapped(_ conjunct: Expression) -> Expression? {
        guard case .compare(_, let a, let b) = conjunct.node else { return nil }
        return [a, b].first { side in keyColumn(side) == nil && side.firstColumn { name in table.schema.key.contains { $0.name == name.name } } != nil }
    }
}
