import MartletCore

/// Encodes the columns of one side (keys or values) into records.
public struct RecordEncoder: Sendable {
    private enum Implementation: Sendable {
        case none
        case kafka(KafkaEncoder)
        case delimited(DelimitedEncoder)
        case json(JSONEncoder)
        case avro(AvroEncoder)
    }

    private let implementation: Implementation

    /// - `fields`: the columns that `encode` will get, in order.
    /// - `schemaID`: Avro and JSON_SR: the id under which the schema is registered, written before each record.
    /// - `schemaText`: Avro: the registered schema if it is not `SchemaTranslation.schemaText(for: fields, …)`, e.g. one chosen by
    ///   `VALUE_SCHEMA_ID`; columns are matched to its fields by name, others take their defaults.
    /// - Throws: `.notSupported` for a type the format cannot hold, or a format that is not there; `.badStatement` for a registry format
    ///   without an id; `.schemaIncompatible` if the schema cannot hold the columns.
    public init(spec: FormatSpec, fields: [Field], schemaID: Int32? = nil, schemaText: String? = nil) throws(MartletError) {
        try FormatSupport.check(spec: spec, fields: fields)
        if spec.kind.usesSchemaRegistry, schemaID == nil, spec.kind != .protobuf {
            throw MartletError(.badStatement, "format \(spec.kind.rawValue) needs the id of a registered schema")
        }
        switch spec.kind {
        case .none: implementation = .none
        case .kafka: implementation = .kafka(KafkaEncoder())
        case .delimited: implementation = .delimited(DelimitedEncoder(delimiter: try FormatSupport.delimiter(of: spec)))
        case .json: implementation = .json(JSONEncoder(fields: fields, unwrapped: spec.unwrapSingle, schemaID: nil))
        case .jsonSR: implementation = .json(JSONEncoder(fields: fields, unwrapped: spec.unwrapSingle, schemaID: schemaID))
        case .avro:
            implementation = .avro(try AvroEncoder(spec: spec, fields: fields, schemaID: schemaID ?? 0, schemaText: schemaText))
        case .protobuf, .protobufNoSR: throw FormatSupport.absent(spec.kind)
        }
    }

    /// Appends one encoded record a row to `out`, null where `isNull` says so.
    ///
    /// `out.failed` is set to the rows that could not be encoded (each also reported in `errors`): they have length −1 and must not be
    /// written. Only a schema that is stricter than the columns can cause one.
    public mutating func encode(
        _ columns: [Column], count: Int, isNull: [Bool]? = nil, into out: inout EncodedColumn, errors: inout RowErrors
    ) {
        precondition(columns.allSatisfy { $0.count == count }, "columns of a batch have equal counts")
        out.failed.removeAll(keepingCapacity: true)
        let rows = EncodeRows(columns: columns, count: count, isNull: isNull)
        switch implementation {
        case .none:
            for _ in 0..<count {
                out.starts.append(UInt32(out.buffer.count))
                out.lengths.append(-1)
            }
        case .kafka(let encoder): encoder.encode(rows, into: &out)
        case .delimited(let encoder): encoder.encode(rows, into: &out)
        case .json(let encoder): encoder.encode(rows, into: &out)
        case .avro(let encoder): encoder.encode(rows, into: &out, errors: &errors)
        }
    }
}

/// The rows to encode, and the loop that all formats share.
struct EncodeRows {
    var columns: [Column]
    var count: Int
    var isNull: [Bool]?

    enum Outcome { case written, null, failed }

    /// Calls `write` for each row that is not null, with a writer that holds what was written before; records each row in `out`.
    @inline(__always)
    func forEach(
        into out: inout EncodedColumn,
        _ write: (_ row: Int, _ views: UnsafePointer<ColumnView>, _ roots: [Int], _ writer: inout ByteWriter) -> Outcome
    ) {
        var writer = ByteWriter(capacity: 1 << 16)
        let base = out.buffer.count
        precondition(base < 1 << 31, "an encoded column is below 2 GiB")
        out.starts.reserveCapacity(out.starts.count + count)
        out.lengths.reserveCapacity(out.lengths.count + count)
        ColumnView.withViews(of: columns) { views, roots in
            for row in 0..<count {
                let start = writer.count
                var outcome = Outcome.null
                if !(isNull?[row] ?? false) { outcome = write(row, views, roots, &writer) }
                switch outcome {
                case .written: out.lengths.append(Int32(writer.count - start))
                case .null:
                    writer.count = start
                    out.lengths.append(-1)
                case .failed:
                    writer.count = start
                    out.lengths.append(-1)
                    out.failed.append(UInt32(row))
                }
                out.starts.append(UInt32(truncatingIfNeeded: base + start))
            }
        }
        writer.copy(to: &out.buffer)
    }
}
