import MartletColumns
import MartletCore
import MartletEngine

/// Rows of a query as the text of one of ksqlDB's four result shapes (ksqlDB REST API, `/query` and `/query-stream`).
///
/// Each function gives whole lines, for one chunk: a client that reads lines or chunks sees whole messages either way.
///
/// | shape | header | row | end |
/// |---|---|---|---|
/// | `streamedRows` | `[{"header":…},` | `{"row":{"columns":[…]}},` | `{"finalMessage":…}]` |
/// | `delimited` | `{"queryId":…,"columnNames":…}` | `[…]` | nothing |
/// | `array` | `[{"queryId":…}` | `,[…]` | `]` |
/// | `protobufRows` | `[{"header":{"queryId":…,"protoSchema":…}},` | `{"row":{"protobufBytes":…}},` (Base64) | `{"finalMessage":…}]` |
struct QueryStreamEncoding {
    enum Shape: Sendable { case streamedRows, delimited, array, protobufRows }

    let shape: Shape
    private let writer: JSONRowWriter
    private var messages: RecordEncoder?
    private let before: [UInt8]
    private let after: [UInt8]
    private var rows = EncodedColumn()

    /// - Throws: `.notSupported` if the columns have no Protobuf message, e.g. a name that is none there.
    init(_ shape: Shape, fields: [Field]) throws(MartletError) {
        self.shape = shape
        writer = JSONRowWriter(fields)
        switch shape {
        case .streamedRows: (before, after) = (Array("{\"row\":{\"columns\":".utf8), Array("}},\n".utf8))
        case .delimited: (before, after) = ([], [0x0a])
        case .array: (before, after) = ([UInt8(ascii: ",")], [0x0a])
        case .protobufRows:
            (before, after) = (Array("{\"row\":{\"protobufBytes\":\"".utf8), Array("\"}},\n".utf8))
            messages = try RecordEncoder(spec: FormatSpec(.protobufNoSR), fields: fields)
        }
    }

    /// The first line, but for the query's id.
    struct Header: Sendable {
        private let before: [UInt8]
        private let after: [UInt8]
        private let showsID: Bool

        var bytesCount: Int { before.count + after.count + 64 }

        /// - Throws: `.notSupported` if the columns have no Protobuf message.
        init(_ shape: Shape, isPush: Bool, fields: [Field], keyFlags: [Bool]) throws(MartletError) {
            showsID = isPush || shape == .streamedRows || shape == .protobufRows
            func member(_ name: String, _ value: JSONValue) -> String { ",\"\(name)\":\(value)" }
            let opening: String, closing: String
            switch shape {
            case .delimited, .array:
                opening = shape == .array ? "[{\"queryId\":" : "{\"queryId\":"
                closing =
                    member("columnNames", .array(fields.map { .string($0.name) }))
                    + member("columnTypes", .array(fields.map { .string($0.type.description) })) + "}\n"
            case .protobufRows:
                let schema = try SchemaTranslation.schemaText(for: fields, spec: FormatSpec(.protobuf), side: .value)
                opening = "[{\"header\":{\"queryId\":"
                closing = member("protoSchema", .string(schema)) + "}},\n"
            case .streamedRows:
                // Only pull queries mark the key (ksqlDB, "Run a query").
                let schema = zip(fields, keyFlags + [Bool](repeating: false, count: fields.count)).map { field, isKey in
                    "\(SQLType.quoted(field.name)) \(field.type)" + (isKey && !isPush ? " KEY" : "")
                }
                opening = "[{\"header\":{\"queryId\":"
                closing = member("schema", .string(schema.joined(separator: ", "))) + "}},\n"
            }
            before = Array(opening.utf8)
            after = Array(closing.utf8)
        }

        func write(id: String, to out: inout [UInt8]) {
            out += before
            if showsID { JSONValue.writeString(id, to: &out) } else { out += "null".utf8 }
            out += after
        }
    }

    static func header(_ shape: Shape, id: String, isPush: Bool, fields: [Field], keyFlags: [Bool]) throws(MartletError) -> [UInt8] {
        var out: [UInt8] = []
        try Header(shape, isPush: isPush, fields: fields, keyFlags: keyFlags).write(id: id, to: &out)
        return out
    }

    /// One row, in any shape but that of Protobuf messages.
    func appendRow(_ columns: [Column], _ row: Int, to out: inout [UInt8]) {
        precondition(shape != .protobufRows)
        out += before
        writer.appendRow(columns, row: row, to: &out)
        out += after
    }

    /// All rows of a batch. The delimited and array shapes cannot show deletions and leave them out.
    mutating func rows(_ batch: ResultBatch) -> [UInt8] {
        rows.removeAll()
        if shape == .protobufRows { return protobufRows(batch) }
        writer.append(batch.columns, count: batch.count, to: &rows)
        var out: [UInt8] = []
        out.reserveCapacity(rows.buffer.count + batch.count * (before.count + after.count))
        for row in 0..<batch.count {
            guard let columns = rows.slice(row) else { continue }
            if let tombstones = batch.tombstones, tombstones[row] {
                guard shape == .streamedRows else { continue }
                out.append(contentsOf: before)
                out.append(contentsOf: columns)
                out.append(contentsOf: ",\"tombstone\":true}},\n".utf8)
                continue
            }
            out.append(contentsOf: before)
            out.append(contentsOf: columns)
            out.append(contentsOf: after)
        }
        return out
    }

    private mutating func protobufRows(_ batch: ResultBatch) -> [UInt8] {
        var errors = RowErrors(), out: [UInt8] = []
        messages?.encode(batch.columns, count: batch.count, into: &rows, errors: &errors)
        for row in 0..<batch.count where batch.tombstones?[row] != true {
            guard let message = rows.slice(row) else { continue }
            out += before
            out += Base64.encode(message).utf8
            out += after
        }
        return out
    }

    /// Takes the separator between two messages off the end of `text` and gives it; nothing if there is none.
    static func cutSeparator(_ text: inout [UInt8]) -> [UInt8] {
        let separator = Array(",\n".utf8)
        guard text.suffix(2) == separator[...] else { return [] }
        text.removeLast(2)
        return separator
    }

    enum Ending { case limitReached, completed, silent }

    /// The last line. A query over a stream says whether its LIMIT or its end came first, push or pull; a pull query on a table says nothing
    /// (conformance cases "pull queries with limit clause").
    static func end(_ shape: Shape, _ ending: Ending) -> [UInt8] {
        switch (shape, ending) {
        case (.delimited, _): []
        case (.array, _), (_, .silent): Array("]\n".utf8)
        case (.streamedRows, _), (.protobufRows, _):
            line(["finalMessage": .string(ending == .limitReached ? "Limit Reached" : "Query Completed")], separator: "]")
        }
    }

    /// The last line of a query that failed after its beginning.
    static func failure(_ shape: Shape, _ error: MartletError) -> [UInt8] {
        let body = JSONValue.object(ErrorResponse.ksqlBody(error))
        switch shape {
        case .delimited: return line(body)
        case .array: return [UInt8(ascii: ",")] + line(body) + Array("]\n".utf8)
        case .streamedRows, .protobufRows: return line(["errorMessage": body], separator: "]")
        }
    }

    private static func line(_ value: JSONValue, separator: String = "") -> [UInt8] {
        var out: [UInt8] = []
        value.write(to: &out)
        out += Array(separator.utf8)
        out.append(0x0a)
        return out
    }
}
