import MartletCore

/// Columns to Protobuf schemas and back, in the shapes of ksqlDB's sinks.
///
/// A sink's message is `ConnectDefault1`, or what `fullSchemaName` says; nested structs and the entries of maps are numbered on from it in the
/// order they are met. `nullableRepresentation` makes scalars `optional` or wraps them; without it they have no nulls.
enum ProtobufTranslation {
    enum Nullable: String { case optional, wrapper }

    static func nullable(_ spec: FormatSpec) -> Nullable? { spec.properties["nullableRepresentation"].flatMap { Nullable(rawValue: $0.lowercased()) } }

    // MARK: columns → schema

    static func file(for fields: [Field], spec: FormatSpec) throws(MartletError) -> ProtobufFile {
        var writer = Writer(nullable: nullable(spec))
        var file = ProtobufFile()
        var name = spec.properties["fullSchemaName"] ?? writer.nextName()
        if let dot = name.lastIndex(of: ".") {
            file.package = String(name[..<dot])
            name = String(name[name.index(after: dot)...])
        }
        file.messages = [try writer.message(name, fields)]
        file.imports = writer.imports.map { .init($0) }
        return file
    }

    private struct Writer {
        let nullable: Nullable?
        var imports: [String] = []
        private var named = 0

        init(nullable: Nullable?) { self.nullable = nullable }

        mutating func nextName() -> String {
            named += 1
            return "ConnectDefault\(named)"
        }

        mutating func message(_ name: String, _ fields: [Field]) throws(MartletError) -> ProtobufFile.Message {
            var out = ProtobufFile.Message(name)
            for (i, one) in fields.enumerated() { out.fields.append(try field(one, number: i + 1, in: &out)) }
            return out
        }

        private mutating func need(_ path: String) { if !imports.contains(path) { imports.append(path) } }

        private mutating func field(_ field: Field, number: Int, in message: inout ProtobufFile.Message) throws(MartletError)
            -> ProtobufFile.FieldDeclaration
        {
            if let problem = ProtobufSchema.problem(inName: field.name) {
                throw MartletError(.schemaInvalid, "Schema is not compatible with Protobuf: \(problem)")
            }
            var label = nullable == .optional ? ProtobufFile.FieldDeclaration.Label.optional : .none
            var type = field.type
            if case .array(let element) = type {
                label = .repeated
                type = element
            } else if case .map = type {
                label = .repeated
            }
            var out = ProtobufFile.FieldDeclaration(label, "", field.name, number)
            switch type {
            case .boolean: out.type = scalar("bool", "BoolValue")
            case .integer: out.type = scalar("int32", "Int32Value")
            case .bigint: out.type = scalar("int64", "Int64Value")
            case .double: out.type = scalar("double", "DoubleValue")
            case .string: out.type = scalar("string", "StringValue")
            case .bytes: out.type = scalar("bytes", "BytesValue")
            case .decimal(let precision, let scale):
                need("confluent/type/decimal.proto")
                out.type = "confluent.type.Decimal"
                func parameter(_ key: String, _ value: Int) -> ProtobufFile.Option.Value {
                    .message([.init("value", .text("\(value)")), .init("key", .text(key))])
                }
                out.options = [
                    .init(
                        "(confluent.field_meta)",
                        .message([.init("params", .list([parameter("precision", precision), parameter("scale", scale)]))]))
                ]
            case .date:
                need("google/type/date.proto")
                out.type = "google.type.Date"
            case .time:
                need("google/type/timeofday.proto")
                out.type = "google.type.TimeOfDay"
            case .timestamp:
                need("google/protobuf/timestamp.proto")
                out.type = "google.protobuf.Timestamp"
            case .structure(let fields):
                out.type = nextName()
                message.messages.append(try self.message(out.type, fields))
            case .map(let key, let value):
                guard key == .string else { throw MartletError(.notSupported, "PROTOBUF format only supports MAP types with STRING keys") }
                if case .array = value { throw MartletError(.notSupported, "PROTOBUF maps of arrays: Array cannot be nested") }
                out.type = nextName() + "Entry"
                message.messages.append(try self.message(out.type, [Field("key", .string), Field("value", value)]))
            case .array: throw MartletError(.notSupported, "PROTOBUF arrays of arrays: Array cannot be nested", hint: "put the inner array in a STRUCT")
            }
            if case .map = type, case .array = field.type {
                throw MartletError(.notSupported, "PROTOBUF arrays of maps: Map cannot be nested", hint: "put the map in a STRUCT")
            }
            return out
        }

