import MartletCore
import Testing

@testable import MartletConnect

@Suite struct CreditCardGeneratorTests {
    private func rows(_ count: Int, seed: UInt64, fraudShare: Double = 492.0 / 284_807) -> (lines: [String], truths: [CreditCardGenerator.Truth]) {
        var generator = CreditCardGenerator(seed: seed, fraudShare: fraudShare)
        var lines: [String] = [], truths: [CreditCardGenerator.Truth] = []
        for _ in 0..<count {
            var bytes: [UInt8] = []
            truths.append(generator.appendRow(to: &bytes))
            lines.append(String(decoding: bytes, as: UTF8.self))
        }
        return (lines, truths)
    }

    @Test func rowsHaveTheLayoutOfTheSourceTopicAndTellTheTruth() throws {
        let (lines, truths) = rows(2000, seed: 1, fraudShare: 0.2)
        var lastTime = 0
        for (i, (line, truth)) in zip(lines, truths).enumerated() {
            let fields = line.split(separator: ",", omittingEmptySubsequences: false)
            try #require(fields.count == 34, "\(line)")
            #expect(Int64(fields[0]) == Int64(i + 1) && truth.id == Int64(i + 1))
            #expect(fields[1].hasPrefix("\"2018-12-18T12:") && fields[1].hasSuffix("Z\"") && fields[1].count == 22)
            #expect(PaymentStatistics.users.contains(String(fields[2].dropFirst().dropLast())) && fields[2].first == "\"")
            let time = try #require(Int(fields[3]))
            #expect(time >= lastTime && truth.timestampMs == CreditCardGenerator.defaultStartMs + Int64(time) * 1000)
            lastTime = time
            for field in fields[4...32] { #expect(Double(field) != nil, "\(field)") }
            #expect(fields[33] == (truth.hasClass ? (truth.isFraud ? "\"1\"" : "\"0\"") : ""))
        }
        #expect(truths.contains { $0.isFraud && !$0.hasClass } && truths.contains { $0.isFraud && $0.hasClass })
    }

    @Test func oneSeedGivesOneTextAndAnotherAnother() {
        #expect(rows(500, seed: 7).lines == rows(500, seed: 7).lines)
        #expect(rows(500, seed: 7).lines != rows(500, seed: 8).lines)
    }

    /// A copy goes on where it was taken, on its own.
    @Test func copiesAreIndependent() {
        var first = CreditCardGenerator(seed: 3)
        var skipped: [UInt8] = [], a: [UInt8] = [], b: [UInt8] = []
        first.appendRow(to: &skipped)
        var second = first
        for _ in 0..<10 { first.appendRow(to: &a) }
        for _ in 0..<10 { second.appendRow(to: &b) }
        #expect(a == b && a != skipped)
    }

    /// 200,000 rows against the published statistics. Tolerances are about five standard errors.
    @Test func statisticsAreThoseOfTheRealPayments() {
        var generator = CreditCardGenerator(seed: 92)
        var sum = [Double](repeating: 0, count: 28), squares = sum, frauds = 0, empty = 0, last: Int64 = 0
        var amounts: [Double] = [], others = 0.0, crossing = 0.0
        var bytes: [UInt8] = []
        for _ in 0..<200_000 {
            bytes.removeAll(keepingCapacity: true)
            let truth = generator.appendRow(to: &bytes)
            if truth.isFraud { frauds += 1 }
            if !truth.hasClass { empty += 1 }
            last = truth.timestampMs
            guard !truth.isFraud else { continue }
            let values = Self.numbers(bytes)
            others += 1
            for i in 0..<28 {
                sum[i] += values[i]
                squares[i] += values[i] * values[i]
            }
            crossing += values[0] * values[1]
            amounts.append(values[28])
        }
        for i in 0..<28 {
            let deviation = (squares[i] / others - (sum[i] / others) * (sum[i] / others)).squareRoot()
            #expect(abs(deviation / PaymentStatistics.standardDeviations[i] - 1) < 0.03, "V\(i + 1): \(deviation)")
            #expect(abs(sum[i] / others) < 0.012 * PaymentStatistics.standardDeviations[i], "V\(i + 1): mean \(sum[i] / others)")
        }
        let correlation = crossing / others / (PaymentStatistics.standardDeviations[0] * PaymentStatistics.standardDeviations[1])
        #expect(abs(correlation) < 0.015)
        #expect(frauds > 250 && frauds < 450, "\(frauds) frauds of 345.5 expected")
        #expect(empty > 9_500 && empty < 10_500)
        amounts.sort()
        let median = amounts[amounts.count / 2], mean = amounts.reduce(0, +) / Double(amounts.count)
        #expect(abs(median - 22) < 0.7 && abs(mean - 88.35) < 5, "\(median), \(mean)")
        #expect(amounts[amounts.count - 1] <= 25_691.16 && amounts[0] == 0)
        let hours = Double(last - CreditCardGenerator.defaultStartMs) / 3_600_000
        #expect(hours > 28 && hours < 40, "200,000 of 284,807 payments take about 34 of 48 hours: \(hours)")
    }

    /// Frauds have the measured means; in V14 they differ from the rest by more than seven standard deviations.
    @Test func fraudsAreShifted() {
        var generator = CreditCardGenerator(seed: 5, fraudShare: 1)
        var sum = [Double](repeating: 0, count: 28), bytes: [UInt8] = []
        let count = 20_000
        for _ in 0..<count {
            bytes.removeAll(keepingCapacity: true)
            #expect(generator.appendRow(to: &bytes).isFraud)
            for (i, value) in Self.numbers(bytes).prefix(28).enumerated() { sum[i] += value }
        }
        for i in 0..<28 {
            let error = PaymentStatistics.fraudDeviations[i] / Double(count).squareRoot()
            #expect(abs(sum[i] / Double(count) - PaymentStatistics.fraudMeans[i]) < 5 * error, "V\(i + 1)")
        }
    }

    /// V1…V28 and Amount.
    private static func numbers(_ line: [UInt8]) -> [Double] {
        line.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)[4...32].map { Double(String(decoding: $0, as: UTF8.self)) ?? .nan }
    }
}

