import MartletCore
import MartletSQL

/// One message of a running query.
public enum QueryMessage: Sendable, Equatable {
    /// - `id`: by which the query can be closed.
    case header(id: String?, columns: [ResultColumn])
    /// - `isTombstone`: the key was deleted from the table.
    case row([JSONValue], isTombstone: Bool)
    /// `Limit Reached`, `Query Completed`.
    case final(String)
    case error(JSONObject)
    /// A line of PRINT, or something that a newer server says.
    case text(String)
}

public struct ResultColumn: Sendable, Equatable {
    public var name: String
    /// As the server writes it: `ARRAY<STRING>`.
    public var type: String
    public init(_ name: String, _ type: String) {
        self.name = name
        self.type = type
    }

    /// Columns of a header's schema text: `` `NAME` TYPE [KEY], … ``. Quotes in a name are written twice.
    static func parse(_ schema: String) -> [ResultColumn] {
        let characters = Array(schema)
        var columns: [ResultColumn] = []
        var i = 0
        while let open = characters[i...].firstIndex(of: "`") {
            var name = ""
            i = open + 1
            while i < characters.count {
                if characters[i] == "`" {
                    guard i + 1 < characters.count, characters[i + 1] == "`" else { break }
                    i += 1
                }
                name.append(characters[i])
                i += 1
            }
            i = min(i + 1, characters.count)
            // The type ends at a comma outside brackets, and may have names in quotes inside.
            var type = ""
            var depth = 0, isQuoted = false
            while i < characters.count {
                let character = characters[i]
                if character == "`" { isQuoted.toggle() }
                if !isQuoted {
                    if character == "<" || character == "(" { depth += 1 }
                    if character == ">" || character == ")" { depth -= 1 }
                    if character == "," && depth == 0 { break }
                }
                type.append(character)
                i += 1
            }
            var text = type.trimmed
            if text.hasSuffix(" KEY") { text.removeLast(4) }
            columns.append(ResultColumn(name, text))
        }
        return columns
    }
}

/// The answer of a query, message by message.
public final class QueryStream {
    private let body: HTTPBody
    private let isText: Bool
    /// Known once the header came.
    public private(set) var id: String?

    init(_ body: HTTPBody, isText: Bool) {
        self.body = body
        self.isText = isText
    }

    public private(set) var isAtEnd = false

    /// The next message and the JSON (or line) it came as.
    ///
    /// - `withinMs`: how long to wait for it; nil = until it comes.
    /// - Returns: nil at the end (`isAtEnd`), and if none came in time.
    public func next(withinMs: Int32? = nil) throws(RestFailure) -> (message: QueryMessage, raw: String)? {
        while true {
            guard var line = try body.nextLine(withinMs.map { .milliseconds($0) } ?? .forever)?[...] else {
                isAtEnd = body.isAtEnd
                return nil
            }
            if isText {
                // An error after the beginning is the last line.
                if line.hasPrefix("{\"@type\":"), let error = (try? JSONValue(parsing: line))?.objectValue, error["error_code"] != nil {
                    return (.error(error), String(line))
                }
                return (.text(String(line)), String(line))
            }
            // The messages are the elements of one array, one a line.
            while let first = line.first, first == "[" || first == "," || first.isWhitespace { line = line.dropFirst() }
            while let last = line.last, last == "]" || last == "," || last.isWhitespace { line = line.dropLast() }
            if line.isEmpty { continue }
            let raw = String(line)
            guard let object = (try? JSONValue(parsing: raw))?.objectValue else { return (.text(raw), raw) }
            let message = Self.message(object, raw)
            if case .header(let id, _) = message { self.id = id }
            return (message, raw)
        }
    }

    private static func message(_ object: JSONObject, _ raw: String) -> QueryMessage {
        if let header = object["header"] {
            return .header(id: header["queryId"]?.stringValue, columns: ResultColumn.parse(header["schema"]?.stringValue ?? ""))
        }
        if let row = object["row"], let values = row["columns"]?.arrayValue { return .row(values, isTombstone: row["tombstone"]?.boolValue ?? false) }
        if let text = object["finalMessage"]?.stringValue { return .final(text) }
        if let error = object["errorMessage"]?.objectValue { return .error(error) }
        if object["error_code"] != nil { return .error(object) }
        return .text(raw)
    }
}
