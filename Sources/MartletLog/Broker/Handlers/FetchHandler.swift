import MartletCore
import NIOCore
import Synchronization

struct FetchRequest: WireRequest {
    typealias Response = FetchResponse
    static let api = APIKey.fetch

    struct Partition: WireMessage {
        var index: Int32 = 0
        var currentLeaderEpoch: Int32 = -1
        var fetchOffset: Int64 = 0
        var lastFetchedEpoch: Int32 = -1
        var logStartOffset: Int64 = -1
        var bytesMax: Int32 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&currentLeaderEpoch, from: 9)
            try wire.field(&fetchOffset)
            try wire.field(&lastFetchedEpoch, from: 12)
            try wire.field(&logStartOffset, from: 5)
            try wire.field(&bytesMax)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>
    typealias ForgottenTopic = PerTopic<Int32>

    var replicaID: Int32 = -1
    var waitMsMax: Int32 = 500
    var bytesMin: Int32 = 1
    var bytesMax: Int32 = .max
    /// 0 read uncommitted, 1 read committed.
    var isolationLevel: Int8 = 0
    var sessionID: Int32 = 0
    var sessionEpoch: Int32 = -1
    var topics: [Topic] = []
    var forgottenTopics: [ForgottenTopic] = []
    var rackID = ""

    mutating func code(_ wire: inout Wire) throws(WireError) {
        wire.topicIDsFrom = 13
        try wire.field(&replicaID, to: 14)
        try wire.field(&waitMsMax)
        try wire.field(&bytesMin)
        try wire.field(&bytesMax)
        try wire.field(&isolationLevel)
        try wire.field(&sessionID, from: 7)
        try wire.field(&sessionEpoch, from: 7)
        try wire.field(&topics)
        try wire.field(&forgottenTopics, from: 7)
        try wire.field(&rackID, from: 11)
        try wire.tags()
    }
}

struct FetchResponse: WireMessage {
    struct Aborted: WireMessage {
        var producerID: Int64 = 0
        var firstOffset: Int64 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&producerID)
            try wire.field(&firstOffset)
            try wire.tags()
        }
    }

    struct CurrentLeader: WireMessage {
        var leaderID: Int32 = -1
        var epoch: Int32 = -1

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&leaderID)
            try wire.field(&epoch)
            try wire.tags()
        }
    }

    struct EpochEnd: WireMessage {
        var epoch: Int32 = -1
        var offset: Int64 = -1

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&epoch)
            try wire.field(&offset)
            try wire.tags()
        }
    }

    /// Where a leader can be reached (KIP-951).
    struct Endpoint: WireMessage {
        var nodeID: Int32 = -1
        var host = ""
        var port: Int32 = -1
        var rack: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&nodeID)
            try wire.field(&host)
            try wire.field(&port)
            try wire.field(&rack)
            try wire.tags()
        }
    }

    struct Partition: WireMessage {
        var index: Int32 = 0
        var error = KafkaErrorCode.none
        var highWatermark: Int64 = -1
        var lastStableOffset: Int64 = -1
        var logStartOffset: Int64 = -1
        var aborted: [Aborted]?
        var preferredReadReplica: Int32 = -1
        var records: ByteBuffer? = ByteBuffer()
        /// In `records`; not on the wire.
        var recordCount = 0
        /// The last epoch that the client has read ends here, before its place: no records (KIP-595).
        var diverging: EpochEnd?
        /// Who leads, if the client's epoch is not in force.
        var leader: CurrentLeader?

        var recordBytes: Int { records?.readableBytes ?? 0 }

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&highWatermark)
            try wire.field(&lastStableOffset)
            try wire.field(&logStartOffset, from: 5)
            try wire.field(&aborted)
            try wire.field(&preferredReadReplica, from: 11)
            try wire.field(&records)
            try wire.tags(wire.isReading ? [0, 1] : (diverging == nil ? [] : [0]) + (leader == nil ? [] : [1])) { (tag, wire) throws(WireError) in
                if tag == 0 { try tagged(&diverging, &wire) } else { try tagged(&leader, &wire) }
            }
        }
    }

    typealias Topic = PerTopic<Partition>

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var sessionID: Int32 = 0
    var topics: [Topic] = []
    /// Of the leaders that partitions name.
    var endpoints: [Endpoint] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        wire.topicIDsFrom = 13
        try wire.field(&throttleTimeMs)
        try wire.field(&error, from: 7)
        try wire.field(&sessionID, from: 7)
        try wire.field(&topics)
        try wire.tags(wire.isReading || (wire.version >= 16 && !endpoints.isEmpty) ? [0] : []) { (_, wire) throws(WireError) in
            try wire.field(&endpoints)
        }
    }

    var recordBytes: Int { topics.reduce(0) { sum, topic in topic.partitions.reduce(sum) { $0 + $1.recordBytes } } }
    var namesLeaders: Bool { topics.contains { $0.partitions.contains { $0.leader != nil } } }

}

