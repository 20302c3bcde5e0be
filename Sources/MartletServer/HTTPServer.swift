import Logging
import MartletCore
import MartletEngine
import MartletLog
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What the HTTP ports ask of whoever comes in.
public struct HTTPSecurity: Sendable {
    public var tls: TLSFiles?
    public var asksKsqlUsers: Bool
    public var asksRegistryUsers: Bool
    /// Knows the users.
    public var broker: KafkaBroker

    public init(tls: TLSFiles?, asksKsqlUsers: Bool, asksRegistryUsers: Bool, broker: KafkaBroker) {
        self.tls = tls
        self.asksKsqlUsers = asksKsqlUsers
        self.asksRegistryUsers = asksRegistryUsers
        self.broker = broker
    }
}

/// Both HTTP ports: ksqlDB's REST API and the Schema Registry's, each with HTTP/1.1 and HTTP/2, with or without TLS.
public final class MartletHTTPServer: Sendable {
    private struct State {
        var listeners: [any Channel] = []
        var ksqlPort = 0
        var connections: [ObjectIdentifier: any Channel] = [:]
    }

    private let engine: Engine
    private let registry: SchemaRegistry
    private let listeners: (ksql: HTTPListener, registry: HTTPListener)
    private let security: HTTPSecurity?
    private let metricSeriesMax: Int
    private let group: MultiThreadedEventLoopGroup
    private let info: ServerInfo
    private let logger: Logger
    private let time: TimeSource
    let activity: ServerActivity
    /// For work that waits for the disk outside the engine's own thread.
    private let blocking = NIOThreadPool(numberOfThreads: 2)
    /// For reading a table's topic at its first question: a large one must not hold up log-ins.
    private let reading = NIOThreadPool(numberOfThreads: 2)
    private let state = Mutex(State())

    /// - `ksqlPort`, `registryPort`: 0 = any free one.
    public convenience init(
        engine: Engine, registry: SchemaRegistry, host: String, ksqlPort: Int, registryPort: Int, group: MultiThreadedEventLoopGroup,
        info: ServerInfo, logger: Logger, time: TimeSource
    ) {
        self.init(
            engine: engine, registry: registry, ksql: HTTPListener(host: host, port: ksqlPort),
            schemas: HTTPListener(host: host, port: registryPort), security: nil, group: group, info: info, logger: logger, time: time)
    }

    public init(
        engine: Engine, registry: SchemaRegistry, ksql: HTTPListener, schemas: HTTPListener, security: HTTPSecurity?,
        group: MultiThreadedEventLoopGroup, info: ServerInfo, metricSeriesMax: Int = 10_000, logger: Logger, time: TimeSource
    ) {
        self.metricSeriesMax = metricSeriesMax
        self.engine = engine
        self.registry = registry
        listeners = (ksql, schemas)
        self.security = security
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
        reading.start()
        do throws(MartletError) {
            let registryAPI = RegistryAPI(registry: registry, info: info, pool: blocking, activity: activity, logger: logger)
            var registryRouter = registryAPI.router
            if let security, security.asksRegistryUsers {
                registryRouter.authentication = BasicAuthentication(
                    broker: security.broker, right: .alterClusterToChange, pool: blocking, time: time)
            }
            let registryPort = try await listen(
                listeners.registry, PortContext(router: registryRouter, activity: activity), "Schema Registry API")
            let host = listeners.ksql.host
            let api = KsqlAPI(
                engine: engine, info: info, address: { [self] in "\(host):\(state.withLock { $0.ksqlPort })" }, pool: blocking, reading: reading,
                activity: activity,
                nodeMetrics: NodeMetrics(engine: engine, broker: security?.broker, activity: activity, time: time, seriesMax: metricSeriesMax),
                logger: logger, time: time)
            var ksqlRouter = api.router
            if let security, security.asksKsqlUsers {
                ksqlRouter.authentication = BasicAuthentication(broker: security.broker, right: .alterCluster, pool: blocking, time: time)
            }
            let ksqlPort = try await listen(listeners.ksql, PortContext(router: ksqlRouter, activity: activity), "ksqlDB REST API")
            state.withLock { $0.ksqlPort = ksqlPort }
            logger.info("HTTP ports open", metadata: ["ksql": "\(listeners.ksql)", "registry": "\(listeners.registry)"])
            return (ksqlPort, registryPort)
        } catch {
            await stop()
            throw error
        }
    }

    private func listen(_ at: HTTPListener, _ context: PortContext, _ name: String) async throws(MartletError) -> Int {
        let (host, port) = (at.host, at.port)
        var tls: NIOSSLContext?
        if at.hasTLS {
            guard let files = security?.tls else {
                throw MartletError(.invalidProperty, "\(at) needs a certificate", hint: "set ssl.certificate.location and ssl.key.location")
            }
            // Certificates of clients are asked for by the Kafka listeners alone.
            tls = try TLSFiles(certificate: files.certificate, key: files.key).context(applicationProtocols: ["h2", "http/1.1"])
        }
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { [self, tls] channel in
                let id = ObjectIdentifier(channel)
                state.withLock { $0.connections[id] = channel }
                channel.closeFuture.whenComplete { [self] _ in state.withLock { $0.connections[id] = nil } }
                return channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandlers(PlainTextRefusal(), NIOSSLServerHandler(context: tls)) }
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
        try? await reading.shutdownGracefully()
    }
}
