import MartletCore

extension FunctionTable {
    /// LPAD and RPAD on strings (UTF-16 positions) and BYTES.
    static func stringPadding(_ t: inout FunctionTable) {
        for (name, left) in [("LPAD", true), ("RPAD", false)] {
            t.function(
                name, .string,
                "Pads \(left ? "the beginning" : "the end") with repetitions of a padding up to a length, or cuts to that length. NULL for a negative length or an empty padding. Works on BYTES too.")
            t.scalar("str", "length", "padding") { (s: String, length: Int32, padding: String) -> String? in
                guard let units = pad(Array(s.utf16), Int(length), Array(padding.utf16), left: left) else { return nil }
                return String(decoding: units, as: UTF16.self)
            }
            t.scalar("bytes", "length", "padding") { (b: Bytes, length: Int32, padding: Bytes) -> Bytes? in
                pad(Array(b.bytes), Int(length), Array(padding.bytes), left: left).map { Bytes($0) }
            }
        }
    }

    private static func pad<T>(_ value: [T], _ length: Int, _ padding: [T], left: Bool) -> [T]? {
        if length < 0 || padding.isEmpty { return nil }
        if value.count >= length { return Array(value.prefix(length)) }
        let filling = (0..<length - value.count).map { padding[$0 % padding.count] }
        return left ? filling + value : value + filling
    }
}
