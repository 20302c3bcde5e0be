import MartletCore

/// Moves partitions between the directories of a broker (KIP-113). There is one directory: where every partition is already.
struct AlterReplicaLogDirsRequest: WireRequest {
    typealias Response = AlterReplicaLogDirsResponse
    static let api = APIKey.alterReplicaLogDirs

    struct Directory: WireMessage {
        var path = ""
        var topics: [PerTopic<Int32>] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&path)
            try wire.field(&topics)
            try wire.tags()
        }
    }

    var directories: [Directory] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&directories)
        try wire.tags()
    }
}

struct AlterReplicaLogDirsResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var topics: [PerTopic<PartitionError>] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&topics)
        try wire.tags()
    }
}

extension RequestRouter {
    func alterReplicaLogDirs(_ request: AlterReplicaLogDirsRequest) -> Answer<AlterReplicaLogDirsResponse> {
        .now(
            AlterReplicaLogDirsResponse(
                topics: request.directories.flatMap { directory in
                    directory.topics.map { topic in
                        topic.answer { index in
                            let code: KafkaErrorCode =
                                directory.path != log.directory
                                ? .logDirNotFound : log.partition(TopicPartition(topic.name, index)) == nil ? .replicaNotAvailable : .none
                            return .init(index: index, error: code)
                        }
                    }
                }))
    }
}
