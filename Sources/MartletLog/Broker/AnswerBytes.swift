import Synchronization

/// Bytes of answers, of all connections together, that sockets have not taken yet. Readers who are slow all at once get smaller answers, so
/// that they cannot fill the memory.
final class AnswerBytes: Sendable {
    private let unsent = Atomic(0)
    private let most: Int

    init(most: Int) { self.most = most }

    func add(_ bytes: Int) { unsent.add(bytes, ordering: .relaxed) }
    func remove(_ bytes: Int) { unsent.subtract(bytes, ordering: .relaxed) }

    var count: Int { unsent.load(ordering: .relaxed) }

    /// How many bytes of records an answer may have that would have `wanted`; a batch may exceed it.
    func allowance(_ wanted: Int) -> Int { min(wanted, max(1 << 16, (most - count) / 4)) }
}
