import MartletCore
import Synchronization

/// What kernels may read besides their arguments: the clock and randomness, handed in.
final class KernelEnvironment: Sendable {
    let time: TimeSource
    private let generator: Mutex<SeededRandom>

    init(time: TimeSource, seed: UInt64) {
        self.time = time
        generator = Mutex(SeededRandom(seed: seed))
    }

    func random<R>(_ body: (inout SeededRandom) -> R) -> R { generator.withLock { body(&$0) } }
}
