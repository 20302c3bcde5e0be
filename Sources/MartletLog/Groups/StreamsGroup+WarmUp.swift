// A task whose state is large should not stand still while another member reads that state from its changelog. It stays with who has it, and who is
// to have it warms up a copy first; when that has caught up, the task moves (KIP-1071, "Warm-up tasks", after KIP-441).
//
// Only members that say how far their copies are can do so. The clients of Kafka 4.2 do not: to them tasks move at once.
extension StreamsGroup {
    /// `goal` with tasks left where they are as long as who should have them has not caught up.
    func warmingUp(_ goal: [String: Tasks]) -> [String: Tasks] {
        var plan = goal
        guard members.values.contains(where: { $0.offsets != nil }), let layout else { return plan }
        var heirs: [StreamsTask: String] = [:]
        for (id, tasks) in goal { for task in tasks.active { heirs[task] = id } }
        var goes: [(task: StreamsTask, from: Member, to: Member)] = []
        for (task, isStateful) in layout.allTasks where isStateful {
            guard let from = owners[task].flatMap({ members[$0] }), from.assigned.active.contains(task), !from.isAway, !isStale(from) else { continue }
            guard let to = heirs[task].flatMap({ members[$0] }) else { continue }
            guard to.id != from.id, to.processID != from.processID, to.offsets != nil, !hasCaughtUp(to.processID, task) else { continue }
            goes.append((task, from, to))
        }
        // Who is at it already goes on.
        goes.sort { ($0.to.assigned.copies.contains($0.task) ? 0 : 1, $0.task) < ($1.to.assigned.copies.contains($1.task) ? 0 : 1, $1.task) }
        for (place, (task, from, to)) in goes.enumerated() {
            plan[to.id]?.active.remove(task)
            if place < settings.warmupReplicas { plan[to.id]?.warmup.insert(task) }
            for other in members.values where other.processID == from.processID { plan[other.id]?.standby.remove(task) }
            plan[from.id, default: Tasks()].active.insert(task)
        }
        return plan
    }

    /// Whether this member's last words show that a task can move to it.
    func isPromotionDue(by member: Member) -> Bool {
        guard member.offsets != nil, epoch == assignmentEpoch else { return false }
        return target[member.id]?.warmup.contains { hasCaughtUp(member.processID, $0) } ?? false
    }

    /// Whether the process has a copy of the task's state that lags no more than is acceptable.
    private func hasCaughtUp(_ processID: String, _ task: StreamsTask) -> Bool {
        let lengths = members.values.compactMap { $0.endOffsets[task] }
        guard let length = lengths.max() else { return false }
        return members.values.contains { member in
            guard member.processID == processID, let offset = member.offsets?[task] else { return false }
            return length - offset <= Int64(settings.acceptableRecoveryLag)
        }
    }
}
