import MartletCore

// Reading for the engine: batches become columns of slices in one buffer. The loop over the records works on raw memory that stays inside
// one function; measured at 10–15 ns a record of 100 bytes.

extension PartitionLog {
    /// Records from `offset` on, decompressed and decoded, at least one batch and about `maxBytes` of log. Control records are not shown and,
    /// read committed, neither are records of aborted transactions; `nextOffset` moves past them. If nothing is there yet the block is empty
    /// and `nextOffset` is `offset`.
    ///
    /// - `reusing`: a block whose memory may be used again; nil afterwards.
    /// - Throws: `.outOfRange` outside of start and end offset, `.corruptRecord` if what is at `offset` is damaged, `.io`.
    public func readBlock(
        from offset: Int64, maxBytes: Int, isolation: Isolation, reusing: inout RecordBlock?
    ) throws(MartletError) -> RecordBlock {
        var block = reusing.take() ?? RecordBlock(partition: id.partition, nextOffset: offset)
        block.partition = id.partition
        block.nextOffset = offset
        block.headers = nil
        do throws(LogFailure) {
            let run = try readRun(from: offset, maxBytes: maxBytes, isolation, into: &block.buffer)
            try decode(run, from: offset, hidesAborted: isolation == .readCommitted, into: &block)
            return block
        } catch {
            throw error.error
        }
    }

    /// The records section of a batch that is shown, in the block's buffer.
    private struct Section {
        var header: BatchHeader
        var start: Int
        var length: Int
    }

