import MartletCore

/// An administrator ends a transaction that hangs in a partition because its coordinator knows nothing of it (KIP-664).
struct WriteTxnMarkersRequest: WireRequest {
    typealias Response = WriteTxnMarkersResponse
    static let api = APIKey.writeTxnMarkers

    struct Marker: WireMessage {
        var producerID: Int64 = -1
        var producerEpoch: Int16 = -1
        var isCommit = false
        var topics: [PerTopic<Int32>] = []
        var coordinatorEpoch: Int32 = 0
        var transactionVersion: Int8 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&producerID)
            try wire.field(&producerEpoch)
            try wire.field(&isCommit)
            try wire.field(&topics)
            try wire.field(&coordinatorEpoch)
            try wire.field(&transactionVersion, from: 2)
            try wire.tags()
        }
    }

    var markers: [Marker] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&markers)
        try wire.tags()
    }
}

struct WriteTxnMarkersResponse: WireMessage {
    struct Marker: WireMessage {
        var producerID: Int64 = -1
        var topics: [PerTopic<PartitionError>] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&producerID)
            try wire.field(&topics)
            try wire.tags()
        }
    }

    var markers: [Marker] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&markers)
        try wire.tags()
    }
}

extension RequestRouter {
    /// Answers when the markers are on disk.
    func writeTxnMarkers(_ request: WriteTxnMarkersRequest, _ context: RequestContext) -> Answer<WriteTxnMarkersResponse> {
        offload(context) {
            WriteTxnMarkersResponse(
                markers: request.markers.map { marker in
                    .init(
                        producerID: marker.producerID,
                        topics: marker.topics.map { topic in
                            topic.answer { .init(index: $0, error: self.write(marker, TopicPartition(topic.name, $0))) }
                        })
                })
        }
    }

    private func write(_ marker: WriteTxnMarkersRequest.Marker, _ id: TopicPartition) -> KafkaErrorCode {
        guard let partition = log.partition(id) else { return .unknownTopicOrPartition }
        do throws(LogFailure) {
            try partition.appendMarker(
                marker.isCommit ? .commit : .abort, producerID: marker.producerID, epoch: marker.producerEpoch,
                coordinatorEpoch: marker.coordinatorEpoch, isForeign: true)
        } catch {
            return error.kafka.code
        }
        do throws(MartletError) {
            try log.services.flush([partition])
            return .none
        } catch {
            return code(error)
        }
    }
}
