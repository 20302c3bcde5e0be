import MartletColumns
import MartletCore
import MartletEngine
import MartletSQL

/// One side of a topic: turns a case's JSON into the bytes that a client would have written, and bytes back into comparable values.
struct CaseFormat {
    var kind: FormatKind
    /// How the engine's side of the topic is set up, and its columns; empty where no source is declared on it.
    var spec: FormatSpec
    var fields: [Field]
    /// Type of the only column; nil if there are several or none.
    var singleType: SQLType? { fields.count == 1 ? fields[0].type : nil }
    var subject: String
    var registry: SchemaRegistry
    /// Fractions of JSON are compared as exact decimals.
    var exactNumbers: Bool

    /// - Throws: `.badRequest` if the case's value does not fit the format; `.notSupported` for a format that is not there.
    func encode(_ value: JSONValue) throws(MartletError) -> [UInt8]? {
        switch kind {
        case .none: return nil
        case .json: return value.isNull ? nil : Array(Self.plain(value).description.utf8)
        case .jsonSR:
            if value.isNull { return nil }
            return header(try latest().id) + Array(Self.plain(value).description.utf8)
        case .avro:
            if value.isNull { return nil }
            let version = try latest()
            return header(version.id) + (try RegisteredAvro(schema: AvroSchema(parsing: version.schema.text)).encode(value))
        case .delimited: return value.isNull ? nil : Array((value.stringValue ?? value.description).utf8)
        case .kafka: return value.isNull ? nil : try encodeKafka(value)
        case .protobuf:
            if value.isNull { return nil }
            let version = try latest()
            let schema = try ProtobufSchema(parsing: version.schema.text, imports: try registry.imports(of: version.schema))
            let message = try schema.message(named: spec.properties["fullSchemaName"])
            let indexes = schema.indexes(of: message.fullName) ?? [0]
            // The count of indexes and each of them are zigzag numbers of one byte here; the first message's are one 0.
            let place = indexes == [0] ? [0] : ([indexes.count] + indexes).map { UInt8($0 * 2) }
            return header(version.id) + place + (try RegisteredProtobuf(schema: schema, message: message).encode(value))
        case .protobufNoSR: return value.isNull ? nil : try columnsMessage().encode(value)
        }
    }

    /// The message that the topic's columns describe.
    private func columnsMessage() throws(MartletError) -> RegisteredProtobuf {
        let schema = try ProtobufSchema(parsing: try SchemaTranslation.schemaText(for: fields, spec: spec, side: .value))
        return RegisteredProtobuf(schema: schema, message: try schema.message(named: nil))
    }

    private func latest() throws(MartletError) -> SchemaRegistry.Version {
        guard let version = registry.latest(subject: subject) else { throw MartletError(.badRequest, "the case has no schema for \(subject)") }
        return version
    }

    private func header(_ id: Int32) -> [UInt8] { [0] + withUnsafeBytes(of: id.bigEndian) { Array($0) } }

    /// Numbers without exponents.
    private static func plain(_ value: JSONValue) -> JSONValue {
        switch value {
        case .number(let text):
            text.utf8.contains { $0 | 0x20 == UInt8(ascii: "e") } ? .number(BigNumber(text)?.plainText ?? text) : value
        case .array(let values): .array(values.map { plain($0) })
        case .object(let object): .object(JSONObject(object.members.map { .init($0.name, plain($0.value)) }))
        case .null, .bool, .string: value
        }
    }

    private func encodeKafka(_ value: JSONValue) throws(MartletError) -> [UInt8] {
        func integer() throws(MartletError) -> Int64 {
            guard case .number(let text) = value, let number = BigNumber(text)?.truncated else {
                throw MartletError(.badRequest, "case value \(value) is no integer")
            }
            return number
        }
        switch singleType {
        case .integer: return withUnsafeBytes(of: Int32(truncatingIfNeeded: try integer()).bigEndian) { Array($0) }
        case .bigint: return withUnsafeBytes(of: try integer().bigEndian) { Array($0) }
        case .double:
            guard let number = value.doubleValue else { throw MartletError(.badRequest, "case value \(value) is no number") }
            return withUnsafeBytes(of: number.bitPattern.bigEndian) { Array($0) }
        default: return Array((value.stringValue ?? value.description).utf8)
        }
    }

