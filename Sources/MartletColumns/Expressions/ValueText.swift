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

/// RFC 4648 base 64 with padding.
public enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    public static func encode(_ bytes: some Collection<UInt8>) -> String {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        var word: UInt32 = 0, have = 0
        for byte in bytes {
            word = word << 8 | UInt32(byte)
            have += 1
            if have == 3 {
                for shift in [18, 12, 6, 0] as [UInt32] { out.append(alphabet[Int(word >> shift & 63)]) }
                (word, have) = (0, 0)
            }
        }
        if have > 0 {
            word <<= UInt32(8 * (3 - have))
            for i in 0..<4 { out.append(i <= have ? alphabet[Int(word >> UInt32(18 - 6 * i) & 63)] : UInt8(ascii: "=")) }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Nil for a character outside the alphabet or a length that no bytes give; padding may be missing.
    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        var out: [UInt8] = [], word: UInt32 = 0, have = 0, padding = 0
        for byte in text {
            let value: UInt32
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(byte) - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = UInt32(byte) - 71
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(byte) + 4
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            case UInt8(ascii: "="):
                padding += 1
                continue
            default: return nil
            }
            if padding > 0 { return nil }
            word = word << 6 | value
            have += 1
            if have == 4 {
                out += [UInt8(word >> 16 & 255), UInt8(word >> 8 & 255), UInt8(word & 255)]
                (word, have) = (0, 0)
            }
        }
        switch have {
        case 0: return padding == 0 ? out : nil
        case 2 where padding == 0 || padding == 2: return out + [UInt8(word >> 4 & 255)]
        case 3 where padding <= 1: return out + [UInt8(word >> 10 & 255), UInt8(word >> 2 & 255)]
        default: return nil
        }
    }
}
