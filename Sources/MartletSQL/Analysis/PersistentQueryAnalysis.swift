import MartletColumns
import MartletCore

/// CREATE … AS SELECT and INSERT INTO … SELECT: a query that runs until it is terminated, and the source it fills.
struct PersistentQueryAnalysis {
    var catalog: Catalog
    var context: AnalysisContext
    var statement: Statement

    // MARK: CREATE … AS

    func createAs(_ create: CreateAs) throws(MartletError) -> AnalyzedStatement {
        let name = create.name.name, span = create.name.span
        let kindName = create.kind == .stream ? "stream" : "table"
        let existing = catalog.sources[name]
        if let existing {
            let existingKind = existing.kind == .stream ? "stream" : "table"
            if create.ifNotExists, !create.orReplace {
                return .nothingToDo(message: "Cannot add \(kindName) `\(name)`: A \(existingKind) with the same name already exists.")
            }
            guard create.orReplace, existing.kind == create.kind else {
                throw MartletError(
                    .alreadyExists, "Cannot add \(kindName) '\(name)': A \(existingKind) with the same name already exists", at: span,
                    hint: "CREATE OR REPLACE changes it, IF NOT EXISTS leaves it")
            }
        }
        let writers = catalog.writers(of: name)
        if create.orReplace, writers.count > 1 {
            throw MartletError(
                .badStatement,
                "REPLACE for sink \(SQLType.quoted(name)) is not supported because there are multiple queries writing into it: [\(writers.joined(separator: ", "))]",
                at: span)
        }
        if catalog.models[name] != nil {
            throw MartletError(.alreadyExists, "Cannot add \(kindName) '\(name)': a model with the same name already exists", at: span)
        }
        if let limit = create.query.limit {
            throw MartletError(.badStatement, "CREATE \(create.kind.rawValue) AS SELECT statements don't support LIMIT clause.", at: limit.span)
        }
        let properties = try SourceProperties(create.properties, place: .sink, span: span)
        // Names of formats are checked before the query, as ksqlDB does.
        for side in [Side.key, .value] {
            if let format = properties.formatName(side) { _ = try FormatRules.kind(format.text, at: format.span) }
        }
        let select = try QueryAnalysis(catalog: catalog, context: context, sink: name).analyze(create.query)
        if select.from.kind != create.kind {
            let produced = select.from.kind.rawValue
            throw MartletError(
                .badStatement,
                "Invalid result type. Your SELECT query produces a \(produced). Please use CREATE \(produced) AS SELECT statement instead.", at: span)
        }
        var sink = try sink(create, select, properties)
        let queryID = existing?.createdBy ?? "\(create.kind == .stream ? "CSAS" : "CTAS")_\(name)_\(context.nextQueryNumber)"
        sink.createdBy = queryID
        if let existing { try SchemaEvolution.check(from: existing, to: sink, at: span) }
        let plan = plan(select, sink)
        return .persistentQuery(
            AnalyzedQuery(
                queryID: queryID, sink: sink, isInsert: false,
                partitions: properties.partitions ?? context.partitions(select.from.left.topic), replicas: properties.replicas,
                retentionMs: properties.retentionMs, orReplace: create.orReplace, plan: plan, warnings: select.warnings))
    }

    /// The new source: formats and settings that the WITH clause does not give come from the query's left source.
    private func sink(
        _ create: CreateAs, _ select: AnalyzedSelect, _ properties: SourceProperties
    ) throws(MartletError) -> Source {
        let span = create.name.span
        let left = select.from.left
        let schema = Schema(key: select.keyOutputs.map(\.field), value: select.valueOutputs.map(\.field))

        if properties.text("KEY_FORMAT") != nil, schema.key.isEmpty, properties.text("KEY_FORMAT")?.uppercased() != "NONE" {
            throw MartletError(
                .invalidProperty, "Key format specified for stream without key columns.", at: properties.span("KEY_FORMAT"))
        }
        var key = try format(.key, properties, left.keyFormat)
        if select.isUnkeyed { key = FormatSpec(.none) }
        if key.kind == .none, !schema.key.isEmpty, properties.formatName(.key) == nil {
            key = FormatSpec(try FormatRules.kind(context.properties["ksql.persistence.default.format.key"] ?? "KAFKA", at: span))
        }
        var value = try format(.value, properties, left.valueFormat)
        key.unwrapSingle = FormatRules.unwrapsKey(key.kind, columns: schema.key.count)
        FormatRules.nameChosenSchema(&key, context)
        FormatRules.nameKeySchema(&key, source: create.name.name)
        FormatRules.nameChosenSchema(&value, context)
        let wrapping = try FormatRules.wrapSingleValue(
            value.kind, columns: schema.value.count, explicit: properties.boolean("WRAP_SINGLE_VALUE"), fallback: context.wrapSingleValues,
            at: properties.span("WRAP_SINGLE_VALUE"))
        value.unwrapSingle = wrapping.unwrap
        let keySpan = create.query.partitionBy.first?.span ?? span
        try FormatRules.checkNoMaps(inKey: schema.key, at: keySpan)
        try FormatRules.check(key, schema.key, side: .key, at: keySpan, features: key.featureNames)
        try FormatRules.check(value, schema.value, side: .value, at: span)
        let topic = properties.text("KAFKA_TOPIC") ?? (context.properties["ksql.output.topic.name.prefix"] ?? "") + create.name.name
        try checkRegistered(.key, schema.key, key, properties, topic)
        try checkRegistered(.value, schema.value, value, properties, topic)
        let sink = Source(
            name: create.name.name, kind: create.kind, schema: schema, topic: topic, keyFormat: key, valueFormat: value,
            timestamp: try TimestampRules.column(properties, schema), window: select.window, wrapSingleValue: wrapping.feature,
            statement: statement.text)
        return sink
    }

