import MartletCore

/// Partitions that are made durable together: the syncs run at the same time on whichever threads help, because their cost is waiting, and
/// a file system's journal takes several files along for the price of one.
///
/// Helpers are optional: whoever waits for the round does what nobody else has taken.
final class SyncRound: Sendable {
    private struct State {
        var next = 0
        var done = 0
        var error: MartletError?
    }

    private let partitions: [PartitionLog]
    private let state = Signal(State())

    init(_ partitions: [PartitionLog]) { self.partitions = partitions }

    /// Syncs one partition after the other until all are taken.
    func help() {
        while let partition = take() {
            var failure: MartletError?
            do throws(MartletError) {
                try partition.flush()
            } catch {
                failure = error
            }
            state.update { state in
                state.done += 1
                if state.error == nil { state.error = failure }
            }
        }
    }

    private func take() -> PartitionLog? {
        state.update { state in
            guard state.next < partitions.count else { return nil }
            state.next += 1
            return partitions[state.next - 1]
        }
    }

    /// Helps, then waits for the others. Throws the first failure; all partitions have been tried then.
    func finish() throws(MartletError) {
        help()
        let error: MartletError?? = state.wait { state in state.done == partitions.count ? .some(state.error) : nil }
        if let error, let error { throw error }
    }
}
