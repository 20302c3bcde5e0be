import MartletCore
import Testing

@testable import MartletColumns

struct LikePatternTests {
    @Test func patterns() throws {
        for (text, pattern, escape, wanted) in [
            ("Premium gold", "Premium%", nil, true), ("premium", "Premium%", nil, false), ("abc", "abc", nil, true), ("abc", "ab", nil, false), ("", "", nil, true), ("", "%", nil, true),
            ("abc", "a_c", nil, true), ("aéc", "a_c", nil, true), ("a😀c", "a_c", nil, true), ("ac", "a_c", nil, false), ("abcbc", "%bc", nil, true), ("abcbd", "%bc", nil, false),
            ("xaybzc", "%a%b%c", nil, true), ("xaybz", "%a%b%c", nil, false), ("%", "!%", "!", true), ("x", "!%", "!", false), ("a!b", "a!!b", "!", true), ("a\\b", "a\\b", nil, true),
            ("a\nb", "a%b", nil, false), ("a\nb", "a\nb", nil, true), ("a\n", "a%", nil, false), ("a.c", "a.c", nil, true), ("abc", "a.c", nil, false), ("aaa", "%%", nil, true), ("ab", "_%_", nil, true),
        ] as [(String, String, String?, Bool)] {
            #expect(try LikePattern(pattern, escape: escape).matches(Array(text.utf8)[...]) == wanted, "\(text) LIKE \(pattern)")
        }
        #expect(throws: MartletError.self) { try LikePattern("ab!", escape: "!") }
    }

    /// A matcher that tries everything says the same of short texts over {a, b} and short patterns over {a, _, %}.
    @Test func allShortPatterns() throws {
        func slow(_ text: Substring, _ pattern: Substring) -> Bool {
            guard let first = pattern.first else { return text.isEmpty }
            if first == "%" { return slow(text, pattern.dropFirst()) || (!text.isEmpty && slow(text.dropFirst(), pattern)) }
            return !text.isEmpty && (first == "_" || first == text.first) && slow(text.dropFirst(), pattern.dropFirst())
        }
        func words(_ alphabet: String, _ length: Int) -> [String] {
            length == 0 ? [""] : words(alphabet, length - 1).flatMap { word in alphabet.map { word + String($0) } }
        }
        for length in 0...4 {
            for pattern in words("a_%", length) {
                let compiled = try LikePattern(pattern, escape: nil)
                for size in 0...4 { for text in words("ab", size) { #expect(compiled.matches(Array(text.utf8)[...]) == slow(text[...], pattern[...])) } }
            }
        }
    }

    /// Strings are ordered as Java orders them, by UTF-16 unit.
    @Test func stringOrder() {
        let texts = ["", "a", "ab", "b", "é", "\u{d7ff}", "\u{10000}", "\u{10ffff}", "\u{e000}", "\u{ffff}"]
        for (i, a) in texts.enumerated() {
            for (j, b) in texts.enumerated() {
                let order = ComparisonKernels.compareUTF16(Array(a.utf8)[...], Array(b.utf8)[...])
                #expect(order.signum() == (i - j).signum(), "\(a.debugDescription) and \(b.debugDescription)")
                #expect(a.utf16.lexicographicallyPrecedes(b.utf16) == (order < 0))
            }
        }
    }
}
