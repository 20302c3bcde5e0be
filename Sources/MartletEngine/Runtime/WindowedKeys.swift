import MartletColumns
import MartletCore
import MartletSQL

/// Keys of windowed topics, as Kafka Streams writes them.
///
/// ```
/// tumbling, hopping:  key │ window start (8 bytes, big-endian)
/// session:            key │ window end (8) │ window start (8)
/// ```
enum WindowedKeys {
    static func suffixBytes(_ window: Source.SourceWindow) -> Int { window.kind == .session ? 16 : 8 }

    /// Cuts the bounds off the keys of `block`.
    ///
    /// - Returns: the bounds, one a record (0 for a null key), and the records whose key is too short to hold any.
    static func split(_ block: inout RecordBlock, _ window: Source.SourceWindow) -> (bounds: Batch.Windows, short: [Int]) {
        let bytes = suffixBytes(window)
        var bounds = Batch.Windows(starts: [Int64](repeating: 0, count: block.count), ends: [Int64](repeating: 0, count: block.count))
        var short: [Int] = []
        for row in 0..<block.count where block.keyLengths[row] >= 0 {
            let length = Int(block.keyLengths[row])
            guard length >= bytes else {
                short.append(row)
                continue
            }
            let end = Int(block.keyStarts[row]) + length
            func time(_ range: Range<Int>) -> Int64 { block.buffer[range].reduce(Int64(0)) { $0 << 8 | Int64($1) } }
            bounds.starts[row] = time(end - 8..<end)
            bounds.ends[row] = window.kind == .session ? time(end - 16..<end - 8) : bounds.starts[row] &+ (window.sizeMs ?? 0)
            block.keyLengths[row] = Int32(length - bytes)
        }
        return (bounds, short)
    }

    /// Appends the bounds to encoded keys; null keys stay null.
    static func join(_ keys: EncodedColumn, _ bounds: Batch.Windows, _ window: Source.SourceWindow) -> EncodedColumn {
        var out = EncodedColumn()
        out.failed = keys.failed
        func append(_ time: Int64) { withUnsafeBytes(of: time.bigEndian) { out.buffer.append(contentsOf: $0) } }
        for row in 0..<keys.count {
            out.starts.append(UInt32(out.buffer.count))
            guard let key = keys.slice(row) else {
                out.lengths.append(-1)
                continue
            }
            out.buffer += key
            if window.kind == .session { append(bounds.ends[row]) }
            append(bounds.starts[row])
            out.lengths.append(Int32(key.count + suffixBytes(window)))
        }
        return out
    }
}
