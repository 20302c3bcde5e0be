import MartletCore

#if canImport(Glibc)
    import Glibc
#endif

/// Writes columns as Avro records of the registry's layout: magic 0, schema id (4 bytes, big-endian), Avro binary.
///
/// The program is compiled from the registered schema, whether ksqlDB's own or one chosen by its id: a list of operations, one a schema field.
/// Columns of scalars are written by the hot loop; anything else by the recursive `write`.
struct AvroEncoder: Sendable {
    enum Code: UInt8 { case boolean, int32, int64, double, text, constant, general }

    struct Operation: Sendable {
        var code: Code
        /// Of the column in the preorder of `ColumnView`.
        var view: Int
        /// Branch bytes of a union with null; 0xff: no union.
        var nullByte: UInt8 = 0xff
        var valueByte: UInt8 = 0xff
        /// Index into `nodes` (general), or into `constants` (constant, and the default for a null that the schema does not allow).
        var node = -1
        var whenNull = -1
    }

    indirect enum Node: Sendable {
        case boolean, int, long, float, double, bytes
        case micros
        case fixed(size: Int)
        case enumeration([[UInt8]])
        case decimal(size: Int?, from: Int, to: Int)
        case array(Value)
        case map(key: Value, value: Value)
        case entries(key: Value, value: Value)
        case record([Value])
        /// A union of several types, from a struct with a field for each: the branch's byte before the first that is not null.
        case choice([(branch: UInt8, value: Value)])
        /// A schema field that no column fills.
        case constant([UInt8])
    }

    /// A node, where its values are, and what null is.
    struct Value: Sendable {
        var node: Node
        var view: Int
        var nullByte: UInt8 = 0xff
        var valueByte: UInt8 = 0xff
        var whenNull: [UInt8]?
    }

    private let header: [UInt8]
    private var operations: [Operation] = []
    /// Fields of the schema, one an operation; apart, so that an operation is plain bytes.
    private var names: [String] = []
    private var nodes: [Node] = []
    private var constants: [[UInt8]] = []
    /// Bytes that a row needs at most, strings and general values left out.
    private var fixedBytes = 5
    private let unwrapped: Bool

    init(spec: FormatSpec, fields: [Field], schemaID: Int32, schemaText: String?, imports: [SchemaImport] = []) throws(MartletError) {
        let id = UInt32(bitPattern: schemaID)
        header = [0, UInt8(truncatingIfNeeded: id >> 24), UInt8(truncatingIfNeeded: id >> 16), UInt8(truncatingIfNeeded: id >> 8), UInt8(truncatingIfNeeded: id)]
        unwrapped = spec.unwrapSingle && fields.count == 1
        let schema: AvroSchema
        if let schemaText {
            schema = try AvroSchema(parsing: schemaText, imports: imports)
        } else {
            // Side matters for names only, and no name is written.
            schema = try AvroSchema(json: try AvroTranslation.schema(for: fields, spec: spec, side: .value))
        }
        var compiler = AvroWriteCompiler(schema: schema)
        if unwrapped {
            add(try compiler.value(schema.root, fields[0].type, view: 0, path: fields[0].name, defaultValue: nil), name: fields[0].name)
            return
        }
        guard case .record(let record) = schema.resolved(schema.root) else {
            throw MartletError(.schemaIncompatible, "several columns need a record, the schema is \(schema.root.name)")
        }
        for (field, value) in zip(record.fields, try compiler.members(of: record, fields, view: 0, path: "")) { add(value, name: field.name) }
    }

    private mutating func add(_ value: Value, name: String) {
        var operation = Operation(code: .general, view: value.view, nullByte: value.nullByte, valueByte: value.valueByte)
        names.append(name)
        if let bytes = value.whenNull {
            operation.whenNull = constants.count
            constants.append(bytes)
            fixedBytes += bytes.count
        }
        switch value.node {
        case .boolean: operation.code = .boolean
        case .int: operation.code = .int32
        case .long: operation.code = .int64
        case .double: operation.code = .double
        case .bytes: operation.code = .text
        case .constant(let bytes):
            operation.code = .constant
            operation.node = constants.count
            constants.append(bytes)
            fixedBytes += bytes.count
        default:
            operation.node = nodes.count
            nodes.append(value.node)
        }
        fixedBytes += 11
        operations.append(operation)
    }