        private mutating func scalar(_ plain: String, _ wrapper: String) -> String {
            guard nullable == .wrapper else { return plain }
            need("google/protobuf/wrappers.proto")
            return "google.protobuf.\(wrapper)"
        }
    }

    // MARK: schema → columns

    /// The columns that a message declares: first each oneof as a STRUCT called `name_index`, then the fields outside of oneofs.
    ///
    /// - Throws: `.notSupported` for messages that contain themselves.
    static func fields(of message: ProtobufMessage, _ schema: ProtobufSchema, keepsCase: Bool) throws(MartletError) -> [Field] {
        try fields(of: message, schema, keepsCase: keepsCase, path: "", open: [message.fullName])
    }

    static func oneofName(_ message: ProtobufMessage, _ index: Int) -> String { "\(message.oneofs[index])_\(index)" }

    private static func fields(of message: ProtobufMessage, _ schema: ProtobufSchema, keepsCase: Bool, path: String, open: Set<String>)
        throws(MartletError) -> [Field]
    {
        func cased(_ name: String) -> String { keepsCase ? name : name.uppercased() }
        func field(_ one: ProtobufField) throws(MartletError) -> Field {
            Field(cased(one.name), try type(of: one, schema, keepsCase: keepsCase, path: path.isEmpty ? one.name : "\(path).\(one.name)", open: open))
        }
        var out: [Field] = []
        for index in message.oneofs.indices {
            var members: [Field] = []
            for one in message.fields where one.oneof == index { members.append(try field(one)) }
            out.append(Field(cased(oneofName(message, index)), .structure(members)))
        }
        for one in message.fields where one.oneof == nil { out.append(try field(one)) }
        return out
    }

    private static func type(of field: ProtobufField, _ schema: ProtobufSchema, keepsCase: Bool, path: String, open: Set<String>)
        throws(MartletError) -> SQLType
    {
        let single: SQLType
        switch field.kind {
        case .scalar(let scalar): single = type(of: scalar)
        case .enumeration: single = .string
        case .message(let name):
            switch ProtobufWellKnown.meaning(name) {
            case .timestamp: single = .timestamp
            case .date: single = .date
            case .timeOfDay: single = .time
            case .decimal:
                let precision = field.precision ?? 38, scale = field.scale ?? 0
                guard (1...38).contains(precision), (0...precision).contains(scale) else {
                    throw MartletError(.notSupported, "\(path): a DECIMAL has at most 38 digits, the schema says precision \(precision), scale \(scale)")
                }
                single = .decimal(precision: precision, scale: scale)
            case .wrapper(let scalar): single = type(of: scalar)
            case nil:
                guard let message = schema.messages[name] else { throw MartletError(.schemaInvalid, "\(path): message \(name) is not declared") }
                if message.isMapEntry, field.isRepeated, message.fields.count == 2 {
                    func inner(_ index: Int, _ step: String) throws(MartletError) -> SQLType {
                        try type(of: message.fields[index], schema, keepsCase: keepsCase, path: path + step, open: open)
                    }
                    // Keys are integers, booleans or text (proto3, "Maps"): all of them become text.
                    return .map(key: .string, value: try inner(1, ".value"))
                }
                if open.contains(name) {
                    throw MartletError(
                        .notSupported, "\(path): message \(name) contains itself, which no SQL type can",
                        hint: "declare the columns that are wanted; the field is then skipped")
                }
                single = .structure(try fields(of: message, schema, keepsCase: keepsCase, path: path, open: open.union([name])))
            }
        }
        return field.isRepeated ? .array(single) : single
    }

    static func type(of scalar: ProtobufScalar) -> SQLType {
        switch scalar {
        case .bool: .boolean
        case .int32, .sint32, .sfixed32: .integer
        // The unsigned ones of 32 bits do not fit an INTEGER; those of 64 wrap.
        case .uint32, .fixed32, .int64, .uint64, .sint64, .fixed64, .sfixed64: .bigint
        case .float, .double: .double
        case .string: .string
        case .bytes: .bytes
        }
    }
}
