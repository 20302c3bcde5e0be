import ArgumentParser
import MartletConnect
import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct DatagenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "datagen",
        abstract: "Writes generated payments, or those of a file, into a topic.",
        discussion: """
            Arguments are name=value:
              quickstart=creditcard      what to generate (the only one so far)
              topic=NAME                 default creditcardfraud_source
              bootstrap=HOST:PORT        default 127.0.0.1:9092
              iterations=N               rows; without it, until Ctrl-C or the file's end
              rate=N                     rows a second; without it, as fast as the log takes them
              partitions=N               of a topic that has to be created, default 3
              seed=N                     the same seed gives the same rows, default 1
              csv=FILE                   payments of your own: Kaggle's 31 columns or the 34 of the topic
            """)

    @Argument(help: ArgumentHelp("name=value, see below", valueName: "name=value"))
    var arguments: [String] = []

    func run() async throws {
        Interruption.block()
        var given = ["topic": "creditcardfraud_source", "bootstrap": "127.0.0.1:9092", "partitions": "3", "seed": "1"]
        let known: Set = ["quickstart", "topic", "bootstrap", "iterations", "rate", "partitions", "seed", "csv"]
        for argument in arguments {
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, known.contains(parts[0]) else {
                throw ValidationError("'\(argument)' is not name=value with one of \(known.sorted().joined(separator: ", "))")
            }
            given[parts[0]] = parts[1]
        }
        guard let quickstart = given["quickstart"] else { throw ValidationError("say what to generate: quickstart=creditcard") }
        guard quickstart == "creditcard" else { throw ValidationError("quickstart '\(quickstart)' is not known; there is creditcard") }
        func number(_ name: String, _ range: ClosedRange<Int64>) throws -> Int64? {
            guard let text = given[name] else { return nil }
            guard let value = Int64(text), range.contains(value) else {
                throw ValidationError("\(name)=\(text) is not a whole number between \(range.lowerBound) and \(range.upperBound)")
            }
            return value
        }
        let iterations = try number("iterations", 1...Int64.max)
        let rate = try number("rate", 1...100_000_000)
        let partitions = Int32(try number("partitions", 1...10_000) ?? 3)
        let seed = UInt64(try number("seed", 0...Int64.max) ?? 1)
        let topic = given["topic"]!, bootstrap = given["bootstrap"]!
        let stop = Stop()
        Task {
            await Interruption.wait()
            stop.request()
        }
        let time = TimeSource.system, start = time.monotonicNs
        do throws(MartletError) {
            let feed = try PaymentFeed(
                given["csv"].map { .file($0) } ?? .generated(seed: seed), bootstrap: bootstrap, topic: topic, partitions: partitions)
            let isTerminal = isatty(STDERR_FILENO) != 0
            _ = try feed.run(count: iterations, rowsPerSecond: rate.map(Double.init)) { progress in
                if isTerminal { Output.error("\r\(progress.rows) rows") }
                return !stop.isRequested
            }
            let seconds = Double(time.monotonicNs - start) * 1e-9
            if isTerminal { Output.error("\r") }
            let total = feed.total
            Output.line(
                "\(total.rows) rows, \(total.frauds) frauds, \(total.bytes / 1_000_000) MB into \(topic) in \(Text.seconds(seconds)): \(Int(Double(total.rows) / max(seconds, 1e-9))) rows/s")
            if total.rejected > 0 { Output.line("\(total.rejected) lines are no payments; the last: \(total.lastRejection ?? "")") }
        } catch {
            throw failure(error)
        }
    }
}

#if canImport(Synchronization)
import Synchronization
#endif

/// Whether the user has asked to end.
final class Stop: Sendable {
    private let requested = Atomic(false)
    func request() { requested.store(true, ordering: .releasing) }
    var isRequested: Bool { requested.load(ordering: .acquiring) }
}

/// Numbers for people.
enum Text {
    static func seconds(_ value: Double) -> String { fixed(value, 2) + " s" }

    /// `value` with `decimals` decimals.
    static func fixed(_ value: Double, _ decimals: Int) -> String {
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        let rounded = (value * scale).rounded()
        guard rounded.magnitude < 1e15 else { return value.description }
        let digits = String(Int64(rounded.magnitude))
        let sign = rounded < 0 ? "-" : ""
        if decimals == 0 { return sign + digits }
        let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.utf8.count)) + digits
        return "\(sign)\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
    }

    /// `1234567` as `1,234,567`.
    static func grouped(_ value: Int64) -> String {
        var out = "", digits = 0
        for character in String(value.magnitude).reversed() {
            if digits > 0 && digits % 3 == 0 { out.append(",") }
            out.append(character)
            digits += 1
        }
        return (value < 0 ? "-" : "") + String(out.reversed())
    }

    static func left(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
    static func right(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
}
