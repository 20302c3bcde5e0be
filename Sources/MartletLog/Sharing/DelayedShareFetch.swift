import MartletCore
import NIOCore
import NIOPosix
import Synchronization

/// Members of share groups that wait for records, by the partitions that can wake them.
final class ShareWaiters: Sendable {
    private let waiting = Mutex<[TopicPartition: [ObjectIdentifier: DelayedShareFetch]]>([:])
    private let fetches = Atomic(0)

    /// Once for each.
    func add(_ fetch: DelayedShareFetch, for ids: [TopicPartition]) {
        fetches.add(1, ordering: .relaxed)
        waiting.withLock { waiting in
            for id in ids { waiting[id, default: [:]][ObjectIdentifier(fetch)] = fetch }
        }
    }

    func remove(_ fetch: DelayedShareFetch, for ids: [TopicPartition]) {
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
        let woken: [DelayedShareFetch] = waiting.withLock { waiting in
            if waiting.isEmpty { return [] }
            switch event {
            case .advanced(let id): return waiting[id].map { Array($0.values) } ?? []
            case .topicsChanged: return waiting.values.flatMap(\.values)
            }
        }
        for fetch in woken { fetch.wake() }
    }

    /// Records of this group may be free again, or there is room for more.
    func wake(_ id: TopicPartition, group: String) {
        let woken = waiting.withLock { waiting in waiting.isEmpty ? [] : waiting[id].map { $0.values.filter { $0.plan.group == group } } ?? [] }
        for fetch in woken { fetch.wake() }
    }

    /// Requests that wait.
    var fetchCount: Int { fetches.load(ordering: .relaxed) }

    /// Partitions that are waited for.
    var count: Int { waiting.withLock(\.count) }
}

/// One long poll of a member: looks again whenever something came or became free, answers when there is something or the time is up.
final class DelayedShareFetch: Sendable {
    let plan: ShareFetchPlan
    private let waitMs: Int64
    private let loop: any EventLoop
    private let life: ConnectionLife
    private let blocking: NIOThreadPool
    private let waiting: ShareWaiters
    private let promise: EventLoopPromise<ShareFetchResponse>
    private let state = Mutex(State())

    private struct State {
        var isWakeUnderWay = false
        var isDone = false
        var timeout: Scheduled<Void>?
    }

    init(_ plan: ShareFetchPlan, waitMs: Int64, loop: any EventLoop, life: ConnectionLife, blocking: NIOThreadPool, waiting: ShareWaiters) {
        self.plan = plan
        self.waitMs = waitMs
        self.loop = loop
        self.life = life
        self.blocking = blocking
        self.waiting = waiting
        promise = loop.makePromise()
    }

    func start() -> EventLoopFuture<ShareFetchResponse> {
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
        if isFirst { loop.execute { self.look() } }
    }

    private func look() {
        let isDone = state.withLock { state in
            state.isWakeUnderWay = false
            return state.isDone
        }
        guard !isDone, plan.isAnswerable else { return }
        read { response in
            if self.plan.satisfies(response) { return self.answer(response) }
            // Others were faster, or there was nothing but gaps.
            if self.plan.isAnswerable { self.wake() }
        }
    }

    /// The time is up: whatever is there is the answer.
    private func finish() { read { self.answer($0) } }

    private func read(_ then: @escaping @Sendable (ShareFetchResponse) -> Void) {
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

    private func answer(_ response: ShareFetchResponse) {
        // Nobody is there to take it.
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
