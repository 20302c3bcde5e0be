import MartletColumns
import MartletCore

/// A plan as EXPLAIN prints it: the last step first, each step below the one that takes its rows (ksqlDB, "EXPLAIN").
///
/// ```
///  > [ SINK ] | Schema: `ID` BIGINT KEY, `NAME` STRING | Topic: S1 | Formats: KAFKA, AVRO
/// 	 > [ PROJECT ] | Schema: `ID` BIGINT, `NAME` STRING | Columns: ID, UCASE(NAME)
/// 		 > [ FILTER ] | Condition: (ID > 5)
/// 			 > [ SOURCE ] | Schema: `ID` BIGINT, `NAME` STRING | Stream: TEST | Topic: test | Formats: KAFKA, JSON
/// ```
/// Both sides of a join are equally deep; what writes an internal topic stands below what reads it.
public enum Explain {
    public static func text(_ plan: PhysicalPlan) -> String {
        var lines: [Line] = []
        for last in plan.stages {
            if case .repartition = last.output { continue }
            var head = output(last.output)
            let (below, names) = tree(last.root, 1, plan)
            if case .results = last.output { head += treatment(plan.ending, plan.limit, names) }
            // What UNION ALL puts together is written to the same topic.
            if lines.isEmpty || lines[0].text != head { lines.append(Line(depth: 0, text: head)) }
            lines += below
        }
        return lines.map { "\(String(repeating: "\t", count: $0.depth)) > \($0.text)" }.joined(separator: "\n") + "\n"
    }

    /// What becomes of rows once all are there.
    private static func treatment(_ ending: PhysicalPlan.Ending?, _ limit: Int64?, _ names: [String]) -> String {
        var text = ""
        if let ending {
            if let newest = ending.newest { text += " | Newest of: \(newest.isEmpty ? "all" : newest.map { names[$0] }.joined(separator: ", "))" }
            if ending.isDistinct { text += " | Distinct" }
            let order = ending.order.map { "\(names[$0.column])\($0.isDescending ? " DESC" : "") NULLS \($0.nullsFirst ? "FIRST" : "LAST")" }
            if !order.isEmpty { text += " | Order: \(order.joined(separator: ", "))" }
            if ending.offset > 0 { text += " | Offset: \(ending.offset)" }
        }
        return text + (limit.map { " | Limit: \($0)" } ?? "")
    }

    private struct Line {
        var depth: Int
        var text: String
    }

    /// The lines of a node, from the last operator down to the topics read (both sides of a join equally deep), and the names of its output columns.
    private static func tree(_ node: PhysicalPlan.Node, _ depth: Int, _ plan: PhysicalPlan) -> (lines: [Line], names: [String]) {
        switch node {
        case .input(let description):
            var lines = [Line(depth: depth, text: input(description))]
            // What writes an internal topic stands below what reads it.
            if case .repartition(let step) = description.topic {
                let writers = plan.stages.filter { if case .repartition(let topic) = $0.output { topic.step == step } else { false } }
                let below = writers.map { tree($0.root, depth + 2, plan) }
                if let first = writers.first {
                    lines.append(Line(depth: depth + 1, text: output(first.output) + treatment(first.ending, first.limit, below[0].names)))
                }
                for writer in below { lines += writer.lines }
            }
            return (lines, inputNames(description))
        case .step(let step, let below):
            var (lines, names) = tree(below, depth + 1, plan)
            lines.insert(Line(depth: depth, text: text(step, &names)), at: 0)
            return (lines, names)
        case .union(let nodes):
            let trees = nodes.map { tree($0, depth + 1, plan) }
            return ([Line(depth: depth, text: "[ UNION ]")] + trees.flatMap(\.lines), trees[0].names)
        case .join(let join, let left, let right):
            let (leftLines, leftNames) = tree(left, depth + 1, plan), (rightLines, rightNames) = tree(right, depth + 1, plan)
            let keys = zip(join.leftKeys, join.rightKeys).map { "\(leftNames[$0]) = \(rightNames[$1])" }.joined(separator: ", ")
            var head = "[ \(join.kind == .inner ? "" : join.kind.rawValue.uppercased() + " ")JOIN ] | Key: \(keys)\(bounds(join.method))"
            if let condition = join.condition { head += " | Condition: \(BoundText(names: leftNames + rightNames)(condition))" }
            return ([Line(depth: depth, text: head)] + leftLines + rightLines, leftNames + rightNames + join.leftKeys.map { leftNames[$0] })
        }
    }

