import Logging
import MartletCore
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// Bounds and defaults of the broker.
public struct BrokerConfig: Sendable {
    /// A larger frame closes the connection.
    public var frameBytesMax = 100 << 20
    /// Most records in one Fetch response, whatever the client asks for; one batch may exceed it.
    public var fetchBytesMax = 55 << 20
    /// Fetch sessions of all clients (KIP-227).
    public var fetchSessionsMax = 1000
    /// Bytes of answers, of all connections together, that may wait for sockets before Fetch answers get small.
    public var unsentBytesMax = 512 << 20
    /// More are refused (max.connections).
    public var connectionsMax = 10_000
    /// Connections from one address; more are refused (max.connections.per.ip).
    public var connectionsPerAddressMax = Int(Int32.max)
    /// Other bounds for some addresses (max.connections.per.ip.overrides).
    public var connectionsOfAddressMax: [String: Int] = [:]
    /// New connections a second, on all listeners; more wait, and who would wait long is refused (max.connection.creation.rate).
    public var connectionsPerSecondMax = Int(Int32.max)
    /// A connection on which nothing happens for so long ends (connections.max.idle.ms).
    public var idleMsMax: Int64 = 600_000
    /// Longest wait of a Fetch.
    public var fetchWaitMsMax: Int32 = 300_000
    /// The largest report of a client's metrics, compressed (telemetry.max.bytes).
    public var telemetryBytesMax = 1 << 20
    public var createTopicsOnUse = true
    public var partitionsDefault: Int32 = 1
    /// Produce requests of one connection that may wait for the disk at once.
    public var producesInFlightMax = 64
    /// Request bytes that may wait for the disk, and response bytes that may wait for the socket, on one connection.
    public var pendingBytesMax = 32 << 20

    /// Limits of clients are kept over this many windows of so many seconds (quota.window.num, quota.window.size.seconds).
    public var quotaWindows = 11
    public var quotaWindowSeconds = 1

    public var groups = GroupConfig()

    /// Names of settings that were given at the start, whatever their value.
    public var given: Set<String> = []

    /// What is asked of clients; by default nothing.
    public var security = SecurityConfig()

    public init() {}
}

/// Serves an `EmbeddedLog` to Kafka clients: node 1 of a cluster of one.
public final class KafkaBroker: Sendable {
    private let log: EmbeddedLog
    private let listeners: [Listener]
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger
    private let router: RequestRouter
    private let state: Mutex<State>

    private struct State {
        var listeners: [any Channel] = []
        var connections: [ObjectIdentifier: any Channel] = [:]
        var gate: ConnectionGate
        /// By place in `listeners`: connections that are open, and that were let in.
        var open: [Int]
        var accepted: [Int64]
        var logListener: Int?
        var isStopped = false
    }

    /// - `host`, `port`: where to listen; port 0 takes a free one.
    /// - `advertisedHost`, `advertisedPort`: what clients are told to connect to; by default the address by which each of them came.
    public convenience init(
        log: EmbeddedLog, host: String = "127.0.0.1", port: Int = 9092, advertisedHost: String? = nil, advertisedPort: Int? = nil,
        group: MultiThreadedEventLoopGroup, logger: Logger, time: TimeSource = .system, config: BrokerConfig = BrokerConfig()
    ) throws(MartletError) {
        var listener = Listener(host: host, port: port)
        listener.advertisedHost = advertisedHost
        listener.advertisedPort = advertisedPort
        try self.init(log: log, listeners: [listener], group: group, logger: logger, time: time, config: config)
    }

