import MartletColumns
import MartletCore

/// Cuts a logical plan into stages: a new one begins behind each repartition topic.
struct PhysicalPlanner {
    var throwsOnInvalidTimestamp: Bool
    var stages: [PhysicalPlan.Stage] = []

    init(throwsOnInvalidTimestamp: Bool) { self.throwsOnInvalidTimestamp = throwsOnInvalidTimestamp }

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
        stages.append(PhysicalPlan.Stage(root: open.root, output: output))
        return stages
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
            open.append(.materialize(step: step, keyCount: keyCount))
            return open
        case .aggregate(let node): return lower(node)
        }
    }

    // MARK: groups

    private mutating func lower(_ node: LogicalPlan.Aggregation) -> Open {
        var open = lower(node.input)
        let keys = node.keys.map { $0.remapped { open.place[$0] } }, arguments = node.arguments.map { $0.remapped { open.place[$0] } }
        var names = node.names, fields = zip(node.names, keys + arguments).map { Field($0, $1.type) }
        if node.undoes {
            let values = Array(fields[keys.count...])
            fields = fields[..<keys.count] + ["ADDED", "REMOVED"].map { Field($0, .boolean) } + values
                + values.map { Field("OLD_\($0.name)", $0.type) }
            names = unique(fields.map(\.name))
            open.append(.groupChanges(keys: keys, arguments: arguments, names: names))
        } else if node.repartition != nil {
            open.append(.selectKey(keys + arguments, names: names, keyCount: keys.count))
        } else {
            open.append(.project(keys + arguments, names: names))
        }
        if let repartition = node.repartition {
            open.root = .input(cut(open, repartition, zip(names, fields).map { Field($0, $1.type) }, keyCount: keys.count))
        }
        let first = keys.count + (node.undoes ? 2 : 0)
        let calls = node.calls.map { call in
            var call = call
            call.arguments = call.arguments.map { first + $0 }
            return call
        }
        open.append(
            .aggregate(
                PhysicalOperator.Aggregate(
                    step: "Aggregate-Aggregate-Materialize", keyCount: keys.count, calls: calls, window: node.window, undoes: node.undoes)))
        if node.isFinal, let window = node.window { open.append(.suppress(step: "Aggregate-Suppress", graceMs: window.graceMs)) }
        open.place = Array(node.fields.indices)
        open.width = open.place.count
        return open
    }

    private func unique(_ names: [String]) -> [String] {
        var taken: Set<String> = []
        return names.map { name in
            var one = name, n = 1
            while !taken.insert(one).inserted {
                one = "\(name)_\(n)"
                n += 1
            }
            return one
        }
    }

    /// Ends the stage in a repartition topic keyed by the groups.
    ///
    /// - Returns: what the next stage reads.
    private mutating func cut(
        _ before: Open, _ repartition: LogicalPlan.Aggregation.Repartition, _ fields: [Field], keyCount: Int
    ) -> PhysicalPlan.Input {
        let key = Array(fields[..<keyCount]), value = Array(fields[keyCount...])
        // Columns that the source's format cannot hold, or none at all, travel as JSON.
        let fits = !value.isEmpty && FormatRules.reason(repartition.valueFormat.kind, value, .value) == nil
        let valueFormat = fits ? repartition.valueFormat : FormatSpec(.json)
        let step = "Aggregate-GroupBy"
        let output = PhysicalPlan.Repartition(
            step: step, keyFields: key, keyFormat: repartition.keyFormat, valueFields: value, valueFormat: valueFormat,
            partitionsOfTopic: repartition.partitionsOfTopic)
        stages.append(PhysicalPlan.Stage(root: before.root, output: .repartition(output)))
        return PhysicalPlan.Input(
            topic: .repartition(step: step), kind: .stream, keyFields: key, keyFormat: repartition.keyFormat, valueFields: value,
            valueFormat: valueFormat, columns: key.indices.map { .key($0) } + value.indices.map { .value($0) })
    }

    func isRowTime(_ plan: LogicalPlan, _ index: Int) -> Bool {
        switch plan {
        case .scan(let scan): scan.columns[index].source == .rowTime
        case .filter(let input, _, _): isRowTime(input, index)
        // The result of a stream-table join keeps the stream's time; that of other joins is the later one.
        case .join(let join): join.method == .streamTable && index < join.left.width && isRowTime(join.left, index)
        case .materialize(let input, _, _): isRowTime(input, index)
        case .flatMap, .selectKey, .project, .aggregate: false
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
