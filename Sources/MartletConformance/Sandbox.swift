import MartletColumns
import MartletCore
import MartletEngine
import MartletSQL

/// A catalog, a schema registry, topics and queries in memory: statements are executed and records processed on the caller's thread. The wall
/// clock stands at the epoch.
struct Sandbox {
    struct PersistentQuery {
        var id: String
        /// Topics it reads from outside.
        var sources: [String]
        var sinkTopic: String
        var stages: [Stage]
        /// Records each stage was given so far, by topic.
        var fed: [String: Int] = [:]
    }

    /// A stage with one task a partition.
    struct Stage {
        var tasks: [StageRunner]
        var inputTopics: [String] { tasks[0].inputTopics }
        var outputTopic: String { tasks[0].outputTopic }
    }

    /// `ksql.service.id`, part of the names of internal topics.
    static let serviceID = "some.ksql.service.id"

    private(set) var catalog = Catalog()
    let registry = SchemaRegistry(inMemory: ManualTime().source)
    var partitions: [String: Int32] = [:]
    /// Topics that the case declares: they keep their partitions whatever a statement asks for.
    var declaredTopics: Set<String> = []
    var topics: [String: [RecordBytes]] = [:]
    var queries: [PersistentQuery] = []
    /// The source registered last on a topic.
    private(set) var sourceOfTopic: [String: Source] = [:]
    /// Rows left out, fields nulled, and why.
    private(set) var rowFailures: [String] = []
    var properties: [String: String]
    private let initialProperties: [String: String]
    /// Partitions of sinks, whatever their statements say.
    private let sinkPartitions: Int32
    private let interruptions: StageRunner.Interruptions
    /// Tasks of each stage: records go to that of their key's hash.
    private let tasks: Int
    private var nextQueryNumber = 0
    private let functions = TestFunctions.registry()

    init(properties: [String: String], sinkPartitions: Int32, interruptions: StageRunner.Interruptions = .none, tasks: Int = 1) {
        self.interruptions = interruptions
        self.tasks = max(1, tasks)
        self.properties = ["auto.offset.reset": "earliest"].merging(properties) { $1 }
        initialProperties = self.properties
        self.sinkPartitions = sinkPartitions
        // Cases bring schemas along that their sinks do not follow. In memory nothing can fail.
        try? registry.setLevel(SchemaRegistry.Compatibility.none, of: nil)
    }

    var context: AnalysisContext {
        let partitions = partitions, registry = registry, functions = functions
        return AnalysisContext(
            properties: properties, nextQueryNumber: nextQueryNumber, partitions: { partitions[$0] },
            registeredFields: { (subject, schemaID, spec, side) throws(MartletError) in
                try registry.fields(subject: subject, schemaID: schemaID, spec: spec, side: side)
            }, registeredName: { registry.recordName(schemaID: $0) }, functions: functions)
    }

    // MARK: statements

    mutating func execute(_ statement: Statement) throws(MartletError) {
        switch statement.node {
        case .set(let name, let value): properties[name] = value
        case .unset(let name): properties[name] = initialProperties[name]
        default:
            var statement = statement
            if case .createSource(var create) = statement.node,
                create.properties.contains(where: { $0.name.uppercased() == "KAFKA_TOPIC" && declaredTopics.contains($0.value.text) })
            {
                create.properties.removeAll { $0.name.uppercased() == "PARTITIONS" }
                statement.node = .createSource(create)
            }
            let analyzed = try Analyzer(catalog: catalog, context: context).analyze(statement)
            try prepare(analyzed, statement)
            catalog.apply(analyzed, of: statement)
            queries.removeAll { query in catalog.queries[query.id] == nil }
        }
    }

    /// What has to exist before the statement takes effect: topics, schemas, compiled queries.
    private mutating func prepare(_ analyzed: AnalyzedStatement, _ statement: Statement) throws(MartletError) {
        switch analyzed {
        case .createSource(let create):
            let source = create.source
            if partitions[source.topic] == nil { partitions[source.topic] = create.partitions ?? sinkPartitions }
            sourceOfTopic[source.topic] = source
            // A client that writes to the topic has registered what the columns say.
            try registry.registerMissingSchemas(of: source)
        case .persistentQuery(let query):
            if !query.isInsert {
                partitions[query.sink.topic] = sinkPartitions
                try registry.registerSchemas(of: query.sink)
                sourceOfTopic[query.sink.topic] = query.sink
            }
            let prefix = "_confluent-ksql-\(Self.serviceID)query_\(query.queryID)-"
            var stages: [Stage] = []
            for stage in query.plan.stages {
                var made = Stage(tasks: [])
                for _ in 0..<tasks {
                    made.tasks.append(
                        try StageRunner(stage, registry: registry, functions: functions, properties: properties, interruptions: interruptions) {
                            prefix + PhysicalPlan.topicSuffix(step: $0)
                        })
                }
                if made.outputTopic.hasPrefix(prefix) { partitions[made.outputTopic] = sinkPartitions }
                stages.append(made)
            }
            let inner = Set(stages.map(\.outputTopic)).subtracting([query.sink.topic])
            let made = PersistentQuery(
                id: query.queryID, sources: Self.distinct(stages.flatMap(\.inputTopics).filter { !inner.contains($0) }),
                sinkTopic: query.sink.topic, stages: stages)
            if let index = queries.firstIndex(where: { $0.id == made.id }) { queries[index] = made } else { queries.append(made) }
            nextQueryNumber += 1
        case .alterSource(let source): sourceOfTopic[source.topic] = source
        case .dropSource(let name, let deleteTopic):
            guard deleteTopic, let topic = catalog.sources[name]?.topic else { return }
            partitions[topic] = nil
            topics[topic] = nil
            sourceOfTopic[topic] = nil
        case .insertValues(let insert): try self.insert(insert.key, insert.value, insert.timestampMs, into: insert.source)
        case .deleteRows(let delete): for key in delete.keys { try self.insert(key, nil, nil, into: delete.source) }
        case .createType, .dropType, .nothingToDo: break
        case .transientQuery, .other:
            throw MartletError(.notSupported, "statements of this kind are not executed in a test", at: statement.span)
        }
    }