/// An optional structure in a tagged field: it is there whenever the tag is.
private func tagged<Message: WireMessage>(_ value: inout Message?, _ wire: inout Wire) throws(WireError) {
    var present = value ?? Message()
    try present.code(&wire)
    value = present
}

extension RequestRouter {
    /// Answers at once if there are `bytesMin` bytes or an error to tell; otherwise when there are, or when the time is up.
    func fetch(_ request: FetchRequest, _ context: RequestContext) -> Answer<FetchResponse> {
        let allowance = fetchAllowance(context)
        // Who has to wait first gets nothing: no session either, where it asks for one, as an answer that begins one names all its partitions.
        if allowance == 0, request.sessionEpoch <= 0 { return .now(FetchResponse()) }
        let reading: FetchReading
        do throws(KafkaError) {
            reading = try fetchSessions.reading(request, usesTopicIDs: context.version >= 13, nowMs: time.monotonicNs / 1_000_000)
        } catch {
            return .now(FetchResponse(error: error.code))
        }
        if allowance == 0 { return .now(FetchResponse(sessionID: request.sessionID)) }
        let bytesMax = min(answerBytes.allowance(config.fetchBytesMax), allowance ?? .max)
        let plan = FetchPlan(request, reading.partitions, log, topicIDs, context.access, bytesMax: bytesMax)
        let waitMs = min(max(request.waitMsMax, 0), config.fetchWaitMsMax)
        let endpoint = FetchResponse.Endpoint(nodeID: Self.nodeID, host: context.advertisedHost, port: context.advertisedPort)
        let told: @Sendable (FetchResponse) -> FetchResponse = { response in
            plan.noteSent(response)
            var response = reading.told(response)
            if response.namesLeaders { response.endpoints = [endpoint] }
            return response
        }
        if plan.isAnswerable || waitMs == 0 {
            if plan.isCold { return offload(context) { told(plan.read()) } }
            let response = plan.read()
            if waitMs == 0 || plan.satisfies(response) { return .now(told(response)) }
        }
        let delayed = DelayedFetch(plan, waitMs: Int64(waitMs), loop: context.loop, life: context.life, blocking: blocking, waiting: delayedFetches)
        return .later(delayed.start().map(told))
    }
}

/// A Fetch request with its partitions looked up; reads any number of times, from any thread.
struct FetchPlan: PollPlan {
    private struct Partition: Sendable {
        var request: FetchRequest.Partition
        var id: TopicPartition
        var topicID: UUIDBytes
        var log: PartitionLog?
        /// Why it is not looked at at all.
        var refusal: KafkaErrorCode?
    }

    private let partitions: [Partition]
    private let bytesMin: Int
    let bytesMax: Int
    let isolation: Isolation
    private let source: EmbeddedLog

    /// A read of so many bytes from the end of the log comes from the page cache; one further back may wait for the disk.
    static let warmBytes: Int64 = 8 << 20

    init(_ request: FetchRequest, _ wanted: [FetchedPartition], _ source: EmbeddedLog, _ topicIDs: TopicIDs, _ access: Access, bytesMax: Int) {
        self.source = source
        self.bytesMax = min(max(Int(request.bytesMax), 0), bytesMax)
        bytesMin = min(max(Int(request.bytesMin), 0), self.bytesMax)
        isolation = request.isolationLevel == 1 ? .readCommitted : .readUncommitted
        partitions = wanted.map { partition in
            let name = partition.topicID == .zero ? partition.topic : topicIDs.name(of: partition.topicID)
            let id = TopicPartition(name ?? "", partition.request.index)
            let refusal: KafkaErrorCode? = name == nil ? .unknownTopicID : access.allows(.read, .topic, id.topic) ? nil : .topicAuthorizationFailed
            return Partition(
                request: partition.request, id: id, topicID: partition.topicID, log: refusal == nil ? source.partition(id) : nil,
                refusal: refusal)
        }
    }

    var ids: [TopicPartition] { partitions.map(\.id) }

    private func readableEnd(_ log: PartitionLog) -> Int64 {
        isolation == .readCommitted ? log.lastStableOffset : log.highWatermark
    }

    private func error(_ partition: Partition) -> KafkaErrorCode {
        if let refusal = partition.refusal { return refusal }
        // A topic may have been deleted, or made anew, since the plan was made.
        guard let log = partition.log, source.partition(partition.id) === log else {
            return partition.topicID == .zero || partition.log == nil ? .unknownTopicOrPartition : .unknownTopicID
        }
        let stale = EpochCheck.error(partition.request.currentLeaderEpoch, inForce: log.leaderEpoch)
        if stale != .none { return stale }
        let offset = partition.request.fetchOffset
        return offset < log.startOffset || offset > log.endOffset ? .offsetOutOfRange : .none
    }

