import MartletCore
import NIOCore
import NIOPosix
import Synchronization

/// What a long poll asks for, with its partitions looked up: a Fetch, or a ShareFetch. Asked any number of times, from any thread.
protocol PollPlan: Sendable {
    associatedtype Response: Sendable

    /// Partitions that can wake it.
    var ids: [TopicPartition] { get }
    /// Whether there may be something to tell already: cheap, no disk.
    var isAnswerable: Bool { get }
    /// Whether reading may have to wait for the disk.
    var isCold: Bool { get }
    /// From being woken to the look that sees all that came until then; 0: at once.
    var lookDelayMs: Int64 { get }
    /// Whether a look that did not satisfy is followed by another as long as the plan is answerable, woken or not.
    var looksUntilUnanswerable: Bool { get }

    func read() -> Response
    func satisfies(_ response: Response) -> Bool
    /// What was read reaches nobody.
    func takeBack(_ response: Response)
}

/// Long polls of one kind that wait for records, by the partitions that can wake them.
final class DelayedFetches<Plan: PollPlan>: Sendable {
    private let waiting = Mutex<[TopicPartition: [ObjectIdentifier: DelayedFetch<Plan>]]>([:])
    private let fetches = Atomic(0)

    /// Once for each.
    func add(_ fetch: DelayedFetch<Plan>, for ids: [TopicPartition]) {
        fetches.add(1, ordering: .relaxed)
        waiting.withLock { waiting in
            for id in ids { waiting[id, default: [:]][ObjectIdentifier(fetch)] = fetch }
        }
    }

    func remove(_ fetch: DelayedFetch<Plan>, for ids: [TopicPartition]) {
        fetches.subtract(1, ordering: .relaxed)
        waiting.withLock { waiting in
            for id in ids {
                waiting[id]?[ObjectIdentifier(fetch)] = nil
                if waiting[id]?.isEmpty == true { waiting[id] = nil }
            }
        }
    }

    /// Called by the log, on any thread, after each append: quick.
    func receive(_ event: LogEvent) {
        let woken: [DelayedFetch<Plan>] = waiting.withLock { waiting in
            if waiting.isEmpty { return [] }
            switch event {
            case .advanced(let id): return waiting[id].map { Array($0.values) } ?? []
            case .topicsChanged: return waiting.values.flatMap(\.values)
            }
        }
        for fetch in woken { fetch.wake() }
    }

    /// Wakes some of those that wait for this partition.
    func wake(_ id: TopicPartition, where isMeant: (Plan) -> Bool) {
        let woken = waiting.withLock { waiting in waiting.isEmpty ? [] : waiting[id].map { $0.values.filter { isMeant($0.plan) } } ?? [] }
        for fetch in woken { fetch.wake() }
    }

    /// Requests that wait.
    var fetchCount: Int { fetches.load(ordering: .relaxed) }

    /// Partitions that are waited for.
    var count: Int { waiting.withLock(\.count) }
}

/// One long poll: looks again whenever one of its partitions advanced or it was woken, answers when there is enough or the time is up.
final class DelayedFetch<Plan: PollPlan>: Sendable {
    fileprivate let plan: Plan
    private let waitMs: Int64
    private let loop: any EventLoop
    private let life: ConnectionLife
    private let blocking: NIOThreadPool
    private let waiting: DelayedFetches<Plan>
    private let promise: EventLoopPromise<Plan.Response>
    private let state = Mutex(State())

    private struct State {
        var isWakeUnderWay = false
        var isDone = false
        var timeout: Scheduled<Void>?
    }

    init(_ plan: Plan, waitMs: Int64, loop: any EventLoop, life: ConnectionLife, blocking: NIOThreadPool, waiting: DelayedFetches<Plan>) {
        self.plan = plan
        self.waitMs = waitMs
        self.loop = loop
        self.life = life
        self.blocking = blocking
        self.waiting = waiting
        promise = loop.makePromise()
    }

    func start() -> EventLoopFuture<Plan.Response> {
        let timeout = loop.scheduleTask(in: .milliseconds(waitMs)) { self.finish() }
        state.withLock { $0.timeout = timeout }
        waiting.add(self, for: plan.ids)
        life.onClose { self.fail(ChannelError.ioOnClosedChannel) }
        // What came between the first look and `add` woke nobody.
        if plan.isAnswerable { wake() }
        return promise.futureResult
    }

    /// From any thread.
    func wake() {
        let isFirst = state.withLock { state in
            if state.isDone || state.isWakeUnderWay { return false }
            state.isWakeUnderWay = true
            return true
        }
        guard isFirst else { return }
        let delayMs = plan.lookDelayMs
        if delayMs == 0 {
            loop.execute { self.look() }
        } else {
            loop.scheduleTask(in: .milliseconds(delayMs)) { self.look() }
        }
    }

    private func look() {
        let isDone = state.withLock { state in
            state.isWakeUnderWay = false
            return state.isDone
        }
        guard !isDone, plan.isAnswerable else { return }
        read { response in
            if self.plan.satisfies(response) { return self.answer(response) }
            if self.plan.looksUntilUnanswerable, self.plan.isAnswerable { self.wake() }
        }
    }

    /// The time is up: whatever is there is the answer.
    private func finish() { read { self.answer($0) } }

    private func read(_ then: @escaping @Sendable (Plan.Response) -> Void) {
        if plan.isCold {
            let plan = plan
            blocking.runIfActive(eventLoop: loop) { plan.read() }.whenComplete { result in
                switch result {
                case .success(let response): then(response)
                case .failure(let error): self.fail(error)
                }
            }
        } else {
            then(plan.read())
        }
    }

    private func answer(_ response: Plan.Response) {
        guard close() else { return plan.takeBack(response) }
        promise.succeed(response)
    }

    private func fail(_ error: any Error) {
        guard close() else { return }
        promise.fail(error)
    }

    /// True the first time.
    private func close() -> Bool {
        let (isFirst, timeout) = state.withLock { state in
            defer { state.isDone = true }
            return (!state.isDone, state.timeout)
        }
        guard isFirst else { return false }
        timeout?.cancel()
        life.onClose(nil)
        waiting.remove(self, for: plan.ids)
        return true
    }
}
