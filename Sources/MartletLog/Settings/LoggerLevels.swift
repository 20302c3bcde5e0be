import Logging
import Synchronization

/// The loggers of a process by name, each with a level that may change while it runs (KIP-412). A logger without a level of its own has that of `root`.
///
/// Nothing of it is kept: after a restart the levels are those of the start, as with Kafka.
public final class LoggerLevels: Sendable {
    public static let root = "root"

    /// What a logger asks before each line.
    fileprivate final class Threshold: Sendable {
        private let raw: Atomic<Int>

        init(_ level: Logger.Level) { raw = Atomic(Self.number(level)) }

        var level: Logger.Level {
            get { Logger.Level.allCases[raw.load(ordering: .relaxed)] }
            set { raw.store(Self.number(newValue), ordering: .relaxed) }
        }

        private static func number(_ level: Logger.Level) -> Int { Logger.Level.allCases.firstIndex(of: level) ?? 0 }
    }

    private struct State {
        var root: Logger.Level
        var own: [String: Logger.Level] = [:]
        var thresholds: [String: Threshold] = [:]
    }

    private let state: Mutex<State>
    private let makeHandler: @Sendable (_ label: String) -> any LogHandler

    /// - `level`: of the root.
    public init(_ level: Logger.Level, _ makeHandler: @escaping @Sendable (_ label: String) -> any LogHandler) {
        state = Mutex(State(root: level))
        self.makeHandler = makeHandler
    }

    /// Loggers that all write to where this one writes, at its level to begin with.
    public convenience init(_ logger: Logger) {
        let handler = logger.handler
        self.init(logger.logLevel) { _ in handler }
    }

    /// Those that a logger belongs to.
    public static func of(_ logger: Logger) -> LoggerLevels? { (logger.handler as? LeveledHandler)?.levels }

    public func logger(_ name: String) -> Logger {
        let threshold = state.withLock { state in
            if let known = state.thresholds[name] { return known }
            let made = Threshold(state.own[name] ?? state.root)
            state.thresholds[name] = made
            return made
        }
        var base = makeHandler(name)
        base.logLevel = .trace  // ours decides
        return Logger(label: name) { _ in LeveledHandler(base: base, threshold: threshold, levels: self) }
    }

    /// The root and all loggers there are, by name.
    var inForce: [(name: String, level: Logger.Level)] {
        state.withLock { state in
            [(Self.root, state.root)] + state.thresholds.map { ($0.key, $0.value.level) }.sorted { $0.0 < $1.0 }
        }
    }

    /// Replaces the levels of all loggers that have one by what `change` makes of them. The root always has one.
    ///
    /// - Throws: INVALID_REQUEST for the root without a level, INVALID_CONFIG naming the logger that does not exist, or the level.
    func change(keeps: Bool, _ change: ([String: String]) throws(KafkaError) -> [String: String]) throws(KafkaError) {
        try state.withLock { (state) throws(KafkaError) in
            var before = state.own.mapValues(Self.text)
            before[Self.root] = Self.text(state.root)
            var own: [String: Logger.Level] = [:]
            for (name, text) in try change(before).sorted(by: { $0.key < $1.key }) {
                guard name == Self.root || state.thresholds[name] != nil else { throw KafkaError(.invalidConfig, "there is no logger \(name)") }
                guard let level = Self.level(text) else {
                    throw KafkaError(.invalidConfig, "the level of \(name) is one of \(Logger.Level.allCases.map(Self.text).joined(separator: ", ")), not \"\(text)\"")
                }
                own[name] = level
            }
            guard let root = own.removeValue(forKey: Self.root) else { throw KafkaError(.invalidRequest, "the root logger always has a level") }
            guard keeps else { return }
            (state.root, state.own) = (root, own)
            for (name, threshold) in state.thresholds { threshold.level = own[name] ?? root }
        }
    }

    /// Log4j's names, which Kafka's tools know; NOTICE has none there.
    static func text(_ level: Logger.Level) -> String {
        switch level {
        case .warning: "WARN"
        case .critical: "FATAL"
        default: level.rawValue.uppercased()
        }
    }

    /// Those, or swift-log's own, in any case.
    private static func level(_ text: String) -> Logger.Level? {
        Logger.Level.allCases.first { Self.text($0) == text.uppercased() || $0.rawValue == text.lowercased() }
    }
}

extension Logger {
    /// A logger of this name among those that this one belongs to; itself if it belongs to none.
    public func named(_ name: String) -> Logger { LoggerLevels.of(self)?.logger(name) ?? self }
}

/// Passes on what is important enough at the moment.
private struct LeveledHandler: LogHandler {
    var base: any LogHandler
    let threshold: LoggerLevels.Threshold
    let levels: LoggerLevels
    /// Set by whoever has this copy of the logger.
    private var own: Logger.Level?

    init(base: any LogHandler, threshold: LoggerLevels.Threshold, levels: LoggerLevels) {
        self.base = base
        self.threshold = threshold
        self.levels = levels
    }

    var logLevel: Logger.Level {
        get { own ?? threshold.level }
        set { own = newValue }
    }

    var metadata: Logger.Metadata {
        get { base.metadata }
        set { base.metadata = newValue }
    }

    var metadataProvider: Logger.MetadataProvider? {
        get { base.metadataProvider }
        set { base.metadataProvider = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { base[metadataKey: key] }
        set { base[metadataKey: key] = newValue }
    }

    func log(event: Logging.LogEvent) { base.log(event: event) }
}
