import MartletCore

#if canImport(Glibc)
    import Glibc
#endif

/// Reads numbers from bytes in place, eight digits at a time.
///
/// Doubles are exact: up to 19 digits either by one division of two exact doubles (Clinger 1990: digits ≤ 2⁵³, power ≤ 10²²) or by a
/// 128-bit integer quotient with its remainder as the sticky bit; anything longer goes to `strtod`.
enum NumberScan {
    /// 10⁰ … 10²², all exact.
    nonisolated(unsafe) static let tens: UnsafePointer<Double> = {  // written once before it is shared
        let table = UnsafeMutablePointer<Double>.allocate(capacity: 23)
        var power: Double = 1
        for i in 0..<23 {
            table[i] = power
            power *= 10
        }
        return UnsafePointer(table)
    }()

    /// 10⁰ … 10¹⁹.
    nonisolated(unsafe) static let integerTens: UnsafePointer<UInt64> = {
        let table = UnsafeMutablePointer<UInt64>.allocate(capacity: 20)
        var power: UInt64 = 1
        for i in 0..<20 {
            table[i] = power
            power = power &* 10
        }
        return UnsafePointer(table)
    }()

    @inline(__always)
    static func word(_ p: UnsafePointer<UInt8>) -> UInt64 {
        UInt64(littleEndian: UnsafeRawPointer(p).loadUnaligned(as: UInt64.self))
    }

    /// High bit of each byte of `word ^ 0x30…` that is not 0…9; exact up to and including the first.
    @inline(__always)
    static func nonDigits(_ t: UInt64) -> UInt64 { ((t &+ 0x7676_7676_7676_7676) | t) & 0x8080_8080_8080_8080 }

    /// The number of eight digits 0…9, first digit in the lowest byte.
    @inline(__always)
    static func eightDigits(_ digits: UInt64) -> UInt64 {
        let pairs = digits &* 10 &+ (digits &>> 8)
        let low = (pairs & 0x0000_00ff_0000_00ff) &* 0x000f_4240_0000_0064
        let high = ((pairs &>> 16) & 0x0000_00ff_0000_00ff) &* 0x0000_2710_0000_0001
        return (low &+ high) &>> 32
    }

    /// High bit of each byte of `x` that is zero; exact up to and including the first.
    @inline(__always)
    static func zeroBytes(_ x: UInt64) -> UInt64 { (x &- 0x0101_0101_0101_0101) & ~x & 0x8080_8080_8080_8080 }

    /// Reads `[-]digits[.digits]` of at most 19 digits at `p` and moves `p` behind it; false (and `p` anywhere) for any other shape.
    ///
    /// Reads up to 32 bytes past the number: the caller checks that what it consumed was inside the record.
    @inline(__always)
    static func plainDouble(
        _ p: inout UnsafePointer<UInt8>, _ value: inout Double, tens: UnsafePointer<Double>, integerTens: UnsafePointer<UInt64>
    ) -> Bool {
        let negative = p.pointee == 0x2d
        if negative { p += 1 }
        let start = p
        var digits = UInt64(p.pointee &- 0x30)
        if digits > 9 { return false }
        p += 1
        var digit = UInt64(p.pointee &- 0x30)
        while digit < 10 {
            digits = digits &* 10 &+ digit
            p += 1
            // Bounds what is read behind a record that ends in digits.
            if p - start > 19 { return false }
            digit = UInt64(p.pointee &- 0x30)
        }
        var scale = 0, length = p - start
        if p.pointee == 0x2e {
            p += 1
            let fraction = p
            var t = word(p) ^ 0x3030_3030_3030_3030
            var non = nonDigits(t)
            if non == 0 {
                digits = digits &* 100_000_000 &+ eightDigits(t)
                p += 8
                t = word(p) ^ 0x3030_3030_3030_3030
                non = nonDigits(t)
                if non == 0 {
                    digits = digits &* 100_000_000 &+ eightDigits(t)
                    p += 8
                    t = word(p) ^ 0x3030_3030_3030_3030
                    non = nonDigits(t)
                    if non == 0 { return false }
                }
            }
            let count = non.trailingZeroBitCount &>> 3
            // Digits to the high bytes, zeros below: they are leading zeros of the eight.
            let shifted = (t &<< UInt64(truncatingIfNeeded: 8 &* (7 &- count))) &<< 8
            digits = digits &* integerTens[count] &+ eightDigits(shifted)
            p += count
            scale = p - fraction
            length += scale
        }
        if length > 19 { return false }
        var result: Double
        if digits <= 1 << 53, scale <= 22 {
            result = Double(digits) / tens[scale]
        } else {
            result = quotient(digits, scale)
        }
        if negative { result = -result }
        value = result
        return true
    }

    /// `digits / 10^scale` to the nearest double, ties to even; scale ≤ 19.
    @inline(never)
    static func quotient(_ digits: UInt64, _ scale: Int) -> Double {
        if digits == 0 { return 0 }
        // Put the dividend's top bit at 127: the quotient then has at least 128 − 64 = 64 bits, more than the 55 that rounding needs.
        let shift = digits.leadingZeroBitCount + 64
        let (q, r) = (UInt128(digits) << UInt128(shift)).quotientAndRemainder(dividingBy: UInt128(integerTens[scale]))
        // Double(UInt128) rounds to nearest even; the remainder only matters as "a bit more than q", far below q's rounding bit.
        let bits = 128 - q.leadingZeroBitCount
        let keep: UInt128 = bits > 64 ? (q >> UInt128(bits - 64)) : q
        let lost = bits > 64 ? (q & ((UInt128(1) << UInt128(bits - 64)) - 1)) != 0 : false
        let sticky = UInt64(truncatingIfNeeded: keep) | (lost || r != 0 ? 1 : 0)
        let exponent = (bits > 64 ? bits - 64 : 0) - shift
        return Double(sign: .plus, exponent: exponent, significand: Double(sticky))
    }

