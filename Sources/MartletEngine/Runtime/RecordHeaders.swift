import MartletColumns
import MartletCore

/// The header sections of a block's records, for the HEADERS and HEADER('k') columns and for copying to output records.
///
/// A section is as on the wire (Kafka protocol guide, "Record header"): varint count; per header varint key length and key, varint value
/// length (−1: null) and value.
struct RecordHeaders {
    let raw: BytesColumn

    static let columnType = SQLType.array(.structure([Field("KEY", .string), Field("VALUE", .bytes)]))

    init(buffer: [UInt8], section: RecordBlock.Headers, rows: [UInt32]?) {
        let all = BytesColumn(
            buffer: buffer, starts: section.starts, lengths: section.lengths.map { UInt32(max($0, 0)) })
        raw = rows.map { all.gathered($0) } ?? all
    }

    /// Calls `visit` with each header of a row, in order.
    private func forEach(_ row: Int, _ visit: (ArraySlice<UInt8>, ArraySlice<UInt8>?) -> Void) {
        let section = raw.slice(row)
        var at = section.startIndex
        func varint() -> Int? {
            var value: UInt64 = 0, shift: UInt64 = 0
            while at < section.endIndex, shift < 64 {
                let byte = section[at]
                at += 1
                value |= UInt64(byte & 0x7f) << shift
                if byte & 0x80 == 0 { return Int(Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)) }
                shift += 7
            }
            return nil
        }
        // The log has checked the section when the record came in; whatever still does not fit ends the list.
        guard let count = varint(), count > 0 else { return }
        for _ in 0..<count {
            guard let keyLength = varint(), keyLength >= 0, at + keyLength <= section.endIndex else { return }
            let key = section[at..<at + keyLength]
            at += keyLength
            guard let valueLength = varint(), at + max(valueLength, 0) <= section.endIndex else { return }
            visit(key, valueLength < 0 ? nil : section[at..<at + valueLength])
            at += max(valueLength, 0)
        }
    }

    /// ARRAY<STRUCT<KEY STRING, VALUE BYTES>>, one list a row; no headers give an empty list.
    static func all(_ headers: RecordHeaders?, count: Int) -> Column {
        var offsets: [Int32] = [0], keys = BytesColumn(), values = BytesColumn()
        for row in 0..<count {
            headers?.forEach(row) { key, value in
                keys.append(key)
                if let value { values.append(value) } else { values.appendNull() }
            }
            offsets.append(Int32(keys.count))
        }
        let elements = StructColumn(names: ["KEY", "VALUE"], fields: [.string(keys), .bytes(values)], count: keys.count)
        return .array(ListColumn(offsets: offsets, elements: .structure(elements)))
    }

    /// The value of the last header called `name`, null if there is none.
    static func last(named name: String, of headers: RecordHeaders?, count: Int) -> Column {
        var out = BytesColumn()
        let wanted = Array(name.utf8)
        for row in 0..<count {
            var found: ArraySlice<UInt8>?
            headers?.forEach(row) { key, value in
                if key.elementsEqual(wanted) { found = value }
            }
            if let found { out.append(found) } else { out.appendNull() }
        }
        return .bytes(out)
    }
}
