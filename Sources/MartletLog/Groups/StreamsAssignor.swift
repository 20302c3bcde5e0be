/// Works out which member of a streams group has which tasks: as even as can be, moving as little as can be.
///
/// An active task stays where it was; if it has to move, it goes to who has its state: a standby, another member of the process that had it, or who
/// reported its offsets. Standbys of a task are on other processes than the task and than each other.
enum StreamsAssignor {
    struct Candidate: Sendable {
        var id: String
        /// Members of one process share its disk, so a process has a task once at most.
        var processID: String
        /// What it was to have before.
        var active: Set<StreamsTask> = []
        /// Of which it was to have, or has, a copy of the state.
        var copies: Set<StreamsTask> = []
        /// How far it has come in the changelogs of tasks of which it has some state.
        var offsets: [StreamsTask: Int64] = [:]
    }

    typealias Assignment = [String: StreamsGroup.Tasks]

    /// - `candidates`: in the order in which ties are decided.
    /// - Returns: an entry for each candidate; if there are any, each task is active with one. Fewer standbys than asked for if there are not
    ///   enough processes.
    static func assign(_ tasks: [(task: StreamsTask, isStateful: Bool)], to candidates: [Candidate], standbyReplicas: Int) -> Assignment {
        guard !candidates.isEmpty else { return [:] }
        var plan = Plan(candidates)
        plan.placeActive(tasks)
        plan.placeStandbys(tasks.filter(\.isStateful).map(\.task).sorted(), replicas: standbyReplicas)
        return plan.assignment
    }

    private struct Plan {
        let candidates: [Candidate]
        var active: [[StreamsTask]]
        var standby: [[StreamsTask]]
        /// How many tasks of each subtopology a candidate has.
        var perSubtopology: [[String: Int]]
        var owner: [StreamsTask: Int] = [:]
        /// The number of each candidate's process, and the members of each process.
        let process: [Int]
        let membersOf: [[Int]]

        init(_ candidates: [Candidate]) {
            self.candidates = candidates
            active = candidates.map { _ in [] }
            standby = active
            perSubtopology = candidates.map { _ in [:] }
            var numbers: [String: Int] = [:], members: [[Int]] = []
            process = candidates.enumerated().map { place, candidate in
                let number = numbers[candidate.processID] ?? members.count
                if number == members.count {
                    numbers[candidate.processID] = number
                    members.append([])
                }
                members[number].append(place)
                return number
            }
            membersOf = members
        }

        var assignment: Assignment {
            Dictionary(
                uniqueKeysWithValues: candidates.indices.map {
                    (candidates[$0].id, StreamsGroup.Tasks(active: Set(active[$0]), standby: Set(standby[$0])))
                })
        }

        // MARK: active tasks

        mutating func placeActive(_ tasks: [(task: StreamsTask, isStateful: Bool)]) {
            let share = tasks.count / candidates.count
            var larger = tasks.count % candidates.count
            func hasRoom(_ place: Int) -> Bool { active[place].count < share || (active[place].count == share && larger > 0) }
            func give(_ task: StreamsTask, to place: Int) {
                if active[place].count == share { larger -= 1 }
                active[place].append(task)
                perSubtopology[place][task.subtopology, default: 0] += 1
                owner[task] = place
            }
            // What has state is dearer to move.
            let inOrder = tasks.sorted { ($0.isStateful ? 0 : 1, $0.task) < ($1.isStateful ? 0 : 1, $1.task) }
            let ranks = Dictionary(inOrder.enumerated().map { ($1.task, $0) }, uniquingKeysWith: { $1 })
            // Whoever has most may have the larger shares, so that least is moved.
            for place in candidates.indices.sorted(by: { (candidates[$1].active.count, $0) < (candidates[$0].active.count, $1) }) {
                let had = candidates[place].active.compactMap { task in ranks[task].map { ($0, task) } }.sorted { $0.0 < $1.0 }
                for (_, task) in had where owner[task] == nil && hasRoom(place) { give(task, to: place) }
            }
            var copies: [StreamsTask: [Int]] = [:], had: [StreamsTask: Int] = [:], offsets: [StreamsTask: [(place: Int, offset: Int64)]] = [:]
            for (place, candidate) in candidates.enumerated() {
                for task in candidate.copies { copies[task, default: []].append(place) }
                for task in candidate.active { had[task] = process[place] }
                for (task, offset) in candidate.offsets { offsets[task, default: []].append((place, offset)) }
            }
            func leastLoaded(_ places: some Sequence<Int>, for task: StreamsTask) -> Int? {
                func key(_ place: Int) -> (Int, Int, Int) { (active[place].count, perSubtopology[place][task.subtopology] ?? 0, place) }
                return places.filter(hasRoom).min { key($0) < key($1) }
            }
            for (task, _) in inOrder where owner[task] == nil {
                let furthest = offsets[task]?.filter { hasRoom($0.place) }.max { ($0.offset, $1.place) < ($1.offset, $0.place) }?.place
                let place =
                    leastLoaded(copies[task] ?? [], for: task) ?? had[task].flatMap { leastLoaded(membersOf[$0], for: task) } ?? furthest
                // The room is for as many as there are tasks, so there is always somebody.
                if let place { give(task, to: place) }
            }
            for (task, _) in inOrder where owner[task] == nil {
                if let place = leastLoaded(candidates.indices, for: task) { give(task, to: place) }
            }
        }

        // MARK: standbys

        /// What is a copy stays one, what is missing goes to who worked on the task or else to who has least; then copies move from the full to the
        /// empty for as long as that makes it more even.
        mutating func placeStandbys(_ tasks: [StreamsTask], replicas: Int) {
            let perTask = min(replicas, membersOf.count - 1)
            guard perTask > 0 else { return }
            var holders: [StreamsTask: [Int]] = [:]
            var load = candidates.map { _ in 0 }
            func isFree(_ task: StreamsTask, _ place: Int, moving: Int? = nil) -> Bool {
                owner[task].map { process[$0] != process[place] } ?? true
                    && (holders[task] ?? []).allSatisfy { $0 == moving || process[$0] != process[place] }
            }
            func leastLoaded(_ task: StreamsTask, moving: Int? = nil) -> Int? {
                func key(_ place: Int) -> (Int, Int, Int) { (load[place], active[place].count, place) }
                return candidates.indices.filter { isFree(task, $0, moving: moving) }.min { key($0) < key($1) }
            }
            func give(_ task: StreamsTask, to place: Int) {
                holders[task, default: []].append(place)
                load[place] += 1
            }
            let stateful = Set(tasks)
            for held in [\Candidate.copies, \Candidate.active] {
                for place in candidates.indices {
                    for task in candidates[place][keyPath: held].intersection(stateful).sorted() where (holders[task] ?? []).count < perTask {
                        if isFree(task, place) { give(task, to: place) }
                    }
                }
            }
            for task in tasks {
                while (holders[task] ?? []).count < perTask, let place = leastLoaded(task) { give(task, to: place) }
            }
            var isMoved = true
            // Each move makes the sum of squared loads smaller, so this ends.
            while isMoved {
                isMoved = false
                for task in tasks {
                    let least = load.min() ?? 0
                    for from in holders[task] ?? [] where load[from] > least + 1 {
                        guard let to = leastLoaded(task, moving: from), load[to] + 1 < load[from] else { continue }
                        holders[task]?.removeAll { $0 == from }
                        load[from] -= 1
                        give(task, to: to)
                        isMoved = true
                    }
                }
            }
            for (task, places) in holders { for place in places { standby[place].append(task) } }
        }
    }
}
