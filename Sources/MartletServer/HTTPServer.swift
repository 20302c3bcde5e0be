import Logging
import MartletCore
import MartletEngine
import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Both HTTP ports: ksqlDB's REST API and the Schema Registry's, each with HTTP/1.1 and cleartext HTTP/2.
public final class MartletHTTPServer: Sendable {
    private struct State {
        var listeners: [any Channel] = []
        var ksqlPort = 0
        var connections: [ObjectIdentifier: any Channel] = [:]
    }

    private let engine: Engine
    private let registry: SchemaRegistry
    private let host: String
    private let ports: (ksql: Int, registry: Int)
    private let group: MultiThreadedEventLoopGroup
    private let info: ServerInfo
    private let logger: Logger
    private let time: TimeSource
    let activity: ServerActivity
    /// For work that waits for the disk outside the engine's own thread.
    private let blocking = NIOThreadPool(numberOfThreads: 2)
    private let state = Mutex(State())

    /// - `ksqlPort`, `registryPort`: 0 = any free one.
    public init(
        engine: Engine, registry: SchemaRegistry, host: String, ksqlPort: Int, registryPort: Int, group: MultiThreadedEventLoopGroup,
        info: ServerInfo, logger: Logger, time: TimeSource
    ) {
        self.engine = engine
        self.registry = registry
        self.host = host
        ports = (ksqlPort, registryPort)
        self.group = group
        self.info = info
        self.logger = logger
        self.time = time
        activity = ServerActivity(startedNs: time.monotonicNs)
    }

    /// Opens both ports.
    ///
    /// - Returns: the ports that are open.
    /// - Throws: `.addressInUse` naming the port, `.io` for an address that is not ours; then neither is open.
    public func start() async throws(MartletError) -> (ksqlPort: Int, registryPort: Int) {
        blocking.start()
        do throws(MartletError) {
            let registryAPI = RegistryAPI(registry: registry, info: info, pool: blocking, activity: activity, logger: logger)
            let registryPort = try await listen(ports.registry, PortContext(router: registryAPI.router, activity: activity), "Schema Registry API")
            let api = KsqlAPI(
                engine: engine, info: info, address: { [self] in "\(host):\(state.withLock { $0.ksqlPort })" }, pool: blocking, activity: activity,
                logger: logger, time: time)
            let ksqlPort = try await listen(ports.ksql, PortContext(router: api.router, activity: activity), "ksqlDB REST API")
            state.withLock { $0.ksqlPort = ksqlPort }
            logger.info("HTTP ports open", metadata: ["ksql": "\(host):\(ksqlPort)", "registry": "\(host):\(registryPort)"])
            return (ksqlPort, registryPort)
        } catch {
            await stop()
            throw error
        }
    }

    private func listen(_ port: Int, _ context: PortContext, _ name: String) async throws(MartletError) -> Int {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { [self] channel in
                let id = ObjectIdentifier(channel)
                state.withLock { $0.connections[id] = channel }
                channel.closeFuture.whenComplete { [self] _ in state.withLock { $0.connections[id] = nil } }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ProtocolDetection(port: context))
                }
            }
        do {
            let listener = try await bootstrap.bind(host: host, port: port).get()
            state.withLock { $0.listeners.append(listener) }
            return listener.localAddress?.port ?? port
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw MartletError(
                .addressInUse, "port \(port) of \(host), for the \(name), is in use by another process", hint: "stop it, or choose other ports")
        } catch {
            throw MartletError(.io, "port \(port) of \(host), for the \(name), cannot be opened", detail: "\(error)")
        }
    }

    /// Ends running queries of clients, lets other requests finish for up to two seconds, and closes everything.
    public func stop() async {
        let listeners = state.withLock { state in
            defer { state.listeners = [] }
            return state.listeners
        }
        for listener in listeners { try? await listener.close() }
        activity.stop()
        let deadline = ContinuousClock.now + .seconds(2)
        while activity.openRequests > 0, ContinuousClock.now < deadline { try? await Task.sleep(for: .milliseconds(5)) }
        for connection in state.withLock({ Array($0.connections.values) }) { try? await connection.close() }
        try? await blocking.shutdownGracefully()
    }
}
