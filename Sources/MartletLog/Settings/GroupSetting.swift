/// Settings that a group may have of its own (KIP-848, KIP-932, KIP-1071, KIP-1240, "Group Configurations"); those of the broker hold for all others.
enum GroupSetting {
    static let heartbeatInterval = "consumer.heartbeat.interval.ms"
    static let sessionTimeout = "consumer.session.timeout.ms"
    static let shareHeartbeatInterval = "share.heartbeat.interval.ms"
    static let shareSessionTimeout = "share.session.timeout.ms"
    static let shareRecordLockDuration = "share.record.lock.duration.ms"
    static let shareDeliveryCountLimit = "share.delivery.count.limit"
    static let sharePartitionRecordLocksMax = "share.partition.max.record.locks"
    static let shareOffsetReset = "share.auto.offset.reset"
    static let shareIsolationLevel = "share.isolation.level"
    static let shareRenewAcknowledge = "share.renew.acknowledge.enable"
    static let streamsHeartbeatInterval = "streams.heartbeat.interval.ms"
    static let streamsInitialRebalanceDelay = "streams.initial.rebalance.delay.ms"
    static let streamsStandbyReplicas = "streams.num.standby.replicas"
    static let streamsSessionTimeout = "streams.session.timeout.ms"

    /// What it may be set to.
    enum Allowed: Sendable {
        /// A whole number that the broker allows; its own value is always allowed.
        case number(@Sendable (GroupConfig) -> ClosedRange<Int64>)
        case flag
        case choice([String])
        case offsetReset
    }

    /// What holds for groups that do not say.
    enum Default: Sendable {
        case brokerSetting(String)
        case value(String)
    }

    struct Row: Sendable {
        var name: String
        var byDefault: Default
        var text: String
        var allowed: Allowed

        var kind: SettingDescription.Kind {
            switch allowed {
            case .number: .int
            case .flag: .boolean
            case .choice, .offsetReset: .string
            }
        }

        /// What is allowed instead of this value; nil if it is one.
        func refusal(of text: String, _ broker: GroupConfig) -> String? {
            switch allowed {
            case .number(let range):
                let range = range(broker)
                return Int64(text).map(range.contains) == true ? nil : "a whole number from \(range.lowerBound) to \(range.upperBound)"
            case .flag: return SettingDescription.Kind.boolean.refusal(of: text)
            case .choice(let choices): return choices.contains(text) ? nil : choices.joined(separator: " or ")
            case .offsetReset: return ShareOffsetReset(text) == nil ? "latest, earliest or by_duration: with a duration as PnDTnHnMn.nS" : nil
            }
        }
    }

    static let all: [Row] = ofConsumers + ofSharing + ofStreams

    private static let ofConsumers: [Row] = [
        row(heartbeatInterval, "How often members of the group report.") {
            range(Int64($0.consumerHeartbeatIntervalMinMs), Int64($0.consumerHeartbeatIntervalMaxMs), Int64($0.consumerHeartbeatIntervalMs))
        },
        row(sessionTimeout, "A member that is silent for so long is out.") {
            range($0.consumerSessionTimeoutMinMs, $0.consumerSessionTimeoutMaxMs, $0.consumerSessionTimeoutMs)
        },
    ]

    private static let ofSharing: [Row] = [
        .init(
            name: shareOffsetReset, byDefault: .value(ShareOffsetReset.latest.text),
            text: "Where a partition that is new to the group begins: latest, earliest, or by_duration: and how far back.", allowed: .offsetReset),
        row(shareDeliveryCountLimit, "How often a record is handed out before it is given up.") {
            range($0.sharing.deliveryCountLimitMin, $0.sharing.deliveryCountLimitMax, $0.sharing.deliveryCountLimit)
        },
        row(shareHeartbeatInterval, "How often members of the group report.") {
            range(Int64($0.sharing.heartbeatIntervalMinMs), Int64($0.sharing.heartbeatIntervalMaxMs), Int64($0.sharing.heartbeatIntervalMs))
        },
        .init(
            name: shareIsolationLevel, byDefault: .value(ShareIsolationLevel.readUncommitted.rawValue),
            text: "Whether records of transactions are handed out only once these are committed.",
            allowed: .choice(ShareIsolationLevel.allCases.map(\.rawValue))),
        row(sharePartitionRecordLocksMax, "How many records of a partition may be handed out and not yet done with.") {
            range($0.sharing.partitionRecordLocksMin, $0.sharing.partitionRecordLocksMax, $0.sharing.partitionRecordLocks)
        },
        row(shareRecordLockDuration, "A record that is handed out and not acknowledged for so long goes to another member.") {
            range($0.sharing.recordLockDurationMinMs, $0.sharing.recordLockDurationMaxMs, $0.sharing.recordLockDurationMs)
        },
        .init(
            name: shareRenewAcknowledge, byDefault: .value("true"), text: "Whether members may ask for more time for a record.", allowed: .flag),
        row(shareSessionTimeout, "A member that is silent for so long is out.") {
            range($0.sharing.sessionTimeoutMinMs, $0.sharing.sessionTimeoutMaxMs, $0.sharing.sessionTimeoutMs)
        },
    ]

