import MartletCore

/// FILTER, TRANSFORM and REDUCE. A lambda's body runs once over the elements of *all* rows (REDUCE: once for each position), not once an
/// element. A row in whose elements the body fails is null.
extension FunctionTable {
    static func lambdas(_ t: inout FunctionTable) {
        t.function("FILTER", .lambda, "The elements of an array, or the entries of a map, for which a condition holds.")
        t.columns("(ARRAY<T> array, λ(T) => BOOLEAN condition) -> ARRAY<T>") { filter(&$0) }
        t.columns("(MAP<K, V> map, λ(K, V) => BOOLEAN condition) -> MAP<K, V>") { filter(&$0) }
        t.function("TRANSFORM", .lambda, "An array with each element, or a map with each key and value, replaced by what a lambda gives for it.")
        t.columns("(ARRAY<T> array, λ(T) => R element) -> ARRAY<R>") { transform(&$0) }
        t.columns("(MAP<K, V> map, λ(K, V) => R key, λ(K, V) => S value) -> MAP<R, S>") { transform(&$0) }
        t.function("REDUCE", .lambda, "Combines the elements of an array, or the entries of a map, one after another with a state. A NULL collection leaves the state as it is.")
        t.columns("(ARRAY<T> array, S state, λ(S, T) => S combine) -> S") { reduce(&$0) }
        t.columns("(MAP<K, V> map, S state, λ(S, K, V) => S combine) -> S") { reduce(&$0) }
    }

    /// A collection argument as its parts: one column for an array, keys and values for a map.
    private struct Collection {
        let offsets: [Int32]
        let parts: [Column]
        let validity: Validity
        /// For each element the row it belongs to.
        let owners: [UInt32]

        init(_ value: Value, count: Int) {
            switch value.expanded(count).column {
            case .array(let list): (offsets, parts, validity) = (list.offsets, [list.elements], list.validity)
            case .map(let map): (offsets, parts, validity) = (map.offsets, [map.keys, map.values], map.validity)
            default: preconditionFailure("a lambda function works on an array or a map")
            }
            var owners: [UInt32] = []
            for row in 0..<count { for _ in offsets[row]..<offsets[row + 1] { owners.append(UInt32(row)) } }
            self.owners = owners
        }
    }

    /// Reports what failed in a lambda's body under the rows that own the elements; returns the rows that become null.
    private static func failed(_ value: Value, _ owners: [UInt32], _ call: inout KernelCall) -> Set<Int> {
        guard let failures = value.failures else { return [] }
        var rows: Set<Int> = []
        for i in failures.rows.indices {
            let row = Int(owners[Int(failures.rows[i])])
            call.fail(row, KernelFailure(failures.reasons[i]))
            if failures.fatal[i] { rows.insert(row) }
        }
        return rows
    }

    private static func scope(_ call: KernelCall) -> LambdaScope {
        guard let scope = call.lambdas else { preconditionFailure("a lambda function is called by a program") }
        return scope
    }

    private static func nulled(_ validity: Validity, _ rows: Set<Int>, _ count: Int) -> Validity {
        var out = validity
        for row in rows { out.setNull(row, count: count) }
        return out
    }

    private static func filter(_ call: inout KernelCall) -> Column {
        let all = Collection(call.arguments[0], count: call.count)
        let condition = scope(call).apply(1, all.parts, rows: all.owners)
        let bad = failed(condition, all.owners, &call)
        let truth = LogicKernels.truth(condition.column)
        var kept: [UInt32] = [], offsets: [Int32] = [0]
        for row in 0..<call.count {
            if !bad.contains(row) { for i in all.offsets[row]..<all.offsets[row + 1] where truth[Int(i)] { kept.append(UInt32(i)) } }
            offsets.append(Int32(kept.count))
        }
        let validity = nulled(all.validity, bad, call.count)
        let parts = all.parts.map { $0.gathered(kept) }
        return parts.count == 1
            ? .array(ListColumn(offsets: offsets, elements: parts[0], validity: validity))
            : .map(MapColumn(offsets: offsets, keys: parts[0], values: parts[1], validity: validity))
    }

    private static func transform(_ call: inout KernelCall) -> Column {
        let all = Collection(call.arguments[0], count: call.count)
        let first = scope(call).apply(1, all.parts, rows: all.owners)
        var bad = failed(first, all.owners, &call)
        if all.parts.count == 1 {
            return emptied(.array(ListColumn(offsets: all.offsets, elements: first.column, validity: all.validity)), bad, call.count)
        }
        let second = scope(call).apply(2, all.parts, rows: all.owners)
        bad.formUnion(failed(second, all.owners, &call))
        let equal = RowComparison.equality(first.column, first.column)
        for row in 0..<call.count where bad.isEmpty || !bad.contains(row) {
            if hasTwice(Int(all.offsets[row])..<Int(all.offsets[row + 1]), first.column, equal) {
                call.fail(row, KernelFailure("TRANSFORM makes two entries with one key"))
                bad.insert(row)
            }
        }
        return emptied(
            .map(MapColumn(offsets: all.offsets, keys: first.column, values: second.column, validity: all.validity)), bad, call.count)
    }

    /// Whether two rows of a range are equal.
    private static func hasTwice(_ range: Range<Int>, _ keys: Column, _ equal: RowComparison.Predicate) -> Bool {
        if range.count > 64 {
            var seen: Set<SQLValue> = []
            return range.contains { !seen.insert(keys.value($0)).inserted }
        }
        for i in range { for j in range.lowerBound..<i where equal(i, j) { return true } }
        return false
    }

    /// A null row has no elements.
    private static func emptied(_ column: Column, _ rows: Set<Int>, _ count: Int) -> Column {
        if rows.isEmpty { return column }
        var builder = ColumnBuilder(column.type)
        for row in 0..<count { builder.append(rows.contains(row) ? .null : column.value(row)) }
        return builder.column
    }

    private static func reduce(_ call: inout KernelCall) -> Column {
        let all = Collection(call.arguments[0], count: call.count)
        var state = call.arguments[1].expanded(call.count).column
        // ksqlDB does not start from a null state: the result is null.
        var active = [UInt32](0..<UInt32(call.count)).filter { state.validity.isValid(Int($0)) }
        var bad: Set<Int> = [], step: Int32 = 0
        while true {
            active = active.filter { all.offsets[Int($0)] + step < all.offsets[Int($0) + 1] && !bad.contains(Int($0)) }
            if active.isEmpty { break }
            let positions = active.map { UInt32(all.offsets[Int($0)] + step) }
            let next = scope(call).apply(2, [state.gathered(active)] + all.parts.map { $0.gathered(positions) }, rows: active)
            bad.formUnion(failed(next, active, &call))
            var source = [UInt32](0..<UInt32(call.count))
            for (i, row) in active.enumerated() { source[Int(row)] = UInt32(call.count + i) }
            state = Column.concatenated([state, next.column], type: call.type).gathered(source)
            step += 1
        }
        for row in bad { state.validity.setNull(row, count: call.count) }
        return state
    }
}
