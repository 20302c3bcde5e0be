import MartletColumns
import MartletCore
import Synchronization
import Testing

@testable import MartletEngine

@Suite struct ResultChannelTests {
    /// A reader that does not read holds back what is large, not only what is much.
    @Test func bytesAreBounded() async throws {
        let channel = ResultChannel<Int>(capacity: 100, bytesMax: 1000)
        let done = Signal()
        let sizes = [5000, 400, 400, 300, 100]
        let counter = Counter()
        try WorkerThread("sender") {
            for (i, bytes) in sizes.enumerated() {
                if !channel.send(i, bytes: bytes) { break }
                counter.add()
            }
            channel.finish()
            done.raise()
        }
        // One that is too large waits alone; then two have room, and the fourth has to wait for one of them.
        var read: [Int] = []
        while let element = try await channel.next() {
            read.append(element)
            if element == 0 { #expect(counter.value <= 3) }
        }
        #expect(read == [0, 1, 2, 3, 4])
        done.wait(past: 0)
        #expect(counter.value == 5)
    }

    final class Counter: Sendable {
        private let count = Mutex(0)
        func add() { count.withLock { $0 += 1 } }
        var value: Int { count.withLock { $0 } }
    }

    @Test func aGoneReaderEndsTheSender() throws {
        let channel = ResultChannel<Int>(bytesMax: 10)
        #expect(channel.send(1, bytes: 10))
        channel.cancel()
        #expect(!channel.send(2, bytes: 10))
    }

    @Test func aSharedBufferCountsOnce() {
        let strings = BytesColumn([String(repeating: "x", count: 1000), "y"])
        let one = ResultBatch(columns: [.string(strings)], count: 2).heldBytes
        let two = ResultBatch(columns: [.string(strings), .string(strings)], count: 2).heldBytes
        #expect(one >= 1001 && two < one + 100)
        #expect(ResultBatch(columns: [.bigint(FixedColumn([1, 2, 3]))], count: 3).heldBytes == 24)
    }
}
