import MartletCore

/// One record batch (format 2) in the making. Records are encoded into one growing buffer: no allocation per record.
///
/// The layout is drawn in RecordBatch.swift. Offsets count from 0; the log patches base offset and leader epoch when it appends.
/// Cost: about 20 ns a record of 100 bytes.
public struct RecordBatchBuilder: Sendable {
    public let compression: CompressionCodec
    /// Records so far.
    public private(set) var count = 0
    private var storage: [UInt8] = []
    private var used = BatchHeader.size
    private var baseTimestamp: Int64 = 0
    private var maxTimestamp: Int64 = -1

    /// Most bytes a record takes besides key, value and headers: length 5, attributes 1, timestamp 10, offset 5, two lengths 5, headers 1.
    private static let recordOverheadMax = 32

    public init(compression: CompressionCodec = .none) { self.compression = compression }

    /// Of the batch if it were finished now without compression; 0 if there is no record.
    public var sizeBytes: Int { count == 0 ? 0 : used }
    public var isEmpty: Bool { count == 0 }

    /// `headers`: the raw section as on the wire (count, then keys and values); nil = none.
    public mutating func append(
        timestamp: Int64, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?, headers: UnsafeRawBufferPointer? = nil
    ) {
        let keyLength = key?.count ?? -1, valueLength = value?.count ?? -1
        let headers = headers.flatMap { $0.isEmpty ? nil : $0 }
        reserve(max(0, keyLength) + max(0, valueLength) + (headers?.count ?? 0) + Self.recordOverheadMax)
        if count == 0 { baseTimestamp = timestamp }
        maxTimestamp = max(maxTimestamp, timestamp)
        let timestampDelta = timestamp &- baseTimestamp, offsetDelta = Int64(count)
        let size =
            1 + Varint.size(timestampDelta) + Varint.size(offsetDelta) + Varint.size(Int64(keyLength)) + max(0, keyLength)
            + Varint.size(Int64(valueLength)) + max(0, valueLength) + (headers?.count ?? 1)
        var at = used
        storage.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            Varint.write(Int64(size), to: base, &at)
            base.storeBytes(of: 0, toByteOffset: at, as: UInt8.self)
            at += 1
            Varint.write(timestampDelta, to: base, &at)
            Varint.write(offsetDelta, to: base, &at)
            Varint.write(Int64(keyLength), to: base, &at)
            if let source = key?.baseAddress, keyLength > 0 {
                (base + at).copyMemory(from: source, byteCount: keyLength)
                at += keyLength
            }
            Varint.write(Int64(valueLength), to: base, &at)
            if let source = value?.baseAddress, valueLength > 0 {
                (base + at).copyMemory(from: source, byteCount: valueLength)
                at += valueLength
            }
            if let headers, let source = headers.baseAddress, headers.count > 0 {
                (base + at).copyMemory(from: source, byteCount: headers.count)
                at += headers.count
            } else {
                base.storeBytes(of: 0, toByteOffset: at, as: UInt8.self)
                at += 1
            }
        }
        used = at
        count += 1
    }

    /// The same for bytes in arrays.
    public mutating func append(timestamp: Int64, key: [UInt8]?, value: [UInt8]?, headers: [UInt8]? = nil) {
        func with(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
            if let bytes { bytes.withUnsafeBytes { body($0) } } else { body(nil) }
        }
        with(key) { key in
            with(value) { value in
                with(headers) { headers in append(timestamp: timestamp, key: key, value: value, headers: headers) }
            }
        }
    }

    /// Appends rows whose keys and values lie in shared buffers (length −1 = null).
    ///
    /// All arrays have an element per row; `rows` is the part to append. Traps if a slice lies outside its buffer.
    public mutating func append(
        timestamps: [Int64], keyBuffer: [UInt8], keyStarts: [UInt32], keyLengths: [Int32], valueBuffer: [UInt8], valueStarts: [UInt32],
        valueLengths: [Int32], rows: Range<Int>
    ) {
        guard !rows.isEmpty else { return }
        append(
            timestamps, keyBuffer, keyStarts, keyLengths, valueBuffer, valueStarts, valueLengths, count: rows.count, last: rows.upperBound - 1
        ) { rows.lowerBound + $0 }
    }

    /// The same for a selection of rows, in the order of `rows`.
    public mutating func append(
        timestamps: [Int64], keyBuffer: [UInt8], keyStarts: [UInt32], keyLengths: [Int32], valueBuffer: [UInt8], valueStarts: [UInt32],
        valueLengths: [Int32], rows: [UInt32]
    ) {
        guard let last = rows.max() else { return }
        rows.withUnsafeBufferPointer { rows in
            append(
                timestamps, keyBuffer, keyStarts, keyLengths, valueBuffer, valueStarts, valueLengths, count: rows.count, last: Int(last)
            ) { Int(rows[$0]) }
        }
    }

    @inline(__always)
    private mutating func append(
        _ timestamps: [Int64], _ keyBuffer: [UInt8], _ keyStarts: [UInt32], _ keyLengths: [Int32], _ valueBuffer: [UInt8],
        _ valueStarts: [UInt32], _ valueLengths: [Int32], count rowCount: Int, last: Int, row: (Int) -> Int
    ) {
        precondition(
            last < timestamps.count && last < keyStarts.count && last < keyLengths.count && last < valueStarts.count && last < valueLengths.count,
            "columns of a batch have a value for each row")
        var needed = rowCount &* Self.recordOverheadMax
        for i in 0..<rowCount {
            let r = row(i)
            let keyLength = Int(keyLengths[r]), valueLength = Int(valueLengths[r])
            precondition(
                keyLength <= 0 || Int(keyStarts[r]) + keyLength <= keyBuffer.count, "a key lies inside its buffer")
            precondition(
                valueLength <= 0 || Int(valueStarts[r]) + valueLength <= valueBuffer.count, "a value lies inside its buffer")
            needed &+= max(0, keyLength) &+ max(0, valueLength)
        }
        reserve(needed)
        if count == 0 { baseTimestamp = timestamps[row(0)] }
        var newest = maxTimestamp, at = used, offsetDelta = Int64(count)
        let baseTimestamp = self.baseTimestamp
        storage.withUnsafeMutableBytes { buffer in
            keyBuffer.withUnsafeBytes { keys in
                valueBuffer.withUnsafeBytes { values in
                    timestamps.withUnsafeBufferPointer { timestamps in
                        keyStarts.withUnsafeBufferPointer { keyStarts in
                            keyLengths.withUnsafeBufferPointer { keyLengths in
                                valueStarts.withUnsafeBufferPointer { valueStarts in
                                    valueLengths.withUnsafeBufferPointer { valueLengths in
                                        guard let base = buffer.baseAddress else { return }
                                        for i in 0..<rowCount {
                                            let r = row(i)
                                            let timestamp = timestamps[r]
                                            newest = max(newest, timestamp)
                                            let timestampDelta = timestamp &- baseTimestamp
                                            let keyLength = Int(keyLengths[r]), valueLength = Int(valueLengths[r])
                                            let keySize = max(0, keyLength), valueSize = max(0, valueLength)
                                            let size =
                                                2 &+ Varint.size(timestampDelta) &+ Varint.size(offsetDelta) &+ Varint.size(Int64(keyLength))
                                                &+ keySize &+ Varint.size(Int64(valueLength)) &+ valueSize
                                            Varint.write(Int64(size), to: base, &at)
                                            base.storeBytes(of: 0, toByteOffset: at, as: UInt8.self)
                                            at &+= 1
                                            Varint.write(timestampDelta, to: base, &at)
                                            Varint.write(offsetDelta, to: base, &at)
                                            Varint.write(Int64(keyLength), to: base, &at)
                                            if keySize > 0, let source = keys.baseAddress {
                                                (base + at).copyMemory(from: source + Int(keyStarts[r]), byteCount: keySize)
                                                at &+= keySize
                                            }
                                            Varint.write(Int64(valueLength), to: base, &at)
                                            if valueSize > 0, let source = values.baseAddress {
                                                (base + at).copyMemory(from: source + Int(valueStarts[r]), byteCount: valueSize)
                                                at &+= valueSize
                                            }
                                            base.storeBytes(of: 0, toByteOffset: at, as: UInt8.self)
                                            at &+= 1
                                            offsetDelta &+= 1
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        used = at
        count += rowCount
        maxTimestamp = newest
    }

    /// The encoded batch with its CRC. The builder is empty again and keeps its capacity. Traps if there is no record.
    ///
    /// Without a producer (`producerID` −1) pass epoch −1 and sequence −1.
    public mutating func finish(
        producerID: Int64 = -1, epoch: Int16 = -1, baseSequence: Int32 = -1, isTransactional: Bool = false
    ) -> [UInt8] {
        finish(
            producerID: producerID, epoch: epoch, baseSequence: baseSequence,
            attributes: isTransactional ? BatchHeader.transactionalBit : 0)
    }

    mutating func finish(producerID: Int64, epoch: Int16, baseSequence: Int32, attributes: UInt16) -> [UInt8] {
        withFinished(producerID: producerID, epoch: epoch, baseSequence: baseSequence, attributes: attributes) { Array($0) }
    }

    /// Hands out the finished batch in the builder's own buffer, so that the log can patch and write it without a copy; then empties the builder.
    mutating func withFinished<R, E: Error>(
        producerID: Int64, epoch: Int16, baseSequence: Int32, attributes: UInt16, _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        precondition(count > 0, "a batch has at least one record")
        let count = self.count, used = self.used, baseTimestamp = self.baseTimestamp, maxTimestamp = self.maxTimestamp
        let seal: (UnsafeMutableRawBufferPointer) -> Void = { [compression] batch in
            batch.store(Int64(0), 0)
            batch.store(Int32(batch.count - BatchHeader.overhead), 8)
            batch.store(Int32(0), 12)
            batch.store(UInt8(2), 16)
            batch.store(attributes | UInt16(compression.rawValue), 21)
            batch.store(Int32(count - 1), 23)
            batch.store(baseTimestamp, 27)
            batch.store(maxTimestamp, 35)
            batch.store(producerID, 43)
            batch.store(epoch, 51)
            batch.store(baseSequence, 53)
            batch.store(Int32(count), 57)
            let crc = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(batch)[BatchHeader.crcStart...]))
            batch.store(crc, 17)
        }
        if compression == .none {
            defer { reset() }
            return try storage.withMutableBytes { (buffer) throws(E) in
                let batch = UnsafeMutableRawBufferPointer(rebasing: buffer[..<used])
                seal(batch)
                return try body(batch)
            }
        }
        var compressed = [UInt8](repeating: 0, count: BatchHeader.size)
        storage.withUnsafeBytes { buffer in
            Compression.compress(UnsafeRawBufferPointer(rebasing: buffer[BatchHeader.size..<used]), compression, onto: &compressed)
        }
        defer { reset() }
        return try compressed.withMutableBytes { (batch) throws(E) in
            seal(batch)
            return try body(batch)
        }
    }

    /// Forgets the records so far; capacity is kept.
    public mutating func reset() {
        count = 0
        used = BatchHeader.size
        maxTimestamp = -1
    }

    @inline(__always)
    private mutating func reserve(_ more: Int) {
        if used + more > storage.count { grow(to: used + more) }
    }

    @inline(never)
    private mutating func grow(to size: Int) {
        let target = max(size, storage.count * 2, 4096)
        storage.reserveCapacity(target)
        // Of an array: element by element takes a debug build 200 µs for a first page.
        storage += [UInt8](repeating: 0, count: target - storage.count)
    }
}
