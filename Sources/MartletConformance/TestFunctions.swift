import MartletColumns
import MartletCore

/// The scalar functions that ksqlDB's own tests bring along, and the built-in ones.
enum TestFunctions {
    static let registry = FunctionRegistry.builtin.adding(overloads)

    private static var overloads: [RowFunction] {
        [
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
            RowFunction("BAD_UDF", "(INT a) -> INT") { _ throws(MartletError) in throw MartletError(.badRequest, "boom") },
            RowFunction("BAD_UDF", "(BOOLEAN a) -> INT") { values throws(MartletError) in
                if values[0] == .boolean(true) { throw MartletError(.badRequest, "You asked me to throw...") }
                return .integer(0)
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
}
