import Logging
import MartletCore
import NIOCore
import NIOPosix
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
    /// Longest wait of a Fetch.
    public var fetchWaitMsMax: Int32 = 300_000
    public var createTopicsOnUse = true
    public var partitionsDefault: Int32 = 1
    /// Produce requests of one connection that may wait for the disk at once.
    public var producesInFlightMax = 64
    /// Request bytes that may wait for the disk, and response bytes that may wait for the socket, on one connection.
    public var pendingBytesMax = 32 << 20

    public init() {}
}

/// Serves an `EmbeddedLog` to Kafka clients: node 1 of a cluster of one.
public final class KafkaBroker: Sendable {
    private let log: EmbeddedLog
    private let host: String
    private let port: Int
    private let advertisedHost: String?
    private let advertisedPort: Int?
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger
    private let router: RequestRouter
    private let state = Mutex(State())

    private struct State {
        var listener: (any Channel)?
        var connections: [ObjectIdentifier: any Channel] = [:]
        var logListener: Int?
        var isStopped = false
    }

    /// - `host`, `port`: where to listen; port 0 takes a free one.
    /// - `advertisedHost`, `advertisedPort`: what clients are told to connect to; by default the address by which each of them came.
    public convenience init(
        log: EmbeddedLog, host: String = "127.0.0.1", port: Int = 9092, advertisedHost: String? = nil, advertisedPort: Int? = nil,
        group: MultiThreadedEventLoopGroup, logger: Logger, time: TimeSource = .system, config: BrokerConfig = BrokerConfig()
    ) {
        self.init(
            log: log, host: host, port: port, advertisedHost: advertisedHost, advertisedPort: advertisedPort, group: group,
            logger: logger, time: time, config: config, groupConfig: GroupConfig())
    }

    init(
        log: EmbeddedLog, host: String, port: Int, advertisedHost: String?, advertisedPort: Int?, group: MultiThreadedEventLoopGroup,
        logger: Logger, time: TimeSource, config: BrokerConfig, groupConfig: GroupConfig
    ) {
        self.log = log
        self.host = host
        self.port = port
        self.advertisedHost = advertisedHost
        self.advertisedPort = advertisedPort
        self.group = group
        self.logger = logger
        let groups = GroupCoordinator(log: log, timers: group, time: time, logger: logger, config: groupConfig)
        router = RequestRouter(
            log: log, groups: groups, blocking: NIOThreadPool(numberOfThreads: 4), config: config, time: time, logger: logger)
    }

    /// Listens. Not for an event loop: waits for the socket to be bound.
    /// - Returns: the port.
    /// - Throws: `.addressInUse` naming address and port, `.io` if the address is not ours.
    public func start() throws(MartletError) -> Int {
        router.blocking.start()
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 16_384, maximum: 1 << 20)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard self.admit(channel) else { throw ChannelError.ioOnClosedChannel }
                    try channel.pipeline.syncOperations.addHandler(
                        BrokerConnection(
                            router: self.router, advertisedHost: self.advertisedHost, advertisedPort: self.advertisedPort,
                            logger: self.logger))
                }
            }
        let channel: any Channel
        // Without a listener there is nothing to stop later.
        func giveUp() {
            state.withLock { $0.isStopped = true }
            router.blocking.shutdownGracefully { _ in }
        }
        do {
            channel = try bootstrap.bind(host: host, port: port).wait()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            giveUp()
            throw MartletError(
                .addressInUse, "port \(port) on \(host) is in use",
                hint: "stop the other server, or choose another port for the Kafka protocol")
        } catch {
            giveUp()
            throw MartletError(.io, "cannot listen on \(host):\(port)", detail: "\(error)")
        }
        let delayedFetches = router.delayedFetches
        let logListener = log.addListener { event in delayedFetches.receive(event) }
        state.withLock {
            $0.listener = channel
            $0.logListener = logListener
        }
        let bound = channel.localAddress?.port ?? port
        logger.info("kafka listener started", metadata: ["host": "\(host)", "port": "\(bound)"])
        return bound
    }

    /// Stops listening, closes all connections and waits until they are closed. Not for an event loop.
    public func stop() {
        let (listener, connections, logListener, first) = state.withLock { state in
            defer { state.isStopped = true }
            return (state.listener, Array(state.connections.values), state.logListener, !state.isStopped)
        }
        guard first else { return }
        if let logListener { log.removeListener(logListener) }
        router.groups.close()
        try? listener?.close().wait()  // it may have been closed by an error before
        for connection in connections { try? connection.close().wait() }
        router.blocking.shutdownGracefully { _ in }
        logger.info("kafka listener stopped", metadata: ["connections": "\(connections.count)"])
    }

    /// Partitions that long polls are waiting for.
    var waitingFetchCount: Int { router.delayedFetches.count }

    /// False once the broker is stopping.
    private func admit(_ channel: any Channel) -> Bool {
        let id = ObjectIdentifier(channel)
        let admitted = state.withLock { state in
            if state.isStopped { return false }
            state.connections[id] = channel
            return true
        }
        if admitted {
            channel.closeFuture.whenComplete { _ in self.state.withLock { $0.connections[id] = nil } }
        }
        return admitted
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
