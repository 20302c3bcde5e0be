import NIOCore

// What consumers of the classic protocol write into the bytes that the group carries for them (Kafka's ConsumerProtocolSubscription and
// ConsumerProtocolAssignment): Int16 version, then the fields, in the rules of versions that are not flexible. Later versions add fields at the end.

/// What a consumer wants and has.
struct ConsumerSubscription: WireMessage, Hashable {
    var topics: [String] = []
    var userData: [UInt8]?
    /// What it goes on reading while the group rebalances; empty for consumers that give up everything first.
    var owned: [OwnedPartitions] = []
    var generation: Int32 = -1
    var rackID: String?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topics)
        try wire.field(&userData)
        try wire.field(&owned, from: 1)
        try wire.field(&generation, from: 2)
        try wire.field(&rackID, from: 3)
    }
}

/// What a consumer is to read.
struct ConsumerAssignment: WireMessage, Hashable {
    var partitions: [OwnedPartitions] = []
    var userData: [UInt8]?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&partitions)
        try wire.field(&userData)
    }
}

struct OwnedPartitions: WireMessage, Hashable {
    var topic = ""
    var partitions: [Int32] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topic)
        try wire.field(&partitions)
    }
}

enum ConsumerMetadata {
    /// A later version reads as the last that we know: what it adds comes after that.
    static let versionMax: Int16 = 3

    /// - Throws: if the bytes end too early.
    static func read<Message: WireMessage>(_ type: Message.Type, _ bytes: [UInt8]) throws(WireError) -> (message: Message, version: Int16) {
        var wire = Wire(reading: ByteBuffer(bytes: bytes), version: 0, isFlexible: false)
        var version: Int16 = 0
        try wire.field(&version)
        guard version >= 0 else { throw WireError(message: "version \(version) of what a consumer says", position: 0) }
        let known = min(version, versionMax)
        wire = wire.switched(toVersion: known, isFlexible: false)
        var message = Message()
        try message.code(&wire)
        return (message, known)
    }

    static func write<Message: WireMessage>(_ message: Message, version: Int16) -> [UInt8] {
        var wire = Wire(writingTo: ByteBuffer(), version: version, isFlexible: false)
        var message = message, version = version
        do throws(WireError) {
            try wire.field(&version)
            try message.code(&wire)
        } catch {
            // Only a length that does not fit into its field can fail, and names of topics have 249 bytes.
            return []
        }
        return Array(wire.buffer.readableBytesView)
    }
}
