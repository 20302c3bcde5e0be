import MartletColumns
import MartletCore
import MartletEngine
import MartletSQL

/// Runs one test of a SQL file: rows that are inserted go through all queries at once; each assertion takes the next record of its topic.
struct ScriptExecution {
    private var sandbox = Sandbox(properties: [:], sinkPartitions: 1)
    /// Records of a topic that assertions have taken.
    private var taken: [String: Int] = [:]
    private let batchRows: Int
    /// Where the last row was inserted.
    private var lastTarget: String?

    /// What does not hold; empty: the test passes.
    static func problems(_ one: ScriptCase, batchRows: Int) -> (problems: [String], message: String?) {
        var execution = ScriptExecution(batchRows: batchRows)
        do throws(MartletError) {
            for statement in try Parser.parse(one.sql, dialect: .testTool) {
                do throws(MartletError) {
                    if let problem = try execution.execute(statement) { return (["line \(statement.span.line): \(problem)"], nil) }
                } catch {
                    throw error.inStatement(statement.text)
                }
            }
        } catch {
            guard let expected = one.expectedError else { return (["\(error.message)\n      in \(error.statement ?? "")"], nil) }
            let isRight = error.message.contains(expected)
            return (isRight ? [] : ["failed with \(error.message), expected \(expected)"], error.message)
        }
        return (one.expectedError.map { ["nothing failed, expected \($0)"] } ?? [], nil)
    }

    private init(batchRows: Int) { self.batchRows = batchRows }

    /// - Returns: why an assertion does not hold.
    private mutating func execute(_ statement: Statement) throws(MartletError) -> String? {
        switch statement.node {
        case .assertValues(let insert): return try check(insert, isTombstone: false, statement)
        case .assertTombstone(let insert): return try check(insert, isTombstone: true, statement)
        case .assertSource(_, let create): return try check(create, statement)
        case .insertValues(let insert):
            // Rows of one target may wait for each other and go as one batch; those of another may not overtake them.
            if let lastTarget, lastTarget != insert.target.name { try sandbox.settle(batchRows: batchRows) }
            lastTarget = insert.target.name
            try sandbox.execute(statement)
            return nil
        default:
            try sandbox.settle(batchRows: batchRows)
            try sandbox.execute(statement)
            return nil
        }
    }

    // MARK: records

    private mutating func check(_ insert: InsertValues, isTombstone: Bool, _ statement: Statement) throws(MartletError) -> String? {
        try sandbox.settle(batchRows: batchRows)
        guard let source = sandbox.catalog.sources[insert.target.name] else {
            throw MartletError(.unknownSource, "\(insert.target.name) does not exist.", at: insert.target.span)
        }
        let index = taken[source.topic, default: 0]
        taken[source.topic] = index + 1
        let records = sandbox.topics[source.topic] ?? []
        guard index < records.count else { return "expected another record on topic \(source.topic), which has \(records.count)" }
        let record = records[index]
        // Nobody inserts into a windowed table; what is in it can be looked at.
        var catalog = sandbox.catalog
        catalog.sources[source.name]?.window = nil
        guard case .insertValues(let expected) = try Analyzer(catalog: catalog, context: sandbox.context)
            .analyze(Statement(.insertValues(insert), span: statement.span, text: statement.text))
        else { return "no values" }
        let names = insert.columns.isEmpty ? source.schema.all.map(\.name) : insert.columns.map(\.name)
        if let timestamp = expected.timestampMs, timestamp != record.timestamp { return "record \(index): ROWTIME is \(record.timestamp), expected \(timestamp)" }
        if isTombstone != (record.value == nil) { return "record \(index): \(record.value == nil ? "the value is null" : "the value is not null")" }
        let actual = try decoded(record, source)
        for (field, (own, wanted)) in zip(source.schema.all, zip(actual, expected.key + expected.value)) where names.contains(field.name) {
            if isTombstone, !source.schema.isKey(field.name) { continue }
            if own != wanted { return "record \(index): \(field.name) is \(own.castText), expected \(wanted.castText)" }
        }
        return nil
    }

    private func decoded(_ record: RecordBytes, _ source: Source) throws(MartletError) -> [SQLValue] {
        var record = record
        // The window's bounds follow the key.
        if let window = source.window { record.key = record.key.map { Array($0.dropLast(window.kind == .session ? 16 : 8)) } }
        let block = RecordBlock([record], firstOffset: 0)
        func side(_ fields: [Field], _ spec: FormatSpec, _ side: Side) throws(MartletError) -> [SQLValue] {
            if fields.isEmpty { return [] }
            var decoder = try RecordDecoder(spec: spec, fields: fields, wanted: Array(fields.indices), schemas: sandbox.registry)
            var errors = RowErrors()
            let decoded = decoder.decode(block, side: side, errors: &errors)
            if let first = errors.entries.first { throw MartletError(.corruptRecord, "\(first.column): \(first.reason)") }
            return decoded.columns.map { $0.value(0) }
        }
        return try side(source.schema.key, source.keyFormat, .key) + side(source.schema.value, source.valueFormat, .value)
    }

    // MARK: sources

    private func check(_ create: CreateSource, _ statement: Statement) throws(MartletError) -> String? {
        guard let source = sandbox.catalog.sources[create.name.name] else { return "\(create.name.name) does not exist" }
        var others = sandbox.catalog
        others.sources[create.name.name] = nil
        guard case .createSource(let wanted) = try Analyzer(catalog: others, context: sandbox.context)
            .analyze(Statement(.createSource(create), span: statement.span, text: statement.text))
        else { return "no source" }
        let expected = wanted.source
        func differ(_ what: String, _ own: String, _ other: String) -> String? { own == other ? nil : "\(what) is \(own), expected \(other)" }
        return differ("the kind", source.kind.rawValue, expected.kind.rawValue)
            ?? differ("the schema", source.schema.description, expected.schema.description)
            ?? differ("the topic", source.topic, expected.topic)
            ?? differ("the key format", source.keyFormat.kind.rawValue, expected.keyFormat.kind.rawValue)
            ?? differ("the value format", source.valueFormat.kind.rawValue, expected.valueFormat.kind.rawValue)
            ?? differ("unwrapping", "\(source.valueFormat.unwrapSingle)", "\(expected.valueFormat.unwrapSingle)")
            ?? differ("the timestamp column", source.timestamp?.column ?? "none", expected.timestamp?.column ?? "none")
    }
}
