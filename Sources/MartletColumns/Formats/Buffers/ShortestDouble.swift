/// The shortest decimal that reads back as a double, and the nearest such: by one product with a power of ten.
///
/// A double is c·2^q, its rounding interval reaches half of 2^q to either side. With k = ⌊log₁₀ 2^q⌋ the value counts
/// v = c·2^q·10^−k units of 10^k, 16 or 17 digits, and the interval is 1 … 10 units long. So either one multiple of ten units lies in it,
/// which is then the shortest, or the nearest integer is (Giulietti, "The Schubfach way to render doubles", has the proofs).
///
/// v is computed as a 64.64 fixed-point number from 128 bits of 10^−k. It is too small by at most 1.01·2^−64; where a bound or a tie is
/// nearer than that the answer is nil, as it is at powers of two, whose interval is lopsided, and for values far from 1.
enum ShortestDouble {
    /// Powers 10^−38 … 10^38, each as the 128 bits from its first on.
    nonisolated(unsafe) private static let powers: UnsafePointer<(high: UInt64, low: UInt64)> = {  // written once before it is shared
        let table = UnsafeMutablePointer<(high: UInt64, low: UInt64)>.allocate(capacity: 77)
        var power: UInt128 = 1
        for n in 0...38 {
            let exact = power << UInt128(power.leadingZeroBitCount)
            table[38 + n] = (UInt64(truncatingIfNeeded: exact >> 64), UInt64(truncatingIfNeeded: exact))
            if n > 0 {
                // 2^(127 + bits) / 10^n, which has 128 bits: no power of ten but 10⁰ is one of two.
                let bits = 128 - power.leadingZeroBitCount
                let high: UInt128 = 1 << UInt128(bits - 1)
                let quotient = power.dividingFullWidth((high, 0)).quotient
                table[38 - n] = (UInt64(truncatingIfNeeded: quotient >> 64), UInt64(truncatingIfNeeded: quotient))
            }
            if n < 38 { power *= 10 }
        }
        return UnsafePointer(table)
    }()

    /// - `bits`: of a positive double.
    /// - Returns: digits (16 or 17 of them, zeros at the end and all) and the power of ten they count.
    @inline(__always)
    static func decimal(_ bits: UInt64) -> (digits: UInt64, exponent: Int)? {
        let fraction = bits & (1 << 52 - 1)
        let q = Int(truncatingIfNeeded: bits &>> 52) &- 1075
        // 315653 / 2²⁰ ≈ log₁₀ 2, 217707 / 2¹⁶ ≈ log₂ 10: exact floors in this range and far beyond.
        let k = (q &* 315_653) &>> 20
        if fraction == 0 || k < -38 || k > 38 { return nil }
        let power = powers[38 &- k]
        let shift = q &+ ((0 &- k) &* 217_707) &>> 16  // 0 … 3
        let scaled = (fraction | 1 &<< 52) &<< UInt64(truncatingIfNeeded: shift &+ 1)
        let upper = scaled.multipliedFullWidth(by: power.high)
        let (low, carry) = upper.low.addingReportingOverflow(scaled.multipliedFullWidth(by: power.low).high)
        let whole = upper.high &+ (carry ? 1 : 0)
        let tens = whole / 10, digit = whole &- tens &* 10

        // From here in units of 2^−60.
        let half = power.high &>> UInt64(truncatingIfNeeded: 4 &- shift)
        let above = digit &<< 60 | low &>> 4
        let below = 10 &<< 60 &- above
        let slack: UInt64 = 4
        if above &+ slack < half { return (tens &* 10, k) }
        if below &+ slack < half { return (tens &* 10 &+ 10, k) }
        if above < half &+ slack || below < half &+ slack { return nil }
        // Not a multiple of ten: the nearest.
        if low &- (1 &<< 63 &- slack) <= 2 &* slack { return nil }
        return (whole &+ low &>> 63, k)
    }

    /// Eight digits as bytes 0…9, the first in the lowest.
    @inline(__always)
    static func bytes(ofEight value: UInt64) -> UInt64 {
        // Halves of four digits, then pairs, then digits, all at once; the quotients are by multiplication: n·10486 >> 20 = n / 100 below 10⁴,
        // n·103 >> 10 = n / 10 below 100.
        let high = value / 10_000
        let fours = high | (value &- high &* 10_000) &<< 32
        let hundreds = ((fours &* 10_486) &>> 20) & 0x7f_0000_007f
        let pairs = hundreds | (fours &- hundreds &* 100) &<< 16
        let tens = ((pairs &* 103) &>> 10) & 0x000f_000f_000f_000f
        return tens | (pairs &- tens &* 10) &<< 8
    }

    /// Writes `digits`·10^`exponent` in the layout of Java's `Double.toString`; 32 bytes at `p` must be there.
    ///
    /// - `digits`: 16 or 17 of them.
    /// - Returns: the number of bytes.
    @inline(__always)
    static func write(_ digits: UInt64, _ exponent: Int, _ p: UnsafeMutablePointer<UInt8>) -> Int {
        let isShort = digits < 10_000_000_000_000_000
        let all = isShort ? digits &* 10 : digits
        /// The power of ten of the first digit.
        let e = exponent &+ (isShort ? 15 : 16)
        let first = all / 10_000_000_000_000_000
        let rest = all &- first &* 10_000_000_000_000_000
        let upper = rest / 100_000_000
        let next = bytes(ofEight: upper), last = bytes(ofEight: rest &- upper &* 100_000_000)
        /// Digits behind the first up to the last that is not 0.
        let count = last == 0 ? 8 &- next.leadingZeroBitCount &>> 3 : 16 &- last.leadingZeroBitCount &>> 3
        let zeros: UInt64 = 0x3030_3030_3030_3030
        let lead = 0x30 &+ UInt8(truncatingIfNeeded: first)
        func store(_ word: UInt64, _ at: Int) { UnsafeMutableRawPointer(p + at).storeBytes(of: word.littleEndian, as: UInt64.self) }
        if e >= 0, e < 7 {
            // Digits up to the point, then the same shifted behind it.
            p[0] = lead
            store(next | zeros, 1)
            store((next | zeros) &>> UInt64(truncatingIfNeeded: 8 &* e), e &+ 2)
            store(last | zeros, 10)
            p[e &+ 1] = 0x2e
            return max(count &+ 2, e &+ 3)
        }
        if e < 0, e >= -3 {
            store(zeros, 0)
            p[1] = 0x2e
            p[1 &- e] = lead
            store(next | zeros, 2 &- e)
            store(last | zeros, 10 &- e)
            return 2 &- e &+ count
        }
        p[0] = lead
        p[1] = 0x2e
        store(next | zeros, 2)
        store(last | zeros, 10)
        var at = 2 &+ max(count, 1)
        p[at] = UInt8(ascii: "E")
        at &+= 1
        if e < 0 {
            p[at] = 0x2d
            at &+= 1
        }
        // At most two digits where `decimal` has an answer.
        let power = UInt8(truncatingIfNeeded: e.magnitude)
        if power >= 10 {
            p[at] = 0x30 &+ power / 10
            at &+= 1
        }
        p[at] = 0x30 &+ power % 10
        return at &+ 1
    }
}
