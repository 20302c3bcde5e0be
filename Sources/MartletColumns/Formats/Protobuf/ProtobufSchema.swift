import MartletCore

/// The scalar types (Protocol Buffers, "Scalar Value Types").
public enum ProtobufScalar: String, Sendable, Hashable, CaseIterable {
    case double, float, int32, int64, uint32, uint64, sint32, sint64, fixed32, fixed64, sfixed32, sfixed64, bool, string, bytes

    var mayBeMapKey: Bool { self != .double && self != .float && self != .bytes }

    var wire: ProtobufWire {
        switch self {
        case .int32, .int64, .uint32, .uint64, .sint32, .sint64, .bool: .varint
        case .fixed64, .sfixed64, .double: .fixed64
        case .fixed32, .sfixed32, .float: .fixed32
        case .string, .bytes: .delimited
        }
    }

    var mayBePacked: Bool { wire != .delimited }
}

/// How a value lies in a record (Protocol Buffers, "Encoding").
enum ProtobufWire: UInt8, Sendable { case varint = 0, fixed64 = 1, delimited = 2, startGroup = 3, endGroup = 4, fixed32 = 5 }

/// A message with its names resolved.
public struct ProtobufMessage: Sendable, Hashable {
    /// Package, outer messages and name, with dots.
    public var fullName: String
    /// In the order of the declaration: those outside of oneofs, then those inside.
    public var fields: [ProtobufField]
    public var oneofs: [String]
    /// Entries of a map: `key` and `value`. Connect writes maps as repeated messages of that shape whose names end in `Entry`.
    public var isMapEntry: Bool
    /// Whether a column that is a MAP may take it for entries: also where the values are maps again, which Connect knows for lists only.
    var isEntry: Bool { isMapEntry || fullName.hasSuffix("Entry") && fields.map(\.name) == ["key", "value"] && !fields[0].isRepeated }
    var isProto3: Bool

    public var name: Substring { fullName.lastIndex(of: ".").map { fullName[fullName.index(after: $0)...] } ?? fullName[...] }
}

public struct ProtobufField: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case scalar(ProtobufScalar)
        /// By full name.
        case message(String)
        case enumeration(String)
    }

    public var name: String
    public var number: Int
    public var kind: Kind
    public var isRepeated: Bool
    public var isRequired: Bool
    /// Whether a value of zero that was written differs from none: `optional` in proto3, and every message.
    public var hasPresence: Bool
    /// Index of the message's oneof.
    public var oneof: Int?
    public var isPacked: Bool
    /// proto2: the value of a field that is not there.
    public var defaultText: String?
    /// DECIMAL's digits, from Connect's hints.
    public var precision: Int?
    public var scale: Int?

    /// The type as a .proto file has it: `repeated int64`.
    var typeText: String {
        let name =
            switch kind {
            case .scalar(let scalar): scalar.rawValue
            case .message(let full), .enumeration(let full): full
            }
        return isRepeated ? "repeated \(name)" : name
    }
}

public struct ProtobufEnum: Sendable, Hashable {
    public var fullName: String
    public var constants: [ProtobufFile.Enumeration.Constant]

    /// The value of a field that is not there.
    var standard: Int { constants.first?.number ?? 0 }

    /// Of the first constant with a number; a number without one has a name that says so, as in Java.
    func name(of number: Int) -> String {
        constants.first { $0.number == number }?.name
            ?? "UNKNOWN_ENUM_VALUE_\(fullName.split(separator: ".").last ?? "")_\(number)"
    }
}

/// A .proto file with everything it imports, names resolved.
public struct ProtobufSchema: Sendable {
    public let file: ProtobufFile
    /// By full name, imported ones included.
    public private(set) var messages: [String: ProtobufMessage] = [:]
    public private(set) var enums: [String: ProtobufEnum] = [:]

    /// - `imports`: files by the path that `import` says; well-known ones need not be given.
    /// - Throws: `.schemaInvalid` with the place, `.notSupported` for groups and editions.
    public init(parsing text: String, imports: [SchemaImport] = []) throws(MartletError) {
        try self.init(file: try ProtobufParser.parse(text), imports: imports)
    }

    init(file: ProtobufFile, imports: [SchemaImport] = []) throws(MartletError) {
        self.file = file
        var resolver = ProtobufResolver(imports: imports)
        try resolver.add(file)
        (messages, enums) = try resolver.resolve()
    }

    /// A schema's text in the one layout that equal declarations share; imports are not looked at.
    /// - Throws: `.schemaInvalid`.
    public static func canonicalText(of text: String) throws(MartletError) -> String { ProtobufText.text(of: try ProtobufParser.parse(text)) }