    /// - Throws: `.corruptRecord` if the bytes are not of the format.
    func decode(_ bytes: [UInt8]?) throws(MartletError) -> ActualValue {
        guard let bytes else { return .null }
        switch kind {
        case .none: throw MartletError(.corruptRecord, "format NONE has no bytes")
        case .json: return ActualValue(json: try JSONValue(parsing: bytes), exactNumbers: exactNumbers)
        // Fractions of JSON_SR are doubles to those who wrote the cases: an expected 1 is written 1.0.
        case .jsonSR: return ActualValue(json: try JSONValue(parsing: Array(try body(bytes).body)), exactNumbers: false)
        case .avro:
            let (id, body) = try body(bytes)
            return try RegisteredAvro(schema: AvroSchema(parsing: try registry.writerSchema(id: id).text)).decode(body)
        case .delimited: return .string(String(decoding: bytes, as: UTF8.self))
        case .kafka:
            switch (singleType, bytes.count) {
            case (.integer, 4): return .int(Int32(truncatingIfNeeded: bytes.reduce(Int64(0)) { $0 << 8 | Int64($1) }))
            case (.bigint, 8):
                let long = bytes.reduce(Int64(0)) { $0 << 8 | Int64($1) }
                return Int32(exactly: long).map { .int($0) } ?? .long(long)
            case (.double, 8): return .double(Double(bitPattern: bytes.reduce(0) { $0 << 8 | UInt64($1) }))
            case (.integer, _), (.bigint, _), (.double, _): throw MartletError(.corruptRecord, "\(bytes.count) bytes are no \(singleType!)")
            default: return .string(String(decoding: bytes, as: UTF8.self))
            }
        case .protobuf:
            let (id, rest) = try body(bytes)
            let registered = try registry.writerSchema(id: id)
            let schema = try ProtobufSchema(parsing: registered.text, imports: try registry.imports(of: registered))
            var body = rest, indexes: [Int] = []
            for _ in 0..<(body.popFirst().map { Int($0 / 2) } ?? 0) { indexes.append(Int((body.popFirst() ?? 0) / 2)) }
            guard let message = schema.message(at: indexes.isEmpty ? [0] : indexes) else { throw MartletError(.corruptRecord, "no message at \(indexes)") }
            return try RegisteredProtobuf(schema: schema, message: message).decode(body)
        case .protobufNoSR: return try columnsMessage().decode(bytes[...])
        }
    }

    private func body(_ bytes: [UInt8]) throws(MartletError) -> (id: Int32, body: ArraySlice<UInt8>) {
        guard bytes.count >= 5, bytes[0] == 0 else { throw MartletError(.corruptRecord, "no schema id before the record") }
        return (bytes[1..<5].reduce(Int32(0)) { $0 << 8 | Int32($1) }, bytes[5...])
    }
}

extension CaseFormat {
    /// The format of a topic: of the source on it, else as the case declares it, else KAFKA.
    init(
        of topic: String, _ side: Side, source: Source?, declared: ConformanceCase.Topic?, registry: SchemaRegistry, exactNumbers: Bool
    ) {
        let named = (side == .key ? declared?.keyFormat : declared?.valueFormat).flatMap { FormatKind(rawValue: $0.uppercased()) }
        let spec = (side == .key ? source?.keyFormat : source?.valueFormat) ?? FormatSpec(named ?? .kafka)
        self.init(
            kind: spec.kind, spec: spec, fields: (side == .key ? source?.schema.key : source?.schema.value) ?? [],
            subject: "\(topic)-\(side.rawValue)", registry: registry, exactNumbers: exactNumbers)
    }
}

extension SchemaRegistry {
    /// What a client does that writes to the source's topic: registers what the columns say where nothing is registered.
    func registerMissingSchemas(of source: Source) throws(MartletError) {
        for side in [Side.key, .value] where latest(subject: "\(source.topic)-\(side.rawValue)") == nil {
            _ = try writerSchema(
                of: side == .key ? source.schema.key : source.schema.value, spec: side == .key ? source.keyFormat : source.valueFormat,
                side: side, topic: source.topic)
        }
    }
}
