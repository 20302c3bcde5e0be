import Testing

@testable import MartletLog

@Suite struct ShareSessionsTests {
    private final class Connection: Sendable {}
    private let key = ShareSessions.Key(group: "g", member: "m")
    private func id(_ index: Int32) -> GroupPartition { GroupPartition(topic: UUIDBytes(high: 1, low: 2), index: index) }

    @Test func epochsFollowEachOther() throws {
        let sessions = ShareSessions(), connection = Connection()
        #expect(throws: KafkaError.self) { try sessions.advance(key, epoch: 1) }
        _ = try sessions.begin(key, [id(0), id(1)], on: ObjectIdentifier(connection), sessionsMax: 1)
        #expect(try Set(sessions.advance(key, epoch: 1).partitions) == [id(0), id(1)])
        for wrong in [Int32(1), 3, 0, -1, .max] {
            do throws(KafkaError) {
                _ = try sessions.advance(key, epoch: wrong)
                Issue.record("\(wrong)")
            } catch {
                #expect(error.code == .invalidShareSessionEpoch)
            }
        }
        let next = try sessions.advance(key, epoch: 2, adding: [id(1), id(2)], forgetting: [id(0)])
        #expect(Set(next.partitions) == [id(1), id(2)] && next.partitions.count == 2)
        try sessions.end(key)
        #expect(throws: KafkaError.self) { try sessions.end(key) }
        #expect(next.token.isOver)
    }

    @Test func eachPartitionHasItsTurn() throws {
        let sessions = ShareSessions(), connection = Connection()
        _ = try sessions.begin(key, [id(0), id(1), id(2)], on: ObjectIdentifier(connection), sessionsMax: 1)
        #expect(try Set((1...3).map { try sessions.advance(key, epoch: $0).partitions[0] }).count == 3)
    }

    @Test func thereAreOnlySoMany() throws {
        let sessions = ShareSessions(), connection = Connection()
        let first = try sessions.begin(key, [], on: ObjectIdentifier(connection), sessionsMax: 1)
        do throws(KafkaError) {
            _ = try sessions.begin(.init(group: "g", member: "n"), [], on: ObjectIdentifier(connection), sessionsMax: 1)
            Issue.record("a session too many")
        } catch {
            #expect(error.code == .shareSessionLimitReached)
        }
        _ = try sessions.begin(key, [], on: ObjectIdentifier(connection), sessionsMax: 1)
        #expect(first.isOver && sessions.count == 1)
    }

    @Test func aConnectionTakesItsSessionsAlongAndNoOthers() throws {
        let sessions = ShareSessions(), one = Connection(), other = Connection()
        _ = try sessions.begin(key, [], on: ObjectIdentifier(one), sessionsMax: 9)
        _ = try sessions.begin(.init(group: "g", member: "n"), [], on: ObjectIdentifier(one), sessionsMax: 9)
        // The member came back on another one before the first was found to be gone.
        _ = try sessions.begin(key, [], on: ObjectIdentifier(other), sessionsMax: 9)
        #expect(sessions.end(on: ObjectIdentifier(one)).map(\.member) == ["n"])
        #expect(sessions.count == 1)
    }
}
