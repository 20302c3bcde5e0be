import MartletCore
import Testing

@testable import MartletEngine

@Suite struct CommitStateMachineTests {
    typealias Machine = CommitStateMachine
    let t0 = CommitToken(number: 0), t1 = CommitToken(number: 1), t2 = CommitToken(number: 2)

    func machine() -> Machine { Machine(Machine.Limits(intervalNs: 100, bytesMax: 1000)) }

    func ended(_ nowNs: Int64, busy: Bool = true, work: Bool = true, bytes: Int = 10) -> Machine.Event {
        .roundEnded(Machine.Progress(isBusy: busy, hasWork: work, bytes: bytes, nowNs: nowNs))
    }

    @Test func aDrainedInputCommitsAtOnce() {
        var machine = machine()
        #expect(machine.receive(.roundBegins) == [.begin(t0)])
        #expect(machine.receive(ended(5, busy: false, work: false)) == [.sleep])
        #expect(machine.receive(.roundBegins) == [])
        #expect(machine.receive(ended(6000)) == [])
        #expect(machine.receive(ended(6001, busy: false)) == [.prepare(t0), .commit(t0)])
        #expect(machine.receive(.commitEnded(t0, succeeded: true)) == [.tellCommitted(t0)])
        #expect(machine.receive(.roundBegins) == [.begin(t1)])
    }

    @Test func underLoadTheNextIsFilledMeanwhile() {
        var machine = machine()
        _ = machine.receive(.roundBegins)
        #expect(machine.receive(ended(0)) == [])
        #expect(machine.receive(ended(100)) == [.prepare(t0), .commitInBackground(t0)])
        #expect(machine.receive(.roundBegins) == [.begin(t1)])
        #expect(machine.receive(ended(110)) == [])
        // Due, but the other has not ended: on and on, up to the bound.
        #expect(machine.receive(ended(300, bytes: 999)) == [])
        #expect(machine.receive(ended(301, bytes: 1000)) == [.awaitCommit(t0)])
        #expect(machine.receive(.commitEnded(t0, succeeded: true)) == [.tellCommitted(t0)])
        #expect(machine.receive(ended(302, bytes: 1001)) == [.prepare(t1), .commitInBackground(t1)])
        _ = machine.receive(.roundBegins)
        // Drained while one commits: that one first.
        #expect(machine.receive(ended(303)) == [])
        #expect(machine.receive(ended(304, busy: false)) == [.awaitCommit(t1)])
        #expect(machine.receive(.commitEnded(t1, succeeded: true)) == [.tellCommitted(t1)])
        #expect(machine.receive(ended(305, busy: false)) == [.prepare(t2), .commit(t2)])
    }

    @Test func aFullTransactionCommitsBeforeItsTime() {
        var machine = machine()
        _ = machine.receive(.roundBegins)
        #expect(machine.receive(ended(1, bytes: 500)) == [])
        #expect(machine.receive(ended(2, bytes: 5000)) == [.prepare(t0), .commitInBackground(t0)])
    }

    /// State that has outgrown its memory is as good a reason, and what is filled meanwhile waits for it.
    @Test func shortMemoryCommitsBeforeItsTime() {
        func short(_ nowNs: Int64) -> Machine.Event {
            .roundEnded(Machine.Progress(isBusy: true, hasWork: true, bytes: 1, isMemoryShort: true, nowNs: nowNs))
        }
        var machine = machine()
        _ = machine.receive(.roundBegins)
        #expect(machine.receive(ended(1)) == [])
        #expect(machine.receive(short(2)) == [.prepare(t0), .commitInBackground(t0)])
        _ = machine.receive(.roundBegins)
        #expect(machine.receive(short(3)) == [.awaitCommit(t0)])
    }

    @Test func aFailedCommitTakesTheNextAlong() {
        var machine = machine()
        _ = machine.receive(.roundBegins)
        _ = machine.receive(ended(0))
        _ = machine.receive(ended(100))
        _ = machine.receive(.roundBegins)
        #expect(machine.receive(.commitEnded(t0, succeeded: false)) == [.abort([t0, t1])])
        #expect(machine.receive(.roundBegins) == [.begin(t2)])
    }

    @Test(arguments: [true, false]) func aFailedTaskWaitsForTheCommitBeforeIt(commits: Bool) {
        var machine = machine()
        _ = machine.receive(.roundBegins)
        _ = machine.receive(ended(0))
        _ = machine.receive(ended(100))
        _ = machine.receive(.roundBegins)
        #expect(machine.receive(.failed) == [.awaitCommit(t0)])
        #expect(machine.receive(.commitEnded(t0, succeeded: commits)) == (commits ? [.tellCommitted(t0), .abort([t1])] : [.abort([t0, t1])]))
        #expect(machine.receive(.mustSettle(hasWork: true)) == [])
    }

