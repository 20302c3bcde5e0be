import MartletCore
import NIOCore

// ShareFetch (KIP-932; version 2: KIP-1206, KIP-1222).

struct ShareFetchRequest: WireRequest {
    typealias Response = ShareFetchResponse
    static let api = APIKey.shareFetch

    struct AcknowledgementBatch: WireMessage {
        var firstOffset: Int64 = 0
        var lastOffset: Int64 = 0
        var types: [Int8] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&firstOffset)
            try wire.field(&lastOffset)
            try wire.field(&types)
            try wire.tags()
        }
    }

    struct Partition: WireMessage {
        var index: Int32 = 0
        var acknowledgements: [AcknowledgementBatch] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&acknowledgements)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>
    typealias ForgottenTopic = PerTopic<Int32>

    var groupID: String?
    var memberID: String?
    /// 0 begins a session, −1 ends it.
    var sessionEpoch: Int32 = 0
    var waitMsMax: Int32 = 0
    var bytesMin: Int32 = 0
    var bytesMax: Int32 = .max
    var recordsMax: Int32 = 0
    var batchSize: Int32 = 0
    /// 0: batches come whole, 1: never more than `recordsMax`.
    var acquireMode: Int8 = 0
    /// There may be acknowledgements that only ask for more time.
    var renews = false
    var topics: [Topic] = []
    var forgottenTopics: [ForgottenTopic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        wire.topicIDsFrom = 0
        try wire.field(&groupID)
        try wire.field(&memberID)
        try wire.field(&sessionEpoch)
        try wire.field(&waitMsMax)
        try wire.field(&bytesMin)
        try wire.field(&bytesMax)
        try wire.field(&recordsMax)
        try wire.field(&batchSize)
        try wire.field(&acquireMode, from: 2)
        try wire.field(&renews, from: 2)
        try wire.field(&topics)
        try wire.field(&forgottenTopics)
        try wire.tags()
    }
}

struct ShareFetchResponse: WireMessage {
    struct AcquiredRecords: WireMessage {
        var firstOffset: Int64 = 0
        var lastOffset: Int64 = 0
        var deliveryCount: Int16 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&firstOffset)
            try wire.field(&lastOffset)
            try wire.field(&deliveryCount)
            try wire.tags()
        }
    }

    struct Partition: WireMessage {
        var index: Int32 = 0
        var error = KafkaErrorCode.none
        var errorMessage: String?
        /// How its acknowledgements went.
        var acknowledgeError = KafkaErrorCode.none
        var acknowledgeMessage: String?
        /// Named where another node leads, so never here.
        var leader = FetchResponse.CurrentLeader()
        var records: ByteBuffer? = ByteBuffer()
        var acquired: [AcquiredRecords] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&acknowledgeError)
            try wire.field(&acknowledgeMessage)
            try wire.field(&leader)
            try wire.field(&records)
            try wire.field(&acquired)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var lockMs: Int32 = 0
    var topics: [Topic] = []
    var endpoints: [FetchResponse.Endpoint] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        wire.topicIDsFrom = 0
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&lockMs)
        try wire.field(&topics)
        try wire.field(&endpoints)
        try wire.tags()
    }

    var recordBytes: Int { topics.reduce(0) { sum, topic in topic.partitions.reduce(sum) { $0 + ($1.records?.readableBytes ?? 0) } } }

    /// The answer for a partition, made where there is none yet.
    mutating func amend(_ id: GroupPartition, _ change: (inout Partition) -> Void) {
        let t: Int
        if let known = topics.lastIndex(where: { $0.id == id.topic }) {
            t = known
        } else {
            topics.append(Topic(id: id.topic))
            t = topics.count - 1
        }
        let p: Int
        if let known = topics[t].partitions.lastIndex(where: { $0.index == id.index }) {
            p = known
        } else {
            topics[t].partitions.append(Partition(index: id.index))
            p = topics[t].partitions.count - 1
        }
        change(&topics[t].partitions[p])
    }
}

