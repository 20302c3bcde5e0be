import MartletCore
import Testing

@testable import MartletColumns

/// Java's syntax and meaning of regular expressions, as the documentation of `java.util.regex.Pattern` and `Matcher` has them.
@Suite struct RegularExpressionTests {
    /// Every match of a pattern in a text, with its groups: `ab(a,b)`; `-` for a group without part.
    private func matches(_ pattern: String, _ text: String) throws -> [String] {
        let expression = try RegularExpression(pattern), bytes = Array(text.utf8)
        var matcher = RegexMatcher(expression.program), from = 0, out: [String] = []
        while try matcher.find(bytes.span, &from, end: bytes.count) {
            let groups = (0...expression.groupCount).map { group in
                matcher.range(group).map { String(decoding: bytes[$0], as: UTF8.self) } ?? "-"
            }
            out.append(groups[0] + (groups.count > 1 ? "(" + groups.dropFirst().joined(separator: ",") + ")" : ""))
        }
        return out
    }

    @Test(arguments: [
        ("a|ab", "abab", ["a", "a"]), ("ab|a", "abab", ["ab", "ab"]), ("a*", "aab", ["aa", "", ""]), ("a*?b", "aab", ["aab"]),
        ("(a+)(b?)", "aabaa", ["aab(aa,b)", "aa(aa,)"]), ("(a)|(b)", "ab", ["a(a,-)", "b(-,b)"]), ("(?:ab){2,3}", "abababab", ["ababab"]),
        ("(ab){2,3}?", "abababab", ["abab(ab)", "abab(ab)"]), ("a{2}", "aaaaa", ["aa", "aa"]), ("a{2,}", "aaaaa", ["aaaaa"]),
        ("x{0}y", "xy", ["y"]), ("(a|b)*c", "ababc", ["ababc(b)"]), ("(a*)*", "aa", ["aa()", "()"]), ("(a*)+", "b", ["()", "()"]),
        ("(?:a?)*b", "aab", ["aab"]), ("(|a)+", "aa", ["()", "()", "()"]), ("a++b", "aab", ["aab"]), ("a*+a", "aaa", []),
        ("(?>a*)a", "aaa", []), ("(?>ab|a)c", "ac abc", ["ac", "abc"]), ("(a++)(b*+)", "aabb", ["aabb(aa,bb)"]),
    ])
    func repetitionAndChoice(_ pattern: String, _ text: String, _ expected: [String]) throws {
        #expect(try matches(pattern, text) == expected)
    }

    @Test(arguments: [
        ("[a-c]+", "xabcd", ["abc"]), ("[^a-c]+", "abxyc", ["xy"]), ("[a-z&&[^bc]]+", "abcd", ["a", "d"]), ("[a-z&&[def]]+", "abcdefg", ["def"]),
        ("[a-c[x-z]]+", "abmxyz", ["ab", "xyz"]), ("[^a-d&&c-f]+", "abcdefg", ["ab", "efg"]), ("[]a]+", "a]b", ["a]"]), ("[a\\]]+", "a]b", ["a]"]),
        ("[\\w&&[^\\d]]+", "ab12_c", ["ab", "_c"]), ("[-a]+", "a-b", ["a-"]), ("[a-]+", "a-b", ["a-"]), ("[.*+]+", "a.*+b", [".*+"]),
        ("[\\Qa-z\\E]+", "bz-a", ["z-a"]), ("\\d+\\D\\s\\S\\w\\W", "12x yz!", ["12x yz!"]), ("\\h+", "a \u{a0}\tb", [" \u{a0}\t"]), ("\\p{Lu}+", "ABÄc", ["ABÄ"]),
        ("\\p{Upper}+", "ABÄc", ["AB"]), ("\\P{L}+", "ab12é", ["12"]), ("\\pL+", "12é", ["é"]), ("\\p{IsGreek}+", "aλόγοςb", ["λόγος"]),
        ("\\p{InCyrillic}+", "aмирb", ["мир"]), ("\\p{IsAlphabetic}+", "1жα2", ["жα"]), ("\\p{javaLowerCase}+", "AbÉé", ["b", "é"]),
        ("\\p{Punct}+", "a,.;b", [",.;"]), ("\\p{Sc}", "5€", ["€"]), ("\\p{script=Han}+", "a漢字", ["漢字"]), (".", "😀", ["😀"]), ("[😀-😂]+", "x😁😀", ["😁😀"]),
        ("^.$", "é", ["é"]), ("a.c", "a\nc a\u{2028}c abc", ["abc"]), ("(?s)a.c", "a\nc", ["a\nc"]), ("(?d)a.c", "a\rc", ["a\rc"]),
    ])
    func characterClasses(_ pattern: String, _ text: String, _ expected: [String]) throws {
        #expect(try matches(pattern, text) == expected)
    }

