import MartletColumns
import MartletCore
import MartletLog
import MartletSQL
import Synchronization

/// Counts the changes of the catalog, so that whatever was prepared against it knows when it no longer holds.
final class CatalogVersion: Sendable {
    private let number = Atomic<Int>(0)
    var now: Int { number.load(ordering: .acquiring) }
    func change() { number.wrappingAdd(1, ordering: .acquiringAndReleasing) }
}

/// A pull query for rows of a table by their keys, analysed once and answered as often as it is asked, on the thread that asks.
///
/// Where the condition is just an equality for each key column, the literals in it are parameters: the same question with other keys needs no
/// analysis. Everything else that asks for whole keys is answered as it stands.
public final class PreparedLookup: Sendable {
    /// One row of the answer: row `row` of `columns`, which stand for `fields`.
    public typealias Visitor = (_ columns: [Column], _ row: Int) -> Void
    public enum Outcome: Sendable { case answered, wouldWait }

    public let statement: String
    /// The table's name.
    public var name: String { table.source.name }
    public let fields: [Field]
    public let keyFlags: [Bool]
    /// The text with its literals taken out, if those are parameters.
    public let shape: StatementShape?

    private let table: ResultTable
    private let lookup: TableLookup
    private let input: PhysicalPlan.Input
    private let limit: Int
    /// For each key column the literal that says its value; empty: no parameters.
    private let parameters: [Int]
    /// The columns as the table keeps them, where nothing is to be computed.
    private let stored: [Stored]?
    private let tree: Mutex<OperatorTree>
    private let log: EmbeddedLog
    private let versions: CatalogVersion
    private let version: Int

    private enum Stored: Sendable { case column(Int), rowTime }

    /// Nil: the query is none of this kind.
    init?(
        _ query: AnalyzedTransient, _ statement: Statement, table: ResultTable, log: EmbeddedLog, versions: CatalogVersion
    ) throws(MartletError) {
        guard let lookup = query.lookup, case .some(let keys) = lookup.keys, query.plan.models.isEmpty, query.plan.ending == nil,
            query.plan.stages.count == 1, let input = query.plan.stages[0].inputs.first
        else { return nil }
        var root = query.plan.stages[0].root.overRows
        let isPure = root.operators.allSatisfy { step in
            switch step {
            case .filter, .project: true
            default: false
            }
        }
        guard isPure else { return nil }
        self.statement = statement.text
        fields = query.fields
        keyFlags = query.keyFlags
        limit = query.plan.limit.map { Int(clamping: $0) } ?? .max
        self.table = table
        self.lookup = lookup
        self.input = input
        self.log = log
        self.versions = versions
        version = versions.now
        if let (shape, literals) = Self.parameters(of: statement, input, keys) {
            self.shape = shape
            parameters = literals
            // The keys say it all.
            root = root.withoutFilters
        } else {
            shape = nil
            parameters = []
        }
        stored = table.source.window == nil && !parameters.isEmpty ? Self.stored(root, input) : nil
        tree = Mutex(try OperatorTree(root, setup: OperatorSetup(emitsEveryUpdate: false)))
    }

    /// Whether it still means what it meant.
    public var isCurrent: Bool {
        guard versions.now == version, let topic = log.topic(table.source.topic) else { return false }
        return table.isOf(topicID: topic.topicID, partitions: Int(topic.partitions))
    }

