import MartletCore
import NIOCore
import Testing

@testable import MartletLog

@Suite struct FrameBufferTests {
    private func frame(_ bytes: [UInt8]) -> [UInt8] { withUnsafeBytes(of: Int32(bytes.count).bigEndian, Array.init) + bytes }

    @Test(arguments: UInt64(1)...20) func anyCutGivesTheSameFrames(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let frames = (0..<200).map { _ in
            (0..<Int.random(in: 0...(Bool.random(using: &random) ? 10 : 5000), using: &random)).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        }
        let stream = frames.flatMap(frame)
        var buffer = FrameBuffer(), found: [[UInt8]] = [], at = 0
        while at < stream.count {
            let end = min(stream.count, at + Int.random(in: 1...20_000, using: &random))
            var piece = ByteBuffer(bytes: stream[at..<end])
            buffer.append(&piece)
            at = end
            while let next = buffer.takeFrame() { found.append(Array(next.readableBytesView)) }
        }
        #expect(found == frames)
        #expect(buffer.frameSize == nil)
    }

    /// The next frame is always under way: what is held must not grow with all that has been received.
    @Test func memoryIsThatOfAFrame() {
        let size = 100_000
        let stream = frame([UInt8](repeating: 7, count: size))
        let piece = 65_536, rounds = 500
        let source = ByteBuffer(bytes: stream + stream)
        var buffer = FrameBuffer(), at = 0, taken = 0, largest = 0
        for _ in 0..<rounds {
            guard var bytes = source.getSlice(at: at, length: piece) else { break }
            at = (at + piece) % stream.count
            buffer.append(&bytes)
            while let next = buffer.takeFrame() {
                #expect(next.readableBytes == size)
                taken += 1
            }
            largest = max(largest, buffer.capacity)
        }
        #expect(taken == rounds * piece / stream.count)
        #expect(largest <= 1 << 21, "\(largest) bytes for frames of \(size)")
    }

    /// A browser, a REST client or a client with TLS at the wrong port: what is told of it is not a number.
    @Test(arguments: [
        ("GET / HTTP/1.1", "it speaks HTTP, and this is a port for Kafka clients"), ("POST /ksql HTTP/1.1", "it speaks HTTP, and this is a port for Kafka clients"),
        ("PRI * HTTP/2.0", "it speaks HTTP, and this is a port for Kafka clients"), ("\u{16}\u{3}\u{1}\u{2}", "it speaks TLS, and this listener does not"),
        ("\u{0}\u{0}\u{0}\u{22}", nil), ("\u{7f}abc", nil),
    ] as [(String, String?)])
    func otherProtocolsAreRecognized(_ text: String, _ name: String?) throws {
        var buffer = FrameBuffer(), bytes = ByteBuffer(string: text)
        buffer.append(&bytes)
        #expect(FrameBuffer.otherProtocol(try #require(buffer.frameSize)) == name)
    }

    /// Who only says that much will come gets no memory for it.
    @Test func aSizeAloneTakesNoMemory() {
        var buffer = FrameBuffer()
        for byte in withUnsafeBytes(of: Int32(100 << 20).bigEndian, Array.init) + [0, 1, 0, 2] {
            var one = ByteBuffer(bytes: [byte])
            buffer.append(&one)
        }
        #expect(buffer.frameSize == 100 << 20)
        #expect(!buffer.holdsWholeFrame)
        #expect(buffer.takeFrame() == nil)
        #expect(buffer.capacity <= 4 << 20)
    }
}
