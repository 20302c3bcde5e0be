import MartletCore

/// + − × ÷ % of whole columns.
///
/// INT wraps at 32 bits and BIGINT at 64; their division truncates and fails for a divisor of zero. DOUBLE is IEEE 754, `%` as C's fmod.
/// DECIMAL is exact: what needs more digits than the result type has fails. A null operand gives null, except that `+` of strings
/// prints it as `null`.
enum ArithmeticKernels {
    static func apply(
        _ op: ArithmeticOperator, _ a: Value, _ b: Value, count: Int, type: SQLType, _ failures: inout RowFailures
    ) -> Column {
        if case .string(let x) = a.column, case .string(let y) = b.column { return concatenate(x, y, a, b, count) }
        let validity = combinedValidity(a, b, count)
        switch (a.column, b.column) {
        case (.integer(let x), .integer(let y)):
            return .integer(integers(op, x.values, y.values, a, b, count, validity, &failures))
        case (.bigint(let x), .bigint(let y)):
            return .bigint(integers(op, x.values, y.values, a, b, count, validity, &failures))
        case (.double(let x), .double(let y)):
            return .double(FixedColumn(doubles(op, x.values, y.values, a, b, count), validity: validity))
        case (.decimal(let x, _, let s1), .decimal(let y, _, let s2)):
            guard case .decimal(let precision, let scale) = type else { preconditionFailure("decimals give a decimal") }
            var out = FixedColumn([Int128](repeating: 0, count: count), validity: validity)
            for row in 0..<count where validity.isValid(row) {
                let result = decimal(op, x.values[a.index(row)], s1, y.values[b.index(row)], s2, precision, scale)
                switch result {
                case .success(let value): out.values[row] = value
                case .failure(let failure):
                    out.validity.setNull(row, count: count)
                    failures.add(row, failure.reason, isFatal: true)
                }
            }
            return .decimal(out, precision: precision, scale: scale)
        default:
            preconditionFailure("operands of arithmetic have one type, not \(a.column.type) and \(b.column.type)")
        }
    }

    static func combinedValidity(_ a: Value, _ b: Value, _ count: Int) -> Validity {
        func whole(_ value: Value) -> Validity {
            guard value.isConstant, let flags = value.column.validity.flags else { return value.column.validity }
            return Validity(repeating: flags[0], count: count)
        }
        return whole(a).and(whole(b))
    }

    @inline(__always)
    private static func loop<T>(
        _ x: [T], _ y: [T], _ a: Value, _ b: Value, _ count: Int, _ operation: (T, T) -> T
    ) -> [T] {
        [T](unsafeUninitializedCapacity: count) { out, initialized in
            if b.isConstant, !a.isConstant {
                let y = y[0]
                for i in 0..<count { out.initializeElement(at: i, to: operation(x[i], y)) }
            } else if a.isConstant, !b.isConstant {
                let x = x[0]
                for i in 0..<count { out.initializeElement(at: i, to: operation(x, y[i])) }
            } else {
                for i in 0..<count { out.initializeElement(at: i, to: operation(x[i], y[i])) }
            }
            initialized = count
        }
    }

    @inline(__always)
    private static func integers<T: FixedWidthInteger & SignedInteger & Sendable>(
        _ op: ArithmeticOperator, _ x: [T], _ y: [T], _ a: Value, _ b: Value, _ count: Int, _ validity: Validity,
        _ failures: inout RowFailures
    ) -> FixedColumn<T> {
        switch op {
        case .add: return FixedColumn(loop(x, y, a, b, count) { $0 &+ $1 }, validity: validity)
        case .subtract: return FixedColumn(loop(x, y, a, b, count) { $0 &- $1 }, validity: validity)
        case .multiply: return FixedColumn(loop(x, y, a, b, count) { $0 &* $1 }, validity: validity)
        case .divide, .modulo:
            var out = FixedColumn(
                op == .divide
                    ? loop(x, y, a, b, count) { $1 == 0 ? 0 : $1 == -1 ? 0 &- $0 : $0 / $1 }
                    : loop(x, y, a, b, count) { $1 == 0 || $1 == -1 ? 0 : $0 % $1 },
                validity: validity)
            for row in 0..<count where y[b.index(row)] == 0 && validity.isValid(row) {
                out.validity.setNull(row, count: count)
                failures.add(row, "/ by zero", isFatal: true)
            }
            return out
        }
    }

