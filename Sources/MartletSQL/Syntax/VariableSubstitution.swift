import MartletCore

/// Puts the values of variables into SQL text before it is parsed.
///
/// Rules (ksqlDB docs, "Substitute variables"): `${name}` becomes the variable's value, names in any case; `$${name}` stands for the text `${name}`;
/// a reference to a variable that nobody defined stays as it is, so the parser reports it with its place. Values go in as they are: the quotes of
/// `DEFINE x = '…'` are gone by then, `'''…'''` keeps one pair.
public enum VariableSubstitution {
    /// `sql` with every reference to one of `variables` replaced. A value is not searched for references again. O(length).
    public static func apply(_ sql: String, variables: [String: String]) -> String {
        var values: [String: String] = [:]
        for (name, value) in variables { values[name.uppercased()] = value }
        let bytes = Array(sql.utf8)
        let dollar = UInt8(ascii: "$")
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var position = 0
        while position < bytes.count {
            guard bytes[position] == dollar else {
                out.append(bytes[position])
                position += 1
                continue
            }
            let isEscaped = position + 1 < bytes.count && bytes[position + 1] == dollar
            let reference = isEscaped ? position + 1 : position
            guard let end = endOfReference(bytes, reference) else {
                out.append(dollar)
                position += 1
                continue
            }
            let name = String(decoding: bytes[(reference + 2)..<(end - 1)], as: UTF8.self)
            if !isEscaped, let value = values[name.uppercased()] {
                out += value.utf8
            } else {
                out += bytes[reference..<end]
            }
            position = end
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Behind the `}` of the `${name}` that begins at `start`; nil if none does.
    private static func endOfReference(_ bytes: [UInt8], _ start: Int) -> Int? {
        guard start + 2 < bytes.count, bytes[start + 1] == UInt8(ascii: "{"), isNameByte(bytes[start + 2], isFirst: true) else { return nil }
        var end = start + 3
        while end < bytes.count, isNameByte(bytes[end], isFirst: false) { end += 1 }
        return end < bytes.count && bytes[end] == UInt8(ascii: "}") ? end + 1 : nil
    }

    private static func isNameByte(_ byte: UInt8, isFirst: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "@"): !isFirst
        default: false
        }
    }
}
