import Logging
import MartletCore
import Synchronization

/// The owner of a data directory: topics, their partitions, offsets of consumer groups, transactions.
///
/// ```
/// <data>/lock                                   held with flock while open
/// <data>/format                                 "martlet-log 1" and the cluster id
/// <data>/producer-ids                           the first producer id not yet given out
/// <data>/leader-epoch                           how often the directory was opened
/// <data>/settings.json                          what clients set of the broker and of groups, see NodeSettings
/// <data>/topics/<name>/topic.json               id, partitions, settings; a topic exists when this file does
/// <data>/topics/<name>/<partition>/             see PartitionLog
/// <data>/trash/                                 topics being deleted
/// ```
public final class EmbeddedLog: Sendable {
    public let directory: String
    /// 22 characters of base64url, made once for the directory.
    public let clusterID: String
    public let groupOffsets: GroupOffsets
    public let transactions: TransactionCoordinator
    let services: LogServices
    /// Counts the starts of the node on this directory. A partition's leader epoch counts those since its topic was made.
    let nodeEpoch: Int32
    private let topicState: Mutex<[String: Topic]>
    /// Held while topics are made, changed and deleted, which waits for the disk; `topicState`, which every request looks into, only to tell the outcome.
    private let topicChanges = Mutex<Void>(())
    private let producerIDs: Mutex<ProducerIDBlock>
    private let lock: Mutex<(any Sendable)?>
    private let maintenance: Maintenance

    struct Topic: Sendable {
        var description: TopicDescription
        var partitions: [PartitionLog]
    }

    private struct ProducerIDBlock {
        var next: Int64
        var end: Int64
    }

    /// One file to allocate ids from, a block at a time.
    private static let producerIDBlockSize: Int64 = 1000
    static let formatVersion = 1
    static let offsetsTopic = "__consumer_offsets"
    static let transactionsTopic = "__transaction_state"
    /// Made when the first share group comes.
    static let shareStateTopic = "__share_group_state"
    static let internalTopics: Set<String> = [offsetsTopic, transactionsTopic, shareStateTopic]
    private static let internalSettings = ["cleanup.policy": "compact", "segment.bytes": "16777216"]

    // MARK: open and close

    /// Opens the log in `directory`, making it if need be: takes the lock, checks the format, recovers every partition, completes or undoes
    /// transactions that a crash left in the middle, starts the threads.
    ///
    /// Throws `.directoryInUse` naming the path if another process has it, `.incompatibleFormat` if a newer Martlet wrote it, `.io`.
    public static func open(
        directory: String, config: LogConfig = LogConfig(), time: TimeSource = .system, logger: Logger = Logger(label: "martlet.log")
    ) throws(MartletError) -> EmbeddedLog {
        let log = try EmbeddedLog(directory: directory, config: config, time: time, logger: logger.named("martlet.log"))
        if config.worksInBackground { try log.services.startSync() }
        do throws(MartletError) {
            try log.transactions.recover()
            if config.worksInBackground { try log.maintenance.start() }
        } catch {
            log.services.stopSync()
            throw error
        }
        return log
    }

    private init(directory: String, config: LogConfig, time: TimeSource, logger: Logger) throws(MartletError) {
        self.directory = directory
        let system = config.fileSystem
        try system.createDirectoryDurably("\(directory)/topics")
        lock = Mutex(try system.lock("\(directory)/lock"))
        clusterID = try Self.checkFormat(directory, system)
        let settings = try NodeSettings(directory: directory, log: config, logger: logger)
        services = LogServices(config: config, settings: settings, time: time, logger: logger)
        nodeEpoch = try Self.raiseNodeEpoch(directory, system)
        try? system.removeTree("\(directory)/trash")

        var topics: [String: Topic] = [:]
        for name in try system.list("\(directory)/topics") {
            if let topic = try Self.openTopic(name, directory, services, nodeEpoch) { topics[name] = topic }
        }
        var internals: [String: PartitionLog] = [:]
        for name in [Self.offsetsTopic, Self.transactionsTopic] {
            let topic: Topic
            if let existing = topics[name] {
                topic = existing
            } else {
                topic = try Self.makeTopic(name, partitions: 1, settings: Self.internalSettings, directory, services, nodeEpoch)
            }
            topics[name] = topic
            internals[name] = topic.partitions[0]
        }
        guard let offsetsLog = internals[Self.offsetsTopic], let transactionsLog = internals[Self.transactionsTopic] else {
            throw MartletError(.internalError, "internal topics are missing")
        }
        groupOffsets = try GroupOffsets(log: offsetsLog, services: services)
        producerIDs = Mutex(ProducerIDBlock(next: 0, end: 0))
        topicState = Mutex(topics)
        transactions = try TransactionCoordinator(log: transactionsLog, groupOffsets: groupOffsets, services: services)
        maintenance = Maintenance(services: services)
        transactions.attach(to: self)
        maintenance.attach(to: self)
    }