    private static func doubles(_ op: ArithmeticOperator, _ x: [Double], _ y: [Double], _ a: Value, _ b: Value, _ count: Int) -> [Double] {
        switch op {
        case .add: loop(x, y, a, b, count) { $0 + $1 }
        case .subtract: loop(x, y, a, b, count) { $0 - $1 }
        case .multiply: loop(x, y, a, b, count) { $0 * $1 }
        case .divide: loop(x, y, a, b, count) { $0 / $1 }
        case .modulo: loop(x, y, a, b, count) { $0.truncatingRemainder(dividingBy: $1) }
        }
    }

    static func negate(_ column: Column) -> Column {
        switch column {
        case .integer(let c): .integer(FixedColumn(c.values.map { 0 &- $0 }, validity: c.validity))
        case .bigint(let c): .bigint(FixedColumn(c.values.map { 0 &- $0 }, validity: c.validity))
        case .double(let c): .double(FixedColumn(c.values.map { -$0 }, validity: c.validity))
        case .decimal(let c, let p, let s): .decimal(FixedColumn(c.values.map { 0 &- $0 }, validity: c.validity), precision: p, scale: s)
        default: preconditionFailure("only numbers have a sign")
        }
    }

    // MARK: decimals

    private static let tooLarge = KernelFailure("Numeric field overflow: the result needs more digits than its type has")

    static func decimal(
        _ op: ArithmeticOperator, _ x: Int128, _ s1: Int, _ y: Int128, _ s2: Int, _ precision: Int, _ scale: Int
    ) -> Result<Int128, KernelFailure> {
        let powers = Decimal128.powersOfTen
        func aligned(_ value: Int128, _ from: Int, _ to: Int) -> Int128? {
            if from == to { return value }
            let (scaled, over) = value.multipliedReportingOverflow(by: powers[min(38, to - from)])
            return over || (to - from > 38 && value != 0) ? nil : scaled
        }
        var value: Int128
        var valueScale: Int
        switch op {
        case .add, .subtract, .modulo:
            valueScale = max(s1, s2)
            guard let a = aligned(x, s1, valueScale), let b = aligned(y, s2, valueScale) else { return .failure(tooLarge) }
            if op == .modulo {
                if b == 0 { return .failure(KernelFailure("/ by zero")) }
                value = a % b
            } else {
                let (sum, over) = op == .add ? a.addingReportingOverflow(b) : a.subtractingReportingOverflow(b)
                if over { return .failure(tooLarge) }
                value = sum
            }
        case .multiply:
            let (product, over) = x.multipliedReportingOverflow(by: y)
            if over { return .failure(tooLarge) }
            value = product
            valueScale = s1 + s2
        case .divide:
            if y == 0 { return .failure(KernelFailure("/ by zero")) }
            // Long division, digit by digit, as far as the result's scale; what is left over means that the quotient is not exact.
            var (quotient, remainder) = x.quotientAndRemainder(dividingBy: y)
            valueScale = s1 - s2
            while valueScale < scale, remainder != 0 || valueScale < 0 {
                let (shifted, over) = remainder.multipliedReportingOverflow(by: 10)
                let (grown, over2) = quotient.multipliedReportingOverflow(by: 10)
                if over || over2 { return .failure(tooLarge) }
                let (digit, rest) = shifted.quotientAndRemainder(dividingBy: y)
                let (sum, over3) = grown.addingReportingOverflow(digit)
                if over3 { return .failure(tooLarge) }
                (quotient, remainder, valueScale) = (sum, rest, valueScale + 1)
            }
            if remainder != 0 { return .failure(KernelFailure("Rounding necessary: the quotient is not exact at scale \(scale)")) }
            value = quotient
        }
        if valueScale > scale {
            let divisor = powers[min(38, valueScale - scale)]
            if value % divisor != 0 { return .failure(KernelFailure("Rounding necessary: the result is not exact at scale \(scale)")) }
            value /= divisor
        } else {
            guard let grown = aligned(value, valueScale, scale) else { return .failure(tooLarge) }
            value = grown
        }
        if value.magnitude >= UInt128(powers[min(38, precision)]) { return .failure(tooLarge) }
        return .success(value)
    }

    // MARK: strings

    private static func concatenate(_ x: BytesColumn, _ y: BytesColumn, _ a: Value, _ b: Value, _ count: Int) -> Column {
        let null = Array("null".utf8)[...]
        var out = BytesColumn()
        for row in 0..<count {
            let i = a.index(row), j = b.index(row)
            let left = x.validity.isValid(i) ? x.slice(i) : null, right = y.validity.isValid(j) ? y.slice(j) : null
            out.starts.append(UInt32(out.buffer.count))
            out.lengths.append(UInt32(left.count + right.count))
            out.buffer += left
            out.buffer += right
        }
        return .string(out)
    }
}
