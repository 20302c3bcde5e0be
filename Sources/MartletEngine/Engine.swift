import Logging
import MartletColumns
import MartletCore
import MartletLog
import MartletModels
import MartletSQL
import Synchronization

public struct EngineConfig: Sendable {
    /// `ksql.service.id`: part of the names of internal topics and consumer groups.
    public var serviceID: String
    /// Stream threads; each commits its own transaction.
    public var streamThreads: Int
    /// Under load a thread commits this often; when its input is drained it commits at once.
    public var commitIntervalMs: Int64
    /// Defaults for session properties, e.g. `auto.offset.reset`.
    public var properties: [String: String]
    /// Where state is kept on disk beside its changelogs; nil: nowhere, it is all in memory.
    public var stateDirectory: String?
    /// Bytes of memory that state may take, about; nil: a quarter of the machine's. Without a directory there is no such bound.
    public var stateMemoryBytes: Int?

    public init(
        serviceID: String = "default_", streamThreads: Int = 2, commitIntervalMs: Int64 = 100, properties: [String: String] = [:],
        stateDirectory: String? = nil, stateMemoryBytes: Int? = nil
    ) {
        self.stateDirectory = stateDirectory
        self.stateMemoryBytes = stateMemoryBytes
        self.serviceID = serviceID
        self.streamThreads = streamThreads
        self.commitIntervalMs = commitIntervalMs
        self.properties = properties
    }
}

/// A statement of a request failed; what the statements before it answered is not lost.
public struct StatementFailure: Error, Sendable, CustomStringConvertible {
    public var error: MartletError
    public var entities: [JSONObject]

    public var description: String { error.description }
}

