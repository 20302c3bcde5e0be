import MartletCore

/// Decodes one side (keys or values) of record blocks into the wanted columns.
///
/// A value: the plan of the decoding, compiled once; `decode` keeps nothing but the writers' schemas it met.
public struct RecordDecoder: Sendable {
    public struct Decoded: Sendable {
        /// One a wanted column, all of the same number of rows.
        public var columns: [Column]
        /// Block rows of the output rows, rising; nil: all rows of the block.
        public var rows: [UInt32]?
        /// Output rows whose key or value is null as a whole; nil: none.
        public var isNull: [Bool]?

        public init(columns: [Column], rows: [UInt32]? = nil, isNull: [Bool]? = nil) {
            self.columns = columns
            self.rows = rows
            self.isNull = isNull
        }
    }

    private enum Implementation: Sendable {
        case none(NoneDecoder)
        case kafka(KafkaDecoder)
        case delimited(DelimitedDecoder)
        case json(JSONDecoder)
        case avro(AvroDecoder)
        case protobuf(ProtobufDecoder)
    }

    private var implementation: Implementation

    /// - `fields`: all columns of this side, in order.
    /// - `wanted`: indices of `fields` to produce, in output order.
    /// - `notNull`: indices of `fields` without which a row is not wanted at all (a pushed-down `IS NOT NULL`): such rows are left out, and
    ///   are not reported even if another of their fields is malformed.
    /// - `schemas`: the writers' schemas, for formats of the schema registry.
    /// - Throws: `.notSupported` for a type the format cannot hold, or a format that is not there.
    public init(spec: FormatSpec, fields: [Field], wanted: [Int], notNull: [Int] = [], schemas: (any SchemaSource)? = nil)
        throws(MartletError)
    {
        precondition((wanted + notNull).allSatisfy { fields.indices.contains($0) }, "wanted columns are columns of this side")
        try FormatSupport.check(spec: spec, fields: fields)
        let request = DecodeRequest(fields: fields, wanted: wanted, notNull: notNull)
        switch spec.kind {
        case .none: implementation = .none(NoneDecoder(request: request))
        case .kafka: implementation = .kafka(KafkaDecoder(request: request))
        case .delimited: implementation = .delimited(DelimitedDecoder(request: request, delimiter: try FormatSupport.delimiter(of: spec)))
        case .json: implementation = .json(JSONDecoder(request: request, unwrapped: spec.unwrapSingle, headerBytes: 0))
        case .jsonSR: implementation = .json(JSONDecoder(request: request, unwrapped: spec.unwrapSingle, headerBytes: 5))
        case .avro: implementation = .avro(AvroDecoder(request: request, unwrapped: spec.unwrapSingle, schemas: schemas))
        case .protobuf, .protobufNoSR:
            implementation = .protobuf(try ProtobufDecoder(request: request, spec: spec, schemas: schemas))
        }
    }

    /// Decodes all records of `block`.
    ///
    /// Rows that cannot be decoded are left out and reported in `errors` (row = row of the block; reason without the row's data). A null key or
    /// value gives nulls in all columns. Strings of the result share the block's buffer where they can.
    public mutating func decode(_ block: RecordBlock, side: Side, errors: inout RowErrors) -> Decoded {
        let slices = RecordSlices(block, side: side)
        switch implementation {
        case .none(let decoder): return decoder.decode(slices, errors: &errors)
        case .kafka(let decoder): return decoder.decode(slices, errors: &errors)
        case .delimited(let decoder): return decoder.decode(slices, errors: &errors)
        case .json(let decoder): return decoder.decode(slices, errors: &errors)
        case .avro(var decoder):
            let decoded = decoder.decode(slices, errors: &errors)
            implementation = .avro(decoder)
            return decoded
        case .protobuf(var decoder):
            let decoded = decoder.decode(slices, errors: &errors)
            implementation = .protobuf(decoder)
            return decoded
        }
    }
}

/// What a decoder is asked for; indices are into `fields`.
struct DecodeRequest: Sendable {
    var fields: [Field]
    var wanted: [Int]
    var notNull: [Int]

    /// Output column by field; nil where the field is not wanted. A field wanted twice has its first place here.
    var outputs: [Int?] {
        var out = [Int?](repeating: nil, count: fields.count)
        for (i, field) in wanted.enumerated() where out[field] == nil { out[field] = i }
        return out
    }

    /// Output columns of finished fields: `columns[f]` is the column of field f, if it is wanted.
    func output(_ column: (Int) -> Column) -> [Column] {
        var made: [Int: Column] = [:], out: [Column] = []
        for field in wanted {
            let one = made[field] ?? column(field)
            made[field] = one
            out.append(one)
        }
        return out
    }
}

/// The keys or the values of a block, with readable padding after every one.
struct RecordSlices {
    let buffer: [UInt8]
    let starts: [UInt32]
    /// −1 for null.
    let lengths: [Int32]

    var count: Int { starts.count }

    init(_ block: RecordBlock, side: Side) {
        starts = side == .key ? block.keyStarts : block.valueStarts
        lengths = side == .key ? block.keyLengths : block.valueLengths
        precondition(starts.count == lengths.count, "a block has a start and a length for each record")
        var end = 0
        for i in 0..<starts.count where lengths[i] > 0 { end = max(end, Int(starts[i]) + Int(lengths[i])) }
        precondition(end <= block.buffer.count, "records lie inside their block's buffer")
        if end + RecordBlock.paddingBytes > block.buffer.count {
            buffer = block.buffer + [UInt8](repeating: 0, count: RecordBlock.paddingBytes)
        } else {
            buffer = block.buffer
        }
    }
}

/// Which block rows came through, and which of them were null.
struct RowSelection {
    private var rows: [UInt32] = []
    private var isNull: [Bool] = []
    private var anyNull = false

    init(capacity: Int) {
        rows.reserveCapacity(capacity)
        isNull.reserveCapacity(capacity)
    }

    var count: Int { rows.count }

    @inline(__always)
    mutating func keep(_ row: Int, isNull null: Bool = false) {
        rows.append(UInt32(truncatingIfNeeded: row))
        isNull.append(null)
        if null { anyNull = true }
    }

    func decoded(_ columns: [Column], of total: Int) -> RecordDecoder.Decoded {
        RecordDecoder.Decoded(columns: columns, rows: rows.count == total ? nil : rows, isNull: anyNull ? isNull : nil)
    }
}