    private static let ofStreams: [Row] = [
        row(streamsHeartbeatInterval, "How often members of the group report.") {
            range(Int64($0.streams.heartbeatIntervalMinMs), Int64($0.streams.heartbeatIntervalMaxMs), Int64($0.streams.heartbeatIntervalMs))
        },
        row(streamsInitialRebalanceDelay, "How long the first assignment of tasks waits for more members.") { _ in 0...Int64(Int32.max) },
        row(streamsStandbyReplicas, "How many other processes have a copy of a task's state.") {
            range(0, Int64($0.streams.standbyReplicasMax), Int64($0.streams.standbyReplicas))
        },
        row(streamsSessionTimeout, "A member that is silent for so long is out.") {
            range($0.streams.sessionTimeoutMinMs, $0.streams.sessionTimeoutMaxMs, $0.streams.sessionTimeoutMs)
        },
    ]

    /// One whose default is the broker's setting of the same name after "group.".
    private static func row(_ name: String, _ text: String, _ range: @escaping @Sendable (GroupConfig) -> ClosedRange<Int64>) -> Row {
        .init(name: name, byDefault: .brokerSetting("group.\(name)"), text: text, allowed: .number(range))
    }

    private static func range(_ low: Int64, _ high: Int64, _ value: Int64) -> ClosedRange<Int64> { min(low, value)...max(high, value) }

    /// What is shorter than what, with the broker's values.
    private static let pairs: [(interval: String, timeout: String, broker: @Sendable (GroupConfig) -> (interval: Int64, timeout: Int64))] = [
        (heartbeatInterval, sessionTimeout, { (Int64($0.consumerHeartbeatIntervalMs), $0.consumerSessionTimeoutMs) }),
        (shareHeartbeatInterval, shareSessionTimeout, { (Int64($0.sharing.heartbeatIntervalMs), $0.sharing.sessionTimeoutMs) }),
        (streamsHeartbeatInterval, streamsSessionTimeout, { (Int64($0.streams.heartbeatIntervalMs), $0.streams.sessionTimeoutMs) }),
    ]

    /// - Throws: INVALID_CONFIG naming the setting that does not exist, or whose value is not allowed, by itself or beside another.
    static func check(_ values: [String: String], of group: String, _ broker: GroupConfig) throws(KafkaError) {
        guard !group.isEmpty else { throw KafkaError(.invalidRequest, "there are no settings for all groups; those of the broker are it") }
        for (name, text) in values.sorted(by: { $0.key < $1.key }) {
            guard let row = all.first(where: { $0.name == name }) else { throw KafkaError(.invalidConfig, "there is no setting \(name) of groups") }
            if let allowed = row.refusal(of: text, broker) { throw KafkaError(.invalidConfig, "\(name) is \(allowed), not \"\(text)\"") }
        }
        for pair in pairs where values[pair.interval] != nil || values[pair.timeout] != nil {
            let byDefault = pair.broker(broker)
            let interval = values[pair.interval].flatMap { Int64($0) } ?? byDefault.interval
            let timeout = values[pair.timeout].flatMap { Int64($0) } ?? byDefault.timeout
            guard timeout > interval else {
                throw KafkaError(.invalidConfig, "\(pair.timeout) (\(timeout)) must be more than \(pair.interval) (\(interval))")
            }
        }
    }
}
