import MartletColumns
import MartletCore
import MartletLog
import MartletSQL

/// INSERT INTO … VALUES, and rows that come as JSON through `/inserts-stream`.
extension Engine {
    func insertRow(_ insert: AnalyzedInsert) throws(MartletError) {
        try insertRows([(key: insert.key, value: insert.value, timestampMs: insert.timestampMs ?? time.wallMs)], into: insert.source)
    }

    /// DELETE FROM: each key's row ends with a record without a value.
    func deleteRows(_ delete: AnalyzedDelete) throws(MartletError) {
        try insertRows(delete.keys.map { ($0, nil, time.wallMs) }, into: delete.source)
    }

    /// Writes rows (a nil value deletes) and waits until they are durable.
    func insertRows(_ rows: [(key: [SQLValue], value: [SQLValue]?, timestampMs: Int64)], into source: Source) throws(MartletError) {
        try checkWritable(source.topic)
        let partitions = try partitionLogs(of: source.topic)
        func encoded(_ fields: [Field], _ spec: FormatSpec, _ side: Side, _ values: [[SQLValue]?]) throws(MartletError) -> EncodedColumn {
            let schema: SchemaRegistry.WriterSchema?
            do throws(MartletError) {
                schema = try registry.writerSchema(of: fields, spec: spec, side: side, topic: source.topic, ofInsert: true)
            } catch {
                throw MartletError(
                    .badStatement, "Failed to insert values into '\(source.name)'. Could not serialize \(side.rawValue): \(error.message)",
                    detail: error.detail, hint: error.hint)
            }
            var encoder = try RecordEncoder(spec: spec, fields: fields, schemaID: schema?.id, schemaText: schema?.text, imports: schema?.imports ?? [])
            let columns = fields.indices.map { i in ColumnBuilder.column(of: fields[i].type, values.map { $0?[i] ?? .null }) }
            // A key is absent if all its columns are; a value of nulls is a row of nulls.
            let isNull: [Bool] = values.map { side == .key ? $0?.allSatisfy(\.isNull) ?? true : $0 == nil }
            var out = EncodedColumn(), errors = RowErrors()
            encoder.encode(columns, count: values.count, isNull: isNull, into: &out, errors: &errors)
            if let first = errors.entries.first {
                throw MartletError(.badStatement, "Failed to insert values into '\(source.name)'. \(first.column): \(first.reason)")
            }
            return out
        }
        func slice(_ column: EncodedColumn?, _ row: Int) -> [UInt8]? {
            guard let column, column.lengths[row] >= 0 else { return nil }
            return Array(column.buffer[Int(column.starts[row])..<Int(column.starts[row]) + Int(column.lengths[row])])
        }
        let keys = source.schema.key.isEmpty ? nil : try encoded(source.schema.key, source.keyFormat, .key, rows.map(\.key))
        let values = try encoded(source.schema.value, source.valueFormat, .value, rows.map(\.value))
        var builders = partitions.map { _ in RecordBatchBuilder() }
        for row in rows.indices {
            let key = slice(keys, row), value = slice(values, row)
            var p = Int(UInt64(bitPattern: rows[row].timestampMs &+ Int64(row)) % UInt64(partitions.count))
            if let key { p = Int(key.withUnsafeBytes { Murmur2.partition(ofKey: $0, partitions: partitions.count) }) }
            builders[p].append(timestamp: rows[row].timestampMs, key: key, value: value)
        }
        for p in builders.indices where builders[p].count > 0 { _ = try partitions[p].appendDurably(&builders[p]) }
    }

    /// Inserts JSON objects (column name → value) into a stream. Names are matched exactly, else upper-cased; missing ones are null.
    ///
    /// - Throws: `.unknownSource`, `.unknownColumn`, `.typeMismatch` naming the column.
    public func insert(_ objects: [JSONObject], into target: String) throws(MartletError) {
        let name = catalog.sources[target] != nil ? target : target.uppercased()
        guard let source = catalog.sources[name] else {
            throw MartletError(.badStatement, "Cannot insert values into an unknown stream: \(target)")
        }
        guard source.kind == .stream else { throw MartletError(.badStatement, "\(name) is not a stream, rows can only be inserted into streams") }
        guard !source.isSource else { throw MartletError(.badStatement, "Cannot insert values into read-only stream: \(name)") }
        var rows: [(key: [SQLValue], value: [SQLValue]?, timestampMs: Int64)] = []
        for object in objects {
            var given: [String: JSONValue] = [:]
            for member in object.members {
                let column = source.schema.index(of: member.name) != nil ? member.name : member.name.uppercased()
                guard source.schema.index(of: column) != nil else {
                    throw MartletError(
                        .unknownColumn, "Column name \(column) does not exist.",
                        hint: "columns are \(source.schema.all.map(\.name).joined(separator: ", "))")
                }
                given[column] = member.value
            }
            func values(_ fields: [Field]) throws(MartletError) -> [SQLValue] {
                var out: [SQLValue] = []
                for field in fields { out.append(try JSONCoercion.value(given[field.name] ?? .null, as: field.type, column: field.name)) }
                return out
            }
            rows.append((try values(source.schema.key), try values(source.schema.value), time.wallMs))
        }
        try insertRows(rows, into: source)
    }
}

/// JSON values of an inserted row to SQL values: numbers widen, text becomes times, bytes (base64) and decimals; nothing narrows.
enum JSONCoercion {
    static func value(_ json: JSONValue, as type: SQLType, column: String) throws(MartletError) -> SQLValue {
        func mismatch() -> MartletError { MartletError(.typeMismatch, "column \(column) takes a value of type \(type)") }
        switch (json, type) {
        case (.null, _): return .null
        case (.bool(let value), .boolean): return .boolean(value)
        case (.array(let values), .array(let element)):
            var out: [SQLValue] = []
            for inner in values { out.append(try value(inner, as: element, column: column)) }
            return .array(out)
        case (.object(let object), .map(let keyType, let valueType)):
            var out: [SQLValue.MapEntry] = []
            for member in object.members {
                out.append(.init(try value(.string(member.name), as: keyType, column: column), try value(member.value, as: valueType, column: column)))
            }
            return .map(out)
        case (.object(let object), .structure(let fields)):
            var out: [SQLValue.StructField] = []
            for field in fields {
                out.append(.init(field.name, try value(object[field.name] ?? object[field.name.lowercased()] ?? .null, as: field.type, column: column)))
            }
            return .structure(out)
        case (.number(let text), .integer):
            guard let number = Int32(text) else { throw mismatch() }
            return .integer(number)
        case (.number(let text), .bigint):
            guard let number = Int64(text) else { throw mismatch() }
            return .bigint(number)
        case (.number(let text), .double):
            guard let number = Double(text) else { throw mismatch() }
            return .double(number)
        case (.number(let text), .decimal(let precision, let scale)):
            guard let number = Decimal128(parsing: text), number.scale <= scale, let fitted = number.fitted(precision: precision, scale: scale) else { throw mismatch() }
            return .decimal(fitted)
        case (.string(let text), _):
            do {
                return try ValueCoercion.coerce(.string(text), to: type)
            } catch {
                throw mismatch()
            }
        default: throw mismatch()
        }
    }
}
