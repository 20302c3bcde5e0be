import MartletCore
import Testing

@Suite struct CoreTests {
    @Test func checksumHasThePublishedValueAndEqualsItselfInPieces() {
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xe306_9283)
        var random = SeededRandom(seed: 92)
        let bytes = (0..<20_000).map { _ in UInt8.random(in: 0...255, using: &random) }
        for cut in [0, 1, 7, 1024, 3071, 3072, 3073, 9999] {
            let head = CRC32C.checksum(Array(bytes[..<cut]))
            #expect(Array(bytes[cut...]).withUnsafeBytes { CRC32C.checksum($0, from: head) } == CRC32C.checksum(bytes), "cut at \(cut)")
        }
    }

    // Reference values of Kafka clients' own test of Utils.murmur2.
    @Test(arguments: [("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536), ("abc", 479_470_107)])
    func murmurAgreesWithKafka(text: String, hash: Int) {
        #expect(Array(text.utf8).withUnsafeBytes { Murmur2.hash($0) } == Int32(hash))
    }

    @Test(arguments: [
        (1e10, "1.0E10"), (1e-5, "1.0E-5"), (100, "100.0"), (0.001, "0.001"), (9_999_999, "9999999.0"), (1e7, "1.0E7"), (-0.5, "-0.5"),
        (123.456, "123.456"), (1.7976931348623157e308, "1.7976931348623157E308"), (0, "0.0"), (1.25e-4, "1.25E-4"),
    ])
    func doublesPrintAsJavaDoes(value: Double, text: String) { #expect(value.javaDescription == text) }

    @Test func decimalsRoundHalfUpAndKeepTheirScale() {
        #expect(Decimal128(parsing: "-0.50")?.description == "-0.50")
        #expect(Decimal128(parsing: "1.005")?.rescaled(to: 2)?.description == "1.01")
        #expect(Decimal128(parsing: "-1.005")?.rescaled(to: 2)?.description == "-1.01")
        #expect(Decimal128(parsing: "1.004")?.rescaled(to: 2)?.description == "1.00")
        #expect(Decimal128(parsing: "2.5e3")?.description == "2500")
        #expect(Decimal128(parsing: "99.95")?.fitted(precision: 3, scale: 1) == nil)
        #expect(Decimal128(parsing: "1e") == nil)
        #expect(Decimal128(parsing: "") == nil)
        #expect(Decimal128(unscaled: 999, scale: 0).precision == 3)
        #expect(Decimal128(unscaled: 1000, scale: 0).precision == 4)
    }

    @Test func jsonKeepsDigitsAndOrderAndRefusesWhatIsNotJSON() throws {
        let text = #"{"b":1.0,"a":[1E3,null,true,"é\n\"\u0001"],"c":{}}"#
        #expect(try JSONValue(parsing: text).description == text)
        #expect(try JSONValue(parsing: #""\ud83d\ude00""#).stringValue == "😀")
        for bad in ["", "{", "[1,]", "01", "1.", "\"a", "{\"a\" 1}", "nul", "1 2", "\"\\x\""] {
            #expect(throws: MartletError.self, "\(bad)") { try JSONValue(parsing: bad) }
        }
        #expect(throws: MartletError.self) { try JSONValue(parsing: String(repeating: "[", count: 100_000)) }
    }

    @Test func anErrorShowsItsPlace() {
        let error = MartletError(
            .unknownColumn, "column COLOUR does not exist in CLICKS", at: SourceSpan(start: 7, end: 13, line: 1, column: 8),
            hint: "columns are WHO, URL", statement: "SELECT COLOUR FROM CLICKS;")
        #expect(
            error.rendered() == """
                40001 line 1:8: column COLOUR does not exist in CLICKS
                  SELECT COLOUR FROM CLICKS;
                         ^^^^^^  columns are WHO, URL
                """)
    }
}
