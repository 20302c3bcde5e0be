import ArgumentParser
import MartletConformance
import Logging
import MartletCore
import MartletEngine
import MartletLog
import MartletServer
import MartletShell

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct TestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Runs SQL tests and conformance cases: in process on a clock that stands still, or over HTTP against a server of its own.",
        discussion: "Prints what passed, failed and does not apply, by file and in total. The exit status is 1 if anything fails.")

    @Argument(help: "SQL tests (.sqltest, .sql), case files (.json), or folders of them.")
    var paths: [String]

    @Option(help: "The kind of cases to run: qtt (queries in process) or rest (the REST API over HTTP).")
    var kind = "qtt"

    @Option(help: "Only cases whose name contains this text.")
    var filter: String?

    @Option(help: ArgumentHelp("Spread records over so many tasks by their keys, as over partitions.", valueName: "n"))
    var partitions = 1

    @Option(help: ArgumentHelp("Write the verdict on every case to a file.", valueName: "file"))
    var json: String?

    @Flag(help: "Print every difference, wrong message and case that does not apply.")
    var verbose = false

    func validate() throws {
        if partitions < 1 { throw ValidationError("--partitions is 1 or more") }
        if kind != "qtt" && kind != "rest" { throw ValidationError("--kind is qtt or rest, not '\(kind)'") }
    }

    func run() async throws {
        let report: ConformanceReport
        do throws(MartletError) {
            let run = ConformanceRun(filter: filter, batchRows: partitions == 1 ? 1000 : 1, tasks: partitions)
            report = kind == "qtt" ? try run.run(paths) : try await run.runRest(paths, start: Self.startServer)
            if let json { try Self.write(report.json.description + "\n", to: json) }
        } catch {
            throw failure(error)
        }
        for line in report.lines(verbose: verbose) { Output.line(line) }
        if report.total.failed > 0 { throw ExitCode(1) }
    }

    /// A server on free ports with nothing in it, set as ksqlDB's own tests set theirs: from the earliest record, every update comes out.
    private static func startServer() async throws(MartletError) -> RestTestServer {
        let options = try? NodeOptions.parse(["--ephemeral", "--durability", "os", "--log-level", "critical"])
        guard let options else { throw MartletError(.internalError, "the options of a test server are wrong") }
        let directory = try options.directory()
        var config = try options.config(directory: directory)
        config.server = ServerConfig(kafkaPort: 0, ksqlPort: 0, registryPort: 0)
        config.engine.streamThreads = 1
        config.engine.properties = ["auto.offset.reset": "earliest", "cache.max.bytes.buffering": "0", "ksql.query.push.v2.enabled": "true"]
        let node: Node
        do throws(MartletError) {
            node = try await Node.start(config, logger: options.logger)
        } catch {
            DirectoryRemoval.remove(directory)
            throw error
        }
        let address = try ServerAddress("http://127.0.0.1:\(node.ports.ksql)")
        return RestTestServer(
            engine: node.engine, log: node.log, registry: node.registry,
            post: { path, body, accept throws(MartletError) in
                do throws(RestFailure) {
                    let answer = try RestClient(address).post(path, body, accept: accept, patienceMs: 20_000)
                    return RestAnswer { () throws(MartletError) in
                        do throws(RestFailure) { return try answer() } catch { throw Self.error(error) }
                    }
                } catch {
                    throw Self.error(error)
                }
            },
            stop: {
                await node.stop()
                DirectoryRemoval.remove(directory)
            })
    }

    private static func error(_ failure: RestFailure) -> MartletError {
        switch failure {
        case .transport(let error): error
        case .refused(let refusal): MartletError(.badRequest, refusal.text)
        case .interrupted: MartletError(.io, "interrupted")
        }
    }

    private static func write(_ text: String, to path: String) throws(MartletError) {
        guard let file = fopen(path, "wb") else { throw MartletError(.io, "cannot write \(path): \(String(cString: strerror(errno)))") }
        let written = fputs(text, file)
        guard fclose(file) == 0, written >= 0 else { throw MartletError(.io, "cannot write \(path): \(String(cString: strerror(errno)))") }
    }
}
