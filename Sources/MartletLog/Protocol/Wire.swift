import NIOCore

/// A frame that is not what the protocol says, or a message that cannot be written as it says.
struct WireError: Error, CustomStringConvertible {
    var message: String
    /// Bytes from the start of what was read.
    var position: Int

    var description: String { "\(message) (at byte \(position))" }
}

/// A message, or a part of one, of the Kafka protocol. `code` names its fields once, in order; the direction of the `Wire` decides whether
/// they are read or written, so that both sides of a message cannot disagree.
protocol WireMessage: Sendable {
    init()
    mutating func code(_ wire: inout Wire) throws(WireError)
}

/// Reads or writes the primitive types of the Kafka protocol (protocol guide, "Protocol Primitive Types").
///
/// Flexible versions (KIP-482) write lengths as unsigned varints of length + 1 (0 is null) and end each structure with tagged fields;
/// the others write an `Int16` length before a string and an `Int32` before bytes and arrays (−1 is null). Everything read is checked
/// against the bytes that are there: a malformed frame throws, it never traps and never allocates more than a small multiple of its size.
struct Wire {
    private(set) var buffer: ByteBuffer
    let version: Int16
    let isFlexible: Bool
    let isReading: Bool
    private let start: Int
    /// Bytes that belong into the written ones at a place, in rising order.
    private var inserted: [(at: Int, bytes: ByteBuffer)] = []
    private var insertedBytes = 0
    /// Errors that were written, in order.
    private(set) var toldErrors: [KafkaErrorCode] = []
    /// Array elements that may still be read from this frame: bounds what a small frame of empty elements can make us allocate.
    private var elementBudget = Wire.elementsMax
    /// From this version on the message at hand names topics by id; see `PerTopic`.
    var topicIDsFrom = Int16.max

    static let elementsMax = 500_000
    /// From this size on bytes are handed on as they are instead of copied.
    private static let copiedBytesMax = 16 << 10

    init(reading buffer: ByteBuffer, version: Int16, isFlexible: Bool) {
        self.buffer = buffer
        self.version = version
        self.isFlexible = isFlexible
        isReading = true
        start = buffer.readerIndex
    }

    init(writingTo buffer: ByteBuffer, version: Int16, isFlexible: Bool) {
        self.buffer = buffer
        self.version = version
        self.isFlexible = isFlexible
        isReading = false
        start = buffer.writerIndex
    }

    /// The same bytes from here on in another version's rules: a header is coded in its own version, before the body.
    func switched(toVersion version: Int16, isFlexible: Bool) -> Wire {
        isReading
            ? Wire(reading: buffer, version: version, isFlexible: isFlexible)
            : Wire(writingTo: buffer, version: version, isFlexible: isFlexible)
    }

    private func malformed(_ message: String) -> WireError {
        WireError(message: message, position: (isReading ? buffer.readerIndex : buffer.writerIndex) - start)
    }

    private func has(_ from: Int16, _ to: Int16) -> Bool { version >= from && version <= to }

    // MARK: Fields. A field outside its versions is left as it is.

    mutating func field<Integer: FixedWidthInteger & SignedInteger>(_ value: inout Integer, from: Int16 = 0, to: Int16 = .max)
        throws(WireError)
    {
        guard has(from, to) else { return }
        if isReading {
            guard let read = buffer.readInteger(as: Integer.self) else { throw malformed("frame ends inside an integer") }
            value = read
        } else {
            buffer.writeInteger(value)
        }
    }

    mutating func field(_ value: inout Bool, from: Int16 = 0, to: Int16 = .max) throws(WireError) {
        var byte: Int8 = value ? 1 : 0
        try field(&byte, from: from, to: to)
        if has(from, to) { value = byte != 0 }
    }

    mutating func field(_ value: inout KafkaErrorCode, from: Int16 = 0, to: Int16 = .max) throws(WireError) {
        var raw = value.rawValue
        try field(&raw, from: from, to: to)
        guard has(from, to) else { return }
        if isReading { value = KafkaErrorCode(rawValue: raw) ?? .unknownServerError } else if value != .none { toldErrors.append(value) }
    }

    mutating func field(_ value: inout UUIDBytes, from: Int16 = 0, to: Int16 = .max) throws(WireError) {
        guard has(from, to) else { return }
        var high = Int64(bitPattern: value.high), low = Int64(bitPattern: value.low)
        try field(&high)
        try field(&low)
        value = UUIDBytes(high: UInt64(bitPattern: high), low: UInt64(bitPattern: low))
    }

    mutating func field(_ value: inout String, from: Int16 = 0, to: Int16 = .max) throws(WireError) {
        guard has(from, to) else { return }
        var optional: String? = value
        try string(&optional)
        guard let present = optional else { throw malformed("null where a string is required") }
        value = present
    }

