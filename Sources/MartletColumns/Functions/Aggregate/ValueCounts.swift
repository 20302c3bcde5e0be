import MartletCore

/// How often each value occurs in a slot: what HISTOGRAM shows and ATTR decides by.
struct ValueCounts {
    private(set) var values: ValueInterner
    private var numbers: [UInt32] = []
    private var removals: [UInt32] = []
    /// Values of a slot in order of first arrival.
    private(set) var lists: [[UInt32]] = []
    /// slot << 32 | number
    private var counts: [UInt64: Int64] = [:]
    /// Distinct values a slot takes.
    let limit: Int
    private let countsNulls: Bool

    init(_ type: SQLType, limit: Int, countsNulls: Bool) {
        values = ValueInterner(type)
        self.limit = limit
        self.countsNulls = countsNulls
    }

    mutating func begin(_ columns: [Column], removed: [Column]?) {
        guard let removed else {
            numbers = values.numbers(columns[0])
            return
        }
        // In one go: a second call might drop what the first one found.
        let both = values.numbers(columns[0].concatenated(with: removed[0]))
        numbers = Array(both.prefix(columns[0].count))
        removals = Array(both.dropFirst(columns[0].count))
    }

    mutating func grow(to count: Int) { lists.lengthen(to: count, []) }

    private func key(_ slot: Int, _ number: UInt32) -> UInt64 { UInt64(slot) << 32 | UInt64(number) }

    private mutating func take(_ slot: Int, _ number: UInt32, _ count: Int64) {
        let key = key(slot, number)
        if let old = counts[key] {
            counts[key] = old &+ count
        } else if lists[slot].count < limit {
            counts[key] = count
            lists[slot].append(number)
            values.retain(number)
        }
    }

    mutating func add(_ slot: Int, _ validity: Validity, _ row: Int) {
        if countsNulls || validity.isValid(row) { take(slot, numbers[row], 1) }
    }

    mutating func remove(_ slot: Int, _ validity: Validity, _ row: Int) {
        guard countsNulls || validity.isValid(row) else { return }
        let number = removals[row], key = key(slot, removals[row])
        guard let count = counts[key] else { return }
        if count > 1 {
            counts[key] = count - 1
        } else {
            counts[key] = nil
            lists[slot].removeAll { $0 == number }
            values.release(number)
        }
    }

    mutating func merge(_ slot: Int, from other: Int) {
        for number in lists[other] { take(slot, number, counts[key(other, number)] ?? 0) }
    }

    mutating func clear(_ slot: Int) {
        for number in lists[slot] {
            counts[key(slot, number)] = nil
            values.release(number)
        }
        lists[slot] = []
    }

    func count(_ slot: Int, _ number: UInt32) -> Int64 { counts[key(slot, number)] ?? 0 }

    var storedType: SQLType { .array(.structure([Field("VAL", values.type), Field("N", .bigint)])) }

    func stored(_ slots: [UInt32]) -> Column {
        var output = ReferenceLists(capacity: slots.count), counts: [Int64] = []
        for slot in slots {
            output.append(lists[Int(slot)])
            counts += lists[Int(slot)].map { count(Int(slot), $0) }
        }
        return output.column(
            .structure(
                StructColumn(
                    names: ["VAL", "N"], fields: [values.values(output.references), .bigint(FixedColumn(counts))], count: counts.count)))
    }

    mutating func restore(_ stored: Column, into slots: [UInt32]) {
        for slot in slots { clear(Int(slot)) }
        let list = stored.list
        let fields = list.elements.structure.fields
        let numbers = values.numbers(fields[0]), counts = fields[1].integers64.values
        for i in slots.indices { for k in list.range(i) { take(Int(slots[i]), numbers[k], counts[k]) } }
    }
}

/// HISTOGRAM: a map of values to how often they occur, of at most 1000 values; nulls do not count.
struct HistogramKernel: SlotKernel {
    static let valuesMax = 1000
    private var counts = ValueCounts(.string, limit: HistogramKernel.valuesMax, countsNulls: false)

    struct Output {
        var keys: ReferenceLists
        var counts: [Int64] = []
    }

    func input(_ columns: [Column]) -> Validity { columns[0].validity }
    mutating func begin(_ columns: [Column], removed: [Column]?) { counts.begin(columns, removed: removed) }
    mutating func grow(to count: Int) { counts.grow(to: count) }
    mutating func add(_ slot: Int, _ input: Validity, _ row: Int) { counts.add(slot, input, row) }
    mutating func remove(_ slot: Int, _ input: Validity, _ row: Int) { counts.remove(slot, input, row) }
    mutating func merge(_ slot: Int, from other: Int) { counts.merge(slot, from: other) }
    mutating func clear(_ slot: Int) { counts.clear(slot) }

    func output(capacity: Int) -> Output { Output(keys: ReferenceLists(capacity: capacity)) }
    func append(_ slot: Int, to output: inout Output) {
        output.keys.append(counts.lists[slot])
        for number in counts.lists[slot] { output.counts.append(counts.count(slot, number)) }
    }

    func column(_ output: Output) -> Column {
        .map(
            MapColumn(
                offsets: output.keys.offsets, keys: counts.values.values(output.keys.references), values: .bigint(FixedColumn(output.counts))))
    }

    var storedType: SQLType { counts.storedType }
    func stored(_ slots: [UInt32]) -> Column { counts.stored(slots) }
    mutating func restore(_ stored: Column, into slots: [UInt32]) { counts.restore(stored, into: slots) }
}

/// ATTR: the value that all rows have, null being one; null if there are several or none.
struct AttributeKernel: SlotKernel {
    private var counts: ValueCounts

    init(_ type: SQLType) { counts = ValueCounts(type, limit: .max, countsNulls: true) }

    func input(_ columns: [Column]) -> Validity { columns[0].validity }
    mutating func begin(_ columns: [Column], removed: [Column]?) { counts.begin(columns, removed: removed) }
    mutating func grow(to count: Int) { counts.grow(to: count) }
    mutating func add(_ slot: Int, _ input: Validity, _ row: Int) { counts.add(slot, input, row) }
    mutating func remove(_ slot: Int, _ input: Validity, _ row: Int) { counts.remove(slot, input, row) }
    mutating func merge(_ slot: Int, from other: Int) { counts.merge(slot, from: other) }
    mutating func clear(_ slot: Int) { counts.clear(slot) }

    func output(capacity: Int) -> ReferenceOutput { ReferenceOutput(capacity: capacity) }
    func append(_ slot: Int, to output: inout ReferenceOutput) {
        output.append(counts.lists[slot].count == 1 ? counts.lists[slot][0] : noReference)
    }
    func column(_ output: ReferenceOutput) -> Column { output.column(counts.values.values, type: counts.values.type) }

    var storedType: SQLType { counts.storedType }
    func stored(_ slots: [UInt32]) -> Column { counts.stored(slots) }
    mutating func restore(_ stored: Column, into slots: [UInt32]) { counts.restore(stored, into: slots) }
}

final class HistogramState: SlotAggregate { var kernel = HistogramKernel() }
final class AttributeState: SlotAggregate {
    var kernel: AttributeKernel
    init(_ type: SQLType) { kernel = AttributeKernel(type) }
}
