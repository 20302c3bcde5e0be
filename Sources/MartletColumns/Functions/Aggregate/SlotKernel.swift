import MartletCore

/// What an aggregate function does to one slot; `SlotAggregate` makes an `AggregateState` of it.
protocol SlotKernel {
    /// The argument columns of a batch, taken apart once.
    associatedtype Input
    /// Result rows under construction.
    associatedtype Output

    func input(_ columns: [Column]) -> Input

    mutating func grow(to count: Int)
    mutating func add(_ slot: Int, _ input: Input, _ row: Int) throws(MartletError)
    mutating func remove(_ slot: Int, _ input: Input, _ row: Int) throws(MartletError)
    /// `other`'s state goes behind that of `slot`; `other` is cleared by the caller.
    mutating func merge(_ slot: Int, from other: Int) throws(MartletError)
    mutating func clear(_ slot: Int)

    func output(capacity: Int) -> Output
    func append(_ slot: Int, to output: inout Output)
    func column(_ output: Output) -> Column

    var storedType: SQLType { get }
    func stored(_ slots: [UInt32]) -> Column
    mutating func restore(_ stored: Column, into slots: [UInt32])

    /// Before the steps of a batch: for kernels that keep the columns themselves. `removed` is what `remove` steps take their rows from.
    mutating func begin(_ columns: [Column], removed: [Column]?)
}

extension SlotKernel {
    mutating func begin(_ columns: [Column], removed: [Column]?) {}

    func column<T>(_ output: Output) -> Column where Output == FixedOutput<T> { output.column() }

    mutating func remove(_ slot: Int, _ input: Input, _ row: Int) throws(MartletError) {
        preconditionFailure("the analyzer lets only functions with undo aggregate a table")
    }
}

/// Results of fixed width, any SQL type of that width.
struct FixedOutput<Element: Sendable & Hashable> {
    var rows = FixedColumn<Element>([])
    let wrap: @Sendable (FixedColumn<Element>) -> Column

    init(capacity: Int, _ wrap: @escaping @Sendable (FixedColumn<Element>) -> Column) {
        self.wrap = wrap
        rows.values.reserveCapacity(capacity)
    }

    @inline(__always) mutating func append(_ value: Element) {
        if rows.validity.flags != nil { rows.validity.append(true, count: rows.values.count) }
        rows.values.append(value)
    }

    mutating func appendNull(_ filler: Element) {
        rows.validity.append(false, count: rows.values.count)
        rows.values.append(filler)
    }

    func column() -> Column { wrap(rows) }
}

/// An `AggregateState` around a kernel.
///
/// Conformers are final classes without type parameters, one a function and type: only so does the compiler specialise the loops below. (A
/// generic class is called through one unspecialised method for all types, at 20 ns a row.)
protocol SlotAggregate: AggregateState {
    associatedtype Kernel: SlotKernel
    var kernel: Kernel { get set }
}

extension SlotAggregate {
    var storedType: SQLType { kernel.storedType }
    func grow(to count: Int) { kernel.grow(to: count) }

    func apply(_ steps: AggregateSteps, arguments: [Column], removed: [Column]?) throws(MartletError) {
        try Self.run(steps, &kernel, arguments, removed) { _, _ in }
    }

    func applyEmitting(_ steps: AggregateSteps, arguments: [Column], removed: [Column]?) throws(MartletError) -> Column {
        var output = kernel.output(capacity: steps.count)
        try Self.run(steps, &kernel, arguments, removed) { $0.append($1, to: &output) }
        return kernel.column(output)
    }

    @inline(__always)
    private static func run(
        _ steps: AggregateSteps, _ kernel: inout Kernel, _ arguments: [Column], _ removed: [Column]?, _ after: (borrowing Kernel, Int) -> Void
    ) throws(MartletError) {
        kernel.begin(arguments, removed: steps.kinds?.contains(.remove) == true ? removed ?? arguments : nil)
        let input = kernel.input(arguments)
        let slots = steps.slots, rows = steps.rows
        precondition(slots.count == rows.count, "each step has a slot and a row")
        guard let kinds = steps.kinds else {
            for i in 0..<slots.count {
                let slot = Int(slots[i])
                try kernel.add(slot, input, Int(rows[i]))
                after(kernel, slot)
            }
            return
        }
        let old = removed.map { kernel.input($0) } ?? input
        for i in 0..<slots.count {
            let slot = Int(slots[i])
            switch kinds[i] {
            case .add: try kernel.add(slot, input, Int(rows[i]))
            case .remove: try kernel.remove(slot, old, Int(rows[i]))
            case .merge:
                try kernel.merge(slot, from: Int(rows[i]))
                kernel.clear(Int(rows[i]))
            case .clear: kernel.clear(slot)
            }
            after(kernel, slot)
        }
    }

    func results(_ slots: [UInt32]) -> Column {
        let kernel = kernel
        var output = kernel.output(capacity: slots.count)
        for slot in slots { kernel.append(Int(slot), to: &output) }
        return kernel.column(output)
    }

