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
}
