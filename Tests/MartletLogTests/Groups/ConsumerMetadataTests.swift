import NIOCore
import Testing

@testable import MartletLog

@Suite struct ConsumerMetadataTests {
    @Test func whatConsumersSayReadsAsItWasWritten() throws {
        withSeeds(200) { seed, random in
            func topics() -> [OwnedPartitions] {
                (0..<Int.random(in: 0...3, using: &random)).map { i in
                    OwnedPartitions(topic: "t\(i)", partitions: (0..<Int32.random(in: 0...4, using: &random)).map { $0 })
                }
            }
            let version = Int16.random(in: 0...3, using: &random)
            var said = ConsumerSubscription(topics: (0..<Int.random(in: 0...3, using: &random)).map { "t\($0)" }, userData: Bool.random(using: &random) ? nil : [1, 2, 3])
            if version >= 1 { said.owned = topics() }
            if version >= 2 { said.generation = Int32.random(in: -1...99, using: &random) }
            if version >= 3 { said.rackID = Bool.random(using: &random) ? nil : "r" }
            let bytes = ConsumerMetadata.write(said, version: version)
            let read = try ConsumerMetadata.read(ConsumerSubscription.self, bytes)
            #expect(read.message == said && read.version == version, "seed \(seed)")
            let assignment = ConsumerAssignment(partitions: topics(), userData: nil)
            #expect(try ConsumerMetadata.read(ConsumerAssignment.self, ConsumerMetadata.write(assignment, version: version)).message == assignment)
            // A later version, with fields that we do not know.
            var later = ConsumerMetadata.write(said, version: 3)
            later[1] = 9
            #expect(try ConsumerMetadata.read(ConsumerSubscription.self, later + [7, 7, 7]).message == said || version < 3)
            // Cut anywhere it is an error, or what was there of an earlier version.
            for end in 0..<bytes.count { _ = try? ConsumerMetadata.read(ConsumerSubscription.self, Array(bytes[..<end])) }
        }
        #expect(throws: WireError.self) { try ConsumerMetadata.read(ConsumerSubscription.self, []) }
        #expect(throws: WireError.self) { try ConsumerMetadata.read(ConsumerSubscription.self, [0xff, 0xff, 0, 0, 0, 0]) }
        #expect(throws: WireError.self) { try ConsumerMetadata.read(ConsumerSubscription.self, [0, 0, 0x7f, 0xff, 0xff, 0xff]) }
    }

    /// The bytes as Kafka's clients make them: version 1, topic "t", no user data, nothing owned.
    @Test func theLayoutIsKafkas() throws {
        let bytes: [UInt8] = [0, 1, 0, 0, 0, 1, 0, 1, 0x74, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]
        #expect(ConsumerMetadata.write(ConsumerSubscription(topics: ["t"]), version: 1) == bytes)
        let assignment: [UInt8] = [0, 0, 0, 0, 0, 1, 0, 1, 0x74, 0, 0, 0, 1, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff]
        #expect(try ConsumerMetadata.read(ConsumerAssignment.self, assignment).message.partitions == [.init(topic: "t", partitions: [5])])
    }
}
