import MartletCore

/// Writes numbers as Java prints them.
extension ByteWriter {
    @inline(__always)
    mutating func append(integer value: Int64) {
        reserve(20)
        var magnitude = value.magnitude
        if value < 0 {
            end.pointee = 0x2d
            count &+= 1
        }
        let length = Self.digitCount(magnitude)
        var p = end + length
        count &+= length
        while magnitude >= 10 {
            let (q, r) = magnitude.quotientAndRemainder(dividingBy: 10)
            p -= 1
            p.pointee = 0x30 &+ UInt8(truncatingIfNeeded: r)
            magnitude = q
        }
        (p - 1).pointee = 0x30 &+ UInt8(truncatingIfNeeded: magnitude)
    }

    @inline(__always)
    static func digitCount(_ value: UInt64) -> Int {
        let tens = NumberScan.integerTens
        // 1233/4096 ≈ log₁₀2: the guess is right or one too small.
        let guess = ((64 &- (value | 1).leadingZeroBitCount) &* 1233) &>> 12
        return guess >= 20 ? 20 : guess &+ (value >= tens[guess] ? 1 : 0) == 0 ? 1 : guess &+ (value >= tens[guess] ? 1 : 0)
    }

    /// The shortest digits that read back, in the layout of `Double.toString`.
    ///
    /// A double that some decimal of at most 15 digits reads as has just one such decimal, and that is the shortest: it is found by one
    /// multiplication and proved by one division. Others, and those in exponent form, take the long way.
    mutating func append(double value: Double) {
        let magnitude = value.magnitude
        guard magnitude >= 1e-3, magnitude < 1e7 else {
            append(text: value.javaDescription)
            return
        }
        let tens = NumberScan.tens, integerTens = NumberScan.integerTens
        let whole = UInt64(magnitude)
        // Decimals left for the fraction so that all digits together are at most 15; below 1 zeros after the point do not count.
        var scale: Int
        if whole > 0 {
            scale = 15 &- Self.digitCount(whole)
        } else if magnitude >= 0.1 {
            scale = 15
        } else {
            scale = magnitude >= 0.01 ? 16 : 17
        }
        var digits = UInt64((magnitude * tens[scale]).rounded(.toNearestOrEven))
        if digits > 1_000_000_000_000_000 || Double(digits) / tens[scale] != magnitude {
            append(text: value.javaDescription)
            return
        }
        if digits % 100_000_000 == 0, scale >= 8 {
            digits /= 100_000_000
            scale &-= 8
        }
        if digits % 10_000 == 0, scale >= 4 {
            digits /= 10_000
            scale &-= 4
        }
        while scale > 1, digits % 10 == 0 {
            digits /= 10
            scale &-= 1
        }
        if scale == 0 {
            digits &*= 10
            scale = 1
        }
        reserve(40)
        var p = end
        if value < 0 {
            p.pointee = 0x2d
            p += 1
        }
        let (integral, fraction) = digits.quotientAndRemainder(dividingBy: integerTens[scale])
        count = p - base
        append(integer: Int64(truncatingIfNeeded: integral))
        p = end
        p.pointee = 0x2e
        p += 1
        var rest = fraction, i = scale
        while i > 0 {
            i &-= 1
            let (q, r) = rest.quotientAndRemainder(dividingBy: 10)
            p[i] = 0x30 &+ UInt8(truncatingIfNeeded: r)
            rest = q
        }
        count = (p - base) &+ scale
    }

    /// Plain digits with exactly `scale` decimals.
    mutating func append(decimal value: Int128, scale: Int) {
        if let small = Int64(exactly: value), scale <= 18 {
            reserve(48)
            if small < 0 { append(0x2d) }
            let (whole, fraction) = small.magnitude.quotientAndRemainder(dividingBy: NumberScan.integerTens[scale])
            // |Int64.min| is above Int64.max only when scale is 0, and then it is written by the other way.
            guard whole <= UInt64(Int64.max) else {
                if small < 0 { count &-= 1 }
                append(text: Decimal128(unscaled: value, scale: scale).description)
                return
            }
            append(integer: Int64(whole))
            if scale == 0 { return }
            append(0x2e)
            var rest = fraction, i = scale
            let p = end
            while i > 0 {
                i &-= 1
                let (q, r) = rest.quotientAndRemainder(dividingBy: 10)
                p[i] = 0x30 &+ UInt8(truncatingIfNeeded: r)
                rest = q
            }
            count &+= scale
        } else {
            append(text: Decimal128(unscaled: value, scale: scale).description)
        }
    }
}
