import MartletCore

/// How messages of one writer become the wanted columns: compiled once a schema id and message.
///
/// Fields are looked up by number; those that nobody wants are skipped without being read.
struct ProtobufReadPlan: Sendable {
    /// A value; where it goes is the appender's type, whose fit was checked at compilation.
    indirect enum Node: Sendable {
        case scalar(ProtobufScalar)
        /// Index into `enums`.
        case enumeration(Int)
        case timestamp, date, timeOfDay, decimal
        /// A message whose field 1 is the value.
        case wrapper(ProtobufScalar)
        /// Index into `messages`.
        case message(Int)
    }

    struct Member: Sendable {
        var node: Node
        /// Index of the appender among the message's.
        var child: Int
        /// Of the struct's children, if the appender is a oneof's.
        var branch: Int?
        /// Elements of an array, or entries of a map, to be appended to.
        var isRepeated = false
    }

    /// What a child is where the message has no such field.
    enum Absent: Sendable {
        case null
        case zero
        /// An empty array or map; also closes one.
        case list
        /// The value as if it had been written.
        case written([UInt8])
    }

    struct Message: Sendable {
        /// By field number; 0 for those that are skipped, else index + 1 of the member.
        var table: [UInt16] = []
        /// Numbers beyond the table.
        var sparse: [Int: UInt16] = [:]
        var members: [Member] = []
        var absent: [Absent] = []

        @inline(__always)
        func member(_ number: Int) -> Int {
            if number < table.count { return Int(table[number]) - 1 }
            return sparse.isEmpty ? -1 : Int(sparse[number] ?? 0) - 1
        }

        fileprivate mutating func add(_ member: Member, number: Int) {
            members.append(member)
            let place = UInt16(members.count)
            if number < 256 {
                while table.count <= number { table.append(0) }
                table[number] = place
            } else {
                sparse[number] = place
            }
        }
    }

    enum Code: UInt8 { case general, int32, sint32, int64, sint64, uint32, boolean, double, float, text, bytes }

    /// A column of the request that the hot loop can store by itself.
    struct Operation: Sendable {
        var code: Code
        var wire: UInt8
        var field: Int32
    }

    /// The message of the record: its children are the request's fields.
    private(set) var root = Message()
    /// One a member of `root`.
    private(set) var operations: [Operation] = []
    private(set) var messages: [Message] = []
    private(set) var enums: [ProtobufEnum] = []
    /// Wanted flat columns that are null, not zero, where they are not written.
    private(set) var nullFields: [Int] = []
    /// Wanted flat columns with a value of their own for that.
    private(set) var standards: [(field: Int, member: Int, bytes: [UInt8])] = []
    /// Wanted columns of arrays, maps and structs.
    private(set) var nested: [(field: Int, absent: Absent)] = []
    /// Columns without which a row is not wanted.
    let required: [Int]
    private let schema: ProtobufSchema
    /// Messages under compilation or compiled, with what they are read into.
    private var compiled: [Pair: Int] = [:]

    private struct Pair: Hashable {
        var name: String
        var target: [Field]
    }

    /// - Throws: `.schemaIncompatible` if a column cannot hold what the writer wrote.
    init(schema: ProtobufSchema, message: ProtobufMessage, request: DecodeRequest, unwrapped: Bool) throws(MartletError) {
        self.schema = schema
        required = request.notNull
        let outputs = request.outputs
        let isWanted = request.fields.indices.map { outputs[$0] != nil || request.notNull.contains($0) }
        var fields = request.fields
        // A single bare column is the message's first field, whatever its name.
        if unwrapped, fields.count == 1, let first = message.fields.first { fields[0].name = first.name }
        root = try compile(message, fields, isWanted: isWanted)
        for member in root.members {
            let type = request.fields[member.child].type
            var operation = Operation(code: .general, wire: 0, field: Int32(member.child))
            if case .scalar(let scalar) = member.node, member.branch == nil, !member.isRepeated, let code = Self.code(scalar, type) {
                operation.code = code
                operation.wire = scalar.wire.rawValue
            }
            operations.append(operation)
        }
        for (field, absent) in root.absent.enumerated() where isWanted[field] {
            if request.fields[field].type.isNested {
                nested.append((field, absent))
                continue
            }
            switch absent {
            case .null: nullFields.append(field)
            case .zero, .list: break
            case .written(let bytes):
                if let member = root.members.firstIndex(where: { $0.child == field }) { standards.append((field, member, bytes)) }
            }
        }
    }

