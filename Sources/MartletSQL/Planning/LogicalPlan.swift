import MartletColumns
import MartletCore

/// What a query does, before it is cut into stages: a chain of operators over typed columns.
///
/// Expressions of a node count the output columns of the node below it.
indirect enum LogicalPlan: Sendable {
    case scan(Scan)
    case filter(LogicalPlan, BoundExpression, text: String)
    /// Output: the input columns, then one per function.
    case flatMap(LogicalPlan, [PhysicalOperator.TableFunctionCall])
    /// Output: the new key columns, then the input columns.
    case selectKey(LogicalPlan, [BoundExpression], names: [String])
    case project(LogicalPlan, [BoundExpression], names: [String])
    /// Output: the left columns, the right columns, then the key columns of the result.
    case join(Join)
    /// The changes of a table with what the rows were before. The first `keyCount` columns are the table's key.
    case materialize(LogicalPlan, step: String, keyCount: Int)
    /// Output: the group keys, one column a call, then the window's bounds if there is one.
    case aggregate(Aggregation)
    /// The rows of plans of equal columns.
    case union([LogicalPlan])
    /// The rows once all of them are there: distinct, sorted, cut off. Only in queries that end. Output: the input columns, those that order included.
    case ended(LogicalPlan, PhysicalPlan.Ending, limit: Int64?)

    struct Scan: Sendable {
        struct Column: Sendable, Hashable {
            var name: String
            var type: SQLType
            var source: PhysicalPlan.Input.ColumnSource
        }

        var source: Source
        var columns: [Column]
        /// Indices of the source's value columns that must not be null.
        var notNullValues: [Int] = []
    }

    struct Join: Sendable {
        /// Names the state and the internal topics: `Join`, in joins below others `L_Join`.
        var step: String
        var left: LogicalPlan
        var right: LogicalPlan
        var kind: PhysicalPlan.Join.Kind
        var method: PhysicalPlan.Join.Method
        /// What has to be equal, of equal types: over the left columns, and over the right columns.
        var leftKeys: [BoundExpression]
        var rightKeys: [BoundExpression]
        /// Names of the result's key columns: one for each of `leftKeys`; for a foreign key those of the left table's key.
        var keyNames: [String]
        /// What else has to hold of a pair of rows, over the left and the right columns; and its SQL, for errors.
        var condition: BoundExpression?
        var conditionText: String?
        /// The side has to be written to a topic of its own first, by its keys.
        var leftRepartition: Repartition?
        var rightRepartition: Repartition?
        /// For `method` foreignKey.
        var foreign: Foreign?
        /// Columns that something above uses; nil: all. The others need not go through internal topics.
        var carriedLeft: Set<Int>?
        var carriedRight: Set<Int>?

        /// The result's key columns, over the left columns.
        var resultKeys: [BoundExpression] { foreign?.primaryKeys ?? leftKeys }

        struct Foreign: Sendable {
            /// The left table's key, over the left columns.
            var primaryKeys: [BoundExpression]
            /// Names of the foreign key's columns.
            var keyNames: [String]
            /// What the right table's key columns are called on its topic, and so in that of subscriptions.
            var keyFieldNames: [String]
            /// Subscriptions are keyed by the foreign key, as the right table is.
            var keyFormat: FormatSpec
            var partitionsOfTopic: String
            /// Answers are keyed as the left table is.
            var answerKeyFieldNames: [String]
            var answerKeyFormat: FormatSpec
            var answerPartitionsOfTopic: String
            /// Subscriptions and answers go through topics; else one task works on all rows.
            var crossesTopics: Bool
        }
    }

    struct Aggregation: Sendable {
        var input: LogicalPlan
        /// Over the input's columns.
        var keys: [BoundExpression]
        /// Over the input's columns: what the calls take.
        var arguments: [BoundExpression]
        /// Of the keys, then of the arguments; all different.
        var names: [String]
        /// Arguments of a call count `arguments`.
        var calls: [AggregateCall]
        /// The input is a table: rows are taken out of their groups again.
        var undoes: Bool
        var isFinal: Bool
        var window: PhysicalOperator.Window?
        /// Rows must be written to a topic partitioned by the groups first.
        var repartition: Repartition?

        struct Repartition: Sendable {
            var keyFormat: FormatSpec
            var valueFormat: FormatSpec
            var partitionsOfTopic: String
        }

        var fields: [Field] {
            let keys = zip(names, keys).map { Field($0, $1.type) }, values = calls.map { Field($0.name, $0.type) }
            let bounds = window == nil ? [] : [PseudoColumns.windowStart, PseudoColumns.windowEnd].map { Field($0, .bigint) }
            return keys + values + bounds
        }
    }

    /// An internal topic that rows are written to by their key.
    struct Repartition: Sendable {
        var step: String
        /// A table's rows without a value delete.
        var kind: Statement.SourceKind
        var keyFormat: FormatSpec
        var valueFormat: FormatSpec
        var partitionsOfTopic: String
        var window: Source.SourceWindow?
    }

    /// Number of output columns.
    var width: Int {
        switch self {
        case .scan(let scan): scan.columns.count
        case .filter(let input, _, _): input.width
        case .flatMap(let input, let calls): input.width + calls.count
        case .selectKey(let input, let keys, _): keys.count + input.width
        case .project(_, let expressions, _): expressions.count
        case .join(let join): join.left.width + join.right.width + join.keyNames.count
        case .materialize(let input, _, _): input.width
        case .aggregate(let node): node.fields.count
        case .union(let inputs): inputs[0].width
        case .ended(let input, _, _): input.width
        }
    }

    /// Type and name of each output column.
    var fields: [Field] {
        switch self {
        case .scan(let scan): scan.columns.map { Field($0.name, $0.type) }
        case .filter(let input, _, _): input.fields
        case .flatMap(let input, let calls): input.fields + calls.map { Field($0.name, $0.type) }
        case .selectKey(let input, let keys, let names): zip(names, keys).map { Field($0, $1.type) } + input.fields
        case .project(_, let expressions, let names): zip(names, expressions).map { Field($0, $1.type) }
        case .join(let join):
            join.left.fields + join.right.fields + zip(join.keyNames, join.resultKeys).map { Field($0, $1.type) }
        case .materialize(let input, _, _): input.fields
        case .aggregate(let node): node.fields
        case .union(let inputs): inputs[0].fields
        case .ended(let input, _, _): input.fields
        }
    }
}

