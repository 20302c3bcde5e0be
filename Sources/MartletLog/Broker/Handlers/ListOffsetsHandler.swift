import MartletCore

struct ListOffsetsRequest: WireRequest {
    typealias Response = ListOffsetsResponse
    static let api = APIKey.listOffsets

    struct Partition: WireMessage {
        var index: Int32 = 0
        var currentLeaderEpoch: Int32 = -1
        /// −1 latest, −2 earliest, −3 the record with the largest timestamp (KIP-734), −4 the earliest on this broker's disk, −5 the
        /// latest in tiered storage (KIP-405, KIP-1005), −6 the earliest that is still to go there (KIP-1023); otherwise milliseconds.
        var timestamp: Int64 = -1

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&currentLeaderEpoch, from: 4)
            try wire.field(&timestamp)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    var replicaID: Int32 = -1
    var isolationLevel: Int8 = 0
    var topics: [Topic] = []
    var timeoutMs: Int32 = 0

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&replicaID)
        try wire.field(&isolationLevel, from: 2)
        try wire.field(&topics)
        try wire.field(&timeoutMs, from: 10)
        try wire.tags()
    }
}

struct ListOffsetsResponse: WireMessage {
    struct Partition: WireMessage {
        var index: Int32 = 0
        var error = KafkaErrorCode.none
        var timestamp: Int64 = -1
        var offset: Int64 = -1
        var leaderEpoch: Int32 = -1

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&timestamp)
            try wire.field(&offset)
            try wire.field(&leaderEpoch, from: 4)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    var throttleTimeMs: Int32 = 0
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs, from: 2)
        try wire.field(&topics)
        try wire.tags()
    }
}

extension RequestRouter {
    func listOffsets(_ request: ListOffsetsRequest, _ context: RequestContext) -> Answer<ListOffsetsResponse> {
        let searches = request.topics.contains { $0.partitions.contains { $0.timestamp >= 0 || $0.timestamp == -3 } }
        let version = context.version
        return searches ? offload(context) { self.listOffsets(request, version) } : .now(listOffsets(request, version))
    }

    private func listOffsets(_ request: ListOffsetsRequest, _ version: Int16) -> ListOffsetsResponse {
        ListOffsetsResponse(
            topics: request.topics.map { topic in
                ListOffsetsResponse.Topic(
                    name: topic.name,
                    partitions: topic.partitions.map { listOffset(topic.name, $0, version, isCommitted: request.isolationLevel == 1) })
            })
    }

    private func listOffset(_ topic: String, _ wanted: ListOffsetsRequest.Partition, _ version: Int16, isCommitted: Bool)
        -> ListOffsetsResponse.Partition
    {
        var answer = ListOffsetsResponse.Partition(index: wanted.index)
        guard let log = log.partition(TopicPartition(topic, wanted.index)) else {
            answer.error = .unknownTopicOrPartition
            return answer
        }
        answer.error = EpochCheck.error(wanted.currentLeaderEpoch, inForce: log.leaderEpoch)
        guard answer.error == .none else { return answer }
        guard version >= Self.firstVersion(of: wanted.timestamp) else {
            answer.error = .unsupportedVersion
            return answer
        }
        do throws(KafkaError) {
            try look(for: wanted.timestamp, in: log, isCommitted: isCommitted, &answer)
        } catch {
            answer.error = error.code
        }
        return answer
    }

    private func look(for timestamp: Int64, in log: PartitionLog, isCommitted: Bool, _ answer: inout ListOffsetsResponse.Partition) throws(KafkaError) {
        let end = isCommitted ? log.lastStableOffset : log.highWatermark
        switch timestamp {
        case -1: (answer.offset, answer.leaderEpoch) = (end, log.leaderEpoch)
        case -2, -4:
            let start = log.startOffset
            (answer.offset, answer.leaderEpoch) = (start, log.leaderEpoch(at: start))
        case -3:
            if let found = try log.offsetOfMaxTimestamp(), found.offset < end {
                (answer.offset, answer.timestamp, answer.leaderEpoch) = (found.offset, found.timestamp, log.leaderEpoch(at: found.offset))
            }
        case -5, -6: break  // there is no tiered storage: offset −1
        case 0...:
            // Nothing that late, or not yet readable: offset and timestamp −1.
            if let found = try log.offset(forTimestamp: timestamp), found.offset < end {
                (answer.offset, answer.timestamp, answer.leaderEpoch) = (found.offset, found.timestamp, log.leaderEpoch(at: found.offset))
            }
        default: answer.error = .unsupportedVersion
        }
    }

    /// From which version on a time stands for a place.
    private static func firstVersion(of timestamp: Int64) -> Int16 {
        switch timestamp {
        case -3: 7
        case -4: 8
        case -5: 9
        case -6: 11
        default: 0
        }
    }
}