    func stored(_ slots: [UInt32]) -> Column { kernel.stored(slots) }
    func restore(_ stored: Column, into slots: [UInt32]) { kernel.restore(stored, into: slots) }
}

extension Array {
    /// Lengthens to `count` by `filler`; never shortens.
    mutating func lengthen(to count: Int, _ filler: Element) {
        if count > self.count { append(contentsOf: repeatElement(filler, count: count - self.count)) }
    }

    /// The elements at `slots`.
    func at(_ slots: [UInt32]) -> [Element] { slots.map { self[Int($0)] } }

    mutating func set(_ slots: [UInt32], to values: [Element]) { for i in slots.indices { self[Int(slots[i])] = values[i] } }
}

extension Column {
    /// The raw values and validity of a column of the wanted width.
    var booleans: FixedColumn<Bool> { if case .boolean(let c) = self { c } else { wrongColumn() } }
    var integers32: FixedColumn<Int32> {
        switch self {
        case .integer(let c), .date(let c), .time(let c): c
        default: wrongColumn()
        }
    }
    var integers64: FixedColumn<Int64> {
        switch self {
        case .bigint(let c), .timestamp(let c): c
        default: wrongColumn()
        }
    }
    var doubles: FixedColumn<Double> { if case .double(let c) = self { c } else { wrongColumn() } }
    var decimals: FixedColumn<Int128> { if case .decimal(let c, _, _) = self { c } else { wrongColumn() } }
    var byteStrings: BytesColumn {
        switch self {
        case .string(let c), .bytes(let c): c
        default: wrongColumn()
        }
    }
    var list: ListColumn { if case .array(let c) = self { c } else { wrongColumn() } }
    var structure: StructColumn { if case .structure(let c) = self { c } else { wrongColumn() } }

    private func wrongColumn() -> Never { preconditionFailure("a column of another type than \(type) was expected") }

    /// A struct column of `fields`, all valid.
    static func record(_ fields: [(String, Column)]) -> Column {
        .structure(StructColumn(names: fields.map(\.0), fields: fields.map(\.1), count: fields.first?.1.count ?? 0))
    }
}

/// Values a `FixedColumn` holds that aggregates calculate with.
protocol AggregateNumber: Sendable, Hashable {
    static func fixed(_ column: Column) -> FixedColumn<Self>
    static var nought: Self { get }
    /// As in Java: integers wrap.
    static func sum(_ a: Self, _ b: Self) -> Self
    static func difference(_ a: Self, _ b: Self) -> Self
    /// The order of `Comparable` in Java: NaN is the largest double, −0 lies below 0.
    static func precedes(_ a: Self, _ b: Self) -> Bool
    var asDouble: Double { get }
}

extension Int32: AggregateNumber {
    static func fixed(_ column: Column) -> FixedColumn<Int32> { column.integers32 }
    static var nought: Int32 { 0 }
    @inline(__always) static func sum(_ a: Int32, _ b: Int32) -> Int32 { a &+ b }
    @inline(__always) static func difference(_ a: Int32, _ b: Int32) -> Int32 { a &- b }
    @inline(__always) static func precedes(_ a: Int32, _ b: Int32) -> Bool { a < b }
    var asDouble: Double { Double(self) }
}

extension Int64: AggregateNumber {
    static func fixed(_ column: Column) -> FixedColumn<Int64> { column.integers64 }
    static var nought: Int64 { 0 }
    @inline(__always) static func sum(_ a: Int64, _ b: Int64) -> Int64 { a &+ b }
    @inline(__always) static func difference(_ a: Int64, _ b: Int64) -> Int64 { a &- b }
    @inline(__always) static func precedes(_ a: Int64, _ b: Int64) -> Bool { a < b }
    var asDouble: Double { Double(self) }
}

extension Double: AggregateNumber {
    static func fixed(_ column: Column) -> FixedColumn<Double> { column.doubles }
    static var nought: Double { 0 }
    @inline(__always) static func sum(_ a: Double, _ b: Double) -> Double { a + b }
    @inline(__always) static func difference(_ a: Double, _ b: Double) -> Double { a - b }
    @inline(__always) static func precedes(_ a: Double, _ b: Double) -> Bool {
        if a < b { return true }
        if a > b { return false }
        return KeyEncoding.ordered(a) < KeyEncoding.ordered(b)
    }
    var asDouble: Double { self }
}

extension Int128: AggregateNumber {
    static func fixed(_ column: Column) -> FixedColumn<Int128> { column.decimals }
    static var nought: Int128 { 0 }
    static func sum(_ a: Int128, _ b: Int128) -> Int128 { a &+ b }
    static func difference(_ a: Int128, _ b: Int128) -> Int128 { a &- b }
    static func precedes(_ a: Int128, _ b: Int128) -> Bool { a < b }
    var asDouble: Double { Double(self) }
}
