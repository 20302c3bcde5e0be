import ArgumentParser
import MartletCore

@main
struct Martlet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "A Kafka-compatible log, streaming SQL, a schema registry and models in one program.",
        version: MartletVersion.text,
        subcommands: [DevCommand.self, SQLCommand.self, TestCommand.self, DatagenCommand.self, DemoCommand.self, UserCommand.self])
}
