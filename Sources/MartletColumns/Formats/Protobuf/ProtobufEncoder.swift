import MartletCore

#if canImport(Glibc)
    import Glibc
#endif

/// Writes columns as Protobuf messages, for the registry after magic 0, the schema's id and the message's place in its file.
///
/// The program is compiled from the registered schema, whether ksqlDB's own or one chosen by its id: one value a column, in the order of field
/// numbers. A field without presence is left out where it is null or zero, which is the same to its readers.
struct ProtobufEncoder: Sendable {
    indirect enum Node: Sendable {
        case scalar(ProtobufScalar)
        case enumeration([(name: [UInt8], number: Int)])
        case timestamp, date, timeOfDay
        case decimal(from: Int, to: Int)
        case wrapper(ProtobufScalar)
        case message([Value])
        case list(Node, isPacked: Bool, view: Int)
        /// A message of the two for each entry.
        case map(key: Value, value: Value)
        /// Of the members that are not null, which should be one.
        case oneof([Value])
    }

    /// A node, where its values are, and the tag that goes before it.
    struct Value: Sendable {
        var tag: [UInt8]
        var node: Node
        var view: Int
        /// Zero is written.
        var hasPresence: Bool
        var isRequired = false
    }

    private let header: [UInt8]
    private let values: [Value]
    private let names: [String]
    private let unwrapped: Bool

    init(spec: FormatSpec, fields: [Field], schemaID: Int32?, schemaText: String?, imports: [SchemaImport]) throws(MartletError) {
        unwrapped = spec.unwrapSingle && fields.count == 1
        let schema: ProtobufSchema
        if let schemaText {
            schema = try ProtobufSchema(parsing: schemaText, imports: imports)
        } else {
            schema = try ProtobufSchema(file: try ProtobufTranslation.file(for: fields, spec: spec))
        }
        let message = try schema.message(named: spec.properties["fullSchemaName"])
        if spec.kind == .protobuf {
            let id = UInt32(bitPattern: schemaID ?? 0), indexes = schema.indexes(of: message.fullName) ?? [0]
            var header: [UInt8] = [0] + (0..<4).map { UInt8(truncatingIfNeeded: id >> UInt32(24 - 8 * $0)) }
            func varint(_ value: Int) { header += ProtobufNumber.varint(UInt64(bitPattern: Int64(value << 1))) }
            if indexes == [0] {
                header.append(0)
            } else {
                varint(indexes.count)
                for index in indexes { varint(index) }
            }
            self.header = header
        } else {
            header = []
        }
        var compiler = ProtobufWriteCompiler(schema: schema)
        let compiled = try compiler.members(of: message, fields, view: 0, path: "")
        values = compiled.map(\.value)
        names = compiled.map(\.name)
    }

    /// What the hot loop writes by itself.
    private enum Code: UInt8 { case general, int32, int64, boolean, double, text }

    /// A value with the pointers of one batch: all the hot loop reads.
    private struct Cell {
        var values: UnsafeRawPointer
        var valid: UnsafePointer<Bool>?
        var index: Int32
        /// The tag's bytes, the first one lowest.
        var tag: UInt32
        var tagLength: UInt8
        var code: Code
        /// Zero is written, or a null is a mistake: the general way knows.
        var keepsZero: Bool
        var isRequired: Bool
    }

    private static func code(_ value: Value, _ kind: ColumnView.Kind) -> Code {
        guard value.tag.count <= 4, case .scalar(let scalar) = value.node else { return .general }
        return switch (scalar, kind) {
        case (.int32, .integer): .int32
        case (.int64, .bigint), (.uint64, .bigint): .int64
        case (.bool, .boolean): .boolean
        case (.double, .double): .double
        case (.string, .string), (.bytes, .bytes): .text
        default: .general
        }
    }

