import MartletCore

/// What TOPK sorts by: a value of a column in an order of its own.
protocol TopKey {
    associatedtype Keys
    static func keys(_ column: Column) -> Keys
    static func key(_ keys: Keys, _ row: Int) -> Self
    static func precedes(_ a: Self, _ b: Self) -> Bool
    /// The same key without the batch that it is a slice of.
    var detached: Self { get }
}

extension TopKey {
    var detached: Self { self }
}

/// Numbers and times of up to 8 bytes.
extension UInt64: TopKey {
    static func keys(_ column: Column) -> [UInt64] {
        switch column {
        case .integer(let c), .date(let c), .time(let c): c.values.map { UInt64(bitPattern: Int64($0)) ^ 1 << 63 }
        case .bigint(let c), .timestamp(let c): c.values.map { UInt64(bitPattern: $0) ^ 1 << 63 }
        default: column.doubles.values.map(KeyEncoding.ordered)
        }
    }

    @inline(__always) static func key(_ keys: [UInt64], _ row: Int) -> UInt64 { keys[row] }
    @inline(__always) static func precedes(_ a: UInt64, _ b: UInt64) -> Bool { a < b }
}

extension Int128: TopKey {
    static func keys(_ column: Column) -> [Int128] { column.decimals.values }
    static func key(_ keys: [Int128], _ row: Int) -> Int128 { keys[row] }
}

/// A STRING, in the order of UTF-16 code units.
struct TopText: TopKey {
    var bytes: ArraySlice<UInt8>
    static func keys(_ column: Column) -> BytesColumn { column.byteStrings }
    var detached: TopText { TopText(bytes: Array(bytes)[...]) }
    static func key(_ keys: BytesColumn, _ row: Int) -> TopText { TopText(bytes: keys.slice(row)) }
    static func precedes(_ a: TopText, _ b: TopText) -> Bool { ComparisonKernels.compareUTF16(a.bytes, b.bytes) < 0 }
}

struct TopBytes: TopKey {
    var bytes: ArraySlice<UInt8>
    static func keys(_ column: Column) -> BytesColumn { column.byteStrings }
    var detached: TopBytes { TopBytes(bytes: Array(bytes)[...]) }
    static func key(_ keys: BytesColumn, _ row: Int) -> TopBytes { TopBytes(bytes: keys.slice(row)) }
    static func precedes(_ a: TopBytes, _ b: TopBytes) -> Bool { ComparisonKernels.compareBytes(a.bytes, b.bytes) < 0 }
}

/// TOPK and TOPKDISTINCT: the k largest values that are not null, descending, equal ones in order of arrival; with further columns, structs.
struct TopKernel<Key: TopKey>: SlotKernel {
    private struct Entry {
        var key: Key
        var reference: UInt32
    }

    /// One a column: what is sorted by, then the others.
    private var pools: [ValuePool]
    private var base: UInt32 = 0
    private var lists: [[Entry]] = []
    private let limit: Int
    private let isDistinct: Bool
    private let element: SQLType

    /// `element`: of the result's array; a struct if there are several columns.
    init(_ types: [SQLType], element: SQLType, limit: Int, isDistinct: Bool) {
        pools = types.map { ValuePool($0) }
        self.element = element
        self.limit = limit
        self.isDistinct = isDistinct
    }

    struct Input {
        var keys: Key.Keys
        var validity: Validity
    }

    func input(_ columns: [Column]) -> Input { Input(keys: Key.keys(columns[0]), validity: columns[0].validity) }

    mutating func begin(_ columns: [Column], removed: [Column]?) {
        if pools[0].isDueForCompaction {
            let live = lists.flatMap { $0.map(\.reference) }
            for i in pools.indices { pools[i].compact(keeping: live) }
            var i: UInt32 = 0
            for slot in lists.indices {
                for k in lists[slot].indices {
                    lists[slot][k].reference = i
                    i += 1
                }
            }
        }
        base = append(columns)
    }

    private mutating func append(_ columns: [Column]) -> UInt32 {
        var base: UInt32 = 0
        for i in pools.indices { base = pools[i].append(columns[i]) }
        return base
    }

    mutating func grow(to count: Int) { lists.lengthen(to: count, []) }

    @inline(__always) private mutating func take(_ slot: Int, _ entry: Entry) {
        let count = lists[slot].count
        if count >= limit {
            // Full: only what is larger than the last displaces it.
            guard let last = lists[slot].last, Key.precedes(last.key, entry.key) else { return }
        }
        var at = count
        while at > 0, Key.precedes(lists[slot][at - 1].key, entry.key) { at -= 1 }
        if isDistinct, at > 0, !Key.precedes(entry.key, lists[slot][at - 1].key) { return }
        if count >= limit { lists[slot].removeLast() }
        lists[slot].insert(Entry(key: entry.key.detached, reference: entry.reference), at: at)
    }

    @inline(__always) mutating func add(_ slot: Int, _ input: Input, _ row: Int) {
        if input.validity.isValid(row) { take(slot, Entry(key: Key.key(input.keys, row), reference: base &+ UInt32(row))) }
    }

    mutating func merge(_ slot: Int, from other: Int) { for entry in lists[other] { take(slot, entry) } }
    mutating func clear(_ slot: Int) { lists[slot] = [] }

    func output(capacity: Int) -> ReferenceLists { ReferenceLists(capacity: capacity) }
    func append(_ slot: Int, to output: inout ReferenceLists) {
        for entry in lists[slot] { output.references.append(entry.reference) }
        output.endList()
    }

    func column(_ output: ReferenceLists) -> Column {
        let columns = pools.map { $0.values(output.references) }
        guard case .structure(let fields) = element else { return output.column(columns[0]) }
        return output.column(.structure(StructColumn(names: fields.map(\.name), fields: columns, count: output.references.count)))
    }

    var storedType: SQLType { .array(element) }
    func stored(_ slots: [UInt32]) -> Column {
        var output = output(capacity: slots.count)
        for slot in slots { append(Int(slot), to: &output) }
        return column(output)
    }

    mutating func restore(_ stored: Column, into slots: [UInt32]) {
        let list = stored.list
        let columns = if case .structure(let c) = list.elements { c.fields } else { [list.elements] }
        let keys = Key.keys(columns[0]), base = append(columns)
        for i in slots.indices {
            lists[Int(slots[i])] = list.range(i).map { Entry(key: Key.key(keys, $0).detached, reference: base + UInt32($0)) }
        }
    }
}

final class TopNumberState: SlotAggregate {
    var kernel: TopKernel<UInt64>
    init(_ types: [SQLType], element: SQLType, limit: Int, isDistinct: Bool) {
        kernel = TopKernel(types, element: element, limit: limit, isDistinct: isDistinct)
    }
}
final class TopDecimalState: SlotAggregate {
    var kernel: TopKernel<Int128>
    init(_ types: [SQLType], element: SQLType, limit: Int, isDistinct: Bool) {
        kernel = TopKernel(types, element: element, limit: limit, isDistinct: isDistinct)
    }
}
final class TopTextState: SlotAggregate {
    var kernel: TopKernel<TopText>
    init(_ types: [SQLType], element: SQLType, limit: Int, isDistinct: Bool) {
        kernel = TopKernel(types, element: element, limit: limit, isDistinct: isDistinct)
    }
}
final class TopBytesState: SlotAggregate {
    var kernel: TopKernel<TopBytes>
    init(_ types: [SQLType], element: SQLType, limit: Int, isDistinct: Bool) {
        kernel = TopKernel(types, element: element, limit: limit, isDistinct: isDistinct)
    }
}
