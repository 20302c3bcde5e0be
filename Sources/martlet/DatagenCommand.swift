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

    /// What the arguments ask for.
    struct Request {
        var topic = "creditcardfraud_source"
        var bootstrap = "127.0.0.1:9092"
        var iterations: Int64?
        var rate: Int64?
        var partitions: Int32 = 3
        var seed: UInt64 = 1
        var csv: String?

        init(_ arguments: [String]) throws {
            let known: Set = ["quickstart", "topic", "bootstrap", "iterations", "rate", "partitions", "seed", "csv"]
            var given: [String: String] = [:]
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
            if let value = given["topic"] { topic = value }
            if let value = given["bootstrap"] { bootstrap = value }
            iterations = try number("iterations", 1...Int64.max)
            rate = try number("rate", 1...100_000_000)
            if let value = try number("partitions", 1...10_000) { partitions = Int32(value) }
            if let value = try number("seed", 0...Int64.max) { seed = UInt64(value) }
            csv = given["csv"]
        }
    }

    func validate() throws { _ = try Request(arguments) }

    func run() async throws {
        Interruption.block()
        let request = try Request(arguments)
        let stop = Stop()
        Task {
            await Interruption.wait()
            stop.request()
        }
        let time = TimeSource.system, start = time.monotonicNs
        do throws(MartletError) {
            let feed = try PaymentFeed(
                request.csv.map { .file($0) } ?? .generated(seed: request.seed), bootstrap: request.bootstrap, topic: request.topic,
                partitions: request.partitions)
            let isTerminal = isatty(STDERR_FILENO) != 0
            _ = try feed.run(count: request.iterations, rowsPerSecond: request.rate.map(Double.init)) { progress in
                if isTerminal { Output.error("\r\(progress.rows) rows") }
                return !stop.isRequested
            }
            let seconds = Double(time.monotonicNs - start) * 1e-9
            if isTerminal { Output.error("\r") }
            let total = feed.total
            func counted<N: BinaryInteger>(_ count: N, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
            Output.line(
                "\(counted(total.rows, "row")), \(counted(total.frauds, "fraud")), \(NumberText.fixed(Double(total.bytes) * 1e-6, 1)) MB into \(request.topic) in \(NumberText.seconds(seconds)): \(Int(Double(total.rows) / max(seconds, 1e-9))) rows/s")
            if total.rejected > 0 { Output.line("no payments: \(counted(total.rejected, "line")); the last: \(total.lastRejection ?? "")") }
        } catch {
            throw failure(error)
        }
    }
}
