import MartletColumns

/// Chooses what leaves memory: entries are looked at in a circle, and those that were used since the last time round are spared once.
struct EvictionClock {
    private var isUsed: [Bool] = []
    private var hand = 0

    mutating func use(_ slots: [UInt32]) {
        guard let last = slots.max() else { return }
        if Int(last) >= isUsed.count { isUsed += [Bool](repeating: false, count: Int(last) + 1 - isUsed.count) }
        for slot in slots { isUsed[Int(slot)] = true }
    }

    /// Up to `wanted` of the slots below `slotCount` that `mayGo`, each once; fewer if there are not as many.
    mutating func victims(_ wanted: Int, among slotCount: Int, _ mayGo: (UInt32) -> Bool) -> [UInt32] {
        victims(wanted, among: slotCount, weight: { mayGo($0) ? 1 : 0 })
    }

    /// Slots below `slotCount`, each once, until they weigh at least `wanted` together; fewer if there are not as many.
    ///
    /// - `weight`: 0 for one that may not go.
    mutating func victims(_ wanted: Int, among slotCount: Int, weight: (UInt32) -> Int) -> [UInt32] {
        var out: [UInt32] = [], sum = 0
        if wanted <= 0 || slotCount == 0 { return out }
        if isUsed.count < slotCount { isUsed += [Bool](repeating: false, count: slotCount - isUsed.count) }
        var isChosen = [Bool](repeating: false, count: slotCount)
        for _ in 0..<2 * slotCount where sum < wanted {
            hand = hand + 1 < slotCount ? hand + 1 : 0
            if isChosen[hand] { continue }
            let own = weight(UInt32(hand))
            if own == 0 { continue }
            if isUsed[hand] {
                isUsed[hand] = false
            } else {
                isChosen[hand] = true
                out.append(UInt32(hand))
                sum += own
            }
        }
        return out
    }
}

/// The average length of the values that a store has written or read lately, to tell what an entry takes in memory.
struct AverageBytes {
    private var bytes = 0
    private var count = 0

    mutating func note(_ values: BytesColumn) {
        if values.count == 0 { return }
        // What came before weighs no more than what comes.
        if count > values.count { (bytes, count) = (bytes * values.count / count, values.count) }
        bytes += values.lengths.reduce(0) { $0 + Int($1) }
        count += values.count
    }

    /// Nil: nothing was seen yet.
    var average: Int? { count == 0 ? nil : bytes / count }
}
