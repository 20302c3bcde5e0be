import MartletCore

/// A file as the message `FileDescriptorProto`, in which protoc hands it on and some clients register it (Protocol Buffers, "descriptor.proto").
///
/// Of the options those that change data are kept: `packed`, `map_entry`, and Connect's hints.
enum ProtobufDescriptorCoding {
    // MARK: reading

    /// Whether a text may be such a message in base64, rather than .proto text.
    static func decodeBase64(_ text: String) -> [UInt8]? {
        var text = text
        guard text.utf8.allSatisfy({ ($0 | 0x20) &- 0x61 < 26 || $0 &- 0x30 < 10 || $0 == 0x2b || $0 == 0x2f || $0 == 0x3d }) else { return nil }
        return text.withUTF8 { Base64.decode($0) }
    }

    /// - Throws: `.schemaInvalid`.
    static func file(_ bytes: [UInt8]) throws(MartletError) -> ProtobufFile {
        let descriptor = try Fields(bytes[...])
        var out = ProtobufFile(syntax: descriptor.text(12).flatMap { .init(rawValue: $0) } ?? .proto2, package: descriptor.text(2) ?? "")
        let publicly = Set(descriptor.numbers(10)), weak = Set(descriptor.numbers(11))
        for (i, path) in descriptor.all(3).enumerated() {
            let kind: ProtobufFile.Import.Kind = publicly.contains(i) ? .publicly : weak.contains(i) ? .weak : .plain
            out.imports.append(.init(String(decoding: path, as: UTF8.self), kind))
        }
        for bytes in descriptor.all(5) { out.enums.append(try enumeration(bytes)) }
        for bytes in descriptor.all(4) { out.messages.append(try message(bytes, isProto3: out.syntax == .proto3, depth: 0)) }
        return out
    }

    private static func message(_ bytes: ArraySlice<UInt8>, isProto3: Bool, depth: Int) throws(MartletError) -> ProtobufFile.Message {
        if depth > 60 { throw MartletError(.schemaInvalid, "Protobuf descriptor: nested deeper than 60 levels") }
        let descriptor = try Fields(bytes)
        var out = ProtobufFile.Message(descriptor.text(1) ?? "")
        var entries: [String: ProtobufFile.Message] = [:]
        for bytes in descriptor.all(3) {
            let inner = try message(bytes, isProto3: isProto3, depth: depth + 1)
            // MessageOptions.map_entry
            if let options = try Fields(bytes).first(7), try Fields(options).number(7) == 1 { entries[inner.name] = inner } else { out.messages.append(inner) }
        }
        for bytes in descriptor.all(4) { out.enums.append(try enumeration(bytes)) }
        var members: [[ProtobufFile.FieldDeclaration]] = []
        for bytes in descriptor.all(2) {
            let one = try Fields(bytes)
            var field = try self.field(one, isProto3: isProto3)
            if let entry = field.type.split(separator: ".").last.flatMap({ entries[String($0)] }), entry.fields.count == 2 {
                field.label = .none
                field.mapKey = entry.fields[0].type
                field.type = entry.fields[1].type
            }
            if let oneof = one.number(9), one.number(17) != 1 {
                guard oneof < 1000 else { throw MartletError(.schemaInvalid, "Protobuf descriptor: oneof \(oneof)") }
                while members.count <= oneof { members.append([]) }
                field.label = .none
                members[oneof].append(field)
            } else {
                out.fields.append(field)
            }
        }
        for (i, bytes) in descriptor.all(8).enumerated() where i < members.count && !members[i].isEmpty {
            out.oneofs.append(.init(name: try Fields(bytes).text(1) ?? "", fields: members[i], options: []))
        }
        var reserved: [String] = []
        for bytes in descriptor.all(9) {
            let range = try Fields(bytes), low = range.number(1) ?? 0, high = (range.number(2) ?? 0) - 1
            reserved.append(low == high ? "\(low)" : high >= 536_870_911 ? "\(low) to max" : "\(low) to \(high)")
        }
        if !reserved.isEmpty { out.reserved.append("reserved \(reserved.joined(separator: ", "));") }
        let names = descriptor.all(10).map { ProtobufText.quoted(String(decoding: $0, as: UTF8.self)) }
        if !names.isEmpty { out.reserved.append("reserved \(names.joined(separator: ", "));") }
        return out
    }

