import MartletCore

/// An aggregate function as closures over one row's values: for what no batch is worth, such as a test's.
public struct AggregateRowFunction: Sendable {
    /// Upper case.
    public var name: String
    /// In the notation of the function tables, e.g. `(BIGINT value, VARCHAR... more, [INT start]) -> BIGINT`. A mistake in it is a mistake of
    /// the program's and stops it.
    public var signature: String
    /// The state of an empty group, given the values of the literal arguments.
    public var initial: @Sendable ([SQLValue]) -> SQLValue
    /// The state after a row, whose values may be null.
    public var add: @Sendable (SQLValue, [SQLValue]) -> SQLValue
    /// nil: rows cannot be taken back.
    public var remove: (@Sendable (SQLValue, [SQLValue]) -> SQLValue)?
    public var merge: @Sendable (SQLValue, SQLValue) -> SQLValue
    /// The result, given the state and the values of the literal arguments.
    public var result: @Sendable (SQLValue, [SQLValue]) -> SQLValue
    /// The type of the state, given the type of the result: what is kept of it.
    public var stateType: @Sendable (SQLType) -> SQLType

    public init(
        _ name: String, _ signature: String, initial: @escaping @Sendable ([SQLValue]) -> SQLValue,
        add: @escaping @Sendable (SQLValue, [SQLValue]) -> SQLValue,
        remove: (@Sendable (SQLValue, [SQLValue]) -> SQLValue)? = nil,
        merge: @escaping @Sendable (SQLValue, SQLValue) -> SQLValue,
        result: @escaping @Sendable (SQLValue, [SQLValue]) -> SQLValue = { state, _ in state },
        stateType: @escaping @Sendable (SQLType) -> SQLType = { $0 }
    ) {
        self.name = name
        self.signature = signature
        self.initial = initial
        self.add = add
        self.remove = remove
        self.merge = merge
        self.result = result
        self.stateType = stateType
    }
}

/// A table function as a closure over one row's values.
public struct TableRowFunction: Sendable {
    /// Upper case.
    public var name: String
    /// The result is an array, e.g. `(INT a) -> ARRAY<INT>`.
    public var signature: String
    /// The type of the result where the signature does not say it (DECIMAL), given those of the arguments.
    public var returns: (@Sendable ([SQLType?]) -> SQLType?)?
    /// The rows that the arguments, nulls included, become. What it throws drops the row and is reported.
    public var evaluate: @Sendable ([SQLValue]) throws(MartletError) -> [SQLValue]

    public init(
        _ name: String, _ signature: String, returns: (@Sendable ([SQLType?]) -> SQLType?)? = nil,
        _ evaluate: @escaping @Sendable ([SQLValue]) throws(MartletError) -> [SQLValue]
    ) {
        self.name = name
        self.signature = signature
        self.returns = returns
        self.evaluate = evaluate
    }
}

/// An `AggregateRowFunction` for all slots.
struct RowKernel: SlotKernel {
    private let function: AggregateRowFunction
    private let constants: [SQLValue]
    private let type: SQLType
    private var states: [SQLValue] = []

    init(_ function: AggregateRowFunction, constants: [SQLValue], type: SQLType) {
        self.function = function
        self.constants = constants
        self.type = type
    }

    func input(_ columns: [Column]) -> [Column] { columns }
    mutating func grow(to count: Int) { if count > states.count { states.lengthen(to: count, function.initial(constants)) } }
    mutating func add(_ slot: Int, _ input: [Column], _ row: Int) { states[slot] = function.add(states[slot], input.map { $0.value(row) }) }

    mutating func remove(_ slot: Int, _ input: [Column], _ row: Int) {
        guard let remove = function.remove else { preconditionFailure("the analyzer lets only functions with undo aggregate a table") }
        states[slot] = remove(states[slot], input.map { $0.value(row) })
    }

    mutating func merge(_ slot: Int, from other: Int) { states[slot] = function.merge(states[slot], states[other]) }
    mutating func clear(_ slot: Int) { states[slot] = function.initial(constants) }

    func output(capacity: Int) -> ColumnBuilder { ColumnBuilder(type) }
    func append(_ slot: Int, to output: inout ColumnBuilder) { output.append(function.result(states[slot], constants)) }
    func column(_ output: ColumnBuilder) -> Column { output.column }

    var storedType: SQLType { function.stateType(type) }
    func stored(_ slots: [UInt32]) -> Column { ColumnBuilder.column(of: storedType, states.at(slots)) }
    mutating func restore(_ stored: Column, into slots: [UInt32]) { for i in slots.indices { states[Int(slots[i])] = stored.value(i) } }
}

final class RowState: SlotAggregate {
    var kernel: RowKernel
    init(_ kernel: RowKernel) { self.kernel = kernel }
}
