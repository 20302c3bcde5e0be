/// What a share group has done with the records of one partition (KIP-932): which are free, which a member has in hand and until when, which are
/// done with, and how often each was handed out.
///
/// No clock, no disk: times come in, and what has to outlive a crash comes out as `Change`s. Records are kept as runs of neighbours that are in the
/// same state, from `startOffset`, before which everything is done with, to `endOffset`, from which on nothing was looked at yet:
///
/// ```
///   done with │ acquired by a │ acknowledged │ available │ acquired by b │ not looked at
///             └ startOffset                                              └ endOffset
/// ```
///
/// The runs cover that window without holes and without overlaps; neighbours differ; the first run is not done with.
struct SharePartition: Sendable, Equatable {
    /// Raw values as KIP-932 keeps them.
    enum Phase: UInt8, Sendable {
        case available = 0
        case acquired = 1
        case acknowledged = 2
        case archived = 4

        /// It will not be handed out any more.
        var isOver: Bool { self == .acknowledged || self == .archived }
    }

    struct Run: Sendable, Equatable {
        var first: Int64
        var last: Int64
        var phase: Phase
        /// How often it was handed out, the present time included; 0 once that does not matter any more.
        var deliveries: Int16 = 0
        /// Who has it, "" if nobody.
        var owner = ""
        /// Milliseconds of the clock that comes in; 0 if nobody has it.
        var lockedUntil: Int64 = 0

        var count: Int64 { last - first + 1 }

        func continues(_ previous: Run) -> Bool {
            phase == previous.phase && deliveries == previous.deliveries && lockedUntil == previous.lockedUntil && owner == previous.owner
        }
    }

    /// What has to be written down: records that are free again or done with.
    struct Change: Sendable, Equatable {
        var first: Int64
        var last: Int64
        var phase: Phase
        var deliveries: Int16
    }

    private(set) var startOffset: Int64
    private(set) var runs: [Run] = []

    init(startOffset: Int64) { self.startOffset = startOffset }

    var endOffset: Int64 { runs.last.map { $0.last + 1 } ?? startOffset }

    /// Offsets in the window.
    var windowCount: Int64 { endOffset - startOffset }

    /// Offsets from `startOffset` on that are done with.
    var doneCount: Int64 { runs.reduce(0) { $0 + ($1.phase.isOver ? $1.count : 0) } }

    /// When the first member has had a record for too long; nil if nobody has any.
    var nextDeadline: Int64? {
        var deadline: Int64?
        for run in runs where run.phase == .acquired { deadline = min(deadline ?? .max, run.lockedUntil) }
        return deadline
    }

    /// Where to read on: the first record that is free, or the first that was not looked at. Nil if there is none below `end`, or as many
    /// are under way as may be.
    func nextOffset(below end: Int64, recordLocksMax: Int64) -> Int64? {
        if let free = runs.first(where: { $0.phase == .available }) { return free.first < end ? free.first : nil }
        return endOffset < end && windowCount < recordLocksMax ? endOffset : nil
    }

    // MARK: records come and go

    /// Records before `offset` are gone from the log: nobody gets them again, and nobody is asked about them.
    mutating func moveStart(to offset: Int64) {
        guard offset > startOffset else { return }
        let i = split(at: offset)
        runs.removeSubrange(..<i)
        startOffset = offset
        settle()
    }

    /// The log ends at `offset`: what was there is gone, e.g. with the power, and other records will come.
    mutating func cut(at offset: Int64) {
        if offset < startOffset {
            (startOffset, runs) = (offset, [])
        } else if offset < endOffset {
            runs.removeSubrange(split(at: offset)...)
            settle()
        }
    }

    // MARK: runs

    /// The first run that ends at or after `offset`; `runs.count` if there is none.
    func index(of offset: Int64) -> Int {
        var low = 0, high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].last < offset { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Sees to it that no run lies on both sides of `offset`; returns the first one behind it.
    private mutating func split(at offset: Int64) -> Int {
        let i = index(of: offset)
        guard i < runs.count, runs[i].first < offset else { return i }
        var tail = runs[i]
        tail.first = offset
        runs[i].last = offset - 1
        runs.insert(tail, at: i + 1)
        return i + 1
    }

    /// Changes what lies between two offsets of the window, both included. `settle` has to follow.
    mutating func change(_ first: Int64, _ last: Int64, _ body: (inout Run) -> Void) {
        let low = split(at: first), high = split(at: last + 1)
        for i in low..<high { body(&runs[i]) }
    }

    /// Adds what follows the window. `settle` has to follow.
    mutating func extend(to last: Int64, _ phase: Phase) {
        guard last >= endOffset else { return }
        runs.append(Run(first: endOffset, last: last, phase: phase))
    }

    /// Makes runs as few as they can be, and the window begin with what is not done with.
    mutating func settle() {
        var kept = 0
        var begun = false
        for i in runs.indices {
            let run = runs[i]
            if !begun {
                if run.phase.isOver {
                    startOffset = run.last + 1
                    continue
                }
                begun = true
            }
            if kept > 0, run.continues(runs[kept - 1]) {
                runs[kept - 1].last = run.last
            } else {
                runs[kept] = run
                kept += 1
            }
        }
        runs.removeSubrange(kept...)
    }

    // MARK: what is kept on disk

    /// Everything that has to outlive a crash. What members have in hand is free again after it, handed out once less.
    var changes: [Change] {
        var all: [Change] = []
        for run in runs {
            let deliveries = run.phase == .acquired ? run.deliveries - 1 : run.deliveries
            Self.add(Change(first: run.first, last: run.last, phase: run.phase == .acquired ? .available : run.phase, deliveries: deliveries), &all)
        }
        // What follows is as if it had not been looked at.
        if let last = all.last, last.phase == .available, last.deliveries == 0 { all.removeLast() }
        return all
    }

    static func add(_ change: Change, _ all: inout [Change]) {
        if let last = all.last, last.last + 1 == change.first, last.phase == change.phase, last.deliveries == change.deliveries {
            all[all.count - 1].last = change.last
        } else {
            all.append(change)
        }
    }

    /// Takes in what was written down, in the order in which it was.
    mutating func restore(startOffset start: Int64, _ changes: [Change]) {
        moveStart(to: start)
        for change in changes where change.last >= startOffset && change.first <= change.last {
            let first = max(change.first, startOffset)
            extend(to: first - 1, .available)
            extend(to: change.last, .available)
            self.change(first, change.last) { run in
                run.phase = change.phase == .acquired ? .available : change.phase
                run.deliveries = change.phase.isOver ? 0 : change.deliveries
            }
            settle()
        }
    }
}
