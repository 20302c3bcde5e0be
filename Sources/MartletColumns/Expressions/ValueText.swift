import MartletCore

extension SQLValue {
    /// The text that CAST to STRING and string conversions give: Java's spelling of doubles, all digits of a decimal, `[1, 3]`, `{a=1}`,
    /// `Struct{F0=1,F1=3}` (null fields left out). NULL is `null`.
    public var castText: String {
        switch self {
        case .null: "null"
        case .boolean(let v): v ? "true" : "false"
        case .integer(let v): String(v)
        case .bigint(let v): String(v)
        case .double(let v): v.javaDescription
        case .decimal(let v): v.description
        case .string(let v): v
        case .bytes(let v): Base64.encode(v)
        case .date(let v): TemporalText.format(date: v)
        case .time(let v): TemporalText.format(time: v)
        case .timestamp(let v): TemporalText.format(timestamp: v)
        case .array(let values): "[" + values.map(\.castText).joined(separator: ", ") + "]"
        case .map(let entries): "{" + entries.map { "\($0.key.castText)=\($0.value.castText)" }.joined(separator: ", ") + "}"
        case .structure(let fields):
            "Struct{" + fields.filter { !$0.value.isNull }.map { "\($0.name)=\($0.value.castText)" }.joined(separator: ",") + "}"
        }
    }
}
