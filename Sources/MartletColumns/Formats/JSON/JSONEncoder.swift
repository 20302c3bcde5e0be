import MartletCore

/// Writes rows as JSON records: an object with every column, nulls included; a single unwrapped column bare, and no bytes where it is null.
struct JSONEncoder: Sendable {
    private let writer: JSONWriter
    private let unwrapped: Bool
    /// JSON_SR: magic 0 and the schema's id.
    private let header: [UInt8]

    init(fields: [Field], unwrapped: Bool, schemaID: Int32?, shapes: [JSONWriter.Shape] = []) {
        writer = JSONWriter(fields, style: .topic, shapes: shapes)
        self.unwrapped = unwrapped && fields.count == 1
        header =
            schemaID.map { id in [0] + (0..<4).map { UInt8(truncatingIfNeeded: UInt32(bitPattern: id) >> UInt32(24 - 8 * $0)) } } ?? []
    }

    func encode(_ rows: EncodeRows, into out: inout EncodedColumn) {
        rows.forEach(into: &out) { row, views, roots, bytes in
            if unwrapped, !views[roots[0]].isValid(row) { return .null }
            if !header.isEmpty { bytes.append(header) }
            if unwrapped {
                writer.write(roots[0], row, views, &bytes)
            } else {
                writer.writeObject(roots, row, views, &bytes)
            }
            return .written
        }
    }
}
