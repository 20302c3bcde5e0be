import MartletCore
import _StringProcessing

/// Regular expressions run on Swift's engine, matching by Unicode scalar as Java does by code point. The syntax is close to Java's; what
/// differs: `\Z`, octal escapes and class intersections with `&&` between ranges are read as Swift reads them, and `$` in
/// a replacement names a group as in Java (`$1`, `${name}`, `\$` for the sign itself).
extension FunctionTable {
    static func regularExpression(_ t: inout FunctionTable) {
        t.function("REGEXP_EXTRACT", .regularExpression, "The first part of a text that matches a pattern, or what a group of the pattern matches; NULL if nothing does.")
        t.columns("(VARCHAR pattern, VARCHAR input) -> VARCHAR") { eachMatch(&$0, group: nil) { first($0) } }
        t.columns("(VARCHAR pattern, VARCHAR input, INT group) -> VARCHAR") { eachMatch(&$0, group: 2) { first($0) } }
        t.function("REGEXP_EXTRACT_ALL", .regularExpression, "All parts of a text that match a pattern, or what a group of the pattern matches in each.")
        t.columns("(VARCHAR pattern, VARCHAR input) -> ARRAY<VARCHAR>") { eachMatch(&$0, group: nil) { all($0) } }
        t.columns("(VARCHAR pattern, VARCHAR input, INT group) -> ARRAY<VARCHAR>") { eachMatch(&$0, group: 2) { all($0) } }

        t.function("REGEXP_REPLACE", .regularExpression, "A text with every part that matches a pattern replaced; $1 in the replacement is what the first group matched.")
        t.columns("(VARCHAR str, VARCHAR pattern, VARCHAR replacement) -> VARCHAR") { call in
            var cache = PatternCache()
            return call.boxedRows(strict: true) { arguments in
                guard case .string(let text) = arguments[0], case .string(let pattern) = arguments[1], case .string(let new) = arguments[2]
                else { return .null }
                let regex = try cache.regex(pattern)
                var out = "", at = text.startIndex
                for match in text.matches(of: regex) {
                    out += text[at..<match.range.lowerBound]
                    out += try expanded(new, match.output)
                    at = match.range.upperBound
                }
                return .string(out + text[at...])
            }
        }
        t.function("REGEXP_SPLIT_TO_ARRAY", .regularExpression, "The parts of a text between the matches of a pattern, empty ones included; an empty pattern splits into single characters.")
        t.columns("(VARCHAR str, VARCHAR pattern) -> ARRAY<VARCHAR>") { call in
            var cache = PatternCache()
            return call.boxedRows(strict: true) { arguments in
                guard case .string(let text) = arguments[0], case .string(let pattern) = arguments[1] else { return .null }
                let regex = try cache.regex(pattern)
                var out: [SQLValue] = [], at = text.startIndex
                for match in text.matches(of: regex) {
                    // A match of nothing splits between characters, not before the first or after the last.
                    if match.range.isEmpty, match.range.lowerBound == text.startIndex || match.range.lowerBound == text.endIndex { continue }
                    out.append(.string(String(text[at..<match.range.lowerBound])))
                    at = match.range.upperBound
                }
                return .array(out + [.string(String(text[at...]))])
            }
        }
    }

    /// Compiles a pattern once as long as it stays the same from row to row.
    private struct PatternCache {
        private var pattern: String?
        private var regex: Regex<AnyRegexOutput>?

        mutating func regex(_ text: String) throws(KernelFailure) -> Regex<AnyRegexOutput> {
            if pattern == text, let regex { return regex }
            do {
                let made = try Regex(text).matchingSemantics(.unicodeScalar)
                (pattern, regex) = (text, made)
                return made
            } catch {
                throw KernelFailure("not a regular expression: \(error)")
            }
        }
    }

    private struct Matches {
        let text: String
        let regex: Regex<AnyRegexOutput>
        let group: Int

        /// The group's text; null if the group did not take part in the match or does not exist.
        func value(_ output: AnyRegexOutput) -> SQLValue {
            guard output.indices.contains(group), let part = output[group].substring else { return .null }
            return .string(String(part))
        }
    }

    private static func first(_ matches: Matches) -> SQLValue {
        matches.text.firstMatch(of: matches.regex).map { matches.value($0.output) } ?? .null
    }

    private static func all(_ matches: Matches) -> SQLValue {
        let found = matches.text.matches(of: matches.regex)
        if let one = found.first, !one.output.indices.contains(matches.group) { return .null }
        return .array(found.map { matches.value($0.output) })
    }

    private static func eachMatch(_ call: inout KernelCall, group: Int?, _ body: (Matches) -> SQLValue) -> Column {
        var cache = PatternCache()
        return call.boxedRows(strict: true) { arguments in
            guard case .string(let pattern) = arguments[0], case .string(let text) = arguments[1] else { return .null }
            var wanted = 0
            if let group, case .integer(let number) = arguments[group] { wanted = Int(number) }
            return body(Matches(text: text, regex: try cache.regex(pattern), group: wanted))
        }
    }

    /// Java's replacement syntax: `$1`, `${name}`, and `\` before a character that stands for itself.
    private static func expanded(_ replacement: String, _ groups: AnyRegexOutput) throws(KernelFailure) -> String {
        var out = "", rest = Substring(replacement).unicodeScalars
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\\":
                guard let next = rest.popFirst() else { throw KernelFailure("a replacement may not end with a backslash") }
                out.unicodeScalars.append(next)
            case "$":
                if rest.first == "{" {
                    guard let end = rest.firstIndex(of: "}") else { throw KernelFailure("${ without } in a replacement") }
                    let name = String(Substring(rest[rest.index(after: rest.startIndex)..<end]))
                    guard let group = groups.first(where: { $0.name == name }) else { throw KernelFailure("the pattern has no group of that name") }
                    out += group.substring ?? ""
                    rest = rest[rest.index(after: end)...]
                } else {
                    guard let digit = rest.first, let number = Int(String(digit)) else { throw KernelFailure("$ in a replacement is followed by a group's number") }
                    rest.removeFirst()
                    var group = number
                    while let next = rest.first, let digit = Int(String(next)), groups.indices.contains(group * 10 + digit) {
                        group = group * 10 + digit
                        rest.removeFirst()
                    }
                    guard groups.indices.contains(group) else { throw KernelFailure("the pattern has no group \(group)") }
                    out += groups[group].substring ?? ""
                }
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
