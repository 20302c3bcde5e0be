import MartletCore

/// The 16 bytes of a UUID as the protocol carries them; all zero means "none".
struct UUIDBytes: Sendable, Hashable {
    var high: UInt64 = 0
    var low: UInt64 = 0

    static let zero = UUIDBytes()

    init(high: UInt64 = 0, low: UInt64 = 0) {
        self.high = high
        self.low = low
    }

    /// - `bytes`: 16 bytes, big-endian; anything else is `zero`.
    init(_ bytes: [UInt8]) {
        guard bytes.count == 16 else { return }
        high = bytes[0..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
    }

    var bytes: [UInt8] { [high, low].flatMap { half in (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) } } }

    /// As Kafka writes it: 22 characters of base64url.
    var text: String {
        String(Base64.encode(bytes).prefix(22).map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 })
    }

    /// Of version 4: never zero, nor one of Kafka's reserved ids.
    static func random() -> UUIDBytes {
        var random = SystemRandomNumberGenerator()
        return UUIDBytes(high: random.next() & ~0xf000 | 0x4000, low: random.next() & ~(3 << 62) | 2 << 62)
    }
}