    /// - Throws: if what is kept of users' rights and limits cannot be read.
    public init(
        log: EmbeddedLog, listeners: [Listener], group: MultiThreadedEventLoopGroup, logger: Logger, time: TimeSource = .system,
        config: BrokerConfig = BrokerConfig()
    ) throws(MartletError) {
        self.log = log
        log.settings.start(broker: config)
        self.listeners = listeners
        self.group = group
        let loggers = LoggerLevels.of(logger) ?? LoggerLevels(logger)
        self.logger = loggers.logger("martlet.kafka")
        let burstSeconds = Double(max(1, config.quotaWindows - 1) * config.quotaWindowSeconds)
        state = Mutex(
            State(
                gate: ConnectionGate(burstSeconds: burstSeconds), open: listeners.map { _ in 0 }, accepted: listeners.map { _ in 0 }))
        let fileSystem = log.services.fileSystem
        var security = ConnectionSecurity(
            config: config.security, users: UserStore(directory: log.directory, fileSystem: fileSystem))
        if config.security.authorizes(on: listeners) {
            security.authorizer = Authorizer(
                store: try AccessRuleStore(directory: log.directory, fileSystem: fileSystem), superUsers: config.security.superUsers,
                allowsWithoutRule: config.security.allowsWithoutRule)
        }
        let shares = try SharePartitions(log: log, timers: group, time: time, logger: loggers.logger("martlet.groups"))
        let groups = GroupCoordinator(
            log: log, timers: group, time: time, logger: loggers.logger("martlet.groups"), config: config.groups, sharing: shares)
        router = RequestRouter(
            log: log, groups: groups, shares: shares, blocking: NIOThreadPool(numberOfThreads: 4), config: config, security: security,
            quotas: try ClientQuotas(
                directory: log.directory, fileSystem: fileSystem, burstSeconds: burstSeconds),
            time: time, loggers: loggers)
    }

    /// Listens. Not for an event loop: waits for the sockets to be bound.
    /// - Returns: the port of the first listener.
    /// - Throws: `.addressInUse` naming address and port, `.io` if the address is not ours, `.invalidProperty` for a certificate that cannot
    ///   be used; then none is open.
    public func start() throws(MartletError) -> Int {
        guard let ports = try startAll().first else { throw MartletError(.invalidProperty, "there is no listener for the Kafka protocol") }
        return ports
    }

    /// As `start`; returns the port of each listener.
    public func startAll() throws(MartletError) -> [Int] {
        router.blocking.start()
        var ports: [Int] = []
        do throws(MartletError) {
            for place in listeners.indices { ports.append(try open(place)) }
        } catch {
            let opened = state.withLock { state in
                state.isStopped = true
                return state.listeners
            }
            for channel in opened { try? channel.close().wait() }
            router.blocking.shutdownGracefully { _ in }
            throw error
        }
        let delayedFetches = router.delayedFetches
        let logListener = log.addListener { event in delayedFetches.receive(event) }
        state.withLock { $0.logListener = logListener }
        return ports
    }