    /// Where the last epoch that the client has read ends, if that is before its place or was followed by others there.
    private func divergence(_ partition: Partition, _ log: PartitionLog) -> FetchResponse.EpochEnd? {
        let epoch = partition.request.lastFetchedEpoch
        guard epoch >= 0, let end = log.end(ofEpoch: epoch), end.epoch < epoch || end.startOffset < partition.request.fetchOffset else { return nil }
        return FetchResponse.EpochEnd(epoch: end.epoch, offset: end.startOffset)
    }

    /// Whether there may be something to tell already: cheap, no disk.
    var isAnswerable: Bool {
        if bytesMin == 0 || partitions.isEmpty { return true }
        return partitions.contains { partition in
            guard error(partition) == .none, let log = partition.log else { return true }
            return partition.request.fetchOffset < readableEnd(log) || divergence(partition, log) != nil
        }
    }

    /// Whether reading may have to wait for the disk.
    var isCold: Bool {
        partitions.contains { partition in
            guard let log = partition.log else { return false }
            let start = log.startOffset, end = log.endOffset
            guard end > start, partition.request.fetchOffset < end else { return false }
            let bytes = Double(log.sizeBytes) * Double(end - partition.request.fetchOffset) / Double(end - start)
            return bytes > Double(Self.warmBytes)
        }
    }

    /// With `bytesMin` above one byte every append would make us read all over again: at most this often.
    var lookDelayMs: Int64 { bytesMin <= 1 ? 0 : 1 }

    /// What is less than `bytesMin` stays so until more is appended.
    var looksUntilUnanswerable: Bool { false }

    func satisfies(_ response: FetchResponse) -> Bool {
        var bytes = 0
        for topic in response.topics {
            for partition in topic.partitions {
                if partition.error != .none || partition.diverging != nil { return true }
                bytes += partition.recordBytes
            }
        }
        return bytes >= bytesMin || partitions.isEmpty
    }

    /// Reads in the client's order until `bytesMax` is reached; the first batch comes whole even if it is larger, and no other (KIP-74).
    func read() -> FetchResponse {
        var left = bytesMax
        var response = FetchResponse()
        for partition in partitions {
            let answer = read(partition, atMost: left)
            left -= answer.recordBytes
            if let last = response.topics.last, last.name == partition.id.topic, last.id == partition.topicID {
                response.topics[response.topics.count - 1].partitions.append(answer)
            } else {
                response.topics.append(.init(name: partition.id.topic, id: partition.topicID, partitions: [answer]))
            }
        }
        return response
    }

    /// Reading takes nothing away from others.
    func takeBack(_ response: FetchResponse) {}

    /// Counts what of its partitions a client is answered with: those of the plan, in its order.
    func noteSent(_ response: FetchResponse) {
        var place = 0
        for topic in response.topics {
            for answer in topic.partitions {
                if answer.recordCount > 0, partitions.indices.contains(place), let log = partitions[place].log {
                    log.sentBytes.wrappingAdd(Int64(answer.recordBytes), ordering: .relaxed)
                    log.sentRecords.wrappingAdd(Int64(answer.recordCount), ordering: .relaxed)
                }
                place += 1
            }
        }
    }

    private func read(_ partition: Partition, atMost left: Int) -> FetchResponse.Partition {
        var answer = FetchResponse.Partition(index: partition.request.index, error: error(partition))
        if answer.error == .fencedLeaderEpoch || answer.error == .unknownLeaderEpoch, let log = partition.log {
            answer.leader = .init(leaderID: RequestRouter.nodeID, epoch: log.leaderEpoch)
        }
        guard answer.error == .none, let log = partition.log else { return answer }
        answer.highWatermark = log.highWatermark
        answer.lastStableOffset = log.lastStableOffset
        answer.logStartOffset = log.startOffset
        answer.diverging = divergence(partition, log)
        if answer.diverging != nil { return answer }
        let bytesMax = min(Int(partition.request.bytesMax), left)
        guard left > 0, partition.request.fetchOffset < readableEnd(log) else { return answer }
        do throws(KafkaError) {
            let slice = try log.read(from: partition.request.fetchOffset, maxBytes: max(bytesMax, 1), isolation: isolation)
            answer.highWatermark = slice.highWatermark
            answer.lastStableOffset = slice.lastStableOffset
            answer.logStartOffset = slice.startOffset
            // A batch that is larger than what is left waits for an answer in which it is the first: clients begin with another partition each time.
            guard left == self.bytesMax || slice.bytes.readableBytes <= left else { return answer }
            answer.records = slice.bytes
            answer.recordCount = slice.recordCount
            if isolation == .readCommitted {
                answer.aborted = slice.aborted.map { .init(producerID: $0.producerID, firstOffset: $0.firstOffset) }
            }
        } catch {
            answer = FetchResponse.Partition(index: partition.request.index, error: error.code)
        }
        return answer
    }
}