/// Statements in, results or live queries out.
///
/// The catalog changes only here, one statement at a time; every change is in the command log before a client hears of it. The actor runs on
/// a thread of its own, since statements wait for the disk.
public actor Engine {
    public nonisolated let config: EngineConfig
    public nonisolated let log: EmbeddedLog
    public nonisolated let registry: SchemaRegistry
    public nonisolated let models: ModelRegistry
    nonisolated let executor: ThreadExecutor
    nonisolated let logger: Logger
    nonisolated let time: TimeSource
    nonisolated let watcher: LogWatcher
    /// Nil: state is in memory and in changelogs.
    nonisolated let stateDirectory: StateDirectory?
    let threads: [StreamThread]
    let commandLog: CommandLog

    nonisolated let catalogVersion = CatalogVersion()
    var catalog = Catalog() {
        didSet { catalogVersion.change() }
    }
    var queries: [String: RunningQuery] = [:]
    var watches: [String: [Int]] = [:]
    /// Query → what its topics were when it was put on threads.
    var topicsOfQueries: [String: [String: TopicShape]] = [:]
    var transients: [String: TransientQuery] = [:]
    /// Tables that pull queries have asked.
    var resultTables: [String: ResultTable] = [:]
    var prints: [String: PrintQuery] = [:]
    var nextQueryNumber = 0
    var nextTransientNumber: UInt64 = 0
    /// commandId → what became of it, newest last.
    var commandStatuses: [(id: String, status: JSONObject)] = []
    var isReplaying = false
    var isStopped = false

    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Opens the engine on a log: replays the command log and resumes its queries where they were.
    ///
    /// - Throws: `.incompatibleFormat` for a command of a newer version, `.io`; a query that cannot be resumed does not prevent the start: it is
    ///   there in state ERROR with its reason.
    public static func open(
        log: EmbeddedLog, registry: SchemaRegistry, models: ModelRegistry, config: EngineConfig, time: TimeSource, logger: Logger
    ) async throws(MartletError) -> Engine {
        let engine = try Engine(log: log, registry: registry, models: models, config: config, time: time, logger: logger)
        try await engine.start()
        return engine
    }

    private init(
        log: EmbeddedLog, registry: SchemaRegistry, models: ModelRegistry, config: EngineConfig, time: TimeSource, logger: Logger
    ) throws(MartletError) {
        self.log = log
        self.registry = registry
        self.models = models
        self.config = config
        self.time = time
        self.logger = logger
        executor = try ThreadExecutor()
        stateDirectory = config.stateDirectory.map {
            StateDirectory($0, memoryBytes: config.stateMemoryBytes ?? StateMemory.quarterOfTheMachine, time: time, logger: logger)
        }
        commandLog = try CommandLog(log: log, serviceID: config.serviceID, time: time)
        let logTopic = ProcessingLog.topic(serviceID: config.serviceID)
        if log.topic(logTopic) == nil { try log.createTopic(logTopic, partitions: 1, settings: [:]) }
        guard let logPartition = log.partition(TopicPartition(logTopic, 0)) else {
            throw MartletError(.internalError, "topic \(logTopic) has no partition 0")
        }
        watcher = LogWatcher(log: log)
        // Where a query has read up to counts for as long as the query exists.
        log.groupOffsets.keep(groupsBeginningWith: "_confluent-ksql-\(config.serviceID)query_")
        var threads: [StreamThread] = []
        for number in 0..<max(1, config.streamThreads) {
            threads.append(
                try StreamThread(
                    number: number,
                    makeWriter: { which throws(MartletError) in
                        try log.transactions.writer(transactionalID: "_confluent-ksql-\(config.serviceID)stream-\(number)-\(which)")
                    },
                    processingLog: ProcessingLog(partition: logPartition, time: time), commitIntervalMs: config.commitIntervalMs, time: time,
                    logger: logger))
        }
        self.threads = threads
    }

    private func start() throws(MartletError) {
        enterModels()
        isReplaying = true
        let (commands, strangers) = try commandLog.replay()
        for offset in strangers {
            logger.error("a record of the command topic is no command and is left out", metadata: ["offset": "\(offset)"])
        }
        for (offset, command) in commands {
            do {
                try replay(command, offset: offset)
            } catch {
                logger.error("command could not be replayed", metadata: ["offset": "\(offset)", "statement": "\(command.statement)", "error": "\(error)"])
            }
        }
        isReplaying = false
        stateDirectory?.removeAll(but: Array(queries.keys))
        // Where they start was committed when they were created.
        for query in runningQueries { begin(query, fromLatest: false) }
        watcher.onTopicsChanged { [weak self] in Task { await self?.topicsChanged() } }
        if catalog.sources[ProcessingLog.streamName] == nil {
            var session = Session(properties: config.properties, variables: [:])
            let statement = try Parser.parse(ProcessingLog.statement(serviceID: config.serviceID))[0]
            _ = try executeOne(statement, &session)
        }
    }

    /// Commits what is done and stops all queries. The log is closed by whoever opened it.
    public func stop() {
        if isStopped { return }
        isStopped = true
        for query in transients.values { query.close() }
        for query in prints.values { query.close() }
        for thread in threads { thread.stop() }
        stateDirectory?.stop()
        watcher.stop()
        executor.stop()
    }

    // MARK: - Requests

    /// Executes the statements of a `/ksql` request in order: one entity a statement, as ksqlDB's REST API has them; INSERT VALUES, SET, UNSET,
    /// DEFINE and UNDEFINE add none.
    ///
    /// While an assertion waits, statements of other requests are executed.
    public func execute(
        _ sql: String, properties: [String: String] = [:], variables: [String: String] = [:]
    ) async throws(StatementFailure) -> [JSONObject] {
        var entities: [JSONObject] = []
        var session = Session(properties: config.properties.merging(properties) { $1 }, variables: variables)
        let parts: [StatementText]
        do throws(MartletError) {
            // A syntax error anywhere prevents everything.
            let whole = VariableSubstitution.apply(sql, variables: Session.variables(definedIn: sql, and: variables))
            _ = try Parser.parse(whole)
            parts = Parser.split(sql)
        } catch {
            throw StatementFailure(error: error.inStatement(sql), entities: [])
        }
        for part in parts {
            do throws(MartletError) {
                let text = VariableSubstitution.apply(part.text, variables: session.variables)
                for statement in try Parser.parse(text) {
                    do throws(MartletError) {
                        switch statement.node {
                        case .assertTopic, .assertSchema: entities.append(try await assertStatement(statement, session))
                        default: if let entity = try executeOne(statement, &session) { entities.append(entity) }
                        }
                    } catch {
                        throw error.inStatement(statement.text)
                    }
                }
            } catch {
                throw StatementFailure(error: error.inStatement(part.text), entities: entities)
            }
        }
        return entities
    }

    /// Starts the SELECT (or PRINT) of a query request; rows come through its channel until it ends or is closed.
    ///
    /// - `preparesLookups`: a question for rows by their keys is not begun but given back, to be answered by whoever asks.
    public func query(
        _ sql: String, properties: [String: String] = [:], variables: [String: String] = [:], preparesLookups: Bool = false
    ) throws(MartletError) -> QueryResult {
        let session = Session(properties: config.properties.merging(properties) { $1 }, variables: variables)
        let text = VariableSubstitution.apply(sql, variables: variables)
        let statements: [Statement]
        do throws(MartletError) {
            statements = try Parser.parse(text)
        } catch {
            throw error.inStatement(text)
        }
        guard statements.count == 1, let statement = statements.first else {
            throw MartletError(
                .badStatement, "Expected exactly one KSQL statement; found \(statements.count) instead", statement: text)
        }
        do throws(MartletError) {
            switch statement.node {
            case .query:
                let query = try analyzedTransient(statement, session)
                if preparesLookups, let lookup = try prepareLookup(query, statement) { return .lookup(lookup) }
                return .rows(try startTransient(query, statement, session))
            case .printTopic(let print): return .lines(try startPrint(print, statement, session))
            default:
                throw MartletError(
                    .badStatement, "Statement type `\(statement.kindName)' not supported for this resource", hint: "send it to /ksql")
            }
        } catch {
            throw error.inStatement(statement.text)
        }
    }

    /// Ends a running query of a client. False if there is none of that id.
    public func closeQuery(_ id: String) -> Bool {
        guard let query = transients.removeValue(forKey: id) else { return false }
        query.close()
        return true
    }

    /// `commandSequenceNumber` of the last command; all up to it are applied.
    public var lastCommandNumber: Int64 { commandLog.lastNumber }

    /// `status` of a command, by `type/entity/action`.
    public func commandStatus(_ id: String) -> JSONObject? { commandStatuses.last { $0.id == id }?.status }
    public var allCommandStatuses: [(id: String, status: JSONObject)] { commandStatuses }
    public var runningQueries: [RunningQuery] { queries.values.sorted { $0.id < $1.id } }
    public var sources: [Source] { catalog.sources.values.sorted { $0.name < $1.name } }
    public var currentCatalog: Catalog { catalog }

    // MARK: - One statement

    /// The analyzer's view of the world outside the catalog; records what it looked up in the registry.
    func analysisContext(_ session: Session, inferred: InferenceRecorder) -> AnalysisContext {
        let log = log, registry = registry
        var context = AnalysisContext(
            properties: session.properties, nextQueryNumber: nextQueryNumber, partitions: { log.topic($0)?.partitions },
            registeredFields: { (subject, schemaID, spec, side) throws(MartletError) in
                try inferred.fields(subject: subject, schemaID: schemaID, side: side) { () throws(MartletError) in
                    try registry.fields(subject: subject, schemaID: schemaID, spec: spec, side: side)
                }
            }, registeredName: { registry.recordName(schemaID: $0) })
        context.isReplay = isReplaying
        return context
    }

    private func checkedProperty(_ name: String, _ value: String, _ statement: Statement) throws(MartletError) -> (name: String, value: String) {
        do throws(MartletError) {
            return try Settings.checked(name, value)
        } catch {
            let isUnknown = error.code == .unknownProperty
            throw MartletError(.badStatement, isUnknown ? "Unknown property: \(name)" : error.message, at: statement.span)
        }
    }

    /// Executes a statement that waits for nothing; nil if it adds no entity to the response.
    func executeOne(_ statement: Statement, _ session: inout Session) throws(MartletError) -> JSONObject? {
        switch statement.node {
        case .query, .printTopic:
            throw MartletError(
                .queryEndpointRequired,
                "The following statement types should be issued to the websocket endpoint '/query':\n\t* PRINT\n\t* SELECT",
                at: statement.span)
        case .set(let name, let value):
            let checked = try checkedProperty(name, value, statement)
            session.properties[checked.name] = checked.value
            return nil
        case .unset(let name):
            guard Settings.isKnown(name) else { throw MartletError(.badStatement, "Unknown property: \(name)", at: statement.span) }
            session.properties[Settings.canonical(name)] = config.properties[Settings.canonical(name)]
            return nil
        case .define(let name, let value):
            session.variables[name] = value
            return nil
        case .undefine(let name):
            session.variables[name] = nil
            return nil
        case .list(let listing): return try list(listing, statement, session)
        case .describeSource(let name, let extended): return try describe(name, extended: extended, statement)
        case .describeStreams(let kind, let extended): return describeAll(kind, extended: extended, statement)
        case .describeFunction(let name): return try describeFunction(name, statement)
        case .describeModel(let name): return try describeModel(name, statement)
        case .explainQuery(let id): return try explain(id, statement)
        case .explainStatement(let inner): return try explain(inner, statement, session)
        case .terminate(let id): return try terminate(id, statement, session)
        case .pause(let id): return try setPaused(id, true, statement, session)
        case .resume(let id): return try setPaused(id, false, statement, session)
        case .createModel(let model): return try createModel(model, statement, session)
        case .dropModel(let name, let ifExists): return try dropModel(name, ifExists: ifExists, statement, session)
        case .assertTopic, .assertSchema: throw MartletError(.internalError, "an assertion waits", at: statement.span)
        case .createConnector, .dropConnector, .describeConnector:
            throw MartletError(.notSupported, "connectors are not supported by this release", at: statement.span)
        case .alterSystem:
            throw MartletError(.notSupported, "ALTER SYSTEM is not supported by this release", at: statement.span, hint: "set properties with SET or at start")
        case .assertValues, .assertTombstone, .assertSource, .runScript:
            throw MartletError(.badStatement, "\(statement.kindName) is a statement of the test tool and of the shell, not of the server", at: statement.span)
        default: return try executeAnalyzed(statement, session)
        }
    }
}

