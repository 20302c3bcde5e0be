import MartletCore

extension SQLValue {
    /// The text that CAST to STRING and string conversions give: Java's spelling of doubles, all digits of a decimal, `[1, 3]`, `{a=1}`,
    /// `Struct{F0=1,F1=3}` (null fields left out). NULL is `null`. Inside a collection decimals and times are as Java's own classes print them:
    /// `1E-7`, `03:04:00`, `2020-01-02 03:04:05.6`.
    public var castText: String { text(isInside: false) }

    private func text(isInside: Bool) -> String {
        switch self {
        case .null: "null"
        case .boolean(let v): v ? "true" : "false"
        case .integer(let v): String(v)
        case .bigint(let v): String(v)
        case .double(let v): v.javaDescription
        case .decimal(let v): isInside ? v.javaText : v.description
        case .string(let v): v
        case .bytes(let v): Base64.encode(v)
        case .date(let v): TemporalText.format(date: v)
        case .time(let v): isInside ? TemporalText.javaText(time: v) : TemporalText.format(time: v)
        case .timestamp(let v): isInside ? TemporalText.javaText(timestamp: v) : TemporalText.format(timestamp: v)
        case .array(let values): "[" + values.map { $0.text(isInside: true) }.joined(separator: ", ") + "]"
        case .map(let entries):
            "{" + entries.map { "\($0.key.text(isInside: true))=\($0.value.text(isInside: true))" }.joined(separator: ", ") + "}"
        case .structure(let fields):
            "Struct{" + fields.filter { !$0.value.isNull }.map { "\($0.name)=\($0.value.text(isInside: true))" }.joined(separator: ",") + "}"
        }
    }
}

extension Decimal128 {
    /// As `BigDecimal.toString`: with an exponent where more than six digits after the point come before the first that is not zero.
    var javaText: String {
        let digits = String(unscaled.magnitude), adjusted = digits.utf8.count - 1 - scale
        if adjusted >= -6 { return description }
        let rest = digits.dropFirst()
        return "\(unscaled < 0 ? "-" : "")\(digits.prefix(1))\(rest.isEmpty ? "" : "." + rest)E\(adjusted)"
    }
}

extension TemporalText {
    /// As `java.sql.Time.toString`: always with seconds.
    static func javaText(time: Int32) -> String {
        let seconds = Int(time) / 1000
        return "\(pad(seconds / 3600, 2)):\(pad(seconds / 60 % 60, 2)):\(pad(seconds % 60, 2))"
    }

    /// As `java.sql.Timestamp.toString`, in UTC: a blank before the time, and of the fraction no zeros at its end but one.
    static func javaText(timestamp: Int64) -> String {
        var text = format(timestamp: timestamp).replacing("T", with: " ")
        while text.hasSuffix("0"), !text.hasSuffix(".0") { text.removeLast() }
        return text
    }
}
