import MartletColumns
import MartletCore
import MartletSQL

/// The operators of one stage as a tree, compiled. A batch enters at a leaf and goes up; what leaves the root is the stage's output.
final class OperatorTree {
    private struct Entry {
        var step: any StreamOperator
        /// The operator that takes the output, and its side; nil: the root.
        var parent: (index: Int, side: InputSide)?
    }

    struct Leaf {
        var input: PhysicalPlan.Input
        fileprivate var parent: (index: Int, side: InputSide)?
        /// Among rows of equal timestamps those of the lower rank come first: left before right, but a table before the stream that looks it up.
        fileprivate(set) var rank: Int
        /// Whether its rows are those that a stream's rows look up.
        fileprivate(set) var isLookedUp = false

        /// Whether rows that were processed before a restart come back from the topic.
        var isSourceTable: Bool { if case .source = input.topic { input.kind == .table } else { false } }
    }

    /// In the order of evaluation: below before above, left before right.
    private var entries: [Entry] = []
    private(set) var leaves: [Leaf] = []

    init(_ root: PhysicalPlan.Node, setup: OperatorSetup) throws(MartletError) {
        _ = try add(root, Above(), setup)
        var next = 0
        func rank(_ node: PhysicalPlan.Node, _ first: inout Int) {
            switch node {
            case .input:
                leaves[first].rank = next
                next += 1
                first += 1
            case .step(_, let below): rank(below, &first)
            case .union(let nodes): for node in nodes { rank(node, &first) }
            case .join(let join, let left, let right):
                var rightFirst = first + left.inputs.count
                if join.method == .streamTable {
                    let last = rightFirst + right.inputs.count
                    for leaf in rightFirst..<last { leaves[leaf].isLookedUp = true }
                    rank(right, &rightFirst)
                    rank(left, &first)
                } else {
                    rank(left, &first)
                    rank(right, &rightFirst)
                }
                first = rightFirst
            }
        }
        var first = 0
        rank(root, &first)
    }

    private enum Made { case leaf(Int), entry(Int) }

    /// What the operators above a node ask of it.
    private struct Above {
        /// They look at what a row was before a change.
        var needsPrevious = false
        /// They want final results of windows only, after this grace period.
        var finalGraceMs: Int64?
        /// Rows of a stream look up what is below: they are to find each group as it is when they come.
        var emitsEveryUpdate = false
    }

    /// - Returns: what was made last, and whether the node yields changes of a table.
    private func add(_ node: PhysicalPlan.Node, _ above: Above, _ setup: OperatorSetup) throws(MartletError) -> (Made, isTable: Bool) {
        switch node {
        case .input(let input):
            leaves.append(Leaf(input: input, parent: nil, rank: leaves.count))
            return (.leaf(leaves.count - 1), input.kind == .table)
        case .step(let description, let below):
            var asked = above
            switch description {
            case .filter: asked.needsPrevious = true
            case .suppress(_, let grace): asked = Above(finalGraceMs: grace, emitsEveryUpdate: above.emitsEveryUpdate)
            case .project, .selectKey, .flatMap: break
            case .materialize: asked = Above(emitsEveryUpdate: above.emitsEveryUpdate)
            case .groupChanges, .aggregate, .subscribe, .resolve: asked = Above(needsPrevious: true, emitsEveryUpdate: above.emitsEveryUpdate)
            }
            let (made, isTable) = try add(below, asked, setup)
            let (step, yieldsTable) = try compile(description, below: below, isTable: isTable, above, setup)
            return (link([(made, .left)], step), yieldsTable)
        case .join(let join, let left, let right):
            let (leftMade, _) = try add(left, Above(needsPrevious: true, emitsEveryUpdate: above.emitsEveryUpdate), setup)
            let (rightMade, _) = try add(
                right, Above(needsPrevious: true, emitsEveryUpdate: above.emitsEveryUpdate || join.method == .streamTable), setup)
            let step = try Self.compile(join, left: left, right: right, setup)
            let isTable = join.method == .tableTable
            return (link([(leftMade, .left), (rightMade, .right)], step), isTable)
        case .union(let nodes):
            var made: [(Made, InputSide)] = []
            for node in nodes { made.append((try add(node, above, setup).0, .left)) }
            return (link(made, Union()), false)
        }
    }

