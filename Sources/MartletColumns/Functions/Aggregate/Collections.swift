import MartletCore

/// COLLECT_LIST: all values in order of arrival, nulls too, up to a limit; taking a row back takes the last value equal to its.
struct CollectListKernel: SlotKernel {
    private var pool: ValuePool
    private var base: UInt32 = 0
    private var lists: [[UInt32]] = []
    /// `KeyEncoding` of the pool's first values: made when a row is taken back for the first time.
    private var encoded = BytesColumn()
    private var encodedRemovals = BytesColumn()
    private let limit: Int

    init(_ type: SQLType, limit: Int) {
        pool = ValuePool(type)
        self.limit = limit
    }

    func input(_ columns: [Column]) {}

    mutating func begin(_ columns: [Column], removed: [Column]?) {
        if pool.isDueForCompaction {
            let live = lists.flatMap { $0 }
            pool.compact(keeping: live)
            encoded = BytesColumn()
            var i: UInt32 = 0
            for slot in lists.indices {
                let count = UInt32(lists[slot].count)
                lists[slot] = Array(i..<(i + count))
                i += count
            }
        }
        base = pool.append(columns[0])
        if let removed {
            let known = UInt32(encoded.count)
            encoded.append(KeyEncoding.encode([pool.column], rows: Array(known..<UInt32(pool.count))), rows: nil)
            encodedRemovals = KeyEncoding.encode(removed)
        }
    }

    mutating func grow(to count: Int) { lists.lengthen(to: count, []) }

    mutating func add(_ slot: Int, _ input: Void, _ row: Int) {
        if lists[slot].count < limit { lists[slot].append(base &+ UInt32(row)) }
    }

    mutating func remove(_ slot: Int, _ input: Void, _ row: Int) {
        let wanted = encodedRemovals.slice(row)
        if let i = lists[slot].lastIndex(where: { encoded.slice(Int($0)) == wanted }) { lists[slot].remove(at: i) }
    }

    mutating func merge(_ slot: Int, from other: Int) { lists[slot] += lists[other].prefix(max(0, limit - lists[slot].count)) }
    mutating func clear(_ slot: Int) { lists[slot] = [] }

    func output(capacity: Int) -> ReferenceLists { ReferenceLists(capacity: capacity) }
    func append(_ slot: Int, to output: inout ReferenceLists) { output.append(lists[slot]) }
    func column(_ output: ReferenceLists) -> Column { output.column(pool.values(output.references)) }

    var storedType: SQLType { .array(pool.column.type) }
    func stored(_ slots: [UInt32]) -> Column {
        var output = output(capacity: slots.count)
        for slot in slots { append(Int(slot), to: &output) }
        return column(output)
    }

    mutating func restore(_ stored: Column, into slots: [UInt32]) {
        let list = stored.list, base = pool.append(stored.list.elements)
        for i in slots.indices { lists[Int(slots[i])] = list.range(i).map { base + UInt32($0) } }
    }
}

/// COLLECT_SET: the distinct values in order of first arrival, null among them, up to a limit.
struct CollectSetKernel: SlotKernel {
    private var values: ValueInterner
    private var numbers: [UInt32] = []
    private var lists: [[UInt32]] = []
    /// slot << 32 | number
    private var members: Set<UInt64> = []
    private let limit: Int

    init(_ type: SQLType, limit: Int) {
        values = ValueInterner(type)
        self.limit = limit
    }

    func input(_ columns: [Column]) {}
    mutating func begin(_ columns: [Column], removed: [Column]?) { numbers = values.numbers(columns[0]) }
    mutating func grow(to count: Int) { lists.lengthen(to: count, []) }

    private mutating func take(_ slot: Int, _ number: UInt32) {
        if lists[slot].count >= limit || !members.insert(UInt64(slot) << 32 | UInt64(number)).inserted { return }
        lists[slot].append(number)
        values.retain(number)
    }

    mutating func add(_ slot: Int, _ input: Void, _ row: Int) { take(slot, numbers[row]) }
    mutating func merge(_ slot: Int, from other: Int) { for number in lists[other] { take(slot, number) } }

    mutating func clear(_ slot: Int) {
        for number in lists[slot] {
            members.remove(UInt64(slot) << 32 | UInt64(number))
            values.release(number)
        }
        lists[slot] = []
    }

    func output(capacity: Int) -> ReferenceLists { ReferenceLists(capacity: capacity) }
    func append(_ slot: Int, to output: inout ReferenceLists) { output.append(lists[slot]) }
    func column(_ output: ReferenceLists) -> Column { output.column(values.values(output.references)) }

    var storedType: SQLType { .array(values.type) }
    func stored(_ slots: [UInt32]) -> Column {
        var output = output(capacity: slots.count)
        for slot in slots { append(Int(slot), to: &output) }
        return column(output)
    }

    mutating func restore(_ stored: Column, into slots: [UInt32]) {
        for slot in slots { clear(Int(slot)) }
        let list = stored.list
        let numbers = values.numbers(list.elements)
        for i in slots.indices { for k in list.range(i) { take(Int(slots[i]), numbers[k]) } }
    }
}

final class CollectListState: SlotAggregate {
    var kernel: CollectListKernel
    init(_ type: SQLType, limit: Int) { kernel = CollectListKernel(type, limit: limit) }
}

final class CollectSetState: SlotAggregate {
    var kernel: CollectSetKernel
    init(_ type: SQLType, limit: Int) { kernel = CollectSetKernel(type, limit: limit) }
}