    /// The declarations in one fixed layout.
    public var canonicalText: String { ProtobufText.text(of: file) }

    private static func prefixed(_ package: String, _ name: String) -> String { package.isEmpty ? name : "\(package).\(name)" }

    /// The message that a record names by its place: its index in the file, then in the message, and so on.
    public func message(at indexes: [Int]) -> ProtobufMessage? {
        var level = file.messages, name = file.package
        for index in indexes {
            guard level.indices.contains(index) else { return nil }
            name = Self.prefixed(name, level[index].name)
            level = level[index].messages
        }
        return messages[name]
    }

    /// The place of a message of this file; nil if it is not there.
    public func indexes(of fullName: String) -> [Int]? {
        func search(_ level: [ProtobufFile.Message], _ prefix: String) -> [Int]? {
            for (i, message) in level.enumerated() {
                let name = Self.prefixed(prefix, message.name)
                if name == fullName { return [i] }
                if let rest = search(message.messages, name) { return [i] + rest }
            }
            return nil
        }
        return search(file.messages, file.package)
    }

    /// The file's first message, or the one of a full name.
    ///
    /// - Throws: `.schemaInvalid` if there is none.
    public func message(named name: String?) throws(MartletError) -> ProtobufMessage {
        if let name {
            guard let found = messages[name], indexes(of: name) != nil else {
                throw MartletError(.schemaInvalid, "the Protobuf schema has no message \(name)")
            }
            return found
        }
        guard let first = message(at: [0]) else { throw MartletError(.schemaInvalid, "the Protobuf schema has no message") }
        return first
    }

    /// What is wrong with a name; nil for `[A-Za-z_][A-Za-z0-9_]*`.
    static func problem(inName name: String) -> String? {
        func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 || byte == 0x5f }
        guard let first = name.utf8.first, isLetter(first), name.utf8.allSatisfy({ isLetter($0) || $0 &- 0x30 < 10 }) else {
            return "\"\(name)\" is not a valid identifier."
        }
        return nil
    }
}

/// Gathers files and gives every name its meaning.
private struct ProtobufResolver {
    let imports: [SchemaImport]
    private var files: [ProtobufFile] = []
    private var known: Set<String> = []
    private var messageNames: Set<String> = []
    private var enumNames: Set<String> = []

    init(imports: [SchemaImport]) { self.imports = imports }

    mutating func add(_ file: ProtobufFile) throws(MartletError) {
        files.append(file)
        for message in file.messages { try declare(message, in: file.package) }
        for enumeration in file.enums { enumNames.insert(joined(file.package, enumeration.name)) }
        for one in file.imports where known.insert(one.path).inserted {
            guard let text = imports.first(where: { $0.name == one.path })?.text ?? ProtobufWellKnown.file(one.path) else {
                throw MartletError(.schemaInvalid, "Protobuf schema: import \"\(one.path)\" is not among the schema's references")
            }
            try add(try ProtobufParser.parse(text))
        }
    }

    private func joined(_ scope: String, _ name: String) -> String { scope.isEmpty ? name : "\(scope).\(name)" }

    private mutating func declare(_ message: ProtobufFile.Message, in scope: String) throws(MartletError) {
        let name = joined(scope, message.name)
        guard messageNames.insert(name).inserted else { throw MartletError(.schemaInvalid, "Protobuf schema: \(name) is declared twice") }
        for field in message.fields where field.mapKey != nil { messageNames.insert(joined(name, Self.entryName(field.name))) }
        for inner in message.messages { try declare(inner, in: name) }
        for enumeration in message.enums { enumNames.insert(joined(name, enumeration.name)) }
    }

    /// protoc's name for the entries of a map: `some_map` → `SomeMapEntry`.
    private static func entryName(_ field: String) -> String {
        field.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined() + "Entry"
    }

    mutating func resolve() throws(MartletError) -> ([String: ProtobufMessage], [String: ProtobufEnum]) {
        var messages: [String: ProtobufMessage] = [:], enums: [String: ProtobufEnum] = [:]
        for file in files {
            for one in file.enums { enums[joined(file.package, one.name)] = ProtobufEnum(fullName: joined(file.package, one.name), constants: one.constants) }
            for one in file.messages { try resolve(one, in: file.package, isProto3: file.syntax == .proto3, &messages, &enums) }
        }
        // Connect's maps: repeated messages of two fields `key` and `value` called `…Entry`.
        for (name, message) in messages where name.hasSuffix("Entry") && message.fields.map(\.name) == ["key", "value"] {
            if !message.fields.contains(where: { $0.isRepeated }) { messages[name]?.isMapEntry = true }
        }
        return (messages, enums)
    }

