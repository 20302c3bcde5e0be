extension MartletError {
    /// The error as a terminal shows it: code, place, message, then the line of the statement with carets under the culprit.
    ///
    /// ```
    /// 40001 line 1:8: column COLOUR does not exist in CLICKS
    ///   SELECT COLOUR FROM CLICKS;
    ///          ^^^^^^  columns are WHO, URL
    /// ```
    public func rendered() -> String {
        var out = "\(code.restCode)"
        // Syntax errors say their place themselves, as ksqlDB's do.
        if let span, span != .none, !message.hasPrefix("line \(span.line):\(span.column):") { out += " line \(span.line):\(span.column)" }
        out += ": \(message)"
        if let span, span != .none, let statement, let line = Self.line(of: statement, span.line) {
            let scalars = Array(line.unicodeScalars)
            let from = min(max(span.column - 1, 0), scalars.count)
            let width = max(1, min(span.end - span.start, scalars.count - from))
            var pad = ""
            for scalar in scalars[..<from] { pad += scalar == "\t" ? "\t" : " " }
            out += "\n  \(line)\n  \(pad)\(String(repeating: "^", count: width))"
            if let hint { out += "  \(hint)" }
        } else if let hint {
            out += "\n  \(hint)"
        }
        if let detail { out += "\n  \(detail)" }
        if let cause { out += "\n  caused by \(cause.code.restCode): \(cause.message)" }
        return out
    }

    private static func line(of text: String, _ number: Int) -> String? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return number >= 1 && number <= lines.count ? String(lines[number - 1]) : nil
    }
}
