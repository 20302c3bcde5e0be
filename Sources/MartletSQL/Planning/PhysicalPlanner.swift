import MartletColumns
import MartletCore

/// Cuts a logical plan into stages: a new one begins behind each repartition topic.
struct PhysicalPlanner {
    var throwsOnInvalidTimestamp: Bool
    /// One task reads all partitions.
    var isTransient: Bool
    var stages: [PhysicalPlan.Stage] = []
    /// How often each name of a step was given.
    var steps: [String: Int] = [:]

    init(throwsOnInvalidTimestamp: Bool, isTransient: Bool) {
        self.throwsOnInvalidTimestamp = throwsOnInvalidTimestamp
        self.isTransient = isTransient
    }

    /// The stage under construction: what it has done so far.
    struct Open {
        var root: PhysicalPlan.Node
        /// Where the logical plan's columns are among those of the last operator.
        var place: [Int]
        var width: Int

        mutating func append(_ step: PhysicalOperator) { root = .step(step, of: root) }
    }

    mutating func plan(_ logical: LogicalPlan, output: PhysicalPlan.Output) -> [PhysicalPlan.Stage] {
        let open = lower(logical)
        end(open.root, output)
        return stages
    }

    /// Ends a stage; a union in it ends in as many stages with the same output.
    mutating func end(_ root: PhysicalPlan.Node, _ output: PhysicalPlan.Output) {
        for one in isTransient ? [root] : Self.alternatives(root) { stages.append(PhysicalPlan.Stage(root: one, output: output)) }
    }

    private static func alternatives(_ node: PhysicalPlan.Node) -> [PhysicalPlan.Node] {
        switch node {
        case .union(let nodes): nodes.flatMap(alternatives)
        case .step(let step, let below): alternatives(below).map { .step(step, of: $0) }
        case .input, .join: [node]
        }
    }

    mutating func lower(_ plan: LogicalPlan) -> Open {
        switch plan {
        case .scan(let scan):
            let input = input(scan)
            return Open(root: .input(input), place: Array(scan.columns.indices), width: input.columns.count)
        case .filter(let below, let condition, let text):
            var open = lower(below)
            open.append(.filter(condition.remapped { open.place[$0] }, text: text))
            return open
        case .flatMap(let below, let calls):
            var open = lower(below)
            let moved = calls.map { call in
                var call = call
                call.arguments = call.arguments.map { $0.remapped { open.place[$0] } }
                return call
            }
            open.append(.flatMap(moved))
            open.place += calls.indices.map { open.width + $0 }
            open.width += calls.count
            return open
        case .selectKey(let below, let keys, let names):
            var open = lower(below)
            let fields = below.fields
            let all = keys.map { $0.remapped { open.place[$0] } } + fields.indices.map { .column(open.place[$0], fields[$0].type) }
            open.append(.selectKey(all, names: names + fields.map(\.name), keyCount: keys.count))
            open.place = Array(all.indices)
            open.width = all.count
            return open
        case .project(let below, let expressions, let names):
            var open = lower(below)
            open.append(.project(expressions.map { $0.remapped { open.place[$0] } }, names: names))
            open.place = Array(expressions.indices)
            open.width = expressions.count
            return open
        case .join(let join): return lower(join)
        case .materialize(let below, let step, let keyCount):
            var open = lower(below)
            open.append(.materialize(step: self.step(step), keyCount: keyCount))
            return open
        case .aggregate(let node): return lower(node)
        case .union(let inputs):
            // Each part ends in a projection: columns have the same places in all.
            let parts = inputs.map { lower($0) }
            return Open(root: .union(parts.map(\.root)), place: parts[0].place, width: parts[0].width)
        case .ended(let below, let ending, let limit): return ended(below, ending, limit)
        }
    }

    /// Ends a stage whose rows are held until all are there, and begins the one that takes them.
    private mutating func ended(_ below: LogicalPlan, _ ending: PhysicalPlan.Ending, _ limit: Int64?) -> Open {
        let open = lower(below), fields = below.fields
        let columns = fields.indices.map { BoundExpression.column(open.place[$0], fields[$0].type) }
        let step = topicStep("Ended"), none = FormatSpec(.none), json = FormatSpec(.json)
        let topic = PhysicalPlan.Repartition(
            step: step, keyFields: [], keyFormat: none, valueFields: fields, valueFormat: json, partitionsOfTopic: "")
        stages.append(
            PhysicalPlan.Stage(
                root: .step(.project(columns, names: fields.map(\.name)), of: open.root), output: .repartition(topic), ending: ending, limit: limit))
        let input = PhysicalPlan.Input(
            topic: .repartition(step: step), kind: .stream, keyFields: [], keyFormat: none, valueFields: fields, valueFormat: json,
            columns: fields.indices.map { .value($0) })
        return Open(root: .input(input), place: Array(fields.indices), width: fields.count)
    }

    func isRowTime(_ plan: LogicalPlan, _ index: Int) -> Bool {
        switch plan {
        case .scan(let scan): scan.columns[index].source == .rowTime
        case .filter(let input, _, _): isRowTime(input, index)
        // The result of a stream-table join keeps the stream's time; that of other joins is the later one.
        case .join(let join): join.method == .streamTable && index < join.left.width && isRowTime(join.left, index)
        case .materialize(let input, _, _): isRowTime(input, index)
        case .flatMap, .selectKey, .project, .aggregate, .union, .ended: false
        }
    }

    private func input(_ scan: LogicalPlan.Scan) -> PhysicalPlan.Input {
        let source = scan.source
        var columns = scan.columns.map(\.source)
        var timestamp: PhysicalPlan.Input.Timestamp?
        if let wanted = source.timestamp {
            let from: PhysicalPlan.Input.ColumnSource? =
                source.schema.key.firstIndex { $0.name == wanted.column }.map { .key($0) }
                ?? source.schema.value.firstIndex { $0.name == wanted.column }.map { .value($0) }
            if let from {
                let index = columns.firstIndex(of: from) ?? columns.count
                if index == columns.count { columns.append(from) }
                timestamp = .init(column: index, format: wanted.format, throwOnInvalid: throwsOnInvalidTimestamp)
            }
        }
        return PhysicalPlan.Input(
            topic: .source(name: source.name, topic: source.topic), kind: source.kind, keyFields: source.schema.key, keyFormat: source.keyFormat,
            valueFields: source.schema.value, valueFormat: source.valueFormat, columns: columns, notNullValues: scan.notNullValues,
            timestamp: timestamp, window: source.window)
    }
}