    /// An operation with the pointers of one batch: all the hot loop reads, in 32 bytes.
    private struct Cell {
        var values: UnsafeRawPointer
        var valid: UnsafePointer<Bool>?
        var operation: Int32
        var code: Code
        var nullByte: UInt8
        var valueByte: UInt8
    }

    func encode(_ rows: EncodeRows, into out: inout EncodedColumn, errors: inout RowErrors) {
        let fixedBytes = fixedBytes
        let header = header.withUnsafeBytes { ($0.loadUnaligned(as: UInt32.self), $0[4]) }
        withUnsafeTemporaryAllocation(of: Cell.self, capacity: operations.count) { cells in
            rows.forEach(
                into: &out,
                prepare: { views, _ in
                    for (i, operation) in operations.enumerated() {
                        let view = views[operation.code == .constant ? 0 : operation.view]
                        cells.initializeElement(
                            at: i,
                            to: Cell(
                                values: view.values, valid: operation.code == .constant ? nil : view.valid, operation: Int32(i),
                                code: operation.code, nullByte: operation.nullByte, valueByte: operation.valueByte))
                    }
                    return views
                }
            ) { row, views, writer in
                if unwrapped, !views[0].isValid(row) { return .null }
                writer.reserve(fixedBytes)
                var p = writer.end
                UnsafeMutableRawPointer(p).storeBytes(of: header.0, as: UInt32.self)
                p[4] = header.1
                p += 5
                for cell in cells {
                    if let valid = cell.valid, !valid[row] {
                        let whenNull = operations[Int(cell.operation)].whenNull
                        if cell.nullByte != 0xff {
                            p.pointee = cell.nullByte
                            p += 1
                        } else if whenNull >= 0 {
                            p = put(constants[whenNull], p)
                        } else {
                            let name = names[Int(cell.operation)]
                            errors.add(row: row, column: name, "the schema does not allow a null for \(name)")
                            return .failed
                        }
                        continue
                    }
                    // Written always, kept only for a union.
                    p.pointee = cell.valueByte
                    p += cell.nullByte != 0xff ? 1 : 0
                    switch cell.code {
                    case .double:
                        UnsafeMutableRawPointer(p).storeBytes(
                            of: cell.values.assumingMemoryBound(to: UInt64.self)[row].littleEndian, as: UInt64.self)
                        p += 8
                    case .int32: p = Self.putVarint(Int64(cell.values.assumingMemoryBound(to: Int32.self)[row]), p)
                    case .int64: p = Self.putVarint(cell.values.assumingMemoryBound(to: Int64.self)[row], p)
                    case .boolean:
                        p.pointee = cell.values.assumingMemoryBound(to: Bool.self)[row] ? 1 : 0
                        p += 1
                    case .text:
                        let text = views[operations[Int(cell.operation)].view].text(row)
                        p = Self.putVarint(Int64(text.count), p)
                        writer.count = p - writer.base
                        writer.reserve(text.count + fixedBytes)
                        p = writer.end
                        if let start = text.baseAddress { memcpy(p, start, text.count) }
                        p += text.count
                    case .constant: p = put(constants[operations[Int(cell.operation)].node], p)
                    case .general:
                        let operation = operations[Int(cell.operation)]
                        writer.count = p - writer.base
                        if let problem = write(nodes[operation.node], view: operation.view, row, views, &writer) {
                            errors.add(row: row, column: names[Int(cell.operation)], "\(problem)")
                            return .failed
                        }
                        writer.reserve(fixedBytes)
                        p = writer.end
                    }
                }
                writer.count = p - writer.base
                return .written
            }
        }
    }

