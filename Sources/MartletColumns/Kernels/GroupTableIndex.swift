/// Words or byte strings to dense slots: open addressing with linear probing, at most half full.
///
/// An entry is the upper half of the hash and the slot + 1; 0 is empty. A table holds keys of one kind, words or strings, and one null.
/// The loops run over raw buffers and leave them only for a key that is new: with arrays, whose uniqueness is checked at each store, a row
/// costs about twice as much.
struct ByteKeyTable {
    private var entries = [UInt64](repeating: 0, count: 16)
    private let isOfStrings: Bool
    /// By slot: the word, or the start of the string in `arena`.
    private var keys: [UInt64] = []
    private var lengths: [UInt32] = []
    private var live: [Bool] = []
    private var free: [UInt32] = []
    private var nullSlot: UInt32?
    /// Strings of live slots and of some removed ones.
    private var arena: [UInt8] = []
    private var garbage = 0
    private(set) var liveCount = 0

    init(ofStrings: Bool) { isOfStrings = ofStrings }

    var slotCount: Int { live.count }
    var liveSlots: [UInt32] { live.indices.compactMap { live[$0] ? UInt32($0) : nil } }
    func isLive(_ slot: UInt32) -> Bool { Int(slot) < live.count && live[Int(slot)] }
    var byteCount: Int { entries.count * 8 + keys.capacity * 8 + lengths.capacity * 4 + live.capacity + free.capacity * 4 + arena.capacity }

    // MARK: words

    mutating func lookUp(_ words: [UInt64], _ valid: [Bool]?, insert: Bool, _ slots: inout [UInt32], _ created: inout [UInt32]) {
        slots = [UInt32](repeating: GroupTable.absent, count: words.count)
        var row = 0
        while row < words.count {
            row = probe(words, valid, from: row, stopping: insert, &slots)
            guard row < words.count else { break }
            if let valid, !valid[row] {
                slots[row] = nullSlot ?? insertNull(&created)
            } else {
                slots[row] = self.insert(hash: Self.hash(words[row]), key: words[row], length: 0, &created)
            }
            row += 1
        }
    }

    /// Looks up rows until one is not there and `stopping`; returns that row.
    private func probe(_ words: [UInt64], _ valid: [Bool]?, from first: Int, stopping: Bool, _ slots: inout [UInt32]) -> Int {
        let mask = entries.count - 1, null = nullSlot
        return entries.withUnsafeBufferPointer { entries in
            keys.withUnsafeBufferPointer { keys in
                words.withUnsafeBufferPointer { words in
                    slots.withUnsafeMutableBufferPointer { slots in
                        var row = first
                        while row < words.count {
                            if let valid, !valid[row] {
                                if let null { slots[row] = null } else if stopping { return row }
                                row &+= 1
                                continue
                            }
                            let word = words[row], hash = Self.hash(word)
                            var at = Int(hash) & mask
                            while true {
                                let entry = entries[at]
                                if entry == 0 {
                                    if stopping { return row }
                                    break
                                }
                                if UInt32(truncatingIfNeeded: entry >> 32) == hash {
                                    let slot = UInt32(truncatingIfNeeded: entry) &- 1
                                    if keys[Int(slot)] == word {
                                        slots[row] = slot
                                        break
                                    }
                                }
                                at = (at &+ 1) & mask
                            }
                            row &+= 1
                        }
                        return row
                    }
                }
            }
        }
    }

    // MARK: strings

    mutating func lookUp(_ column: BytesColumn, _ rows: [UInt32]?, insert: Bool, _ slots: inout [UInt32], _ created: inout [UInt32]) {
        let count = rows?.count ?? column.count
        slots = [UInt32](repeating: GroupTable.absent, count: count)
        var i = 0
        while i < count {
            i = probe(column, rows, from: i, stopping: insert, &slots)
            guard i < count else { break }
            let row = rows.map { Int($0[i]) } ?? i
            if column.validity.isValid(row) {
                let slice = column.slice(row)
                let start = UInt64(arena.count)
                arena.append(contentsOf: slice)
                let hash = slice.withUnsafeBytes { Self.hash($0.baseAddress, $0.count) }
                slots[i] = self.insert(hash: hash, key: start, length: UInt32(slice.count), &created)
            } else {
                slots[i] = nullSlot ?? insertNull(&created)
            }
            i += 1
        }
    }

