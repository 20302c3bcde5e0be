import MartletCore

/// MIN and MAX of values of fixed width; nulls do not count, nothing gives null.
struct ExtremeKernel<Number: AggregateNumber>: SlotKernel {
    private var values: [Number] = []
    private var known: [Bool] = []
    private let isLargest: Bool
    private let type: SQLType

    init(_ type: SQLType, isLargest: Bool) {
        self.type = type
        self.isLargest = isLargest
    }

    func input(_ columns: [Column]) -> FixedColumn<Number> { Number.fixed(columns[0]) }

    mutating func grow(to count: Int) {
        values.lengthen(to: count, .nought)
        known.lengthen(to: count, false)
    }

    @inline(__always) private mutating func take(_ slot: Int, _ value: Number) {
        if known[slot] {
            if isLargest ? Number.precedes(values[slot], value) : Number.precedes(value, values[slot]) { values[slot] = value }
        } else {
            values[slot] = value
            known[slot] = true
        }
    }

    @inline(__always) mutating func add(_ slot: Int, _ input: FixedColumn<Number>, _ row: Int) {
        if input.validity.isValid(row) { take(slot, input.values[row]) }
    }

    mutating func merge(_ slot: Int, from other: Int) { if known[other] { take(slot, values[other]) } }

    mutating func clear(_ slot: Int) {
        values[slot] = .nought
        known[slot] = false
    }

    func output(capacity: Int) -> FixedOutput<Number> {
        let type = type
        return FixedOutput(capacity: capacity) { Column.fixed($0, type) }
    }

    @inline(__always) func append(_ slot: Int, to output: inout FixedOutput<Number>) {
        if known[slot] { output.append(values[slot]) } else { output.appendNull(.nought) }
    }

    var storedType: SQLType { type }
    func stored(_ slots: [UInt32]) -> Column {
        let known = known.at(slots)
        return .fixed(FixedColumn(values.at(slots), validity: known.contains(false) ? Validity(flags: known) : .allValid), type)
    }

    mutating func restore(_ stored: Column, into slots: [UInt32]) {
        let column = Number.fixed(stored)
        values.set(slots, to: column.values)
        for i in slots.indices { known[Int(slots[i])] = column.validity.isValid(i) }
    }
}

/// MIN and MAX of STRING (by UTF-16 code units, as in Java) and BYTES.
struct ExtremeBytesKernel: SlotKernel {
    private var values: [[UInt8]?] = []
    private let isLargest: Bool
    private let isText: Bool

    init(isText: Bool, isLargest: Bool) {
        self.isText = isText
        self.isLargest = isLargest
    }

    func input(_ columns: [Column]) -> BytesColumn { columns[0].byteStrings }

    mutating func grow(to count: Int) { values.lengthen(to: count, nil) }

    private mutating func take(_ slot: Int, _ value: ArraySlice<UInt8>) {
        if let current = values[slot] {
            let order = isText ? ComparisonKernels.compareUTF16(value, current[...]) : ComparisonKernels.compareBytes(value, current[...])
            if isLargest ? order <= 0 : order >= 0 { return }
        }
        values[slot] = Array(value)
    }

    mutating func add(_ slot: Int, _ input: BytesColumn, _ row: Int) { if input.validity.isValid(row) { take(slot, input.slice(row)) } }
    mutating func merge(_ slot: Int, from other: Int) { if let value = values[other] { take(slot, value[...]) } }
    mutating func clear(_ slot: Int) { values[slot] = nil }

    func output(capacity: Int) -> BytesOutput { BytesOutput(isText: isText) }
    func append(_ slot: Int, to output: inout BytesOutput) { output.append(values[slot]) }
    func column(_ output: BytesOutput) -> Column { output.column() }

    var storedType: SQLType { isText ? .string : .bytes }
    func stored(_ slots: [UInt32]) -> Column {
        var output = output(capacity: slots.count)
        for slot in slots { output.append(values[Int(slot)]) }
        return output.column()
    }

    mutating func restore(_ stored: Column, into slots: [UInt32]) {
        let column = stored.byteStrings
        for i in slots.indices { values[Int(slots[i])] = column.validity.isValid(i) ? Array(column.slice(i)) : nil }
    }
}

struct BytesOutput {
    private var rows = BytesColumn()
    private let isText: Bool

    init(isText: Bool) { self.isText = isText }

    mutating func append(_ value: [UInt8]?) { if let value { rows.append(value) } else { rows.appendNull() } }
    func column() -> Column { isText ? .string(rows) : .bytes(rows) }
}

final class ExtremeIntegerState: SlotAggregate {
    var kernel: ExtremeKernel<Int32>
    init(_ type: SQLType, isLargest: Bool) { kernel = ExtremeKernel(type, isLargest: isLargest) }
}
final class ExtremeBigintState: SlotAggregate {
    var kernel: ExtremeKernel<Int64>
    init(_ type: SQLType, isLargest: Bool) { kernel = ExtremeKernel(type, isLargest: isLargest) }
}
final class ExtremeDoubleState: SlotAggregate {
    var kernel: ExtremeKernel<Double>
    init(isLargest: Bool) { kernel = ExtremeKernel(.double, isLargest: isLargest) }
}
final class ExtremeDecimalState: SlotAggregate {
    var kernel: ExtremeKernel<Int128>
    init(_ type: SQLType, isLargest: Bool) { kernel = ExtremeKernel(type, isLargest: isLargest) }
}
final class ExtremeBytesState: SlotAggregate {
    var kernel: ExtremeBytesKernel
    init(isText: Bool, isLargest: Bool) { kernel = ExtremeBytesKernel(isText: isText, isLargest: isLargest) }
}