    private func decode(_ run: BatchRun, from offset: Int64, hidesAborted: Bool, into block: inout RecordBlock) throws(LogFailure) {
        block.nextOffset = run.nextOffset
        var sections: [Section] = []
        var at = 0, capacity = 0, hasCompressed = false
        while at < run.byteCount {
            guard let header = block.buffer.withUnsafeBytes({ BatchHeader(UnsafeRawBufferPointer(rebasing: $0[at...])) }) else {
                throw corrupt(run.nextOffset, "no batch header")
            }
            let isHidden =
                header.isControl
                || (hidesAborted && header.isTransactional
                    && run.aborted.contains {
                        $0.producerID == header.producerID && $0.firstOffset <= header.baseOffset && header.baseOffset <= $0.lastOffset
                    })
            if !isHidden {
                if header.codec != CompressionCodec.none { hasCompressed = true }
                sections.append(Section(header: header, start: at + BatchHeader.size, length: header.sizeBytes - BatchHeader.size))
                capacity += Int(header.recordCount)
            }
            at += header.sizeBytes
        }
        if hasCompressed { try decompress(&sections, run.byteCount, &block.buffer) }

        // The arrays leave the block while raw memory points into them, so that nothing is copied.
        var offsets = block.offsets, timestamps = block.timestamps
        var keyStarts = block.keyStarts, keyLengths = block.keyLengths
        var valueStarts = block.valueStarts, valueLengths = block.valueLengths
        block.offsets = []
        block.timestamps = []
        block.keyStarts = []
        block.keyLengths = []
        block.valueStarts = []
        block.valueLengths = []
        resize(&offsets, capacity)
        resize(&timestamps, capacity)
        resize(&keyStarts, capacity)
        resize(&keyLengths, capacity)
        resize(&valueStarts, capacity)
        resize(&valueLengths, capacity)
        var headers: RecordBlock.Headers?
        var row = 0
        var damaged: Int64?
        block.buffer.withUnsafeBytes { bytes in
            offsets.withUnsafeMutableBufferPointer { offsets in
                timestamps.withUnsafeMutableBufferPointer { timestamps in
                    keyStarts.withUnsafeMutableBufferPointer { keyStarts in
                        keyLengths.withUnsafeMutableBufferPointer { keyLengths in
                            valueStarts.withUnsafeMutableBufferPointer { valueStarts in
                                valueLengths.withUnsafeMutableBufferPointer { valueLengths in
                                    for section in sections {
                                        let header = section.header
                                        let start = section.start
                                        var reader = RecordReader(
                                            UnsafeRawBufferPointer(rebasing: bytes[start..<start + section.length]))
                                        let usesMaxTimestamp = header.isLogAppendTime
                                        for _ in 0..<header.recordCount {
                                            guard reader.next() else {
                                                damaged = header.baseOffset
                                                return
                                            }
                                            let recordOffset = header.baseOffset &+ reader.offsetDelta
                                            if recordOffset < offset { continue }
                                            offsets[row] = recordOffset
                                            timestamps[row] =
                                                usesMaxTimestamp ? header.maxTimestamp : header.baseTimestamp &+ reader.timestampDelta
                                            keyStarts[row] = UInt32(truncatingIfNeeded: start &+ reader.keyStart)
                                            keyLengths[row] = Int32(truncatingIfNeeded: reader.keyLength)
                                            valueStarts[row] = UInt32(truncatingIfNeeded: start &+ reader.valueStart)
                                            valueLengths[row] = Int32(truncatingIfNeeded: reader.valueLength)
                                            if reader.hasHeaders {
                                                note(&headers, row, capacity, start + reader.headersStart, reader.headersLength)
                                            }
                                            row &+= 1
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        offsets.removeLast(capacity - row)
        timestamps.removeLast(capacity - row)
        keyStarts.removeLast(capacity - row)
        keyLengths.removeLast(capacity - row)
        valueStarts.removeLast(capacity - row)
        valueLengths.removeLast(capacity - row)
        if headers != nil {
            headers?.starts.removeLast(capacity - row)
            headers?.lengths.removeLast(capacity - row)
        }
        block.offsets = offsets
        block.timestamps = timestamps
        block.keyStarts = keyStarts
        block.keyLengths = keyLengths
        block.valueStarts = valueStarts
        block.valueLengths = valueLengths
        block.headers = headers
        if let damaged { throw corrupt(damaged, "malformed records") }
    }

    /// Rows without headers keep length 0.
    @inline(never)
    private func note(_ headers: inout RecordBlock.Headers?, _ row: Int, _ capacity: Int, _ start: Int, _ length: Int) {
        if headers == nil {
            headers = RecordBlock.Headers(
                starts: [UInt32](repeating: 0, count: capacity), lengths: [Int32](repeating: 0, count: capacity))
        }
        headers?.starts[row] = UInt32(truncatingIfNeeded: start)
        headers?.lengths[row] = Int32(truncatingIfNeeded: length)
    }

    private func resize<T: FixedWidthInteger>(_ array: inout [T], _ count: Int) {
        if array.count < count {
            array.append(contentsOf: repeatElement(0, count: count - array.count))
        } else {
            array.removeLast(array.count - count)
        }
    }

    /// Puts the records of compressed batches behind the batches in the buffer.
    private func decompress(_ sections: inout [Section], _ byteCount: Int, _ buffer: inout [UInt8]) throws(LogFailure) {
        let batches = Array(buffer[..<byteCount])
        buffer.removeLast(buffer.count - byteCount)
        for i in sections.indices where sections[i].header.codec != CompressionCodec.none {
            let section = sections[i]
            guard let codec = section.header.codec else { throw corrupt(section.header.baseOffset, "unknown compression") }
            let start = buffer.count
            let isWhole = batches.withUnsafeBytes {
                Compression.decompress(
                    UnsafeRawBufferPointer(rebasing: $0[section.start..<section.start + section.length]), codec, onto: &buffer)
            }
            guard isWhole, buffer.count < Int(UInt32.max) else { throw corrupt(section.header.baseOffset, "malformed \(codec) data") }
            sections[i].start = start
            sections[i].length = buffer.count - start
        }
        buffer.append(contentsOf: repeatElement(0, count: RecordBlock.paddingBytes))
    }
}
