import MartletCore

/// How records of one writer's schema become the wanted columns: compiled once a schema id.
struct AvroReadPlan: Sendable {
    /// A value as the writer wrote it; where it goes is the appender's type, whose fit was checked at compilation.
    indirect enum Node: Sendable {
        case null, boolean, int, long, float, double, bytes
        /// Microseconds, wanted as milliseconds.
        case micros
        case fixed(size: Int)
        case enumeration([[UInt8]])
        /// Two's complement, big-endian, of a fixed size or (nil) after a length.
        case decimal(size: Int?, scale: Int)
        case array(Node)
        case map(Node)
        case entries(key: Node, value: Node)
        /// Children to fill with null are those the writer does not write.
        case record([Member], missing: [Int])
        case union([Node])
        /// A union whose branches are the fields of a struct: a node and a child for each; nil: null.
        case choice([Member?])
        /// A record that is only skipped, by full name: it may contain itself.
        case skipped(String)
    }

    struct Member: Sendable {
        var node: Node
        /// Index of the appender's child; nil: skip.
        var child: Int?
    }

    enum Code: UInt8 {
        case boolean, int32, int32ToInt64, int64, float, double, text, bytes
        case skipVarint, skip1, skip4, skip8, skipBytes, general
    }

    /// One field of a flat record: what the hot loop knows by itself, or a general node.
    struct Operation: Sendable {
        var code: Code
        /// First byte if the value is null and if it is not (a union of null and one other type); both 0xff: no union.
        var nullByte: UInt8 = 0xff
        var valueByte: UInt8 = 0xff
        /// Field of the request; −1: none.
        var field: Int
        /// Index into `nodes` of a general operation.
        var node = -1
        var isRequired = false
    }

    private(set) var operations: [Operation] = []
    private(set) var nodes: [Node] = []
    /// Wanted fields that the writer does not write.
    private(set) var missing: [Int] = []
    private(set) var skipped: [String: Node] = [:]
    private let schema: AvroSchema

    /// - Throws: `.schemaIncompatible` if a column cannot hold what the writer wrote.
    init(schema: AvroSchema, request: DecodeRequest, unwrapped: Bool) throws(MartletError) {
        self.schema = schema
        let outputs = request.outputs
        func isWanted(_ field: Int) -> Bool { outputs[field] != nil || request.notNull.contains(field) }
        if unwrapped, let only = request.fields.first {
            try add(schema.root, field: isWanted(0) ? 0 : nil, only, isRequired: request.notNull.contains(0))
            return
        }
        guard case .record(let record) = schema.resolved(schema.root) else {
            throw MartletError(.schemaIncompatible, "expected a record, the writer's schema is \(schema.root.name)")
        }
        var found: Set<Int> = []
        let matches = FieldMatching.match(record.fields.map(\.name), with: request.fields.map(\.name))
        for (i, writer) in record.fields.enumerated() {
            guard let field = matches[i] else {
                try add(writer.type, field: nil, nil, isRequired: false)
                continue
            }
            found.insert(field)
            try add(
                writer.type, field: isWanted(field) ? field : nil, request.fields[field], isRequired: request.notNull.contains(field))
        }
        missing = request.fields.indices.filter { !found.contains($0) && isWanted($0) }
    }

    private mutating func add(_ type: AvroType, field: Int?, _ target: Field?, isRequired: Bool) throws(MartletError) {
        var operation = Operation(code: .general, field: field ?? -1, isRequired: isRequired)
        var inner = schema.resolved(type)
        if case .union(let branches) = inner, branches.count == 2, let null = branches.firstIndex(of: .null) {
            operation.nullByte = null == 0 ? 0 : 2
            operation.valueByte = null == 0 ? 2 : 0
            inner = schema.resolved(branches[1 - null])
        }
        // Compiled even if it is only skipped: a column that cannot hold the writer's type is a mistake, wanted or not.
        let node = try compile(inner, target.map(\.type), path: target?.name ?? "")
        if let code = Self.code(node, field == nil ? nil : target?.type) {
            operation.code = code
        } else {
            operation.node = nodes.count
            nodes.append(field == nil ? try compile(inner, nil, path: "") : node)
        }
        operations.append(operation)
    }

    private static func code(_ node: Node, _ target: SQLType?) -> Code? {
        guard let target else {
            switch node {
            case .boolean: return .skip1
            case .int, .long, .micros, .enumeration: return .skipVarint
            case .float: return .skip4
            case .double: return .skip8
            case .bytes, .decimal(size: nil, _): return .skipBytes
            default: return nil
            }
        }
        switch (node, target) {
        case (.boolean, .boolean): return .boolean
        case (.int, .integer), (.int, .date), (.int, .time): return .int32
        case (.int, .bigint), (.int, .timestamp): return .int32ToInt64
        case (.long, .bigint), (.long, .timestamp): return .int64
        case (.float, .double): return .float
        case (.double, .double): return .double
        case (.bytes, .string): return .text
        case (.bytes, .bytes): return .bytes
        default: return nil
        }
    }