    private func resolve(
        _ message: ProtobufFile.Message, in scope: String, isProto3: Bool, _ messages: inout [String: ProtobufMessage],
        _ enums: inout [String: ProtobufEnum]
    ) throws(MartletError) {
        let name = joined(scope, message.name)
        var out = ProtobufMessage(fullName: name, fields: [], oneofs: message.oneofs.map(\.name), isMapEntry: false, isProto3: isProto3)
        for field in message.fields {
            var made = try resolve(field, in: name, isProto3: isProto3)
            if let key = field.mapKey {
                let entry = joined(name, Self.entryName(field.name))
                let keyField = try resolve(.init(.none, key, "key", 1), in: name, isProto3: isProto3)
                var valueField = try resolve(.init(.none, field.type, "value", 2, options: field.options), in: name, isProto3: isProto3)
                valueField.isPacked = false
                messages[entry] = ProtobufMessage(fullName: entry, fields: [keyField, valueField], oneofs: [], isMapEntry: true, isProto3: isProto3)
                made.kind = .message(entry)
                made.isRepeated = true
                made.isPacked = false
            }
            out.fields.append(made)
        }
        for (i, oneof) in message.oneofs.enumerated() {
            for field in oneof.fields {
                var made = try resolve(field, in: name, isProto3: isProto3)
                made.oneof = i
                made.hasPresence = true
                out.fields.append(made)
            }
        }
        messages[name] = out
        for one in message.enums { enums[joined(name, one.name)] = ProtobufEnum(fullName: joined(name, one.name), constants: one.constants) }
        for inner in message.messages { try resolve(inner, in: name, isProto3: isProto3, &messages, &enums) }
    }

    private func resolve(_ field: ProtobufFile.FieldDeclaration, in scope: String, isProto3: Bool) throws(MartletError) -> ProtobufField {
        let kind: ProtobufField.Kind
        if let scalar = ProtobufScalar(rawValue: field.type) {
            kind = .scalar(scalar)
        } else {
            kind = try named(field.type, in: scope)
        }
        var isMessage = false, isScalarThatPacks = true
        switch kind {
        case .message:
            isMessage = true
            isScalarThatPacks = false
        case .scalar(let scalar): isScalarThatPacks = scalar.mayBePacked
        case .enumeration: break
        }
        let isRepeated = field.label == .repeated
        var out = ProtobufField(
            name: field.name, number: field.number, kind: kind, isRepeated: isRepeated, isRequired: field.label == .required,
            hasPresence: !isRepeated && (isMessage || isProto3 && field.label == .optional), oneof: nil,
            isPacked: isRepeated && isScalarThatPacks && (field.option("packed").map { $0.text == "true" } ?? isProto3),
            defaultText: field.option("default")?.text)
        for option in field.options {
            let meta: ProtobufFile.Option.Value
            switch option.name {
            case "(confluent.field_meta)", "(.confluent.field_meta)": meta = option.value
            case "(confluent.field_meta).params": meta = .message([.init("params", option.value)])
            default: continue
            }
            out.precision = Self.parameter("precision", meta) ?? out.precision
            out.scale = Self.parameter("scale", meta) ?? out.scale
        }
        return out
    }

    /// `params: [{key: "scale", value: "2"}]`, the list or each of its members by itself.
    private static func parameter(_ name: String, _ meta: ProtobufFile.Option.Value) -> Int? {
        guard case .message(let members) = meta else { return nil }
        for member in members where member.name == "params" {
            let entries: [ProtobufFile.Option.Value]
            if case .list(let list) = member.value { entries = list } else { entries = [member.value] }
            for entry in entries where entry["key"]?.text == name { return entry["value"].flatMap { Int($0.text) } }
        }
        return nil
    }

    /// A name means the innermost declaration in the scopes around it.
    private func named(_ name: String, in scope: String) throws(MartletError) -> ProtobufField.Kind {
        func kind(_ full: String) -> ProtobufField.Kind? {
            messageNames.contains(full) ? .message(full) : enumNames.contains(full) ? .enumeration(full) : nil
        }
        if name.hasPrefix(".") {
            if let found = kind(String(name.dropFirst())) { return found }
        } else {
            var scope = scope
            while true {
                if let found = kind(joined(scope, name)) { return found }
                if scope.isEmpty { break }
                scope = scope.lastIndex(of: ".").map { String(scope[..<$0]) } ?? ""
            }
        }
        throw MartletError(.schemaInvalid, "Protobuf schema: \(scope) uses \(name), which is not declared")
    }
}
