import MartletColumns
import MartletCore
import MartletEngine
import MartletLog
import MartletSQL

/// Runs one case against an empty server: statements that are no queries in one request, then records, then each query.
struct RestExecution {
    /// One answer, as a case's `responses` has them.
    enum Response {
        case admin(JSONValue)
        case query([JSONValue])
        case protobuf([UInt8])
    }

    struct Refusal {
        var status: Int
        var body: JSONValue
        /// The answer had begun.
        var isLate = false
    }

    let one: RestCase
    let server: RestTestServer
    private(set) var responses: [Response] = []
    private(set) var refusal: Refusal?
    private(set) var askedQuery = false

    init(_ one: RestCase, on server: RestTestServer) {
        self.one = one
        self.server = server
    }

    /// Waits this long, in milliseconds, for what has to happen; far more than it takes.
    private static let patienceMs: Int64 = 20_000

    mutating func run() async throws(MartletError) {
        try createTopics()
        let queries = Array(one.base.statements.dropFirst(one.adminStatementCount))
        guard try administer(Array(one.base.statements.prefix(one.adminStatementCount))) else { return }
        if one.waitsForPushQuery, let push = queries.first {
            askedQuery = true
            let answer = try server.post("/query", body(push), Self.json)
            try await wait("the push query to run") { await server.engine.startedTransientQueries > 0 }
            try await produce()
            try take(answer)
        } else {
            try await produce()
            try await settle()
            for query in queries {
                askedQuery = true
                try take(try server.post("/query", body(query), Self.json))
                if refusal != nil { return }
            }
            if one.asksForProtobuf {
                for query in queries {
                    let body: JSONValue = ["sql": .string(query), "properties": properties]
                    let (status, bytes) = try server.post("/query-stream", body, "application/vnd.ksql.v1+protobuf").body()
                    if status == 200 { responses.append(.protobuf(bytes)) } else { refuse(status, bytes) }
                }
            }
        }
        if !one.base.outputs.isEmpty { try await settle() }
    }

    private static let json = "application/json"

    private var properties: JSONValue {
        .object(JSONObject(one.base.properties.map { .init($0.name, .string($0.value)) }))
    }

    private func body(_ sql: String) -> JSONValue { ["ksql": .string(sql), "streamsProperties": properties] }

    // MARK: - Before the statements

    private func createTopics() throws(MartletError) {
        for topic in one.base.topics where server.log.topic(topic.name) == nil {
            try server.log.createTopic(topic.name, partitions: topic.partitions, settings: [:])
        }
        let log = server.log, registry = server.registry
        let context = AnalysisContext(
            properties: [:], nextQueryNumber: 0, partitions: { log.topic($0)?.partitions },
            registeredFields: { (subject, schemaID, spec, side) throws(MartletError) in
                try registry.fields(subject: subject, schemaID: schemaID, spec: spec, side: side)
            }, registeredName: { registry.recordName(schemaID: $0) })
        try CaseSchemas(one.base, server.registry, context: context).register()
    }

    /// - Returns: false if the server refused a statement.
    private mutating func administer(_ statements: [String]) throws(MartletError) -> Bool {
        if statements.isEmpty { return true }
        let (status, bytes) = try server.post("/ksql", body(statements.joined(separator: "\n")), Self.json).body()
        guard status == 200, let entities = try JSONValue(parsing: bytes).arrayValue else {
            refuse(status, bytes)
            return false
        }
        responses += entities.map { .admin($0) }
        return true
    }

    private mutating func refuse(_ status: Int, _ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        refusal = Refusal(status: status, body: (try? JSONValue(parsing: text)) ?? .string(text))
    }

    private mutating func take(_ answer: RestAnswer) throws(MartletError) {
        let (status, bytes) = try answer.body()
        guard status == 200 else { return refuse(status, bytes) }
        guard let messages = try JSONValue(parsing: bytes).arrayValue else {
            throw MartletError(.badRequest, "the answer to a query is no array: \(String(decoding: bytes.prefix(200), as: UTF8.self))")
        }
        if let failed = messages.first(where: { $0["errorMessage"] != nil }), let error = failed["errorMessage"] {
            refusal = Refusal(status: status, body: error, isLate: true)
        }
        responses.append(.query(messages))
    }

    // MARK: - Records

    /// The newest source on a topic.
    private func source(of topic: String) async -> Source? {
        let sources = await server.engine.sources
        return sources.last { $0.topic == topic }
    }

    func format(of topic: String, _ side: Side) async -> CaseFormat {
        let source = await source(of: topic)
        let declared = one.base.topics.first { $0.name == topic }
        return CaseFormat(of: topic, side, source: source, declared: declared, registry: server.registry, exactNumbers: true)
    }

    private func produce() async throws(MartletError) {
        for record in one.base.inputs {
            if let source = await source(of: record.topic) { try server.registry.registerMissingSchemas(of: source) }
            let key = try await format(of: record.topic, .key).encode(record.key)
            let value = try await format(of: record.topic, .value).encode(record.value)
            let whole = WindowedKey.encode(key, record.window)
            guard let partitions = server.log.topic(record.topic)?.partitions else {
                throw MartletError(.unknownSource, "the case has no topic \(record.topic)")
            }
            let partition = whole.map { key in key.withUnsafeBytes { Murmur2.partition(ofKey: $0, partitions: Int(partitions)) } } ?? 0
            guard let log = server.log.partition(TopicPartition(record.topic, partition)) else { continue }
            var batch = RecordBatchBuilder()
            batch.append(timestamp: record.timestamp ?? 0, key: whole, value: value, headers: HeaderSection.encode(record.headers ?? []))
            _ = try log.append(&batch)
        }
    }

    /// Until all persistent queries have processed what lies on their topics.
    private func settle() async throws(MartletError) {
        try await wait("the queries to process their input") { await server.engine.hasProcessedInput }
    }

    private func wait(_ what: String, until condition: () async -> Bool) async throws(MartletError) {
        let start = TimeSource.system.monotonicNs
        while await !condition() {
            if TimeSource.system.monotonicNs - start > Self.patienceMs * 1_000_000 {
                throw MartletError(.internalError, "waited \(Self.patienceMs) ms in vain for \(what)")
            }
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    /// All committed records of a topic, by timestamp of arrival within each partition.
    func records(of topic: String) throws(MartletError) -> [RecordBytes] {
        var out: [RecordBytes] = []
        for log in server.log.partitions(of: topic) {
            var position = log.startOffset, block: RecordBlock?
            while true {
                let read = try log.readBlock(from: position, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &block)
                if read.nextOffset == position { break }
                for row in 0..<read.count {
                    func slice(_ starts: [UInt32], _ lengths: [Int32]) -> [UInt8]? {
                        lengths[row] < 0 ? nil : Array(read.buffer[Int(starts[row])..<Int(starts[row]) + Int(lengths[row])])
                    }
                    out.append(
                        RecordBytes(
                            timestamp: read.timestamps[row], key: slice(read.keyStarts, read.keyLengths),
                            value: slice(read.valueStarts, read.valueLengths), headers: nil))
                }
                position = read.nextOffset
                block = read
            }
        }
        return out
    }
}
