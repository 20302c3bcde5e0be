import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension FunctionTable {
    static func mathematical(_ t: inout FunctionTable) {
        roundings(&t)
        extremes(&t)

        t.function("ABS", .mathematical, "The absolute value of a number.")
        t.scalar("value") { (x: Int32) -> Int32 in x < 0 ? 0 &- x : x }
        t.scalar("value") { (x: Int64) -> Int64 in x < 0 ? 0 &- x : x }
        t.scalar("value") { (x: Double) -> Double in abs(x) }
        t.decimal("(DECIMAL value) -> DECIMAL") { value, _ in abs(value) }

        t.function("SIGN", .mathematical, "The sign of a number: -1, 0 or 1.")
        t.scalar("value") { (x: Int32) -> Int32 in x.signum() }
        t.scalar("value") { (x: Int64) -> Int32 in Int32(x.signum()) }
        t.scalar("value") { (x: Double) -> Int32 in x > 0 ? 1 : x < 0 ? -1 : 0 }

        t.function("PI", .mathematical, "The ratio of a circle's circumference to its diameter.")
        t.scalar { () -> Double? in .pi }
        t.function("RANDOM", .mathematical, "A random number, at least 0 and less than 1; another one for each row.")
        t.columns("() -> DOUBLE", deterministic: false) { call in
            let count = call.count
            return .double(FixedColumn(call.environment.random { random in (0..<count).map { _ in random.nextDouble() } }))
        }

        t.real("ACOS", "The inverse cosine of a number, in radians.") { acos($0) }
        t.real("ASIN", "The inverse sine of a number, in radians.") { asin($0) }
        t.real("ATAN", "The inverse tangent of a number, in radians.") { atan($0) }
        t.real("CBRT", "The cube root of a number.") { cubeRoot($0) }
        t.real("COS", "The cosine of an angle in radians.") { cos($0) }
        t.real("COSH", "The hyperbolic cosine of a number.") { cosh($0) }
        t.real("COT", "The cotangent of an angle in radians.") { 1 / tan($0) }
        t.real("DEGREES", "Converts an angle from radians to degrees.") { $0 * (180 / .pi) }
        t.real("EXP", "Euler's number raised to a power.") { exp($0) }
        t.real("LN", "The natural logarithm of a number.") { log($0) }
        t.real("RADIANS", "Converts an angle from degrees to radians.") { $0 * (.pi / 180) }
        t.real("SIN", "The sine of an angle in radians.") { sin($0) }
        t.real("SINH", "The hyperbolic sine of a number.") { sinh($0) }
        t.real("SQRT", "The square root of a number.") { $0.squareRoot() }
        t.real("TAN", "The tangent of an angle in radians.") { tan($0) }
        t.real("TANH", "The hyperbolic tangent of a number.") { tanh($0) }
        t.real("ATAN2", "The angle in radians of the point (x, y), given y and then x.", "y", "x") { atan2($0, $1) }
        t.real("POWER", "The first number raised to the power of the second.", "base", "exponent") { pow($0, $1) }
        // ksqlDB's LOG of one argument is the natural logarithm, whatever its documentation says of base 10 (conformance cases, math).
        t.real("LOG", "The natural logarithm of a number, or the logarithm to a given base.") { log($0) }
        t.realOverloads("base", "value") { base, value in base <= 0 || base == 1 ? .nan : log(value) / log(base) }
    }

    /// With a step of Newton's behind the library's, in twice the precision: a cube's root is exact.
    private static func cubeRoot(_ x: Double) -> Double {
        let root = cbrt(x)
        guard root.isNormal else { return root }
        let square = root * root, rest = (-square).addingProduct(root, root)
        let residual = (-x).addingProduct(square, root) + rest * root
        let better = root - residual / (3 * square)
        return better.isFinite ? better : root
    }

    // MARK: shapes

    /// A function of one real number; integers are widened.
    private mutating func real(_ name: String, _ description: String, _ f: @escaping @Sendable (Double) -> Double) {
        function(name, .mathematical, description)
        scalar("value") { (x: Int32) -> Double in f(Double(x)) }
        scalar("value") { (x: Int64) -> Double in f(Double(x)) }
        scalar("value") { (x: Double) -> Double in f(x) }
    }

    private mutating func real(
        _ name: String, _ description: String, _ a: String, _ b: String, _ f: @escaping @Sendable (Double, Double) -> Double
    ) {
        function(name, .mathematical, description)
        realOverloads(a, b, f)
    }

    private mutating func realOverloads(_ a: String, _ b: String, _ f: @escaping @Sendable (Double, Double) -> Double) {
        scalar(a, b) { (x: Int32, y: Int32) -> Double in f(Double(x), Double(y)) }
        scalar(a, b) { (x: Int64, y: Int64) -> Double in f(Double(x), Double(y)) }
        scalar(a, b) { (x: Double, y: Double) -> Double in f(x, y) }
    }

    /// A function of a decimal that keeps its precision and scale; `f` gets the unscaled value and the scale.
    private mutating func decimal(
        _ signature: String, returns: @escaping @Sendable ([SQLType?]) -> SQLType? = { $0[0] },
        _ f: @escaping @Sendable (Int128, _ scale: Int) -> Int128
    ) {
        columns(signature, returns: returns) { call in
            guard case .decimal(let c, _, let scale) = call.arguments[0].column else { preconditionFailure("\(call.type) of a decimal") }
            guard case .decimal(let precision, let newScale) = call.type else { preconditionFailure("a decimal function gives a decimal") }
            var out = FixedColumn([Int128](repeating: 0, count: call.count), validity: c.validity)
            for row in 0..<call.count where c.validity.isValid(row) {
                let value = f(c.values[row], scale)
                if value.magnitude < UInt128(Decimal128.powersOfTen[min(38, precision)]) {
                    out.values[row] = value
                } else {
                    out.validity.setNull(row, count: call.count)
                    call.fail(row, KernelFailure("Numeric field overflow: the result does not fit DECIMAL(\(precision), \(newScale))"))
                }
            }
            return .decimal(out, precision: precision, scale: newScale)
        }
    }

    // MARK: rounding

    private enum Rounding { case down, up, halfUp, truncate }

    /// `unscaled` with its last `digits` digits rounded away and replaced by zeros. Halves go up, towards +∞.
    private static func rounded(_ unscaled: Int128, digits: Int, _ rounding: Rounding) -> Int128 {
        if digits <= 0 { return unscaled }
        if digits > 38 { return 0 }
        let unit = Decimal128.powersOfTen[digits]
        let (quotient, remainder) = unscaled.quotientAndRemainder(dividingBy: unit)
        let floor = remainder < 0 ? quotient - 1 : quotient, above = remainder < 0 ? remainder + unit : remainder
        let rounded =
            switch rounding {
            case .truncate: quotient
            case .down: floor
            case .up: above == 0 ? floor : floor + 1
            case .halfUp: above >= unit - above ? floor + 1 : floor
            }
        let (product, over) = rounded.multipliedReportingOverflow(by: unit)
        return over ? Int128.max : product
    }

    private static func roundings(_ t: inout FunctionTable) {
        t.function("CEIL", .mathematical, "The smallest whole number that is not less than the argument.")
        t.scalar("value") { (x: Int32) -> Int32 in x }
        t.scalar("value") { (x: Int64) -> Int64 in x }
        t.scalar("value") { (x: Double) -> Double in x.rounded(.up) }
        t.decimal("(DECIMAL value) -> DECIMAL") { rounded($0, digits: $1, .up) }
        t.function("FLOOR", .mathematical, "The largest whole number that is not greater than the argument.")
        t.scalar("value") { (x: Int32) -> Int32 in x }
        t.scalar("value") { (x: Int64) -> Int64 in x }
        t.scalar("value") { (x: Double) -> Double in x.rounded(.down) }
        t.decimal("(DECIMAL value) -> DECIMAL") { rounded($0, digits: $1, .down) }

        t.function("ROUND", .mathematical, "Rounds to a whole number, or to the given number of decimal places (before the point if negative). Halves go up.")
        places(&t, .halfUp)
        t.function("TRUNC", .mathematical, "Cuts off digits after the point, or after the given number of decimal places (before the point if negative).")
        places(&t, .truncate)
    }

    /// The overloads of ROUND and TRUNC.
    private static func places(_ t: inout FunctionTable, _ rounding: Rounding) {
        t.scalar("value") { (x: Int64) -> Int64 in x }
        t.scalar("value") { (x: Int32) -> Int64 in Int64(x) }
        t.scalar("value") { (x: Double) -> Int64 in
            if rounding == .truncate { return CastKernels.saturated(x.rounded(.towardZero)) }
            // Not (x + 0.5), which may itself be rounded up.
            let floor = x.rounded(.down)
            return CastKernels.saturated(x - floor >= 0.5 ? floor + 1 : floor)
        }
        t.scalar("value", "places") { (x: Double, places: Int32) -> Double in
            // In decimal, as the shortest text of the double reads: 1.005 to two places is 1.01 although the double lies below it.
            guard x.isFinite, let exact = Decimal128(parsing: x.description), exact.scale > places else {
                if !x.isFinite { throw KernelFailure("\(x.javaDescription) has no decimal places") }
                if x.magnitude >= 1e37 || places >= 0 { return x }
                guard let whole = Decimal128(parsing: x.description)?.rescaled(to: 0) else { return x }
                return CastKernels.double(rounded(whole.unscaled, digits: -Int(places), rounding), 0)
            }
            return CastKernels.double(rounded(exact.unscaled, digits: exact.scale - Int(places), rounding), exact.scale)
        }
        // Without places the type loses its fraction digits (ksqlDB, "ROUND").
        t.decimal(
            "(DECIMAL value) -> DECIMAL",
            returns: { types in
                guard case .decimal(let p, let s)? = types[0] else { return nil }
                return .decimal(precision: max(1, p - s), scale: 0)
            }
        ) { value, scale in
            let whole = rounded(value, digits: scale, rounding)
            return whole == Int128.max ? whole : whole / Decimal128.powersOfTen[scale]
        }
        t.columns("(DECIMAL value, INT places) -> DECIMAL", returns: { $0[0] }) { call in
            guard case .decimal(let c, let precision, let scale) = call.arguments[0].column,
                case .integer(let places) = call.arguments[1].column
            else { preconditionFailure("ROUND of a decimal to INT places") }
            let validity = ArithmeticKernels.combinedValidity(call.arguments[0], call.arguments[1], call.count)
            var out = FixedColumn([Int128](repeating: 0, count: call.count), validity: validity)
            for row in 0..<call.count where validity.isValid(row) {
                let digits = scale - Int(places.values[call.arguments[1].index(row)])
                let value = rounded(c.values[call.arguments[0].index(row)], digits: digits, rounding)
                if value.magnitude < UInt128(Decimal128.powersOfTen[min(38, precision)]) {
                    out.values[row] = value
                } else {
                    out.validity.setNull(row, count: call.count)
                    call.fail(row, KernelFailure("Numeric field overflow: the result does not fit DECIMAL(\(precision), \(scale))"))
                }
            }
            return .decimal(out, precision: precision, scale: scale)
        }
    }

    // MARK: GREATEST, LEAST

    private static func extremes(_ t: inout FunctionTable) {
        for (name, what, op) in [("GREATEST", "largest", ComparisonOperator.greater), ("LEAST", "smallest", .less)] {
            t.function(name, .mathematical, "The \(what) of the arguments that are not NULL; NULL if all are.")
            for type in ["INT", "BIGINT", "DOUBLE", "VARCHAR", "BYTES", "DATE", "TIME", "TIMESTAMP"] {
                t.columns("(\(type) first, \(type)... others) -> \(type)") { extreme($0, op) }
            }
            t.columns("(DECIMAL first, DECIMAL... others) -> DECIMAL", commonDecimal: true, returns: { $0.compactMap { $0 }.first }) {
                extreme($0, op)
            }
        }
    }

    private static func extreme(_ call: KernelCall, _ op: ComparisonOperator) -> Column {
        var best = call.arguments[0].expanded(call.count).column
        for argument in call.arguments.dropFirst() {
            let better: [Bool]
            if case .double(let new) = argument.column, case .double(let old) = best {
                // As Java's `Double.compareTo`: NaN is the largest, and -0.0 is less than 0.0.
                better = (0..<call.count).map { row in
                    let i = argument.index(row)
                    guard new.validity.isValid(i), old.validity.isValid(row) else { return false }
                    let a = KeyEncoding.ordered(new.values[i]), b = KeyEncoding.ordered(old.values[row])
                    return op == .greater ? a > b : a < b
                }
            } else {
                better = ComparisonKernels.compare(op, argument, Value(best), count: call.count)
            }
            let valid = best.validity
            var source = [UInt32](0..<UInt32(call.count)), changed = false
            for row in 0..<call.count where better[row] || !valid.isValid(row) {
                source[row] = UInt32(call.count + argument.index(row))
                changed = true
            }
            if changed { best = Column.concatenated([best, argument.column], type: call.type).gathered(source) }
        }
        return best
    }
}
