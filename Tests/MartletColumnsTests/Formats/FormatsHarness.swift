import MartletCore

@testable import MartletColumns

/// A block whose values (and keys) are these byte strings; nil is null.
func block(_ values: [[UInt8]?]) -> RecordBlock {
    var block = RecordBlock(partition: 0, nextOffset: Int64(values.count))
    for (i, value) in values.enumerated() {
        block.offsets.append(Int64(i))
        block.timestamps.append(Int64(i))
        block.valueStarts.append(UInt32(block.buffer.count))
        block.valueLengths.append(value.map { Int32($0.count) } ?? -1)
        block.buffer += value ?? []
    }
    block.keyStarts = block.valueStarts
    block.keyLengths = block.valueLengths
    block.buffer += [UInt8](repeating: 0x37, count: RecordBlock.paddingBytes)  // digits: nothing may read them as part of a number
    return block
}

func block(_ lines: [String?]) -> RecordBlock { block(lines.map { $0.map { Array($0.utf8) } }) }

struct Outcome: Equatable {
    var rows: [[SQLValue]]
    var kept: [UInt32]
    var isNull: [Bool]
    var reasons: [String]
}

/// Decodes a block of values and lays the result out by rows.
func decode(
    _ block: RecordBlock, _ spec: FormatSpec, _ fields: [Field], wanted: [Int]? = nil, notNull: [Int] = [],
    schemas: (any SchemaSource)? = nil
) throws -> Outcome {
    var decoder = try RecordDecoder(
        spec: spec, fields: fields, wanted: wanted ?? Array(fields.indices), notNull: notNull, schemas: schemas)
    var errors = RowErrors()
    let decoded = decoder.decode(block, side: .value, errors: &errors)
    let kept = decoded.rows ?? (0..<block.count).map { UInt32($0) }
    for column in decoded.columns { precondition(column.count == kept.count, "every column has a value for each kept row") }
    return Outcome(
        rows: kept.indices.map { row in decoded.columns.map { $0.value(row) } }, kept: kept,
        isNull: decoded.isNull ?? kept.map { _ in false }, reasons: errors.entries.map(\.reason))
}

/// Encodes rows, and gives the records as bytes.
func encode(_ rows: [[SQLValue]?], _ spec: FormatSpec, _ fields: [Field], schemaID: Int32? = nil, schemaText: String? = nil) throws
    -> [[UInt8]?]
{
    let columns = fields.indices.map { i in ColumnBuilder.column(of: fields[i].type, rows.map { $0?[i] ?? .null }) }
    var encoder = try RecordEncoder(spec: spec, fields: fields, schemaID: schemaID, schemaText: schemaText)
    var out = EncodedColumn(), errors = RowErrors()
    encoder.encode(columns, count: rows.count, isNull: rows.map { $0 == nil }, into: &out, errors: &errors)
    precondition(out.count == rows.count && errors.count == out.failed.count, "each row is encoded or reported")
    return (0..<rows.count).map { row in out.slice(row).map { Array($0) } }
}

func text(_ records: [[UInt8]?]) -> [String?] { records.map { $0.map { String(decoding: $0, as: UTF8.self) } } }

extension SQLValue {
    /// A value of `type` from a generator; null about one time in six unless `nullable` is false.
    static func random(_ type: SQLType, _ random: inout SeededRandom, nullable: Bool = true, depth: Int = 0) -> SQLValue {
        if nullable, Int.random(in: 0..<6, using: &random) == 0 { return .null }
        func pick<T>(_ values: [T]) -> T { values[Int.random(in: 0..<values.count, using: &random)] }
        switch type {
        case .boolean: return .boolean(Bool.random(using: &random))
        case .integer: return .integer(pick([0, 1, -1, .min, .max, Int32.random(in: .min ... .max, using: &random)]))
        case .bigint: return .bigint(pick([0, -1, .min, .max, 1 << 53, Int64.random(in: .min ... .max, using: &random)]))
        case .double:
            let bits = Double(bitPattern: UInt64.random(in: 0 ... .max, using: &random))
            return .double(
                pick([0, -0.5, 0.001, 1e7, 149.62, 1e-300, Double(Int.random(in: -1_000_000...1_000_000, using: &random)) / 1000, bits.isFinite ? bits : 1]))
        case .decimal(let precision, let scale):
            let limit = Decimal128.powersOfTen[precision]
            let raw = Int128(Int64.random(in: .min ... .max, using: &random)) * Int128(Int64.random(in: 1 ... .max, using: &random))
            return .decimal(Decimal128(unscaled: pick([0, limit - 1, 1 - limit, raw % limit]), scale: scale))
        case .string: return .string(pick(["a", "Kai", "é😀", "tab\tand \"quotes\", and\nline", " ", "null", "\u{1}\\/", "xxxxxxxxxxxxxxxxxxxxxxxxx"]))
        case .bytes: return .bytes((0..<Int.random(in: 1...9, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
        case .date: return .date(Int32.random(in: -100_000...100_000, using: &random))
        case .time: return .time(Int32.random(in: 0..<86_400_000, using: &random))
        case .timestamp: return .timestamp(Int64.random(in: -1_000_000_000_000...4_000_000_000_000, using: &random))
        case .array(let element):
            return .array((0..<Int.random(in: 0...3, using: &random)).map { _ in .random(element, &random, depth: depth + 1) })
        case .map(let key, let value):
            return .map(
                (0..<Int.random(in: 0...3, using: &random)).map { i in
                    .init(key == .string ? .string("k\(i)") : .random(key, &random, nullable: false), .random(value, &random, depth: depth + 1))
                })
        case .structure(let fields): return .structure(fields.map { .init($0.name, .random($0.type, &random, depth: depth + 1)) })
        }
    }
}

/// Columns of every type that no record nests.
let flatFields = [
    Field("B", .boolean), Field("I", .integer), Field("L", .bigint), Field("D", .double), Field("P", .decimal(precision: 20, scale: 4)),
    Field("S", .string), Field("Y", .bytes), Field("DT", .date), Field("TI", .time), Field("TS", .timestamp),
]

let nestedFields =
    flatFields + [
        Field("A", .array(.bigint)), Field("M", .map(key: .string, value: .double)),
        Field("ST", .structure([Field("X", .string), Field("Y", .array(.structure([Field("Z", .integer)])))])),
        Field("AM", .array(.map(key: .string, value: .decimal(precision: 6, scale: 2)))),
    ]
