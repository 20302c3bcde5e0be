import MartletColumns
import MartletCore
import MartletEngine

/// Rows of a query as the text of one of ksqlDB's three result shapes (ksqlDB REST API, `/query` and `/query-stream`).
///
/// Each function gives whole lines, for one chunk: a client that reads lines or chunks sees whole messages either way.
///
/// | shape | header | row | end |
/// |---|---|---|---|
/// | `streamedRows` | `[{"header":…},` | `{"row":{"columns":[…]}},` | `{"finalMessage":…}]` |
/// | `delimited` | `{"queryId":…,"columnNames":…}` | `[…]` | nothing |
/// | `array` | `[{"queryId":…}` | `,[…]` | `]` |
struct QueryStreamEncoding {
    enum Shape: Sendable { case streamedRows, delimited, array }

    let shape: Shape
    private let writer: JSONRowWriter
    private let before: [UInt8]
    private let after: [UInt8]
    private var rows = EncodedColumn()

    init(_ shape: Shape, fields: [Field]) {
        self.shape = shape
        writer = JSONRowWriter(fields)
        switch shape {
        case .streamedRows: (before, after) = (Array("{\"row\":{\"columns\":".utf8), Array("}},\n".utf8))
        case .delimited: (before, after) = ([], [0x0a])
        case .array: (before, after) = ([UInt8(ascii: ",")], [0x0a])
        }
    }

    /// The first line.
    static func header(_ shape: Shape, id: String, isPush: Bool, fields: [Field], keyFlags: [Bool]) -> [UInt8] {
        let queryID: JSONValue = isPush || shape == .streamedRows ? .string(id) : .null
        let columns: JSONObject = [
            "queryId": queryID, "columnNames": .array(fields.map { .string($0.name) }),
            "columnTypes": .array(fields.map { .string($0.type.description) }),
        ]
        switch shape {
        case .delimited: return line(.object(columns))
        case .array: return [UInt8(ascii: "[")] + line(.object(columns))
        case .streamedRows:
            // Only pull queries mark the key (ksqlDB, "Run a query").
            let schema = zip(fields, keyFlags + [Bool](repeating: false, count: fields.count)).map { field, isKey in
                "\(SQLType.quoted(field.name)) \(field.type)" + (isKey && !isPush ? " KEY" : "")
            }
            return [UInt8(ascii: "[")]
                + line(["header": ["queryId": queryID, "schema": .string(schema.joined(separator: ", "))]], separator: ",")
        }
    }

    /// All rows of a batch. The delimited and array shapes cannot show deletions and leave them out.
    mutating func rows(_ batch: ResultBatch) -> [UInt8] {
        rows.removeAll()
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

    /// The last line. A query over a stream says whether its LIMIT or its end came first, push or pull (conformance case "pull queries
    /// with limit clause: on stream").
    static func end(_ shape: Shape, limitReached: Bool) -> [UInt8] {
        switch shape {
        case .delimited: []
        case .array: Array("]\n".utf8)
        case .streamedRows: line(["finalMessage": .string(limitReached ? "Limit Reached" : "Query Completed")], separator: "]")
        }
    }

    /// The last line of a query that failed after its beginning.
    static func failure(_ shape: Shape, _ error: MartletError) -> [UInt8] {
        let body = JSONValue.object(ErrorResponse.ksqlBody(error))
        switch shape {
        case .delimited: return line(body)
        case .array: return [UInt8(ascii: ",")] + line(body) + Array("]\n".utf8)
        case .streamedRows: return line(["errorMessage": body], separator: "]")
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
