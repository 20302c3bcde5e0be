import Logging
import MartletCore
import MartletLog
import MartletSQL

/// What a query relies on of a topic.
struct TopicShape: Equatable {
    var topicID: [UInt8]
    var partitions: Int32
}

/// Queries follow their topics: a partition that is added is read as well, a topic that is deleted stops the query in state ERROR, and one
/// that comes back lets it go on, from the beginning of the new topic.
extension Engine {
    /// The topics that a query reads and writes as they are now; a missing one is left out.
    func shapes(of query: RunningQuery) -> [String: TopicShape] {
        var out: [String: TopicShape] = [:]
        for name in topics(of: query) {
            if let topic = log.topic(name) { out[name] = TopicShape(topicID: topic.topicID, partitions: topic.partitions) }
        }
        return out
    }

    /// - `readOnly`: without the sink.
    func topics(of query: RunningQuery, readOnly: Bool = false) -> Set<String> {
        var names: Set<String> = []
        func add(_ topic: PhysicalPlan.Input.Topic) {
            switch topic {
            case .source(_, let name): names.insert(name)
            case .repartition(let step): names.insert(query.repartitionTopic(step: step))
            }
        }
        for stage in query.plan.stages {
            for input in stage.inputs { add(input.topic) }
            if !readOnly, case .sink(let sink) = stage.output { names.insert(sink.topic) }
        }
        return names
    }

    func topicsChanged() {
        if isStopped { return }
        for query in runningQueries {
            let before = topicsOfQueries[query.id] ?? [:], now = shapes(of: query)
            if before == now { continue }
            switch query.error?.code {
            case nil, .unknownSource, .shuttingDown, .badStatement: break
            default: continue  // It has stopped for a reason of its own.
            }
            halt(query)
            forgetOffsets(query, topics: before.keys.filter { now[$0]?.topicID != before[$0]?.topicID })
            // An internal topic is made anew.
            if let missing = topics(of: query).filter({ now[$0] == nil && !$0.hasPrefix(query.consumerGroup) }).min() {
                topicsOfQueries[query.id] = now
                let error = MartletError(.unknownSource, "topic \(missing) was deleted", hint: "create it again, or terminate the query")
                logger.error("query stopped", metadata: ["query": "\(query.id)", "error": "\(error)"])
                query.fail(error)
                continue
            }
            logger.notice("query follows a change of its topics", metadata: ["query": "\(query.id)"])
            query.recover()
            begin(query, fromLatest: false)
        }
    }

    /// Takes a query off its threads after a last commit.
    func halt(_ query: RunningQuery) {
        let finished = Signal()
        let waiting = CountDown(threads.count) { finished.raise() }
        for thread in threads { thread.remove(query: query.id) { waiting.down() } }
        finished.wait(past: 0)
        for id in watches.removeValue(forKey: query.id) ?? [] { watcher.forget(id) }
    }

    /// A last commit may have brought offsets of a deleted topic back.
    private func forgetOffsets(_ query: RunningQuery, topics: [String]) {
        let partitions = log.groupOffsets.all(group: query.consumerGroup).keys.filter { topics.contains($0.topic) }
        if partitions.isEmpty { return }
        do {
            try log.groupOffsets.delete(group: query.consumerGroup, partitions: Array(partitions))
        } catch {
            logger.warning("offsets of a deleted topic stay", metadata: ["query": "\(query.id)", "error": "\(error.message)"])
        }
    }
}
