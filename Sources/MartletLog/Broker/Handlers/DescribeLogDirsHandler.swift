import MartletCore
import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct DescribeLogDirsRequest: WireRequest {
    typealias Response = DescribeLogDirsResponse
    static let api = APIKey.describeLogDirs

    /// Nil: all.
    var topics: [OffsetFetchRequest.Topic]?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topics)
        try wire.tags()
    }
}

struct DescribeLogDirsResponse: WireMessage {
    struct Partition: WireMessage {
        var index: Int32 = 0
        var sizeBytes: Int64 = 0
        var lag: Int64 = 0
        var isFuture = false

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&sizeBytes)
            try wire.field(&lag)
            try wire.field(&isFuture)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    struct Directory: WireMessage {
        var error = KafkaErrorCode.none
        var path = ""
        var topics: [Topic] = []
        var totalBytes: Int64 = -1
        var usableBytes: Int64 = -1

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&path)
            try wire.field(&topics)
            try wire.field(&totalBytes, from: 4)
            try wire.field(&usableBytes, from: 4)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var directories: [Directory] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error, from: 3)
        try wire.field(&directories)
        try wire.tags()
    }
}

extension RequestRouter {
    /// One directory holds everything; user interfaces read the sizes of topics off it.
    func describeLogDirs(_ request: DescribeLogDirsRequest, _ context: RequestContext) -> Answer<DescribeLogDirsResponse> {
        offload(context) { DescribeLogDirsResponse(directories: [self.directory(request.topics)]) }
    }

    private func directory(_ wanted: [OffsetFetchRequest.Topic]?) -> DescribeLogDirsResponse.Directory {
        var answer = DescribeLogDirsResponse.Directory(path: log.directory)
        let topics = wanted ?? log.topics.map { .init(name: $0.name, partitions: Array(0..<$0.partitions)) }
        for topic in topics.sorted(by: { $0.name < $1.name }) {
            let partitions = topic.partitions.compactMap { index in
                log.partition(TopicPartition(topic.name, index)).map {
                    DescribeLogDirsResponse.Partition(index: index, sizeBytes: $0.sizeBytes)
                }
            }
            if !partitions.isEmpty { answer.topics.append(.init(name: topic.name, partitions: partitions)) }
        }
        var space = statvfs()
        if statvfs(log.directory, &space) == 0 {
            answer.totalBytes = Int64(clamping: UInt64(space.f_blocks) &* UInt64(space.f_frsize))
            answer.usableBytes = Int64(clamping: UInt64(space.f_bavail) &* UInt64(space.f_frsize))
        }
        return answer
    }
}
