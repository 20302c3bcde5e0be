import MartletColumns
import MartletCore

/// Comparisons: which types compare, what is converted, and text that stands for a time.
extension ExpressionAnalyzer {
    /// `isRange`: a side of BETWEEN, whose types ksqlDB looks at when it makes code.
    func compare(
        _ op: ComparisonOperator, _ a: Expression, _ b: Expression, _ span: SourceSpan, isRange: Bool = false
    ) throws(MartletError) -> BoundExpression {
        if let millis = try magicTimestamp(b, besides: a) { return .compare(op, try bind(a).cast(to: .bigint), .literal(.bigint(millis), .bigint)) }
        if let millis = try magicTimestamp(a, besides: b) { return .compare(op, .literal(.bigint(millis), .bigint), try bind(b).cast(to: .bigint)) }
        let left = try bind(a), right = try bind(b)
        guard let l = left.type, let r = right.type else {
            let names = [left, right].map { $0.type?.baseName ?? "NULL" }
            throw typeError("Comparison with NULL not supported: \(names[0]) \(op.rawValue) \(names[1])\nUse 'IS NULL' or 'IS NOT NULL' instead.", span)
        }
        guard let common = Self.comparisonType(op, l, r) else {
            let message = "Cannot compare \(text(a)) (\(l)) to \(text(b)) (\(r)) with \(op.messageName)."
            throw isRange ? codeError(message, span) : typeError(message, span)
        }
        return .compare(op, left.cast(to: common), right.cast(to: common))
    }

    /// The type in which two values are compared; nil if ksqlDB does not compare them.
    static func comparisonType(_ op: ComparisonOperator, _ l: SQLType, _ r: SQLType) -> SQLType? {
        let isEquality =
            switch op {
            case .equal, .notEqual, .isDistinctFrom, .isNotDistinctFrom: true
            case .less, .lessOrEqual, .greater, .greaterOrEqual: false
            }
        switch (l, r) {
        case (.boolean, .boolean): return isEquality ? .boolean : nil
        case (.array, .array), (.map, .map), (.structure, .structure): return isEquality ? ArithmeticTypes.common(l, r) : nil
        case (.date, .timestamp), (.timestamp, .date): return .timestamp
        case (.string, _) where r.isTime: return r
        case (_, .string) where l.isTime: return l
        default: return ArithmeticTypes.common(l, r)
        }
    }

    /// The milliseconds that a text literal means beside ROWTIME, WINDOWSTART or WINDOWEND.
    private func magicTimestamp(_ literal: Expression, besides other: Expression) throws(MartletError) -> Int64? {
        guard case .string(let value) = literal.node, case .column(let source, let name) = other.node,
            PseudoColumns.isMagicTimestamp(name.name), scope.column(source?.name, name.name)?.type == .bigint
        else { return nil }
        guard let millis = MagicTimestamp.milliseconds(value) else {
            throw typeError(
                "Failed to parse timestamp '\(value)'", literal.span,
                hint: "times beside \(name.name) look like 2020-02-10T08:31:44.001+0000, cut off anywhere")
        }
        return millis
    }
}
