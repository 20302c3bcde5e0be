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

    /// Somebody who always wants another turn.
    private final class Restless: Sendable {
        private let loop: any EventLoop
        private let state = Mutex((isOver: false, turns: 0))

        init(_ loop: any EventLoop) { self.loop = loop }

        var turns: Int { state.withLock { $0.turns } }
        func end() { state.withLock { $0.isOver = true } }

        func turn() {
            let isOver = state.withLock { state in
                state.turns += 1
                return state.isOver
            }
            if !isOver { LoopTurns.wait(on: loop) { self.turn() } }
        }
    }

    /// However many wait for turns without end: all have them, and sockets are served meanwhile.
    @Test(arguments: [1, 20]) func socketsAreServedBetweenTurns(waiting: Int) throws {
        try TestBroker.run(threads: 1) { broker in
            let client = try broker.connect(), loop = broker.group.next()
            let all = (0..<waiting).map { _ in Restless(loop) }
            defer { for each in all { each.end() } }
            for each in all { loop.execute { each.turn() } }
            for _ in 0..<20 { _ = try client.send(ApiVersionsRequest(), 0) }
            // And each has had several turns, or has them now.
            while all.contains(where: { $0.turns < 3 }) { _ = try client.send(ApiVersionsRequest(), 0) }
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