    @Test func settling() {
        var machine = machine()
        #expect(machine.receive(.mustSettle(hasWork: true)) == [])
        _ = machine.receive(.roundBegins)
        #expect(machine.receive(.mustSettle(hasWork: false)) == [])
        _ = machine.receive(.roundBegins)
        _ = machine.receive(ended(0))
        _ = machine.receive(ended(100))
        _ = machine.receive(.roundBegins)
        #expect(machine.receive(.mustSettle(hasWork: true)) == [.awaitCommit(t1)])
        #expect(machine.receive(.commitEnded(t1, succeeded: true)) == [.tellCommitted(t1)])
        #expect(machine.receive(.mustSettle(hasWork: true)) == [.prepare(t2), .commit(t2)])
        #expect(machine.receive(.commitEnded(t2, succeeded: false)) == [.abort([t2])])
        #expect(machine.receive(.mustSettle(hasWork: true)) == [])
    }

    /// Whatever happens in whatever order, and wherever it is cut off: a world that does as it is told processes every input once.
    @Test func everyInputCountsOnce() {
        for seed in UInt64(1)...300 {
            var random = SeededRandom(seed: seed)
            var world = World(), machine = machine()
            for _ in 0..<200 {
                // A crash between any two actions leaves what is decided, and no trace of the rest.
                if Int.random(in: 0..<40, using: &random) == 0 {
                    world.crash(decides: Bool.random(using: &random))
                    machine = self.machine()
                }
                world.run(&machine, &random)
                #expect(world.results == Array(0..<world.committed), "seed \(seed)")
            }
            #expect(world.committed > 20, "seed \(seed): something is done")
        }
    }

    /// An input that never ends; results are its numbers.
    private struct World {
        struct Open { var from: Int, to: Int }
        var results: [Int] = []
        var committed = 0
        var position = 0
        var nowNs: Int64 = 0
        var filling: (token: CommitToken, from: Int)?
        var prepared: (token: CommitToken, part: Open)?
        var inBackground = false
        /// Actions that were given and not performed yet: the point where a crash may come.
        var todo: [CommitStateMachine.Action] = []

        mutating func crash(decides: Bool) {
            if let prepared, decides { decide(prepared.part) }
            position = committed
            filling = nil
            prepared = nil
            inBackground = false
            todo = []
        }

        private mutating func decide(_ part: Open) {
            results += Array(part.from..<part.to)
            committed = part.to
        }

        /// One action, or the next event.
        mutating func run(_ machine: inout CommitStateMachine, _ random: inout SeededRandom) {
            nowNs += Int64.random(in: 0..<60, using: &random)
            guard !todo.isEmpty else {
                if inBackground, Int.random(in: 0..<4, using: &random) == 0 { return endCommit(&machine, &random) }
                switch Int.random(in: 0..<20, using: &random) {
                case 0: todo = machine.receive(.mustSettle(hasWork: filling.map { $0.from < position } ?? false))
                default:
                    todo = machine.receive(.roundBegins)
                    if let action = todo.first, case .begin(let token) = action { filling = (token, position) }
                    todo = []
                    if Int.random(in: 0..<15, using: &random) == 0 {
                        todo = machine.receive(.failed)
                        return
                    }
                    let rows = Int.random(in: 0..<3, using: &random)
                    position += rows
                    let isWork = filling.map { $0.from < position } ?? false
                    todo = machine.receive(
                        .roundEnded(
                            CommitStateMachine.Progress(
                                isBusy: rows > 0, hasWork: isWork, bytes: (position - (filling?.from ?? 0)) * 90, nowNs: nowNs)))
                }
                return
            }
            switch todo.removeFirst() {
            case .begin: Issue.record("only a round begins one")
            case .prepare(let token):
                guard let open = filling, open.token == token else {
                    Issue.record("what is not filled is not prepared")
                    return
                }
                #expect(prepared == nil)
                if Int.random(in: 0..<20, using: &random) == 0 {
                    todo = machine.receive(.commitEnded(token, succeeded: false))
                } else {
                    prepared = (token, Open(from: open.from, to: position))
                    filling = nil
                }
            case .commit: endCommit(&machine, &random)
            case .commitInBackground: inBackground = true
            case .awaitCommit(let token):
                #expect(inBackground && prepared?.token == token)
                endCommit(&machine, &random)
            case .tellCommitted: break
            case .abort(let tokens):
                #expect(tokens == tokens.sorted())
                position = committed
                filling = nil
                prepared = nil
            case .sleep: break
            }
        }

        private mutating func endCommit(_ machine: inout CommitStateMachine, _ random: inout SeededRandom) {
            guard let done = prepared else {
                Issue.record("what is not prepared does not commit")
                return
            }
            #expect(done.part.from == committed, "decisions are in order")
            let succeeded = Int.random(in: 0..<10, using: &random) > 0
            if succeeded { decide(done.part) }
            prepared = nil
            inBackground = false
            todo += machine.receive(.commitEnded(done.token, succeeded: succeeded))
        }
    }
}