    /// Syncs everything, moves all clean points and gives the directory free. Later appends fail with KAFKA_STORAGE_ERROR.
    public func close() {
        maintenance.stop()
        do throws(LogFailure) {
            try transactions.forgetDecisions()
        } catch {
            services.logger.warning("transactions are settled at the next start", metadata: ["error": "\(error.error)"])
        }
        services.stopSync()
        let partitions = topicState.withLock { $0.values.flatMap(\.partitions) }
        for partition in partitions {
            do throws(MartletError) {
                try partition.flush()
                try partition.checkpoint()
            } catch {
                services.logger.error("cannot move the clean point", metadata: ["partition": "\(partition.id)", "error": "\(error)"])
            }
            partition.close()
        }
        lock.withLock { $0 = nil }
    }

    private static func checkFormat(_ directory: String, _ system: any FileSystem) throws(MartletError) -> String {
        let path = "\(directory)/format"
        guard let bytes = try system.contents(path) else {
            let id = UUIDBytes.random().text
            try system.replace(path, with: Array("martlet-log \(formatVersion)\n\(id)\n".utf8), durably: true)
            return id
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count == 2, words[0] == "martlet-log", let version = Int(words[1]), lines.count >= 2 else {
            throw MartletError(.incompatibleFormat, "\(path) does not say which format the data directory has")
        }
        guard version == formatVersion else {
            throw MartletError(
                .incompatibleFormat, "data directory \(directory) has format version \(version); this Martlet knows version \(formatVersion)",
                hint: "use the Martlet that wrote it, or a newer one")
        }
        return String(lines[1])
    }

    /// Durable on return, so that no two starts have the same.
    private static func raiseNodeEpoch(_ directory: String, _ system: any FileSystem) throws(MartletError) -> Int32 {
        let path = "\(directory)/leader-epoch"
        var epoch: Int32 = 0
        if let bytes = try system.contents(path) {
            guard let last = Int32(String(decoding: bytes, as: UTF8.self).split(separator: "\n").first ?? ""), (0..<Int32.max).contains(last) else {
                throw MartletError(.corruptRecord, "\(path) is damaged")
            }
            epoch = last
        }
        try system.replace(path, with: Array("\(epoch + 1)\n".utf8), durably: true)
        return epoch + 1
    }

    /// Where a log of the metadata would end: which start of the node in the upper half, the changes to topics and settings since in the lower. Never
    /// goes back.
    var metadataEnd: Int64 { Int64(nodeEpoch) << 32 + services.metadataChanges }

    // MARK: topics

    /// Sorted by name.
    public var topics: [TopicDescription] {
        topicState.withLock { $0.values.map(\.description) }.sorted { $0.name < $1.name }
    }

    public func topic(_ name: String) -> TopicDescription? { topicState.withLock { $0[name]?.description } }

    public func partition(_ id: TopicPartition) -> PartitionLog? {
        topicState.withLock {
            guard let topic = $0[id.topic], topic.partitions.indices.contains(Int(id.partition)) else { return nil }
            return topic.partitions[Int(id.partition)]
        }
    }

    /// All partitions of a topic by number; none if it does not exist.
    public func partitions(of topic: String) -> [PartitionLog] { topicState.withLock { $0[topic]?.partitions ?? [] } }

    var allPartitions: [PartitionLog] { topicState.withLock { $0.values.flatMap(\.partitions) } }

    /// Makes a topic, durably. Throws `.alreadyExists`; `.badRequest` for a name, a number of partitions or a setting that is not allowed.
    public func createTopic(_ name: String, partitions: Int32, settings: [String: String] = [:]) throws(MartletError) {
        try Self.checkName(name)
        try Self.checkPartitions(partitions)
        if Self.internalTopics.contains(name), topic(name) == nil { throw MartletError(.badRequest, "topic \(name) is internal, its owner makes it") }
        try topicChanges.withLock { (_) throws(MartletError) in
            if topic(name) != nil { throw MartletError(.alreadyExists, "topic \(name) already exists") }
            let made = try Self.makeTopic(name, partitions: partitions, settings: settings, directory, services, nodeEpoch)
            topicState.withLock { $0[name] = made }
        }
        services.notify(.topicsChanged)
    }

    /// Where the state of share groups is kept; nil as long as there never was one.
    var shareStatePartition: PartitionLog? { partition(TopicPartition(Self.shareStateTopic, 0)) }

    /// The same, made if need be, durably.
    func makeShareStatePartition() throws(MartletError) -> PartitionLog {
        var isNew = false
        let partition = try topicChanges.withLock { (_) throws(MartletError) in
            if let known = shareStatePartition { return known }
            let topic = try Self.makeTopic(Self.shareStateTopic, partitions: 1, settings: Self.internalSettings, directory, services, nodeEpoch)
            topicState.withLock { $0[Self.shareStateTopic] = topic }
            isNew = true
            return topic.partitions[0]
        }
        if isNew { services.notify(.topicsChanged) }
        return partition
    }

    /// From now on, until the log is closed, Kafka clients may read the topic and nothing else. For topics that hold the state of the program;
    /// their owner reserves them at every start.
    public func reserve(_ name: String) { topicChanges.withLock { _ in topicState.withLock { $0[name]?.description.isReserved = true } } }

    /// A topic that is about to be changed; call with `topicChanges` locked.
    private func changing(_ name: String) throws(MartletError) -> Topic {
        guard let topic = topicState.withLock({ $0[name] }) else { throw MartletError(.notFound, "topic \(name) does not exist") }
        return topic
    }

    /// Durable on return. Throws `.notFound`; `.badRequest` for an internal topic. When it throws `.io` the topic goes on, unless not even that can be made
    /// durable: then nothing more is accepted for it until the next start, which finds it or does not.
    public func deleteTopic(_ name: String) throws(MartletError) {
        if Self.internalTopics.contains(name) { throw MartletError(.badRequest, "topic \(name) is internal and cannot be deleted") }
        let (topic, trash) = try topicChanges.withLock { (_) throws(MartletError) in
            let topic = try changing(name)
            let system = services.fileSystem
            try system.createDirectoryDurably("\(directory)/trash")
            let path = "\(directory)/topics/\(name)"
            let trash = "\(directory)/trash/\(Self.hex(topic.description.topicID))"
            // One rename, so that a crash leaves the whole topic or none.
            try system.rename(path, to: trash)
            do throws(MartletError) {
                try syncMoves()
            } catch {
                // It goes on, so its files must not lie where the next start removes them.
                do throws(MartletError) {
                    try system.rename(trash, to: path)
                    try syncMoves()
                } catch {
                    for partition in topic.partitions { partition.refuseWrites(after: error) }
                }
                throw error
            }
            topicState.withLock { $0[name] = nil }
            return (topic, trash)
        }
        for partition in topic.partitions { partition.close() }
        groupOffsets.forget(topic: name)
        do throws(MartletError) {
            try services.fileSystem.removeTree(trash)
        } catch {
            services.logger.warning("deleted topic's files stay until the next start", metadata: ["path": "\(trash)", "error": "\(error)"])
        }
        services.notify(.topicsChanged)
    }

    /// Makes renames between `topics` and `trash` durable. File systems differ in which of the two directories carries such a rename, so both are synced:
    /// `topics` first, since a topic that has left it is deleted wherever its files are, while files that are in both would be removed by the next start
    /// from under a topic that is still there.
    private func syncMoves() throws(MartletError) {
        try services.fileSystem.syncDirectory("\(directory)/topics")
        try services.fileSystem.syncDirectory("\(directory)/trash")
    }

    /// Adds partitions, up to `total`. Throws `.notFound`; `.badRequest` if `total` is not more than there are.
    public func createPartitions(_ name: String, total: Int32) throws(MartletError) {
        try Self.checkPartitions(total)
        try topicChanges.withLock { (_) throws(MartletError) in
            var topic = try changing(name)
            guard total > topic.description.partitions, !topic.description.isInternal else {
                throw MartletError(.badRequest, "topic \(name) has \(topic.description.partitions) partitions; the new total must be more")
            }
            let settings = try TopicSettings(topic.description.settings, defaults: services.topicDefaults)
            for number in topic.description.partitions..<total {
                topic.partitions.append(
                    try PartitionLog.open(
                        TopicPartition(name, number), directory: "\(directory)/topics/\(name)/\(number)", services: services, settings: settings,
                        epoch: nodeEpoch - topic.description.firstEpoch))
            }
            topic.description.partitions = total
            try services.fileSystem.syncDirectory("\(directory)/topics/\(name)")
            try Self.write(topic.description, directory, services)
            topicState.withLock { [topic] in $0[name] = topic }
        }
        services.notify(.topicsChanged)
    }

    /// Replaces the settings of a topic (AlterConfigs). Throws `.notFound`, `.badRequest`.
    public func setSettings(_ name: String, _ settings: [String: String]) throws(MartletError) {
        let parsed = try TopicSettings(settings, defaults: services.topicDefaults)
        try topicChanges.withLock { (_) throws(MartletError) in
            var topic = try changing(name)
            topic.description.settings = settings
            try Self.write(topic.description, directory, services)
            topicState.withLock { [topic] in $0[name] = topic }
            for partition in topic.partitions { partition.change(settings: parsed) }
        }
        services.notify(.topicsChanged)
    }

    /// Changes what is set for brokers or for a group, durably; defaults of topics are in force for all topics on return. Throws as
    /// `NodeSettings.change`.
    func changeSettings(
        of owner: NodeSettings.Owner, keeps: Bool = true, _ change: ([String: String]) throws(KafkaError) -> [String: String]
    ) throws(KafkaError) {
        try topicChanges.withLock { (_) throws(KafkaError) in
            let before = services.topicDefaults
            guard try services.settings.change(owner, keeps: keeps, change) else { return }
            services.countMetadataChange()
            guard services.topicDefaults != before else { return }
            let defaults = services.topicDefaults
            for topic in topicState.withLock({ Array($0.values) }) {
                do throws(MartletError) {
                    let settings = try TopicSettings(topic.description.settings, defaults: defaults)
                    for partition in topic.partitions { partition.change(settings: settings) }
                } catch {
                    // They were checked when they were given.
                    services.logger.warning("topic keeps its settings", metadata: ["topic": "\(topic.description.name)", "reason": "\(error.message)"])
                }
            }
        }
    }

    private static func checkName(_ name: String) throws(MartletError) {
        let isLegal =
            !name.isEmpty && name.utf8.count <= 249 && name != "." && name != ".."
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
        guard isLegal else {
            throw MartletError(.badRequest, "topic name \"\(name)\" must be 1 to 249 letters, digits, '.', '_' or '-', and not '.' or '..'")
        }
    }

    private static func checkPartitions(_ count: Int32) throws(MartletError) {
        guard (1...10_000).contains(count) else { throw MartletError(.badRequest, "a topic has 1 to 10000 partitions, not \(count)") }
    }

    private static func makeTopic(
        _ name: String, partitions: Int32, settings: [String: String], _ directory: String, _ services: LogServices, _ nodeEpoch: Int32
    ) throws(MartletError) -> Topic {
        let parsed = try TopicSettings(settings, defaults: services.topicDefaults)
        let description = TopicDescription(
            name: name, topicID: services.config.makeTopicID().bytes, partitions: partitions, settings: settings, isInternal: internalTopics.contains(name),
            firstEpoch: nodeEpoch)
        let path = "\(directory)/topics/\(name)"
        let system = services.fileSystem
        do throws(MartletError) {
            var logs: [PartitionLog] = []
            for number in 0..<partitions {
                logs.append(
                    try PartitionLog.open(TopicPartition(name, number), directory: "\(path)/\(number)", services: services, settings: parsed, epoch: 0))
            }
            try write(description, directory, services)
            try system.syncDirectory("\(directory)/topics")
            return Topic(description: description, partitions: logs)
        } catch {
            try? system.removeTree(path)
            throw error
        }
    }

    private static func write(_ topic: TopicDescription, _ directory: String, _ services: LogServices) throws(MartletError) {
        let json: JSONValue = [
            "id": .string(hex(topic.topicID)), "partitions": .int(topic.partitions), "first-epoch": .int(topic.firstEpoch),
            "settings": .object(
                JSONObject(topic.settings.sorted { $0.key < $1.key }.map { JSONObject.Member($0.key, .string($0.value)) })),
        ]
        try services.fileSystem.replace(
            "\(directory)/topics/\(topic.name)/topic.json", with: Array("\(json)\n".utf8), durably: true)
    }

    /// nil if the directory holds no topic: its making or deletion was cut short; what there is of it is removed.
    private static func openTopic(_ name: String, _ directory: String, _ services: LogServices, _ nodeEpoch: Int32) throws(MartletError) -> Topic? {
        let path = "\(directory)/topics/\(name)"
        let system = services.fileSystem
        guard let bytes = try system.contents("\(path)/topic.json") else {
            services.logger.warning("topic was not made completely, removed", metadata: ["topic": "\(name)"])
            try system.removeTree(path)
            return nil
        }
        var json = JSONValue.null
        do throws(MartletError) {
            json = try JSONValue(parsing: bytes)
        } catch {
            throw MartletError(.corruptRecord, "\(path)/topic.json is damaged", cause: error)
        }
        guard let id = json["id"]?.stringValue.flatMap(unhex), id.count == 16, let count = json["partitions"]?.intValue,
            let partitions = Int32(exactly: count), partitions > 0, let members = json["settings"]?.objectValue?.members
        else { throw MartletError(.corruptRecord, "\(path)/topic.json is damaged") }
        var settings: [String: String] = [:]
        for member in members { settings[member.name] = member.value.stringValue }
        let parsed = try TopicSettings(settings, defaults: services.topicDefaults)
        // A topic of before there were epochs has lived through all of them.
        let firstEpoch = json["first-epoch"]?.intValue.flatMap { Int32(exactly: $0) } ?? 0
        var logs: [PartitionLog] = []
        for number in 0..<partitions {
            logs.append(
                try PartitionLog.open(
                    TopicPartition(name, number), directory: "\(path)/\(number)", services: services, settings: parsed, epoch: nodeEpoch - firstEpoch))
        }
        return Topic(
            description: TopicDescription(
                name: name, topicID: id, partitions: partitions, settings: settings, isInternal: internalTopics.contains(name),
                firstEpoch: firstEpoch),
            partitions: logs)
    }

    static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    static func unhex(_ text: String) -> [UInt8]? {
        let digits = text.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        for i in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[i], let low = digits[i + 1] else { return nil }
            bytes.append(UInt8(high << 4 | low))
        }
        return bytes
    }