    private func open(_ place: Int) throws(MartletError) -> Int {
        let listener = listeners[place]
        var tls: NIOSSLContext?
        if listener.security.hasTLS {
            guard let files = router.security.config.tls else {
                throw MartletError(
                    .invalidProperty, "\(listener) needs a certificate", hint: "set ssl.certificate.location and ssl.key.location")
            }
            tls = try files.context()
        }
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 16_384, maximum: 1 << 20)
            )
            .childChannelInitializer { [tls] channel in
                let verdict = self.admit(channel, place)
                @Sendable func begin() throws {
                    guard verdict.refusal == nil else { throw ChannelError.ioOnClosedChannel }
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try channel.pipeline.syncOperations.addHandler(
                        BrokerConnection(
                            router: self.router, listener: listener.security, advertisedHost: listener.advertisedHost,
                            advertisedPort: listener.advertisedPort, logger: self.logger))
                }
                guard verdict.waitMs > 0 else { return channel.eventLoop.makeCompletedFuture { try begin() } }
                return channel.eventLoop.scheduleTask(in: .milliseconds(verdict.waitMs)) { try begin() }.futureResult
            }
        let channel: any Channel
        do {
            channel = try bootstrap.bind(host: listener.host, port: listener.port).wait()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw MartletError(
                .addressInUse, "port \(listener.port) on \(listener.host) is in use",
                hint: "stop the other server, or choose another port for the Kafka protocol")
        } catch {
            throw MartletError(.io, "cannot listen on \(listener.host):\(listener.port)", detail: "\(error)")
        }
        state.withLock { $0.listeners.append(channel) }
        let bound = channel.localAddress?.port ?? listener.port
        logger.info(
            "kafka listener started",
            metadata: ["host": "\(listener.host)", "port": "\(bound)", "security": "\(listener.security.rawValue)"])
        return bound
    }

    /// Stops listening, closes all connections and waits until they are closed. Not for an event loop.
    public func stop() {
        let (listeners, connections, logListener, first) = state.withLock { state in
            defer { state.isStopped = true }
            return (state.listeners, Array(state.connections.values), state.logListener, !state.isStopped)
        }
        guard first else { return }
        if let logListener { log.removeListener(logListener) }
        router.groups.close()
        router.shares.close()
        for listener in listeners { try? listener.close().wait() }  // it may have been closed by an error before
        for connection in connections { try? connection.close().wait() }
        router.blocking.shutdownGracefully { _ in }
        logger.info("kafka listener stopped", metadata: ["connections": "\(connections.count)"])
    }

    /// Users of this broker, and whether one may change the cluster: for the other ports of the same process.
    public var users: UserStore { router.security.users }

    /// Whether this user may alter the cluster; true where access rules are not in force.
    public func mayAlterCluster(user: String, host: String) -> Bool { may(.alter, user, host) }

    /// Whether this user may see what the cluster does; who may alter it, may.
    public func mayDescribeCluster(user: String, host: String) -> Bool { may(.describe, user, host) }

    private func may(_ operation: AccessOperation, _ user: String, _ host: String) -> Bool {
        router.security.authorizer?.access(Principal(name: user), host: host).allowsCluster(operation) ?? true
    }

    /// What clients report of themselves (KIP-714).
    public var telemetry: TelemetryStore { router.telemetry }

    /// Partitions that long polls are waiting for.
    var waitingFetchCount: Int { router.delayedFetches.count }

    /// Whether a connection is let in, and after which time; none is once the broker is stopping.
    private func admit(_ channel: any Channel, _ place: Int) -> ConnectionGate.Verdict {
        let config = log.settings.broker, nowNs = router.time.monotonicNs
        let limits = ConnectionGate.Limits(
            connections: config.connectionsMax, perAddress: config.connectionsPerAddressMax, ofAddresses: config.connectionsOfAddressMax,
            perSecond: config.connectionsPerSecondMax == Int(Int32.max) ? nil : Double(config.connectionsPerSecondMax))
        let id = ObjectIdentifier(channel), address = PeerAddress.of(channel)
        let verdict: ConnectionGate.Verdict? = state.withLock { state in
            if state.isStopped { return nil }
            let verdict = state.gate.enter(from: address, limits, nowNs: nowNs) { router.quotas.connect(from: address, nowNs: nowNs) }
            guard verdict.refusal == nil else { return verdict }
            state.connections[id] = channel
            state.open[place] += 1
            state.accepted[place] += 1
            return verdict
        }
        guard let verdict else { return ConnectionGate.Verdict(refusal: .total) }
        if let reason = verdict.refusal {
            router.connectionMeters.refused(reason)
            if verdict.waitMs > 0 { channel.closeFuture.whenComplete { _ in self.state.withLock { $0.gate.leaveRefused() } } }
            logger.warning("connection refused, there are too many", metadata: ["client": "\(address)", "limit": "\(reason.rawValue)"])
            return verdict
        }
        channel.closeFuture.whenComplete { _ in
            self.state.withLock { state in
                state.connections[id] = nil
                state.open[place] -= 1
                state.gate.leave(from: address)
            }
        }
        return verdict
    }

    /// What clients do and how they fare.
    public var statistics: BrokerStatistics {
        let (open, accepted) = state.withLock { ($0.open, $0.accepted) }
        var statistics = BrokerStatistics()
        // Two listeners may have one protocol; by host and port they differ.
        statistics.listeners = zip(listeners, zip(open, accepted)).map { .init(name: "\($0)", open: $1.0, accepted: $1.1) }
        statistics.refusedConnections = router.connectionMeters.refused
        statistics.endedConnections = router.connectionMeters.ended
        statistics.requests = router.requestMeters.snapshot
        statistics.throttles = router.throttles.snapshot
        statistics.delayedFetches = router.delayedFetches.fetchCount
        statistics.delayedShareFetches = router.shares.waiters.fetchCount
        statistics.fetchSessions = router.fetchSessions.count
        statistics.unsentBytes = router.answerBytes.count
        statistics.groups = router.groups.statistics
        statistics.rebalances = router.groups.rebalances.snapshot
        statistics.shares = router.shares.statistics
        return statistics
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
