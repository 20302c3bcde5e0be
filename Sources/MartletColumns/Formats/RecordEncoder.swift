import MartletCore

/// Encodes the columns of one side (keys or values) into records.
public struct RecordEncoder: Sendable {
    private enum Implementation: Sendable {
        case none
        case kafka(KafkaEncoder)
        case delimited(DelimitedEncoder)
        case json(JSONEncoder)
        case avro(AvroEncoder)
        case protobuf(ProtobufEncoder)
    }

    private let implementation: Implementation
    /// Fields of a chosen JSON schema that no column fills: they are written as null.
    private var missing: [Field] = []

    /// - `fields`: the columns that `encode` will get, in order.
    /// - `schemaID`: Avro, JSON_SR and Protobuf: the id under which the schema is registered, written before each record.
    /// - `schemaText`: the registered schema if it is not `SchemaTranslation.schemaText(for: fields, …)`, e.g. one chosen by
    ///   `VALUE_SCHEMA_ID`; columns are matched to its fields by name, others take their defaults.
    /// - `imports`: the schemas that `schemaText` refers to.
    /// - Throws: `.notSupported` for a type the format cannot hold, or a format that is not there; `.badStatement` for a registry format
    ///   without an id; `.schemaIncompatible` if the schema cannot hold the columns.
    public init(spec: FormatSpec, fields: [Field], schemaID: Int32? = nil, schemaText: String? = nil, imports: [SchemaImport] = [])
        throws(MartletError)
    {
        try FormatSupport.check(spec: spec, fields: fields)
        if spec.kind.usesSchemaRegistry, schemaID == nil {
            throw MartletError(.badStatement, "format \(spec.kind.rawValue) needs the id of a registered schema")
        }
        switch spec.kind {
        case .none: implementation = .none
        case .kafka: implementation = .kafka(KafkaEncoder())
        case .delimited: implementation = .delimited(DelimitedEncoder(delimiter: try FormatSupport.delimiter(of: spec)))
        case .json: implementation = .json(JSONEncoder(fields: fields, unwrapped: spec.unwrapSingle, schemaID: nil))
        case .jsonSR:
            if let schemaText, !spec.unwrapSingle {
                let chosen = try SchemaTranslation.fields(fromSchemaText: schemaText, spec: spec, side: .value, keepsCase: true, imports: imports)
                missing = chosen.filter { field in !fields.contains { $0.name == field.name } }
            }
            let all = fields + missing
            let shapes =
                if let schemaText {
                    try JSONSchemaTranslation.shapes(all, schemaText: schemaText, unwrapped: spec.unwrapSingle, imports: imports)
                } else {
                    // Of our own schema: maps are entries, structs are objects whatever their names.
                    [JSONWriter.Shape](repeating: .entries, count: all.reduce(0) { $0 + ColumnView.count($1.type) })
                }
            implementation = .json(JSONEncoder(fields: all, unwrapped: spec.unwrapSingle, schemaID: schemaID, shapes: shapes))
        case .avro:
            implementation = .avro(try AvroEncoder(spec: spec, fields: fields, schemaID: schemaID ?? 0, schemaText: schemaText, imports: imports))
        case .protobuf, .protobufNoSR:
            implementation = .protobuf(
                try ProtobufEncoder(spec: spec, fields: fields, schemaID: schemaID, schemaText: schemaText, imports: imports))
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
        let rows = EncodeRows(columns: columns + missing.map { .nulls($0.type, count: count) }, count: count, isNull: isNull)
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
        case .protobuf(let encoder): encoder.encode(rows, into: &out, errors: &errors)
        }
    }
}

/// The rows to encode, and the loop that all formats share.
struct EncodeRows {
    var columns: [Column]
    var count: Int
    var isNull: [Bool]?

    enum Outcome { case written, null, failed }

    /// Calls `write` for each row that is not null; records each row in `out`.
    @inline(__always)
    func forEach(
        into out: inout EncodedColumn,
        _ write: (_ row: Int, _ views: UnsafePointer<ColumnView>, _ roots: [Int], _ writer: inout ByteWriter) -> Outcome
    ) {
        forEach(into: &out, prepare: { views, roots in (views, roots) }) { row, context, writer in write(row, context.0, context.1, &writer) }
    }

    /// The same with something made of the views before the first row.
    @inline(__always)
    func forEach<Context>(
        into out: inout EncodedColumn, prepare: (_ views: UnsafePointer<ColumnView>, _ roots: [Int]) -> Context,
        _ write: (_ row: Int, _ context: Context, _ writer: inout ByteWriter) -> Outcome
    ) {
        // Rows are written to a small piece of memory that stays in the cache, and moved on from there.
        var writer = ByteWriter(capacity: 1 << 15)
        var base = out.buffer.count
        if out.starts.capacity < out.starts.count + count {
            out.starts.reserveCapacity(max(out.starts.count + count, 2 * out.starts.count))
            out.lengths.reserveCapacity(max(out.starts.count + count, 2 * out.starts.count))
        }
        ColumnView.withViews(of: columns) { views, roots in
            let context = prepare(views, roots)
            for row in 0..<count {
                let start = writer.count
                var outcome = Outcome.null
                if !(isNull?[row] ?? false) { outcome = write(row, context, &writer) }
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
                if writer.count > 1 << 14 {
                    writer.copy(to: &out.buffer)
                    base += writer.count
                    writer.count = 0
                }
            }
        }
        writer.copy(to: &out.buffer)
        precondition(out.buffer.count < 1 << 32, "an encoded column is below 4 GiB")
    }
}
