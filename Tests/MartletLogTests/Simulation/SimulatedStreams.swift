import MartletCore
import Testing

@testable import MartletLog

/// Members of an application of Kafka Streams (KIP-1071) that reads "events" and keeps state, so that it has a changelog made: they come, go, fall
/// silent, come back too late, and tell how far their copies are or not. Offsets that were accepted never run backwards, and the broker works on as soon
/// as the changelog is there, whatever became of making it.
struct SimulatedStreams {
    private struct Member {
        var id: String
        let reports: Bool
        var epoch: Int32 = 0
        var owned = StreamsGroup.Tasks()
        /// Next offsets of the partitions of its active tasks.
        var positions: [Int32: Int64] = [:]

        mutating func forget() { (epoch, owned, positions) = (0, .init(), [:]) }
    }

    private static let group = "app", changelog = "app-changelog"
    private static let topology = StreamsTopology(
        epoch: 0, subtopologies: [.init(id: "0", sources: ["events"], changelogs: [.init(name: changelog)])])
    private var members: [Member] = []
    /// Fell silent, with what they believe.
    private var silent: [Member] = []
    private var nextID = 0
    private(set) var commits = SimulatedCommits(group: Self.group)

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        switch Int.random(in: 0..<24, using: &random) {
        case 0 where members.count < 3: arrive(&random)
        case 1 where !members.isEmpty: silent.append(members.remove(at: Int.random(in: members.indices, using: &random)))
        case 2 where !members.isEmpty:
            let gone = members.remove(at: Int.random(in: members.indices, using: &random))
            if gone.epoch > 0 { _ = try? node.groups.heartbeat(group: Self.group, .init(memberID: gone.id, epoch: -1), settings(node)) }
        case 3 where !silent.isEmpty:
            var late = silent.remove(at: Int.random(in: silent.indices, using: &random))
            try commit(node, &late, &random)
        case 4: node.advance(byMs: Int64.random(in: 1...8_000, using: &random))
        default:
            if members.isEmpty { arrive(&random) }
            let i = Int.random(in: members.indices, using: &random)
            var member = members[i]
            if !member.positions.isEmpty, Bool.random(using: &random) {
                try commit(node, &member, &random)
            } else {
                heartbeat(node, &member, &random)
            }
            members[i] = member
        }
        guard let group = node.groups.state.withLock({ $0.groups[Self.group]?.streams }) else { return }
        for (task, owner) in group.owners {
            let member = group.members[owner]
            #expect(member?.assigned.active.contains(task) == true || member?.revoking.active.contains(task) == true, "\(task) of \(owner)")
        }
    }

    private mutating func arrive(_ random: inout SeededRandom) {
        nextID += 1
        members.append(Member(id: "app-\(nextID)", reports: Bool.random(using: &random)))
    }

    private func settings(_ node: SimulatedNode) -> StreamsGroup.Settings {
        var settings = node.log.settings.streamsSettings(ofGroup: Self.group)
        settings.standbyReplicas = 1
        return settings
    }

    private func heartbeat(_ node: SimulatedNode, _ member: inout Member, _ random: inout SeededRandom) {
        var heartbeat = StreamsGroup.Heartbeat(memberID: member.id, epoch: member.epoch)
        if member.epoch == 0 { (heartbeat.rebalanceTimeoutMs, heartbeat.topology) = (20_000, Self.topology) }
        heartbeat.owned = member.owned
        if member.reports {
            heartbeat.offsets = Dictionary(uniqueKeysWithValues: member.owned.copies.sorted().map { ($0, Int64.random(in: 0...40_000, using: &random)) })
            heartbeat.endOffsets = Dictionary(uniqueKeysWithValues: member.owned.active.map { ($0, 20_000) })
        }
        do throws(KafkaError) {
            let answer = try node.groups.heartbeat(group: Self.group, heartbeat, settings(node))
            member.epoch = answer.epoch
            make(node, answer.missing)
            guard let tasks = answer.tasks else { return }
            member.owned = tasks
            let wanted = Set(tasks.active.map(\.partition))
            member.positions = member.positions.filter { wanted.contains($0.key) }
            for partition in wanted.sorted() where member.positions[partition] == nil { member.positions[partition] = commits.committed(node, partition) }
        } catch {
            #expect([.unknownMemberID, .fencedMemberEpoch].contains(error.code), "\(error)")
            member.forget()
        }
    }

    /// As the broker does on another thread; a topic whose making failed is asked for again.
    private func make(_ node: SimulatedNode, _ missing: [StreamsTopology.InternalTopic]) {
        let topics = node.groups.beginMaking(missing)
        #expect(topics.count == missing.count)
        var errors: [String: String] = [:]
        for topic in topics {
            do throws(MartletError) {
                try node.log.createTopic(topic.name, partitions: topic.partitions)
            } catch {
                #expect(isDiskFailure(error), "\(error)")
                errors[topic.name] = error.message
            }
        }
        node.groups.finishMaking(topics, for: Self.group, errors)
    }

    private mutating func commit(_ node: SimulatedNode, _ member: inout Member, _ random: inout SeededRandom) throws {
        guard let partition = member.positions.keys.sorted().randomElement(using: &random), let position = member.positions[partition] else { return }
        let taken = try node.partition("events", partition).rows(from: position, .readCommitted).prefix(Int.random(in: 0...3, using: &random))
        let next = taken.last.map { $0.offset + 1 } ?? position
        member.positions[partition] = next
        guard let code = commits.commit(node, member: member.id, generation: member.epoch, partition, next) else { return }
        #expect([.unknownMemberID, .staleMemberEpoch, .illegalGeneration].contains(code), "\(code)")
        member.forget()
    }

    mutating func check(_ node: SimulatedNode, _ note: String) { commits.check(node, note) }
}
