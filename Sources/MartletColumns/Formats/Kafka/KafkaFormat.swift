import MartletCore

/// No columns at all: every record decodes to an empty row, and encodes to null.
struct NoneDecoder: Sendable {
    var request: DecodeRequest

    func decode(_ slices: RecordSlices, errors: inout RowErrors) -> RecordDecoder.Decoded {
        var selection = RowSelection(capacity: slices.count)
        for row in 0..<slices.count { selection.keep(row, isNull: slices.lengths[row] < 0) }
        return selection.decoded([], of: slices.count)
    }
}

/// Kafka's own serializers: one bare column, INT and BIGINT big-endian, DOUBLE as IEEE 754 big-endian, STRING in UTF-8, BYTES as they are.
struct KafkaDecoder: Sendable {
    var request: DecodeRequest

    func decode(_ slices: RecordSlices, errors: inout RowErrors) -> RecordDecoder.Decoded {
        var selection = RowSelection(capacity: slices.count)
        guard let field = request.fields.first else {
            for row in 0..<slices.count { selection.keep(row, isNull: slices.lengths[row] < 0) }
            return selection.decoded([], of: slices.count)
        }
        let appender = ColumnAppender(field.type, capacity: slices.count)
        let extra = ExtraBytes(after: slices.buffer.count)
        slices.buffer.withUnsafeBytes { buffer in
            for row in 0..<slices.count {
                let length = Int(slices.lengths[row]), start = Int(slices.starts[row])
                if length < 0 {
                    if !request.notNull.isEmpty { continue }
                    appender.appendNull()
                    selection.keep(row, isNull: true)
                    continue
                }
                func bad(_ size: Int) { errors.add(row: row, column: field.name, "expected \(size) bytes, found \(length)") }
                switch field.type {
                case .integer:
                    if length != 4 { bad(4); continue }
                    appender.append(Int32(bigEndian: buffer.loadUnaligned(fromByteOffset: start, as: Int32.self)))
                case .bigint:
                    if length != 8 { bad(8); continue }
                    appender.append(Int64(bigEndian: buffer.loadUnaligned(fromByteOffset: start, as: Int64.self)))
                case .double:
                    if length != 8 { bad(8); continue }
                    appender.append(
                        Double(bitPattern: UInt64(bigEndian: buffer.loadUnaligned(fromByteOffset: start, as: UInt64.self))))
                case .string:
                    let text = UnsafeBufferPointer(rebasing: buffer.bindMemory(to: UInt8.self)[start..<start + length])
                    if UTF8Check.isValid(text) {
                        appender.appendSlice(start: start, length: length)
                    } else {
                        let repaired = UTF8Check.repaired(text)
                        appender.appendSlice(start: extra.keep(repaired), length: repaired.count)
                    }
                default:
                    appender.appendSlice(start: start, length: length)
                }
                selection.keep(row)
            }
        }
        let joined = extra.joined(slices.buffer)
        return selection.decoded(request.output { _ in appender.finish(joined) }, of: slices.count)
    }
}

struct KafkaEncoder: Sendable {
    func encode(_ rows: EncodeRows, into out: inout EncodedColumn) {
        rows.forEach(into: &out) { row, views, roots, writer in
            guard let root = roots.first, views[root].isValid(row) else { return .null }
            let view = views[root]
            switch view.kind {
            case .integer:
                let value = UInt32(bitPattern: view.value(Int32.self, row)).bigEndian
                withUnsafeBytes(of: value) { for byte in $0 { writer.append(byte) } }
            case .bigint:
                let value = UInt64(bitPattern: view.value(Int64.self, row)).bigEndian
                withUnsafeBytes(of: value) { for byte in $0 { writer.append(byte) } }
            case .double:
                let value = view.value(Double.self, row).bitPattern.bigEndian
                withUnsafeBytes(of: value) { for byte in $0 { writer.append(byte) } }
            default:
                let text = view.text(row)
                if let start = text.baseAddress { writer.append(start, count: text.count) }
            }
            return .written
        }
    }
}
