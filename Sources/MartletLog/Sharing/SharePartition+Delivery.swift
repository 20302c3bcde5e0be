// Handing records out and taking them back: acquire, acknowledge, release, expire (KIP-932; KIP-1206: record_limit; KIP-1222: renew).

extension SharePartition {
    /// A batch of the log by its offsets.
    struct LogBatch: Sendable, Equatable {
        var first: Int64
        var last: Int64
        /// There are records in it for members: it is no marker of a transaction, not rolled back, not emptied by compaction.
        var isReadable = true
    }

    /// What a member asks for.
    struct Wish: Sendable {
        var member: String
        /// Nothing more is begun once there are so many; where it is not `isStrict`, a batch of the log is handed out whole.
        var recordsMax: Int64
        /// Of how many records one piece of the answer is, about.
        var batchSize: Int64 = 500
        var isStrict = false
        var now: Int64
        var settings: ShareGroupSettings
    }

    /// Neighbours that were handed out, for the same time each.
    struct Acquired: Sendable, Equatable {
        var first: Int64
        var last: Int64
        var deliveries: Int16

        var count: Int64 { last - first + 1 }
    }

    /// What a member says of records that it has: a type for all of them, or one for each.
    struct Acknowledgement: Sendable, Equatable {
        var first: Int64
        var last: Int64
        var types: [Int8]
    }

    enum AcknowledgeType: Int8, Sendable {
        /// There is no such record.
        case gap = 0
        case accept = 1
        case release = 2
        case reject = 3
        /// The member goes on working on it.
        case renew = 4
    }

    // MARK: out

    /// Hands out what is free in `batches`, which are all there is in the log between `offset` and the end of the last of them.
    ///
    /// Records that came back often are handed out in ever smaller pieces, and alone the last time, so that a bad one does not take its
    /// neighbours with it.
    mutating func acquire(_ batches: [LogBatch], from offset: Int64, _ wish: Wish) -> [Acquired] {
        var handed = Handed(wish: wish)
        var expected = offset, idle: Int64 = 0
        for batch in batches where batch.last >= max(offset, startOffset) {
            if handed.isFull || batch.first >= endOffset && windowCount >= wish.settings.partitionRecordLocksMax { break }
            if batch.first > expected { skip(expected, batch.first - 1) }
            expected = batch.last + 1
            let first = max(batch.first, offset, startOffset)
            guard batch.isReadable else {
                skip(first, batch.last)
                continue
            }
            let before = handed.count
            acquireAgain(first, min(batch.last, endOffset - 1), &handed)
            if !handed.isFull, batch.last >= endOffset { acquireNew(max(first, endOffset), batch.last, &handed) }
            // What others have in between is sent for nothing; a little of that is better than many small answers.
            idle = handed.count == before ? idle + batch.last - first + 1 : 0
            if before > 0, idle > before { break }
            handed.endBatch()
        }
        settle()
        return handed.pieces
    }

    /// There is nothing in the log between these offsets.
    mutating func skip(_ first: Int64, _ last: Int64) {
        let first = max(first, startOffset)
        guard first <= last else { return }
        extend(to: last, .archived)
        change(first, last) { run in
            if run.phase == .available { (run.phase, run.deliveries) = (.archived, 0) }
        }
    }

    private struct Handed {
        let wish: Wish
        var pieces: [Acquired] = []
        var count: Int64 = 0
        var isFull = false

        /// How many of `free` neighbours may be handed out that came back `deliveries` times; 0 if they have to wait.
        mutating func part(of free: Int64, deliveries: Int16) -> Int64 {
            let limit = wish.settings.deliveryCountLimit, times = Int64(deliveries)
            let careful = max(1, (limit + 1) / 2)
            var part = free
            if times >= careful {
                if count > 0 {
                    isFull = true
                    return 0
                }
                part = times >= limit - 1 ? 1 : max(1, free >> (times - careful + 1))
                isFull = true
            }
            if wish.isStrict { part = min(part, wish.recordsMax - count) }
            return part
        }

        mutating func add(_ first: Int64, _ last: Int64, _ deliveries: Int16) {
            count += last - first + 1
            if wish.isStrict, count >= wish.recordsMax { isFull = true }
            if let piece = pieces.last, piece.last + 1 == first, piece.deliveries == deliveries, piece.count < wish.batchSize {
                pieces[pieces.count - 1].last = last
            } else {
                pieces.append(Acquired(first: first, last: last, deliveries: deliveries))
            }
        }

        mutating func endBatch() { if count >= wish.recordsMax { isFull = true } }
    }

    /// Free records that were looked at before.
    private mutating func acquireAgain(_ first: Int64, _ last: Int64, _ handed: inout Handed) {
        var at = first
        while at <= last, !handed.isFull {
            let i = index(of: at)
            guard i < runs.count else { return }
            let run = runs[i], end = min(run.last, last)
            guard run.phase == .available else {
                at = end + 1
                continue
            }
            let part = handed.part(of: end - at + 1, deliveries: run.deliveries)
            guard part > 0 else { return }
            take(at, at + part - 1, run.deliveries + 1, &handed)
            at += part
        }
    }

    private mutating func acquireNew(_ first: Int64, _ last: Int64, _ handed: inout Handed) {
        let room = handed.wish.settings.partitionRecordLocksMax - windowCount
        var part = handed.part(of: last - first + 1, deliveries: 0)
        if handed.wish.isStrict { part = min(part, room) }
        guard room > 0, part > 0 else {
            handed.isFull = true
            return
        }
        // The rest of the batch comes first the next time.
        if part <= last - first { handed.isFull = true }
        extend(to: first + part - 1, .available)
        take(first, first + part - 1, 1, &handed)
    }

