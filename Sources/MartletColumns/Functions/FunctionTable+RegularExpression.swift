import MartletCore

/// Regular expressions in Java's syntax: see `RegularExpression`.
extension FunctionTable {
    static func regularExpression(_ t: inout FunctionTable) {
        t.function("REGEXP_EXTRACT", .regularExpression, "The first part of a text that matches a pattern, or what a group of the pattern matches; NULL if nothing does.")
        t.columns("(VARCHAR pattern, VARCHAR input) -> VARCHAR") { RegexKernels.extract(&$0) }
        t.columns("(VARCHAR pattern, VARCHAR input, INT group) -> VARCHAR") { RegexKernels.extract(&$0) }
        t.function("REGEXP_EXTRACT_ALL", .regularExpression, "All parts of a text that match a pattern, or what a group of the pattern matches in each.")
        t.columns("(VARCHAR pattern, VARCHAR input) -> ARRAY<VARCHAR>") { RegexKernels.extractAll(&$0) }
        t.columns("(VARCHAR pattern, VARCHAR input, INT group) -> ARRAY<VARCHAR>") { RegexKernels.extractAll(&$0) }
        t.function("REGEXP_REPLACE", .regularExpression, "A text with every part that matches a pattern replaced; $1 in the replacement is what the first group matched.")
        t.columns("(VARCHAR str, VARCHAR pattern, VARCHAR replacement) -> VARCHAR") { RegexKernels.replace(&$0) }
        t.function("REGEXP_SPLIT_TO_ARRAY", .regularExpression, "The parts of a text between the matches of a pattern, empty ones included; an empty pattern splits into single characters.")
        t.columns("(VARCHAR str, VARCHAR pattern) -> ARRAY<VARCHAR>") { RegexKernels.split(&$0) }
    }
}
