import MartletCore

/// Values that slots refer to by number: whole argument columns are appended, and what no slot refers to any more is dropped now and then.
struct ValuePool {
    private(set) var column: Column
    private var limit = 1 << 14

    init(_ type: SQLType) { column = .empty(type) }

    var count: Int { column.count }

    /// Returns the number of the first row of `values`.
    mutating func append(_ values: Column) -> UInt32 {
        let base = column.count
        column.append(of: values)
        return UInt32(base)
    }

    var isDueForCompaction: Bool { column.count > limit }

    /// Keeps the values of `live`, in that order: value `live[i]` has number i from now on.
    mutating func compact(keeping live: [UInt32]) {
        column = column.detached(live)
        limit = max(1 << 14, 2 * live.count)
    }

    func values(_ numbers: [UInt32]) -> Column { column.detached(numbers) }
}

/// No value.
let noReference = UInt32.max

/// One value or null a row, as numbers.
struct ReferenceOutput {
    var references: [UInt32] = []
    var nulls = 0

    init(capacity: Int) { references.reserveCapacity(capacity) }

    @inline(__always) mutating func append(_ reference: UInt32) {
        if reference == noReference { nulls += 1 }
        references.append(reference)
    }

    func column(_ values: (([UInt32]) -> Column), type: SQLType) -> Column {
        if nulls == references.count { return .nulls(type, count: references.count) }
        if nulls == 0 { return values(references) }
        // A null is any value, marked.
        let filler = references.first { $0 != noReference } ?? 0
        var out = values(references.map { $0 == noReference ? filler : $0 })
        out.validity = out.validity.and(Validity(flags: references.map { $0 != noReference }))
        return out
    }
}

/// One list a row, as numbers.
struct ReferenceLists {
    var offsets: [Int32] = [0]
    var references: [UInt32] = []

    init(capacity: Int) { offsets.reserveCapacity(capacity + 1) }

    mutating func append(_ list: [UInt32]) {
        references.append(contentsOf: list)
        endList()
    }

    /// The references since the last list are one.
    mutating func endList() { offsets.append(Int32(references.count)) }

    func column(_ elements: Column) -> Column { .array(ListColumn(offsets: offsets, elements: elements)) }
}

/// Distinct values and their numbers: equal values have one number as long as somebody retains it.
struct ValueInterner {
    private let table: GroupTable
    private var retained: [UInt32] = []
    /// Values that perhaps nobody retains.
    private var candidates: [UInt32] = []

    init(_ type: SQLType) { table = GroupTable(types: [type]) }

    var type: SQLType { table.types[0] }

    /// A number for each row, to be retained before the next call if it is to last.
    mutating func numbers(_ values: Column) -> [UInt32] {
        if !candidates.isEmpty {
            table.remove(candidates.filter { retained[Int($0)] == 0 && table.contains($0) })
            candidates.removeAll(keepingCapacity: true)
        }
        let assigned = table.assign([values])
        retained.lengthen(to: table.slotCount, 0)
        candidates += assigned.created
        return assigned.slots
    }

    mutating func retain(_ number: UInt32) { retained[Int(number)] += 1 }

    mutating func release(_ number: UInt32) {
        retained[Int(number)] -= 1
        if retained[Int(number)] == 0 { candidates.append(number) }
    }

    func values(_ numbers: [UInt32]) -> Column { table.keys(of: numbers)[0] }
    var count: Int { table.count }
}
