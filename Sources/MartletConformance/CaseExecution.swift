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
        /// The statement with its names resolved, where that can be said.
        var resolved: String?
    }

    private(set) var sandbox: Sandbox
    private let one: ConformanceCase

    /// Partitions of topics that nobody declares.
    static let defaultPartitions: Int32 = 4

    init(_ one: ConformanceCase, interruptions: StageRunner.Interruptions = .none, tasks: Int = 1) throws(MartletError) {
        self.one = one
        sandbox = Sandbox(
            properties: [String: String](one.properties.map { ($0.name, $0.value) }) { $1 }, sinkPartitions: Self.defaultPartitions,
            interruptions: interruptions, tasks: tasks)
        for topic in one.topics { sandbox.partitions[topic.name] = topic.partitions }
        sandbox.declaredTopics = Set(one.topics.map(\.name))
        try CaseSchemas(one, sandbox.registry, context: sandbox.context).register()
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
                var failure = Failure(phase: .statement, error: error, statement: index)
                do throws(MartletError) {
                    failure.resolved = try ResolvedStatement.text(statement, catalog: sandbox.catalog, functions: sandbox.context.functions)
                } catch {
                    // Names that mean nothing are what failed: then the text is as it was written.
                    failure.resolved = nil
                }
                throw failure
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
                    headers: HeaderSection.encode(record.headers ?? []), keySuffixBytes: record.window.map { $0.isSession ? 16 : 8 } ?? 0))
        }
    }
}
