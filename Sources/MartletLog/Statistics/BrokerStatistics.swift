import MartletCore

/// What Kafka clients do and how they fare, counted since the start; see `KafkaBroker.statistics`.
public struct BrokerStatistics: Sendable {
    public struct Count: Sendable, Equatable {
        public var name: String
        public var count: Int64

        public init(name: String, count: Int64) {
            self.name = name
            self.count = count
        }
    }

    public struct Request: Sendable, Equatable {
        /// As the protocol guide calls it.
        public var api: String
        /// From the moment it was read until its answer could be sent; waiting for the disk and for records is in it.
        public var seconds: HistogramValues
        /// What its answers told.
        public var errors: [Count]

        public init(api: String, seconds: HistogramValues, errors: [Count]) {
            self.api = api
            self.seconds = seconds
            self.errors = errors
        }
    }

    public struct Listener: Sendable, Equatable {
        public var name: String
        public var open: Int
        public var accepted: Int64

        public init(name: String, open: Int, accepted: Int64) {
            self.name = name
            self.open = open
            self.accepted = accepted
        }
    }

    public struct Throttle: Sendable, Equatable {
        public var quota: String
        public var count: Int64
        public var seconds: Double

        public init(quota: String, count: Int64, seconds: Double) {
            self.quota = quota
            self.count = count
            self.seconds = seconds
        }
    }

    public struct Group: Sendable, Equatable {
        public var id: String
        /// Of protocol: classic, consumer, …
        public var type: String
        public var state: String
        public var members: Int

        public init(id: String, type: String, state: String, members: Int) {
            self.id = id
            self.type = type
            self.state = state
            self.members = members
        }
    }

    public struct Share: Sendable, Equatable {
        public var group: String
        public var partition: TopicPartition
        /// Everything below is done with.
        public var startOffset: Int64
        /// Records up to the high watermark that are not done with.
        public var lagRecords: Int64

        public init(group: String, partition: TopicPartition, startOffset: Int64, lagRecords: Int64) {
            self.group = group
            self.partition = partition
            self.startOffset = startOffset
            self.lagRecords = lagRecords
        }
    }

    public var listeners: [Listener] = []
    /// By the limit that was reached.
    public var refusedConnections: [Count] = []
    /// That we ended, by reason.
    public var endedConnections: [Count] = []
    public var requests: [Request] = []
    public var throttles: [Throttle] = []
    public var delayedFetches = 0
    public var delayedShareFetches = 0
    public var fetchSessions = 0
    /// Of answers that sockets have not taken yet.
    public var unsentBytes = 0
    /// Sorted by id.
    public var groups: [Group] = []
    /// By type of group.
    public var rebalances: [Count] = []
    /// Sorted by group.
    public var shares: [Share] = []

    public init() {}
}
