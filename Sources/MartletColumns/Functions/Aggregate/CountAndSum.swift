import MartletCore

/// COUNT: of rows, or of values that are not null.
struct CountKernel: SlotKernel {
    private var counts: [Int64] = []

    struct Input {
        /// nil: every row counts.
        var flags: [Bool]?
    }

    func input(_ columns: [Column]) -> Input { Input(flags: columns.first?.validity.flags) }

    mutating func grow(to count: Int) { counts.lengthen(to: count, 0) }

    @inline(__always) mutating func add(_ slot: Int, _ input: Input, _ row: Int) {
        if let flags = input.flags, !flags[row] { return }
        counts[slot] &+= 1
    }

    @inline(__always) mutating func remove(_ slot: Int, _ input: Input, _ row: Int) {
        if let flags = input.flags, !flags[row] { return }
        counts[slot] &-= 1
    }

    mutating func merge(_ slot: Int, from other: Int) { counts[slot] &+= counts[other] }
    mutating func clear(_ slot: Int) { counts[slot] = 0 }

    func output(capacity: Int) -> FixedOutput<Int64> { FixedOutput(capacity: capacity) { .bigint($0) } }
    @inline(__always) func append(_ slot: Int, to output: inout FixedOutput<Int64>) { output.append(counts[slot]) }

    var storedType: SQLType { .bigint }
    func stored(_ slots: [UInt32]) -> Column { .bigint(FixedColumn(counts.at(slots))) }
    mutating func restore(_ stored: Column, into slots: [UInt32]) { counts.set(slots, to: stored.integers64.values) }
}

/// SUM of INT, BIGINT (both wrap, as in Java) and DOUBLE; nulls do not count, nothing sums to 0.
struct SumKernel<Number: AggregateNumber>: SlotKernel {
    private var sums: [Number] = []
    let type: SQLType

    init(_ type: SQLType) { self.type = type }

    func input(_ columns: [Column]) -> FixedColumn<Number> { Number.fixed(columns[0]) }

    mutating func grow(to count: Int) { sums.lengthen(to: count, .nought) }

    @inline(__always) mutating func add(_ slot: Int, _ input: FixedColumn<Number>, _ row: Int) {
        if input.validity.isValid(row) { sums[slot] = .sum(sums[slot], input.values[row]) }
    }

    @inline(__always) mutating func remove(_ slot: Int, _ input: FixedColumn<Number>, _ row: Int) {
        if input.validity.isValid(row) { sums[slot] = .difference(sums[slot], input.values[row]) }
    }

    mutating func merge(_ slot: Int, from other: Int) { sums[slot] = .sum(sums[slot], sums[other]) }
    mutating func clear(_ slot: Int) { sums[slot] = .nought }

    func output(capacity: Int) -> FixedOutput<Number> {
        let type = type
        return FixedOutput(capacity: capacity) { Column.fixed($0, type) }
    }

    @inline(__always) func append(_ slot: Int, to output: inout FixedOutput<Number>) { output.append(sums[slot]) }

    var storedType: SQLType { type }
    func stored(_ slots: [UInt32]) -> Column { .fixed(FixedColumn(sums.at(slots)), type) }
    mutating func restore(_ stored: Column, into slots: [UInt32]) { sums.set(slots, to: Number.fixed(stored).values) }
}

/// SUM of DECIMAL: keeps precision and scale; a sum that does not fit ends the query.
struct DecimalSumKernel: SlotKernel {
    private var sums: [Int128] = []
    private let precision: Int, scale: Int
    /// The first magnitude that does not fit.
    private let limit: Int128

    init(precision: Int, scale: Int) {
        self.precision = precision
        self.scale = scale
        limit = Decimal128.powersOfTen[min(precision, 38)]
    }

    func input(_ columns: [Column]) -> FixedColumn<Int128> { columns[0].decimals }

    mutating func grow(to count: Int) { sums.lengthen(to: count, 0) }

    private func checked(_ sum: Int128) throws(MartletError) -> Int128 {
        if sum < limit, sum > -limit { return sum }
        throw MartletError(
            .outOfRange,
            "Numeric field overflow: A field with precision \(precision) and scale \(scale) must round to an absolute value less than 10^\(precision - scale). Got \(Decimal128(unscaled: sum, scale: scale))"
        )
    }

    mutating func add(_ slot: Int, _ input: FixedColumn<Int128>, _ row: Int) throws(MartletError) {
        if input.validity.isValid(row) { sums[slot] = try checked(sums[slot] + input.values[row]) }
    }