    /// A string that may be null; in versions before `nullableFrom` null is written as the empty string and never read.
    mutating func field(_ value: inout String?, from: Int16 = 0, to: Int16 = .max, nullableFrom: Int16 = 0) throws(WireError) {
        guard has(from, to) else { return }
        if !isReading, version < nullableFrom, value == nil {
            var empty: String? = ""
            return try string(&empty)
        }
        try string(&value)
    }

    mutating func field(_ value: inout [UInt8], from: Int16 = 0, to: Int16 = .max) throws(WireError) {
        guard has(from, to) else { return }
        var optional: [UInt8]? = value
        try field(&optional)
        value = optional ?? []
    }

    mutating func field(_ value: inout [UInt8]?, from: Int16 = 0, to: Int16 = .max) throws(WireError) {
        guard has(from, to) else { return }
        if isReading {
            value = try readLength(shortForm: false).map { (count) throws(WireError) in
                guard let bytes = buffer.readBytes(length: count) else { throw malformed("frame ends inside bytes") }
                return bytes
            }
        } else {
            try writeLength(value?.count, shortForm: false)
            if let value { buffer.writeBytes(value) }
        }
    }

    /// Bytes that stay a slice of the frame when read, and a piece of their own when written: records.
    mutating func field(_ value: inout ByteBuffer?, from: Int16 = 0, to: Int16 = .max) throws(WireError) {
        guard has(from, to) else { return }
        if isReading {
            value = try readLength(shortForm: false).map { (count) throws(WireError) in
                guard let slice = buffer.readSlice(length: count) else { throw malformed("frame ends inside bytes") }
                return slice
            }
        } else {
            try writeLength(value?.readableBytes, shortForm: false)
            guard let value else { return }
            if value.readableBytes > Self.copiedBytesMax {
                inserted.append((buffer.writerIndex, value))
                insertedBytes += value.readableBytes
            } else {
                buffer.writeImmutableBuffer(value)
            }
        }
    }

    mutating func field<Message: WireMessage>(_ value: inout Message, from: Int16 = 0, to: Int16 = .max) throws(WireError) {
        guard has(from, to) else { return }
        try value.code(&self)
    }

    mutating func field<Message: WireMessage>(_ value: inout [Message], from: Int16 = 0, to: Int16 = .max) throws(WireError) {
        guard has(from, to) else { return }
        var optional: [Message]? = value
        try field(&optional)
        guard let present = optional else { throw malformed("null where an array is required") }
        value = present
    }

    mutating func field<Message: WireMessage>(_ value: inout [Message]?, from: Int16 = 0, to: Int16 = .max) throws(WireError) {
        guard has(from, to) else { return }
        if isReading {
            guard let count = try arrayCount() else {
                value = nil
                return
            }
            var elements: [Message] = []
            elements.reserveCapacity(min(count, 64))
            for _ in 0..<count {
                var element = Message()
                try element.code(&self)
                elements.append(element)
            }
            value = elements
        } else {
            try writeLength(value?.count, shortForm: false)
            guard let elements = value else { return }
            for var element in elements { try element.code(&self) }
        }
    }

    /// A structure that may be null: a byte says whether it is there, −1 or 1.
    mutating func field<Message: WireMessage>(_ value: inout Message?, from: Int16 = 0, to: Int16 = .max) throws(WireError) {
        guard has(from, to) else { return }
        var presence: Int8 = value == nil ? -1 : 1
        try field(&presence)
        guard presence >= 0 else {
            value = nil
            return
        }
        var present = value ?? Message()
        try present.code(&self)
        value = present
    }

    /// The tagged fields that end a structure in flexible versions; tags that are not known are skipped (KIP-482).
    mutating func tags() throws(WireError) { try tags([]) { (_, _) throws(WireError) in } }

    /// Tagged fields of which some are known: `code` reads or writes the field of a tag. Of `tags`, in rising order, all are written.
    mutating func tags(_ tags: [UInt32], _ code: (UInt32, inout Wire) throws(WireError) -> Void) throws(WireError) {
        guard isFlexible else { return }
        guard isReading else {
            writeVarint(UInt32(tags.count))
            for tag in tags {
                var field = Wire(writingTo: ByteBuffer(), version: version, isFlexible: true)
                try code(tag, &field)
                writeVarint(tag)
                writeVarint(UInt32(field.buffer.readableBytes))
                buffer.writeImmutableBuffer(field.buffer)
            }
            return
        }
        let count = try readVarint()
        var previous = -1
        for _ in 0..<count {
            let tag = try readVarint()
            guard Int(tag) > previous else { throw malformed("tagged fields are not in rising order") }
            previous = Int(tag)
            let size = Int(try readVarint())
            guard size <= buffer.readableBytes, let slice = buffer.readSlice(length: size) else {
                throw malformed("frame ends inside a tagged field")
            }
            guard tags.contains(tag) else { continue }
            var field = Wire(reading: slice, version: version, isFlexible: true)
            field.elementBudget = elementBudget
            try code(tag, &field)
            elementBudget = field.elementBudget
        }
    }

