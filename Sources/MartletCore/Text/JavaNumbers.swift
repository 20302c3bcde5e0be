extension Double {
    /// The text of `java.lang.Double.toString`: shortest digits that read back, `1.0E10` from 10⁷ on and below 10⁻³ (ksqlDB prints so).
    public var javaDescription: String {
        if isNaN { return "NaN" }
        if isInfinite { return self < 0 ? "-Infinity" : "Infinity" }
        if self == 0 { return sign == .minus ? "-0.0" : "0.0" }
        // Swift prints the same shortest digits, in another layout: take digits and exponent apart.
        var digits: [UInt8] = [], point: Int? = nil, exponent = 0
        let bytes = Array(magnitude.description.utf8)
        var i = 0
        while i < bytes.count {
            switch bytes[i] {
            case UInt8(ascii: "."): point = digits.count
            case UInt8(ascii: "e"):
                exponent = Int(String(decoding: bytes[(i + 1)...], as: UTF8.self)) ?? 0
                i = bytes.count
                continue
            default: digits.append(bytes[i])
            }
            i += 1
        }
        var scale = (point ?? digits.count) + exponent  // value = 0.digits × 10^scale
        while digits.count > 1, digits[0] == 0x30 {
            digits.removeFirst()
            scale -= 1
        }
        while digits.count > 1, digits[digits.count - 1] == 0x30 { digits.removeLast() }
        if digits.count == 1, let nearest = nearestTwoDigits { (digits, scale) = nearest }
        let text = String(decoding: digits, as: UTF8.self)
        let sign = self < 0 ? "-" : ""
        if magnitude >= 1e-3 && magnitude < 1e7 {
            if scale <= 0 { return sign + "0." + String(repeating: "0", count: -scale) + text }
            if digits.count <= scale { return sign + text + String(repeating: "0", count: scale - digits.count) + ".0" }
            return sign + text.prefix(scale) + "." + text.dropFirst(scale)
        }
        let fraction = digits.count > 1 ? String(text.dropFirst()) : "0"
        return "\(sign)\(text.prefix(1)).\(fraction)E\(scale - 1)"
    }

    /// Java prints two digits where one would do, the two nearest to the value. That differs from the one only among the smallest doubles, where
    /// neighbours are more than a percent apart. Value = 0.digits × 10^scale.
    private var nearestTwoDigits: (digits: [UInt8], scale: Int)? {
        guard magnitude.bitPattern < 100 else { return nil }
        // In units of 10^−324.
        let value = Double(magnitude.bitPattern) * 4.940656458412465
        var exponent = value < 10 ? 0 : value < 100 ? 1 : 2
        var two = Int((value * (exponent == 0 ? 10 : exponent == 1 ? 1 : 0.1)).rounded())
        if two == 100 { (two, exponent) = (10, exponent + 1) }
        let digits = [UInt8(0x30 + two / 10), UInt8(0x30 + two % 10)]
        return (digits[1] == 0x30 ? [digits[0]] : digits, exponent + 1 - 324)
    }
}
