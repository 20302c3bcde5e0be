import MartletColumns
import MartletCore

/// Groups: what is computed of each row, the topic that brings a group together, the aggregation.
extension PhysicalPlanner {
    mutating func lower(_ node: LogicalPlan.Aggregation) -> Open {
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
                    step: step("Aggregate-Aggregate-Materialize"), keyCount: keys.count, calls: calls, window: node.window, undoes: node.undoes)))
        if node.isFinal, let window = node.window { open.append(.suppress(step: step("Aggregate-Suppress"), graceMs: window.graceMs)) }
        open.place = Array(node.fields.indices)
        open.width = open.place.count
        return open
    }

    /// A name for state and internal topics that no other step of the query has; the same for the same statement.
    mutating func step(_ name: String) -> String {
        let count = steps[name, default: 0]
        steps[name] = count + 1
        return count == 0 ? name : "\(name)-\(count + 1)"
    }

    /// The same for steps that end in a topic: these may be called as the operator that reads them.
    mutating func topicStep(_ name: String) -> String {
        let made = step(name + "-repartition")
        let number = made.dropFirst(name.utf8.count + "-repartition".utf8.count)
        return name + number
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
        let step = step("Aggregate-GroupBy")
        let output = PhysicalPlan.Repartition(
            step: step, keyFields: key, keyFormat: repartition.keyFormat, valueFields: value, valueFormat: valueFormat,
            partitionsOfTopic: repartition.partitionsOfTopic)
        end(before.root, .repartition(output))
        return PhysicalPlan.Input(
            topic: .repartition(step: step), kind: .stream, keyFields: key, keyFormat: repartition.keyFormat, valueFields: value,
            valueFormat: valueFormat, columns: key.indices.map { .key($0) } + value.indices.map { .value($0) })
    }
}