    private static func code(_ scalar: ProtobufScalar, _ type: SQLType) -> Code? {
        switch (scalar, type) {
        case (.int32, .integer): .int32
        case (.sint32, .integer): .sint32
        case (.int64, .bigint), (.uint64, .bigint): .int64
        case (.sint64, .bigint): .sint64
        case (.uint32, .bigint): .uint32
        case (.bool, .boolean): .boolean
        case (.double, .double): .double
        case (.float, .double): .float
        case (.string, .string): .text
        case (.bytes, .bytes): .bytes
        default: nil
        }
    }

    private mutating func compile(_ message: ProtobufMessage, _ targets: [Field], isWanted: [Bool]?, path: String = "") throws(MartletError)
        -> Message
    {
        var out = Message()
        out.absent = [Absent](repeating: .null, count: targets.count)
        // A oneof is a struct of its own, and so are its members' names.
        let plain = message.fields.filter { $0.oneof == nil }
        let names = message.oneofs.indices.map { ProtobufTranslation.oneofName(message, $0) } + plain.map(\.name)
        let matches = FieldMatching.match(names, with: targets.map(\.name))
        for index in message.oneofs.indices {
            guard let child = matches[index], case .structure(let branches) = targets[child].type else { continue }
            if let isWanted, !isWanted[child] { continue }
            let members = message.fields.filter { $0.oneof == index }
            let branchMatches = FieldMatching.match(members.map(\.name), with: branches.map(\.name))
            for (i, field) in members.enumerated() {
                guard let branch = branchMatches[i] else { continue }
                let node = try compile(field, branches[branch].type, path: "\(path)->\(field.name)")
                out.add(Member(node: node, child: child, branch: branch), number: field.number)
            }
        }
        for (i, field) in plain.enumerated() {
            guard let child = matches[message.oneofs.count + i] else { continue }
            let type = targets[child].type, place = path.isEmpty ? field.name : "\(path)->\(field.name)"
            var element = type
            if field.isRepeated {
                guard let of = try elementType(of: field, type, place) else { throw mismatch(field, type, place) }
                element = of
            } else if case .array = type {
                throw mismatch(field, type, place)
            } else if case .map = type {
                throw mismatch(field, type, place)
            }
            // Compiled even if nobody wants it: a column that cannot hold the writer's type is a mistake, wanted or not.
            let node = try compile(field, element, path: place)
            if let isWanted, !isWanted[child] { continue }
            out.absent[child] = field.isRepeated ? .list : try absent(field)
            out.add(Member(node: node, child: child, isRepeated: field.isRepeated), number: field.number)
        }
        return out
    }

    /// The type that elements of a repeated field are read into: an array's, or a struct of key and value for a map.
    private func elementType(of field: ProtobufField, _ type: SQLType, _ path: String) throws(MartletError) -> SQLType? {
        switch type {
        case .array(let element): return element
        case .map(let key, let value):
            guard case .message(let name) = field.kind, let entry = schema.messages[name], entry.isEntry else { return nil }
            return .structure([Field(entry.fields[0].name, key), Field(entry.fields[1].name, value)])
        default: return nil
        }
    }

    private func absent(_ field: ProtobufField) throws(MartletError) -> Absent {
        if field.hasPresence { return .null }
        switch field.kind {
        case .message: return .null
        case .enumeration(let name):
            guard let type = schema.enums[name] else { return .null }
            let number = field.defaultText.flatMap { text in type.constants.first { $0.name == text }?.number } ?? type.standard
            return .written(ProtobufNumber.varint(UInt64(bitPattern: Int64(number))))
        case .scalar(let scalar):
            guard let text = field.defaultText else { return .zero }
            guard let bytes = ProtobufNumber.encoded(text, scalar) else {
                throw MartletError(.schemaInvalid, "Protobuf schema: the default of \(field.name) is no \(scalar.rawValue)")
            }
            return .written(bytes)
        }
    }

    private func mismatch(_ field: ProtobufField, _ target: SQLType, _ path: String) -> MartletError {
        MartletError(
            .schemaIncompatible, "Cannot deserialize type \(field.typeText) as type \(target) for path: \(path)")
    }