    private func format(_ side: Side, _ properties: SourceProperties, _ inherited: FormatSpec) throws(MartletError) -> FormatSpec {
        let kind: FormatKind
        if let given = properties.formatName(side) { kind = try FormatRules.kind(given.text, at: given.span) } else { kind = inherited.kind }
        return try FormatRules.spec(
            kind, try properties.formatProperties(side), side: side, inherited: kind == inherited.kind ? FormatRules.inheritedProperties(inherited) : [:])
    }

    /// *_SCHEMA_ID of a sink: the registered schema must begin with the query's columns.
    private func checkRegistered(
        _ side: Side, _ fields: [Field], _ format: FormatSpec, _ properties: SourceProperties, _ topic: String
    ) throws(MartletError) {
        let prefix = side == .key ? "KEY" : "VALUE"
        guard let id = properties.integer("\(prefix)_SCHEMA_ID") else { return }
        let span = properties.span("\(prefix)_SCHEMA_ID")
        let registered = try located(span) { () throws(MartletError) in
            try context.registeredFields("\(topic)-\(side.rawValue)", Int(id), format, side)
        }
        let changed = fields.enumerated().filter { $0.offset >= registered.count || registered[$0.offset] != $0.element }.map(\.element)
        if changed.isEmpty { return }
        throw MartletError(
            .schemaIncompatible,
            "The following \(side.rawValue) columns are changed, missing or reordered: \(FormatRules.columnList(changed, side)). Schema from schema registry is \(FormatRules.columnList(registered, side))",
            at: span)
    }

    // MARK: INSERT INTO … SELECT

    func insertInto(_ target: Identifier, _ list: [WithProperty], _ query: Query) throws(MartletError) -> AnalyzedStatement {
        guard let sink = catalog.sources[target.name] else {
            let hint = FromAnalysis(catalog: catalog, context: context).didYouMean(target.name)
            throw MartletError(.unknownSource, "Exception while preparing statement: \(statement.span.messagePrefix)\(target.name) does not exist.\(hint)", at: target.span)
        }
        if sink.kind != .stream {
            throw MartletError(.badStatement, "INSERT INTO can only be used to insert into a stream. \(sink.name) is a table.", at: target.span)
        }
        if sink.isSource { throw MartletError(.badStatement, "Cannot insert into read-only stream: \(sink.name)", at: target.span) }
        if !sink.headers.isEmpty {
            throw MartletError(.badStatement, "Cannot insert into \(sink.name) because it has header columns", at: target.span)
        }
        if let limit = query.limit { throw MartletError(.badStatement, "INSERT INTO statements don't support LIMIT clause.", at: limit.span) }
        let properties = try SourceProperties(list, place: .insert, span: target.span)
        let queryID = try queryID(properties)
        var select = try QueryAnalysis(catalog: catalog, context: context, sink: sink.name).analyze(query)
        if select.from.kind != .stream {
            throw MartletError(
                .badStatement, "Incompatible data sink and query result. Data sink (\(sink.name)) type is KSTREAM but select query result is KTABLE.", at: query.span)
        }
        if (select.window == nil) != (sink.window == nil) {
            throw MartletError(
                .badStatement, "Incompatible windows: the query's key is \(select.window == nil ? "not windowed" : "windowed"), that of \(sink.name) is not the same.",
                at: target.span)
        }
        try convert(&select, to: sink, at: target.span)
        return .persistentQuery(
            AnalyzedQuery(
                queryID: queryID, sink: sink, isInsert: true, partitions: nil, replicas: nil, retentionMs: nil, orReplace: false,
                plan: plan(select, sink), warnings: select.warnings))
    }