    // MARK: listeners and producer ids

    /// Calls `listener`, on some thread, whenever a readable end moved or topics changed. It must be quick and must not call back into the log's writers.
    public func addListener(_ listener: @escaping @Sendable (LogEvent) -> Void) -> Int { services.addListener(listener) }

    public func removeListener(_ id: Int) { services.removeListener(id) }

    /// A producer id that was never given out, also not before a crash.
    public func makeProducerID() throws(MartletError) -> (id: Int64, epoch: Int16) {
        try producerIDs.withLock { (block) throws(MartletError) in
            if block.next == block.end {
                let path = "\(directory)/producer-ids"
                var start: Int64 = 0
                if let bytes = try services.fileSystem.contents(path) {
                    let text = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first ?? ""
                    guard let value = Int64(text), value >= 0 else { throw MartletError(.corruptRecord, "\(path) is damaged") }
                    start = value
                }
                let end = start + Self.producerIDBlockSize
                try services.fileSystem.replace(path, with: Array("\(end)\n".utf8), durably: true)
                block = ProducerIDBlock(next: start, end: end)
            }
            defer { block.next += 1 }
            return (block.next, 0)
        }
    }
}

extension PartitionLog {
    /// Refuses appends from now on and fails those who wait for durability. Readers may go on.
    func close() {
        let waiters = state.withLock { state in
            state.isClosed = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.completion(.kafkaStorageError) }
    }
}