    private static let scalars: [Int: ProtobufScalar] = [
        1: .double, 2: .float, 3: .int64, 4: .uint64, 5: .int32, 6: .fixed64, 7: .fixed32, 8: .bool, 9: .string, 12: .bytes, 13: .uint32,
        15: .sfixed32, 16: .sfixed64, 17: .sint32, 18: .sint64,
    ]

    private static func field(_ one: Fields, isProto3: Bool) throws(MartletError) -> ProtobufFile.FieldDeclaration {
        let type: String
        switch one.number(5) ?? 0 {
        case 11, 14: type = one.text(6) ?? ""
        case let number:
            guard let scalar = scalars[number] else { throw MartletError(.schemaInvalid, "Protobuf descriptor: a field of type \(number)") }
            type = scalar.rawValue
        }
        let label: ProtobufFile.FieldDeclaration.Label
        switch one.number(4) ?? 1 {
        case 2: label = .required
        case 3: label = .repeated
        default: label = !isProto3 || one.number(17) == 1 ? .optional : .none
        }
        var options: [ProtobufFile.Option] = []
        if let standard = one.text(7) {
            options.append(.init("default", type == "string" || type == "bytes" ? .text(standard) : .word(standard)))
        }
        if let bytes = one.first(8) {
            let given = try Fields(bytes)
            if let packed = given.number(2) { options.append(.init("packed", .word(packed == 1 ? "true" : "false"))) }
            if let deprecated = given.number(3) { options.append(.init("deprecated", .word(deprecated == 1 ? "true" : "false"))) }
            if let meta = given.first(connectMeta) {
                let meta = try Fields(meta)
                var members: [ProtobufFile.Option] = []
                if let doc = meta.text(1) { members.append(.init("doc", .text(doc))) }
                var parameters: [ProtobufFile.Option.Value] = []
                for entry in meta.all(2) {
                    let pair = try Fields(entry)
                    parameters.append(.message([.init("value", .text(pair.text(2) ?? "")), .init("key", .text(pair.text(1) ?? ""))]))
                }
                if !parameters.isEmpty { members.append(.init("params", .list(parameters))) }
                options.append(.init("(confluent.field_meta)", .message(members)))
            }
        }
        guard let name = one.text(1), let number = one.number(3) else { throw MartletError(.schemaInvalid, "Protobuf descriptor: a field has a name and a number") }
        return ProtobufFile.FieldDeclaration(label, type, name, number, options: options)
    }

    /// Number of the extension `confluent.field_meta`.
    private static let connectMeta = 1088

    private static func enumeration(_ bytes: ArraySlice<UInt8>) throws(MartletError) -> ProtobufFile.Enumeration {
        let descriptor = try Fields(bytes)
        var out = ProtobufFile.Enumeration(name: descriptor.text(1) ?? "", constants: [], options: [], reserved: [])
        for bytes in descriptor.all(2) {
            let one = try Fields(bytes)
            out.constants.append(.init(name: one.text(1) ?? "", number: one.number(2) ?? 0, options: []))
        }
        if let options = descriptor.first(3), try Fields(options).number(2) == 1 { out.options.append(.init("allow_alias", .word("true"))) }
        return out
    }

    /// The fields of one message, by number.
    private struct Fields {
        private enum Value {
            case number(UInt64)
            case bytes(ArraySlice<UInt8>)
        }
        private var values: [Int: [Value]] = [:]

