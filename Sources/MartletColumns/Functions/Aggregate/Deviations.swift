import MartletCore

/// STDDEV_SAMP (which gives the sample variance) and STDDEV_SAMPLE (its root), by the updating formula of Youngs and Cramer: with n values of
/// sum S so far, a value x adds (n·x − S)² / (n·(n − 1)) to the sum of squared deviations. Fewer than two values deviate by 0.
struct DeviationKernel<Number: AggregateNumber>: SlotKernel {
    private var counts: [Int64] = []
    private var sums: [Double] = []
    private var squares: [Double] = []
    private let isRoot: Bool

    init(isRoot: Bool) { self.isRoot = isRoot }

    func input(_ columns: [Column]) -> FixedColumn<Number> { Number.fixed(columns[0]) }

    mutating func grow(to count: Int) {
        counts.lengthen(to: count, 0)
        sums.lengthen(to: count, 0)
        squares.lengthen(to: count, 0)
    }

    /// What a value contributes to the squared deviations of `count` values with `sum`, it included.
    @inline(__always) private func part(_ x: Double, _ count: Int64, _ sum: Double) -> Double {
        let n = Double(count), d = n * x - sum
        return d * d / (n * (n - 1))
    }

    @inline(__always) mutating func add(_ slot: Int, _ input: FixedColumn<Number>, _ row: Int) {
        guard input.validity.isValid(row) else { return }
        let x = input.values[row].asDouble
        counts[slot] += 1
        sums[slot] += x
        if counts[slot] > 1 { squares[slot] += part(x, counts[slot], sums[slot]) }
    }

    mutating func remove(_ slot: Int, _ input: FixedColumn<Number>, _ row: Int) {
        guard input.validity.isValid(row) else { return }
        let x = input.values[row].asDouble
        if counts[slot] > 1 { squares[slot] -= part(x, counts[slot], sums[slot]) }
        counts[slot] -= 1
        sums[slot] -= x
    }

    mutating func merge(_ slot: Int, from other: Int) {
        if counts[other] == 0 { return }
        if counts[slot] > 0 {
            let m = Double(counts[slot]), n = Double(counts[other])
            let d = sums[slot] / m - sums[other] / n
            squares[slot] += d * d * m * n / (m + n)
        }
        counts[slot] += counts[other]
        sums[slot] += sums[other]
        squares[slot] += squares[other]
    }

    mutating func clear(_ slot: Int) { (counts[slot], sums[slot], squares[slot]) = (0, 0, 0) }

    func output(capacity: Int) -> FixedOutput<Double> { FixedOutput(capacity: capacity) { .double($0) } }
    @inline(__always) func append(_ slot: Int, to output: inout FixedOutput<Double>) {
        let variance = counts[slot] > 1 ? squares[slot] / Double(counts[slot] - 1) : 0
        output.append(isRoot ? variance.squareRoot() : variance)
    }

    var storedType: SQLType { .structure([Field("COUNT", .bigint), Field("SUM", .double), Field("M2", .double)]) }
    func stored(_ slots: [UInt32]) -> Column {
        .record([
            ("COUNT", .bigint(FixedColumn(counts.at(slots)))), ("SUM", .double(FixedColumn(sums.at(slots)))),
            ("M2", .double(FixedColumn(squares.at(slots)))),
        ])
    }

    mutating func restore(_ stored: Column, into slots: [UInt32]) {
        let fields = stored.structure.fields
        counts.set(slots, to: fields[0].integers64.values)
        sums.set(slots, to: fields[1].doubles.values)
        squares.set(slots, to: fields[2].doubles.values)
    }
}

/// CORRELATION: Pearson's coefficient of the rows in which neither value is null; NaN if either does not vary.
struct CorrelationKernel<Number: AggregateNumber>: SlotKernel {
    private struct Moments {
        var count: Int64 = 0
        var x = 0.0, y = 0.0, xx = 0.0, yy = 0.0, xy = 0.0
    }

    private var moments: [Moments] = []