    @Test(arguments: [
        ("^a", "aa\na", ["a"]), ("(?m)^a", "aa\na\r\na", ["a", "a", "a"]), ("a$", "a\na\n", ["a"]), ("(?m)a$", "a\na\r\na", ["a", "a", "a"]),
        ("a\\z", "a\n", []), ("a\\Z", "a\r\n", ["a"]), ("\\Aa", "aa", ["a"]), ("\\bfoo\\b", "foo food foo", ["foo", "foo"]), ("\\Boo", "foo oo", ["oo"]),
        ("\\Ga", "aab a", ["a", "a"]), ("a(?=b)", "ab ac", ["a"]), ("a(?!b)", "ab ac", ["a"]), ("(?<=b)a", "ba ca", ["a"]), ("(?<!b)a", "ba ca", ["a"]),
        ("(?<=a|ab)c", "abc", ["c"]), ("(?<=\\d{1,3})x", "12x", ["x"]), ("(?=(a+))a*b\\1", "baaabac", ["aba(a)"]), ("(?<!é)x", "éx ax", ["x"]),
        ("(.)\\1", "abba", ["bb(b)"]), ("(?<l>.)\\k<l>", "abba", ["bb(b)"]), ("(?i)(a)\\1", "aA", ["aA(a)"]), ("(a)|\\1b", "b", []),
        ("(?i)straße", "STRAßE", ["STRAßE"]), ("(?i)é", "É", []), ("(?iu)é", "É", ["É"]), ("a(?i)b", "aB AB", ["aB"]), ("(?i:a)b", "Ab AB", ["Ab"]),
        ("(?i)[a-c]+", "aBC", ["aBC"]), ("(?x) a b # both\n c", "abc", ["abc"]), ("\\Qa.b\\E+", "a.bb", ["a.bb"]), ("\\x41\\u0042\\0103\\x{44}", "ABCD", ["ABCD"]),
        ("\\ud83d\\ude00", "😀", ["😀"]), ("\\t\\n\\r\\f\\a\\e", "\t\n\r\u{0c}\u{07}\u{1b}", ["\t\n\r\u{0c}\u{07}\u{1b}"]), ("a\\R", "a\r\nb", ["a\r\n"]), ("\\$\\.\\{", "$.{", ["$.{"]),
        ("(((((((((((x)))))))))))\\11", "xx", ["xx(x,x,x,x,x,x,x,x,x,x,x)"]), ("(x)\\11", "xx1", ["xx1(x)"]), ("}", "}", ["}"]), ("(?U)\\w+", "né", ["né"]),
    ])
    func anchorsLooksReferencesAndFlags(_ pattern: String, _ text: String, _ expected: [String]) throws {
        #expect(try matches(pattern, text) == expected)
    }

    @Test(arguments: [
        "(", ")", "a(b", "[a", "*a", "+", "?", "a{", "a{x}", "a{3,2}", "\\", "\\y", "(?<1a>x)", "(?<a>x)(?<a>y)", "\\k<no>", "(?<=a*)b", "(?z)a", "\\p{Nonsense}", "\\xg", "[z-a]",
        "\\u12", "(?<a", "\\c",
    ])
    func mistakes(_ pattern: String) {
        #expect(throws: KernelFailure.self) { try RegularExpression(pattern) }
    }