        init(_ bytes: ArraySlice<UInt8>) throws(MartletError) {
            var rest = bytes
            func cut() -> MartletError { MartletError(.schemaInvalid, "Protobuf descriptor: the message is cut") }
            func varint() throws(MartletError) -> UInt64 {
                var value: UInt64 = 0, shift: UInt64 = 0
                while let byte = rest.popFirst() {
                    value |= UInt64(byte & 0x7f) << shift
                    if byte & 0x80 == 0 { return value }
                    shift += 7
                    if shift > 63 { break }
                }
                throw cut()
            }
            while !rest.isEmpty {
                let tag = try varint(), number = Int(truncatingIfNeeded: tag >> 3)
                switch tag & 7 {
                case 0: values[number, default: []].append(.number(try varint()))
                case 2:
                    let length = try varint()
                    guard length <= UInt64(rest.count) else { throw cut() }
                    values[number, default: []].append(.bytes(rest.prefix(Int(length))))
                    rest = rest.dropFirst(Int(length))
                case 1, 5:
                    let size = tag & 7 == 1 ? 8 : 4
                    guard rest.count >= size else { throw cut() }
                    rest = rest.dropFirst(size)
                default: throw cut()
                }
            }
        }

        func all(_ number: Int) -> [ArraySlice<UInt8>] {
            (values[number] ?? []).compactMap { if case .bytes(let bytes) = $0 { bytes } else { nil } }
        }

        func first(_ number: Int) -> ArraySlice<UInt8>? { all(number).last }

        func text(_ number: Int) -> String? { first(number).map { String(decoding: $0, as: UTF8.self) } }

        func numbers(_ number: Int) -> [Int] {
            (values[number] ?? []).compactMap { if case .number(let value) = $0 { Int(truncatingIfNeeded: Int64(bitPattern: value)) } else { nil } }
        }

        func number(_ number: Int) -> Int? { numbers(number).last }
    }

    // MARK: writing

    /// - `name`: what the file is called by those that import it.
    static func descriptor(of schema: ProtobufSchema, name: String) -> [UInt8] {
        var out: [UInt8] = []
        put(1, name, &out)
        if !schema.file.package.isEmpty { put(2, schema.file.package, &out) }
        for one in schema.file.imports { put(3, one.path, &out) }
        for message in schema.file.messages { put(4, descriptor(of: message, in: schema.file.package, schema), &out) }
        for enumeration in schema.file.enums { put(5, descriptor(of: enumeration), &out) }
        for (i, one) in schema.file.imports.enumerated() where one.kind == .publicly { put(10, i, &out) }
        put(12, (schema.file.syntax ?? .proto2).rawValue, &out)
        return out
    }

    private static func put(_ field: Int, _ value: Int, _ out: inout [UInt8]) {
        out += ProtobufNumber.varint(UInt64(field) << 3) + ProtobufNumber.varint(UInt64(bitPattern: Int64(value)))
    }

    private static func put(_ field: Int, _ bytes: [UInt8], _ out: inout [UInt8]) {
        out += ProtobufNumber.varint(UInt64(field) << 3 | 2) + ProtobufNumber.varint(UInt64(bytes.count)) + bytes
    }

    private static func put(_ field: Int, _ text: String, _ out: inout [UInt8]) { put(field, Array(text.utf8), &out) }

    private static func descriptor(of message: ProtobufFile.Message, in scope: String, _ schema: ProtobufSchema) -> [UInt8] {
        let name = scope.isEmpty ? message.name : "\(scope).\(message.name)"
        let resolved = schema.messages[name]
        var out: [UInt8] = []
        put(1, message.name, &out)
        var synthetic: [String] = [], entries: [[UInt8]] = []
        for declared in message.fields + message.oneofs.flatMap(\.fields) {
            guard let field = resolved?.fields.first(where: { $0.number == declared.number }) else { continue }
            var oneof = field.oneof
            let isProto3Optional = schema.file.syntax == .proto3 && declared.label == .optional
            if isProto3Optional {
                // A field that is optional in proto3 stands in a oneof of its own.
                oneof = message.oneofs.count + synthetic.count
                synthetic.append("_" + field.name)
            }
            put(2, descriptor(of: field, oneof: oneof, isProto3Optional: isProto3Optional, declared), &out)
            if declared.mapKey != nil, case .message(let entry) = field.kind, let fields = schema.messages[entry]?.fields {
                var one: [UInt8] = [], options: [UInt8] = []
                put(1, String(entry.split(separator: ".").last ?? ""), &one)
                for field in fields { put(2, descriptor(of: field, oneof: nil, isProto3Optional: false, nil), &one) }
                put(7, 1, &options)
                put(7, options, &one)
                entries.append(one)
            }
        }
        for inner in message.messages { put(3, descriptor(of: inner, in: name, schema), &out) }
        for entry in entries { put(3, entry, &out) }
        for enumeration in message.enums { put(4, descriptor(of: enumeration), &out) }
        for oneof in message.oneofs.map(\.name) + synthetic {
            var one: [UInt8] = []
            put(1, oneof, &one)
            put(8, one, &out)
        }
        return out
    }

