/// One CSV record taken apart with every rule: quotes, doubled quotes, line breaks. The readers' common truth, not their fast path.
enum CSVLine {
    struct Part {
        /// Bytes of the field in the line, quotes left out.
        var range: Range<Int>
        /// The field without doubled quotes, if it had any.
        var unescaped: [UInt8]?

        /// Nothing between the delimiters (or quotes): reads as null.
        var isEmpty: Bool { range.isEmpty }

        func withBytes<R>(_ line: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
            if let unescaped { return unescaped.withUnsafeBufferPointer(body) }
            return body(UnsafeBufferPointer(rebasing: line[range]))
        }
    }

    enum Result {
        case parts([Part])
        case malformed(String)
    }

    /// The fields of the first record in `line`; empty lines before it are skipped, what follows it is not looked at. No fields: no record.
    static func split(_ line: UnsafeBufferPointer<UInt8>, delimiter: UInt8) -> Result {
        func isBreak(_ byte: UInt8) -> Bool { byte == 0x0a || byte == 0x0d }
        var i = 0, parts: [Part] = []
        while i < line.count, isBreak(line[i]) { i += 1 }
        if i == line.count { return .parts([]) }
        while true {
            if i < line.count, line[i] == 0x22 {
                let first = i + 1
                var text: [UInt8] = [], escaped = false, closed = false
                i = first
                while i < line.count {
                    if line[i] != 0x22 {
                        text.append(line[i])
                        i += 1
                    } else if i + 1 < line.count, line[i + 1] == 0x22 {
                        text.append(0x22)
                        escaped = true
                        i += 2
                    } else {
                        closed = true
                        break
                    }
                }
                if !closed { return .malformed("the record ends inside a quoted field") }
                parts.append(Part(range: first..<i, unescaped: escaped ? text : nil))
                i += 1
                // Blanks between the closing quote and the delimiter are not part of anything.
                while i < line.count, line[i] == 0x20 || line[i] == 0x09, line[i] != delimiter { i += 1 }
                if i < line.count, line[i] != delimiter, !isBreak(line[i]) {
                    return .malformed("there is text between a closing quote and the next delimiter")
                }
            } else {
                let first = i
                while i < line.count, line[i] != delimiter, !isBreak(line[i]) { i += 1 }
                parts.append(Part(range: first..<i))
            }
            if i == line.count || isBreak(line[i]) { return .parts(parts) }
            i += 1
        }
    }

    /// "true" in any case is true, everything else false.
    static func boolean(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        text.count == 4 && text[0] | 0x20 == 0x74 && text[1] | 0x20 == 0x72 && text[2] | 0x20 == 0x75 && text[3] | 0x20 == 0x65
    }
}