    private func link(_ below: [(Made, InputSide)], _ step: any StreamOperator) -> Made {
        let index = entries.count
        entries.append(Entry(step: step, parent: nil))
        for (made, side) in below {
            switch made {
            case .leaf(let leaf): leaves[leaf].parent = (index, side)
            case .entry(let entry): entries[entry].parent = (index, side)
            }
        }
        return .entry(index)
    }

    private func compile(
        _ description: PhysicalOperator, below: PhysicalPlan.Node, isTable: Bool, _ above: Above, _ setup: OperatorSetup
    ) throws(MartletError) -> (any StreamOperator, isTable: Bool) {
        switch description {
        case .filter(let condition, let text): return (try Filter(condition, text: text, isTable: isTable, setup), isTable)
        case .project(let expressions, let names): return (try Projection(expressions, names: names, isNewKey: false, setup), isTable)
        case .selectKey(let expressions, let names, _): return (try Projection(expressions, names: names, isNewKey: true, setup), isTable)
        case .flatMap(let calls): return (try TableFunctions(calls, models: setup.models, registry: setup.functions), isTable)
        case .materialize(let step, let keyCount):
            let made = Materialize(
                step: step, keyCount: keyCount, types: below.outputTypes, isWindowed: below.hasWindowedKeys, restoresFromTopic: below.isSourceTable, setup)
            return (made, true)
        case .groupChanges(let keys, let arguments, let names): return (try GroupChanges(keys: keys, arguments: arguments, names: names, setup), false)
        case .aggregate(let aggregate):
            let grouping = AggregationSetup(
                inputTypes: below.outputTypes, keepsWindows: aggregate.window == nil && below.hasWindowedKeys, needsPrevious: above.needsPrevious,
                finalGraceMs: above.finalGraceMs, emitsEveryUpdate: setup.emitsEveryUpdate || above.emitsEveryUpdate, isPersistent: setup.isPersistent,
                functions: setup.functions, properties: setup.properties)
            if let window = aggregate.window, case .session(let gap) = window.kind {
                return (try SessionAggregation(aggregate, gapMs: gap, window: window, grouping), true)
            }
            return (try Aggregation(aggregate, grouping), true)
        case .suppress: return (Suppress(needsPrevious: above.needsPrevious), true)
        case .subscribe: return (try Self.compileForeignKeyStep(description, below: below, setup), false)
        case .resolve: return (try Self.compileForeignKeyStep(description, below: below, setup), true)
        }
    }

    /// All stores of the stage, in the order of evaluation.
    var stores: [any StateStore] { entries.flatMap { $0.step.stores } }

    /// Stores that come back from the topic of a leaf.
    func topicStores(leaf: Int) -> [any StateStore] {
        var place = leaves[leaf].isSourceTable ? leaves[leaf].parent : nil
        while let (index, side) = place {
            let step = entries[index].step
            if !(step is any StatelessOperator) { return step.topicStores(side) }
            place = entries[index].parent
        }
        return []
    }

    /// Sends a batch up from a leaf. Empty if nothing arrives.
    func push(_ batch: Batch, leaf: Int, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        try climb(batch, leaves[leaf].parent, &context)
    }

    private func climb(_ batch: Batch, _ start: (index: Int, side: InputSide)?, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        var batch = batch, place = start
        while let (index, side) = place, batch.count > 0 {
            batch = try entries[index].step.process(batch, side: side, &context)
            place = entries[index].parent
        }
        return batch
    }

    /// What operators held back: everything that is to come before a commit.
    func flush(_ context: inout OperatorContext) throws(MartletError) -> [Batch] {
        var out: [Batch] = []
        for entry in entries {
            guard let held = try entry.step.flush(&context), held.count > 0 else { continue }
            let batch = try climb(held, entry.parent, &context)
            if batch.count > 0 { out.append(batch) }
        }
        return out
    }

