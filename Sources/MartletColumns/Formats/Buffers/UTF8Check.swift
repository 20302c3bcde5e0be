/// Well-formedness of text that columns will hold as STRING.
enum UTF8Check {
    static func isASCII(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let base = text.baseAddress else { return true }
        var i = 0
        var all: UInt64 = 0
        while i + 8 <= text.count {
            all |= NumberScan.word(base + i)
            i += 8
        }
        while i < text.count {
            all |= UInt64(base[i])
            i += 1
        }
        return all & 0x8080_8080_8080_8080 == 0
    }

    static func isValid(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        isASCII(text) || String(validating: text, as: UTF8.self) != nil
    }

    /// The text with each malformed part replaced by U+FFFD, as Java's decoder does.
    static func repaired(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] { Array(String(decoding: text, as: UTF8.self).utf8) }
}
