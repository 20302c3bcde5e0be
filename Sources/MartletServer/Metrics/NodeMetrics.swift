import MartletCore
import MartletEngine
import MartletLog

/// Asks the parts of a node for what they know and lays it out as metrics.
struct NodeMetrics: Sendable {
    let engine: Engine
    /// Nil: there is no Kafka listener.
    let broker: KafkaBroker?
    let activity: ServerActivity
    let time: TimeSource
    let seriesMax: Int

    /// - `progress`: of the engine's queries.
    ///
    /// May wait for commits that are under way and for the disk: not for an event loop.
    func page(_ progress: [QueryProgress]) -> MetricsPage {
        var page = MetricsPage(seriesMax: seriesMax)
        page.add(.buildInfo, [MartletVersion.text], 1)
        page.add(.uptime, Double((time.monotonicNs - activity.startedNs) / 1_000_000) / 1000)
        addProcess(.current, &page)
        if let broker {
            addBroker(broker.statistics, &page)
            page.add(.reportingClients, broker.telemetry.clientCount)
            page.add(.reportsLeftOut, broker.telemetry.refusedPointCount)
            page.clients = broker.telemetry.samples
        }
        addLog(engine.log.statistics, &page)
        addQueries(progress, &page)
        addHTTP(&page)
        return page
    }

    private func addProcess(_ process: ProcessStatus, _ page: inout MetricsPage) {
        if let seconds = process.cpuSeconds { page.add(.cpu, seconds) }
        for (metric, count) in [
            (.resident, process.residentBytes), (.virtual, process.virtualBytes), (.openFiles, process.openFiles), (.openFilesMax, process.openFilesMax),
            (.threads, process.threads),
        ] as [(Metric, Int?)] {
            if let count { page.add(metric, count) }
        }
        if let seconds = process.startSeconds { page.add(.start, seconds) }
    }

