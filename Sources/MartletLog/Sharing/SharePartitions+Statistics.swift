import MartletCore

extension SharePartitions {
    /// How far share groups are, by group, topic and number.
    var statistics: [BrokerStatistics.Share] {
        groups.flatMap { group in
            partitions(group: group).compactMap { partition in self.partition(group: group, partition) }.map { shared in
                let now = shared.partition
                return .init(
                    group: group, partition: shared.id, startOffset: now.startOffset,
                    lagRecords: max(0, shared.log.highWatermark - max(now.startOffset, shared.log.startOffset) - now.doneCount))
            }.sorted { ($0.partition.topic, $0.partition.partition) < ($1.partition.topic, $1.partition.partition) }
        }
    }
}