/// What a query request gives.
public enum QueryResult: Sendable {
    case rows(TransientQuery)
    /// PRINT: one text line a record.
    case lines(PrintQuery)
    /// Rows of a table by their keys.
    case lookup(PreparedLookup)
}

/// Properties and variables of one request.
struct Session: Sendable {
    var properties: [String: String]
    var variables: [String: String]

    /// Variables that DEFINE statements of the text would set, with those given: enough to check the whole text's syntax at once.
    static func variables(definedIn sql: String, and given: [String: String]) -> [String: String] {
        var all = given
        for part in Parser.split(sql) {
            if let statement = try? Parser.parse(part.text).first, case .define(let name, let value) = statement.node { all[name] = value }
        }
        return all
    }
}

/// Remembers which columns came from registered schemas while a statement was analysed, or answers from an earlier time's memory.
final class InferenceRecorder: Sendable {
    private let state: Mutex<[Command.Inference]>
    private let isReplaying: Bool

    init(replaying inferences: [Command.Inference]? = nil) {
        state = Mutex(inferences ?? [])
        isReplaying = inferences != nil
    }

    var inferences: [Command.Inference] { state.withLock { $0 } }

    func fields(
        subject: String, schemaID: Int?, side: Side, look: () throws(MartletError) -> [Field]
    ) throws(MartletError) -> [Field] {
        let known = state.withLock { $0.first { $0.subject == subject && $0.schemaID == schemaID && $0.side == side.rawValue } }
        if let known {
            var fields: [Field] = []
            for column in known.columns { fields.append(Field(column.name, try Self.type(column.type))) }
            return fields
        }
        let fields = try look()
        state.withLock {
            $0.append(
                Command.Inference(
                    subject: subject, schemaID: schemaID, side: side.rawValue, columns: fields.map { ($0.name, $0.type.description) }))
        }
        return fields
    }

    private static func type(_ text: String) throws(MartletError) -> SQLType {
        try Parser.parseType(text).resolved(in: [:])
    }
}
