/// Numbers for people.
enum NumberText {
    static func seconds(_ value: Double) -> String { fixed(value, 2) + " s" }

    /// `value` with `decimals` decimals.
    static func fixed(_ value: Double, _ decimals: Int) -> String {
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        let rounded = (value * scale).rounded()
        guard rounded.magnitude < 1e15 else { return value.description }
        let digits = String(Int64(rounded.magnitude))
        let sign = rounded < 0 ? "-" : ""
        if decimals == 0 { return sign + digits }
        let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.utf8.count)) + digits
        return "\(sign)\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
    }

    /// `1234567` as `1,234,567`.
    static func grouped(_ value: Int64) -> String {
        var out = "", digits = 0
        for character in String(value.magnitude).reversed() {
            if digits > 0 && digits % 3 == 0 { out.append(",") }
            out.append(character)
            digits += 1
        }
        return (value < 0 ? "-" : "") + String(out.reversed())
    }

    static func right(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
}