    private static func distinct(_ topics: [String]) -> [String] {
        var out: [String] = []
        for topic in topics where !out.contains(topic) { out.append(topic) }
        return out
    }

    // MARK: assertions

    /// Why ASSERT TOPIC or ASSERT SCHEMA does not hold; nil: it does. Nothing changes while it waits.
    func problem(ofAssertion statement: Statement) -> String? {
        switch statement.node {
        case .assertTopic(let name, let exists, let properties, _):
            return TopicAssertion.problem(topic: name, partitions: partitions[name], exists: exists, properties)
        case .assertSchema(let subject, let id, let exists, _):
            return registry.problem(subject: subject, id: id, exists: exists)
        default: return nil
        }
    }

    // MARK: records

    /// Gives records of one of its topics to a query and puts what it makes of them on its sink topic.
    ///
    /// - `batchRows`: how many it gets at once.
    mutating func run(_ index: Int, _ topic: String, _ records: ArraySlice<RecordBytes>, batchRows: Int) throws(MartletError) {
        // Where rows of several inputs meet, each goes all the way before the next.
        let batchRows = queries[index].stages.contains { $0.inputTopics.count > 1 } ? 1 : batchRows
        var rest = records
        while !rest.isEmpty {
            let batch = rest.prefix(batchRows)
            rest = rest.dropFirst(batchRows)
            try run(index, topic, batch)
        }
    }

    private mutating func run(_ index: Int, _ topic: String, _ batch: ArraySlice<RecordBytes>) throws(MartletError) {
        let first = queries[index].fed[topic, default: 0]
        queries[index].fed[topic] = first + batch.count
        for at in queries[index].stages.indices {
            // Records of one task that follow each other go as one block.
            var start = batch.startIndex
            while start < batch.endIndex {
                let partition = batch[start].partition(of: tasks)
                let end = batch[start...].firstIndex { $0.partition(of: tasks) != partition } ?? batch.endIndex
                let block = RecordBlock(
                    batch[start..<end], firstOffset: Int64(first + start - batch.startIndex), partition: Int32(partition))
                try run(index, topic, block, at, partition)
                start = end
            }
        }
    }

    /// One stage's task takes a block; what it makes goes on through later stages.
    private mutating func run(_ index: Int, _ topic: String, _ block: RecordBlock, _ at: Int, _ partition: Int) throws(MartletError) {
        var task = queries[index].stages[at].tasks[partition]
        let known = task.failures.count
        let outputs = try task.run(block, of: topic)
        rowFailures += task.failures.dropFirst(known)
        queries[index].stages[at].tasks[partition] = task
        if outputs.isEmpty { return }
        let made = outputs.map {
            RecordBytes(timestamp: $0.timestampMs, key: $0.key, value: $0.value, headers: $0.headers, home: Int32(partition), keySuffixBytes: $0.keySuffixBytes)
        }
        if task.outputTopic == queries[index].sinkTopic {
            topics[task.outputTopic, default: []] += made
        } else {
            try run(index, task.outputTopic, made[...])
        }
    }

    /// Lets all queries process what is there for them, in order of their creation, until there is no more.
    mutating func settle(batchRows: Int) throws(MartletError) {
        var isSettled = false
        while !isSettled {
            isSettled = true
            for index in queries.indices {
                for topic in queries[index].sources {
                    let records = topics[topic] ?? [], fed = queries[index].fed[topic, default: 0]
                    if fed >= records.count { continue }
                    isSettled = false
                    try run(index, topic, records[fed...], batchRows: batchRows)
                }
            }
        }
    }

    /// INSERT INTO … VALUES; the wall clock, which stands at the epoch, gives the timestamp that is not given.
    /// Without a value the row of the key is deleted.
    private mutating func insert(_ key: [SQLValue], _ value: [SQLValue]?, _ timestampMs: Int64?, into source: Source) throws(MartletError) {
        func bytes(_ fields: [Field], _ spec: FormatSpec, _ side: Side, _ values: [SQLValue]?) throws(MartletError) -> [UInt8]? {
            guard let values, !fields.isEmpty else { return nil }
            let schema = try registry.writerSchema(of: fields, spec: spec, side: side, topic: source.topic)
            var encoder = try RecordEncoder(spec: spec, fields: fields, schemaID: schema?.id, schemaText: schema?.text, imports: schema?.imports ?? [])
            let columns = zip(fields, values).map { ColumnBuilder.column(of: $0.type, [$1]) }
            var out = EncodedColumn(), errors = RowErrors()
            encoder.encode(
                columns, count: 1, isNull: side == .key ? [values.allSatisfy(\.isNull)] : nil, into: &out, errors: &errors)
            if let first = errors.entries.first { throw MartletError(.badStatement, "\(first.column): \(first.reason)") }
            return out.slice(0).map { Array($0) }
        }
        let count = Int32(topics[source.topic]?.count ?? 0)
        let record = RecordBytes(
            timestamp: timestampMs ?? 0, key: try bytes(source.schema.key, source.keyFormat, .key, key),
            value: try bytes(source.schema.value, source.valueFormat, .value, value), headers: nil,
            home: count)
        topics[source.topic, default: []].append(record)
    }
}
