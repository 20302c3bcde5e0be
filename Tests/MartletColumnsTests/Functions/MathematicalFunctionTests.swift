import MartletCore
import Testing

@testable import MartletColumns

struct MathematicalFunctionTests {
    @Test func magnitudes() throws {
        try expect("ABS", [-3], 3)
        try expect("ABS", [.integer(.min)], .integer(.min))
        try expect("ABS", [-2.5], 2.5)
        try expect("ABS", [.decimal("-1.50")], .decimal("1.50"))
        try expect("SIGN", [-3.0], -1)
        try expect("SIGN", [.bigint(0)], 0)
        try expect("CEIL", [1.1], 2.0)
        try expect("CEIL", [.decimal("1.1")], .decimal("2.0"))
        try expect("CEIL", [.decimal("-1.1")], .decimal("-1.0"))
        try expect("FLOOR", [.decimal("-1.1")], .decimal("-2.0"))
        try expect("FLOOR", [-1.1], -2.0)
    }

    @Test func rounding() throws {
        try expect("ROUND", [1.5], .bigint(2))
        try expect("ROUND", [-1.5], .bigint(-1))
        try expect("ROUND", [2.5], .bigint(3))
        try expect("ROUND", [1.234567, 2], 1.23)
        try expect("ROUND", [1.005, 2], 1.01)
        try expect("ROUND", [1.234567, 10], 1.234567)
        try expect("ROUND", [17.0, -1], 20.0)
        try expect("ROUND", [1.7, -2], 0.0)
        try expect("ROUND", [.decimal("12.345")], .decimal("12"))
        try expect("ROUND", [.decimal("-12.5")], .decimal("-12"))
        try expect("ROUND", [.decimal("12.345"), 2], .decimal("12.350"))
        try expect("TRUNC", [-1.7], .bigint(-1))
        try expect("TRUNC", [1.789, 2], 1.78)
        try expect("TRUNC", [.decimal("-12.345"), 1], .decimal("-12.300"))
        try expect("TRUNC", [.decimal("-12.345")], .decimal("-12"))
        try expect("ROUND", [9.99e300, -2], 9.99e300)
        let type = try FunctionRegistry.builtin.resolve("ROUND", arguments: [.type(.decimal(precision: 7, scale: 3))]).returnType
        #expect(type == .decimal(precision: 4, scale: 0))
    }

    @Test func transcendental() throws {
        for (name, argument, wanted) in [
            ("EXP", 1.0, 2.718281828459045), ("LN", 2, 0.6931471805599453), ("SQRT", 2, 1.4142135623730951), ("CBRT", -8, -2),
            ("COT", 6, -3.4363530041801), ("SINH", -6, -201.7131573702792), ("DEGREES", 2, 114.591559026165), ("LOG", 13, 2.5649493574615367),
            ("ATAN", 1, 0.7853981633974), ("RADIANS", 180, 3.141592653589793),
        ] as [(String, Double, Double)] {
            guard case .double(let value) = try call(name, [.double(argument)]) else { throw KernelFailure("no double") }
            #expect(abs(value - wanted) < 1e-12, "\(name)(\(argument))")
        }
        try expect("SQRT", [4], 2.0)
        try expect("POWER", [15, 13], 1946195068359375.0)
        try expect("ATAN2", [1.0, nil], nil)
        guard case .double(let nan) = try call("ACOS", [2]), case .double(let infinite) = try call("LN", [0]) else { throw KernelFailure("no double") }
        #expect(nan.isNaN && infinite == -.infinity)
        for base in [-15, 0, 1] as [Int32] {
            guard case .double(let value) = try call("LOG", [.integer(base), 13]) else { throw KernelFailure("no double") }
            #expect(value.isNaN)
        }
        guard case .double(let log) = try call("LOG", [15, 13]) else { throw KernelFailure("no double") }
        #expect(abs(log - 0.9471572411831843) < 1e-15)
    }

    @Test func extremesIgnoreNulls() throws {
        try expect("GREATEST", [3, nil, 7, 5], 7)
        try expect("LEAST", ["apple", "banana", nil, "Zebra", "!"], "!")
        try expect("GREATEST", [.bytes("zebra"), nil, .bytes("hello")], .bytes("zebra"))
        try expect("LEAST", [nil, .bigint(4), .bigint(-4)], .bigint(-4))
        try expect("GREATEST", [.decimal("1234567.89"), .decimal("0.123456")], .decimal("1234567.890000"))
        try expect("GREATEST", [1, .bigint(1_000_000_000_000), .decimal("3.5"), 2.5], 1e12)
        try expect("GREATEST", [.date(3), "1970-01-10"], .date(9))
        try expect("LEAST", [nil, nil], types: [.integer, .integer], nil)
    }

    @Test func randomNumbersDifferFromRowToRow() throws {
        let column = Column.integer(FixedColumn([Int32](repeating: 0, count: 100)))
        let sum = BoundExpression.arithmetic(.add, .call("RANDOM", [], .double), .cast(.column(0, .integer), .double), .double)
        let values = try evaluate(sum, [column]).values
        #expect(Set(values).count == 100)
        #expect(values.allSatisfy { if case .double(let v) = $0 { v >= 0 && v < 1 } else { false } })
        let two = BoundExpression.compare(.equal, .call("RANDOM", [], .double), .call("RANDOM", [], .double))
        #expect(try evaluate(two, [column]).values.allSatisfy { $0 == false })
        let ids = try evaluate(.call("UUID", [], .string), [column]).values
        #expect(Set(ids).count == 100)
        for case .string(let id) in ids { #expect(id.utf8.count == 36 && id.dropFirst(14).hasPrefix("4")) }
    }

    @Test func distances() throws {
        func distance(_ values: [Double], _ unit: String? = nil) throws -> Double {
            guard case .double(let v) = try call("GEO_DISTANCE", values.map { .double($0) } + (unit.map { [.string($0)] } ?? [])) else { return .nan }
            return v
        }
        #expect(abs(try distance([37.4439, -122.1663, 51.5257, -0.1122]) - 8634.659796579544) < 1e-6)
        #expect(abs(try distance([51.5257, -0.1122, -33.9323, 18.4197]) - 9673.40421197142) < 1e-6)
        #expect(abs(try distance([51.5257, -0.1122, -33.9323, 18.4197], "miles") - 9673.40421197142 * 3959 / 6371) < 1e-6)
        try expect("GEO_DISTANCE", [91.0, 0.0, 0.0, 0.0], nil)
        try expect("GEO_DISTANCE", [37.4439, -122.1663, 51, 0], .double(try distance([37.4439, -122.1663, 51, 0])))
    }
}