    private func put(_ bytes: [UInt8], _ p: UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<UInt8> {
        for i in 0..<bytes.count { p[i] = bytes[i] }
        return p + bytes.count
    }

    @inline(__always)
    static func putVarint(_ value: Int64, _ to: UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<UInt8> {
        var rest = UInt64(bitPattern: (value &<< 1) ^ (value &>> 63)), p = to
        while rest >= 0x80 {
            p.pointee = UInt8(truncatingIfNeeded: rest) | 0x80
            rest &>>= 7
            p += 1
        }
        p.pointee = UInt8(truncatingIfNeeded: rest)
        return p + 1
    }

    static func append(varint value: Int64, _ writer: inout ByteWriter) {
        writer.reserve(10)
        writer.count = putVarint(value, writer.end) - writer.base
    }

    private func write(_ value: Value, _ row: Int, _ views: UnsafePointer<ColumnView>, _ writer: inout ByteWriter) -> StaticString? {
        if case .constant(let bytes) = value.node {
            writer.append(bytes)
            return nil
        }
        if !views[value.view].isValid(row) {
            if value.nullByte != 0xff {
                writer.append(value.nullByte)
            } else if let bytes = value.whenNull {
                writer.append(bytes)
            } else {
                return "the schema does not allow a null inside the value"
            }
            return nil
        }
        if value.nullByte != 0xff { writer.append(value.valueByte) }
        return write(value.node, view: value.view, row, views, &writer)
    }

    private func write(_ node: Node, view index: Int, _ row: Int, _ views: UnsafePointer<ColumnView>, _ writer: inout ByteWriter) -> StaticString? {
        let view = views + index
        switch node {
        case .boolean: writer.append(view.pointee.value(Bool.self, row) ? 1 : 0)
        case .int: Self.append(varint: Int64(view.pointee.value(Int32.self, row)), &writer)
        case .long:
            Self.append(
                varint: view.pointee.kind == .integer ? Int64(view.pointee.value(Int32.self, row)) : view.pointee.value(Int64.self, row), &writer)
        case .micros:
            let (micros, over) = view.pointee.value(Int64.self, row).multipliedReportingOverflow(by: 1000)
            if over { return "the timestamp is out of the range of microseconds" }
            Self.append(varint: micros, &writer)
        case .float:
            let bits = Float(view.pointee.value(Double.self, row)).bitPattern.littleEndian
            withUnsafeBytes(of: bits) { for byte in $0 { writer.append(byte) } }
        case .double:
            let value: Double =
                switch view.pointee.kind {
                case .integer: Double(view.pointee.value(Int32.self, row))
                case .bigint: Double(view.pointee.value(Int64.self, row))
                default: view.pointee.value(Double.self, row)
                }
            withUnsafeBytes(of: value.bitPattern.littleEndian) { for byte in $0 { writer.append(byte) } }
        case .bytes:
            let text = view.pointee.text(row)
            Self.append(varint: Int64(text.count), &writer)
            if let start = text.baseAddress { writer.append(start, count: text.count) }
        case .fixed(let size):
            let text = view.pointee.text(row)
            if text.count != size { return "the schema wants another number of bytes" }
            if let start = text.baseAddress { writer.append(start, count: text.count) }
        case .enumeration(let symbols):
            guard let symbol = symbols.firstIndex(where: { $0.elementsEqual(view.pointee.text(row)) }) else { return "the schema's enum has no such symbol" }
            Self.append(varint: Int64(symbol), &writer)
        case .decimal(let size, let from, let to):
            guard let value = Decimal128(unscaled: view.pointee.value(Int128.self, row), scale: from).rescaled(to: to) else {
                return "the decimal does not fit the schema"
            }
            let bytes = Self.bigEndian(value.unscaled)
            if let size {
                if bytes.count > size { return "the decimal does not fit the schema" }
                for _ in bytes.count..<size { writer.append(value.unscaled < 0 ? 0xff : 0) }
            } else {
                Self.append(varint: Int64(bytes.count), &writer)
            }
            writer.append(bytes)
        case .array(let items):
            let range = view.pointee.range(row)
            if !range.isEmpty { Self.append(varint: Int64(range.count), &writer) }
            for i in range {
                if let problem = write(items, i, views, &writer) { return problem }
            }
            writer.append(0)
        case .map(let key, let value), .entries(let key, let value):
            let range = view.pointee.range(row)
            if !range.isEmpty { Self.append(varint: Int64(range.count), &writer) }
            for i in range {
                if let problem = write(key, i, views, &writer) ?? write(value, i, views, &writer) { return problem }
            }
            writer.append(0)
        case .record(let members):
            for member in members {
                if let problem = write(member, row, views, &writer) { return problem }
            }
        case .choice(let members):
            guard let (branch, value) = members.first(where: { views[$0.value.view].isValid(row) }) else {
                return "the schema's union has no branch for a struct of nulls"
            }
            writer.append(branch)
            return write(value.node, view: value.view, row, views, &writer)
        case .constant(let bytes): writer.append(bytes)
        }
        return nil
    }

    /// Two's complement, big-endian, as few bytes as hold the sign.
    static func bigEndian(_ value: Int128) -> [UInt8] {
        var bytes: [UInt8] = [], rest = value
        repeat {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        } while !((rest == 0 && bytes[bytes.count - 1] & 0x80 == 0) || (rest == -1 && bytes[bytes.count - 1] & 0x80 != 0))
        return bytes.reversed()
    }
}

/// Compiles a schema and columns to values that the encoder writes.
private struct AvroWriteCompiler {
    let schema: AvroSchema

    /// One value for each field of the record; `view` is the first field's.
    mutating func members(of record: AvroRecord, _ fields: [Field], view: Int, path: String) throws(MartletError) -> [AvroEncoder.Value] {
        var starts: [Int] = [], next = view, used: Set<Int> = []
        for field in fields {
            starts.append(next)
            next += ColumnView.count(field.type)
        }
        var out: [AvroEncoder.Value] = []
        for one in record.fields {
            let match =
                fields.firstIndex { $0.name == one.name }
                ?? fields.firstIndex { $0.name.uppercased() == one.name.uppercased() }
            if let match {
                used.insert(match)
                out.append(
                    try value(one.type, fields[match].type, view: starts[match], path: path + one.name, defaultValue: one.defaultValue))
            } else if let bytes = try absent(one) {
                out.append(AvroEncoder.Value(node: .constant(bytes), view: view))
            } else {
                throw MartletError(.schemaIncompatible, "field \(path)\(one.name) of the schema has no default and no column fills it")
            }
        }
        if let unused = fields.indices.first(where: { !used.contains($0) }) {
            throw MartletError(.schemaIncompatible, "the schema has no field for column \(SQLType.quoted(fields[unused].name))")
        }
        return out
    }

    private func absent(_ field: AvroField) throws(MartletError) -> [UInt8]? {
        if let standard = field.defaultValue { return try bytes(standard, field.type, path: field.name) }
        if case .union(let branches) = schema.resolved(field.type), let null = branches.firstIndex(of: .null) { return [UInt8(null * 2)] }
        return nil
    }

    mutating func value(_ type: AvroType, _ sql: SQLType, view: Int, path: String, defaultValue: JSONValue?) throws(MartletError)
        -> AvroEncoder.Value
    {
        let resolved = schema.resolved(type)
        if case .union(let branches) = resolved {
            if case .structure(let fields) = sql, branches.count(where: { $0 != .null }) > 1, branches.count < 64 {
                return try choice(branches, fields, view: view, path: path)
            }
            guard branches.count == 2, let null = branches.firstIndex(of: .null) else {
                throw MartletError(.schemaIncompatible, "\(path): only unions of null and one other type can be written")
            }
            return AvroEncoder.Value(
                node: try node(branches[1 - null], sql, view: view, path: path), view: view, nullByte: UInt8(null * 2),
                valueByte: UInt8((1 - null) * 2))
        }
        var out = AvroEncoder.Value(node: try node(resolved, sql, view: view, path: path), view: view)
        if let defaultValue { out.whenNull = try bytes(defaultValue, resolved, path: path) }
        return out
    }

    /// A union from the struct that Connect makes of it. A null struct is the union's null.
    private mutating func choice(_ branches: [AvroType], _ fields: [Field], view: Int, path: String) throws(MartletError) -> AvroEncoder.Value {
        let matches = FieldMatching.match(branches.map { $0 == .null ? "" : AvroTranslation.unionField($0) }, with: fields.map(\.name))
        var members: [(branch: UInt8, value: AvroEncoder.Value)] = [], at = view + 1
        for (i, field) in fields.enumerated() {
            guard let branch = matches.firstIndex(of: i) else {
                throw MartletError(.schemaIncompatible, "\(path): the schema's union has no branch for field \(SQLType.quoted(field.name))")
            }
            let node = try node(branches[branch], field.type, view: at, path: "\(path).\(field.name)")
            members.append((UInt8(branch * 2), AvroEncoder.Value(node: node, view: at)))
            at += ColumnView.count(field.type)
        }
        var out = AvroEncoder.Value(node: .choice(members), view: view)
        if let null = branches.firstIndex(of: .null) { out.whenNull = [UInt8(null * 2)] }
        return out
    }

    private mutating func node(_ type: AvroType, _ sql: SQLType, view: Int, path: String) throws(MartletError) -> AvroEncoder.Node {
        let resolved = schema.resolved(type)
        switch (sql, resolved) {
        case (.boolean, .boolean): return .boolean
        case (.integer, .int), (.date, .int), (.time, .int): return .int
        case (.bigint, .long), (.timestamp, .long(nil)), (.timestamp, .long(.timestampMillis)): return .long
        case (.timestamp, .long(.timestampMicros)): return .micros
        case (.double, .double): return .double
        case (.double, .float): return .float
        case (.string, .string), (.bytes, .bytes(nil)): return .bytes
        case (.bytes, .fixed(_, let size, nil)): return .fixed(size: size)
        case (.string, .enumeration(_, let symbols, _)): return .enumeration(symbols.map { Array($0.utf8) })
        case (.decimal(_, let from), .bytes(.decimal(_, let to))) where to >= from: return .decimal(size: nil, from: from, to: to)
        case (.decimal(_, let from), .fixed(_, let size, .decimal(_, let to))) where to >= from: return .decimal(size: size, from: from, to: to)
        case (.array(let element), .array(let items)):
            return .array(try value(items, element, view: view + 1, path: path + "[]", defaultValue: nil))
        case (.map(let key, let mapped), .map(let values)):
            return .map(
                key: AvroEncoder.Value(node: .bytes, view: view + 1),
                value: try value(values, mapped, view: view + 1 + ColumnView.count(key), path: path + "{}", defaultValue: nil))
        case (.map(let key, let mapped), .array(let items)):
            guard case .record(let entry) = schema.resolved(items), entry.isMapEntry, entry.fields.count == 2 else { break }
            return .entries(
                key: try value(entry.fields[0].type, key, view: view + 1, path: path + ".key", defaultValue: nil),
                value: try value(entry.fields[1].type, mapped, view: view + 1 + ColumnView.count(key), path: path + ".value", defaultValue: nil))
        case (.structure(let fields), .record(let record)):
            return .record(try members(of: record, fields, view: view + 1, path: path + "."))
        default: break
        }
        throw MartletError(.schemaIncompatible, "\(path): a column of type \(sql) cannot be written as \(resolved.name)")
    }

    /// The Avro binary of a default.
    private func bytes(_ json: JSONValue, _ type: AvroType, path: String) throws(MartletError) -> [UInt8] {
        func bad() -> MartletError { MartletError(.schemaInvalid, "\(path): the default does not suit type \(type.name)") }
        func varint(_ value: Int64) -> [UInt8] {
            var writer = ByteWriter(), out: [UInt8] = []
            AvroEncoder.append(varint: value, &writer)
            writer.copy(to: &out)
            return out
        }
        switch (schema.resolved(type), json) {
        case (.null, .null): return []
        case (.boolean, .bool(let value)): return [value ? 1 : 0]
        case (.int, .number), (.long, .number):
            guard let value = json.intValue else { throw bad() }
            return varint(Int64(value))
        case (.float, .number):
            guard let value = json.doubleValue else { throw bad() }
            return withUnsafeBytes(of: Float(value).bitPattern.littleEndian) { Array($0) }
        case (.double, .number):
            guard let value = json.doubleValue else { throw bad() }
            return withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
        case (.string, .string(let text)): return varint(Int64(text.utf8.count)) + Array(text.utf8)
        // Bytes are given as text whose code points 0…255 are the bytes (specification).
        case (.bytes, .string(let text)):
            return varint(Int64(text.unicodeScalars.count)) + text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
        case (.fixed(_, let size, _), .string(let text)) where text.unicodeScalars.count == size:
            return text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
        case (.enumeration(_, let symbols, _), .string(let text)):
            guard let index = symbols.firstIndex(of: text) else { throw bad() }
            return varint(Int64(index))
        case (.array(let items), .array(let values)):
            var out = values.isEmpty ? [] : varint(Int64(values.count))
            for value in values { out += try bytes(value, items, path: path) }
            return out + [0]
        case (.map(let values), .object(let object)):
            var out = object.members.isEmpty ? [] : varint(Int64(object.members.count))
            for member in object.members {
                out += varint(Int64(member.name.utf8.count)) + Array(member.name.utf8)
                out += try bytes(member.value, values, path: path)
            }
            return out + [0]
        case (.record(let record), .object(let object)):
            var out: [UInt8] = []
            for field in record.fields {
                guard let value = object[field.name] ?? field.defaultValue else { throw bad() }
                out += try bytes(value, field.type, path: "\(path).\(field.name)")
            }
            return out
        case (.union(let branches), _):
            // A union's default is of its first branch.
            guard let first = branches.first else { throw bad() }
            return [0] + (try bytes(json, first, path: path))
        default: throw bad()
        }
    }
}