    private func probe(_ column: BytesColumn, _ rows: [UInt32]?, from first: Int, stopping: Bool, _ slots: inout [UInt32]) -> Int {
        let mask = entries.count - 1, null = nullSlot, flags = column.validity.flags
        return entries.withUnsafeBufferPointer { entries in
            keys.withUnsafeBufferPointer { keys in
                lengths.withUnsafeBufferPointer { lengths in
                    arena.withUnsafeBytes { arena in
                        column.buffer.withUnsafeBytes { buffer in
                            slots.withUnsafeMutableBufferPointer { slots in
                                var i = first
                                while i < slots.count {
                                    let row = if let rows { Int(rows[i]) } else { i }
                                    if let flags, !flags[row] {
                                        if let null { slots[i] = null } else if stopping { return i }
                                        i &+= 1
                                        continue
                                    }
                                    let length = Int(column.lengths[row])
                                    let bytes = buffer.baseAddress.map { $0 + Int(column.starts[row]) }
                                    let hash = Self.hash(bytes, length)
                                    var at = Int(hash) & mask
                                    while true {
                                        let entry = entries[at]
                                        if entry == 0 {
                                            if stopping { return i }
                                            break
                                        }
                                        if UInt32(truncatingIfNeeded: entry >> 32) == hash {
                                            let slot = UInt32(truncatingIfNeeded: entry) &- 1
                                            if Int(lengths[Int(slot)]) == length,
                                                length == 0 || Self.equal(arena.baseAddress! + Int(keys[Int(slot)]), bytes!, length)
                                            {
                                                slots[i] = slot
                                                break
                                            }
                                        }
                                        at = (at &+ 1) & mask
                                    }
                                    i &+= 1
                                }
                                return i
                            }
                        }
                    }
                }
            }
        }
    }

    // MARK: changes

    private mutating func insertNull(_ created: inout [UInt32]) -> UInt32 {
        let slot = newSlot(key: 0, length: 0, &created)
        nullSlot = slot
        return slot
    }

    private mutating func newSlot(key: UInt64, length: UInt32, _ created: inout [UInt32]) -> UInt32 {
        liveCount += 1
        if let slot = free.popLast() {
            (keys[Int(slot)], lengths[Int(slot)], live[Int(slot)]) = (key, length, true)
            created.append(slot)
            return slot
        }
        let slot = UInt32(live.count)
        precondition(slot < GroupTable.absent, "a group table holds fewer than 2^32 keys")
        keys.append(key)
        lengths.append(length)
        live.append(true)
        created.append(slot)
        return slot
    }

    private mutating func insert(hash: UInt32, key: UInt64, length: UInt32, _ created: inout [UInt32]) -> UInt32 {
        if (liveCount + 1) * 2 > entries.count { resize() }
        let slot = newSlot(key: key, length: length, &created)
        place(UInt64(hash) << 32 | UInt64(slot + 1))
        return slot
    }

    private mutating func place(_ entry: UInt64) {
        let mask = entries.count - 1
        var at = Int(entry >> 32) & mask
        while entries[at] != 0 { at = (at + 1) & mask }
        entries[at] = entry
    }

    private mutating func resize() {
        let old = entries
        entries = [UInt64](repeating: 0, count: old.count * 2)
        for entry in old where entry != 0 { place(entry) }
    }

    mutating func remove(_ slot: UInt32) {
        guard isLive(slot) else { return }
        live[Int(slot)] = false
        liveCount -= 1
        free.append(slot)
        if nullSlot == slot {
            nullSlot = nil
            return
        }
        unplace(slot)
        garbage += Int(lengths[Int(slot)])
        lengths[Int(slot)] = 0
        if garbage > 4096, garbage * 2 > arena.count { compact() }
    }

    /// Empties the slot's entry and moves those behind it up that would not be found any more.
    private mutating func unplace(_ slot: UInt32) {
        let mask = entries.count - 1
        var hole = Int(hash(of: slot)) & mask
        while UInt32(truncatingIfNeeded: entries[hole]) != slot + 1 { hole = (hole + 1) & mask }
        var at = (hole + 1) & mask
        while entries[at] != 0 {
            let home = Int(entries[at] >> 32) & mask
            // May the entry stand in the hole? Yes if its home is not between the hole (exclusive) and where it stands.
            if (at - home) & mask >= (at - hole) & mask {
                entries[hole] = entries[at]
                hole = at
            }
            at = (at + 1) & mask
        }
        entries[hole] = 0
    }

