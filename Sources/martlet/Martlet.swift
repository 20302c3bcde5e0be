import ArgumentParser

@main
struct Martlet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet", abstract: "A Kafka-compatible log, streaming SQL, a schema registry and models in one program.")
}
