import MartletCore

/// A record on a topic of a run, as bytes.
struct RecordBytes {
    var timestamp: Int64
    var key: [UInt8]?
    var value: [UInt8]?
    /// The header section as on the wire; nil: no headers.
    var headers: [UInt8]?
    /// Where a record without a key is; those with one are where its hash says.
    var home: Int32 = 0
    /// Bytes at the end of the key that the hash leaves out: the bounds of its window.
    var keySuffixBytes = 0

    /// The partition of the record among so many: that of its key's hash, as Kafka's clients do it.
    func partition(of count: Int) -> Int {
        guard count > 1 else { return 0 }
        guard let key else { return Int(home) % count }
        return Int(key.dropLast(keySuffixBytes).withUnsafeBytes { Murmur2.partition(ofKey: $0, partitions: count) })
    }
}

extension RecordBlock {
    init(_ records: some Collection<RecordBytes>, firstOffset: Int64, partition: Int32 = 0) {
        self.init(partition: partition, nextOffset: firstOffset + Int64(records.count))
        var sections = Headers()
        var offset = firstOffset
        func append(_ bytes: [UInt8]?, to block: inout RecordBlock) -> (start: UInt32, length: Int32) {
            let start = UInt32(block.buffer.count)
            block.buffer += bytes ?? []
            return (start, bytes.map { Int32($0.count) } ?? -1)
        }
        for record in records {
            let key = append(record.key, to: &self), value = append(record.value, to: &self)
            let headers = append(record.headers ?? [], to: &self)
            offsets.append(offset)
            offset += 1
            timestamps.append(record.timestamp)
            keyStarts.append(key.start)
            keyLengths.append(key.length)
            valueStarts.append(value.start)
            valueLengths.append(value.length)
            sections.starts.append(headers.start)
            sections.lengths.append(headers.length)
        }
        if records.contains(where: { $0.headers != nil }) { headers = sections }
        buffer += [UInt8](repeating: 0, count: Self.paddingBytes)
    }
}

/// Header sections (Kafka protocol guide, "Record header").
enum HeaderSection {
    static func encode(_ headers: [ConformanceCase.Header]) -> [UInt8]? {
        if headers.isEmpty { return nil }
        var out: [UInt8] = []
        func varint(_ value: Int) {
            var rest = UInt64(bitPattern: Int64(value << 1 ^ value >> 63))
            while rest >= 0x80 {
                out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            out.append(UInt8(rest))
        }
        varint(headers.count)
        for header in headers {
            varint(header.name.utf8.count)
            out += header.name.utf8
            guard let value = header.value.map({ Base64.decode($0.utf8) ?? [] }) else {
                varint(-1)
                continue
            }
            varint(value.count)
            out += value
        }
        return out
    }

    static func decode(_ section: [UInt8]?) -> [ConformanceCase.Header] {
        guard let section else { return [] }
        var rest = section[...], out: [ConformanceCase.Header] = []
        func varint() -> Int {
            var value: UInt64 = 0, shift: UInt64 = 0
            while let byte = rest.popFirst(), shift < 64 {
                value |= UInt64(byte & 0x7f) << shift
                if byte & 0x80 == 0 { break }
                shift += 7
            }
            return Int(Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1))
        }
        for _ in 0..<max(0, varint()) {
            let nameLength = varint()
            let name = String(decoding: rest.prefix(nameLength), as: UTF8.self)
            rest = rest.dropFirst(nameLength)
            let length = varint()
            out.append(ConformanceCase.Header(name: name, value: length < 0 ? nil : Base64.encode(Array(rest.prefix(length)))))
            rest = rest.dropFirst(max(0, length))
        }
        return out
    }
}

/// Keys of windowed topics: the key, then the window's bounds.
enum WindowedKey {
    static func encode(_ key: [UInt8]?, _ window: ConformanceCase.Window?) -> [UInt8]? {
        guard let key, let window else { return key }
        func bytes(_ time: Int64) -> [UInt8] { withUnsafeBytes(of: time.bigEndian) { Array($0) } }
        return key + (window.isSession ? bytes(window.end) : []) + bytes(window.start)
    }

    /// - `sizeMs`: of a time window.
    static func decode(_ key: [UInt8]?, isSession: Bool, sizeMs: Int64?) -> (key: [UInt8]?, window: ConformanceCase.Window?) {
        let length = isSession ? 16 : 8
        guard let key, key.count >= length else { return (key, nil) }
        func time(_ bytes: ArraySlice<UInt8>) -> Int64 { bytes.reduce(Int64(0)) { $0 << 8 | Int64($1) } }
        let start = time(key.suffix(8))
        let end = isSession ? time(key.suffix(16).prefix(8)) : start + (sizeMs ?? 0)
        return (Array(key.dropLast(length)), ConformanceCase.Window(start: start, end: end, isSession: isSession))
    }
}
