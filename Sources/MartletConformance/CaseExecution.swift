import MartletColumns
import MartletCore
import MartletEngine
import MartletSQL

/// Runs the statements of one case in an empty catalog, then its records through the queries, one query after another.
///
/// Everything happens in memory on the caller's thread; the wall clock stands at the epoch.
struct CaseExecution {
    enum Phase: String { case parsing, statement, running }

    struct Failure: Error {
        var phase: Phase
        var error: MartletError
        /// Index of the statement; nil while running.
        var statement: Int?
    }

    struct PersistentQuery {
        var id: String
        var sources: [String]
        var sinkTopic: String
        var stages: [StageRunner]
    }

    private(set) var catalog = Catalog()
    let registry: SchemaRegistry
    private(set) var partitions: [String: Int32] = [:]
    private(set) var topics: [String: [RecordBytes]] = [:]
    private(set) var queries: [PersistentQuery] = []
    /// The source registered last on a topic.
    private(set) var sourceOfTopic: [String: Source] = [:]
    /// Rows left out, fields nulled: for the verbose report.
    private(set) var rowFailures: [String] = []
    private let one: ConformanceCase
    private var properties: [String: String]
    private var nextQueryNumber = 0

    /// Partitions of topics that nobody declares.
    static let defaultPartitions: Int32 = 4

