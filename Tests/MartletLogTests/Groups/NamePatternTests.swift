import Testing

@testable import MartletLog

@Suite struct NamePatternTests {
    @Test(arguments: [
        ("orders", ["orders"], ["order", "orders2", "Orders", ""]),
        ("orders.*", ["orders", "orders-eu"], ["my-orders"]),
        ("^orders-(eu|us)$", ["orders-eu", "orders-us"], ["orders-asia", "orders-euus"]),
        ("a?b+c*", ["b", "abbcc", "bc"], ["a", "ac", "aab"]),
        ("[a-c_]{2,3}", ["ab", "a_c"], ["a", "abca", "ad"]),
        ("[^a-c]+", ["xyz"], ["xaz", ""]),
        ("x{2}", ["xx"], ["x", "xxx"]),
        ("x{2,}y", ["xxy", "xxxxy"], ["xy"]),
        ("\\d+\\.\\w+", ["12.ab_3"], ["12ab", "a.b"]),
        ("(?:ab)*(?P<n>c|)", ["", "abab", "ababc"], ["aba", "cc"]),
        ("a.c", ["abc", "a-c"], ["ac", "abbc"]),
        ("[]x]+", ["]x"], ["y"]),
        ("[\\w-]+", ["a-b"], ["a b"]),
        ("\\Qa.b\\E.", ["a.bx"], ["axbx"]),
        ("a|b|", ["a", "b", ""], ["ab"]),
        (".*?x", ["x", "aax"], ["xa"]),
        ("topic-ü", ["topic-ü"], ["topic-u"]),
    ])
    func matchesWholeNames(_ pattern: String, _ yes: [String], _ no: [String]) throws {
        let pattern = try NamePattern(pattern)
        for name in yes { #expect(pattern.matches(name), "\(name)") }
        for name in no { #expect(!pattern.matches(name), "\(name)") }
    }

    @Test(arguments: ["(", ")", "a)", "[a", "*", "a{2,1}", "a{x}", "\\", "\\p{L}", "(?=a)", "(?i)a", "(?<=a)b", "[b-a]", "a{1001}", "((a{999}){999}){999}", "\\1"])
    func whatIsNotUnderstoodIsRefused(_ pattern: String) {
        #expect { try NamePattern(pattern) } throws: { ($0 as? KafkaError)?.code == .invalidRegularExpression }
    }

    /// A pattern that takes a backtracking matcher the age of the universe.
    @Test func hostilePatternsEnd() throws {
        #expect(try !NamePattern("(a*)*(a*)*(a+)+b").matches(String(repeating: "a", count: 249)))
        #expect(throws: KafkaError.self) { try NamePattern(String(repeating: "(", count: 10_000) + String(repeating: ")", count: 10_000)) }
    }
}
