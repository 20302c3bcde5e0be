import MartletCore

/// An array argument of a call.
struct ListArgument {
    private let value: Value
    private let list: ListColumn

    init(_ value: Value) {
        guard case .array(let list) = value.column else { preconditionFailure("an array argument is an array") }
        self.value = value
        self.list = list
    }

    var elements: Column { list.elements }

    /// Places of the row's elements; nil if the array is null.
    @inline(__always) func range(_ row: Int) -> Range<Int>? {
        let i = value.index(row)
        return list.validity.isValid(i) ? list.range(i) : nil
    }
}

/// A map argument of a call.
struct MapArgument {
    private let value: Value
    let map: MapColumn

    init(_ value: Value) {
        guard case .map(let map) = value.column else { preconditionFailure("a map argument is a map") }
        self.value = value
        self.map = map
    }

    func range(_ row: Int) -> Range<Int>? {
        let i = value.index(row)
        return map.validity.isValid(i) ? map.range(i) : nil
    }
}

/// Lists under construction: each element is a row of some column.
struct ListRows {
    var offsets: [Int32] = [0]
    var rows: [UInt32] = []
    private(set) var validity = Validity.allValid

    init(capacity: Int) { offsets.reserveCapacity(capacity + 1) }

    mutating func end(isValid: Bool = true) {
        validity.append(isValid, count: offsets.count - 1)
        offsets.append(Int32(rows.count))
    }

    func array(_ elements: Column) -> Column {
        .array(ListColumn(offsets: offsets, elements: elements.gathered(rows), validity: validity))
    }
}

/// Functions on arrays: what comes out is rows of the arguments' elements, gathered at the end.
enum ListKernels {
    /// Arrays longer than this are compared by hashes of boxed values instead of each with each.
    private static let pairsMax = 64

    static func contains(_ call: inout KernelCall) -> Column {
        let list = ListArgument(call.arguments[0]), value = call.arguments[1]
        let equal = RowComparison.equality(list.elements, value.column)
        return .boolean(
            FixedColumn(
                (0..<call.count).map { row in
                    guard let range = list.range(row) else { return false }
                    let wanted = value.index(row)
                    for i in range where equal(i, wanted) { return true }
                    return false
                }))
    }

    static func remove(_ call: inout KernelCall) -> Column {
        let list = ListArgument(call.arguments[0]), value = call.arguments[1]
        let equal = RowComparison.equality(list.elements, value.column)
        var out = ListRows(capacity: call.count)
        for row in 0..<call.count {
            let range = list.range(row), unwanted = value.index(row)
            for i in range ?? 0..<0 where !equal(i, unwanted) { out.rows.append(UInt32(i)) }
            out.end(isValid: range != nil)
        }
        return out.array(list.elements)
    }

    /// The elements of both; null only if both are.
    static func concatenate(_ call: inout KernelCall) -> Column {
        let both = Pair(call)
        var out = ListRows(capacity: call.count)
        for row in 0..<call.count {
            let a = both.left.range(row), b = both.right(row)
            for i in a ?? 0..<0 { out.rows.append(UInt32(i)) }
            for i in b ?? 0..<0 { out.rows.append(UInt32(i)) }
            out.end(isValid: a != nil || b != nil)
        }
        return out.array(both.elements)
    }

    static func distinct(_ call: inout KernelCall) -> Column {
        let list = ListArgument(call.arguments[0])
        let equal = RowComparison.equality(list.elements, list.elements)
        var out = ListRows(capacity: call.count)
        for row in 0..<call.count {
            let range = list.range(row)
            appendDistinct(range ?? 0..<0, list.elements, equal, &out)
            out.end(isValid: range != nil)
        }
        return out.array(list.elements)
    }

    static func union(_ call: inout KernelCall) -> Column {
        let both = Pair(call)
        let equal = RowComparison.equality(both.elements, both.elements)
        var out = ListRows(capacity: call.count)
        for row in 0..<call.count {
            let a = both.left.range(row), b = both.right(row)
            if let a, let b { appendDistinct(Array(a) + Array(b), both.elements, equal, &out) }
            out.end(isValid: a != nil && b != nil)
        }
        return out.array(both.elements)
    }

