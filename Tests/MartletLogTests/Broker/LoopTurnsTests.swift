import MartletCore
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import MartletLog

/// Clients with very many requests at once, on one event loop with others.
@Suite struct LoopTurnsTests {
    private func produce(_ value: String, acks: Int16) -> ProduceRequest {
        ProduceRequest(acks: acks, topics: [.init(name: "t", partitions: [.init(index: 0, records: batch(value))])])
    }

    /// `count` requests without answers in one piece.
    private func crowd(_ count: Int) throws -> ByteBuffer {
        var crowd = ByteBuffer()
        for i in 0..<count {
            try crowd.writeImmutableBuffer(Frame.request(produce("\(i)", acks: 0), version: 9, correlationID: Int32(i), clientID: "crowd").joined)
        }
        return crowd
    }

    /// The offset of a record says how many requests were worked on before it: one turn of each of those who were there first, not all they had sent.
    @Test(arguments: [1, 3]) func whoComesLaterWaitsForOneTurn(crowds: Int) throws {
        let count = 400, warmUps = 4
        try TestBroker.run(threads: 1) { broker in
            try broker.log.createTopic("t", partitions: 1)
            let clients = try (0..<crowds).map { _ in try broker.connect() }, other = try broker.connect()
            _ = try other.send(ApiVersionsRequest(), 0)
            // The loop learns to read much at once from them.
            for client in clients {
                for _ in 0..<warmUps { try client.write(try crowd(count)) }
                _ = try client.send(ApiVersionsRequest(), 0)
            }
            let before = warmUps * count * crowds
            let gate = Mutex(())
            // The loop stands still until all have sent.
            let correlation = try gate.withLock { _ in
                broker.group.next().execute { gate.withLock { _ in } }
                for client in clients { try client.write(try crowd(count)) }
                return try other.post(produce("other", acks: 1), 9)
            }
            let answer = try other.receive(ProduceRequest.self, 9, correlation).topics[0].partitions[0]
            let earlier = Int(answer.baseOffset) - before
            #expect(answer.error == .none && earlier < count / 2 * crowds, "\(earlier) requests came first")
            // Nothing of the others is lost, and each keeps its order.
            for client in clients { _ = try client.send(ApiVersionsRequest(), 0) }
            let partition = try #require(broker.log.partition(TopicPartition("t", 0)))
            try partition.flush()
            let values = try partition.values().compactMap { Int($0) }
            #expect(values.count == before + count * crowds)
            if crowds == 1 { #expect(values == (0...warmUps).flatMap { _ in 0..<count }) }
        }
    }

    /// Answers come in the order of the requests over many turns, and what is malformed behind them still ends the connection.
    @Test func answersKeepTheirOrderOverManyTurns() throws {
        try TestBroker.run(threads: 1) { broker in
            try broker.log.createTopic("t", partitions: 1)
            let client = try broker.connect()
            var sent = ByteBuffer()
            let count = 64 * 5
            for i in 1...count {
                try sent.writeImmutableBuffer(Frame.request(MetadataRequest(), version: 9, correlationID: Int32(i), clientID: "c").joined)
            }
            sent.writeBytes([0xff, 0xff, 0xff, 0xff])
            try client.write(sent)
            for i in 1...count { _ = try client.receive(MetadataRequest.self, 9, Int32(i)) }
            #expect(client.isClosedByPeer)
        }
    }
}
