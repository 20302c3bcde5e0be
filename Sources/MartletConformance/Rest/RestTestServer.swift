import MartletCore
import MartletEngine
import MartletLog

/// A server that cases of the REST API are run against: its parts in process for topics and records, its API over HTTP.
public struct RestTestServer: Sendable {
    public var engine: Engine
    public var log: EmbeddedLog
    public var registry: SchemaRegistry
    /// Sends a POST with a JSON body; the answer is waited for by `RestAnswer.body`.
    public var post: @Sendable (_ path: String, _ body: JSONValue, _ accept: String) throws(MartletError) -> RestAnswer
    public var stop: @Sendable () async -> Void

    public init(
        engine: Engine, log: EmbeddedLog, registry: SchemaRegistry,
        post: @escaping @Sendable (_ path: String, _ body: JSONValue, _ accept: String) throws(MartletError) -> RestAnswer,
        stop: @escaping @Sendable () async -> Void
    ) {
        self.engine = engine
        self.log = log
        self.registry = registry
        self.post = post
        self.stop = stop
    }
}

/// An answer on its way.
public struct RestAnswer {
    /// Waits for the whole answer.
    public var body: () throws(MartletError) -> (status: Int, bytes: [UInt8])
    public init(body: @escaping () throws(MartletError) -> (status: Int, bytes: [UInt8])) { self.body = body }
}
