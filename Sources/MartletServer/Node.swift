import Logging
import MartletCore
import MartletEngine
import MartletLog
import MartletModels
import NIOCore
import NIOPosix

/// Everything of one process: log, registry, models, engine, and the ports that clients reach them by.
public final class Node: Sendable {
    public struct Config: Sendable {
        public var dataDirectory: String
        public var server: ServerConfig
        public var log: LogConfig
        public var engine: EngineConfig

        public init(
            dataDirectory: String, host: String = "127.0.0.1", kafkaPort: Int = 9092, ksqlPort: Int = 8088, registryPort: Int = 8081,
            log: LogConfig = LogConfig(), engine: EngineConfig = EngineConfig()
        ) {
            self.dataDirectory = dataDirectory
            server = ServerConfig(host: host, kafkaPort: kafkaPort, ksqlPort: ksqlPort, registryPort: registryPort)
            self.log = log
            self.engine = engine
        }
    }

    public struct Ports: Sendable {
        public var kafka: Int
        public var ksql: Int
        public var registry: Int
    }

    public let engine: Engine
    public let log: EmbeddedLog
    public let registry: SchemaRegistry
    public let models: ModelRegistry
    public let ports: Ports
    private let broker: KafkaBroker
    private let http: MartletHTTPServer
    private let group: MultiThreadedEventLoopGroup

    private init(
        engine: Engine, log: EmbeddedLog, registry: SchemaRegistry, models: ModelRegistry, ports: Ports, broker: KafkaBroker,
        http: MartletHTTPServer, group: MultiThreadedEventLoopGroup
    ) {
        self.engine = engine
        self.log = log
        self.registry = registry
        self.models = models
        self.ports = ports
        self.broker = broker
        self.http = http
        self.group = group
    }

    /// Recovers the data directory, resumes the queries and opens the ports, the REST API last: when `/info` answers, everything does.
    ///
    /// - Throws: `.directoryInUse`, `.addressInUse`, `.incompatibleFormat`, `.io`: one message that names the path or the port. Nothing is
    ///   left running then.
    public static func start(_ config: Config, time: TimeSource = .system, logger: Logger) async throws(MartletError) -> Node {
        // All loggers are there when the first client may ask for them.
        let ofEngine = logger.named("martlet.engine"), ofHTTP = logger.named("martlet.http")
        let log = try EmbeddedLog.open(directory: config.dataDirectory, config: config.log, time: time, logger: logger)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        var opened: Engine?
        var broker: KafkaBroker?
        do throws(MartletError) {
            let registry = try SchemaRegistry(log: log, time: time)
            let models = try ModelRegistry(directory: "\(config.dataDirectory)/models", time: time)
            var settings = config.engine
            if settings.stateDirectory == nil { settings.stateDirectory = "\(config.dataDirectory)/state" }
            if settings.stateMemoryBytes == nil { settings.stateMemoryBytes = config.server.stateMemoryBytes }
            let engine = try await Engine.open(
                log: log, registry: registry, models: models, config: settings, time: time, logger: ofEngine)
            opened = engine
            let server = config.server
            var brokerConfig = server.broker
            brokerConfig.security = server.security
            let kafka = try KafkaBroker(log: log, listeners: server.kafka, group: group, logger: logger, time: time, config: brokerConfig)
            broker = kafka
            let kafkaPort = try kafka.start()
            let http = MartletHTTPServer(
                engine: engine, registry: registry, ksql: server.ksql, schemas: server.registry,
                security: HTTPSecurity(
                    tls: server.security.tls, asksKsqlUsers: server.asksUsers(server.ksql), asksRegistryUsers: server.asksUsers(server.registry),
                    broker: kafka),
                group: group, info: ServerInfo(kafkaClusterID: log.clusterID, serviceID: config.engine.serviceID),
                metricSeriesMax: server.metricSeriesMax, logger: ofHTTP, time: time)
            let bound = try await http.start()
            return Node(
                engine: engine, log: log, registry: registry, models: models,
                ports: Ports(kafka: kafkaPort, ksql: bound.ksqlPort, registry: bound.registryPort), broker: kafka, http: http, group: group)
        } catch {
            broker?.stop()
            await opened?.stop()
            log.close()
            shutDown(group)
            throw error
        }
    }

    /// Stops serving, commits what the queries have done and closes the log.
    public func stop() async {
        await http.stop()
        await engine.stop()
        broker.stop()
        log.close()
        Self.shutDown(group)
    }

    private static func shutDown(_ group: MultiThreadedEventLoopGroup) {
        group.shutdownGracefully { _ in }
    }
}