    /// Says that nothing may be left of a body that has been read.
    func finish() throws(WireError) {
        if buffer.readableBytes > 0 { throw malformed("\(buffer.readableBytes) bytes after the end of the message") }
    }

    /// What was written, with the `Int32` at its start set to the count of bytes after it.
    consuming func frame() throws(WireError) -> FrameBytes {
        let byteCount = buffer.writerIndex + insertedBytes
        guard let size = Int32(exactly: byteCount - 4) else { throw malformed("a message of \(byteCount - 4) bytes does not fit a frame") }
        buffer.setInteger(size, at: 0)
        var pieces: [ByteBuffer] = []
        for insertion in inserted {
            if let before = buffer.readSlice(length: insertion.at - buffer.readerIndex), before.readableBytes > 0 { pieces.append(before) }
            pieces.append(insertion.bytes)
        }
        if buffer.readableBytes > 0 { pieces.append(buffer) }
        return FrameBytes(pieces: pieces, byteCount: byteCount)
    }

    // MARK: Lengths

    private mutating func string(_ value: inout String?) throws(WireError) {
        if isReading {
            value = try readLength(shortForm: true).map { (count) throws(WireError) in
                guard let text = buffer.readString(length: count) else { throw malformed("frame ends inside a string") }
                return text
            }
        } else {
            let utf8 = value?.utf8
            try writeLength(utf8?.count, shortForm: true)
            if let value { buffer.writeString(value) }
        }
    }

    /// Length of a string (`shortForm`), bytes or array; nil for null. Never more than the bytes that are left.
    private mutating func readLength(shortForm: Bool) throws(WireError) -> Int? {
        let count: Int
        if isFlexible {
            count = Int(try readVarint()) - 1
        } else if shortForm {
            guard let short = buffer.readInteger(as: Int16.self) else { throw malformed("frame ends inside a length") }
            count = Int(short)
        } else {
            guard let long = buffer.readInteger(as: Int32.self) else { throw malformed("frame ends inside a length") }
            count = Int(long)
        }
        if count == -1 { return nil }
        guard count >= 0 else { throw malformed("length \(count) is negative") }
        guard count <= buffer.readableBytes else {
            throw malformed("length \(count) is more than the \(buffer.readableBytes) bytes that are left")
        }
        return count
    }

    private mutating func arrayCount() throws(WireError) -> Int? {
        guard let count = try readLength(shortForm: false) else { return nil }
        guard count <= elementBudget else { throw malformed("more than \(Wire.elementsMax) array elements in one frame") }
        elementBudget -= count
        return count
    }

    private mutating func writeLength(_ count: Int?, shortForm: Bool) throws(WireError) {
        let count = count ?? -1
        if isFlexible {
            guard count < Int(UInt32.max) else { throw malformed("length \(count) is too large to be written") }
            writeVarint(UInt32(count + 1))
        } else if shortForm {
            guard let short = Int16(exactly: count) else { throw malformed("string of \(count) bytes is longer than 32767") }
            buffer.writeInteger(short)
        } else {
            guard let long = Int32(exactly: count) else { throw malformed("length \(count) is too large to be written") }
            buffer.writeInteger(long)
        }
    }

    // MARK: Varints: seven bits a byte, the lowest first, the high bit says that more follow

    mutating func readVarint() throws(WireError) -> UInt32 {
        var value: UInt32 = 0
        var shift: UInt32 = 0
        while let byte = buffer.readInteger(as: UInt8.self) {
            if shift == 28, byte > 0x0f { throw malformed("varint is longer than 32 bits") }
            value |= UInt32(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw malformed("frame ends inside a varint")
    }

    mutating func writeVarint(_ value: UInt32) {
        var rest = value
        while rest >= 0x80 {
            buffer.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        buffer.writeInteger(UInt8(rest))
    }
}

extension Int32: WireMessage {
    mutating func code(_ wire: inout Wire) throws(WireError) { try wire.field(&self) }
}

extension Int64: WireMessage {
    mutating func code(_ wire: inout Wire) throws(WireError) { try wire.field(&self) }
}

extension Int16: WireMessage {
    mutating func code(_ wire: inout Wire) throws(WireError) { try wire.field(&self) }
}

extension Int8: WireMessage {
    mutating func code(_ wire: inout Wire) throws(WireError) { try wire.field(&self) }
}

extension String: WireMessage {
    mutating func code(_ wire: inout Wire) throws(WireError) { try wire.field(&self) }
}
