import MartletCore
import MartletSQL
import Synchronization

/// A persistent query: its definition and its state.
public final class RunningQuery: Sendable {
    public enum State: String, Sendable { case running = "RUNNING", paused = "PAUSED", error = "ERROR", terminated = "TERMINATED" }

    public let id: String
    public let statement: String
    public let sink: Source
    public let plan: PhysicalPlan
    /// Of the session that created it.
    let properties: [String: String]
    public let statistics = QueryStatistics()
    /// Consumer group under which its offsets are committed.
    public let consumerGroup: String

    private struct Status {
        var state = State.running
        var error: MartletError?
    }
    private let status = Mutex(Status())

    init(id: String, statement: String, sink: Source, plan: PhysicalPlan, properties: [String: String] = [:], serviceID: String) {
        self.id = id
        self.statement = statement
        self.sink = sink
        self.plan = plan
        self.properties = properties
        consumerGroup = "_confluent-ksql-\(serviceID)query_\(id)"
    }

    /// No record cache: every update of a table comes out.
    var emitsEveryUpdate: Bool { RunningQuery.emitsEveryUpdate(properties) }

    static func emitsEveryUpdate(_ properties: [String: String]) -> Bool {
        ["cache.max.bytes.buffering", "statestore.cache.max.bytes"].contains { properties[$0] == "0" || properties["ksql.streams.\($0)"] == "0" }
    }

    public var state: State { status.withLock { $0.state } }
    /// Why the query stopped, if it did.
    public var error: MartletError? { status.withLock { $0.error } }
    var isPaused: Bool { state != .running }

    func fail(_ error: MartletError) {
        status.withLock {
            if $0.state == .terminated { return }
            $0.state = .error
            $0.error = error
        }
    }

    /// Clears an error whose cause has gone.
    func recover() {
        status.withLock {
            if $0.state != .error { return }
            $0.state = .running
            $0.error = nil
        }
    }

    func pause() { status.withLock { if $0.state == .running { $0.state = .paused } } }
    func resume() { status.withLock { if $0.state == .paused { $0.state = .running } } }
    func terminate() { status.withLock { $0.state = .terminated } }

    /// Name of the topic that a stage writes for the next: ksqlDB's form.
    func repartitionTopic(step: String) -> String { "\(consumerGroup)-\(PhysicalPlan.topicSuffix(step: step))" }

    /// Name of the topic that the changes of a store are written to: ksqlDB's form.
    func changelogTopic(store: String) -> String { "\(consumerGroup)-\(store)-changelog" }
}
