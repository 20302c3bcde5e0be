import MartletColumns
import MartletCore
import MartletSQL

/// The states of an aggregation's calls and the timestamps of its groups, by slot.
struct AggregateColumns {
    private let calls: [AggregateCall]
    private let states: [any AggregateState]
    /// The largest timestamp that went into each slot.
    private(set) var timestamps: [Int64] = []
    /// How many columns further than a call's arguments those of the old row are.
    private let removedDistance: Int

    init(_ description: PhysicalOperator.Aggregate, inputWidth: Int, functions: FunctionRegistry, properties: [String: String]) throws(MartletError) {
        calls = description.calls
        var states: [any AggregateState] = []
        for call in description.calls { states.append(try functions.aggregate(call, properties: properties)) }
        self.states = states
        // keys, ADDED, REMOVED, the new row's arguments, the old row's
        removedDistance = description.undoes ? (inputWidth - description.keyCount - 2) / 2 : 0
    }

    mutating func grow(to count: Int) {
        if count <= timestamps.count { return }
        timestamps += [Int64](repeating: .min, count: count - timestamps.count)
        for state in states { state.grow(to: count) }
    }

    /// Applies steps whose rows are those of `batch`.
    mutating func apply(_ steps: AggregateSteps, _ batch: Batch) throws(MartletError) {
        noteTimes(steps, batch) { _, _ in }
        for (call, state) in zip(calls, states) {
            let (arguments, removed) = arguments(of: call, batch)
            try state.apply(steps, arguments: arguments, removed: removed)
        }
    }

    /// The same; gives one column a call and the slot's timestamp, a row a step.
    mutating func applyEmitting(_ steps: AggregateSteps, _ batch: Batch) throws(MartletError) -> (columns: [Column], timestamps: [Int64]) {
        var times = [Int64](repeating: 0, count: steps.count)
        noteTimes(steps, batch) { times[$0] = $1 }
        var columns: [Column] = []
        for (call, state) in zip(calls, states) {
            let (arguments, removed) = arguments(of: call, batch)
            columns.append(try state.applyEmitting(steps, arguments: arguments, removed: removed))
        }
        return (columns, times)
    }

    private func arguments(of call: AggregateCall, _ batch: Batch) -> ([Column], [Column]?) {
        let arguments = call.arguments.map { batch.columns[$0] }
        return (arguments, removedDistance > 0 ? call.arguments.map { batch.columns[$0 + removedDistance] } : nil)
    }

    private mutating func noteTimes(_ steps: AggregateSteps, _ batch: Batch, _ seen: (Int, Int64) -> Void) {
        for i in 0..<steps.count {
            let slot = Int(steps.slots[i])
            switch steps.kinds?[i] ?? .add {
            case .add, .remove: timestamps[slot] = max(timestamps[slot], batch.timestamps[Int(steps.rows[i])])
            case .merge:
                timestamps[slot] = max(timestamps[slot], timestamps[Int(steps.rows[i])])
                timestamps[Int(steps.rows[i])] = .min
            case .clear: timestamps[slot] = .min
            }
            seen(i, timestamps[slot])
        }
    }

    /// Makes the slots those of empty groups.
    mutating func clear(_ slots: [UInt32]) throws(MartletError) {
        if slots.isEmpty { return }
        let steps = AggregateSteps(
            kinds: [AggregateSteps.Kind](repeating: .clear, count: slots.count), slots: slots, rows: [UInt32](repeating: 0, count: slots.count))
        for slot in slots { timestamps[Int(slot)] = .min }
        for (call, state) in zip(calls, states) { try state.apply(steps, arguments: call.argumentTypes.map { .nulls($0, count: 1) }, removed: nil) }
    }

    func results(_ slots: [UInt32]) -> [Column] { states.map { $0.results(slots) } }
    func timestamps(_ slots: [UInt32]) -> [Int64] { slots.map { timestamps[Int($0)] } }

    // MARK: the changelog

    /// What has to be kept of each slot, as bytes.
    func encoded(_ slots: [UInt32]) -> BytesColumn {
        KeyEncoding.encode([.bigint(FixedColumn(timestamps(slots)))] + states.map { $0.stored(slots) })
    }

    /// Slot `slots[i]` becomes what value i says.
    mutating func restore(_ values: BytesColumn, into slots: [UInt32]) throws(MartletError) {
        guard let decoded = KeyEncoding.decode(values, types: [.bigint] + states.map(\.storedType)), case .bigint(let times) = decoded.columns[0] else {
            throw MartletError(.corruptRecord, "a value of the state is not what this query keeps")
        }
        for (i, slot) in slots.enumerated() { timestamps[Int(slot)] = times.values[i] }
        for (k, state) in states.enumerated() { state.restore(decoded.columns[k + 1], into: slots) }
    }
}

/// The largest timestamp that an operator has seen, as a record of its changelog.
struct StreamTime {
    private(set) var ms: Int64 = .min
    private var isChanged = false
    /// No key of a store is like it: they begin with 0 or 1.
    static let key: [UInt8] = [0xff]

    @inline(__always)
    mutating func advance(to time: Int64) {
        if time <= ms { return }
        ms = time
        isChanged = true
    }

    mutating func takeChange(_ out: inout StateChanges) {
        if !isChanged { return }
        isChanged = false
        out.append(timestamp: max(ms, 0), key: Self.key, value: withUnsafeBytes(of: ms.bigEndian) { Array($0) })
    }

    mutating func restore(_ value: ArraySlice<UInt8>) {
        ms = max(ms, value.reduce(Int64(0)) { $0 << 8 | Int64($1) })
    }
}

/// Records of a changelog, cut into what a store takes back: of each key the last. The bytes stay those of the block.
struct RestoredChanges {
    let keys: BytesColumn
    let values: BytesColumn
    let removed: BytesColumn
    private(set) var streamTime: ArraySlice<UInt8>?

    init(_ block: RecordBlock) {
        var keys = BytesColumn(buffer: block.buffer), values = keys, removed = keys
        for row in block.lastRows {
            let isTime = block.keyLengths[row] == 1 && block.buffer[Int(block.keyStarts[row])] == StreamTime.key[0]
            if isTime {
                streamTime = block.value(row)
            } else if block.valueLengths[row] >= 0 {
                keys.starts.append(block.keyStarts[row])
                keys.lengths.append(UInt32(block.keyLengths[row]))
                values.starts.append(block.valueStarts[row])
                values.lengths.append(UInt32(block.valueLengths[row]))
            } else {
                removed.starts.append(block.keyStarts[row])
                removed.lengths.append(UInt32(block.keyLengths[row]))
            }
        }
        (self.keys, self.values, self.removed) = (keys, values, removed)
    }
}

extension RecordBlock {
    /// The last row of each key, in the order of the keys' first rows; rows without a key are none.
    var lastRows: [Int] {
        if count == 0 { return [] }
        let keys = BytesColumn(buffer: buffer, starts: keyStarts, lengths: keyLengths.map { UInt32(max($0, 0)) })
        let slots = GroupTable(types: [.bytes]).assign([.bytes(keys)]).slots
        var last: [Int] = []
        for row in 0..<count {
            let slot = Int(slots[row]), isKey = keyLengths[row] >= 0
            if slot == last.count { last.append(isKey ? row : -1) } else if isKey { last[slot] = row }
        }
        return last.contains(-1) ? last.filter { $0 >= 0 } : last
    }
}
