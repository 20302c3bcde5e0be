import MartletColumns
import MartletCore
import MartletEngine
import MartletSQL

/// Runs one test of a SQL file: rows that are inserted go through all queries at once; each assertion takes the next record of its topic.
struct ScriptExecution {
    private var sandbox: Sandbox
    /// Records of a topic that assertions have taken.
    private var taken: [String: Int] = [:]
    private let batchRows: Int
    /// Relative paths of scripts begin here.
    private let folder: String
    private var variables: [String: String] = [:]
    /// Scripts that are running.
    private var depth = 0
    private static let depthMax = 16
    /// Where the last row was inserted.
    private var lastTarget: String?

    /// What does not hold; empty: the test passes.
    ///
    /// - `folder`: where relative paths of scripts begin.
    /// - `tasks`: how many tasks each stage's records are spread over.
    static func problems(
        _ one: ScriptCase, folder: String, batchRows: Int, interruptions: StageRunner.Interruptions = .none, tasks: Int = 1
    ) -> (problems: [String], message: String?) {
        var execution = ScriptExecution(
            batchRows: batchRows, folder: folder, interruptions: interruptions, tasks: min(tasks, one.partitionsMax ?? tasks))
        do throws(MartletError) {
            if let problem = try execution.run(one.sql) {
                // An assertion that does not hold is an error that a test may expect.
                guard let expected = one.expectedError else { return ([problem], nil) }
                return (problem.contains(expected) ? [] : ["failed with \(problem), expected \(expected)"], problem)
            }
        } catch {
            guard let expected = one.expectedError else { return (["\(error.message)\n      in \(error.statement ?? "")"], nil) }
            let isRight = error.message.contains(expected)
            return (isRight ? [] : ["failed with \(error.message), expected \(expected)"], error.message)
        }
        return (one.expectedError.map { ["nothing failed, expected \($0)"] } ?? [], nil)
    }

    private init(batchRows: Int, folder: String, interruptions: StageRunner.Interruptions, tasks: Int) {
        self.batchRows = batchRows
        self.folder = folder
        sandbox = Sandbox(properties: [:], sinkPartitions: 1, interruptions: interruptions, tasks: tasks)
    }

    /// Executes the statements of a text in order.
    ///
    /// - Returns: which assertion does not hold, and why.
    private mutating func run(_ text: String) throws(MartletError) -> String? {
        for statement in try Parser.parse(substituted(text), dialect: .testTool) {
            do throws(MartletError) {
                if let problem = try execute(statement) { return "line \(statement.span.line): \(problem)" }
            } catch {
                throw error.inStatement(statement.text)
            }
        }
        return nil
    }

    /// The text with the variables that it defines put in where they are used afterwards; lines stay where they are.
    private mutating func substituted(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var out = "", end = 0
        for piece in Parser.split(text) {
            out += String(decoding: bytes[end..<piece.span.start], as: UTF8.self)
            end = piece.span.end
            let own = VariableSubstitution.apply(piece.text, variables: variables)
            out += own
            guard let statement = try? Parser.parse(own, dialect: .testTool).first else { continue }
            switch statement.node {
            case .define(let name, let value): variables[name.uppercased()] = value
            case .undefine(let name): variables[name.uppercased()] = nil
            default: break
            }
        }
        return out + String(decoding: bytes[end...], as: UTF8.self)
    }

    private mutating func runScript(_ path: String, _ statement: Statement) throws(MartletError) -> String? {
        guard depth < Self.depthMax else {
            throw MartletError(.badStatement, "Scripts run each other more than \(Self.depthMax) deep.", at: statement.span)
        }
        let text: [UInt8]
        do throws(MartletError) {
            text = try FileBytes.read(path.hasPrefix("/") ? path : "\(folder)/\(path)")
        } catch {
            throw MartletError(.io, "Failed to read script '\(path)': \(error.message)", at: statement.span)
        }
        depth += 1
        defer { depth -= 1 }
        return try run(String(decoding: text, as: UTF8.self)).map { "\(path): \($0)" }
    }

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
        case .runScript(let path): return try runScript(path, statement)
        case .define, .undefine: return nil
        case .assertTopic, .assertSchema:
            try sandbox.settle(batchRows: batchRows)
            return sandbox.problem(ofAssertion: statement)
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
        var insert = insert
        if let problem = try checkWindow(&insert, record, source, statement) { return "record \(index): \(problem)" }
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

    /// Compares the bounds of the record's window that the assertion names, and takes them out of it.
    private func checkWindow(
        _ insert: inout InsertValues, _ record: RecordBytes, _ source: Source, _ statement: Statement
    ) throws(MartletError) -> String? {
        guard let window = source.window, insert.columns.count == insert.values.count else { return nil }
        func time(_ fromEnd: Int) -> Int64 { (record.key ?? []).dropLast(fromEnd - 8).suffix(8).reduce(0) { $0 << 8 | Int64($1) } }
        let start = time(8), end = window.kind == .session ? time(16) : start + (window.sizeMs ?? 0)
        for (name, actual) in [("WINDOWSTART", start), ("WINDOWEND", end)] {
            guard let at = insert.columns.firstIndex(where: { $0.name == name }) else { continue }
            guard case .integer(let wanted) = insert.values[at].node else {
                throw MartletError(.badStatement, "\(name) is a number of milliseconds.", at: insert.values[at].span)
            }
            insert.columns.remove(at: at)
            insert.values.remove(at: at)
            if wanted != actual { return "\(name) is \(actual), expected \(wanted)" }
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