    private mutating func take(_ first: Int64, _ last: Int64, _ deliveries: Int16, _ handed: inout Handed) {
        let wish = handed.wish
        change(first, last) { run in
            run.phase = .acquired
            run.deliveries = deliveries
            run.owner = wish.member
            run.lockedUntil = wish.now + wish.settings.recordLockDurationMs
        }
        handed.add(first, last, deliveries)
    }

    // MARK: back

    /// Why acknowledgements cannot be meant, whatever is in hand; nil if they can.
    static func problem(in acknowledgements: [Acknowledgement], allowsRenewal: Bool) -> String? {
        var previous: Int64 = -1
        for batch in acknowledgements {
            if batch.first < 0 || batch.last < batch.first { return "offsets \(batch.first) to \(batch.last) are no range" }
            if batch.first <= previous { return "offset \(batch.first) comes after \(previous)" }
            if batch.types.isEmpty { return "offsets \(batch.first) to \(batch.last) come without a type" }
            if batch.types.count > 1, Int64(batch.types.count) - 1 != batch.last - batch.first {
                return "\(batch.types.count) types for offsets \(batch.first) to \(batch.last)"
            }
            for type in batch.types {
                guard let known = AcknowledgeType(rawValue: type), known != .renew || allowsRenewal else { return "type \(type) is not known" }
            }
            previous = batch.last
        }
        return nil
    }

    /// Takes in what `member` says of its records, all of it or nothing. Records that are gone from the log are passed over.
    ///
    /// - Returns: what has to be written down.
    /// - Throws: INVALID_RECORD_STATE if it has not got one of them, or not any more.
    mutating func acknowledge(
        _ acknowledgements: [Acknowledgement], by member: String, now: Int64, _ settings: ShareGroupSettings
    ) throws(KafkaError) -> [Change] {
        var next = self
        var changes: [Change] = []
        for batch in acknowledgements {
            var at = 0
            while at < batch.types.count {
                var end = at + 1
                while end < batch.types.count, batch.types[end] == batch.types[at] { end += 1 }
                let last = batch.types.count == 1 ? batch.last : batch.first + Int64(end) - 1
                try next.acknowledge(batch.first + Int64(at), last, AcknowledgeType(rawValue: batch.types[at]) ?? .gap, member, now, settings, &changes)
                at = end
            }
        }
        next.settle()
        self = next
        return changes
    }

    private mutating func acknowledge(
        _ first: Int64, _ last: Int64, _ type: AcknowledgeType, _ member: String, _ now: Int64, _ settings: ShareGroupSettings,
        _ changes: inout [Change]
    ) throws(KafkaError) {
        let first = max(first, startOffset)
        guard first <= last else { return }
        guard type != .renew || settings.allowsRenewal else { throw KafkaError(.invalidRecordState, "locks of this group are not renewed") }
        guard last < endOffset else { throw KafkaError(.invalidRecordState, "nobody has offset \(max(first, endOffset))") }
        for run in runs[index(of: first)...index(of: last)] where run.phase != .acquired || run.owner != member {
            throw KafkaError(.invalidRecordState, "the member has not got offset \(max(first, run.first))")
        }
        change(first, last) { run in
            switch type {
            case .renew:
                run.lockedUntil = now + settings.recordLockDurationMs
                return
            case .accept: run.end(.acknowledged)
            case .gap, .reject: run.end(.archived)
            case .release: run.giveBack(deliveriesMax: settings.deliveryCountLimit)
            }
            Self.add(Change(first: run.first, last: run.last, phase: run.phase, deliveries: run.deliveries), &changes)
        }
    }

    /// Takes back what members have had for too long; what was handed out as often as may be is archived.
    mutating func expire(now: Int64, deliveriesMax: Int64) -> [Change] {
        var changes: [Change] = []
        guard let deadline = nextDeadline, deadline <= now else { return [] }
        change(startOffset, endOffset - 1) { run in
            guard run.phase == .acquired, run.lockedUntil <= now else { return }
            run.giveBack(deliveriesMax: deliveriesMax)
            Self.add(Change(first: run.first, last: run.last, phase: run.phase, deliveries: run.deliveries), &changes)
        }
        settle()
        return changes
    }

    /// The member's session is over: what it has is free again, as if it had not been handed out this time. Nothing has to be written down.
    ///
    /// - `pieces`: only these.
    /// - Returns: whether it had any.
    mutating func release(_ member: String, only pieces: [Acquired]? = nil) -> Bool {
        var found = false
        func free(_ run: inout Run) {
            guard run.phase == .acquired, run.owner == member else { return }
            found = true
            run = Run(first: run.first, last: run.last, phase: .available, deliveries: run.deliveries - 1)
        }
        for piece in pieces ?? [Acquired(first: startOffset, last: endOffset - 1, deliveries: 0)] { change(piece.first, piece.last, free) }
        settle()
        return found
    }
}

extension SharePartition.Run {
    fileprivate mutating func end(_ phase: SharePartition.Phase) { self = .init(first: first, last: last, phase: phase) }

    fileprivate mutating func giveBack(deliveriesMax: Int64) {
        if Int64(deliveries) >= deliveriesMax { return end(.archived) }
        self = .init(first: first, last: last, phase: .available, deliveries: deliveries)
    }
}

extension ShareGroupSettings {
    var isolation: Isolation { isolationLevel == .readCommitted ? .readCommitted : .readUncommitted }
}
