import Logging
import MartletCore
import MartletEngine
import MartletLog
import MartletModels
import NIOCore
import NIOPosix
import Testing

@testable import MartletServer

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A server on free ports over an engine in a temporary directory.
struct ServerFixture: Sendable {
    let engine: Engine
    let log: EmbeddedLog
    let registry: SchemaRegistry
    let server: MartletHTTPServer
    let group: MultiThreadedEventLoopGroup
    let ksqlPort: Int
    let registryPort: Int

    /// Runs `body` with a fresh server and takes everything down again.
    static func with(_ body: @Sendable (ServerFixture) async throws -> Void) async throws {
        var template = Array("/tmp/martlet-server-XXXXXX".utf8CString)
        guard let path = mkdtemp(&template) else { throw MartletError(.io, "no temporary directory") }
        let directory = String(cString: path)
        defer { removeTree(directory) }
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        var config = LogConfig()
        config.durability = .os
        let log = try EmbeddedLog.open(directory: directory, config: config, time: .system, logger: logger)
        let registry = try SchemaRegistry(log: log, time: .system)
        let models = try ModelRegistry(directory: "\(directory)/models", time: .system)
        let engine = try await Engine.open(
            log: log, registry: registry, models: models, config: EngineConfig(streamThreads: 1), time: .system, logger: logger)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = MartletHTTPServer(
            engine: engine, registry: registry, host: "127.0.0.1", ksqlPort: 0, registryPort: 0, group: group,
            info: ServerInfo(kafkaClusterID: "test-cluster", serviceID: "default_"), logger: logger, time: .system)
        let ports = try await server.start()
        let fixture = ServerFixture(
            engine: engine, log: log, registry: registry, server: server, group: group, ksqlPort: ports.ksqlPort, registryPort: ports.registryPort)
        do {
            try await body(fixture)
        } catch {
            await fixture.stop()
            throw error
        }
        await fixture.stop()
    }

    private func stop() async {
        await server.stop()
        await engine.stop()
        log.close()
        try? await group.shutdownGracefully()
    }

    /// Runs blocking client code on a thread of its own: never on the pool that the server's tasks need.
    func client<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R { try await blockingClients.runIfActive(body) }

    /// One request on a connection of its own.
    func ask(_ method: String, _ path: String, _ body: String? = nil, headers: [String] = [], registry: Bool = false) async throws -> RawResponse {
        let port = registry ? registryPort : ksqlPort
        return try await client {
            let connection = try RawConnection(port: port)
            try connection.send(method, path, body, headers: headers)
            return try connection.response(toHead: method == "HEAD")
        }
    }

    func json(_ method: String, _ path: String, _ body: JSONValue? = nil, registry: Bool = false) async throws -> (status: Int, body: JSONValue) {
        let response = try await ask(method, path, body?.description, headers: ["content-type: application/json"], registry: registry)
        return (response.status, response.text.isEmpty ? .null : try JSONValue(parsing: response.text))
    }

    func ksql(_ sql: String) async throws -> JSONValue { try await json("POST", "/ksql", ["ksql": .string(sql)]).body }

    /// Waits for something that another thread brings about.
    func eventually(_ what: String, seconds: Int = 20, _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < deadline {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(2))
        }
        Issue.record("did not happen within \(seconds) s: \(what)")
    }

    func clientQueries() async throws -> Int {
        let listed = try await ksql("SHOW QUERIES;").arrayValue?.first?["queries"]?.arrayValue ?? []
        return listed.count { $0["queryType"]?.stringValue != "PERSISTENT" }
    }
}

private let blockingClients: NIOThreadPool = {
    let pool = NIOThreadPool(numberOfThreads: 16)
    pool.start()
    return pool
}()

func removeTree(_ path: String) {
    guard let directory = opendir(path) else {
        unlink(path)
        return
    }
    while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != "." && name != ".." { removeTree("\(path)/\(name)") }
    }
    closedir(directory)
    rmdir(path)
}
