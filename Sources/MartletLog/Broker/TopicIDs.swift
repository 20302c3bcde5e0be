import MartletCore
import Synchronization

/// Names of topics by their ids (KIP-516). Remembers what it found; the log has the last word, as a topic may be deleted or made anew.
final class TopicIDs: Sendable {
    private let log: EmbeddedLog
    private let names = Mutex<[UUIDBytes: String]>([:])

    init(log: EmbeddedLog) { self.log = log }

    /// Nil if no topic has this id.
    func name(of id: UUIDBytes) -> String? {
        if let name = names.withLock({ $0[id] }), let topic = log.topic(name), UUIDBytes(topic.topicID) == id { return name }
        let all = log.topics
        return names.withLock { names in
            names = Dictionary(all.map { (UUIDBytes($0.topicID), $0.name) }, uniquingKeysWith: { $1 })
            return names[id]
        }
    }

    /// The topics with their names, where a request named them by id; the name stays empty if no topic has the id.
    func named<Partition>(_ topics: [PerTopic<Partition>]) -> [PerTopic<Partition>] {
        topics.map { topic in
            guard topic.id != .zero else { return topic }
            var topic = topic
            topic.name = name(of: topic.id) ?? ""
            return topic
        }
    }

    /// Zero if there is no such topic.
    func id(of name: String) -> UUIDBytes { log.topic(name).map { UUIDBytes($0.topicID) } ?? .zero }
}
