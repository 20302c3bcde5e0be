import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Endless payments as 34-column DELIMITED lines, shaped after real ones (`PaymentStatistics`): the `creditcard` quickstart.
///
/// ```
/// 1,"2018-12-18T12:00:00Z","Kai",0,-1.3598071336738,…,-0.0210530534538215,149.62,"0"
/// Id, Timestamp,           User, Time, V1 … V28,                        Amount, Class
/// ```
/// Id runs from 1. Time is the second within two days and starts again after them; Timestamp goes on. Class is `"0"`, `"1"` for a fraud, or
/// empty. A component is Gaussian with one scale for 15 of 16 payments and a larger one for the rest, which gives the real standard
/// deviation, the real middle half and tails. The same seed gives the same bytes.
public struct CreditCardGenerator: Sendable {
    /// What the generator knows about a row.
    public struct Truth: Sendable, Hashable {
        public var id: Int64
        public var isFraud: Bool
        /// Whether the row says its class; one in twenty does not.
        public var hasClass: Bool
        /// Milliseconds since the epoch, whole seconds; the Timestamp of the row.
        public var timestampMs: Int64

        public init(id: Int64, isFraud: Bool, hasClass: Bool, timestampMs: Int64) {
            self.id = id
            self.isFraud = isFraud
            self.hasClass = hasClass
            self.timestampMs = timestampMs
        }
    }

    /// 2018-12-18T12:00:00Z, where the sample file begins.
    public static let defaultStartMs: Int64 = 1_545_134_400_000

    private var random: SeededRandom
    private let normal = NormalSampler()
    private let startSecond: Int64
    private let fraudLimit: UInt64
    private let emptyLimit: UInt64
    private let cores: [Double]
    private let tails: [Double]
    private let fraudMeans: [Double]
    private let fraudDeviations: [Double]
    private var elapsed = 0.0
    private var nextID: Int64 = 1
    private var instant = InstantText()
    private let users = PaymentStatistics.users.map { Array("\"\($0)\"".utf8) }
    private let gaps = PaymentStatistics.hourlyRates.map { PaymentStatistics.meanGapSeconds / $0 }
    /// Twice what the longest row needs.
    private var row = [UInt8](repeating: 0, count: 2048)

    private static let tailShare = 1.0 / 16

    /// - `startTimestampMs`: of the first row; milliseconds since the epoch.
    /// - `fraudShare`, `emptyClassShare`: 0...1.
    public init(
        seed: UInt64, startTimestampMs: Int64 = Self.defaultStartMs, fraudShare: Double = 492.0 / 284_807, emptyClassShare: Double = 0.05
    ) {
        random = SeededRandom(seed: seed)
        startSecond = startTimestampMs / 1000
        fraudLimit = Self.limit(fraudShare)
        emptyLimit = Self.limit(emptyClassShare)
        var cores: [Double] = [], tails: [Double] = []
        for (deviation, core) in zip(PaymentStatistics.standardDeviations, PaymentStatistics.cores) {
            cores.append(deviation * core)
            // (1 − share)·core² + share·tail² = 1
            tails.append(deviation * ((1 - (1 - Self.tailShare) * core * core) / Self.tailShare).squareRoot())
        }
        self.cores = cores
        self.tails = tails
        // Hidden frauds have mean 0 and a payment's deviation s; the visible ones are further out, so that both together have mean m and
        // deviation f: m' = m / (1 − h), f² = h·s² + (1 − h)·f'² + h·(1 − h)·m'².
        let hidden = PaymentStatistics.hiddenFraudShare
        let means = PaymentStatistics.fraudMeans.map { $0 / (1 - hidden) }
        fraudMeans = means
        fraudDeviations = (0..<PaymentStatistics.componentCount).map { i in
            let s = PaymentStatistics.standardDeviations[i], f = PaymentStatistics.fraudDeviations[i]
            return ((f * f - hidden * s * s) / (1 - hidden) - hidden * means[i] * means[i]).squareRoot()
        }
    }

    /// A share as a limit for 32 random bits.
    private static func limit(_ share: Double) -> UInt64 { UInt64(min(max(share, 0), 1) * 0x1p32) }

