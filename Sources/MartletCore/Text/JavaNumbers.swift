extension Double {
    /// The text of `java.lang.Double.toString`: shortest digits that read back, `1.0E10` from 10⁷ on and below 10⁻³ (ksqlDB prints so).
    public var javaDescription: String {
        if isNaN { return "NaN" }
        if isInfinite { return self < 0 ? "-Infinity" : "Infinity" }
        if self == 0 { return sign == .minus ? "-0.0" : "0.0" }
        // Java prints two digits at least, and takes those nearest to the value, where one would tell the two least doubles apart.
        if magnitude.bitPattern <= 2 { return (self < 0 ? "-" : "") + (magnitude.bitPattern == 1 ? "4.9E-324" : "9.9E-324") }
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
}
