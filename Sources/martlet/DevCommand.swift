import ArgumentParser
import MartletCore
import MartletServer

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev",
        abstract: "Serves Kafka, SQL and schemas on this machine.",
        discussion: "Everything survives a restart: topics, schemas, statements; queries resume where they were. Ctrl-C stops.")

    @OptionGroup var options: NodeOptions

    @Option(help: ArgumentHelp("The address to listen on. Other than loopback needs TLS and users, or --insecure.", valueName: "address"))
    var host = "127.0.0.1"

    @Option(help: ArgumentHelp("Settings, a name=value a line; --set overrides them.", valueName: "file"))
    var config: String?

    @Flag(help: "With --host: let other machines in without asking who they are.")
    var insecure = false

    func run() async throws {
        Interruption.block()
        do throws(MartletError) {
            let directory = try options.directory()
            let node = try await start(in: directory)
            let ports = node.ports
            Output.line("Martlet \(MartletVersion.text) is ready on \(host): Kafka \(ports.kafka), SQL \(ports.ksql), schemas \(ports.registry); data in \(directory)")
            // What starting alone needed leaves the memory once the first requests are through.
            Task {
                try? await Task.sleep(for: .seconds(1))
                CodePages.release()
            }
            await Interruption.wait()
            await node.stop()
            options.cleanUp(directory)
        } catch {
            throw failure(error)
        }
    }

    private func start(in directory: String) async throws(MartletError) -> Node {
        do throws(MartletError) {
            let file = try config.map { (path) throws(MartletError) in try ServerSetting.parse(file: FileBytes.text(path), path: path) } ?? []
            return try await Node.start(
                options.config(directory: directory, host: host, file: file, isInsecure: insecure), logger: options.logger)
        } catch {
            options.cleanUp(directory)
            throw error
        }
    }
}