    func encode(_ rows: EncodeRows, into out: inout EncodedColumn, errors: inout RowErrors) {
        // A tag, and at most 10 bytes of a number or a length.
        let fixedBytes = header.count + 16 * values.count + 16
        withUnsafeTemporaryAllocation(of: Cell.self, capacity: max(values.count, 1)) { all in
            let cells = UnsafeMutableBufferPointer(rebasing: all[..<values.count])
            rows.forEach(
                into: &out,
                prepare: { views, _ in
                    for (i, value) in values.enumerated() {
                        let view = views[value.view]
                        let code = Self.code(value, view.kind)
                        cells.initializeElement(
                            at: i,
                            to: Cell(
                                values: view.values, valid: view.valid, index: Int32(i),
                                tag: code == .general ? 0 : value.tag.reversed().reduce(0) { $0 << 8 | UInt32($1) },
                                tagLength: UInt8(truncatingIfNeeded: value.tag.count), code: code, keepsZero: value.hasPresence,
                                isRequired: value.isRequired))
                    }
                    return views
                }
            ) { row, views, writer in
                if unwrapped, !views[0].isValid(row) { return .null }
                if !header.isEmpty { writer.append(header) }
                writer.reserve(fixedBytes)
                var p = writer.end
                for cell in cells {
                    if let valid = cell.valid, !valid[row] {
                        if !cell.isRequired { continue }
                        errors.add(row: row, column: names[Int(cell.index)], "the schema does not allow a null")
                        return .failed
                    }
                    // Written always, kept only with a value after it.
                    UnsafeMutableRawPointer(p).storeBytes(of: cell.tag.littleEndian, as: UInt32.self)
                    let start = p + Int(cell.tagLength)
                    switch cell.code {
                    case .double:
                        let bits = cell.values.assumingMemoryBound(to: UInt64.self)[row]
                        if bits == 0, !cell.keepsZero { continue }
                        UnsafeMutableRawPointer(start).storeBytes(of: bits.littleEndian, as: UInt64.self)
                        p = start + 8
                    case .int32:
                        let value = cell.values.assumingMemoryBound(to: Int32.self)[row]
                        if value == 0, !cell.keepsZero { continue }
                        p = Self.putVarint(UInt64(bitPattern: Int64(value)), start)
                    case .int64:
                        let value = cell.values.assumingMemoryBound(to: Int64.self)[row]
                        if value == 0, !cell.keepsZero { continue }
                        p = Self.putVarint(UInt64(bitPattern: value), start)
                    case .boolean:
                        let value = cell.values.assumingMemoryBound(to: Bool.self)[row]
                        if !value, !cell.keepsZero { continue }
                        start.pointee = value ? 1 : 0
                        p = start + 1
                    case .text:
                        let text = views[values[Int(cell.index)].view].text(row)
                        if text.isEmpty, !cell.keepsZero { continue }
                        p = Self.putVarint(UInt64(text.count), start)
                        writer.count = p - writer.base
                        writer.reserve(text.count + fixedBytes)
                        p = writer.end
                        if let from = text.baseAddress { memcpy(p, from, text.count) }
                        p += text.count
                    case .general:
                        writer.count = p - writer.base
                        if let problem = write(values[Int(cell.index)], row, views, &writer) {
                            errors.add(row: row, column: names[Int(cell.index)], "\(problem)")
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

    @inline(__always)
    private static func putVarint(_ value: UInt64, _ to: UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<UInt8> {
        var rest = value, p = to
        while rest >= 0x80 {
            p.pointee = UInt8(truncatingIfNeeded: rest) | 0x80
            rest &>>= 7
            p += 1
        }
        p.pointee = UInt8(truncatingIfNeeded: rest)
        return p + 1
    }

    /// A field of a message: its tag and value, or nothing.
    private func write(_ value: Value, _ row: Int, _ views: UnsafePointer<ColumnView>, _ writer: inout ByteWriter) -> StaticString? {
        if !views[value.view].isValid(row) { return value.isRequired ? "the schema does not allow a null" : nil }
        switch value.node {
        case .scalar(let scalar):
            let at = writer.count
            writer.append(value.tag)
            let isZero = self.scalar(scalar, views + value.view, row, &writer)
            if isZero, !value.hasPresence { writer.count = at }
            return nil
        case .enumeration(let constants):
            guard let found = constants.first(where: { $0.name.elementsEqual(views[value.view].text(row)) }) else {
                return "the schema's enum has no such constant"
            }
            if found.number == 0, !value.hasPresence { return nil }
            writer.append(value.tag)
            varint(UInt64(bitPattern: Int64(found.number)), &writer)
            return nil
        case .list(let node, let isPacked, let elements):
            return list(node, isPacked, value.tag, elements, views[value.view].range(row), views, &writer)
        case .map(let key, let mapped):
            for i in views[value.view].range(row) {
                writer.append(value.tag)
                let problem = delimited(&writer) { writer in write(key, i, views, &writer) ?? write(mapped, i, views, &writer) }
                if let problem { return problem }
            }
            return nil
        case .oneof(let members):
            // Readers keep the last; a struct that fills several gives its first, as one member is all a oneof can hold.
            for member in members where views[member.view].isValid(row) { return write(member, row, views, &writer) }
            return nil
        case .timestamp, .date, .timeOfDay, .decimal, .wrapper, .message:
            writer.append(value.tag)
            return body(value.node, value.view, row, views, &writer)
        }
    }

    private func list(
        _ node: Node, _ isPacked: Bool, _ tag: [UInt8], _ elements: Int, _ range: Range<Int>, _ views: UnsafePointer<ColumnView>, _ writer: inout ByteWriter
    ) -> StaticString? {
        if range.isEmpty { return nil }
        for i in range where !views[elements].isValid(i) { return "an array in Protobuf has no null elements" }
        if isPacked {
            writer.append(tag)
            return delimited(&writer) { writer in
                for i in range {
                    if let problem = element(node, elements, i, views, &writer) { return problem }
                }
                return nil
            }
        }
        for i in range {
            writer.append(tag)
            if let problem = element(node, elements, i, views, &writer) { return problem }
        }
        return nil
    }

    private func element(_ node: Node, _ view: Int, _ row: Int, _ views: UnsafePointer<ColumnView>, _ writer: inout ByteWriter) -> StaticString? {
        switch node {
        case .scalar(let scalar):
            _ = self.scalar(scalar, views + view, row, &writer)
            return nil
        case .enumeration(let constants):
            guard let found = constants.first(where: { $0.name.elementsEqual(views[view].text(row)) }) else {
                return "the schema's enum has no such constant"
            }
            varint(UInt64(bitPattern: Int64(found.number)), &writer)
            return nil
        default: return body(node, view, row, views, &writer)
        }
    }

    /// A message with its length.
    private func body(_ node: Node, _ view: Int, _ row: Int, _ views: UnsafePointer<ColumnView>, _ writer: inout ByteWriter) -> StaticString? {
        delimited(&writer) { writer in
            switch node {
            case .message(let members):
                for member in members {
                    if let problem = write(member, row, views, &writer) { return problem }
                }
            case .wrapper(let scalar):
                let at = writer.count
                writer.append(UInt8(8 | scalar.wire.rawValue))
                if self.scalar(scalar, views + view, row, &writer) { writer.count = at }
            case .timestamp:
                let millis = views[view].value(Int64.self, row)
                let seconds = millis >= 0 ? millis / 1000 : -((-(millis + 1)) / 1000) - 1
                number(1, seconds, &writer)
                number(2, (millis - seconds * 1000) * 1_000_000, &writer)
            case .date:
                let civil = CivilDate.civil(days: Int(views[view].value(Int32.self, row)))
                if !(1...9999).contains(civil.year) { return "the date is outside of the years 1 to 9999" }
                number(1, Int64(civil.year), &writer)
                number(2, Int64(civil.month), &writer)
                number(3, Int64(civil.day), &writer)
            case .timeOfDay:
                let millis = Int64(views[view].value(Int32.self, row))
                number(1, millis / 3_600_000, &writer)
                number(2, millis / 60_000 % 60, &writer)
                number(3, millis / 1000 % 60, &writer)
                number(4, millis % 1000 * 1_000_000, &writer)
            case .decimal(let from, let to):
                guard let value = Decimal128(unscaled: views[view].value(Int128.self, row), scale: from).rescaled(to: to) else {
                    return "the decimal does not fit the schema"
                }
                let bytes = AvroEncoder.bigEndian(value.unscaled)
                writer.append(0x0a)
                varint(UInt64(bytes.count), &writer)
                writer.append(bytes)
                number(2, Int64(value.precision), &writer)
                number(3, Int64(to), &writer)
            case .scalar, .enumeration, .list, .map, .oneof: break
            }
            return nil
        }
    }

    /// What `body` writes, after its length.
    private func delimited(_ writer: inout ByteWriter, _ body: (inout ByteWriter) -> StaticString?) -> StaticString? {
        writer.append(0)
        let start = writer.count
        if let problem = body(&writer) { return problem }
        let length = writer.count - start
        if length < 0x80 {
            writer.base[start - 1] = UInt8(length)
            return nil
        }
        let bytes = ProtobufNumber.varint(UInt64(length))
        writer.reserve(bytes.count)
        memmove(writer.base + start - 1 + bytes.count, writer.base + start, length)
        for (i, byte) in bytes.enumerated() { writer.base[start - 1 + i] = byte }
        writer.count = start - 1 + bytes.count + length
        return nil
    }

    private func number(_ field: UInt8, _ value: Int64, _ writer: inout ByteWriter) {
        if value == 0 { return }
        writer.append(field << 3)
        varint(UInt64(bitPattern: value), &writer)
    }

    @inline(__always)
    private func varint(_ value: UInt64, _ writer: inout ByteWriter) {
        writer.reserve(10)
        writer.count = Self.putVarint(value, writer.end) - writer.base
    }

    /// - Returns: whether the value is zero.
    @inline(__always)
    private func scalar(_ scalar: ProtobufScalar, _ view: UnsafePointer<ColumnView>, _ row: Int, _ writer: inout ByteWriter) -> Bool {
        func integer() -> Int64 {
            view.pointee.kind == .integer ? Int64(view.pointee.value(Int32.self, row)) : view.pointee.value(Int64.self, row)
        }
        func real() -> Double {
            switch view.pointee.kind {
            case .integer: Double(view.pointee.value(Int32.self, row))
            case .bigint: Double(view.pointee.value(Int64.self, row))
            default: view.pointee.value(Double.self, row)
            }
        }
        switch scalar {
        case .int32, .int64, .uint64:
            let value = integer()
            varint(UInt64(bitPattern: value), &writer)
            return value == 0
        case .uint32:
            let value = integer()
            varint(UInt64(UInt32(truncatingIfNeeded: value)), &writer)
            return value == 0
        case .sint32, .sint64:
            let value = integer()
            varint(UInt64(bitPattern: (value &<< 1) ^ (value &>> 63)), &writer)
            return value == 0
        case .fixed32, .sfixed32:
            let value = UInt32(truncatingIfNeeded: integer())
            writer.reserve(4)
            UnsafeMutableRawPointer(writer.end).storeBytes(of: value.littleEndian, as: UInt32.self)
            writer.count += 4
            return value == 0
        case .fixed64, .sfixed64:
            let value = integer()
            writer.reserve(8)
            UnsafeMutableRawPointer(writer.end).storeBytes(of: value.littleEndian, as: Int64.self)
            writer.count += 8
            return value == 0
        case .double:
            let bits = real().bitPattern
            writer.reserve(8)
            UnsafeMutableRawPointer(writer.end).storeBytes(of: bits.littleEndian, as: UInt64.self)
            writer.count += 8
            return bits == 0
        case .float:
            let bits = Float(real()).bitPattern
            writer.reserve(4)
            UnsafeMutableRawPointer(writer.end).storeBytes(of: bits.littleEndian, as: UInt32.self)
            writer.count += 4
            return bits == 0
        case .bool:
            let value = view.pointee.value(Bool.self, row)
            writer.append(value ? 1 : 0)
            return !value
        case .string, .bytes:
            let text = view.pointee.text(row)
            varint(UInt64(text.count), &writer)
            if let start = text.baseAddress { writer.append(start, count: text.count) }
            return text.isEmpty
        }
    }
}

/// Compiles a message and columns to values that the encoder writes.
private struct ProtobufWriteCompiler {
    let schema: ProtobufSchema

    /// One value for each column, in the order of field numbers; `view` is the first column's.
    mutating func members(of message: ProtobufMessage, _ fields: [Field], view: Int, path: String) throws(MartletError)
        -> [(name: String, value: ProtobufEncoder.Value)]
    {
        var out: [(name: String, number: Int, value: ProtobufEncoder.Value)] = [], next = view, used: Set<Int> = []
        for field in fields {
            let at = next
            next += ColumnView.count(field.type)
            func isSame(_ name: String, exactly: Bool) -> Bool { exactly ? name == field.name : name.uppercased() == field.name.uppercased() }
            let candidates = message.fields.filter { $0.oneof == nil && !used.contains($0.number) }
            if let match = candidates.first(where: { isSame($0.name, exactly: true) }) ?? candidates.first(where: { isSame($0.name, exactly: false) }) {
                used.insert(match.number)
                out.append((field.name, match.number, try value(match, field.type, view: at, path: path + match.name)))
                continue
            }
            guard case .structure(let branches) = field.type,
                let oneof = message.oneofs.indices.first(where: { isSame(ProtobufTranslation.oneofName(message, $0), exactly: false) })
            else {
                throw MartletError(.schemaIncompatible, "the schema has no field for column \(SQLType.quoted(field.name))")
            }
            var values: [ProtobufEncoder.Value] = [], branchView = at + 1, number = Int.max
            for branch in branches {
                guard let match = message.fields.first(where: { $0.oneof == oneof && $0.name.uppercased() == branch.name.uppercased() }) else {
                    throw MartletError(.schemaIncompatible, "oneof \(message.oneofs[oneof]) has no field \(SQLType.quoted(branch.name))")
                }
                number = min(number, match.number)
                values.append(try value(match, branch.type, view: branchView, path: path + match.name))
                branchView += ColumnView.count(branch.type)
            }
            out.append((field.name, number, .init(tag: [], node: .oneof(values), view: at, hasPresence: true)))
        }
        if let missing = message.fields.first(where: { $0.isRequired && !used.contains($0.number) }) {
            throw MartletError(.schemaIncompatible, "field \(path)\(missing.name) of the schema is required and no column fills it")
        }
        return out.sorted { $0.number < $1.number }.map { ($0.name, $0.value) }
    }

    private func tag(_ number: Int, _ wire: ProtobufWire) -> [UInt8] { ProtobufNumber.varint(UInt64(number) << 3 | UInt64(wire.rawValue)) }

    private mutating func value(_ field: ProtobufField, _ type: SQLType, view: Int, path: String) throws(MartletError) -> ProtobufEncoder.Value {
        if field.isRepeated {
            switch type {
            case .array(let element):
                let node = try node(field, element, view: view + 1, path: path + "[]")
                let wire = field.isPacked ? ProtobufWire.delimited : Self.wire(node)
                return .init(
                    tag: tag(field.number, wire), node: .list(node, isPacked: field.isPacked, view: view + 1), view: view, hasPresence: false)
            case .map(let key, let mapped):
                guard case .message(let name) = field.kind, let entry = schema.messages[name], entry.isEntry else { break }
                return .init(
                    tag: tag(field.number, .delimited),
                    node: .map(
                        key: try value(entry.fields[0], key, view: view + 1, path: path + ".key"),
                        value: try value(entry.fields[1], mapped, view: view + 1 + ColumnView.count(key), path: path + ".value")),
                    view: view, hasPresence: false)
            default: break
            }
            throw mismatch(field, type, path)
        }
        let node = try node(field, type, view: view, path: path)
        return .init(
            tag: tag(field.number, Self.wire(node)), node: node, view: view,
            hasPresence: field.hasPresence || field.isRequired || field.defaultText != nil, isRequired: field.isRequired)
    }

    private static func wire(_ node: ProtobufEncoder.Node) -> ProtobufWire {
        switch node {
        case .scalar(let scalar): scalar.wire
        case .enumeration: .varint
        default: .delimited
        }
    }

    private func mismatch(_ field: ProtobufField, _ type: SQLType, _ path: String) -> MartletError {
        MartletError(
            .schemaIncompatible, "\(path): a column of type \(type) cannot be written as \(field.typeText)")
    }

    private mutating func node(_ field: ProtobufField, _ type: SQLType, view: Int, path: String) throws(MartletError) -> ProtobufEncoder.Node {
        switch field.kind {
        case .scalar(let scalar):
            guard Self.fits(type, scalar) else { throw mismatch(field, type, path) }
            return .scalar(scalar)
        case .enumeration(let name):
            guard type == .string, let constants = schema.enums[name]?.constants else { throw mismatch(field, type, path) }
            return .enumeration(constants.map { (Array($0.name.utf8), $0.number) })
        case .message(let name):
            switch (ProtobufWellKnown.meaning(name), type) {
            case (.timestamp, .timestamp): return .timestamp
            case (.date, .date): return .date
            case (.timeOfDay, .time): return .timeOfDay
            case (.decimal, .decimal(_, let from)):
                guard field.scale ?? from >= from else { throw mismatch(field, type, path) }
                return .decimal(from: from, to: field.scale ?? from)
            case (.wrapper(let scalar), _) where Self.fits(type, scalar): return .wrapper(scalar)
            case (nil, .structure(let fields)):
                guard let message = schema.messages[name] else { throw mismatch(field, type, path) }
                return .message(try members(of: message, fields, view: view + 1, path: path + ".").map(\.value))
            default: throw mismatch(field, type, path)
            }
        }
    }

    private static func fits(_ type: SQLType, _ scalar: ProtobufScalar) -> Bool {
        switch (type, scalar) {
        case (.boolean, .bool), (.string, .string), (.bytes, .bytes), (.double, .double), (.double, .float): true
        case (.integer, .int32), (.integer, .sint32), (.integer, .sfixed32): true
        // SQL has no unsigned types: columns inferred from unsigned fields of 32 bits are BIGINT.
        case (.bigint, .uint32), (.bigint, .fixed32): true
        case (.integer, .int64), (.integer, .sint64), (.integer, .sfixed64), (.integer, .uint64), (.integer, .fixed64): true
        case (.bigint, .int64), (.bigint, .sint64), (.bigint, .sfixed64), (.bigint, .uint64), (.bigint, .fixed64): true
        case (.integer, .double), (.bigint, .double), (.integer, .uint32), (.integer, .fixed32): true
        default: false
        }
    }
}
