import MartletCore

/// LATEST_BY_OFFSET and EARLIEST_BY_OFFSET of one value. Each taken value has a number in the order of arrival, so that sessions that are
/// merged know whose is later.
struct OffsetKernel: SlotKernel {
    private var pool: ValuePool
    private var base: UInt32 = 0
    private var references: [UInt32] = []
    private var sequence: [Int64] = []
    private var next: Int64 = 0
    private let type: SQLType
    private let isLatest: Bool, ignoresNulls: Bool

    init(_ type: SQLType, isLatest: Bool, ignoresNulls: Bool) {
        self.type = type
        self.isLatest = isLatest
        self.ignoresNulls = ignoresNulls
        pool = ValuePool(type)
    }

    func input(_ columns: [Column]) -> Validity { columns[0].validity }

    mutating func begin(_ columns: [Column], removed: [Column]?) {
        if pool.isDueForCompaction {
            let live = references.filter { $0 != noReference }
            pool.compact(keeping: live)
            var i: UInt32 = 0
            for slot in references.indices where references[slot] != noReference {
                references[slot] = i
                i += 1
            }
        }
        base = pool.append(columns[0])
    }

    mutating func grow(to count: Int) {
        references.lengthen(to: count, noReference)
        sequence.lengthen(to: count, 0)
    }

    @inline(__always) mutating func add(_ slot: Int, _ input: Validity, _ row: Int) {
        if ignoresNulls, !input.isValid(row) { return }
        if isLatest || references[slot] == noReference {
            references[slot] = base &+ UInt32(row)
            sequence[slot] = next
        }
        next &+= 1
    }

    mutating func merge(_ slot: Int, from other: Int) {
        guard references[other] != noReference else { return }
        if references[slot] == noReference || (sequence[other] > sequence[slot]) == isLatest {
            references[slot] = references[other]
            sequence[slot] = sequence[other]
        }
    }

    mutating func clear(_ slot: Int) { references[slot] = noReference }

    func output(capacity: Int) -> ReferenceOutput { ReferenceOutput(capacity: capacity) }
    @inline(__always) func append(_ slot: Int, to output: inout ReferenceOutput) { output.append(references[slot]) }
    func column(_ output: ReferenceOutput) -> Column { output.column(pool.values, type: type) }

    var storedType: SQLType { .structure([Field("SEQ", .bigint), Field("VAL", type)]) }

    func stored(_ slots: [UInt32]) -> Column {
        var output = output(capacity: slots.count)
        for slot in slots { append(Int(slot), to: &output) }
        let known = output.references.map { $0 != noReference }
        let fields = [Column.bigint(FixedColumn(sequence.at(slots), validity: Validity(flags: known))), column(output)]
        return .structure(StructColumn(names: ["SEQ", "VAL"], fields: fields, count: slots.count, validity: Validity(flags: known)))
    }

    mutating func restore(_ stored: Column, into slots: [UInt32]) {
        let structs = stored.structure
        let numbers = structs.fields[0].integers64.values, base = pool.append(structs.fields[1])
        for i in slots.indices {
            let slot = Int(slots[i])
            guard structs.validity.isValid(i) else {
                references[slot] = noReference
                continue
            }
            references[slot] = base + UInt32(i)
            sequence[slot] = numbers[i]
            next = max(next, numbers[i] + 1)
        }
    }
}

/// LATEST_BY_OFFSET and EARLIEST_BY_OFFSET of n values, in the order of their arrival.
struct OffsetsKernel: SlotKernel {
    private struct Entry {
        var sequence: Int64
        var reference: UInt32
    }

    private var pool: ValuePool
    private var base: UInt32 = 0
    private var lists: [[Entry]] = []
    private var next: Int64 = 0
    private let type: SQLType
    private let isLatest: Bool, ignoresNulls: Bool
    private let limit: Int

    init(_ type: SQLType, isLatest: Bool, limit: Int, ignoresNulls: Bool) {
        self.type = type
        self.isLatest = isLatest
        self.limit = limit
        self.ignoresNulls = ignoresNulls
        pool = ValuePool(type)
    }

    func input(_ columns: [Column]) -> Validity { columns[0].validity }

    mutating func begin(_ columns: [Column], removed: [Column]?) {
        if pool.isDueForCompaction {
            pool.compact(keeping: lists.flatMap { $0.map(\.reference) })
            var i: UInt32 = 0
            for slot in lists.indices {
                for k in lists[slot].indices {
                    lists[slot][k].reference = i
                    i += 1
                }
            }
        }
        base = pool.append(columns[0])
    }

    mutating func grow(to count: Int) { lists.lengthen(to: count, []) }

    mutating func add(_ slot: Int, _ input: Validity, _ row: Int) {
        if ignoresNulls, !input.isValid(row) { return }
        let isFull = lists[slot].count >= limit
        if !isFull || isLatest {
            if isFull { lists[slot].removeFirst() }
            lists[slot].append(Entry(sequence: next, reference: base &+ UInt32(row)))
        }
        next &+= 1
    }

    mutating func merge(_ slot: Int, from other: Int) {
        let all = (lists[slot] + lists[other]).sorted { $0.sequence < $1.sequence }
        lists[slot] = Array(isLatest ? all.suffix(limit) : all.prefix(limit))
    }

    mutating func clear(_ slot: Int) { lists[slot] = [] }

    func output(capacity: Int) -> ReferenceLists { ReferenceLists(capacity: capacity) }
    func append(_ slot: Int, to output: inout ReferenceLists) {
        for entry in lists[slot] { output.references.append(entry.reference) }
        output.endList()
    }
    func column(_ output: ReferenceLists) -> Column { output.column(pool.values(output.references)) }

    var storedType: SQLType { .array(.structure([Field("SEQ", .bigint), Field("VAL", type)])) }

    func stored(_ slots: [UInt32]) -> Column {
        var output = output(capacity: slots.count), sequence: [Int64] = []
        for slot in slots {
            append(Int(slot), to: &output)
            sequence += lists[Int(slot)].map(\.sequence)
        }
        let values = pool.values(output.references)
        let elements = StructColumn(names: ["SEQ", "VAL"], fields: [.bigint(FixedColumn(sequence)), values], count: sequence.count)
        return output.column(.structure(elements))
    }

    mutating func restore(_ stored: Column, into slots: [UInt32]) {
        let list = stored.list
        let structs = list.elements.structure
        let numbers = structs.fields[0].integers64.values, base = pool.append(structs.fields[1])
        for i in slots.indices {
            lists[Int(slots[i])] = list.range(i).map { Entry(sequence: numbers[$0], reference: base + UInt32($0)) }
        }
        if let last = numbers.max() { next = max(next, last + 1) }
    }
}

final class OffsetState: SlotAggregate {
    var kernel: OffsetKernel
    init(_ type: SQLType, isLatest: Bool, ignoresNulls: Bool) {
        kernel = OffsetKernel(type, isLatest: isLatest, ignoresNulls: ignoresNulls)
    }
}

final class OffsetsState: SlotAggregate {
    var kernel: OffsetsKernel
    init(_ type: SQLType, isLatest: Bool, limit: Int, ignoresNulls: Bool) {
        kernel = OffsetsKernel(type, isLatest: isLatest, limit: limit, ignoresNulls: ignoresNulls)
    }
}
