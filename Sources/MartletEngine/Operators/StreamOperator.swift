import MartletColumns
import MartletCore
import MartletSQL

/// The side of a join that a batch comes from; operators with one input have only a left one.
enum InputSide: Sendable { case left, right }

/// What operators need when they are made.
struct OperatorSetup {
    var models: [String: any BatchModel] = [:]
    var functions: FunctionRegistry = .builtin
    /// No record cache: every update of a table comes out. Else updates of one key may merge until `flush`.
    var emitsEveryUpdate = false
    /// What changes of the state is taken for a changelog before each commit.
    var isPersistent = false
    /// The same of tables that their own topics are the changelogs of: there is a copy of them on disk.
    var copiesTables = false
    /// The session's: some concern functions.
    var properties: [String: String] = [:]
}

/// What operators are given with each batch.
struct OperatorContext {
    /// Rows that could not be evaluated.
    var failed = FailedRows()
}

/// One operator of a stage's tree, compiled: batch in, batch out, all on the thread of its task.
///
/// Results are as if each row had been processed alone, in order. Operators without state are pure functions of the batch; those with state own
/// it, tell what changed of it before each commit, and take it back at start. Time is the largest timestamp an operator has seen: it keeps
/// that itself, as part of its state.
protocol StreamOperator: AnyObject {
    /// Processes the rows of `batch`, which come from `side`.
    ///
    /// A table's changes: a row with a null value is a deletion, `previous` is what each key's row was before.
    /// - Throws: what ends the query.
    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch

    /// Results held back so that updates of one key merge: before each commit, in the order of evaluation. Nil: none.
    func flush(_ context: inout OperatorContext) throws(MartletError) -> Batch?

    /// Rows of a table's topic that were processed before the restart: the topic itself is the changelog of what is kept of it.
    ///
    /// - Returns: what the next operator has to take back, nil if that needs nothing (it has a changelog of its own).
    func restore(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch?

    /// What has to be there again after a restart and does not come from a table's topic.
    var stores: [any StateStore] { get }

    /// What comes from the topic of the table on that side.
    func topicStores(_ side: InputSide) -> [any StateStore]
}

extension StreamOperator {
    func flush(_ context: inout OperatorContext) throws(MartletError) -> Batch? { nil }
    var stores: [any StateStore] { [] }
    func topicStores(_ side: InputSide) -> [any StateStore] { [] }
}

/// An operator without state: what comes back from a topic goes through it like anything else.
protocol StatelessOperator: StreamOperator {}

extension StatelessOperator {
    func restore(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch? {
        try process(batch, side: side, &context)
    }
}
