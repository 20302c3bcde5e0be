import ArgumentParser
import MartletConformance
import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct TestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Runs SQL tests and conformance cases, in process, on a clock that stands still.",
        discussion: "Prints what passed, failed and does not apply, by file and in total. The exit status is 1 if anything fails.")

    @Argument(help: "SQL tests (.sqltest, .sql), case files (.json), or folders of them.")
    var paths: [String]

    @Option(help: "The kind of cases to run: qtt.")
    var kind = "qtt"

    @Option(help: "Only cases whose name contains this text.")
    var filter: String?

    @Option(help: ArgumentHelp("Write the verdict on every case to a file.", valueName: "file"))
    var json: String?

    @Flag(help: "Print every difference, wrong message and case that does not apply.")
    var verbose = false

    func validate() throws {
        if kind != "qtt" { throw ValidationError("--kind is qtt, not '\(kind)'") }
    }

    func run() throws {
        let report: ConformanceReport
        do throws(MartletError) {
            report = try ConformanceRun(filter: filter).run(paths)
            if let json { try Self.write(report.json.description + "\n", to: json) }
        } catch {
            throw failure(error)
        }
        for line in report.lines(verbose: verbose) { Output.line(line) }
        if report.total.failed > 0 { throw ExitCode(1) }
    }

    private static func write(_ text: String, to path: String) throws(MartletError) {
        guard let file = fopen(path, "wb") else { throw MartletError(.io, "cannot write \(path): \(String(cString: strerror(errno)))") }
        let written = fputs(text, file)
        guard fclose(file) == 0, written >= 0 else { throw MartletError(.io, "cannot write \(path): \(String(cString: strerror(errno)))") }
    }
}
