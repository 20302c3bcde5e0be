import MartletColumns
import MartletCore

extension PhysicalPlanner {
    /// The stage of a join: both sides' operators, or topics that earlier stages write, then the join.
    mutating func lower(_ join: LogicalPlan.Join) -> Open {
        var join = join
        // A subquery may have a join of its own.
        join.step = step(join.step)
        if let foreign = join.foreign { return lower(join, foreign) }
        let (left, leftKeys) = side(join.left, join.leftKeys, join.keyNames, join.carriedLeft, join.leftRepartition)
        let (right, rightKeys) = side(join.right, join.rightKeys, join.keyNames, join.carriedRight, join.rightRepartition)
        let place = left.place + right.place.map { $0 + left.width }
        var open = Open(
            root: .join(node(join, leftKeys, rightKeys, place), left: left.root, right: right.root), place: place, width: left.width + right.width)
        open.place += leftKeys.indices.map { open.width + $0 }
        open.width += leftKeys.count
        return open
    }

    private func node(_ join: LogicalPlan.Join, _ left: [Int], _ right: [Int], _ place: [Int]) -> PhysicalPlan.Join {
        PhysicalPlan.Join(
            step: join.step, kind: join.kind, method: join.method, leftKeys: left, rightKeys: right,
            condition: join.condition.map { $0.remapped { place[$0] } }, conditionText: join.conditionText ?? "")
    }

    /// One side of a join, and where its keys are among its columns.
    private mutating func side(
        _ plan: LogicalPlan, _ keys: [BoundExpression], _ names: [String], _ carried: Set<Int>?, _ repartition: LogicalPlan.Repartition?
    ) -> (Open, [Int]) {
        var open = lower(plan)
        if let repartition {
            open = cut(open, plan, keys, names, carried, repartition)
            return (open, Array(keys.indices))
        }
        var columns: [Int] = []
        for key in keys { if case .column(let index, _) = key { columns.append(open.place[index]) } }
        if columns.count == keys.count { return (open, columns) }
        // Keys that are no columns are computed behind them.
        let fields = plan.fields
        let all = fields.indices.map { BoundExpression.column(open.place[$0], fields[$0].type) } + keys.map { $0.remapped { open.place[$0] } }
        open.append(.project(all, names: fields.map(\.name) + keys.indices.map { "KEY_\($0)" }))
        open.place = Array(fields.indices)
        open.width = all.count
        return (open, keys.indices.map { fields.count + $0 })
    }

    /// Ends the stage in a topic that is partitioned by `keys`, and begins the one that reads it: first the keys, then what is needed above.
    private mutating func cut(
        _ before: Open, _ plan: LogicalPlan, _ keys: [BoundExpression], _ names: [String], _ carried: Set<Int>?,
        _ repartition: LogicalPlan.Repartition
    ) -> Open {
        let fields = plan.fields
        // Windows are part of the key's bytes, not columns of their own.
        let keyFields = zip(names, keys).filter { name, _ in repartition.window == nil || !PseudoColumns.isWindowBound(name) }.map { Field($0, $1.type) }
        let keyed = Array(keys.prefix(keyFields.count))
        var columns: [PhysicalPlan.Input.ColumnSource] = keyFields.indices.map { .key($0) }
        for (name, _) in zip(names, keys).dropFirst(keyFields.count) { columns.append(name == PseudoColumns.windowStart ? .windowStart : .windowEnd) }
        var valueFields: [Field] = [], kept: [BoundExpression] = []
        var place: [Int] = []
        var taken = Set(keyFields.map(\.name))
        for (index, field) in fields.enumerated() {
            // A key is there already; what nothing uses stays behind.
            if let key = keys.firstIndex(of: .column(index, field.type)) {
                place.append(key)
            } else if !(carried?.contains(index) ?? true) {
                place.append(0)
            } else if isRowTime(plan, index) {
                // The record's timestamp travels with the record.
                place.append(columns.count)
                columns.append(.rowTime)
            } else {
                place.append(columns.count)
                columns.append(.value(valueFields.count))
                valueFields.append(Field(Self.free(field.name, &taken), field.type))
                kept.append(.column(before.place[index], field.type))
            }
        }
        let expressions = keyed.map { $0.remapped { before.place[$0] } } + kept
        let outputs = (keyFields + valueFields).map(\.name)
        // Rows that are only written again keep their windows, and tables' rows without a value stay deletions.
        let isKeyNew = repartition.kind == .stream && repartition.window == nil
        let step: PhysicalOperator =
            isKeyNew ? .selectKey(expressions, names: outputs, keyCount: keyFields.count) : .project(expressions, names: outputs)
        // Columns that the source's format cannot hold (headers as DELIMITED), or none at all, travel as JSON.
        let fits = !valueFields.isEmpty && FormatRules.reason(repartition.valueFormat.kind, valueFields, .value) == nil
        return cross(
            .step(step, of: before.root),
            PhysicalPlan.Repartition(
                step: repartition.step, keyFields: keyFields, keyFormat: repartition.keyFormat, valueFields: valueFields,
                valueFormat: fits ? repartition.valueFormat : FormatSpec(.json), partitionsOfTopic: repartition.partitionsOfTopic,
                window: repartition.window),
            kind: repartition.kind, columns: columns, place: place)
    }

