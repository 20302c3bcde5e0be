import MartletCore

/// One file of a partition's log and what is known of it. A value inside `PartitionLog`'s state; readers take `file` and positions out of it.
struct LogSegment: Sendable {
    let baseOffset: Int64
    let file: any LogFile
    /// Bytes of whole batches; the file may for a moment hold half a batch behind them.
    var size = 0
    /// After the last batch, or `baseOffset`.
    var nextOffset: Int64
    var index = OffsetIndex()
    var maxTimestamp: Int64 = -1
    /// Wall time when the first batch came; for rolling by age. The batch's own time after a restart.
    var firstAppendMs: Int64?
    /// The index file is on disk and right.
    var indexIsSaved = false

    init(baseOffset: Int64, file: any LogFile) {
        self.baseOffset = baseOffset
        self.file = file
        nextOffset = baseOffset
    }

    /// Notes a batch that was written at `position`, which must be the end.
    mutating func note(_ header: BatchHeader, at position: Int) {
        index.note(offset: header.baseOffset, position: position, maxTimestampBefore: maxTimestamp)
        maxTimestamp = max(maxTimestamp, header.maxTimestamp)
        size = position + header.sizeBytes
        nextOffset = header.nextOffset
        indexIsSaved = false
    }

    /// `00000000000000000042.log`
    static func fileName(_ baseOffset: Int64, _ suffix: String) -> String {
        let digits = String(baseOffset)
        return String(repeating: "0", count: 20 - digits.count) + digits + suffix
    }

    static func baseOffset(ofFileName name: String) -> Int64? {
        guard name.utf8.count == 24, name.hasSuffix(".log") else { return nil }
        return Int64(name.dropLast(4))
    }
}

/// Where to begin looking for an offset or a time in a segment: an entry for every 16 KiB or so of log.
///
/// Saved when a segment is closed as `<base offset>.index` (little-endian): magic "MIDX", version u32 = 1, log size u64, next offset i64,
/// max timestamp i64, count u64, then per entry offset i64, position u64, max timestamp before it i64; CRC-32C of all that, u32.
struct OffsetIndex: Sendable, Equatable {
    static let intervalBytes = 16 << 10

    struct Entry: Sendable, Equatable {
        var offset: Int64
        var position: Int
        /// Of all batches of the segment before `position`; −1 if there are none.
        var maxTimestampBefore: Int64
    }

    private(set) var entries: [Entry] = []

    mutating func note(offset: Int64, position: Int, maxTimestampBefore: Int64) {
        if let last = entries.last, position - last.position < Self.intervalBytes { return }
        insert(offset: offset, position: position, maxTimestampBefore: maxTimestampBefore)
    }

    /// Adds an entry whatever the distance: behind a corrupt stretch, so that what follows can be found.
    mutating func insert(offset: Int64, position: Int, maxTimestampBefore: Int64) {
        entries.append(Entry(offset: offset, position: position, maxTimestampBefore: maxTimestampBefore))
    }

    /// Position of a batch at or before the one with `offset`.
    func position(before offset: Int64) -> Int {
        var low = 0, high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].offset <= offset { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? 0 : entries[low - 1].position
    }

    /// Position before which every batch is older than `timestamp`.
    func position(beforeTimestamp timestamp: Int64) -> Int {
        var low = 0, high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].maxTimestampBefore < timestamp { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? 0 : entries[low - 1].position
    }

    private static let magic: UInt32 = 0x5844_494d  // "MIDX"

    func encoded(of segment: LogSegment) -> [UInt8] {
        var out = ByteWriter()
        out.put(Self.magic)
        out.put(UInt32(1))
        out.put(Int64(segment.size))
        out.put(segment.nextOffset)
        out.put(segment.maxTimestamp)
        put(into: &out)
        return out.sealed()
    }

    func put(into out: inout ByteWriter) {
        out.put(UInt64(entries.count))
        for entry in entries {
            out.put(entry.offset)
            out.put(Int64(entry.position))
            out.put(entry.maxTimestampBefore)
        }
    }

    init() {}

    init?(from reader: inout ByteReader) {
        guard let count: UInt64 = reader.take(), count <= UInt64(reader.remaining / 24) else { return nil }
        entries.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let offset: Int64 = reader.take(), let position: Int64 = reader.take(), let time: Int64 = reader.take() else { return nil }
            entries.append(Entry(offset: offset, position: Int(position), maxTimestampBefore: time))
        }
    }

    /// Fills in a segment of whose log file only the size is known; false if the index file does not belong to a log file of this size.
    static func load(_ bytes: [UInt8], into segment: inout LogSegment, logSize: Int) -> Bool {
        guard var reader = ByteReader(sealed: bytes), reader.take() == Self.magic, reader.take() == UInt32(1),
            let size: Int64 = reader.take(), size == Int64(logSize), let next: Int64 = reader.take(), next >= segment.baseOffset,
            let time: Int64 = reader.take(), let index = OffsetIndex(from: &reader), reader.remaining == 0,
            index.entries.allSatisfy({ $0.position < logSize && $0.offset >= segment.baseOffset && $0.offset < next })
        else { return false }
        segment.size = logSize
        segment.nextOffset = next
        segment.maxTimestamp = time
        segment.index = index
        segment.indexIsSaved = true
        return true
    }
}

/// Writes the log's own small files: little-endian integers, strings with a u32 length, closed by a CRC-32C.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    mutating func put<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func put(_ text: String) {
        put(UInt32(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    /// All bytes so far with their checksum behind them.
    func sealed() -> [UInt8] {
        var copy = self
        copy.put(CRC32C.checksum(bytes))
        return copy.bytes
    }
}

/// Reads what `ByteWriter` wrote; every `take` is nil when the bytes end too early.
struct ByteReader {
    private let bytes: [UInt8]
    private var at = 0
    private let end: Int

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        end = bytes.count
    }

    /// nil if the checksum at the end is wrong.
    init?(sealed bytes: [UInt8]) {
        guard bytes.count >= 4 else { return nil }
        let end = bytes.count - 4
        let expected = bytes.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: end, as: UInt32.self)) }
        let actual = bytes.withUnsafeBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[..<end])) }
        guard actual == expected else { return nil }
        self.bytes = bytes
        self.end = end
    }

    var remaining: Int { end - at }

    mutating func take<T: FixedWidthInteger>() -> T? {
        let size = MemoryLayout<T>.size
        guard remaining >= size else { return nil }
        defer { at += size }
        return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: T.self)) }
    }

    mutating func takeString() -> String? {
        guard let count: UInt32 = take(), Int(count) <= remaining else { return nil }
        defer { at += Int(count) }
        return String(decoding: bytes[at..<at + Int(count)], as: UTF8.self)
    }
}
