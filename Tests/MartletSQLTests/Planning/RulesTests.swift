import MartletColumns
import MartletCore
import Testing

@testable import MartletSQL

/// Each rule by itself, on small plans.
@Suite struct RulesTests {
    static let source = Source(
        name: "S", kind: .stream, schema: Schema(key: [Field("K", .integer)], value: [Field("A", .double), Field("B", .string)]), topic: "s",
        keyFormat: FormatSpec(.kafka), valueFormat: FormatSpec(.json), statement: "")
    static let scan = LogicalPlan.scan(LogicalPlan.Scan(source))
    static let a = BoundExpression.column(1, .double), b = BoundExpression.column(2, .string)

    @Test func foldsWhatCannotFail() {
        let five = BoundExpression.literal(.integer(5), .integer)
        let yes = BoundExpression.literal(.boolean(true), .boolean)
        let test = BoundExpression.compare(.greater, Self.a, .cast(five, .double))
        #expect(ConstantFolding.fold(test) == .compare(.greater, Self.a, .literal(.double(5), .double)))
        #expect(ConstantFolding.fold(.and(yes, test)) == ConstantFolding.fold(test))
        #expect(ConstantFolding.fold(.or(test, .not(.not(yes)))) == yes)
        #expect(ConstantFolding.fold(.cast(five, .decimal(precision: 4, scale: 2))) == .literal(.decimal(Decimal128(unscaled: 500, scale: 2)), .decimal(precision: 4, scale: 2)))
        // 5000000000 as INT wraps, 1.25 as DECIMAL(2, 1) rounds, 'x' as INT fails: left to the run.
        for kept in [
            BoundExpression.cast(.literal(.bigint(5_000_000_000), .bigint), .integer),
            .cast(.literal(.decimal(Decimal128(unscaled: 125, scale: 2)), .decimal(precision: 3, scale: 2)), .decimal(precision: 2, scale: 1)),
            .cast(.literal(.string("x"), .string), .integer), .cast(.literal(.integer(1000), .integer), .decimal(precision: 3, scale: 0)),
        ] { #expect(ConstantFolding.fold(kept) == kept) }
    }

    @Test func nullChecksGoToTheScanOfAStream() {
        let rest = BoundExpression.like(Self.b, pattern: .literal(.string("x%"), .string), escape: nil)
        let plan = LogicalPlan.filter(Self.scan, .and(.isNotNull(Self.a), .and(rest, .isNotNull(.column(0, .integer)))), text: "")
        guard case .filter(.scan(let scan), let left, _) = NotNullPushdown.apply(plan) else {
            Issue.record("a filter remains: LIKE, and the null check of a key")
            return
        }
        #expect(scan.notNullValues == [0] && left == .and(rest, .isNotNull(.column(0, .integer))))
        guard case .scan(let only) = NotNullPushdown.apply(.filter(Self.scan, .isNotNull(Self.b), text: "")) else {
            Issue.record("the whole filter is the scan's")
            return
        }
        #expect(only.notNullValues == [1])
    }

    @Test func nullChecksOfATableStay() {
        var table = Self.source
        table.kind = .table
        guard case .filter(.scan(let scan), _, _) = NotNullPushdown.apply(.filter(.scan(LogicalPlan.Scan(table)), .isNotNull(Self.a), text: ""))
        else {
            Issue.record("the filter stays")
            return
        }
        #expect(scan.notNullValues.isEmpty)
    }

    @Test func unusedColumnsAreNotRead() {
        let plan = LogicalPlan.project(.selectKey(Self.scan, [Self.b], names: ["B"]), [.column(0, .string), .column(2, .double)], names: ["B", "A"])
        guard case .project(.selectKey(.scan(let scan), let keys, _), let outputs, _) = ProjectionPushdown.apply(plan) else {
            Issue.record("the operators stay")
            return
        }
        // Only B, for the key, and A are read. The project counts the key, then the input: A is at 1, B at 2.
        #expect(scan.columns.map(\.name) == ["A", "B"])
        #expect(keys == [.column(1, .string)])
        #expect(outputs == [.column(0, .string), .column(1, .double)])
    }
}