    /// The distinct elements of the first array that are (`wanted`) or are not in the second.
    static func filter(_ call: inout KernelCall, wanted: Bool) -> Column {
        let left = ListArgument(call.arguments[0]), right = ListArgument(call.arguments[1])
        let equal = RowComparison.equality(left.elements, left.elements), across = RowComparison.equality(left.elements, right.elements)
        var out = ListRows(capacity: call.count)
        for row in 0..<call.count {
            let a = left.range(row), b = right.range(row)
            if let a, let b { appendDistinct(a.filter { i in b.contains { across(i, $0) } == wanted }, left.elements, equal, &out) }
            out.end(isValid: a != nil && b != nil)
        }
        return out.array(left.elements)
    }

    private static func appendDistinct(
        _ places: some Collection<Int>, _ elements: Column, _ equal: RowComparison.Predicate, _ out: inout ListRows
    ) {
        let start = out.rows.count
        guard places.count > pairsMax, !elements.type.containsMap else {
            next: for i in places {
                for k in start..<out.rows.count where equal(Int(out.rows[k]), i) { continue next }
                out.rows.append(UInt32(i))
            }
            return
        }
        var seen: Set<SQLValue> = []
        for i in places where seen.insert(elements.value(i)).inserted { out.rows.append(UInt32(i)) }
    }

    /// The first of the largest or of the smallest elements; nulls do not count.
    static func extreme(_ call: inout KernelCall, isLargest: Bool) -> Column {
        let list = ListArgument(call.arguments[0])
        let precedes = RowComparison.order(list.elements), validity = list.elements.validity
        let rows = (0..<call.count).map { row -> UInt32 in
            var best: Int?
            for i in list.range(row) ?? 0..<0 where validity.isValid(i) {
                // Of equal elements max takes the last and min the first, as Swift's own do: doubles of either zero tell.
                if let known = best, isLargest ? precedes(i, known) : !precedes(i, known) { continue }
                best = i
            }
            return best.map { UInt32($0) } ?? Column.noRow
        }
        return list.elements.gatheredOrNull(rows)
    }

    /// Rising or falling by row, nulls last; null where `descending` says nil.
    static func sort(_ call: inout KernelCall, descending: (Int) -> Bool?) -> Column {
        let list = ListArgument(call.arguments[0])
        let precedes = RowComparison.order(list.elements), validity = list.elements.validity
        var out = ListRows(capacity: call.count)
        for row in 0..<call.count {
            guard let range = list.range(row), let descending = descending(row) else {
                out.end(isValid: false)
                continue
            }
            let present = range.filter { validity.isValid($0) }.sorted { descending ? precedes($1, $0) : precedes($0, $1) }
            for i in present { out.rows.append(UInt32(i)) }
            for i in range where !validity.isValid(i) { out.rows.append(UInt32(i)) }
            out.end()
        }
        return out.array(list.elements)
    }

    /// SLICE: positions from 1, both included; a null bound is the end on its side.
    static func slice(_ call: inout KernelCall) -> Column {
        let list = ListArgument(call.arguments[0])
        let from = ArgumentColumn<Int32?>(call.arguments[1]), to = ArgumentColumn<Int32?>(call.arguments[2])
        var out = ListRows(capacity: call.count)
        for row in 0..<call.count {
            guard let range = list.range(row) else {
                out.end(isValid: false)
                continue
            }
            let first = (from[row] ?? nil).map { Int($0) - 1 } ?? 0, end = (to[row] ?? nil).map { Int($0) } ?? range.count
            // As a Java list's part: bounds outside it are no part of it.
            let isInside = first >= 0 && first <= end && end <= range.count
            if isInside { for i in first..<end { out.rows.append(UInt32(range.lowerBound + i)) } }
            out.end(isValid: isInside)
        }
        return out.array(list.elements)
    }