    private static func bounds(_ method: PhysicalPlan.Join.Method) -> String {
        if case .foreignKey = method { return " | Foreign key" }
        guard case .streamStream(let before, let after, let grace) = method else { return "" }
        return " | Within: \(before) ms before, \(after) ms after" + (grace.map { ", grace \($0) ms" } ?? "")
    }

    private static func schema(_ fields: [Field]) -> String {
        fields.map { "\(SQLType.quoted($0.name)) \($0.type)" }.joined(separator: ", ")
    }

    private static func output(_ output: PhysicalPlan.Output) -> String {
        switch output {
        case .sink(let sink):
            var line = "[ SINK ] | Schema: \(Schema(key: sink.keyFields, value: sink.valueFields)) | Topic: \(sink.topic)"
            line += " | Formats: \(format(sink.keyFormat)), \(format(sink.valueFormat))"
            if let timestamp = sink.timestamp { line += " | Timestamp: \((sink.keyFields + sink.valueFields)[timestamp.column].name)" }
            return line
        case .repartition(let topic):
            return "[ REPARTITION ] | Schema: \(Schema(key: topic.keyFields, value: topic.valueFields)) | Step: \(topic.step)"
                + " | Formats: \(format(topic.keyFormat)), \(format(topic.valueFormat)) | Partitions of: \(topic.partitionsOfTopic)"
        case .results(let fields, _): return "[ RESULTS ] | Schema: \(schema(fields))"
        }
    }

    private static func input(_ input: PhysicalPlan.Input) -> String {
        let fields = inputFields(input)
        var line: String
        switch input.topic {
        case .source(let name, let topic):
            line = "[ \(input.window == nil ? "" : "WINDOWED ")SOURCE ] | Schema: \(schema(fields)) | \(input.kind == .stream ? "Stream" : "Table"): \(name) | Topic: \(topic)"
        case .repartition(let step): line = "[ REPARTITION SOURCE ] | Schema: \(schema(fields)) | Step: \(step)"
        }
        line += " | Formats: \(format(input.keyFormat)), \(format(input.valueFormat))"
        if !input.notNullValues.isEmpty { line += " | Not null: \(input.notNullValues.map { input.valueFields[$0].name }.joined(separator: ", "))" }
        if let timestamp = input.timestamp { line += " | Timestamp: \(fields[timestamp.column].name)" }
        return line
    }

    private static func format(_ spec: FormatSpec) -> String {
        let properties = spec.properties.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let extra = properties + (spec.unwrapSingle && spec.kind != .kafka ? ["unwrapped"] : [])
        return spec.kind.rawValue + (extra.isEmpty ? "" : "(\(extra.joined(separator: ", ")))")
    }

    private static func inputFields(_ input: PhysicalPlan.Input) -> [Field] {
        input.columns.map { column in
            switch column {
            case .key(let index): input.keyFields[index]
            case .value(let index): input.valueFields[index]
            case .rowTime: Field(PseudoColumns.rowTime, .bigint)
            case .rowPartition: Field(PseudoColumns.rowPartition, .integer)
            case .rowOffset: Field(PseudoColumns.rowOffset, .bigint)
            case .windowStart: Field(PseudoColumns.windowStart, .bigint)
            case .windowEnd: Field(PseudoColumns.windowEnd, .bigint)
            case .headers: Field("HEADERS", .array(.structure([Field("KEY", .string), Field("VALUE", .bytes)])))
            case .header(let key): Field("HEADER(\(key))", .bytes)
            }
        }
    }