extension RequestRouter {
    /// Takes acknowledgements back, then hands records out: at once if there are any, otherwise when there are, or when the time is up. What was
    /// acknowledged is on disk before the answer goes.
    func shareFetch(_ request: ShareFetchRequest, _ context: RequestContext) -> Answer<ShareFetchResponse> {
        guard let group = request.groupID, !group.isEmpty, let member = request.memberID, !member.isEmpty else {
            return .now(.init(error: .invalidRequest, errorMessage: "a group and a member have to be named"))
        }
        guard (0...1).contains(request.acquireMode) else {
            return .now(.init(error: .invalidRequest, errorMessage: "there is no acquire mode \(request.acquireMode)"))
        }
        let allowance = fetchAllowance(context)
        let key = ShareSessions.Key(group: group, member: member)
        let settings = shares.settings(ofGroup: group)
        let acknowledged = request.topics.contains { $0.partitions.contains { !$0.acknowledgements.isEmpty } }
        if request.renews, request.waitMsMax != 0 || request.bytesMin != 0 || request.bytesMax != 0 || request.recordsMax != 0 {
            return .now(.init(error: .invalidRequest, errorMessage: "a request that renews locks does not ask for records"))
        }
        let wanted: [GroupPartition]
        let token: ShareSessionToken?
        do throws(KafkaError) {
            switch request.sessionEpoch {
            case 0:
                if acknowledged { throw KafkaError(.invalidRequest, "the first request of a share session acknowledges nothing") }
                wanted = request.topics.flatMap { topic in topic.partitions.map { GroupPartition(topic: topic.id, index: $0.index) } }
                token = try shares.sessions.begin(
                    key, wanted, on: ObjectIdentifier(context.life), sessionsMax: log.settings.broker.groups.sharing.sessionsMax
                )
                let shares = shares, connection = ObjectIdentifier(context.life)
                context.life.onEnd { shares.connectionEnded(connection) }
            case -1:
                try shares.sessions.end(key)
                (wanted, token) = ([], nil)
            default:
                let adding = request.topics.flatMap { topic in topic.partitions.map { GroupPartition(topic: topic.id, index: $0.index) } }
                let forgetting = request.forgottenTopics.flatMap { topic in topic.partitions.map { GroupPartition(topic: topic.id, index: $0) } }
                let next = try shares.sessions.advance(key, epoch: request.sessionEpoch, adding: adding, forgetting: forgetting)
                (wanted, token) = (next.partitions, next.token)
            }
        } catch {
            return .now(.init(error: error.code, errorMessage: error.message))
        }
        let outcome = acknowledge(request.topics, group, member, allowsRenewal: request.renews, settings, context)
        let empty = ShareFetchResponse(lockMs: Int32(clamping: settings.recordLockDurationMs))
        guard let token, request.recordsMax > 0, request.bytesMax > 0, allowance != 0 else {
            if request.sessionEpoch == -1 { shares.release(group: group, memberID: member) }
            return durably(outcome, empty, context) { outcome, response in outcome.tell(&response) }
        }
        let bytesMax = min(answerBytes.allowance(config.fetchBytesMax), allowance ?? .max)
        let waitMs = Int64(min(max(request.waitMsMax, 0), config.fetchWaitMsMax))
        let plan = ShareFetchPlan(request, group, member, wanted, self, settings, context.access, token, bytesMax: bytesMax)
        // A start that is not on disk could be another one after a crash.
        var needed = outcome
        needed.end = max(needed.end, plan.durableFrom)
        switch handOut(plan, waitMs: waitMs, context) {
        case .none: return .none
        case .now(let response): return durably(needed, response, context) { outcome, response in outcome.tell(&response) }
        case .later(let future):
            return .later(
                future.and(durable(needed, context)).map { response, outcome in
                    var response = response
                    outcome.tell(&response)
                    return response
                })
        }
    }

    private func handOut(_ plan: ShareFetchPlan, waitMs: Int64, _ context: RequestContext) -> Answer<ShareFetchResponse> {
        if plan.isAnswerable || waitMs == 0 {
            if plan.isCold { return offload(context) { plan.read() } }
            let response = plan.read()
            if waitMs == 0 || plan.satisfies(response) { return .now(response) }
        }
        let delayed = DelayedFetch(plan, waitMs: waitMs, loop: context.loop, life: context.life, blocking: blocking, waiting: shares.waiters)
        return .later(delayed.start())
    }
}

/// A ShareFetch with its partitions looked up; hands out any number of times, from any thread.
struct ShareFetchPlan: PollPlan {
    private struct Partition: Sendable {
        var wanted: GroupPartition
        var id: TopicPartition
        var shared: SharedPartition?
        /// Why it is not looked at at all.
        var refusal = KafkaErrorCode.none
    }

    let group: String
    private let member: String
    private let partitions: [Partition]
    private let settings: ShareGroupSettings
    private let token: ShareSessionToken
    private let shares: SharePartitions
    private let bytesMin: Int
    private let bytesMax: Int
    private let recordsMax: Int64
    private let batchSize: Int64
    private let isStrict: Bool

