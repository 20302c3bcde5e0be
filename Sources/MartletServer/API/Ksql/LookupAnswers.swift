import MartletColumns
import MartletCore
import MartletEngine
import MartletSQL
import Synchronization

/// Answers to pull queries by key whose like was asked before: no parser, no analysis, no thread but the one that read the request.
///
/// A question is known by its text, or by its shape where the literals in it are the keys' values. What the catalog has overtaken is prepared anew.
final class LookupAnswers: Sendable {
    /// More than so many different questions are forgotten all at once: somebody writes something into the text that changes every time.
    private static let entriesMax = 1_000

    struct Question: Hashable, Sendable {
        /// The text, or its shape's pattern, which no text is.
        var text: String
        var properties: [String: String]
        var shape: QueryStreamEncoding.Shape
    }

    private let entries = Mutex<[Question: LookupAnswer]>([:])

    /// What answers a question whose like was asked before, with the literals that are this one's; nil: it is new.
    func known(_ sql: SQLRequest, _ shape: QueryStreamEncoding.Shape) -> (answer: LookupAnswer, literals: [StatementShape.Literal]?)? {
        guard sql.variables.isEmpty else { return nil }
        if let like = StatementShape(sql.sql), let known = entry(Question(text: like.pattern, properties: sql.properties, shape: shape)) {
            return (known, like.literals)
        }
        return entry(Question(text: sql.sql, properties: sql.properties, shape: shape)).map { ($0, nil) }
    }

    private func entry(_ question: Question) -> LookupAnswer? {
        guard let known = entries.withLock({ $0[question] }) else { return nil }
        if known.lookup.isCurrent { return known }
        entries.withLock { $0[question] = nil }
        return nil
    }

    func add(_ answer: LookupAnswer, to sql: SQLRequest, _ shape: QueryStreamEncoding.Shape) {
        guard sql.variables.isEmpty else { return }
        var question = Question(text: sql.sql, properties: sql.properties, shape: shape)
        if let prepared = answer.lookup.shape, let like = StatementShape(sql.sql), like.literals == prepared.literals { question.text = like.pattern }
        entries.withLock { entries in
            if entries.count >= Self.entriesMax { entries.removeAll() }
            entries[question] = answer
        }
    }
}

/// A prepared lookup with what its answers have in common in one result shape.
final class LookupAnswer: Sendable {
    struct Answer {
        var body: [UInt8]
        var rows: Int
    }

    let lookup: PreparedLookup
    private let shape: QueryStreamEncoding.Shape
    private let header: QueryStreamEncoding.Header
    private let encoding: QueryStreamEncoding
    private let asked = Atomic<Int>(0)

    /// - Throws: `.notSupported` if the columns cannot be shown in this shape.
    init(_ lookup: PreparedLookup, _ shape: QueryStreamEncoding.Shape) throws(MartletError) {
        self.lookup = lookup
        self.shape = shape
        header = try QueryStreamEncoding.Header(shape, isPush: false, fields: lookup.fields, keyFlags: lookup.keyFlags)
        encoding = try QueryStreamEncoding(shape, fields: lookup.fields)
    }

    /// The whole body of the response; nil: it would have to wait and may not.
    func answer(_ literals: [StatementShape.Literal]?, mayWait: Bool) throws(MartletError) -> Answer? {
        let number = asked.wrappingAdd(1, ordering: .relaxed).newValue
        var out: [UInt8] = [], rows = 0
        out.reserveCapacity(header.bytesCount + 256)
        header.write(id: "transient_\(lookup.name)_\(number)", to: &out)
        let outcome = try lookup.answer(literals, mayWait: mayWait) { columns, row in
            encoding.appendRow(columns, row, to: &out)
            rows += 1
        }
        guard outcome == .answered else { return nil }
        _ = QueryStreamEncoding.cutSeparator(&out)
        out += QueryStreamEncoding.end(shape, .silent)
        return Answer(body: out, rows: rows)
    }
}