    /// What ksqlDB's translation of Connect's data takes: whole numbers widen to whole numbers (dates and times are such), FLOAT to DOUBLE,
    /// numbers and booleans become text, nothing else changes its kind.
    ///
    /// - `target`: nil if the value is skipped.
    private mutating func compile(_ writer: AvroType, _ target: SQLType?, path: String) throws(MartletError) -> Node {
        let writer = schema.resolved(writer)
        func mismatch(_ target: SQLType) -> MartletError {
            MartletError(.schemaIncompatible, "Cannot deserialize type \(writer.name) as type \(target) for path: \(path)")
        }
        if case .union(let branches) = writer {
            if let target, case .structure(let fields) = target, branches.count(where: { $0 != .null }) > 1 {
                let matches = FieldMatching.match(branches.map { AvroTranslation.unionField($0) }, with: fields.map(\.name))
                var members: [Member?] = []
                for (i, branch) in branches.enumerated() {
                    let type = matches[i].map { fields[$0].type }
                    members.append(branch == .null ? nil : Member(node: try compile(branch, type, path: "\(path)->\(branch.name)"), child: matches[i]))
                }
                return .choice(members)
            }
            var nodes: [Node] = []
            for branch in branches {
                if branch == .null {
                    nodes.append(.null)
                } else {
                    nodes.append(try compile(branch, target, path: path))
                }
            }
            return .union(nodes)
        }
        guard let target else { return try compileSkip(writer) }
        switch (writer, target) {
        case (.boolean, .boolean), (.boolean, .string): return .boolean
        case (.int, .integer), (.int, .bigint), (.int, .string), (.int, .date), (.int, .time), (.int, .timestamp): return .int
        case (.long(.timestampMicros), .timestamp), (.long(.timeMicros), .time): return .micros
        case (.long, .bigint), (.long, .string), (.long, .timestamp): return .long
        case (.float, .double), (.float, .string): return .float
        case (.double, .double), (.double, .string): return .double
        case (.string, .string): return .bytes
        case (.bytes(nil), .bytes): return .bytes
        case (.bytes(.decimal(_, let scale)), .decimal): return .decimal(size: nil, scale: scale)
        case (.fixed(_, let size, .decimal(_, let scale)), .decimal): return .decimal(size: size, scale: scale)
        case (.fixed(_, let size, nil), .bytes): return .fixed(size: size)
        case (.enumeration(_, let symbols, _), .string): return .enumeration(symbols.map { Array($0.utf8) })
        case (.array(let items), .map(let key, let value)):
            guard case .record(let entry) = schema.resolved(items), entry.isMapEntry, entry.fields.count == 2 else { throw mismatch(target) }
            return .entries(
                key: try compile(entry.fields[0].type, key, path: path + "->key"),
                value: try compile(entry.fields[1].type, value, path: path + "->value"))
        case (.array(let items), .array(let element)): return .array(try compile(items, element, path: path + "->[]"))
        case (.map(let values), .map(let key, let value)) where key == .string: return .map(try compile(values, value, path: path + "->{}"))
        case (.record(let record), .structure(let fields)):
            let matches = FieldMatching.match(record.fields.map(\.name), with: fields.map(\.name))
            var members: [Member] = []
            for (i, field) in record.fields.enumerated() {
                let child = matches[i]
                members.append(
                    Member(node: try compile(field.type, child.map { fields[$0].type }, path: "\(path)->\(field.name)"), child: child))
            }
            return .record(members, missing: fields.indices.filter { !matches.contains($0) })
        default: throw mismatch(target)
        }
    }

    private mutating func compileSkip(_ writer: AvroType) throws(MartletError) -> Node {
        switch writer {
        case .null: return .null
        case .boolean: return .boolean
        case .int: return .int
        case .long: return .long
        case .float: return .float
        case .double: return .double
        case .bytes, .string: return .bytes
        case .fixed(_, let size, _): return .fixed(size: size)
        case .enumeration: return .int
        case .array(let items): return .array(try compile(items, nil, path: ""))
        case .map(let values): return .map(try compile(values, nil, path: ""))
        case .union: return try compile(writer, nil, path: "")
        case .record(let record):
            if skipped[record.name] == nil {
                skipped[record.name] = .null
                var members: [Member] = []
                for field in record.fields { members.append(Member(node: try compile(field.type, nil, path: ""), child: nil)) }
                skipped[record.name] = .record(members, missing: [])
            }
            return .skipped(record.name)
        case .named(let name): throw MartletError(.schemaInvalid, "type \(name) is not defined")
        }
    }
}