    init(
        _ request: ShareFetchRequest, _ group: String, _ member: String, _ wanted: [GroupPartition], _ router: RequestRouter, _ settings: ShareGroupSettings,
        _ access: Access, _ token: ShareSessionToken, bytesMax: Int
    ) {
        self.group = group
        self.member = member
        self.settings = settings
        self.token = token
        shares = router.shares
        self.bytesMax = min(max(Int(request.bytesMax), 0), bytesMax)
        bytesMin = min(max(Int(request.bytesMin), 0), self.bytesMax)
        recordsMax = Int64(request.recordsMax)
        batchSize = Int64(max(1, request.batchSize))
        isStrict = request.acquireMode == 1
        partitions = wanted.map { wanted in
            guard let name = router.topicIDs.name(of: wanted.topic) else {
                return Partition(wanted: wanted, id: TopicPartition("", wanted.index), refusal: .unknownTopicID)
            }
            let id = TopicPartition(name, wanted.index)
            guard access.allows(.read, .topic, name) else { return Partition(wanted: wanted, id: id, refusal: .topicAuthorizationFailed) }
            let shared = router.shares.partition(group: group, wanted)
            return Partition(wanted: wanted, id: id, shared: shared, refusal: shared == nil ? .unknownTopicOrPartition : .none)
        }
    }

    var ids: [TopicPartition] { partitions.map(\.id) }

    /// Where the state's log has to be durable before anything is handed out.
    var durableFrom: Int64 { partitions.reduce(0) { max($0, $1.shared?.durableFrom ?? 0) } }

    /// Whether there may be something to tell already: cheap, no disk.
    var isAnswerable: Bool {
        if partitions.isEmpty || token.isOver { return true }
        var bytes = 0.0
        for partition in partitions {
            guard partition.refusal == .none, let shared = partition.shared else { return true }
            guard shared.hasRecords(settings) else { continue }
            if bytesMin <= 1 { return true }
            bytes += shared.bytesAhead(settings)
            if bytes >= Double(bytesMin) { return true }
        }
        return false
    }

    /// Whether reading may have to wait for the disk.
    var isCold: Bool { !token.isOver && partitions.contains { $0.shared?.isCold(settings) ?? false } }

    /// `isAnswerable` weighs the bytes without reading them.
    var lookDelayMs: Int64 { 0 }

    /// Others were faster, or there was nothing but gaps: what is behind may be there already.
    var looksUntilUnanswerable: Bool { true }

    func satisfies(_ response: ShareFetchResponse) -> Bool {
        partitions.isEmpty || token.isOver
            || response.topics.contains { $0.partitions.contains { $0.error != .none || !$0.acquired.isEmpty } }
    }

    /// Hands out, one partition after the other, until there is enough; each gets the same part of the bytes at first. Names the partitions
    /// with records or errors only.
    func read() -> ShareFetchResponse {
        var response = ShareFetchResponse(lockMs: Int32(clamping: settings.recordLockDurationMs))
        if token.isOver { return response }
        var bytesLeft = bytesMax, recordsLeft = recordsMax
        let ready = partitions.count { $0.shared?.hasRecords(settings) ?? false }
        for partition in partitions {
            guard partition.refusal == .none, let shared = partition.shared else {
                response.amend(partition.wanted) { $0.error = partition.refusal }
                continue
            }
            guard recordsLeft > 0, bytesLeft > 0 else { continue }
            let wish = SharePartition.Wish(
                member: member, recordsMax: recordsLeft, batchSize: batchSize, isStrict: isStrict, now: shares.nowMs, settings: settings)
            do throws(KafkaError) {
                let handout = try shared.handOut(wish, bytesMax: min(bytesLeft, max(1, bytesMax / max(1, ready))))
                guard !handout.pieces.isEmpty else { continue }
                shares.schedule(shared)
                recordsLeft -= handout.count
                bytesLeft -= handout.records.readableBytes
                response.amend(partition.wanted) { answer in
                    answer.records = handout.records
                    answer.acquired = handout.pieces.map { .init(firstOffset: $0.first, lastOffset: $0.last, deliveryCount: $0.deliveries) }
                }
            } catch {
                response.amend(partition.wanted) { ($0.error, $0.errorMessage) = (error.code, error.message) }
            }
        }
        return response
    }

    /// Nobody got what was handed out.
    func takeBack(_ response: ShareFetchResponse) {
        for topic in response.topics {
            for answer in topic.partitions where !answer.acquired.isEmpty {
                guard let partition = partitions.first(where: { $0.wanted == GroupPartition(topic: topic.id, index: answer.index) }) else { continue }
                let pieces = answer.acquired.map { SharePartition.Acquired(first: $0.firstOffset, last: $0.lastOffset, deliveries: $0.deliveryCount) }
                if let shared = partition.shared, shared.release(member, only: pieces) { shares.changed(shared) }
            }
        }
    }
}
