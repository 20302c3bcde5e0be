import MartletCore
import Testing

@testable import MartletColumns

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct NumberScanTests {
    private func scan(_ text: String) -> Double? {
        let bytes = Array(text.utf8) + [UInt8](repeating: 0x2c, count: 64)
        return bytes.withUnsafeBufferPointer { buffer in
            var p = buffer.baseAddress!, value = 0.0
            guard NumberScan.plainDouble(&p, &value, tens: NumberScan.tens, integerTens: NumberScan.integerTens) else { return nil }
            return p - buffer.baseAddress! == text.utf8.count ? value : nil
        }
    }

    private func whole(_ text: String) -> Double? { Array(text.utf8).withUnsafeBufferPointer { NumberScan.double($0) } }

    // Law: whatever the fast way accepts is what strtod says, bit for bit.
    @Test(arguments: 0..<20) func plainDoublesAreWhatStrtodReads(seed: UInt64) {
        var random = SeededRandom(seed: seed &+ 92)
        var accepted = 0, different = 0
        for _ in 0..<5_000 {
            let whole = Int.random(in: 0...5, using: &random) < 4 ? Int.random(in: 0...1, using: &random) : Int.random(in: 1...9, using: &random)
            let decimals = Int.random(in: 0...17, using: &random)
            var text = Bool.random(using: &random) ? "-" : ""
            text += whole == 0 ? "0" : (0..<whole).map { _ in "\(Int.random(in: 0...9, using: &random))" }.joined()
            if decimals > 0 { text += "." + (0..<decimals).map { _ in "\(Int.random(in: 0...9, using: &random))" }.joined() }
            let value = Double(bitPattern: UInt64.random(in: 0 ... .max, using: &random))
            for candidate in [text, "\(value.magnitude > 1e-4 && value.magnitude < 1e15 ? value : 0.1)"] {
                guard let scanned = scan(candidate) else { continue }
                accepted += 1
                if scanned.bitPattern != strtod(candidate, nil).bitPattern { different += 1 }
            }
        }
        #expect(different == 0, "seed \(seed)")
        #expect(accepted > 5_000)
    }

    @Test(arguments: [
        "9007199254740993", "9007199254740992.5", "0.3000000000000000166", "1234567890.123456789", "18446744073709551615", "9999999999999999999",
        "0.0000000000000000001", "4503599627370496.5", "4503599627370497.5", "9007199254740995.0",
    ])
    func tiesAndLongNumbersRoundAsStrtodDoes(text: String) {
        if let value = scan(text) { #expect(value.bitPattern == strtod(text, nil).bitPattern) }
        #expect(whole(text)?.bitPattern == strtod(text, nil).bitPattern)
    }

    @Test func javaReadsTheseAndNotThose() {
        let good: [(String, Double)] = [
            (" 1.5 ", 1.5), ("+3", 3), (".5", 0.5), ("5.", 5), ("1e3", 1000), ("1E-2", 0.01), ("2d", 2), ("2.5f", 2.5), ("-Infinity", -.infinity), ("1e400", .infinity),
        ]
        for (text, value) in good { #expect(whole(text) == value, "\(text)") }
        #expect(whole("NaN")?.isNaN == true)
        for text in ["", "-", ".", "e5", "1e", "1e+", "inf", "nan", "1,5", "0x10", "1 2", "--1", "1dd"] { #expect(whole(text) == nil, "\(text)") }
    }

    @Test func integersKeepToTheirRange() {
        func long(_ text: String) -> Int64? { Array(text.utf8).withUnsafeBufferPointer { NumberScan.integer($0, as: Int64.self) } }
        #expect(long("-9223372036854775808") == .min)
        #expect(long("9223372036854775807") == .max)
        #expect(long("+7") == 7)
        for text in ["9223372036854775808", "", "-", "1.0", " 1", "1 ", "a"] { #expect(long(text) == nil, "\(text)") }
    }

    @Test func decimalsNeverRound() {
        func decimal(_ text: String, _ p: Int, _ s: Int) -> Int128? {
            Array(text.utf8).withUnsafeBufferPointer { NumberScan.decimal($0, precision: p, scale: s) }
        }
        #expect(decimal("12.0", 6, 4) == 120_000)
        #expect(decimal(".12", 33, 16) == 1_200_000_000_000_000)
        #expect(decimal("-12345.12", 7, 2) == -1_234_512)
        #expect(decimal("1.2300", 4, 2) == 123)
        #expect(decimal("1e2", 4, 1) == 1000)
        #expect(decimal("99999999999999999999999999999999999999", 38, 0) == Decimal128.powersOfTen[38] - 1)
        #expect(decimal("1.234", 4, 2) == nil)
        #expect(decimal("100.00", 4, 2) == nil)
        #expect(decimal("999999999999999999999999999999999999999999", 38, 0) == nil)
        for text in ["", ".", "-", "1 ", "0x1", "NaN", "1e999999999"] { #expect(decimal(text, 38, 0) == nil, "\(text)") }
    }

    private func printed(_ write: (inout ByteWriter) -> Void) -> String {
        var writer = ByteWriter(), bytes: [UInt8] = []
        write(&writer)
        writer.copy(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    // Law: the quick way to print is the long way.
    @Test(arguments: 0..<10) func doublesPrintAsJavaDoes(seed: UInt64) {
        var random = SeededRandom(seed: seed &+ 7)
        var different: [Double] = []
        for _ in 0..<5_000 {
            let digits = Double(Int.random(in: -999_999_999_999_999...999_999_999_999_999, using: &random))
            let places = [1.0, 10, 100, 1e5, 1e8, 1e10, 1e14, 1e15, 1e17]
            let short = digits / places[Int.random(in: 0..<places.count, using: &random)]
            let bits = Double(bitPattern: UInt64.random(in: 0 ... .max, using: &random))
            let thousandths = Double(Int.random(in: -99_999...99_999, using: &random)) / 1000
            for value in [short, bits, thousandths, Double.random(in: -1...1, using: &random), 1 / short, thousandths.nextUp] {
                if printed({ $0.append(double: value) }) != value.javaDescription { different.append(value) }
            }
        }
        #expect(different.isEmpty, "seed \(seed): \(different.prefix(3))")
    }

    // Law: the digits of the one product are the shortest and nearest, whatever the exponent; where it has no answer the long way has.
    @Test(arguments: 0..<10) func shortestDoublesAreThose(seed: UInt64) {
        var random = SeededRandom(seed: seed &+ 92)
        var different: [Double] = [], answered = 0
        let count = NumberScanTests.manyDoubles
        for _ in 0..<count {
            // Exponents of 10⁻²⁴ … 10⁵⁴, where it is to answer, and somewhat beyond.
            let value = Double(bitPattern: UInt64.random(in: 943...1203, using: &random) << 52 | UInt64.random(in: 0..<(1 << 52), using: &random))
            if ShortestDouble.decimal(value.bitPattern) != nil { answered += 1 }
            if printed({ $0.append(double: value) }) != value.javaDescription { different.append(value) }
        }
        #expect(different.isEmpty, "seed \(seed): \(different.prefix(3))")
        #expect(answered > count * 9 / 10)
    }

    /// Millions where asked for.
    private static let manyDoubles = getenv("MARTLET_MANY_DOUBLES") == nil ? 3_000 : 3_000_000

    @Test func doublesAtTheEdgesPrintAsJavaDoes() {
        var values: [Double] = [0, -0.0, .nan, -.nan, .infinity, -.infinity, .leastNonzeroMagnitude, .leastNormalMagnitude, .greatestFiniteMagnitude, 2 * .leastNonzeroMagnitude]
        for power in -330...310 {
            let ten = strtod("1e\(power)", nil)
            values += [ten, ten.nextUp, ten.nextDown, 9.5 * ten, 2 * ten, 1.5 * ten]
        }
        for exponent in -1074...1023 {
            let two = Double(sign: .plus, exponent: exponent, significand: 1)
            values += [two, two.nextUp, two.nextDown, 3 * two]
        }
        // Integers, also those next to whose decimal one lies half-way between two doubles.
        values += [1, 2, 9, 10, 100, 123_456, 9_999_999, 10_000_000, 9_007_199_254_740_992, 9_007_199_254_740_996, 2e23, 8.41e21, 9.2e22, 2.0E-3, 0.001, 0.00099999]
        for value in values {
            #expect(printed { $0.append(double: value) } == value.javaDescription)
            #expect(printed { $0.append(double: -value) } == (-value).javaDescription)
        }
    }

    @Test func integersAndDecimalsPrintPlainly() {
        for value in [0, 9, 10, 99, 100, -1, 999_999_999_999_999_999, 1_000_000_000_000_000_000, Int64.max, Int64.min] {
            #expect(printed { $0.append(integer: value) } == "\(value)")
        }
        let cases: [(Int128, Int, String)] = [
            (0, 2, "0.00"), (-5, 1, "-0.5"), (1200, 4, "0.1200"), (-1_234_512, 2, "-12345.12"), (7, 0, "7"), (Int128(Int64.min), 0, "\(Int64.min)"),
            (Decimal128.powersOfTen[38] - 1, 38, "0." + String(repeating: "9", count: 38)), (Int128(Int64.min), 18, "-9.223372036854775808"), (1, 19, "0.0000000000000000001"),
        ]
        for (value, scale, text) in cases { #expect(printed { $0.append(decimal: value, scale: scale) } == text) }
    }
}