@Suite struct DigitWriterTests {
    private func text(_ value: Double) -> String {
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = buffer.withUnsafeMutableBufferPointer { DigitWriter.write(value, at: $0.baseAddress!) - $0.baseAddress! }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    @Test(arguments: [
        (0, "0"), (-0.0, "0"), (1, "1"), (-1, "-1"), (0.5, "0.5"), (-12.25, "-12.25"), (149.62, "149.62"), (999, "999"), (9.9999999999999999, "10"),
        (0.00898309914322813, "0.00898309914322813"), (-1.3598071336738, "-1.3598071336738"), (1e-20, "0"), (-1e-20, "0"), (1e-17, "0.00000000000000001"),
    ] as [(Double, String)])
    func exactTexts(value: Double, expected: String) { #expect(text(value) == expected) }

    /// Read back, a number differs from the one written by half of the fifteenth digit (5e-15 of a number that begins with 1, and a rounding
    /// or two of the double) or of the seventeenth decimal, and what is written twice is the same.
    @Test func numbersSurvive() {
        var random = SeededRandom(seed: 92)
        for _ in 0..<20_000 {
            let value = random.nextGaussian() * [0.0001, 0.01, 0.3, 1, 10, 99][Int.random(in: 0..<6, using: &random)]
            let written = text(value)
            let back = Double(written) ?? .nan
            #expect(abs(back - value) <= max(abs(value) * 5.5e-15, 1e-17), "\(value) as \(written)")
            #expect(text(back) == written)
            #expect(!written.hasSuffix(".") && !(written.contains(".") && written.hasSuffix("0")))
        }
    }

    @Test(arguments: [(0, "0"), (5, "0.05"), (50, "0.5"), (4000, "40"), (14962, "149.62"), (2_569_116, "25691.16")] as [(UInt64, String)])
    func cents(value: UInt64, expected: String) {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = buffer.withUnsafeMutableBufferPointer { DigitWriter.writeCents(value, at: $0.baseAddress!) - $0.baseAddress! }
        #expect(String(decoding: buffer[..<count], as: UTF8.self) == expected)
    }
}

@Suite struct InstantTextTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00Z"), (1_545_134_400, "2018-12-18T12:00:00Z"), (951_782_399, "2000-02-28T23:59:59Z"), (951_782_400, "2000-02-29T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"), (4_107_542_400, "2100-03-01T00:00:00Z"),
    ] as [(Int64, String)])
    func knownSeconds(second: Int64, text: String) {
        var instant = InstantText()
        instant.set(second: second - 1)
        instant.set(second: second)
        #expect(String(decoding: instant.bytes, as: UTF8.self) == text)
    }
}

@Suite struct NormalSamplerTests {
    /// Moments, tails beyond the ziggurat's base, and independence of the four bits.
    @Test func numbersAreNormal() {
        var random = SeededRandom(seed: 92)
        let normal = NormalSampler(), count = 1_000_000
        var sum = 0.0, squares = 0.0, fourths = 0.0, beyondTwo = 0, beyondBase = 0, tagged = 0, taggedSquares = 0.0
        for _ in 0..<count {
            let (x, bits) = normal.next(&random)
            sum += x
            squares += x * x
            fourths += x * x * x * x
            if abs(x) > 2 { beyondTwo += 1 }
            if abs(x) > 3.442619855899 { beyondBase += 1 }
            if bits == 0 {
                tagged += 1
                taggedSquares += x * x
            }
        }
        let n = Double(count)
        #expect(abs(sum / n) < 0.005 && abs(squares / n - 1) < 0.008 && abs(fourths / n - 3) < 0.06)
        #expect(abs(Double(beyondTwo) / n - 0.0455) < 0.0012)
        #expect(abs(Double(beyondBase) / n - 0.000576) < 0.00013, "\(beyondBase)")
        #expect(abs(Double(tagged) / n - 1.0 / 16) < 0.0013 && abs(taggedSquares / Double(tagged) - 1) < 0.03)
    }
}
