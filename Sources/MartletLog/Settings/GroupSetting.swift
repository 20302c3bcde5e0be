/// Settings that a group may have of its own (KIP-848, "Group Configurations"); those of the broker hold for all others.
enum GroupSetting {
    static let heartbeatInterval = "consumer.heartbeat.interval.ms"
    static let sessionTimeout = "consumer.session.timeout.ms"

    struct Row: Sendable {
        var name: String
        var brokerSetting: String
        var text: String
        /// What the broker allows; its own value is always allowed.
        var range: @Sendable (GroupConfig) -> ClosedRange<Int64>
    }

    static let all: [Row] = [
        Row(
            name: heartbeatInterval, brokerSetting: "group.consumer.heartbeat.interval.ms", text: "How often members of the group report.",
            range: { range(Int64($0.consumerHeartbeatIntervalMinMs), Int64($0.consumerHeartbeatIntervalMaxMs), Int64($0.consumerHeartbeatIntervalMs)) }),
        Row(
            name: sessionTimeout, brokerSetting: "group.consumer.session.timeout.ms", text: "A member that is silent for so long is out.",
            range: { range($0.consumerSessionTimeoutMinMs, $0.consumerSessionTimeoutMaxMs, $0.consumerSessionTimeoutMs) }),
    ]

    private static func range(_ low: Int64, _ high: Int64, _ value: Int64) -> ClosedRange<Int64> { min(low, value)...max(high, value) }

    /// - Throws: INVALID_CONFIG naming the setting that does not exist, or whose value is not allowed, by itself or beside the other.
    static func check(_ values: [String: String], of group: String, _ broker: GroupConfig) throws(KafkaError) {
        guard !group.isEmpty else { throw KafkaError(.invalidRequest, "there are no settings for all groups; those of the broker are it") }
        for (name, text) in values.sorted(by: { $0.key < $1.key }) {
            guard let row = all.first(where: { $0.name == name }) else { throw KafkaError(.invalidConfig, "there is no setting \(name) of groups") }
            let range = row.range(broker)
            guard let number = Int64(text), range.contains(number) else {
                throw KafkaError(.invalidConfig, "\(name) is a whole number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\"")
            }
        }
        let interval = values[heartbeatInterval].flatMap { Int64($0) } ?? Int64(broker.consumerHeartbeatIntervalMs)
        let timeout = values[sessionTimeout].flatMap { Int64($0) } ?? broker.consumerSessionTimeoutMs
        guard timeout > interval || values.isEmpty else {
            throw KafkaError(.invalidConfig, "\(sessionTimeout) (\(timeout)) must be more than \(heartbeatInterval) (\(interval))")
        }
    }
}
