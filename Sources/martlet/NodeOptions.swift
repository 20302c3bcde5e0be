import ArgumentParser
import Logging
import MartletCore
import MartletEngine
import MartletLog
import MartletServer

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What every command that starts a node takes.
struct NodeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where topics, schemas, statements and models are kept.", valueName: "dir"))
    var data: String?

    @Flag(help: "Keep the data in a temporary directory that is removed at the end.")
    var ephemeral = false

    @Option(help: ArgumentHelp("Added to the ports 9092 (Kafka), 8088 (SQL) and 8081 (schemas).", valueName: "n"))
    var portOffset = 0

    @Option(help: "fsync: acknowledged means on disk. os: acknowledged means handed to the operating system.")
    var durability = "fsync"

    @Option(help: ArgumentHelp("Threads that run persistent queries.", valueName: "n"))
    var threads = 2

    @Option(help: ArgumentHelp("How often a busy query commits, in milliseconds; an idle one commits at once.", valueName: "ms"))
    var commitInterval: Int64 = 100

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp(
            "Default of a session property, e.g. auto.offset.reset=earliest, or a setting of the server, e.g. listeners=SASL_SSL://:9092.",
            valueName: "name=value"))
    var settings: [String] = []

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel = "warning"

    func validate() throws {
        if ephemeral && data != nil { throw ValidationError("--data and --ephemeral exclude each other") }
        if durability != "fsync" && durability != "os" { throw ValidationError("--durability is fsync or os, not '\(durability)'") }
        if !(1...1024).contains(threads) { throw ValidationError("--threads is between 1 and 1024") }
        if !(1...3_600_000).contains(commitInterval) { throw ValidationError("--commit-interval is between 1 and 3600000 ms") }
        if !(-1024...50_000).contains(portOffset) { throw ValidationError("--port-offset is between -1024 and 50000") }
        if Logger.Level(rawValue: logLevel) == nil { throw ValidationError("--log-level '\(logLevel)' is not one of trace, debug, info, notice, warning, error, critical") }
        for setting in settings {
            guard let equals = setting.firstIndex(of: "=") else { throw ValidationError("--set takes name=value, not '\(setting)'") }
            let name = String(setting[..<equals])
            if ServerSetting.isKnown(name) { continue }
            guard Settings.isKnown(name) else { throw ValidationError("--set: there is no property '\(name)'; SHOW PROPERTIES lists them") }
            do throws(MartletError) {
                _ = try Settings.checked(name, String(setting[setting.index(after: equals)...]))
            } catch {
                throw ValidationError("--set: \(error.message)")
            }
        }
    }

    var logger: Logger {
        LoggerLevels(Logger.Level(rawValue: logLevel) ?? .warning) { StreamLogHandler.standardError(label: $0) }.logger("martlet")
    }

    /// Makes the directory of an ephemeral node, or names the one that was given.
    func directory() throws(MartletError) -> String {
        guard ephemeral else { return data ?? "data" }
        let root = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(root)/martlet-XXXXXX".utf8CString)
        guard template.withUnsafeMutableBufferPointer({ mkdtemp($0.baseAddress!) }) != nil else {
            throw MartletError(.io, "cannot make a temporary directory in \(root): \(String(cString: strerror(errno)))")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// What `--set` says, in order.
    var assignments: [(name: String, value: String)] {
        settings.compactMap { setting in
            setting.firstIndex(of: "=").map { (String(setting[..<$0]), String(setting[setting.index(after: $0)...])) }
        }
    }

    /// - `file`: settings that `--set` overrides.
    func config(
        directory: String, host: String = "127.0.0.1", file: [(name: String, value: String)] = [], isInsecure: Bool = false
    ) throws(MartletError) -> Node.Config {
        var engine = EngineConfig(streamThreads: threads, commitIntervalMs: commitInterval)
        let all = file + assignments
        for (name, value) in all where !ServerSetting.isKnown(name) {
            guard Settings.isKnown(name) else {
                throw MartletError(.unknownProperty, "there is no setting \(name)", hint: "docs/reference/settings.md and server-settings.md list them")
            }
            let setting = try Settings.checked(name, value)
            engine.properties[setting.name] = setting.value
        }
        var config = Node.Config(
            dataDirectory: directory, log: LogConfig(durability: durability == "os" ? .os : .fsync), engine: engine)
        config.server = try ServerConfig(settings: all.filter { ServerSetting.isKnown($0.name) }, host: host, portOffset: portOffset)
        try config.server.configure(&config.log)
        if !isInsecure { try config.server.requireSecurity() }
        return config
    }

    /// Removes an ephemeral node's directory.
    func cleanUp(_ directory: String) {
        guard ephemeral else { return }
        DirectoryRemoval.remove(directory)
    }
}

/// Ends the process with one readable message.
func failure(_ error: MartletError) -> ExitCode {
    if error.code == .addressInUse {
        Output.error("martlet: \(error.message); stop what uses it, or choose other ports with --port-offset 100 (make run ARGS=\"--port-offset 100\")\n")
        return ExitCode(1)
    }
    var text = "martlet: \(error.message)\n"
    if let detail = error.detail { text += "  \(detail)\n" }
    if let hint = error.hint { text += "  \(hint)\n" }
    Output.error(text)
    return ExitCode(1)
}