    /// Takes rows of a table's topic back that had been processed before the restart.
    func restore(_ batch: Batch, leaf: Int) throws(MartletError) {
        // What could not be evaluated was reported when it was first read.
        var context = OperatorContext()
        var rest: Batch? = batch, place = leaves[leaf].parent
        while let (index, side) = place, let rows = rest, rows.count > 0 {
            rest = try entries[index].step.restore(rows, side: side, &context)
            place = entries[index].parent
        }
    }
}

extension PhysicalPlan.Node {
    /// Whether the node's rows come from a table's own topic through operators without state: then the topic is a changelog of them.
    var isSourceTable: Bool {
        switch self {
        case .input(let input): if case .source = input.topic { input.kind == .table } else { false }
        case .step(.filter, let below), .step(.project, let below): below.isSourceTable
        case .step, .join, .union: false
        }
    }

    /// Whether the node's rows have windows as part of their keys.
    var hasWindowedKeys: Bool {
        switch self {
        case .input(let input): input.window != nil
        case .step(.selectKey, _), .step(.groupChanges, _), .step(.subscribe, _): false
        case .step(.aggregate(let aggregate), let below): aggregate.window != nil || below.hasWindowedKeys
        case .step(_, let below): below.hasWindowedKeys
        case .join(_, let left, _): left.hasWindowedKeys
        case .union(let nodes): nodes.allSatisfy(\.hasWindowedKeys)
        }
    }

    /// Types of the columns that the node yields.
    var outputTypes: [SQLType] {
        switch self {
        case .input(let input): return input.columns.map { StageInput.type(of: $0, in: input) }
        case .step(let step, let below):
            let types = below.outputTypes
            switch step {
            case .filter, .materialize, .suppress: return types
            case .project(let expressions, _), .selectKey(let expressions, _, _): return expressions.map(\.type)
            case .flatMap(let calls): return types + calls.map(\.type)
            case .groupChanges(let keys, let arguments, _):
                return keys.map(\.type) + [.boolean, .boolean] + arguments.map(\.type) + arguments.map(\.type)
            case .aggregate(let aggregate):
                return types[..<aggregate.keyCount] + aggregate.calls.map(\.type) + (aggregate.window == nil ? [] : [.bigint, .bigint])
            case .subscribe(let keyCount, let foreignKeyCount, _):
                return types[keyCount..<keyCount + foreignKeyCount] + types[..<keyCount] + types[(keyCount + foreignKeyCount)...] + [.bigint, .integer]
            case .resolve: return types.dropLast(2)
            }
        case .join(let join, let left, let right):
            let types = left.outputTypes
            return types + right.outputTypes + join.leftKeys.map { types[$0] }
        case .union(let nodes): return nodes[0].outputTypes
        }
    }
}

/// What a store holds: two plans with equal shapes can use the same changelog.
struct StateShape: Equatable {
    var step: PhysicalOperator?
    var join: PhysicalPlan.Join?
    /// Types of the columns that come in.
    var types: [SQLType]
}

extension PhysicalPlan {
    /// The plan's stores by name.
    var states: [String: StateShape] {
        var out: [String: StateShape] = [:]
        func visit(_ node: Node) {
            switch node {
            case .input: break
            case .step(let step, let below):
                visit(below)
                switch step {
                case .materialize(let name, _): out[name] = StateShape(step: step, types: below.outputTypes)
                case .aggregate(let aggregate): out[aggregate.step] = StateShape(step: step, types: below.outputTypes)
                case .resolve(let name, _): out[name] = StateShape(step: step, types: below.outputTypes)
                default: break
                }
            case .join(let join, let left, let right):
                visit(left)
                visit(right)
                let shape = StateShape(join: join, types: left.outputTypes + right.outputTypes)
                for store in OperatorTree.stores(of: join) { out[store] = shape }
            case .union(let nodes): for node in nodes { visit(node) }
            }
        }
        for stage in stages { visit(stage.root) }
        return out
    }
}
