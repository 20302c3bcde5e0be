import MartletCore
import NIOCore

// ShareAcknowledge (KIP-932; version 2: KIP-1222).

struct ShareAcknowledgeRequest: WireRequest {
    typealias Response = ShareAcknowledgeResponse
    static let api = APIKey.shareAcknowledge

    var groupID: String?
    var memberID: String?
    /// −1 ends the session.
    var sessionEpoch: Int32 = 0
    var renews = false
    var topics: [ShareFetchRequest.Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        wire.topicIDsFrom = 0
        try wire.field(&groupID)
        try wire.field(&memberID)
        try wire.field(&sessionEpoch)
        try wire.field(&renews, from: 2)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct ShareAcknowledgeResponse: WireMessage {
    struct Partition: WireMessage {
        var index: Int32 = 0
        var error = KafkaErrorCode.none
        var errorMessage: String?
        var leader = FetchResponse.CurrentLeader()

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&leader)
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
        try wire.field(&lockMs, from: 2)
        try wire.field(&topics)
        try wire.field(&endpoints)
        try wire.tags()
    }
}

/// How acknowledgements went, partition by partition, and when they are on disk.
struct AcknowledgementOutcome: Sendable {
    var results: [(id: GroupPartition, error: KafkaErrorCode, message: String?)] = []
    /// The state's log has to be durable to here; 0 if nothing was written.
    var end: Int64 = 0

    func tell(_ response: inout ShareFetchResponse) {
        for result in results { response.amend(result.id) { ($0.acknowledgeError, $0.acknowledgeMessage) = (result.error, result.message) } }
    }

    func tell(_ response: inout ShareAcknowledgeResponse) {
        for result in results {
            let answer = ShareAcknowledgeResponse.Partition(index: result.id.index, error: result.error, errorMessage: result.message)
            if let last = response.topics.last, last.id == result.id.topic {
                response.topics[response.topics.count - 1].partitions.append(answer)
            } else {
                response.topics.append(.init(id: result.id.topic, partitions: [answer]))
            }
        }
    }
}

extension RequestRouter {
    func shareAcknowledge(_ request: ShareAcknowledgeRequest, _ context: RequestContext) -> Answer<ShareAcknowledgeResponse> {
        guard let group = request.groupID, !group.isEmpty, let member = request.memberID, !member.isEmpty else {
            return .now(.init(error: .invalidRequest, errorMessage: "a group and a member have to be named"))
        }
        let key = ShareSessions.Key(group: group, member: member)
        do throws(KafkaError) {
            switch request.sessionEpoch {
            case 0: throw KafkaError(.invalidShareSessionEpoch, "a share session begins with ShareFetch")
            case -1: try shares.sessions.end(key)
            default: _ = try shares.sessions.advance(key, epoch: request.sessionEpoch)
            }
        } catch {
            return .now(.init(error: error.code, errorMessage: error.message))
        }
        let settings = shares.settings(ofGroup: group)
        let outcome = acknowledge(request.topics, group, member, allowsRenewal: request.renews, settings, context)
        if request.sessionEpoch == -1 { shares.release(group: group, memberID: member) }
        let response = ShareAcknowledgeResponse(lockMs: Int32(clamping: settings.recordLockDurationMs))
        return durably(outcome, response, context) { outcome, response in outcome.tell(&response) }
    }

    /// Takes acknowledgements in. What they change is in force on return, and on disk once the outcome's `end` is.
    func acknowledge(
        _ topics: [ShareFetchRequest.Topic], _ group: String, _ member: String, allowsRenewal: Bool, _ settings: ShareGroupSettings,
        _ context: RequestContext
    ) -> AcknowledgementOutcome {
        var outcome = AcknowledgementOutcome()
        for topic in topics {
            for partition in topic.partitions where !partition.acknowledgements.isEmpty {
                var (error, message): (KafkaErrorCode, String?) = (.none, nil)
                do throws(KafkaError) {
                    let batches = partition.acknowledgements.map {
                        SharePartition.Acknowledgement(first: $0.firstOffset, last: $0.lastOffset, types: $0.types)
                    }
                    if let problem = SharePartition.problem(in: batches, allowsRenewal: allowsRenewal) { throw KafkaError(.invalidRequest, problem) }
                    guard let name = topicIDs.name(of: topic.id) else { throw KafkaError(.unknownTopicID, "no topic has this id") }
                    guard context.access.allows(.read, .topic, name) else { throw KafkaError(.topicAuthorizationFailed, "Authorization failed.") }
                    guard let shared = shares.partition(group: group, GroupPartition(topic: topic.id, index: partition.index)) else {
                        throw KafkaError(.unknownTopicOrPartition, "group \(group) does not read \(name)-\(partition.index)")
                    }
                    outcome.end = max(outcome.end, try shared.acknowledge(batches, by: member, now: shares.nowMs, settings))
                    shares.changed(shared)
                } catch let failure {
                    (error, message) = (failure.code, failure.message)
                }
                outcome.results.append((GroupPartition(topic: topic.id, index: partition.index), error, message))
            }
        }
        return outcome
    }

    /// The outcome once it is on disk, or with KAFKA_STORAGE_ERROR where it cannot be.
    func durable(_ outcome: AcknowledgementOutcome, _ context: RequestContext) -> EventLoopFuture<AcknowledgementOutcome> {
        let promise = context.loop.makePromise(of: AcknowledgementOutcome.self)
        shares.whenDurable(upTo: outcome.end) { code in
            var outcome = outcome
            if code != .none {
                for i in outcome.results.indices where outcome.results[i].error == .none { outcome.results[i].error = code }
            }
            promise.succeed(outcome)
        }
        return promise.futureResult
    }

    /// `response` with the outcome told in it, once that is on disk.
    func durably<Response: Sendable>(
        _ outcome: AcknowledgementOutcome, _ response: Response, _ context: RequestContext,
        _ tell: @escaping @Sendable (AcknowledgementOutcome, inout Response) -> Void
    ) -> Answer<Response> {
        guard outcome.end > 0 else {
            var response = response
            tell(outcome, &response)
            return .now(response)
        }
        return .later(
            durable(outcome, context).map { outcome in
                var response = response
                tell(outcome, &response)
                return response
            })
    }
}