    private mutating func compile(_ field: ProtobufField, _ target: SQLType, path: String) throws(MartletError) -> Node {
        switch field.kind {
        case .scalar(let scalar):
            guard Self.fits(scalar, target) else { throw mismatch(field, target, path) }
            return .scalar(scalar)
        case .enumeration(let name):
            guard target == .string, let type = schema.enums[name] else { throw mismatch(field, target, path) }
            if let known = enums.firstIndex(where: { $0.fullName == name }) { return .enumeration(known) }
            enums.append(type)
            return .enumeration(enums.count - 1)
        case .message(let name):
            switch (ProtobufWellKnown.meaning(name), target) {
            case (.timestamp, .timestamp), (.timestamp, .bigint), (.timestamp, .string): return .timestamp
            case (.date, _) where Self.fits(.int32, target): return .date
            case (.timeOfDay, _) where Self.fits(.int32, target): return .timeOfDay
            case (.decimal, .decimal): return .decimal
            case (.wrapper(let scalar), _) where Self.fits(scalar, target): return .wrapper(scalar)
            case (_, .structure(let fields)):
                guard let message = schema.messages[name] else { throw mismatch(field, target, path) }
                let pair = Pair(name: name, target: fields)
                if let known = compiled[pair] { return .message(known) }
                // The target is finite, so that a message that contains itself ends where the target does.
                let index = messages.count
                messages.append(Message())
                compiled[pair] = index
                messages[index] = try compile(message, fields, isWanted: nil, path: path)
                return .message(index)
            default: throw mismatch(field, target, path)
            }
        }
    }

    /// What ksqlDB's translation of Connect's data takes: whole numbers widen to whole numbers (dates and times are such), FLOAT to DOUBLE,
    /// numbers and booleans become text, nothing else changes its kind.
    private static func fits(_ scalar: ProtobufScalar, _ target: SQLType) -> Bool {
        switch (scalar, target) {
        case (.bytes, .bytes), (.bool, .boolean): true
        case (.bytes, _): false
        case (_, .string): true
        case (.int32, .integer), (.sint32, .integer), (.sfixed32, .integer): true
        case (.int32, .date), (.sint32, .date), (.sfixed32, .date), (.int32, .time), (.sint32, .time), (.sfixed32, .time): true
        case (.bool, _), (.string, _): false
        case (.float, .double), (.double, .double): true
        case (.float, _), (.double, _): false
        case (_, .bigint), (_, .timestamp): true
        default: false
        }
    }
}

/// Numbers on the wire.
enum ProtobufNumber {
    static func varint(_ value: UInt64) -> [UInt8] {
        var out: [UInt8] = [], rest = value
        while rest >= 0x80 {
            out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        out.append(UInt8(truncatingIfNeeded: rest))
        return out
    }

    /// A value as it is written after its tag, from a `default` option's text; nil if the text is no such value.
    static func encoded(_ text: String, _ scalar: ProtobufScalar) -> [UInt8]? {
        func integer() -> Int64? {
            if text.hasPrefix("0x") { return Int64(text.dropFirst(2), radix: 16) }
            return Int64(text) ?? UInt64(text).map { Int64(bitPattern: $0) }
        }
        func double() -> Double? { text == "inf" ? .infinity : text == "-inf" ? -.infinity : text == "nan" ? .nan : Double(text) }
        switch scalar {
        case .bool: return text == "true" ? [1] : text == "false" ? [0] : nil
        case .int32, .int64, .uint32, .uint64: return integer().map { varint(UInt64(bitPattern: $0)) }
        case .sint32, .sint64: return integer().map { varint(UInt64(bitPattern: ($0 &<< 1) ^ ($0 &>> 63))) }
        case .fixed32, .sfixed32: return integer().map { value in withUnsafeBytes(of: UInt32(truncatingIfNeeded: value).littleEndian) { Array($0) } }
        case .fixed64, .sfixed64: return integer().map { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
        case .float: return double().map { value in withUnsafeBytes(of: Float(value).bitPattern.littleEndian) { Array($0) } }
        case .double: return double().map { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } }
        case .string, .bytes: return varint(UInt64(text.utf8.count)) + Array(text.utf8)
        }
    }
}