    private func addBroker(_ broker: BrokerStatistics, _ page: inout MetricsPage) {
        for listener in broker.listeners {
            page.add(.connections, [listener.name], listener.open)
            page.add(.connectionsAccepted, [listener.name], listener.accepted)
        }
        for refused in broker.refusedConnections { page.add(.connectionsRefused, [refused.name], refused.count) }
        for ended in broker.endedConnections { page.add(.connectionsEnded, [ended.name], ended.count) }
        for request in broker.requests {
            page.add(.requests, [request.api], .histogram(request.seconds))
            for error in request.errors { page.add(.requestErrors, [request.api, error.name], error.count) }
        }
        for throttle in broker.throttles {
            page.add(.throttled, [throttle.quota], throttle.count)
            page.add(.throttleSeconds, [throttle.quota], throttle.seconds)
        }
        page.add(.delayedFetches, ["Fetch"], broker.delayedFetches)
        page.add(.delayedFetches, ["ShareFetch"], broker.delayedShareFetches)
        page.add(.fetchSessions, broker.fetchSessions)
        page.add(.unsentBytes, broker.unsentBytes)
        var kinds: [[String]: Int] = [:]
        for group in broker.groups {
            kinds[[group.type, group.state], default: 0] += 1
            page.add(.groupMembers, [group.id, group.type], group.members)
        }
        for (kind, count) in kinds.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) { page.add(.groups, kind, count) }
        for share in broker.shares {
            let labels = [share.group, share.partition.topic, "\(share.partition.partition)"]
            page.add(.shareStart, labels, share.startOffset)
            page.add(.shareLag, labels, share.lagRecords)
        }
        for rebalances in broker.rebalances { page.add(.groupRebalances, [rebalances.name], rebalances.count) }
    }

    private func addLog(_ log: LogStatistics, _ page: inout MetricsPage) {
        page.add(.topics, log.topics)
        page.add(.partitions, log.partitions.count)
        page.add(.partitionsFailed, log.partitions.count { $0.hasFailed })
        page.add(.partitionsDamaged, log.partitions.count { $0.isDamaged })
        page.add(.logSize, log.partitions.reduce(0) { $0 + $1.sizeBytes })
        page.add(.producerIDs, log.partitions.reduce(0) { $0 + $1.producerIDs })
        var first = 0
        while first < log.partitions.count {
            let topic = log.partitions[first].id.topic
            let ofTopic = log.partitions[first...].prefix { $0.id.topic == topic }
            page.add(.topicInBytes, [topic], ofTopic.reduce(0) { $0 + $1.appendedBytes })
            page.add(.topicInRecords, [topic], ofTopic.reduce(0) { $0 + $1.appendedRecords })
            page.add(.topicOutBytes, [topic], ofTopic.reduce(0) { $0 + $1.sentBytes })
            page.add(.topicOutRecords, [topic], ofTopic.reduce(0) { $0 + $1.sentRecords })
            first += ofTopic.count
        }
        var byID: [TopicPartition: LogStatistics.Partition] = [:]
        for partition in log.partitions {
            byID[partition.id] = partition
            let labels = [partition.id.topic, "\(partition.id.partition)"]
            page.add(.partitionStart, labels, partition.startOffset)
            page.add(.partitionEnd, labels, partition.endOffset)
            page.add(.partitionHighWatermark, labels, partition.highWatermark)
            page.add(.partitionStable, labels, partition.lastStableOffset)
            page.add(.partitionSize, labels, partition.sizeBytes)
            page.add(.partitionSegments, labels, partition.segments)
        }
        for committed in log.committed {
            let labels = [committed.group, committed.partition.topic, "\(committed.partition.partition)"]
            page.add(.groupCommitted, labels, committed.offset)
            guard let partition = byID[committed.partition] else { continue }
            page.add(.groupLag, labels, max(0, partition.highWatermark - committed.offset))
            page.add(.groupStableLag, labels, max(0, partition.lastStableOffset - committed.offset))
        }
        page.add(.syncSeconds, .histogram(log.syncSeconds))
        page.add(.syncRecords, .histogram(log.syncRecords))
        if let bytes = log.diskBytes { page.add(.diskSize, bytes) }
        if let bytes = log.diskFreeBytes { page.add(.diskFree, bytes) }
        page.add(.transactionalIDs, log.transactions.ids)
        page.add(.transactionsOpen, log.transactions.open)
        page.add(.transactionOldest, log.transactions.oldestOpenSeconds)
        page.add(.transactionsEnded, ["committed"], log.transactions.committed)
        page.add(.transactionsEnded, ["aborted"], log.transactions.aborted)
        page.add(.transactionsTimedOut, log.transactions.timedOut)
    }

    private func addQueries(_ progress: [QueryProgress], _ page: inout MetricsPage) {
        for state in [RunningQuery.State.running, .paused, .error] {
            page.add(.queries, [state.rawValue], progress.count { $0.state == state })
        }
        for query in progress {
            page.add(.queryRowsRead, [query.id], query.statistics.rowsRead)
            page.add(.queryBytesRead, [query.id], query.statistics.bytesRead)
            page.add(.queryRowsWritten, [query.id], query.statistics.rowsWritten)
            page.add(.queryRowsFailed, [query.id], query.statistics.rowsFailed)
            page.add(.queryCommits, [query.id], query.statistics.commits)
            page.add(.queryLag, [query.id], query.lagRecords)
        }
        if let memory = engine.stateMemory {
            page.add(.stateBytes, memory.usedBytes)
            page.add(.stateBytesMax, memory.budgetBytes)
            page.add(.stateEvictions, memory.evictions)
            page.add(.stateEvictedBytes, memory.evictedBytes)
        }
    }

    private func addHTTP(_ page: inout MetricsPage) {
        let counts = activity.counts
        page.add(.httpRequests, counts.requests)
        page.add(.httpFailures, counts.failures)
        page.add(.clientQueriesStarted, counts.queries)
        page.add(.clientQueries, activity.openQueries)
        page.add(.clientQueryRows, counts.queryRows)
        page.add(.insertedRows, counts.insertedRows)
    }
}
