import MartletColumns
import MartletCore
import Synchronization

/// The functions that ksqlDB's own tests bring along, and the built-in ones.
enum TestFunctions {
    /// Each case has its own: BAD_UDF counts its calls.
    static func registry() -> FunctionRegistry {
        FunctionRegistry.builtin.adding(overloads()).adding(aggregates: TestAggregates.all).adding(tables: tables)
    }

    private final class Counter: Sendable {
        private let calls = Mutex(0)
        func next() -> Int {
            calls.withLock {
                $0 += 1
                return $0
            }
        }
    }

    private static func overloads() -> [RowFunction] {
        let counter = Counter()
        return [
            RowFunction("TEST_UDF", "(INT a, VARCHAR b) -> VARCHAR") { _ throws(MartletError) in .string("doStuffIntString") },
            RowFunction("TEST_UDF", "(BIGINT a, VARCHAR b) -> VARCHAR") { _ throws(MartletError) in .string("doStuffLongString") },
            RowFunction("TEST_UDF", "(BIGINT a, BIGINT b, VARCHAR c) -> VARCHAR") { _ throws(MartletError) in .string("doStuffLongLongString") },
            RowFunction("TEST_UDF", "(BIGINT... a) -> VARCHAR") { _ throws(MartletError) in .string("doStuffLongVarargs") },
            RowFunction("TEST_UDF", "(STRUCT<A VARCHAR> a) -> VARCHAR") { values throws(MartletError) in
                guard case .structure(let fields)? = values.first else { return .null }
                return fields.first?.value ?? .null
            },
            RowFunction("TEST_UDF", "() -> STRUCT<A VARCHAR>") { _ throws(MartletError) in .structure([.init("A", .string("foo"))]) },
            RowFunction("TOSTRUCT", "(VARCHAR a) -> STRUCT<A VARCHAR>") { values throws(MartletError) in .structure([.init("A", values[0])]) },
            RowFunction("BAD_UDF", "(INT a) -> VARCHAR") { _ throws(MartletError) in throw MartletError(.badRequest, "boom") },
            RowFunction("BAD_UDF", "(BOOLEAN a) -> INT") { values throws(MartletError) in
                if values[0] == .boolean(true) { throw MartletError(.badRequest, "You asked me to throw...") }
                return .integer(0)
            },
            RowFunction("BAD_UDF", "(VARCHAR a) -> VARCHAR") { values throws(MartletError) in
                counter.next() % 2 == 1 ? .null : values[0]
            },
            RowFunction("WHENCONDITION", "(BOOLEAN result, BOOLEAN allowed) -> BOOLEAN") { values throws(MartletError) in
                try allowed(values)
            },
            RowFunction("WHENRESULT", "(INT result, BOOLEAN allowed) -> INT") { values throws(MartletError) in try allowed(values) },
        ]
    }

    private static func allowed(_ values: [SQLValue]) throws(MartletError) -> SQLValue {
        if values[1] != .boolean(true) { throw MartletError(.badRequest, "this branch is not to be evaluated") }
        return values[0]
    }

    private static var tables: [TableRowFunction] {
        [
            TableRowFunction("TEST_UDTF", "(T a) -> ARRAY<T>") { values throws(MartletError) in values },
            // Its declared result is DECIMAL(30, 10) whatever comes in.
            TableRowFunction(
                "TEST_UDTF", "(DECIMAL a) -> ARRAY<DECIMAL>", returns: { _ in .array(.decimal(precision: 30, scale: 10)) }
            ) { values throws(MartletError) in
                guard case .decimal(let value) = values[0] else { return [.null] }
                return [value.fitted(precision: 30, scale: 10).map { .decimal($0) } ?? .null]
            },
            TableRowFunction("TEST_UDTF", "(ANY... a) -> ARRAY<VARCHAR>") { values throws(MartletError) in
                values.map { value in
                    switch value {
                    case .array(let elements): .string(elements.first?.castText ?? "null")
                    case .map(let entries): .string(entries.first?.value.castText ?? "null")
                    default: .string(value.castText)
                    }
                }
            },
            TableRowFunction("THROWING_UDTF", "(BOOLEAN a) -> ARRAY<BOOLEAN>") { values throws(MartletError) in
                if values[0] == .boolean(true) { throw MartletError(.badRequest, "You asked me to throw...") }
                return [.boolean(false)]
            },
        ]
    }
}