    private static func inputNames(_ input: PhysicalPlan.Input) -> [String] { inputFields(input).map(\.name) }

    /// The line of an operator; `names` are those of its input columns, then those of its output.
    private static func text(_ step: PhysicalOperator, _ names: inout [String]) -> String {
        switch step {
        case .filter(let condition, _): return "[ FILTER ] | Condition: \(BoundText(names: names)(condition))"
        case .project(let expressions, let outputs):
            let line = columns("PROJECT", expressions, outputs, names)
            names = outputs
            return line
        case .selectKey(let expressions, let outputs, let keyCount):
            let key = expressions[..<keyCount].map { BoundText(names: names)($0) }
            names = outputs
            return "[ REKEY ] | Schema: \(schema(zip(outputs, expressions).map { Field($0, $1.type) })) | Key: \(key.isEmpty ? "NULL" : key.joined(separator: ", "))"
        case .materialize(let step, _): return "[ TABLE ] | Store: \(step)"
        case .groupChanges(let keys, let arguments, let outputs):
            let line = "[ GROUP_BY ] | Keys: \(list(keys, names)) | Arguments: \(list(arguments, names))"
            names = outputs
            return line
        case .aggregate(let aggregate):
            let calls = aggregate.calls.map { call in
                "\(call.name)(\((call.arguments.map { names[$0] } + call.constants.map { BoundText.literal($0) }).joined(separator: ", ")))"
            }
            let keys = names[..<aggregate.keyCount]
            names = keys + calls + (aggregate.window == nil ? [] : [PseudoColumns.windowStart, PseudoColumns.windowEnd])
            return "[ \(aggregate.window == nil ? "" : "WINDOWED ")AGGREGATE ] | Keys: \(keys.joined(separator: ", ")) | Functions: \(calls.joined(separator: ", "))"
                + (aggregate.window.map { " | Window: \(text($0))" } ?? "")
        case .suppress(_, let grace): return "[ SUPPRESS ] | Until the window closes, grace \(grace) ms"
        case .subscribe(let keyCount, let foreignKeyCount, _):
            let key = names[..<keyCount], foreign = names[keyCount..<keyCount + foreignKeyCount]
            let line = "[ SUBSCRIBE ] | Key: \(key.joined(separator: ", ")) | Foreign key: \(foreign.joined(separator: ", "))"
            names = foreign + key + names[(keyCount + foreignKeyCount)...] + ["VERSION", "CHANGE"]
            return line
        case .resolve(_, let keyCount):
            names.removeLast(2)
            return "[ RESOLVE ] | Key: \(names[..<keyCount].joined(separator: ", "))"
        case .flatMap(let calls):
            let texts = calls.map { call in "\(call.name)(\(call.arguments.map { BoundText(names: names)($0) }.joined(separator: ", ")))" }
            names += calls.indices.map { "KSQL_SYNTH_\($0)" }
            return "[ FLAT_MAP ] | Functions: \(texts.joined(separator: ", "))"
        }
    }

    private static func list(_ expressions: [BoundExpression], _ names: [String]) -> String {
        expressions.map { BoundText(names: names)($0) }.joined(separator: ", ")
    }

    private static func text(_ window: PhysicalOperator.Window) -> String {
        let kind =
            switch window.kind {
            case .tumbling(let size): "TUMBLING, size \(size) ms"
            case .hopping(let size, let advance): "HOPPING, size \(size) ms, advance \(advance) ms"
            case .session(let gap): "SESSION, gap \(gap) ms"
            }
        return "\(kind), grace \(window.graceMs) ms, retention \(window.retentionMs) ms"
    }

