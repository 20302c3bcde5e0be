import MartletColumns
import MartletCore
import MartletEngine
import MartletSQL

/// Runs the statements of one case in an empty catalog, then its records through the queries, one query after another.
struct CaseExecution {
    enum Phase: String { case parsing, statement, running }

    struct Failure: Error {
        var phase: Phase
        var error: MartletError
        /// Index of the statement; nil while running.
        var statement: Int?
    }

    private(set) var sandbox: Sandbox
    private let one: ConformanceCase

    /// Partitions of topics that nobody declares.
    static let defaultPartitions: Int32 = 4

    init(_ one: ConformanceCase, interruptions: StageRunner.Interruptions = .none) throws(MartletError) {
        self.one = one
        sandbox = Sandbox(
            properties: [String: String](one.properties.map { ($0.name, $0.value) }) { $1 }, sinkPartitions: Self.defaultPartitions,
            interruptions: interruptions)
        for topic in one.topics { sandbox.partitions[topic.name] = topic.partitions }
        sandbox.declaredTopics = Set(one.topics.map(\.name))
        try registerSchemas()
    }

    /// Schemas with ids come first, then those that stand for the columns of a CREATE statement, then the others: ids are counted in that order.
    private func registerSchemas() throws(MartletError) {
        for round in 0..<3 {
            for topic in one.topics {
                for side in [Side.key, .value] {
                    let schema = side == .key ? topic.keySchema : topic.valueSchema
                    let statement = side == .key ? topic.keySchemaStatement : topic.valueSchemaStatement
                    guard round == (schema?.id != nil ? 0 : statement != nil ? 1 : 2) else { continue }
                    let subject = "\(topic.name)-\(side.rawValue)"
                    if let schema {
                        let format = side == .key ? topic.keyFormat : topic.valueFormat
                        var registered = Self.registered(schema, format: format)
                        let next = nextID
                        registered.references = try Self.registerReferences(of: schema, in: sandbox.registry)
                        let id = schema.id ?? (registered.references.isEmpty ? nil : next)
                        _ = try sandbox.registry.register(subject: subject, schema: registered, id: id)
                    } else if let statement {
                        registerColumns(ofStatement: statement, side)
                    }
                }
            }
        }
    }

    /// What a schema refers to, each under its own name as the subject. Their ids are beyond those that statements count on.
    static func registerReferences(of schema: ConformanceCase.RegisteredText, in registry: SchemaRegistry) throws(MartletError)
        -> [RegisteredSchema.Reference]
    {
        var out: [RegisteredSchema.Reference] = []
        for reference in schema.references {
            guard let name = reference["name"]?.stringValue, let text = reference["schema"] else { continue }
            let one = RegisteredSchema(
                type: reference["format"]?.stringValue ?? "PROTOBUF", text: text.stringValue ?? text.description)
            if registry.latest(subject: name) == nil {
                _ = try registry.register(subject: name, schema: one, id: firstReferenceID + Int32(registry.subjects().count))
            }
            out.append(.init(name: name, subject: name, version: 1))
        }
        return out
    }

    private static let firstReferenceID: Int32 = 1_000_000

    /// The id after those of schemas that are no references.
    private var nextID: Int32 {
        let ids = sandbox.registry.subjects().compactMap { sandbox.registry.latest(subject: $0)?.id }.filter { $0 < Self.firstReferenceID }
        return (ids.max() ?? 0) + 1
    }

    /// - `format`: the topic's, if the case says: a schema such as `{"type":"string"}` may be one of Avro or of JSON.
    static func registered(_ schema: ConformanceCase.RegisteredText, format: String?) -> RegisteredSchema {
        if schema.isText, schema.text.contains("message ") { return RegisteredSchema(type: "PROTOBUF", text: schema.text) }
        let text = schema.isText ? JSONValue.string(schema.text).description : schema.text
        let isAvro = !(format?.uppercased().hasPrefix("JSON") ?? false) && (try? AvroSchema(parsing: text)) != nil
        return RegisteredSchema(type: isAvro ? "AVRO" : "JSON", text: text)
    }

    /// What a client registers that writes the columns of a CREATE statement. A statement that is wrong registers nothing: it fails again later.
    private func registerColumns(ofStatement index: Int, _ side: Side) {
        guard one.statements.indices.contains(index), let statement = try? Parser.parse(one.statements[index]).first,
            case .createSource(let create)? = try? Analyzer(catalog: Catalog(), context: sandbox.context).analyze(statement)
        else { return }
        let source = create.source
        _ = try? sandbox.registry.writerSchema(
            of: side == .key ? source.schema.key : source.schema.value, spec: side == .key ? source.keyFormat : source.valueFormat, side: side,
            topic: source.topic)
    }

    // MARK: statements

    mutating func executeStatements() throws(Failure) {
        let statements: [Statement]
        do throws(MartletError) {
            statements = try Parser.parse(one.statements.joined(separator: "\n"))
        } catch {
            throw Failure(phase: .parsing, error: error, statement: one.statements.count - 1)
        }
        for (index, statement) in statements.enumerated() {
            do throws(MartletError) {
                if case .insertValues = statement.node {
                    // Cases have INSERT VALUES only to see it refused.
                    var other = sandbox
                    try other.execute(statement)
                } else {
                    try sandbox.execute(statement)
                }
            } catch {
                throw Failure(phase: .statement, error: error, statement: index)
            }
        }
    }

    // MARK: records

    func format(of topic: String, _ side: Side) -> CaseFormat {
        let source = sandbox.sourceOfTopic[topic]
        var format = CaseFormat(
            of: topic, side, source: source, declared: one.topics.first { $0.name == topic }, registry: sandbox.registry,
            exactNumbers: sandbox.properties["use.exact.numeric.comparison"] != "false")
        // JSON_SR comes back through the registry's own reader, which makes doubles of fractions.
        if format.kind == .jsonSR { format.exactNumbers = false }
        return format
    }

    /// Feeds the case's inputs, `batchRows` at once.
    mutating func feed(batchRows: Int) throws(Failure) {
        do throws(MartletError) {
            try putInputs()
            for index in sandbox.queries.indices { try feed(index, batchRows: batchRows) }
        } catch {
            throw Failure(phase: .running, error: error, statement: nil)
        }
    }

    /// The inputs of the query's sources go in as the case lists them, across topics; a source without inputs gives what earlier queries wrote.
    private mutating func feed(_ index: Int, batchRows: Int) throws(MartletError) {
        let sources = sandbox.queries[index].sources
        var fed: [String: Int] = [:]
        var run: (topic: String, count: Int)?
        for topic in one.inputs.map(\.topic).filter({ sources.contains($0) }) + [""] {
            if let current = run, current.topic == topic {
                run = (topic, current.count + 1)
                continue
            }
            if let (topic, count) = run {
                let start = fed[topic, default: 0]
                try sandbox.run(index, topic, sandbox.topics[topic]![start..<start + count], batchRows: batchRows)
                fed[topic] = start + count
            }
            run = (topic, 1)
        }
        for topic in sources where fed[topic] == nil {
            try sandbox.run(index, topic, (sandbox.topics[topic] ?? [])[...], batchRows: batchRows)
        }
    }

    private mutating func putInputs() throws(MartletError) {
        for record in one.inputs {
            let key = try format(of: record.topic, .key).encode(record.key)
            let value = try format(of: record.topic, .value).encode(record.value)
            sandbox.topics[record.topic, default: []].append(
                RecordBytes(
                    timestamp: record.timestamp ?? 0, key: WindowedKey.encode(key, record.window), value: value,
                    headers: HeaderSection.encode(record.headers ?? [])))
        }
    }
}
