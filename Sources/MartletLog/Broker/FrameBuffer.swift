import NIOCore

/// What a connection has received and not worked on yet: whole frames (Int32 size, then as many bytes), and perhaps the beginning of one.
///
/// The bytes in front of an unfinished frame are let go as soon as it stands first: a client that always has the next request under way never empties
/// this, and a `ByteBuffer` ends at 4 GB.
struct FrameBuffer {
    private var bytes = ByteBuffer()
    /// Room made for a frame on the word of a client alone.
    private static let trustedBytes = 1 << 20

    /// The size that the first frame says it has, without the four bytes that say so; nil: they are not all there.
    var frameSize: Int32? { bytes.getInteger(at: bytes.readerIndex) }

    /// What somebody speaks who takes this port for another, by the four bytes of what would be a frame's size; nil: nothing that is known.
    static func otherProtocol(_ size: Int32) -> String? {
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: size >> (24 - 8 * $0)) }
        if ["GET ", "POST", "PUT ", "HEAD", "OPTI", "DELE", "PRI "].contains(String(decoding: bytes, as: UTF8.self)) {
            return "it speaks HTTP, and this is a port for Kafka clients"
        }
        // A handshake record of TLS 1.x (RFC 8446 §5.1).
        return bytes[0] == 22 && bytes[1] == 3 ? "it speaks TLS, and this listener does not" : nil
    }

    /// The first bytes of the first frame; nil: they are not there yet. A Kafka request begins with its API key.
    var leadingInt16: Int16? { bytes.getInteger(at: bytes.readerIndex + 4) }

    var holdsWholeFrame: Bool { frameSize.map { bytes.readableBytes >= Int($0) + 4 } ?? false }

    /// Bytes held in memory for this connection.
    var capacity: Int { bytes.capacity }

    mutating func append(_ more: inout ByteBuffer) {
        if bytes.readableBytes == 0 {
            bytes = more
        } else {
            if !holdsWholeFrame { makeRoom() }
            bytes.writeBuffer(&more)
        }
    }

    /// The first frame without its size. It has to be there (`holdsWholeFrame`).
    mutating func takeFrame() -> ByteBuffer? {
        guard let size = frameSize, holdsWholeFrame else { return nil }
        bytes.moveReaderIndex(forwardBy: 4)
        let frame = bytes.readSlice(length: Int(size))
        if bytes.readableBytes == 0 { bytes = ByteBuffer() }
        return frame
    }

    mutating func removeAll() { bytes = ByteBuffer() }

    /// Room for the rest of an unfinished frame: in few steps, yet never much more than what has come.
    private mutating func makeRoom() {
        let held = bytes.readableBytes
        let missing = max(0, Int(frameSize ?? 0) + 4 - held)
        let room = min(missing, max(held, Self.trustedBytes))
        guard bytes.readerIndex > 0 else { return bytes.reserveCapacity(minimumWritableBytes: room) }
        // The frames before it may still be in work and hold their memory; the unfinished one gets its own.
        var own = ByteBufferAllocator().buffer(capacity: held + room)
        own.writeBuffer(&bytes)
        bytes = own
    }
}