extension LogicalPlan.Scan {
    /// All columns of a source that a statement can name: key, value and header columns, then the pseudo columns.
    init(_ source: Source) {
        self.source = source
        columns = source.schema.key.enumerated().map { Column(name: $1.name, type: $1.type, source: .key($0)) }
        columns += source.schema.value.enumerated().map { Column(name: $1.name, type: $1.type, source: .value($0)) }
        columns += source.headers.map { header in
            Column(name: header.name, type: header.type, source: header.headerKey.map { .header($0) } ?? .headers)
        }
        columns.append(Column(name: PseudoColumns.rowTime, type: .bigint, source: .rowTime))
        columns.append(Column(name: PseudoColumns.rowPartition, type: .integer, source: .rowPartition))
        columns.append(Column(name: PseudoColumns.rowOffset, type: .bigint, source: .rowOffset))
        if source.window != nil {
            columns.append(Column(name: PseudoColumns.windowStart, type: .bigint, source: .windowStart))
            columns.append(Column(name: PseudoColumns.windowEnd, type: .bigint, source: .windowEnd))
        }
    }
}

extension BoundExpression {
    /// The same expression with each part replaced from the inside out.
    func rewritten(_ f: (BoundExpression) -> BoundExpression) -> BoundExpression {
        let mapped: BoundExpression =
            switch self {
            case .column, .literal, .variable: self
            case .arithmetic(let op, let a, let b, let type): .arithmetic(op, a.rewritten(f), b.rewritten(f), type)
            case .negate(let e, let type): .negate(e.rewritten(f), type)
            case .compare(let op, let a, let b): .compare(op, a.rewritten(f), b.rewritten(f))
            case .and(let a, let b): .and(a.rewritten(f), b.rewritten(f))
            case .or(let a, let b): .or(a.rewritten(f), b.rewritten(f))
            case .not(let e): .not(e.rewritten(f))
            case .isNull(let e): .isNull(e.rewritten(f))
            case .isNotNull(let e): .isNotNull(e.rewritten(f))
            case .isIn(let e, let options): .isIn(e.rewritten(f), options.map { $0.rewritten(f) })
            case .like(let e, let pattern, let escape): .like(e.rewritten(f), pattern: pattern.rewritten(f), escape: escape)
            case .searchedCase(let branches, let otherwise, let type):
                .searchedCase(
                    branches.map { WhenBranch(condition: $0.condition.rewritten(f), result: $0.result.rewritten(f)) },
                    otherwise: otherwise?.rewritten(f), type)
            case .cast(let e, let type): .cast(e.rewritten(f), type)
            case .call(let name, let arguments, let type): .call(name, arguments.map { $0.rewritten(f) }, type)
            case .model(let name, let arguments, let type): .model(name, arguments.map { $0.rewritten(f) }, type)
            case .subscript_(let a, let b, let type): .subscript_(a.rewritten(f), b.rewritten(f), type)
            case .field(let e, let name, let type): .field(e.rewritten(f), name, type)
            case .array(let elements, let type): .array(elements.map { $0.rewritten(f) }, type)
            case .map(let keys, let values, let type): .map(keys: keys.map { $0.rewritten(f) }, values: values.map { $0.rewritten(f) }, type)
            case .structure(let names, let values, let type): .structure(names, values.map { $0.rewritten(f) }, type)
            case .lambda(let parameters, let body): .lambda(parameters: parameters, body: body.rewritten(f))
            }
        return f(mapped)
    }

    /// Column references renumbered.
    func remapped(_ f: (Int) -> Int) -> BoundExpression {
        rewritten { if case .column(let index, let type) = $0 { .column(f(index), type) } else { $0 } }
    }

    /// Calls `visit` with this expression and all its parts.
    func walk(_ visit: (BoundExpression) -> Void) {
        _ = rewritten {
            visit($0)
            return $0
        }
    }

    var columns: Set<Int> {
        var out: Set<Int> = []
        walk { if case .column(let index, _) = $0 { out.insert(index) } }
        return out
    }

    var models: Set<String> {
        var out: Set<String> = []
        walk { if case .model(let name, _, _) = $0 { out.insert(name) } }
        return out
    }

    /// The operands of a chain of ANDs.
    var conjuncts: [BoundExpression] {
        if case .and(let a, let b) = self { return a.conjuncts + b.conjuncts }
        return [self]
    }

    static func conjunction(_ list: [BoundExpression]) -> BoundExpression? {
        guard var out = list.first else { return nil }
        for next in list.dropFirst() { out = .and(out, next) }
        return out
    }
}