    private func queryID(_ properties: SourceProperties) throws(MartletError) -> String {
        guard let given = properties.text("QUERY_ID")?.uppercased() else { return "INSERTQUERY_\(context.nextQueryNumber)" }
        let span = properties.span("QUERY_ID")
        let prefixes = ["INSERTQUERY_", "CTAS_", "CSAS_", "CST_"]
        if prefixes.contains(where: given.hasPrefix) {
            throw MartletError(
                .invalidProperty, "Query IDs must not start with a reserved query ID prefix (\(prefixes.joined(separator: ", "))). Got '\(given)'.",
                at: span)
        }
        let allowed = given.utf8.allSatisfy { $0 == UInt8(ascii: "_") || (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) }
        guard allowed, !given.isEmpty else {
            throw MartletError(.invalidProperty, "Query IDs may contain only alphanumeric characters and '_'. Got: '\(given)'", at: span)
        }
        if catalog.queries[given] != nil { throw MartletError(.alreadyExists, "Query ID '\(given)' already exists.", at: span) }
        return given
    }

    /// Columns meet the sink's by position; numbers widen.
    private func convert(_ select: inout AnalyzedSelect, to sink: Source, at span: SourceSpan) throws(MartletError) {
        let key = select.keyOutputs, value = select.valueOutputs
        let result = Schema(key: key.map(\.field), value: value.map(\.field))
        func fits(_ outputs: [AnalyzedSelect.Output], _ fields: [Field], implicit: Bool) -> Bool {
            outputs.count == fields.count
                && zip(outputs, fields).allSatisfy { output, field in
                    output.expression.type == field.type || implicit && CastRules.canImplicitlyCast(output.expression.type, to: field.type)
                }
        }
        guard fits(key, sink.schema.key, implicit: false), fits(value, sink.schema.value, implicit: true) else {
            throw MartletError(
                .badStatement, "Incompatible schema between results and sink.\nResult schema is \(result)\nSink schema is \(sink.schema)", at: span)
        }
        func converted(_ outputs: [AnalyzedSelect.Output], _ fields: [Field]) -> [AnalyzedSelect.Output] {
            zip(outputs, fields).map { output, field in
                var output = output
                output.name = field.name
                if output.expression.type != field.type { output.expression = .cast(output.expression, field.type) }
                return output
            }
        }
        select.outputs = converted(key, sink.schema.key) + converted(value, sink.schema.value)
    }

    // MARK: plan

    private func plan(_ select: AnalyzedSelect, _ sink: Source) -> PhysicalPlan {
        let outputs = select.keyOutputs + select.valueOutputs
        var logical = LogicalOptimizer.optimize(select.projected(outputs))
        if sink.kind == .table, !logical.keepsRows { logical = .materialize(logical, step: "Result", keyCount: sink.schema.key.count) }
        let throwing = context.throwsOnInvalidTimestamp
        let timestamp = sink.timestamp.flatMap { wanted in
            outputs.firstIndex { $0.name == wanted.column }.map {
                PhysicalPlan.Input.Timestamp(column: $0, format: wanted.format, throwOnInvalid: throwing)
            }
        }
        let output = PhysicalPlan.Output.sink(
            PhysicalPlan.Sink(
                name: sink.name, topic: sink.topic, keyFields: sink.schema.key, keyFormat: sink.keyFormat, valueFields: sink.schema.value,
                valueFormat: sink.valueFormat, timestamp: timestamp, window: sink.window))
        return PhysicalPlan(select, logical, output, throwsOnInvalidTimestamp: throwing)
    }
}

extension PhysicalPlan {
    init(_ select: AnalyzedSelect, _ logical: LogicalPlan, _ output: Output, throwsOnInvalidTimestamp: Bool) {
        var isTransient = false
        if case .results = output { isTransient = true }
        var planner = PhysicalPlanner(throwsOnInvalidTimestamp: throwsOnInvalidTimestamp, isTransient: isTransient)
        let stages = planner.plan(logical, output: output)
        self.init(stages: stages, sources: select.from.sources.map(\.name), models: logical.models.sorted(), limit: select.limit, ending: select.ending)
    }
}

extension LogicalPlan {
    /// Whether a table's rows are kept right below its last operators without state, so that they can be looked up.
    var keepsRows: Bool {
        switch self {
        case .filter(let input, _, _), .project(let input, _, _): input.keepsRows
        case .materialize, .aggregate: true
        case .join(let join): join.foreign != nil
        case .scan, .flatMap, .selectKey, .union, .ended: false
        }
    }

    /// Names of the models that any expression calls.
    var models: Set<String> {
        switch self {
        case .scan: []
        case .filter(let input, let condition, _): input.models.union(condition.models)
        case .flatMap(let input, let calls): calls.reduce(input.models) { $1.arguments.reduce($0) { $0.union($1.models) } }
        case .selectKey(let input, let keys, _): keys.reduce(input.models) { $0.union($1.models) }
        case .project(let input, let expressions, _): expressions.reduce(input.models) { $0.union($1.models) }
        case .join(let join):
            (join.leftKeys + join.rightKeys + [join.condition].compactMap { $0 }).reduce(join.left.models.union(join.right.models)) { $0.union($1.models) }
        case .materialize(let input, _, _), .ended(let input, _, _): input.models
        case .union(let inputs): inputs.reduce(into: []) { $0.formUnion($1.models) }
        case .aggregate(let node): (node.keys + node.arguments).reduce(node.input.models) { $0.union($1.models) }
        }
    }
}
