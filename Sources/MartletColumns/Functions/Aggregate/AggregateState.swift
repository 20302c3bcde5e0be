import MartletCore

/// One call of an aggregate function in a query: `TOPK(price, 3)`.
public struct AggregateCall: Sendable, Hashable, Codable {
    /// Upper case.
    public var name: String
    /// Columns of the input that are the arguments.
    public var arguments: [Int]
    public var argumentTypes: [SQLType]
    /// Values of the trailing literal arguments (`[INT k]` in the signature).
    public var constants: [SQLValue]
    /// Type of the result.
    public var type: SQLType

    public init(name: String, arguments: [Int], argumentTypes: [SQLType], constants: [SQLValue] = [], type: SQLType) {
        self.name = name
        self.arguments = arguments
        self.argumentTypes = argumentTypes
        self.constants = constants
        self.type = type
    }
}

/// What a batch does to the groups of an aggregation, in order. Each step names a slot, the dense number of a group (and window).
public struct AggregateSteps: Sendable {
    public enum Kind: UInt8, Sendable {
        /// The row is added to the slot.
        case add
        /// The row, an old one of a table, is taken out of the slot.
        case remove
        /// `rows[i]` is not a row but a slot: what it holds is put behind what the step's slot holds, and it is emptied (sessions that grow
        /// together: merge them in order of time into one slot, then add the row that joined them, as Kafka Streams does).
        case merge
        /// The slot becomes that of an empty group; `rows[i]` is unspecified.
        case clear
    }

    /// nil: all are `add`.
    public var kinds: [Kind]?
    public var slots: [UInt32]
    /// Row of the batch.
    public var rows: [UInt32]
    public var count: Int { slots.count }

    public init(kinds: [Kind]? = nil, slots: [UInt32], rows: [UInt32]) {
        self.kinds = kinds
        self.slots = slots
        self.rows = rows
    }
}

/// The states of one aggregate function for all groups of a task, as columns with a row per slot. Owned by one thread.
///
/// Calls are per batch: an implementation loops over the steps with its state in arrays, nothing boxed for the simple functions.
public protocol AggregateState: AnyObject {
    /// The type of the column that `stored` gives and `restore` takes: what the changelog keeps of a slot.
    var storedType: SQLType { get }

    /// There are `count` slots from now on (never fewer than before); new ones are those of empty groups.
    func grow(to count: Int)

    /// Applies `steps`. `arguments` are the call's argument columns of the batch that `rows` count; `removed` are those that `remove` steps take
    /// (nil: the same as `arguments`).
    ///
    /// - Throws: what ends the query, e.g. a DECIMAL sum that overflows.
    func apply(_ steps: AggregateSteps, arguments: [Column], removed: [Column]?) throws(MartletError)

    /// The same, and the result of the step's slot after each step.
    func applyEmitting(_ steps: AggregateSteps, arguments: [Column], removed: [Column]?) throws(MartletError) -> Column

    /// Results of these slots.
    func results(_ slots: [UInt32]) -> Column

    /// What has to be kept of these slots to go on from them later.
    func stored(_ slots: [UInt32]) -> Column

    /// Slot `slots[i]` becomes what row i of `stored` holds.
    func restore(_ stored: Column, into slots: [UInt32])
}
