/// What the broker decides about streams groups (group.streams.…), with bounds of what a group may set for itself. Times are milliseconds.
public struct StreamsGroupConfig: Sendable {
    public var sessionTimeoutMs: Int64 = 45_000
    public var sessionTimeoutMinMs: Int64 = 45_000
    public var sessionTimeoutMaxMs: Int64 = 60_000
    public var heartbeatIntervalMs: Int32 = 5_000
    public var heartbeatIntervalMinMs: Int32 = 5_000
    public var heartbeatIntervalMaxMs: Int32 = 15_000
    /// Members of one group.
    public var membersMax = 10_000
    public var standbyReplicas: Int32 = 0
    public var standbyReplicasMax: Int32 = 2
    public var warmupReplicas: Int32 = 2
    /// As Kafka has it, unlike that of other groups: what is assigned too early has to read its state twice.
    public var initialRebalanceDelayMs: Int64 = 3_000
    /// Records that a copy may lag and count as caught up.
    public var acceptableRecoveryLag: Int32 = 10_000
    public var taskOffsetIntervalMs: Int32 = 60_000

    public init() {}
}

extension StreamsGroup.Settings {
    /// What one streams group goes by: its own settings, else the broker's.
    init(own: [String: String], broker: StreamsGroupConfig) {
        func number(_ name: String) -> Int64? { own[name].flatMap { Int64($0) } }
        sessionTimeoutMs = number(GroupSetting.streamsSessionTimeout) ?? broker.sessionTimeoutMs
        heartbeatIntervalMs = number(GroupSetting.streamsHeartbeatInterval).map { Int32(clamping: $0) } ?? broker.heartbeatIntervalMs
        standbyReplicas = Int(number(GroupSetting.streamsStandbyReplicas) ?? Int64(broker.standbyReplicas))
        initialRebalanceDelayMs = number(GroupSetting.streamsInitialRebalanceDelay) ?? broker.initialRebalanceDelayMs
        warmupReplicas = Int(broker.warmupReplicas)
        acceptableRecoveryLag = broker.acceptableRecoveryLag
        taskOffsetIntervalMs = broker.taskOffsetIntervalMs
        membersMax = broker.membersMax
    }
}