    /// At most this many elements in one GENERATE_SERIES: a mistyped bound must not exhaust memory.
    private static let seriesCountMax: Int64 = 10_000_000

    /// GENERATE_SERIES(start, end[, step]) of INT or BIGINT.
    static func series(_ call: inout KernelCall) -> Column {
        func numbers(_ value: Value) -> (Int) -> Int64? {
            switch value.column {
            case .integer(let c): { c[value.index($0)].map { Int64($0) } }
            case .bigint(let c): { c[value.index($0)] }
            default: preconditionFailure("GENERATE_SERIES of whole numbers")
            }
        }
        let starts = numbers(call.arguments[0]), ends = numbers(call.arguments[1])
        let steps = call.arguments.count > 2 ? ArgumentColumn<Int32>(call.arguments[2]) : nil
        var out: [Int64] = [], offsets: [Int32] = [0], validity = Validity.allValid
        for row in 0..<call.count {
            var isValid = false
            if let start = starts(row), let end = ends(row), let step = steps.map({ $0[row].map { Int64($0) } }) ?? (start <= end ? 1 : -1) {
                let (distance, isOver) = end.subtractingReportingOverflow(start)
                if step == 0 {
                    call.fail(row, KernelFailure("GENERATE_SERIES step cannot be zero"))
                } else if (step > 0) != (start <= end), start != end {
                    call.fail(row, KernelFailure("GENERATE_SERIES step has wrong sign"))
                } else if isOver || distance / step >= seriesCountMax {
                    call.fail(row, KernelFailure("GENERATE_SERIES makes at most \(seriesCountMax) elements"))
                } else {
                    isValid = true
                    for i in 0...(distance / step) { out.append(start &+ i &* step) }
                }
            }
            validity.append(isValid, count: row)
            offsets.append(Int32(out.count))
        }
        let elements: Column = call.type == .array(.integer) ? .integer(FixedColumn(out.map { Int32(truncatingIfNeeded: $0) })) : .bigint(FixedColumn(out))
        return .array(ListColumn(offsets: offsets, elements: elements, validity: validity))
    }

    // MARK: maps

    /// ENTRIES: structs of K and V, in order of the keys if wanted.
    static func entries(_ call: inout KernelCall) -> Column {
        let maps = MapArgument(call.arguments[0]), sorted = ArgumentColumn<Bool>(call.arguments[1])
        let precedes = RowComparison.order(maps.map.keys)
        var out = ListRows(capacity: call.count)
        for row in 0..<call.count {
            guard let range = maps.range(row), let isSorted = sorted[row] else {
                out.end(isValid: false)
                continue
            }
            for i in isSorted ? range.sorted(by: precedes) : Array(range) { out.rows.append(UInt32(i)) }
            out.end()
        }
        let structs = StructColumn(names: ["K", "V"], fields: [maps.map.keys.gathered(out.rows), maps.map.values.gathered(out.rows)], count: out.rows.count)
        return .array(ListColumn(offsets: out.offsets, elements: .structure(structs), validity: out.validity))
    }

    /// AS_MAP: of two entries with one key the later value counts, at the earlier place.
    static func map(_ call: inout KernelCall) -> Column {
        let keys = ListArgument(call.arguments[0]), values = ListArgument(call.arguments[1])
        let equal = RowComparison.equality(keys.elements, keys.elements)
        var names = ListRows(capacity: call.count), rows: [UInt32] = []
        for row in 0..<call.count {
            guard let k = keys.range(row), let v = values.range(row) else {
                names.end(isValid: false)
                continue
            }
            for (i, key) in k.enumerated() { put(key, i < v.count ? UInt32(v.lowerBound + i) : Column.noRow, equal, &names, &rows) }
            names.end()
        }
        return .map(
            MapColumn(
                offsets: names.offsets, keys: keys.elements.gathered(names.rows), values: values.elements.gatheredOrNull(rows),
                validity: names.validity))
    }

