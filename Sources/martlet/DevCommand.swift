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

    func run() async throws {
        Interruption.block()
        do throws(MartletError) {
            let directory = try options.directory()
            let node = try await start(in: directory)
            let ports = node.ports
            Output.line("Martlet \(MartletVersion.text) is ready on 127.0.0.1: Kafka \(ports.kafka), SQL \(ports.ksql), schemas \(ports.registry); data in \(directory)")
            await Interruption.wait()
            await node.stop()
            options.cleanUp(directory)
        } catch {
            throw failure(error)
        }
    }

    private func start(in directory: String) async throws(MartletError) -> Node {
        do throws(MartletError) {
            return try await Node.start(options.config(directory: directory), logger: options.logger)
        } catch {
            options.cleanUp(directory)
            throw error
        }
    }
}

