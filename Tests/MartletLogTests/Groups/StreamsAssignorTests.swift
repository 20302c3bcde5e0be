import MartletCore
import Testing

@testable import MartletLog

@Suite struct StreamsAssignorTests {
    typealias Candidate = StreamsAssignor.Candidate

    private func tasks(_ counts: [(String, Int32, Bool)]) -> [(task: StreamsTask, isStateful: Bool)] {
        counts.flatMap { id, count, isStateful in (0..<count).map { (StreamsTask(subtopology: id, partition: $0), isStateful) } }
    }

    private func task(_ id: String, _ partition: Int32) -> StreamsTask { .init(subtopology: id, partition: partition) }

    @Test func aTaskGoesToWhoHasItsState() {
        let all = tasks([("0", 4, true)])
        // c has gone; b has the copy of one of its tasks, a2 is of the process that had the other.
        let a = Candidate(id: "a", processID: "pa", active: [task("0", 0)])
        let b = Candidate(id: "b", processID: "pb", active: [task("0", 1)], copies: [task("0", 2)])
        let made = StreamsAssignor.assign(all, to: [a, b], standbyReplicas: 0)
        #expect(made["b"]?.active == [task("0", 1), task("0", 2)] && made["a"]?.active == [task("0", 0), task("0", 3)])
        // A member that has more than its share gives to the other of its process rather than to somebody else.
        let full = Candidate(id: "x", processID: "p", active: [task("0", 0), task("0", 1), task("0", 2)])
        let others = [Candidate(id: "y", processID: "q", active: [task("0", 3)]), Candidate(id: "z", processID: "p")]
        let split = StreamsAssignor.assign(all, to: [full] + others, standbyReplicas: 0)
        #expect(split["z"]?.active.count == 1 && split["z"]?.active.isSubset(of: full.active) == true && split["y"]?.active == [task("0", 3)])
        // At the start, whoever has most of it on disk.
        let cold = [
            Candidate(id: "x", processID: "p", offsets: [task("0", 0): 5, task("0", 1): 9]), Candidate(id: "y", processID: "q", offsets: [task("0", 0): 7]),
        ]
        let started = StreamsAssignor.assign(tasks([("0", 2, true)]), to: cold, standbyReplicas: 0)
        #expect(started["y"]?.active == [task("0", 0)] && started["x"]?.active == [task("0", 1)])
    }

    @Test func eachSubtopologyIsSpread() {
        let made = StreamsAssignor.assign(
            tasks([("0", 4, false), ("1", 4, false)]), to: (0..<4).map { Candidate(id: "m\($0)", processID: "p\($0)") }, standbyReplicas: 0)
        #expect(made.values.allSatisfy { Set($0.active.map(\.subtopology)) == ["0", "1"] })
        #expect(StreamsAssignor.assign(tasks([("0", 1, true)]), to: [], standbyReplicas: 1).isEmpty)
    }

    /// Over histories of members that come and go: each task has one owner, shares differ by one at most, a process has a task once at most, there
    /// are as many standbys as processes allow, and no more moves than must.
    @Test func lawsOfAnAssignment() {
        withSeeds(150) { seed, random in
            let replicas = Int.random(in: 0...2, using: &random)
            let all = tasks(
                (0..<Int.random(in: 1...4, using: &random)).map {
                    ("\($0)", Int32.random(in: 1...9, using: &random), Bool.random(using: &random))
                })
            let stateful = Set(all.filter(\.isStateful).map(\.task))
            var members: [Candidate] = []
            for step in 0..<15 {
                if members.count > 1, Bool.random(using: &random) {
                    members.remove(at: Int.random(in: 0..<members.count, using: &random))
                } else {
                    members.append(Candidate(id: "m\(step)", processID: "p\(Int.random(in: 0..<4, using: &random))"))
                }
                let made = StreamsAssignor.assign(all, to: members, standbyReplicas: replicas)
                let say: Comment = "seed \(seed) step \(step)"
                #expect(Set(made.keys) == Set(members.map(\.id)), say)
                let active = made.values.flatMap(\.active)
                #expect(active.count == all.count && Set(active) == Set(all.map(\.task)), say)
                let shares = made.values.map(\.active.count)
                #expect((shares.max() ?? 0) - (shares.min() ?? 0) <= 1, say)
                let processes = Dictionary(grouping: members, by: \.processID)
                for (_, own) in processes {
                    let had = own.flatMap { Array(made[$0.id]?.active ?? []) + Array(made[$0.id]?.standby ?? []) }
                    #expect(had.count == Set(had).count, say)
                }
                for task in stateful {
                    #expect(made.values.count { $0.standby.contains(task) } == min(replicas, processes.count - 1), say)
                }
                #expect(made.values.allSatisfy { $0.warmup.isEmpty && $0.standby.isSubset(of: stateful) }, say)
                // The shares as they must be, and of them as much as was there before.
                let kept = members.reduce(0) { $0 + (made[$1.id]?.active.intersection($1.active).count ?? 0) }
                let share = all.count / members.count, larger = all.count % members.count
                let most = members.map(\.active.count).sorted(by: >).enumerated().reduce(0) { $0 + min($1.element, share + ($1.offset < larger ? 1 : 0)) }
                #expect(kept == most, say)
                #expect(StreamsAssignor.assign(all, to: members.map { carry($0, made) }, standbyReplicas: replicas) == made, say)
                members = members.map { carry($0, made) }
            }
        }
    }

    /// Thousands of tasks and hundreds of members, from nothing and with one more member.
    @Test func aLargeGroupMovesAsLittleAsASmallOne() {
        let all = tasks((0..<4).map { ("\($0)", 1000, true) })
        var members = (0..<200).map { Candidate(id: "m\($0)", processID: "p\($0 / 2)") }
        var made = StreamsAssignor.assign(all, to: members, standbyReplicas: 1)
        members = members.map { carry($0, made) } + [Candidate(id: "new", processID: "new")]
        made = StreamsAssignor.assign(all, to: members, standbyReplicas: 1)
        #expect(made["new"]?.active.count == 19 && members.dropLast().allSatisfy { made[$0.id]?.active.isSubset(of: $0.active) == true })
        #expect(made.values.map(\.standby.count).min() == 19 && made.values.map(\.standby.count).max() == 20)
    }

    private func carry(_ member: Candidate, _ made: StreamsAssignor.Assignment) -> Candidate {
        var member = member
        member.active = made[member.id]?.active ?? []
        member.copies = made[member.id]?.standby ?? []
        return member
    }
}
