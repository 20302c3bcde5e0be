import MartletCore
import Testing

/// `@Suite(.long)`: its tests run on two threads of their own. They compute for seconds without a pause, and the threads of Swift's concurrency, as many as
/// there are cores, are what engine and server answer other tests with: held by two simulations, nothing else in the process would go on.
struct LongTests: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(AsideExecutor.shared) { try await function() }
    }
}

extension Trait where Self == LongTests {
    static var long: Self { LongTests() }
}

private final class AsideExecutor: TaskExecutor {
    static let shared = AsideExecutor()
    private static let threadCount = 2

    private let jobs = Signal<[UnownedJob]>([])
    /// They end with the process.
    private let threads: [WorkerThread]

    private init() {
        threads = (1...Self.threadCount).compactMap { [jobs] number in
            try? WorkerThread("long-tests-\(number)") {
                while let job = jobs.wait({ $0.isEmpty ? nil : $0.removeFirst() }) {
                    job.runSynchronously(on: AsideExecutor.shared.asUnownedTaskExecutor())
                }
            }
        }
        precondition(!threads.isEmpty, "no thread for long tests")
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.update { $0.append(job) }
    }
}