    private static func descriptor(of field: ProtobufField, oneof: Int?, isProto3Optional: Bool, _ declared: ProtobufFile.FieldDeclaration?) -> [UInt8] {
        var out: [UInt8] = []
        put(1, field.name, &out)
        put(3, field.number, &out)
        put(4, field.isRepeated ? 3 : field.isRequired ? 2 : 1, &out)
        switch field.kind {
        case .scalar(let scalar): put(5, scalars.first { $0.value == scalar }?.key ?? 9, &out)
        case .message(let name):
            put(5, 11, &out)
            put(6, "." + name, &out)
        case .enumeration(let name):
            put(5, 14, &out)
            put(6, "." + name, &out)
        }
        if let standard = field.defaultText { put(7, standard, &out) }
        if let packed = declared?.option("packed")?.text {
            var options: [UInt8] = []
            put(2, packed == "true" ? 1 : 0, &options)
            put(8, options, &out)
        }
        if let oneof { put(9, oneof, &out) }
        if isProto3Optional { put(17, 1, &out) }
        return out
    }

    private static func descriptor(of enumeration: ProtobufFile.Enumeration) -> [UInt8] {
        var out: [UInt8] = []
        put(1, enumeration.name, &out)
        for constant in enumeration.constants {
            var one: [UInt8] = []
            put(1, constant.name, &one)
            put(2, constant.number, &one)
            put(2, one, &out)
        }
        if enumeration.options.contains(where: { $0.name == "allow_alias" && $0.value.text == "true" }) {
            var options: [UInt8] = []
            put(2, 1, &options)
            put(3, options, &out)
        }
        return out
    }
}

extension ProtobufSchema {
    /// The text of a schema that a client gives as text or as a file descriptor in base64.
    /// - Throws: `.schemaInvalid`.
    public static func text(ofRegistered text: String) throws(MartletError) -> String {
        if let bytes = ProtobufDescriptorCoding.decodeBase64(text) { return ProtobufText.text(of: try ProtobufDescriptorCoding.file(bytes)) }
        return try canonicalText(of: text)
    }

    /// The file's descriptor in base64.
    public func descriptorText(name: String) -> String {
        let bytes = ProtobufDescriptorCoding.descriptor(of: self, name: name)
        var writer = ByteWriter(), out: [UInt8] = []
        bytes.withUnsafeBufferPointer { Base64.encode($0, to: &writer) }
        writer.copy(to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// The file with imports and options by name and fields by number: equal for declarations that differ only in such order.
    public static func normalizedText(of text: String) throws(MartletError) -> String {
        var file = try ProtobufParser.parse(text)
        file.imports.sort { $0.path < $1.path }
        file.options.sort { $0.name < $1.name }
        func ordered(_ message: ProtobufFile.Message) -> ProtobufFile.Message {
            var out = message
            out.fields.sort { $0.number < $1.number }
            out.options.sort { $0.name < $1.name }
            out.messages = out.messages.map(ordered)
            return out
        }
        file.messages = file.messages.map(ordered)
        return ProtobufText.text(of: file)
    }
}
