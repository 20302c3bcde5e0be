import MartletCore

/// Writes numbers as Java prints them.
extension ByteWriter {
    @inline(__always)
    mutating func append(integer value: Int64) {
        reserve(20)
        let magnitude = value.magnitude
        if value < 0 {
            end.pointee = 0x2d
            count &+= 1
        }
        let length = Self.digitCount(magnitude)
        Self.put(magnitude, width: length, end)
        count &+= length
    }

    @inline(__always)
    static func digitCount(_ value: UInt64) -> Int {
        let tens = NumberScan.integerTens
        // 1233/4096 ≈ log₁₀2: the guess is right or one too small.
        let guess = ((64 &- (value | 1).leadingZeroBitCount) &* 1233) &>> 12
        return guess >= 20 ? 20 : guess &+ (value >= tens[guess] ? 1 : 0) == 0 ? 1 : guess &+ (value >= tens[guess] ? 1 : 0)
    }

    /// `00` … `99`.
    nonisolated(unsafe) private static let pairs: UnsafePointer<UInt16> = {  // written once before it is shared
        let table = UnsafeMutablePointer<UInt16>.allocate(capacity: 100)
        for i in 0..<100 { table[i] = UInt16(0x30 + i / 10) | UInt16(0x30 + i % 10) << 8 }
        return UnsafePointer(table)
    }()

    /// Writes `value` as exactly `width` digits, zeros first.
    @inline(__always)
    private static func put(_ value: UInt64, width: Int, _ p: UnsafeMutablePointer<UInt8>) {
        let pairs = pairs
        var rest = value, i = width
        if width > 8, value >= 100_000_000 {
            // Two halves whose divisions do not wait for each other.
            let (high, low) = value.quotientAndRemainder(dividingBy: 100_000_000)
            i &-= 8
            rest = high
            var four = p + i + 6, part = UInt32(truncatingIfNeeded: low)
            for _ in 0..<4 {
                let (q, r) = part.quotientAndRemainder(dividingBy: 100)
                UnsafeMutableRawPointer(four).storeBytes(of: pairs[Int(r)].littleEndian, as: UInt16.self)
                part = q
                four -= 2
            }
        }
        while i >= 2 {
            i &-= 2
            let (q, r) = rest.quotientAndRemainder(dividingBy: 100)
            UnsafeMutableRawPointer(p + i).storeBytes(of: pairs[Int(r)].littleEndian, as: UInt16.self)
            rest = q
        }
        if i == 1 { p.pointee = 0x30 &+ UInt8(truncatingIfNeeded: rest) }
    }

    /// The shortest digits that read back, in the layout of `Double.toString`.
    @inline(__always)
    mutating func append(double value: Double) {
        reserve(40)
        guard let (digits, exponent) = ShortestDouble.decimal(value.magnitude.bitPattern) else { return appendRare(value) }
        end.pointee = 0x2d
        count &+= Int(truncatingIfNeeded: value.bitPattern &>> 63)
        count &+= ShortestDouble.write(digits, exponent, end)
    }

    /// What `ShortestDouble` leaves open.
    ///
    /// A double that some decimal of at most 15 digits reads as has just one such decimal, and that is the shortest: it is found by one
    /// multiplication and proved by one division. For others the 16 or 17 digits are found by exact 128-bit arithmetic. Exponent forms take the
    /// long way.
    @inline(never)
    private mutating func appendRare(_ value: Double) {
        let magnitude = value.magnitude
        guard magnitude >= 1e-3, magnitude < 1e7 else {
            if magnitude == 0 {
                append(value.sign == .minus ? "-0.0" : "0.0")
            } else {
                append(text: value.javaDescription)
            }
            return
        }
        let tens = NumberScan.tens
        let whole = UInt64(magnitude)
        // Digits before the point; below 1 the zeros after it count as less than none.
        let places = whole > 0 ? Self.digitCount(whole) : magnitude >= 0.1 ? 0 : magnitude >= 0.01 ? -1 : -2
        var scale = 15 &- places
        var digits = UInt64((magnitude * tens[scale]).rounded(.toNearestOrEven))
        if digits > 1_000_000_000_000_000 || Double(digits) / tens[scale] != magnitude {
            guard let (found, at) = Self.longDigits(magnitude, places) else {
                append(text: value.javaDescription)
                return
            }
            digits = found
            scale = at
        } else {
            if digits % 100_000_000 == 0, scale >= 8 {
                digits /= 100_000_000
                scale &-= 8
            }
            if digits % 10_000 == 0, scale >= 4 {
                digits /= 10_000
                scale &-= 4
            }
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
        if value < 0 {
            end.pointee = 0x2d
            count &+= 1
        }
        let (integral, fraction) = digits.quotientAndRemainder(dividingBy: NumberScan.integerTens[scale])
        append(integer: Int64(truncatingIfNeeded: integral))
        end.pointee = 0x2e
        Self.put(fraction, width: scale, end + 1)
        count &+= scale &+ 1
    }

    /// The shortest of the 16- and 17-digit decimals that read as `magnitude` (10⁻³ … 10⁷), nearest first; nil at a power of two, where the
    /// interval is lopsided.
    @inline(__always)
    private static func longDigits(_ magnitude: Double, _ places: Int) -> (digits: UInt64, scale: Int)? {
        if magnitude.significandBitPattern == 0 { return nil }
        let significand = magnitude.significandBitPattern | 1 << 52
        // magnitude = significand × 2^q; twice that, so that the ends of its rounding interval are integers too.
        let shift = UInt64(1076 &- Int(magnitude.exponentBitPattern))
        let isEven = significand & 1 == 0
        for length in 16...17 {
            let scale = length &- places
            let ten = NumberScan.integerTens[scale]
            let product = (significand &* 2).multipliedFullWidth(by: ten)
            let middle = UInt128(product.high) << 64 | UInt128(product.low)
            let lower = middle - UInt128(ten), upper = middle + UInt128(ten)
            let floor = UInt64(truncatingIfNeeded: middle >> UInt128(shift))
            let below = UInt128(floor) << UInt128(shift), above = UInt128(floor &+ 1) << UInt128(shift)
            let belowReads = below > lower || (isEven && below == lower)
            let aboveReads = above < upper || (isEven && above == upper)
            if belowReads, aboveReads {
                let toBelow = middle - below, toAbove = above - middle
                return (toBelow < toAbove || (toBelow == toAbove && floor & 1 == 0) ? floor : floor &+ 1, scale)
            }
            if belowReads { return (floor, scale) }
            if aboveReads { return (floor &+ 1, scale) }
        }
        return nil
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
            Self.put(fraction, width: scale, end)
            count &+= scale
        } else {
            append(text: Decimal128(unscaled: value, scale: scale).description)
        }
    }
}
