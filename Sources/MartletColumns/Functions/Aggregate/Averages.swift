import MartletCore

/// AVG: the sum, wrapping at the width of the argument (32 bits for INT), by the count; nulls do not count, nothing averages 0.
struct AverageKernel<Number: AggregateNumber>: SlotKernel {
    private var sums: [Number] = []
    private var counts: [Int64] = []
    private let type: SQLType

    init(_ type: SQLType) { self.type = type }

    func input(_ columns: [Column]) -> FixedColumn<Number> { Number.fixed(columns[0]) }

    mutating func grow(to count: Int) {
        sums.lengthen(to: count, .nought)
        counts.lengthen(to: count, 0)
    }

    @inline(__always) mutating func add(_ slot: Int, _ input: FixedColumn<Number>, _ row: Int) {
        guard input.validity.isValid(row) else { return }
        sums[slot] = .sum(sums[slot], input.values[row])
        counts[slot] &+= 1
    }

    @inline(__always) mutating func remove(_ slot: Int, _ input: FixedColumn<Number>, _ row: Int) {
        guard input.validity.isValid(row) else { return }
        sums[slot] = .difference(sums[slot], input.values[row])
        counts[slot] &-= 1
    }

    mutating func merge(_ slot: Int, from other: Int) {
        sums[slot] = .sum(sums[slot], sums[other])
        counts[slot] &+= counts[other]
    }

    mutating func clear(_ slot: Int) {
        sums[slot] = .nought
        counts[slot] = 0
    }

    func output(capacity: Int) -> FixedOutput<Double> { FixedOutput(capacity: capacity) { .double($0) } }
    @inline(__always) func append(_ slot: Int, to output: inout FixedOutput<Double>) {
        output.append(counts[slot] == 0 ? 0 : sums[slot].asDouble / Double(counts[slot]))
    }

    var storedType: SQLType { .structure([Field("SUM", type), Field("COUNT", .bigint)]) }
    func stored(_ slots: [UInt32]) -> Column {
        .record([("SUM", .fixed(FixedColumn(sums.at(slots)), type)), ("COUNT", .bigint(FixedColumn(counts.at(slots))))])
    }

    mutating func restore(_ stored: Column, into slots: [UInt32]) {
        let fields = stored.structure.fields
        sums.set(slots, to: Number.fixed(fields[0]).values)
        counts.set(slots, to: fields[1].integers64.values)
    }
}

final class AverageIntegerState: SlotAggregate { var kernel = AverageKernel<Int32>(.integer) }
final class AverageBigintState: SlotAggregate { var kernel = AverageKernel<Int64>(.bigint) }
final class AverageDoubleState: SlotAggregate { var kernel = AverageKernel<Double>(.double) }
