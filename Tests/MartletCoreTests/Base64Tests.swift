import MartletCore
import Testing

@Suite struct Base64Tests {
    // RFC 4648, section 10.
    @Test func theStandardsExamples() {
        for (plain, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")] {
            #expect(Base64.encode(plain.utf8) == text)
            #expect(Base64.decode(text.utf8, padding: .required) == Array(plain.utf8))
            #expect(Base64.decode(text.utf8.filter { $0 != 0x3d }) == Array(plain.utf8))
        }
    }

    // Law: what was encoded comes back, with its padding and without.
    @Test(arguments: 0..<5) func bytesComeBack(seed: UInt64) {
        var random = SeededRandom(seed: seed &+ 92)
        for count in 0..<80 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let text = Base64.encode(bytes)
            #expect(text.utf8.count == Base64.encodedCount(count))
            #expect(Base64.decode(text.utf8, padding: .required) == bytes, "seed \(seed)")
            #expect(Base64.decode(text.utf8.filter { $0 != 0x3d }) == bytes, "seed \(seed)")
        }
    }

    @Test func otherTextsAreNone() {
        for text in ["Z", "Zg=", "Z===", "Zg==Zg==", "Z*==", "====", "=", "Zm9v=", "Zm9vY===", "Zm9v Yg==", "Zé=="] {
            #expect(Base64.decode(text.utf8) == nil, "\(text)")
            #expect(Base64.decode(text.utf8, padding: .required) == nil, "\(text)")
        }
        // Without its padding a text is whole only to those who do not ask for it.
        for text in ["Zg", "Zm8"] {
            #expect(Base64.decode(text.utf8) != nil)
            #expect(Base64.decode(text.utf8, padding: .required) == nil)
        }
    }
}
