import MartletCore

/// Writes rows as CSV lines with the quoting ksqlDB uses (minimal quoting of Apache Commons CSV; SEMANTICS: surprise 24).
///
/// A text field is quoted if it is the first of the line and begins with anything but a letter or digit, or is empty there; or begins with a
/// character up to `#`, ends with a blank or control character, or holds the delimiter, a quote or a line break. A null is nothing at all.
struct DelimitedEncoder: Sendable {
    let delimiter: UInt8
    /// Whether a number or `true` may hold the delimiter.
    private let isInWords: Bool

    init(delimiter: UInt8) {
        self.delimiter = delimiter
        isInWords = "0123456789+-.EINFinfityNatruefals".utf8.contains(delimiter)
    }

    func encode(_ rows: EncodeRows, into out: inout EncodedColumn) {
        rows.forEach(into: &out) { row, views, roots, writer in
            for i in 0..<roots.count {
                if i > 0 { writer.append(delimiter) }
                let view = views + roots[i]
                guard view.pointee.isValid(row) else { continue }
                let start = writer.count
                switch view.pointee.kind {
                case .boolean: writer.append(view.pointee.value(Bool.self, row) ? "true" : "false")
                case .integer, .date, .time: writer.append(integer: Int64(view.pointee.value(Int32.self, row)))
                case .bigint, .timestamp: writer.append(integer: view.pointee.value(Int64.self, row))
                case .double: writer.append(double: view.pointee.value(Double.self, row))
                case .decimal: writer.append(decimal: view.pointee.value(Int128.self, row), scale: view.pointee.scale)
                case .bytes:
                    Base64.encode(view.pointee.text(row), to: &writer)
                    quote(from: start, isFirst: i == 0, &writer)
                    continue
                case .string:
                    let text = view.pointee.text(row)
                    if let base = text.baseAddress { writer.append(base, count: text.count) }
                    quote(from: start, isFirst: i == 0, &writer)
                    continue
                case .array, .map, .structure: preconditionFailure("DELIMITED holds no nested types")
                }
                // Digits and letters need no look, but for a sign at the beginning.
                if i == 0 || isInWords { quote(from: start, isFirst: i == 0, &writer) }
            }
            return .written
        }
    }

    /// Puts what was written from `start` on into quotes if it needs them.
    private func quote(from start: Int, isFirst: Bool, _ writer: inout ByteWriter) {
        let length = writer.count - start
        let text = writer.base + start
        guard needsQuotes(text, length, isFirst: isFirst) else { return }
        var inner = 0
        for i in 0..<length where text[i] == 0x22 { inner += 1 }
        writer.reserve(inner + 2)
        // From the end, so that nothing is overwritten before it is read.
        let p = writer.base + start
        var to = length + inner + 1
        p[to] = 0x22
        for i in stride(from: length - 1, through: 0, by: -1) {
            to -= 1
            p[to] = p[i]
            if p[to] == 0x22 {
                to -= 1
                p[to] = 0x22
            }
        }
        p[0] = 0x22
        writer.count += inner + 2
    }

    @inline(__always)
    private func needsQuotes(_ text: UnsafeMutablePointer<UInt8>, _ length: Int, isFirst: Bool) -> Bool {
        guard length > 0 else { return isFirst }
        let first = text[0]
        if isFirst {
            let isAlphanumeric = first &- 0x30 < 10 || (first | 0x20) &- 0x61 < 26
            if !isAlphanumeric { return true }
        } else if first <= UInt8(ascii: "#") {
            return true
        }
        var i = 0
        let pattern = UInt64(delimiter) &* 0x0101_0101_0101_0101
        while i &+ 8 <= length {
            let word = NumberScan.word(text + i)
            let hits =
                NumberScan.zeroBytes(word ^ 0x0a0a_0a0a_0a0a_0a0a) | NumberScan.zeroBytes(word ^ 0x0d0d_0d0d_0d0d_0d0d)
                | NumberScan.zeroBytes(word ^ 0x2222_2222_2222_2222) | NumberScan.zeroBytes(word ^ pattern)
            if hits != 0 { return true }
            i &+= 8
        }
        while i < length {
            let byte = text[i]
            i &+= 1
            if byte == 0x0a || byte == 0x0d || byte == 0x22 || byte == delimiter { return true }
        }
        return text[length - 1] <= 0x20
    }
}