    /// Appends one row, without a line end. About 500 bytes, 0.6 µs.
    @discardableResult
    public mutating func appendRow(to out: inout [UInt8]) -> Truth {
        let second = Int64(elapsed)
        instant.set(second: startSecond + second)
        let flags = random.next()
        let truth = Truth(
            id: nextID, isFraud: flags >> 32 < fraudLimit, hasClass: flags & 0xffff_ffff >= emptyLimit, timestampMs: (startSecond + second) * 1000)
        let user = Int(random.next() >> 32) &* users.count >> 32
        // Both leave `self` while the row is written: its methods may then read the tables.
        var random = self.random, row = self.row
        self.row = []
        let count = row.withUnsafeMutableBufferPointer { row in
            let start = row.baseAddress!
            var place = DigitWriter.write(UInt64(nextID), at: start)
            place = Self.put(",\"", at: place)
            place = Self.put(instant.bytes, at: place)
            place = Self.put("\",", at: place)
            place = Self.put(users[user], at: place)
            place = Self.put(",", at: place)
            place = DigitWriter.write(UInt64(second % Int64(PaymentStatistics.days * 86_400)), at: place)
            place = truth.isFraud ? writeFraud(at: place, &random) : writePayment(at: place, &random)
            return Self.put(truth.hasClass ? (truth.isFraud ? ",\"1\"" : ",\"0\"") : ",", at: place) - start
        }
        out.append(contentsOf: row[..<count])
        nextID += 1
        elapsed -= log(1 - random.nextDouble()) * gaps[Int(second / 3600 % 24)]
        self.random = random
        self.row = row
        return truth
    }

    /// `,V1,…,V28,Amount` of a payment.
    private func writePayment(
        at start: DigitWriter.Place, _ random: inout SeededRandom, _ amounts: PaymentStatistics.Amounts = PaymentStatistics.amount
    ) -> DigitWriter.Place {
        var place = start
        for i in 0..<PaymentStatistics.componentCount {
            let (value, bits) = normal.next(&random)
            place[0] = UInt8(ascii: ",")
            place = DigitWriter.write(value * (bits == 0 ? tails[i] : cores[i]), at: place + 1)
        }
        return writeAmount(amounts, at: place, &random)
    }

    /// The same for a fraud: hidden, or one number says how blatant it is and the rest is each component's own.
    private func writeFraud(at start: DigitWriter.Place, _ random: inout SeededRandom) -> DigitWriter.Place {
        if random.nextDouble() < PaymentStatistics.hiddenFraudShare { return writePayment(at: start, &random, PaymentStatistics.fraudAmount) }
        var place = start
        let severity = normal.next(&random).value
        for i in 0..<PaymentStatistics.componentCount {
            let loading = PaymentStatistics.fraudLoadings[i]
            let own = normal.next(&random).value * (1 - loading * loading).squareRoot()
            place[0] = UInt8(ascii: ",")
            place = DigitWriter.write(
                fraudMeans[i] + fraudDeviations[i] * (loading * severity + own), at: place + 1)
        }
        return writeAmount(PaymentStatistics.fraudAmount, at: place, &random)
    }

    private func writeAmount(_ amounts: PaymentStatistics.Amounts, at place: DigitWriter.Place, _ random: inout SeededRandom) -> DigitWriter.Place {
        place[0] = UInt8(ascii: ",")
        let isZero = random.nextDouble() < amounts.zeroShare
        let amount = min(exp(amounts.logMean + amounts.logDeviation * normal.next(&random).value), amounts.maximum)
        return DigitWriter.writeCents(isZero ? 0 : max(1, UInt64((amount * 100).rounded())), at: place + 1)
    }

    @inline(__always)
    private static func put(_ text: StaticString, at place: DigitWriter.Place) -> DigitWriter.Place {
        place.update(from: text.utf8Start, count: text.utf8CodeUnitCount)
        return place + text.utf8CodeUnitCount
    }

    @inline(__always)
    private static func put(_ bytes: [UInt8], at place: DigitWriter.Place) -> DigitWriter.Place {
        bytes.withUnsafeBufferPointer { place.update(from: $0.baseAddress!, count: $0.count) }
        return place + bytes.count
    }
}