    @Test func deepPatternsAreRefused() throws {
        for (open, close) in [("(", ")"), ("(?=", ")"), ("[", "]"), ("(?:", ")*")] {
            func nested(_ depth: Int) -> String { String(repeating: open, count: depth) + "a" + String(repeating: close, count: depth) }
            _ = try RegularExpression(nested(150))
            #expect(throws: KernelFailure.self) { try RegularExpression(nested(100_000)) }
        }
        #expect(throws: KernelFailure.self) { try RegularExpression("((a{1000}){1000}){1000}") }
        #expect(throws: KernelFailure.self) { try DateTimePattern(String(repeating: "[", count: 100_000)) }
    }

    @Test func patternsThatNeedTooManyStepsFail() throws {
        var matcher = RegexMatcher(try RegularExpression("(a+)+b").program), from = 0
        let text = [UInt8](repeating: 0x61, count: 60)
        #expect(throws: KernelFailure.self) { try matcher.find(text.span, &from, end: text.count) }
    }

    private func run(_ name: String, _ arguments: [SQLValue?], _ type: SQLType) throws -> SQLValue {
        var errors = RowErrors()
        let program = try ExpressionProgram([.call(name, arguments.map { value in
            if case .integer? = value { return .literal(value!, .integer) }
            return .literal(value ?? .null, .string)
        }, type)])
        let batch = Batch(count: 1, columns: [], timestamps: [0])
        return program.evaluate(batch, labels: ["x"], errors: &errors)[0].value(0)
    }

    @Test func replacements() throws {
        func replaced(_ text: String, _ pattern: String, _ new: String) throws -> SQLValue {
            try run("REGEXP_REPLACE", [.string(text), .string(pattern), .string(new)], .string)
        }
        #expect(try replaced("abc", "b", "[$0]") == .string("a[b]c"))
        #expect(try replaced("ab", "(a)(b)", "$2$1") == .string("ba"))
        #expect(try replaced("ab", "(?<x>a)(b)", "${x}-$2") == .string("a-b"))
        #expect(try replaced("ab", "(a)", "$11") == .string("a1b"))
        #expect(try replaced("ab", "a", "\\$1\\\\") == .string("$1\\b"))
        #expect(try replaced("ab", "x*", "-") == .string("-a-b-"))
        #expect(try replaced("b", "(a)?b", "[$1]") == .string("[]"))
        #expect(try replaced("ab", "a", "$1") == .null)
        #expect(try replaced("ab", "a", "$") == .null)
        #expect(try replaced("xb", "a", "$1") == .string("xb"))
    }

    @Test func splitting() throws {
        func parts(_ text: String, _ pattern: String) throws -> SQLValue { try run("REGEXP_SPLIT_TO_ARRAY", [.string(text), .string(pattern)], .array(.string)) }
        func list(_ texts: String...) -> SQLValue { .array(texts.map { .string($0) }) }
        #expect(try parts("a1b22c", "\\d+") == list("a", "b", "c"))
        #expect(try parts("1a2", "\\d") == list("", "a", ""))
        #expect(try parts("a,,b", ",") == list("a", "", "b"))
        #expect(try parts("aé😀", "") == list("a", "é", "😀"))
        #expect(try parts("axxb", "x*") == list("a", "", "b"))
        #expect(try parts("abc", "z") == list("abc"))
        #expect(try parts("", "a*") == list(""))
        #expect(try parts("", ",") == list(""))
    }

    @Test func extracting() throws {
        func first(_ pattern: String, _ text: String, _ group: Int32) throws -> SQLValue {
            try run("REGEXP_EXTRACT", [.string(pattern), .string(text), .integer(group)], .string)
        }
        #expect(try first("(a)(b)?", "xac", 0) == .string("a"))
        #expect(try first("(a)(b)?", "xac", 2) == .null)
        #expect(try first("(a)(b)?", "xac", 3) == .null)
        #expect(try first("(a)(b)?", "xac", -1) == .null)
        #expect(try first("(a", "xac", 0) == .null)
        func all(_ group: Int32) throws -> SQLValue {
            try run("REGEXP_EXTRACT_ALL", [.string("(a)(b)?"), .string("aba"), .integer(group)], .array(.string))
        }
        #expect(try all(2) == .array([.string("b"), .null]))
        #expect(try all(3) == .null)
    }
}
