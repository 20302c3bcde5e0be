import MartletCore
import Testing

@testable import MartletColumns

struct ArithmeticTypesTests {
    private func d(_ p: Int, _ s: Int) -> SQLType { .decimal(precision: p, scale: s) }

    @Test func resultTypes() {
        for (op, left, right, wanted) in [
            (.add, .integer, .integer, .integer), (.multiply, .integer, .bigint, .bigint), (.divide, .bigint, .double, .double), (.add, d(4, 2), .double, .double),
            (.add, d(4, 2), d(4, 2), d(5, 2)), (.subtract, d(4, 2), .integer, d(13, 2)), (.multiply, d(4, 2), d(4, 2), d(9, 4)), (.divide, d(4, 2), d(4, 2), d(11, 7)),
            (.modulo, d(4, 2), d(5, 3), d(5, 3)), (.add, .string, .string, .string), (.add, d(38, 10), d(38, 10), d(38, 10)),
        ] as [(ArithmeticOperator, SQLType, SQLType, SQLType)] {
            #expect(ArithmeticTypes.result(op, left, right) == wanted, "\(left) \(op.rawValue) \(right)")
        }
        #expect(ArithmeticTypes.result(.subtract, .string, .string) == nil)
        #expect(ArithmeticTypes.result(.add, .boolean, .integer) == nil)
        #expect(ArithmeticTypes.result(.add, .date, .integer) == nil)
        #expect(ArithmeticTypes.common(.integer, d(4, 2)) == d(12, 2))
        #expect(ArithmeticTypes.common(.array(.integer), .array(.bigint)) == .array(.bigint))
        #expect(ArithmeticTypes.common(.string, .integer) == nil)
    }

    private func apply(_ op: ArithmeticOperator, _ left: String, _ right: String) throws -> SQLValue {
        let a = SQLValue.decimal(left), b = SQLValue.decimal(right)
        let type = ArithmeticTypes.result(op, inferredType(a)!, inferredType(b)!)!
        let columns = [ColumnBuilder.column(of: inferredType(a)!, [a]), ColumnBuilder.column(of: inferredType(b)!, [b])]
        return try evaluate(.arithmetic(op, .column(0, inferredType(a)!), .column(1, inferredType(b)!), type), columns).values[0]
    }

    @Test func decimalsAreExact() throws {
        #expect(try apply(.add, "10.01", "5.1") == .decimal("15.11"))
        #expect(try apply(.multiply, "10.10", "-2.00") == .decimal("-20.2000"))
        #expect(try apply(.divide, "10.10", "2.00") == .decimal("5.050000"))
        #expect(try apply(.divide, "1.00", "3.00") == nil)
        #expect(try apply(.divide, "10.10", "0.00") == nil)
        #expect(try apply(.modulo, "10.1", "2.0") == .decimal("0.1"))
        #expect(try apply(.modulo, "10.1", "-2.0") == .decimal("0.1"))
        #expect(try apply(.modulo, "10.1", "0.0") == nil)
        #expect(try apply(.multiply, "99999999999999999999", "99999999999999999999") == nil)
        #expect(try apply(.add, "99999999999999999999999999999999999999", "1") == nil)
    }

    /// (a + b) − b = a, (a · b) / b = a where b is not zero and everything fits.
    @Test func laws() throws {
        var random = SeededRandom(seed: 3)
        for _ in 0..<300 {
            let a = Decimal128(unscaled: Int128(Int64.random(in: -99_999...99_999, using: &random)), scale: 2)
            let b = Decimal128(unscaled: Int128(Int64.random(in: 1...999, using: &random)), scale: 3)
            func run(_ op: ArithmeticOperator, _ x: Decimal128, _ y: Decimal128, _ p: Int, _ s: Int) throws -> Decimal128 {
                Decimal128(unscaled: try ArithmeticKernels.decimal(op, x.unscaled, x.scale, y.unscaled, y.scale, p, s).get(), scale: s)
            }
            #expect(try run(.subtract, try run(.add, a, b, 20, 3), b, 20, 3) == a.rescaled(to: 3))
            #expect(try run(.divide, try run(.multiply, a, b, 20, 5), b, 20, 6) == a.rescaled(to: 6))
        }
    }

    @Test func comparisonIgnoresScale() throws {
        for (a, b, less) in [("10.01", "10.012", true), ("10.010", "10.01", false), ("-1", "0.00000000000000000000001", true), ("99999999999999999999999999999999999999", "0.1", false)] {
            let x = Decimal128(parsing: a)!, y = Decimal128(parsing: b)!
            #expect((ComparisonKernels.compareDecimals(x.unscaled, x.scale, y.unscaled, y.scale) < 0) == less)
        }
    }
}