    mutating func remove(_ slot: Int, _ input: FixedColumn<Int128>, _ row: Int) throws(MartletError) {
        if input.validity.isValid(row) { sums[slot] = try checked(sums[slot] - input.values[row]) }
    }

    mutating func merge(_ slot: Int, from other: Int) throws(MartletError) { sums[slot] = try checked(sums[slot] + sums[other]) }
    mutating func clear(_ slot: Int) { sums[slot] = 0 }

    func output(capacity: Int) -> FixedOutput<Int128> {
        let (precision, scale) = (precision, scale)
        return FixedOutput(capacity: capacity) { .decimal($0, precision: precision, scale: scale) }
    }

    func append(_ slot: Int, to output: inout FixedOutput<Int128>) { output.append(sums[slot]) }

    var storedType: SQLType { .decimal(precision: precision, scale: scale) }
    func stored(_ slots: [UInt32]) -> Column { .decimal(FixedColumn(sums.at(slots)), precision: precision, scale: scale) }
    mutating func restore(_ stored: Column, into slots: [UInt32]) { sums.set(slots, to: stored.decimals.values) }
}

/// SUM_LIST: the sum of the elements of all arrays that are not null.
struct ListSumKernel<Number: AggregateNumber>: SlotKernel {
    private var sums: [Number] = []
    let type: SQLType

    init(_ type: SQLType) { self.type = type }

    struct Input {
        var list: ListColumn
        var elements: FixedColumn<Number>
    }

    func input(_ columns: [Column]) -> Input { Input(list: columns[0].list, elements: Number.fixed(columns[0].list.elements)) }

    mutating func grow(to count: Int) { sums.lengthen(to: count, .nought) }

    mutating func add(_ slot: Int, _ input: Input, _ row: Int) {
        for i in input.list.range(row) where input.elements.validity.isValid(i) { sums[slot] = .sum(sums[slot], input.elements.values[i]) }
    }

    mutating func remove(_ slot: Int, _ input: Input, _ row: Int) {
        for i in input.list.range(row) where input.elements.validity.isValid(i) {
            sums[slot] = .difference(sums[slot], input.elements.values[i])
        }
    }

    mutating func merge(_ slot: Int, from other: Int) { sums[slot] = .sum(sums[slot], sums[other]) }
    mutating func clear(_ slot: Int) { sums[slot] = .nought }

    func output(capacity: Int) -> FixedOutput<Number> {
        let type = type
        return FixedOutput(capacity: capacity) { Column.fixed($0, type) }
    }

    func append(_ slot: Int, to output: inout FixedOutput<Number>) { output.append(sums[slot]) }

    var storedType: SQLType { type }
    func stored(_ slots: [UInt32]) -> Column { .fixed(FixedColumn(sums.at(slots)), type) }
    mutating func restore(_ stored: Column, into slots: [UInt32]) { sums.set(slots, to: Number.fixed(stored).values) }
}

extension Column {
    /// `values` as a column of `type`, which has that width.
    static func fixed<T>(_ values: FixedColumn<T>, _ type: SQLType) -> Column {
        switch (type, values) {
        case (.boolean, let c as FixedColumn<Bool>): .boolean(c)
        case (.integer, let c as FixedColumn<Int32>): .integer(c)
        case (.date, let c as FixedColumn<Int32>): .date(c)
        case (.time, let c as FixedColumn<Int32>): .time(c)
        case (.bigint, let c as FixedColumn<Int64>): .bigint(c)
        case (.timestamp, let c as FixedColumn<Int64>): .timestamp(c)
        case (.double, let c as FixedColumn<Double>): .double(c)
        case (.decimal(let precision, let scale), let c as FixedColumn<Int128>): .decimal(c, precision: precision, scale: scale)
        default: preconditionFailure("values of \(T.self) are no \(type) column")
        }
    }
}

final class CountState: SlotAggregate { var kernel = CountKernel() }

final class SumIntegerState: SlotAggregate { var kernel = SumKernel<Int32>(.integer) }
final class SumBigintState: SlotAggregate { var kernel = SumKernel<Int64>(.bigint) }
final class SumDoubleState: SlotAggregate { var kernel = SumKernel<Double>(.double) }
final class SumDecimalState: SlotAggregate {
    var kernel: DecimalSumKernel
    init(precision: Int, scale: Int) { kernel = DecimalSumKernel(precision: precision, scale: scale) }
}

final class ListSumIntegerState: SlotAggregate { var kernel = ListSumKernel<Int32>(.integer) }
final class ListSumBigintState: SlotAggregate { var kernel = ListSumKernel<Int64>(.bigint) }
final class ListSumDoubleState: SlotAggregate { var kernel = ListSumKernel<Double>(.double) }