    /// MAP_UNION: null only if both are.
    static func mapUnion(_ call: inout KernelCall) -> Column {
        let left = MapArgument(call.arguments[0]), right = MapArgument(call.arguments[1])
        guard case .map(let keyType, let valueType) = call.type else { preconditionFailure("MAP_UNION makes a map") }
        let keys = Column.concatenated([left.map.keys, right.map.keys], type: keyType)
        let values = Column.concatenated([left.map.values, right.map.values], type: valueType)
        let equal = RowComparison.equality(keys, keys), base = left.map.keys.count
        var names = ListRows(capacity: call.count), rows: [UInt32] = []
        for row in 0..<call.count {
            let a = left.range(row), b = right.range(row)
            for i in a ?? 0..<0 {
                names.rows.append(UInt32(i))
                rows.append(UInt32(i))
            }
            for i in b ?? 0..<0 {
                if a == nil {
                    names.rows.append(UInt32(base + i))
                    rows.append(UInt32(base + i))
                } else {
                    put(base + i, UInt32(base + i), equal, &names, &rows)
                }
            }
            names.end(isValid: a != nil || b != nil)
        }
        return .map(MapColumn(offsets: names.offsets, keys: keys.gathered(names.rows), values: values.gathered(rows), validity: names.validity))
    }

    private static func put(_ key: Int, _ value: UInt32, _ equal: RowComparison.Predicate, _ names: inout ListRows, _ values: inout [UInt32]) {
        for i in Int(names.offsets[names.offsets.count - 1])..<names.rows.count where equal(Int(names.rows[i]), key) {
            values[i] = value
            return
        }
        names.rows.append(UInt32(key))
        values.append(value)
    }

    /// Two arrays whose elements lie in one column.
    private struct Pair {
        let left: ListArgument
        let elements: Column
        private let second: ListArgument
        private let base: Int

        init(_ call: KernelCall) {
            guard case .array(let element) = call.type else { preconditionFailure("the function makes an array") }
            left = ListArgument(call.arguments[0])
            second = ListArgument(call.arguments[1])
            base = left.elements.count
            elements = Column.concatenated([left.elements, second.elements], type: element)
        }

        func right(_ row: Int) -> Range<Int>? { second.range(row).map { ($0.lowerBound + base)..<($0.upperBound + base) } }
    }

    // MARK: text

    /// SPLIT of STRING or BYTES: the parts are slices of the buffer that is there.
    static func split(_ call: inout KernelCall, isText: Bool) -> Column {
        let text = ArgumentColumn<Bytes>(call.arguments[0]), delimiter = ArgumentColumn<Bytes>(call.arguments[1])
        var parts = call.arguments[0].column.byteStrings
        (parts.starts, parts.lengths, parts.validity) = ([], [], .allValid)
        var out = ListRows(capacity: call.count)
        func add(_ from: Int, _ to: Int) {
            parts.starts.append(UInt32(from))
            parts.lengths.append(UInt32(to - from))
        }
        for row in 0..<call.count {
            guard let whole = text[row]?.bytes, let delimiter = delimiter[row]?.bytes else {
                out.end(isValid: false)
                continue
            }
            var at = whole.startIndex
            if delimiter.isEmpty, !whole.isEmpty {
                for i in (at + 1)...whole.endIndex where i == whole.endIndex || !isText || whole[i] & 0xc0 != 0x80 {
                    add(at, i)
                    at = i
                }
            } else {
                var i = at
                while !delimiter.isEmpty, i + delimiter.count <= whole.endIndex {
                    if whole[i] == delimiter[delimiter.startIndex], whole[i..<(i + delimiter.count)] == delimiter {
                        add(at, i)
                        i += delimiter.count
                        at = i
                    } else {
                        i += 1
                    }
                }
                add(at, whole.endIndex)
            }
            for part in out.rows.count..<parts.starts.count { out.rows.append(UInt32(part)) }
            out.end()
        }
        return .array(ListColumn(offsets: out.offsets, elements: isText ? .string(parts) : .bytes(parts), validity: out.validity))
    }
}