    private mutating func cross(
        _ root: PhysicalPlan.Node, _ topic: PhysicalPlan.Repartition, kind: Statement.SourceKind,
        columns: [PhysicalPlan.Input.ColumnSource], place: [Int]
    ) -> Open {
        var topic = topic
        topic.step = topicStep(topic.step)
        end(root, .repartition(topic))
        let input = PhysicalPlan.Input(
            topic: .repartition(step: topic.step), kind: kind, keyFields: topic.keyFields, keyFormat: topic.keyFormat, valueFields: topic.valueFields,
            valueFormat: topic.valueFormat, columns: columns, window: topic.window)
        return Open(root: .input(input), place: place, width: columns.count)
    }

    private static func free(_ name: String, _ taken: inout Set<String>) -> String {
        var out = name, n = 1
        while !taken.insert(out).inserted {
            out = "\(name)_\(n)"
            n += 1
        }
        return out
    }

    // MARK: foreign keys

    /// Left changes become subscriptions, which go to where the right table's row of that key is; answers come back to where the left row is.
    private mutating func lower(_ join: LogicalPlan.Join, _ foreign: LogicalPlan.Join.Foreign) -> Open {
        let leftFields = join.left.fields, rightFields = join.right.fields
        let keyCount = foreign.primaryKeys.count, foreignCount = join.leftKeys.count
        var open = lower(join.left)
        if let repartition = join.leftRepartition {
            let used = join.carriedLeft.map { carried in join.leftKeys.reduce(into: carried) { $0.formUnion($1.columns) } }
            open = cut(open, join.left, foreign.primaryKeys, join.keyNames, used, repartition)
        }

        // 1. The left table: key, foreign key, carried columns.
        let carried = leftFields.indices.filter { (join.carriedLeft?.contains($0) ?? true) && !foreign.primaryKeys.contains(.column($0, leftFields[$0].type)) }
        var taken: Set<String> = ["VERSION", "CHANGE"]
        let foreignFields = zip(foreign.keyNames, join.leftKeys).map { Field(Self.free($0, &taken), $1.type) }
        let keyFields = zip(join.keyNames, foreign.primaryKeys).map { Field(Self.free($0, &taken), $1.type) }
        let carriedFields = carried.map { Field(Self.free(leftFields[$0].name, &taken), leftFields[$0].type) }
        let expressions = (foreign.primaryKeys + join.leftKeys).map { $0.remapped { open.place[$0] } } + carried.map { .column(open.place[$0], leftFields[$0].type) }
        var root = PhysicalPlan.Node.step(.project(expressions, names: (keyFields + foreignFields + carriedFields).map(\.name)), of: open.root)
        root = .step(.materialize(step: join.step + "-Left", keyCount: keyCount), of: root)
        root = .step(.subscribe(keyCount: keyCount, foreignKeyCount: foreignCount, isLeft: join.kind == .left), of: root)
        let flags = [Field("VERSION", .bigint), Field("CHANGE", .integer)]
        let subscription = foreignFields + keyFields + carriedFields + flags
        let json = FormatSpec(.json)
        func keyFormat(_ format: FormatSpec, _ fields: [Field]) -> FormatSpec {
            var own = FormatSpec(format.kind, properties: FormatRules.inheritedProperties(format))
            own.unwrapSingle = FormatRules.unwrapsKey(own.kind, columns: fields.count)
            return own
        }
        // Keys of several columns have the names, and so the bytes, of those they are to meet.
        func renamed(_ fields: [Field], _ names: [String]) -> [Field] {
            names.count == fields.count && names.count > 1 ? zip(names, fields).map { Field($0, $1.type) } : fields
        }
        if foreign.crossesTopics {
            root = cross(
                root,
                PhysicalPlan.Repartition(
                    step: join.step + "-subscription-topic", keyFields: renamed(foreignFields, foreign.keyFieldNames), keyFormat: keyFormat(foreign.keyFormat, foreignFields),
                    valueFields: keyFields + carriedFields + flags, valueFormat: json, partitionsOfTopic: foreign.partitionsOfTopic),
                kind: .stream, columns: foreignFields.indices.map { .key($0) } + (keyFields + carriedFields + flags).indices.map { .value($0) }, place: []
            ).root
        }

        // 2. Subscriptions meet the right table.
        let (right, rightKeys) = side(join.right, join.rightKeys, foreign.keyNames, join.carriedRight, join.rightRepartition)
        let leftWidth = subscription.count
        var leftPlace = [Int](repeating: 0, count: leftFields.count)
        for (offset, index) in carried.enumerated() { leftPlace[index] = foreignCount + keyCount + offset }
        for (offset, key) in foreign.primaryKeys.enumerated() { if case .column(let index, _) = key { leftPlace[index] = foreignCount + offset } }
        let met = leftPlace + right.place.map { $0 + leftWidth }
        root = .join(node(join, Array(0..<foreignCount), rightKeys, met), left: root, right: right.root)

        // 3. Answers go back by the left table's key.
        let rightCarried = rightFields.indices.filter { join.carriedRight?.contains($0) ?? true }
        taken = Set((keyFields + carriedFields).map(\.name) + ["VERSION", "FOUND"])
        let rightKept = rightCarried.map { Field(Self.free(rightFields[$0].name, &taken), rightFields[$0].type) }
        let answerFlags = [Field("VERSION", .bigint), Field("FOUND", .integer)]
        let values = carriedFields + rightKept + answerFlags
        let versionAt = foreignCount + keyCount + carried.count
        let answers: [BoundExpression] =
            keyFields.enumerated().map { .column(foreignCount + $0, $1.type) } + carriedFields.enumerated().map { .column(foreignCount + keyCount + $0, $1.type) }
            + rightCarried.map { .column(met[leftFields.count + $0], rightFields[$0].type) } + [.column(versionAt, .bigint), .column(versionAt + 1, .integer)]
        root = .step(.project(answers, names: (keyFields + values).map(\.name)), of: root)
        if foreign.crossesTopics {
            root = cross(
                root,
                PhysicalPlan.Repartition(
                    step: join.step + "-answer-topic", keyFields: renamed(keyFields, foreign.answerKeyFieldNames), keyFormat: keyFormat(foreign.answerKeyFormat, keyFields), valueFields: values,
                    valueFormat: json, partitionsOfTopic: foreign.answerPartitionsOfTopic),
                kind: .stream, columns: keyFields.indices.map { .key($0) } + values.indices.map { .value($0) }, place: []
            ).root
        }
        root = .step(.resolve(step: join.step + "-Resolve", keyCount: keyCount), of: root)

        // Left columns, right columns, keys.
        var place = [Int](repeating: 0, count: leftFields.count + rightFields.count)
        for (offset, index) in carried.enumerated() { place[index] = keyCount + offset }
        for (offset, key) in foreign.primaryKeys.enumerated() { if case .column(let index, _) = key { place[index] = offset } }
        for (offset, index) in rightCarried.enumerated() { place[leftFields.count + index] = keyCount + carried.count + offset }
        return Open(root: root, place: place + Array(0..<keyCount), width: keyCount + carried.count + rightCarried.count)
    }
}
