import MartletCore

/// Writes rows as ksqlDB's REST API shows them: numbers as numbers (DECIMAL with its scale, DOUBLE as Java prints it), BYTES in base64,
/// TIMESTAMP `yyyy-MM-ddTHH:mm:ss.SSS`, DATE `yyyy-MM-dd`, TIME `HH:mm[:ss]`, STRUCT and MAP as objects.
public struct JSONRowWriter: Sendable {
    private let writer: JSONWriter

    /// - `fields`: the columns that rows will have, in order.
    public init(_ fields: [Field]) { writer = JSONWriter(fields, style: .rest) }

    /// Appends one row as an array. For many rows `append(_:count:asObjects:to:)` is cheaper: it opens the columns once.
    public func appendRow(_ columns: [Column], row: Int, to out: inout [UInt8]) { append(columns, row, asObject: false, &out) }

    /// Appends one row as an object with the fields' names.
    public func appendObject(_ columns: [Column], row: Int, to out: inout [UInt8]) { append(columns, row, asObject: true, &out) }

    /// Appends every row as one slice of `out`.
    public func append(_ columns: [Column], count: Int, asObjects: Bool = false, to out: inout EncodedColumn) {
        EncodeRows(columns: columns, count: count, isNull: nil).forEach(into: &out) { row, views, roots, bytes in
            if asObjects {
                writer.writeObject(roots, row, views, &bytes)
            } else {
                writer.writeArray(roots, row, views, &bytes)
            }
            return .written
        }
    }

    private func append(_ columns: [Column], _ row: Int, asObject: Bool, _ out: inout [UInt8]) {
        var bytes = ByteWriter(capacity: 256)
        ColumnView.withViews(of: columns) { views, roots in
            if asObject {
                writer.writeObject(roots, row, views, &bytes)
            } else {
                writer.writeArray(roots, row, views, &bytes)
            }
        }
        bytes.copy(to: &out)
    }
}
