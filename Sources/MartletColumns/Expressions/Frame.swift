import MartletCore

/// The rows over which nodes are evaluated: a batch, or some rows of another frame (a CASE branch, the elements seen by a lambda).
///
/// A class so that columns gathered and values computed once are shared by the parts of one evaluation; it never leaves it.
final class Frame {
    let count: Int
    private let columns: [Column]
    private let parent: Frame?
    /// For each row the row of `parent`.
    let rows: [UInt32]
    private var gathered: [Int: Column] = [:]
    private let variables: [Int: Value]
    private var values: [Value?]

    init(columns: [Column], count: Int, nodes: Int) {
        self.columns = columns
        self.count = count
        parent = nil
        rows = []
        variables = [:]
        values = [Value?](repeating: nil, count: nodes)
    }

    init(_ parent: Frame, rows: [UInt32], variables: [Int: Value] = [:]) {
        self.parent = parent
        self.rows = rows
        count = rows.count
        columns = []
        self.variables = variables
        values = [Value?](repeating: nil, count: parent.values.count)
    }

    func column(_ index: Int) -> Column {
        guard let parent else { return columns[index] }
        if let column = gathered[index] { return column }
        let column = parent.column(index).gathered(rows)
        gathered[index] = column
        return column
    }

    func variable(_ slot: Int) -> Value {
        if let value = variables[slot] { return value }
        guard let parent else { preconditionFailure("a lambda's variable is read inside the lambda") }
        return parent.variable(slot).gathered(rows)
    }

    /// The value of a node if it has been computed here or, for more rows, in a frame above.
    func known(_ node: Int) -> Value? {
        if let value = values[node] { return value }
        guard let parent, let value = parent.known(node) else { return nil }
        let mine = value.gathered(rows)
        values[node] = mine
        return mine
    }

    func remember(_ node: Int, _ value: Value) { values[node] = value }
}
