import MartletCore
import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization
import Testing

@testable import MartletLog

/// Long polls over a plan whose partitions are numbers, on a loop whose clock is the test's.
@Suite struct DelayedFetchTests {
    /// Answers with what is there; a read takes away what `taken` says, as others that are faster do.
    private final class Plan: PollPlan {
        struct State {
            var available = 0
            var enough = 1
            var taken = 0
            var looks = 0
            var takenBack: [Int] = []
            var onRead: (@Sendable () -> Void)?
        }

        let ids = [TopicPartition("a", 0), TopicPartition("a", 1)]
        let isCold = false
        let lookDelayMs: Int64
        let looksUntilUnanswerable: Bool
        let state = Mutex(State())

        init(lookDelayMs: Int64 = 0, looksUntilUnanswerable: Bool = false, enough: Int = 1) {
            self.lookDelayMs = lookDelayMs
            self.looksUntilUnanswerable = looksUntilUnanswerable
            state.withLock { $0.enough = enough }
        }

        var isAnswerable: Bool { state.withLock { $0.available > 0 } }
        var looks: Int { state.withLock(\.looks) }

        func read() -> Int {
            state.withLock(\.onRead)?()
            return state.withLock { state in
                state.looks += 1
                state.available -= state.taken
                return state.available
            }
        }

        func satisfies(_ response: Int) -> Bool { state.withLock { response >= $0.enough } }
        func takeBack(_ response: Int) { state.withLock { $0.takenBack.append(response) } }
    }

    private final class Poll: Sendable {
        let loop = EmbeddedEventLoop()
        let life = ConnectionLife()
        let waiting = DelayedFetches<Plan>()
        let plan: Plan
        private let result = Mutex<Result<Int, any Error>?>(nil)

        init(_ plan: Plan) {
            self.plan = plan
            let delayed = DelayedFetch(plan, waitMs: 100, loop: loop, life: life, blocking: .singleton, waiting: waiting)
            delayed.start().whenComplete { result in self.result.withLock { $0 = result } }
        }

        var answer: Int? { result.withLock { try? $0?.get() } }
        var hasFailed: Bool { result.withLock { if case .failure = $0 { true } else { false } } }
        func append(_ count: Int, to partition: Int32 = 0) {
            plan.state.withLock { $0.available += count }
            waiting.receive(.advanced(TopicPartition("a", partition)))
        }
    }

    @Test func answersWhenOneOfItsPartitionsAdvances() {
        let poll = Poll(Plan())
        #expect((poll.waiting.fetchCount, poll.waiting.count) == (1, 2))
        poll.waiting.receive(.advanced(TopicPartition("a", 2)))
        poll.loop.run()
        #expect(poll.plan.looks == 0)
        poll.append(3, to: 1)
        poll.loop.run()
        #expect(poll.answer == 3)
        #expect((poll.waiting.fetchCount, poll.waiting.count) == (0, 0))
        poll.loop.advanceTime(by: .milliseconds(200))
        #expect(poll.plan.looks == 1)
    }

    @Test func answersWithWhatIsThereWhenTheTimeIsUp() {
        let poll = Poll(Plan(enough: 10))
        poll.append(4)
        poll.loop.advanceTime(by: .milliseconds(99))
        #expect(poll.answer == nil)
        poll.loop.advanceTime(by: .milliseconds(1))
        #expect(poll.answer == 4)
        #expect(poll.waiting.fetchCount == 0)
    }

    /// Appends that come before the look share it.
    @Test func looksOnceForAllThatCameUntilThen() {
        let poll = Poll(Plan(lookDelayMs: 1, enough: 10))
        for _ in 0..<5 { poll.append(1) }
        poll.loop.run()
        #expect(poll.plan.looks == 0)
        poll.loop.advanceTime(by: .milliseconds(1))
        #expect(poll.plan.looks == 1)
        poll.loop.advanceTime(by: .milliseconds(10))
        #expect(poll.plan.looks == 1)
        poll.append(5)
        poll.loop.advanceTime(by: .milliseconds(1))
        #expect(poll.answer == 10)
    }

    /// Three are there, each look takes one: only who looks until there is nothing looks more than once.
    @Test(arguments: [(false, 1), (true, 3)]) func looksAgainWithoutBeingWoken(looksUntilUnanswerable: Bool, looks: Int) {
        let plan = Plan(looksUntilUnanswerable: looksUntilUnanswerable, enough: 10)
        plan.state.withLock { $0.taken = 1 }
        let poll = Poll(plan)
        poll.append(3)
        poll.loop.run()
        #expect(plan.looks == looks)
        #expect(poll.answer == nil)
        plan.state.withLock { $0.taken = 0 }
        poll.append(10)
        poll.loop.run()
        #expect((poll.answer ?? 0) >= 10)
    }

    @Test func wakesThoseWhoAreMeant() {
        let poll = Poll(Plan())
        poll.plan.state.withLock { $0.available = 1 }
        poll.waiting.wake(TopicPartition("a", 0)) { $0 !== poll.plan }
        poll.waiting.wake(TopicPartition("b", 0)) { _ in true }
        poll.loop.run()
        #expect(poll.plan.looks == 0)
        poll.waiting.wake(TopicPartition("a", 0)) { $0 === poll.plan }
        poll.loop.run()
        #expect(poll.answer == 1)
    }

    @Test func aTopicThatGoesWakesAll() {
        let poll = Poll(Plan())
        poll.plan.state.withLock { $0.available = 1 }
        poll.waiting.receive(.topicsChanged)
        poll.loop.run()
        #expect(poll.answer == 1)
    }

    @Test func whoIsGoneWaitsForNothing() {
        let poll = Poll(Plan())
        poll.life.close()
        #expect(poll.hasFailed)
        #expect(poll.waiting.fetchCount == 0)
        poll.append(1)
        poll.loop.advanceTime(by: .milliseconds(200))
        #expect(poll.plan.looks == 0)
    }

    /// The client goes while it is read for.
    @Test func whatReachesNobodyIsTakenBack() {
        let poll = Poll(Plan())
        let life = poll.life
        poll.plan.state.withLock { $0.onRead = { life.close() } }
        poll.append(2)
        poll.loop.run()
        #expect(poll.hasFailed)
        #expect(poll.plan.state.withLock(\.takenBack) == [2])
    }

    /// What came between the first look and being added woke nobody.
    @Test func looksAtOnceIfThereIsSomethingAlready() {
        let plan = Plan()
        plan.state.withLock { $0.available = 1 }
        let poll = Poll(plan)
        poll.loop.run()
        #expect(poll.answer == 1)
    }
}