    /// Reads all of `text` as Java's `Double.parseDouble` does, except hexadecimal forms; nil if it is no number.
    static func double(_ text: UnsafeBufferPointer<UInt8>) -> Double? {
        var bytes = text[...]
        while let first = bytes.first, first <= 0x20 { bytes.removeFirst() }
        while let last = bytes.last, last <= 0x20 { bytes.removeLast() }
        let body = UnsafeBufferPointer(rebasing: bytes)
        var i = 0
        if i < body.count, body[i] == 0x2d || body[i] == 0x2b { i += 1 }
        let unsigned = i
        var digits = 0
        while i < body.count, body[i] &- 0x30 < 10 {
            i += 1
            digits += 1
        }
        if i < body.count, body[i] == 0x2e {
            i += 1
            while i < body.count, body[i] &- 0x30 < 10 {
                i += 1
                digits += 1
            }
        }
        if digits == 0 {
            let word = String(decoding: body[unsigned...], as: UTF8.self)
            if word == "NaN" { return .nan }
            if word == "Infinity" { return body.first == 0x2d ? -.infinity : .infinity }
            return nil
        }
        if i < body.count, body[i] | 0x20 == UInt8(ascii: "e") {
            i += 1
            if i < body.count, body[i] == 0x2d || body[i] == 0x2b { i += 1 }
            let exponent = i
            while i < body.count, body[i] &- 0x30 < 10 { i += 1 }
            if i == exponent { return nil }
        }
        let end = i
        if i < body.count, body[i] | 0x20 == UInt8(ascii: "d") || body[i] | 0x20 == UInt8(ascii: "f") { i += 1 }
        if i != body.count { return nil }
        // strtod wants a terminated text; the shape checked above is in its grammar. The process keeps the "C" locale.
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: end + 1) { copy in
            for j in 0..<end { copy[j] = CChar(bitPattern: body[j]) }
            copy[end] = 0
            return strtod(copy.baseAddress!, nil)
        }
    }

    /// Reads all of `text` as `[+-]digits`, in range; nil otherwise (Java's `parseInt`, `parseLong`).
    static func integer<T: FixedWidthInteger>(_ text: UnsafeBufferPointer<UInt8>, as: T.Type) -> T? {
        var i = 0
        let negative = text.first == 0x2d
        if negative || text.first == 0x2b { i = 1 }
        if i == text.count { return nil }
        var value: T = 0
        while i < text.count {
            let digit = text[i] &- 0x30
            if digit > 9 { return nil }
            let (product, over) = value.multipliedReportingOverflow(by: 10)
            // Counted down when negative, so that the least value fits.
            let (sum, over2) =
                negative ? product.subtractingReportingOverflow(T(digit)) : product.addingReportingOverflow(T(digit))
            if over || over2 { return nil }
            value = sum
            i += 1
        }
        return value
    }

    /// A decimal of any shape that `BigDecimal` reads: digits without leading zeros, and the power of ten they are multiplied with.
    struct BigNumber {
        var negative = false
        /// Nil if the digits do not fit in 128 bits (more than 38 of them).
        var unscaled: UInt128? = 0
        var exponent = 0
    }

    /// Reads all of `text` as `[+-]digits[.digits][e[+-]digits]`.
    static func bigNumber(_ text: UnsafeBufferPointer<UInt8>) -> BigNumber? {
        var out = BigNumber(), i = 0, digits = 0, fraction = 0, seenPoint = false
        if text.first == 0x2d || text.first == 0x2b {
            out.negative = text[0] == 0x2d
            i = 1
        }
        scan: while i < text.count {
            switch text[i] {
            case 0x30...0x39:
                digits += 1
                if seenPoint { fraction += 1 }
                if let sofar = out.unscaled {
                    let (product, over) = sofar.multipliedReportingOverflow(by: 10)
                    let (sum, over2) = product.addingReportingOverflow(UInt128(text[i] - 0x30))
                    out.unscaled = over || over2 ? nil : sum
                }
            case 0x2e where !seenPoint: seenPoint = true
            case UInt8(ascii: "e"), UInt8(ascii: "E"):
                guard let exponent = integer(UnsafeBufferPointer(rebasing: text[(i + 1)...]), as: Int32.self) else { return nil }
                out.exponent = Int(exponent)
                break scan
            default: return nil
            }
            i += 1
        }
        if digits == 0 { return nil }
        out.exponent -= fraction
        return out
    }

    /// Reads `text` as an unscaled DECIMAL(precision, scale): no rounding, so that a value with more digits is nil, as is what is no number.
    static func decimal(_ text: UnsafeBufferPointer<UInt8>, precision: Int, scale: Int) -> Int128? {
        guard let number = bigNumber(text), let value = unscaled(number, precision: precision, scale: scale) else { return nil }
        return value
    }

    static func unscaled(_ number: BigNumber, precision: Int, scale: Int) -> Int128? {
        guard var digits = number.unscaled else { return nil }
        if digits == 0 { return 0 }
        var shift = number.exponent + scale
        if shift > 38 || shift < -38 { return nil }
        while shift < 0 {
            let (quotient, remainder) = digits.quotientAndRemainder(dividingBy: 10)
            if remainder != 0 { return nil }
            digits = quotient
            shift += 1
        }
        let (product, over) = digits.multipliedReportingOverflow(by: UInt128(Decimal128.powersOfTen[shift]))
        if over || product >= UInt128(Decimal128.powersOfTen[min(precision, 38)]) { return nil }
        return number.negative ? -Int128(product) : Int128(product)
    }
}