    struct Input {
        var x: FixedColumn<Number>
        var y: FixedColumn<Number>
    }

    func input(_ columns: [Column]) -> Input { Input(x: Number.fixed(columns[0]), y: Number.fixed(columns[1])) }
    mutating func grow(to count: Int) { moments.lengthen(to: count, Moments()) }

    @inline(__always) private mutating func take(_ slot: Int, _ input: Input, _ row: Int, _ sign: Double) {
        guard input.x.validity.isValid(row), input.y.validity.isValid(row) else { return }
        let x = input.x.values[row].asDouble, y = input.y.values[row].asDouble
        moments[slot].count += sign > 0 ? 1 : -1
        moments[slot].x += sign * x
        moments[slot].y += sign * y
        moments[slot].xx += sign * (x * x)
        moments[slot].yy += sign * (y * y)
        moments[slot].xy += sign * (x * y)
    }

    mutating func add(_ slot: Int, _ input: Input, _ row: Int) { take(slot, input, row, 1) }
    mutating func remove(_ slot: Int, _ input: Input, _ row: Int) { take(slot, input, row, -1) }

    mutating func merge(_ slot: Int, from other: Int) {
        moments[slot].count += moments[other].count
        moments[slot].x += moments[other].x
        moments[slot].y += moments[other].y
        moments[slot].xx += moments[other].xx
        moments[slot].yy += moments[other].yy
        moments[slot].xy += moments[other].xy
    }

    mutating func clear(_ slot: Int) { moments[slot] = Moments() }

    func output(capacity: Int) -> FixedOutput<Double> { FixedOutput(capacity: capacity) { .double($0) } }
    func append(_ slot: Int, to output: inout FixedOutput<Double>) {
        let m = moments[slot], n = Double(m.count)
        output.append((n * m.xy - m.x * m.y) / ((n * m.xx - m.x * m.x) * (n * m.yy - m.y * m.y)).squareRoot())
    }

    private static var names: [String] { ["COUNT", "SUM_X", "SUM_Y", "SUM_XX", "SUM_YY", "SUM_XY"] }
    var storedType: SQLType { .structure(Self.names.map { Field($0, $0 == "COUNT" ? .bigint : .double) }) }
    func stored(_ slots: [UInt32]) -> Column {
        let rows = moments.at(slots)
        let doubles = [rows.map(\.x), rows.map(\.y), rows.map(\.xx), rows.map(\.yy), rows.map(\.xy)].map { Column.double(FixedColumn($0)) }
        return .record(Array(zip(Self.names, [.bigint(FixedColumn(rows.map(\.count)))] + doubles)))
    }

    mutating func restore(_ stored: Column, into slots: [UInt32]) {
        let fields = stored.structure.fields
        let counts = fields[0].integers64.values, d = fields.dropFirst().map { $0.doubles.values }
        for i in slots.indices {
            moments[Int(slots[i])] = Moments(count: counts[i], x: d[0][i], y: d[1][i], xx: d[2][i], yy: d[3][i], xy: d[4][i])
        }
    }
}

final class DeviationIntegerState: SlotAggregate {
    var kernel: DeviationKernel<Int32>
    init(isRoot: Bool) { kernel = DeviationKernel(isRoot: isRoot) }
}
final class DeviationBigintState: SlotAggregate {
    var kernel: DeviationKernel<Int64>
    init(isRoot: Bool) { kernel = DeviationKernel(isRoot: isRoot) }
}
final class DeviationDoubleState: SlotAggregate {
    var kernel: DeviationKernel<Double>
    init(isRoot: Bool) { kernel = DeviationKernel(isRoot: isRoot) }
}
final class CorrelationIntegerState: SlotAggregate { var kernel = CorrelationKernel<Int32>() }
final class CorrelationBigintState: SlotAggregate { var kernel = CorrelationKernel<Int64>() }
final class CorrelationDoubleState: SlotAggregate { var kernel = CorrelationKernel<Double>() }