    /// Gives the rows of the answer, as of the last commit.
    ///
    /// - `literals`: those of the statement asked, of this one's shape; nil: the statement as it was prepared.
    /// - `mayWait`: false on an event loop; if it then would have to, nothing is given.
    public func answer(_ literals: [StatementShape.Literal]?, mayWait: Bool, _ visit: Visitor) throws(MartletError) -> Outcome {
        if limit == 0 { return .answered }
        var lookup = lookup
        if let literals {
            precondition(literals.count == parameters.count)
            lookup.keys = .some([zip(parameters, input.keyFields).map { Self.value(literals[$0], $1.type) }])
        }
        var left = limit
        if let stored, case .some(let keys) = lookup.keys {
            let isAnswered = try table.visit(keys, mayWait: mayWait) { columns, timestamps, row in
                guard left > 0 else { return }
                left -= 1
                visit(
                    stored.map { column in
                        switch column {
                        case .column(let i): columns[i]
                        case .rowTime: .bigint(FixedColumn(timestamps))
                        }
                    }, row)
            }
            return isAnswered ? .answered : .wouldWait
        }
        guard case .some(let keys) = lookup.keys else { preconditionFailure("only questions for keys are prepared") }
        guard let found = try table.rows(lookup, keys, as: input, mayWait: mayWait) else { return .wouldWait }
        if found.count == 0 { return .answered }
        let result: Result<Batch, MartletError> = tree.withLock { tree in
            var context = OperatorContext()
            do throws(MartletError) { return .success(try tree.push(found, leaf: 0, &context)) } catch { return .failure(error) }
        }
        let rows = try result.get()
        for row in 0..<min(rows.count, left) { visit(rows.columns, row) }
        return .answered
    }

    /// What the table keeps where the projection only picks columns.
    private static func stored(_ root: PhysicalPlan.Node, _ input: PhysicalPlan.Input) -> [Stored]? {
        let picked: [Int]
        switch root {
        case .input: picked = Array(input.columns.indices)
        case .step(.project(let expressions, _), of: .input):
            let columns = expressions.compactMap { expression -> Int? in if case .column(let i, _) = expression { i } else { nil } }
            guard columns.count == expressions.count else { return nil }
            picked = columns
        default: return nil
        }
        var out: [Stored] = []
        for i in picked {
            switch input.columns[i] {
            case .key(let key): out.append(.column(key))
            case .value(let value): out.append(.column(input.keyFields.count + value))
            case .rowTime: out.append(.rowTime)
            case .rowPartition, .rowOffset, .windowStart, .windowEnd, .headers, .header: return nil
            }
        }
        return out
    }

    // MARK: - Parameters

    /// The shape of the statement and the number of each key column's literal, if the literals in it are just the keys' values.
    private static func parameters(
        of statement: Statement, _ input: PhysicalPlan.Input, _ keys: [[SQLValue]]
    ) -> (StatementShape, [Int])? {
        guard keys.count == 1, input.window == nil, case .query(let query) = statement.node, let condition = query.whereClause,
            let shape = StatementShape(statement.text), shape.literals.count == input.keyFields.count
        else { return nil }
        var order: [Int] = []
        for conjunct in condition.conjuncts {
            guard case .compare(.equal, let a, let b) = conjunct.node else { return nil }
            let name: Identifier
            switch (a.node, b.node) {
            case (.column(_, let column), .string), (.column(_, let column), .integer), (.string, .column(_, let column)),
                (.integer, .column(_, let column)):
                name = column
            default: return nil
            }
            guard let key = input.keyFields.firstIndex(where: { $0.name == name.name }), !order.contains(key) else { return nil }
            order.append(key)
        }
        guard order.count == input.keyFields.count else { return nil }
        // `order` is literal → key column.
        let literals = input.keyFields.indices.map { key in order.firstIndex(of: key)! }
        for (key, field) in input.keyFields.enumerated() {
            guard fits(shape.literals[literals[key]], field.type), keys[0][key] == value(shape.literals[literals[key]], field.type) else { return nil }
        }
        return (shape, literals)
    }

    private static func fits(_ literal: StatementShape.Literal, _ type: SQLType) -> Bool {
        switch (literal, type) {
        case (.text, .string), (.integer, .bigint): true
        // The pattern tells numbers of INT from longer ones.
        case (.integer(let number), .integer): Int32(exactly: number) != nil
        default: false
        }
    }

    private static func value(_ literal: StatementShape.Literal, _ type: SQLType) -> SQLValue {
        switch (literal, type) {
        case (.text(let text), _): .string(text)
        case (.integer(let number), .integer): .integer(Int32(truncatingIfNeeded: number))
        case (.integer(let number), _): .bigint(number)
        }
    }
}

extension PhysicalPlan.Node {
    /// The same tree without its filters.
    fileprivate var withoutFilters: PhysicalPlan.Node {
        switch self {
        case .step(.filter, let below): below.withoutFilters
        case .step(let step, let below): .step(step, of: below.withoutFilters)
        case .input, .join, .union: self
        }
    }
}