    private static func columns(_ what: String, _ expressions: [BoundExpression], _ outputs: [String], _ names: [String]) -> String {
        let list = zip(outputs, expressions).map { name, expression in
            let text = BoundText(names: names)(expression)
            return text == name ? text : "\(text) AS \(name)"
        }
        return "[ \(what) ] | Schema: \(schema(zip(outputs, expressions).map { Field($0, $1.type) })) | Columns: \(list.joined(separator: ", "))"
    }
}

/// The SQL of a typed expression, given the names of its input columns; conversions that the planner added are shown as casts.
struct BoundText {
    var names: [String]

    func callAsFunction(_ expression: BoundExpression) -> String {
        switch expression {
        case .column(let index, _): index < names.count ? names[index] : "#\(index)"
        case .literal(let value, _): Self.literal(value)
        case .arithmetic(let op, let a, let b, _): "(\(self(a)) \(op.rawValue) \(self(b)))"
        case .negate(let e, _): "-\(self(e))"
        case .compare(let op, let a, let b): "(\(self(a)) \(op.rawValue) \(self(b)))"
        case .and(let a, let b): "(\(self(a)) AND \(self(b)))"
        case .or(let a, let b): "(\(self(a)) OR \(self(b)))"
        case .not(let e): "(NOT \(self(e)))"
        case .isNull(let e): "(\(self(e)) IS NULL)"
        case .isNotNull(let e): "(\(self(e)) IS NOT NULL)"
        case .isIn(let e, let options): "(\(self(e)) IN (\(list(options))))"
        case .like(let e, let pattern, let escape): "(\(self(e)) LIKE \(self(pattern))\(escape.map { " ESCAPE \(SQLFormatter.string($0))" } ?? ""))"
        case .searchedCase(let branches, let otherwise, _):
            "(CASE" + branches.map { " WHEN \(self($0.condition)) THEN \(self($0.result))" }.joined()
                + (otherwise.map { " ELSE \(self($0))" } ?? "") + " END)"
        case .cast(let e, let type): "CAST(\(self(e)) AS \(type))"
        case .call(let name, let arguments, _), .model(let name, let arguments, _): "\(name)(\(list(arguments)))"
        case .subscript_(let e, let index, _): "\(self(e))[\(self(index))]"
        case .field(let e, let name, _): "\(self(e))->\(name)"
        case .array(let elements, _): "ARRAY[\(list(elements))]"
        case .map(let keys, let values, _): "MAP(\(zip(keys, values).map { "\(self($0)):=\(self($1))" }.joined(separator: ", ")))"
        case .structure(let names, let values, _): "STRUCT(\(zip(names, values).map { "\($0):=\(self($1))" }.joined(separator: ", ")))"
        case .lambda(let parameters, let body): "(\(parameters.map(\.name).joined(separator: ", "))) => \(self(body))"
        case .variable(let name, _): name
        }
    }

    private func list(_ expressions: [BoundExpression]) -> String { expressions.map { self($0) }.joined(separator: ", ") }

    static func literal(_ value: SQLValue) -> String {
        switch value {
        case .null: "null"
        case .boolean(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .bigint(let value): String(value)
        case .double(let value): value.javaDescription
        case .decimal(let value): value.description
        case .string(let value): SQLFormatter.string(value)
        case .bytes(let bytes): "BYTES(\(bytes.count))"
        case .date(let days): "DATE(\(days))"
        case .time(let ms): "TIME(\(ms))"
        case .timestamp(let ms): "TIMESTAMP(\(ms))"
        case .array(let values): "ARRAY[\(values.map { literal($0) }.joined(separator: ", "))]"
        case .map(let entries): "MAP(\(entries.map { "\(literal($0.key)):=\(literal($0.value))" }.joined(separator: ", ")))"
        case .structure(let fields): "STRUCT(\(fields.map { "\($0.name):=\(literal($0.value))" }.joined(separator: ", ")))"
        }
    }
}
