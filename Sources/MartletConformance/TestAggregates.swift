import MartletColumns
import MartletCore

/// The aggregate functions that ksqlDB's own tests bring along: most add numbers and lengths of texts, nulls counting 0.
enum TestAggregates {
    static var all: [AggregateRowFunction] {
        sums + [
            lengths("MID_VAR_ARG", "(BIGINT a, VARCHAR... b, [INT c], [INT d]) -> BIGINT", startsWithConstants: false),
            lengths("VAR_ARG", "(BIGINT a, VARCHAR... b) -> BIGINT"),
            lengths("MULTI_ARG", "(BIGINT a, VARCHAR b, [INT c], [VARCHAR... d]) -> BIGINT"),
            lengths("FOUR_ARG", "(BIGINT a, VARCHAR b, VARCHAR c, VARCHAR d, [INT e], [VARCHAR... f]) -> BIGINT"),
            lengths("FIVE_ARG", "(BIGINT a, VARCHAR b, VARCHAR c, VARCHAR d, INT e, [INT f], [VARCHAR... g]) -> BIGINT"),
            firsts("GENERIC_VAR_ARG", "(A a, B b, C... c) -> ARRAY<A>"),
            firsts("OBJ_COL_ARG", "(INT a, ANY... b) -> ARRAY<INT>"),
        ]
    }

    private static var sums: [AggregateRowFunction] {
        let undo: @Sendable (SQLValue, [SQLValue]) -> SQLValue = { .bigint(number($0) - total($1)) }
        return [
            AggregateRowFunction(
                "TEST_UDAF", "(BIGINT a) -> BIGINT", initial: { _ in .bigint(0) }, add: add, remove: undo, merge: { add($0, [$1]) }),
            AggregateRowFunction(
                "TEST_UDAF", "(INT a) -> BIGINT", initial: { _ in .bigint(0) }, add: add, remove: undo, merge: { add($0, [$1]) }),
            AggregateRowFunction(
                "TEST_UDAF", "(DOUBLE a) -> DOUBLE", initial: { _ in .double(0) }, add: { .double(double($0) + double($1[0])) },
                merge: { .double(double($0) + double($1)) }),
            lengths("TEST_UDAF", "(VARCHAR a, [VARCHAR b]) -> BIGINT"),
            AggregateRowFunction(
                "TEST_UDAF", "(STRUCT<A INT, B INT> a) -> STRUCT<A INT, B INT>",
                initial: { _ in .structure([.init("A", .integer(0)), .init("B", .integer(0))]) },
                add: { fieldSum($0, $1[0]) }, merge: fieldSum),
        ]
    }

    /// The sum of numbers and lengths of texts; the literal arguments count at the start or, once, in the result.
    private static func lengths(_ name: String, _ signature: String, startsWithConstants: Bool = true) -> AggregateRowFunction {
        AggregateRowFunction(
            name, signature, initial: { .bigint(startsWithConstants ? total($0) : 0) }, add: add, merge: { add($0, [$1]) },
            result: { state, constants in startsWithConstants ? state : add(state, constants) })
    }

    /// The first arguments of rows in which nothing is null.
    private static func firsts(_ name: String, _ signature: String) -> AggregateRowFunction {
        AggregateRowFunction(
            name, signature, initial: { _ in .array([]) },
            add: { state, values in values.contains(where: \.isNull) ? state : .array(elements(state) + [values[0]]) },
            merge: { .array(elements($0) + elements($1)) })
    }

    private static let add: @Sendable (SQLValue, [SQLValue]) -> SQLValue = { .bigint(number($0) + total($1)) }

    private static func total(_ values: [SQLValue]) -> Int64 { values.reduce(0) { $0 + number($1) } }

    private static func number(_ value: SQLValue) -> Int64 {
        switch value {
        case .integer(let v): Int64(v)
        case .bigint(let v): v
        case .string(let v): Int64(v.utf16.count)
        default: 0
        }
    }

    private static func double(_ value: SQLValue) -> Double { if case .double(let v) = value { v } else { 0 } }
    private static func elements(_ value: SQLValue) -> [SQLValue] { if case .array(let values) = value { values } else { [] } }

    private static let fieldSum: @Sendable (SQLValue, SQLValue) -> SQLValue = { a, b in
        guard case .structure(let x) = a, case .structure(let y) = b else { return a }
        return .structure(x.map { field in .init(field.name, .integer(Int32(number(field.value) + number(y.first { $0.name == field.name }?.value ?? .null)))) })
    }
}
