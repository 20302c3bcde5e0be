import MartletCore

/// What went wrong, as `MartletError.rendered()` shows it: code, place, message, then the line of the statement with carets under the culprit.
enum ErrorText {
    /// - `body`: the server's error object.
    /// - `statement`: what was sent. The error's own text counts more: variables are replaced in it.
    static func text(_ body: JSONObject, statement: String, _ style: Style) -> String {
        var message = CellText.printable(body["message"]?.stringValue ?? "the server says nothing more")
        let code = body["error_code"]?.intValue.map { "\($0)" } ?? ""
        let place = place(body, message)
        if let place {
            // ksqlDB says the place in front of a message in one of two ways, and here it has been said already.
            for prefix in ["line \(place.line):\(place.column):", "Line: \(place.line), Col: \(place.column):"] where message.hasPrefix(prefix) {
                message = message.dropFirst(prefix.count).trimmed
            }
        }
        var out = style.paint(.red, code + (place.map { " line \($0.line):\($0.column)" } ?? "") + ":").trimmed + " " + message
        let hint = body["hint"]?.stringValue.map(CellText.printable)
        let text = body["statementText"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? statement
        if let place, let shown = caret(place, in: text, style) {
            out += "\n" + shown.line + "\n" + shown.carets
            // A long hint has a line of its own.
            if let hint { out += (CellText.width(Style.plain(shown.carets)) + CellText.width(hint) > 90 || hint.contains("\n") ? "\n  " : "  ") + hint }
        } else if let hint {
            out += "\n  \(hint)"
        }
        if let detail = body["detail"]?.stringValue { out += "\n  \(CellText.printable(detail))" }
        return out + "\n"
    }

    static func text(_ refusal: ServerRefusal, statement: String, _ style: Style) -> String {
        if refusal.body["message"] != nil { return text(refusal.body, statement: statement, style) }
        let said = refusal.text.isEmpty ? "" : ": \(CellText.printable(String(refusal.text.prefix(500))))"
        let hint =
            switch refusal.status {
            case 401: "\n  log in with martlet sql http://user:password@host:port"
            case 404: "\n  is this the address of a SQL server? martlet dev has it on port 8088"
            default: ""
            }
        return style.paint(.red, "HTTP status \(refusal.status)") + said + hint + "\n"
    }

    static func text(_ error: MartletError, _ style: Style) -> String {
        var out = style.paint(.red, "error:") + " \(error.message)"
        if let detail = error.detail { out += "\n  \(CellText.printable(detail))" }
        if let hint = error.hint { out += "\n  \(hint)" }
        return out + "\n"
    }

    /// From the members `line` and `column`, or from a message that begins `line 1:8: `, as ksqlDB's own do.
    private static func place(_ body: JSONObject, _ message: String) -> (line: Int, column: Int)? {
        if let line = body["line"]?.intValue, let column = body["column"]?.intValue { return line > 0 ? (line, column) : nil }
        guard message.hasPrefix("line ") else { return nil }
        let parts = message.dropFirst(5).split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let line = Int(parts[0]), let column = Int(parts[1]), line > 0 else { return nil }
        return (line, column)
    }

    /// The line, and carets under the word that begins at the place.
    private static func caret(_ place: (line: Int, column: Int), in text: String, _ style: Style) -> (line: String, carets: String)? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard place.line <= lines.count else { return nil }
        let line = Array(lines[place.line - 1].unicodeScalars)
        let from = min(max(place.column - 1, 0), line.count)
        func isWord(_ scalar: Unicode.Scalar) -> Bool { scalar == "_" || scalar == "@" || scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) }
        var to = from
        if from < line.count, line[from] == "'" || line[from] == "`" || line[from] == "\"" {
            to = line[(from + 1)...].firstIndex(of: line[from]).map { $0 + 1 } ?? from + 1
        } else {
            while to < line.count, isWord(line[to]) { to += 1 }
        }
        // A long line is cut to what stands around the place.
        let first = max(0, from - 100), last = min(line.count, max(to, from) + 100)
        let before = line[first..<from].reduce(into: first > 0 ? " " : "") { $0 += $1 == "\t" ? "\t" : String(repeating: " ", count: LineLayout.cells(Character($1))) }
        var shown = String.UnicodeScalarView()
        shown.append(contentsOf: line[first..<last])
        let text = (first > 0 ? "…" : "") + CellText.printable(String(shown), keepingTabs: true) + (last < line.count ? "…" : "")
        return ("  \(text)", "  \(before)" + style.paint(.red, String(repeating: "^", count: max(1, to - from))))
    }
}