    init(_ one: ConformanceCase) throws(MartletError) {
        self.one = one
        registry = SchemaRegistry(inMemory: ManualTime().source)
        properties = ["auto.offset.reset": "earliest"]
        for property in one.properties { properties[property.name] = property.value }
        for topic in one.topics { partitions[topic.name] = topic.partitions }
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
                        _ = try registry.register(subject: subject, schema: Self.registered(schema, format: format), id: schema.id)
                    } else if let statement {
                        registerColumns(ofStatement: statement, side)
                    }
                }
            }
        }
    }

    private static func registered(_ schema: ConformanceCase.RegisteredText, format: String?) -> RegisteredSchema {
        if schema.isText, schema.text.contains("message ") { return RegisteredSchema(type: "PROTOBUF", text: schema.text) }
        let text = schema.isText ? JSONValue.string(schema.text).description : schema.text
        let isAvro = (try? AvroSchema(parsing: text)) != nil
        return RegisteredSchema(type: isAvro ? "AVRO" : "JSON", text: text)
    }

    /// What a client registers that writes the columns of a CREATE statement. A statement that is wrong registers nothing: it fails again later.
    private func registerColumns(ofStatement index: Int, _ side: Side) {
        guard one.statements.indices.contains(index), let statement = try? Parser.parse(one.statements[index]).first,
            case .createSource(let create)? = try? Analyzer(catalog: Catalog(), context: context).analyze(statement)
        else { return }
        let source = create.source
        _ = try? registry.writerSchema(
            of: side == .key ? source.schema.key : source.schema.value, spec: side == .key ? source.keyFormat : source.valueFormat, side: side,
            topic: source.topic)
    }

    // MARK: statements

    mutating func executeStatements() throws(Failure) {
        let text = one.statements.joined(separator: "\n")
        let statements: [Statement]
        do throws(MartletError) {
            statements = try Parser.parse(text)
        } catch {
            throw Failure(phase: .parsing, error: error, statement: one.statements.count - 1)
        }
        for (index, statement) in statements.enumerated() {
            do throws(MartletError) {
                try execute(statement)
            } catch {
                throw Failure(phase: .statement, error: error, statement: index)
            }
        }
    }

    private mutating func execute(_ statement: Statement) throws(MartletError) {
        switch statement.node {
        case .set(let name, let value): properties[name] = value
        case .unset(let name): properties[name] = one.properties.last { $0.name == name }?.value
        default:
            let analyzed = try Analyzer(catalog: catalog, context: context).analyze(statement)
            try prepare(analyzed, statement)
            catalog.apply(analyzed, of: statement)
            queries.removeAll { query in catalog.queries[query.id] == nil }
        }
    }

    private var context: AnalysisContext {
        let partitions = partitions, registry = registry
        return AnalysisContext(
            properties: properties, nextQueryNumber: nextQueryNumber, partitions: { partitions[$0] },
            registeredFields: { (subject, schemaID, spec, side) throws(MartletError) in
                try registry.fields(subject: subject, schemaID: schemaID, spec: spec, side: side)
            })
    }

    /// What has to exist before the statement takes effect: topics, schemas, compiled queries.
    private mutating func prepare(_ analyzed: AnalyzedStatement, _ statement: Statement) throws(MartletError) {
        switch analyzed {
        case .createSource(let create):
            let source = create.source
            if partitions[source.topic] == nil { partitions[source.topic] = create.partitions ?? Self.defaultPartitions }
            sourceOfTopic[source.topic] = source
            // A client that writes to the topic has registered what the columns say.
            try registerMissingSchemas(of: source)
        case .persistentQuery(let query):
            if !query.isInsert {
                // Sinks have them whatever the statement says.
                partitions[query.sink.topic] = Self.defaultPartitions
                try registry.registerSchemas(of: query.sink)
                sourceOfTopic[query.sink.topic] = query.sink
            }
            var stages: [StageRunner] = []
            for stage in query.plan.stages { stages.append(try StageRunner(stage, registry: registry)) }
            let made = PersistentQuery(
                id: query.queryID, sources: query.plan.sources.compactMap { catalog.sources[$0]?.topic }, sinkTopic: query.sink.topic,
                stages: stages)
            if let index = queries.firstIndex(where: { $0.id == made.id }) { queries[index] = made } else { queries.append(made) }
            nextQueryNumber += 1
        case .alterSource(let source): sourceOfTopic[source.topic] = source
        case .dropSource(let name, let deleteTopic):
            guard deleteTopic, let topic = catalog.sources[name]?.topic else { return }
            partitions[topic] = nil
            sourceOfTopic[topic] = nil
        case .createType, .dropType, .nothingToDo: break
        case .insertValues, .transientQuery, .other:
            throw MartletError(.notSupported, "statements of this kind are not executed in a case", at: statement.span)
        }
    }

    private func registerMissingSchemas(of source: Source) throws(MartletError) {
        for side in [Side.key, .value] {
            let fields = side == .key ? source.schema.key : source.schema.value
            if registry.latest(subject: "\(source.topic)-\(side.rawValue)") != nil { continue }
            _ = try registry.writerSchema(
                of: fields, spec: side == .key ? source.keyFormat : source.valueFormat, side: side, topic: source.topic)
        }
    }

    // MARK: records

    func format(of topic: String, _ side: Side) -> CaseFormat {
        let source = sourceOfTopic[topic]
        let fields = side == .key ? source?.schema.key : source?.schema.value
        var kind = side == .key ? source?.keyFormat.kind : source?.valueFormat.kind
        if source == nil {
            let declared = one.topics.first { $0.name == topic }
            kind = (side == .key ? declared?.keyFormat : declared?.valueFormat).flatMap { FormatKind(rawValue: $0.uppercased()) }
        }
        return CaseFormat(
            kind: kind ?? .kafka, singleType: fields?.count == 1 ? fields?[0].type : nil, subject: "\(topic)-\(side.rawValue)",
            registry: registry, exactNumbers: properties["use.exact.numeric.comparison"] != "false")
    }

    mutating func feed() throws(Failure) {
        do throws(MartletError) {
            try putInputs()
            for query in queries { try run(query) }
        } catch {
            throw Failure(phase: .running, error: error, statement: nil)
        }
    }

    private mutating func putInputs() throws(MartletError) {
        for record in one.inputs {
            let key = try format(of: record.topic, .key).encode(record.key)
            let value = try format(of: record.topic, .value).encode(record.value)
            topics[record.topic, default: []].append(
                RecordBytes(
                    timestamp: record.timestamp ?? 0, key: WindowedKey.encode(key, record.window), value: value,
                    headers: HeaderSection.encode(record.headers ?? [])))
        }
    }

    /// Feeds the case's inputs; a query whose sources have none gets what earlier queries wrote.
    private mutating func run(_ query: PersistentQuery) throws(MartletError) {
        guard query.stages.count == 1, query.sources.count == 1 else {
            throw MartletError(.notSupported, "queries of several stages are not run by this release's test runner")
        }
        let source = query.sources[0]
        let given = one.inputs.count { $0.topic == source }
        let all = topics[source] ?? []
        let fed = given > 0 ? all.prefix(given) : all[...]
        var stage = query.stages[0]
        let outputs = try stage.run(RecordBlock(fed, firstOffset: 0))
        rowFailures += stage.failures
        topics[query.sinkTopic, default: []] += outputs.map {
            RecordBytes(timestamp: $0.timestampMs, key: $0.key, value: $0.value, headers: $0.headers)
        }
    }
}