    private func hash(of slot: UInt32) -> UInt32 {
        let length = Int(lengths[Int(slot)])
        if !isOfStrings { return Self.hash(keys[Int(slot)]) }
        return arena.withUnsafeBytes { Self.hash($0.baseAddress.map { $0 + Int(keys[Int(slot)]) }, length) }
    }

    private mutating func compact() {
        var fresh: [UInt8] = []
        fresh.reserveCapacity(arena.count - garbage)
        for slot in live.indices where live[slot] && lengths[slot] > 0 {
            let start = Int(keys[slot])
            keys[slot] = UInt64(fresh.count)
            fresh.append(contentsOf: arena[start..<(start + Int(lengths[slot]))])
        }
        arena = fresh
        garbage = 0
    }

    // MARK: keys back

    func words(_ slots: [UInt32]) -> [UInt64] { slots.map { keys[Int($0)] } }

    func validity(_ slots: [UInt32]) -> Validity {
        guard let null = nullSlot, slots.contains(null) else { return .allValid }
        return Validity(flags: slots.map { $0 != null })
    }

    func strings(_ slots: [UInt32]) -> BytesColumn {
        var out = BytesColumn()
        out.starts.reserveCapacity(slots.count)
        out.lengths.reserveCapacity(slots.count)
        for slot in slots {
            let start = Int(keys[Int(slot)])
            out.append(arena[start..<(start + Int(lengths[Int(slot)]))])
        }
        return out
    }

    // MARK: hashing

    @inline(__always)
    private static func hash(_ word: UInt64) -> UInt32 {
        let (high, low) = (word ^ 0x9e37_79b9_7f4a_7c15).multipliedFullWidth(by: 0xd6e8_feb8_6659_fd93)
        return UInt32(truncatingIfNeeded: (high ^ low) >> 32) ^ UInt32(truncatingIfNeeded: high ^ low)
    }

    @inline(__always)
    private static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (high, low) = (a ^ 0xa076_1d64_78bd_642f).multipliedFullWidth(by: b ^ 0xe703_7ed1_a0b4_28db)
        return high ^ low
    }

    @inline(__always)
    private static func hash(_ bytes: UnsafeRawPointer?, _ length: Int) -> UInt32 {
        var seed = UInt64(truncatingIfNeeded: length), at = 0
        if let bytes, length > 0 {
            while length &- at > 16 {
                seed = mix(bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self) ^ seed, bytes.loadUnaligned(fromByteOffset: at &+ 8, as: UInt64.self))
                at &+= 16
            }
            let (a, b) = tail(bytes + at, length &- at)
            seed = mix(a ^ seed, b)
        }
        return UInt32(truncatingIfNeeded: seed >> 32) ^ UInt32(truncatingIfNeeded: seed)
    }

    /// Up to 16 bytes as two words that differ if the bytes do.
    @inline(__always)
    private static func tail(_ bytes: UnsafeRawPointer, _ length: Int) -> (UInt64, UInt64) {
        if length >= 8 {
            return (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: length &- 8, as: UInt64.self))
        }
        if length >= 4 {
            return (
                UInt64(bytes.loadUnaligned(as: UInt32.self)), UInt64(bytes.loadUnaligned(fromByteOffset: length &- 4, as: UInt32.self))
            )
        }
        if length == 0 { return (0, 0) }
        let first = UInt64(bytes.load(as: UInt8.self)), middle = UInt64(bytes.load(fromByteOffset: length >> 1, as: UInt8.self))
        return (first << 16 | middle << 8 | UInt64(bytes.load(fromByteOffset: length &- 1, as: UInt8.self)), 0)
    }

    @inline(__always)
    private static func equal(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ length: Int) -> Bool {
        if length >= 8 {
            var at = 0
            while at &+ 8 <= length {
                if a.loadUnaligned(fromByteOffset: at, as: UInt64.self) != b.loadUnaligned(fromByteOffset: at, as: UInt64.self) { return false }
                at &+= 8
            }
            return a.loadUnaligned(fromByteOffset: length &- 8, as: UInt64.self) == b.loadUnaligned(fromByteOffset: length &- 8, as: UInt64.self)
        }
        return tail(a, length) == tail(b, length)
    }
}
