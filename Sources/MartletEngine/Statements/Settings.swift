import MartletCore

/// The properties that SET, `streamsProperties` and SHOW PROPERTIES know: the one table.
public enum Settings {
    public enum Kind: Sendable, Hashable {
        case text, boolean
        /// A whole number of 64 bits.
        case long
        case choice([String])
    }

    public struct Setting: Sendable {
        public var name: String
        public var kind: Kind
        public var defaultValue: String
        public var isEditable: Bool
        public var summary: String
        /// `KSQL` or `EXTERNAL` (Kafka's own).
        public var scope: String { name.hasPrefix("ksql.") ? "KSQL" : "EXTERNAL" }
    }

    private static func setting(
        _ name: String, _ defaultValue: String, kind: Kind? = nil, isEditable: Bool = true, _ summary: String
    ) -> Setting {
        var kind = kind
        if kind == nil, !defaultValue.isEmpty {
            if defaultValue == "true" || defaultValue == "false" { kind = .boolean } else if Int64(defaultValue) != nil { kind = .long }
        }
        return Setting(name: name, kind: kind ?? .text, defaultValue: defaultValue, isEditable: isEditable, summary: summary)
    }

    /// Source of names and defaults: ksqlDB, "Server configuration reference".
    public static let all: [Setting] = [
        setting("auto.offset.reset", "latest", kind: .choice(["latest", "earliest"]), "where a new query begins: earliest or latest"),
        setting("cache.max.bytes.buffering", "10485760", "record cache; 0 makes every intermediate update visible"),
        setting("commit.interval.ms", "100", "how often a busy stream thread commits"),
        setting("processing.guarantee", "exactly_once_v2", isEditable: false, "results and offsets are committed together"),
        setting("num.stream.threads", "2", isEditable: false, "threads that run persistent queries"),
        setting("ksql.service.id", "default_", isEditable: false, "part of the names of internal topics and groups"),
        setting("ksql.output.topic.name.prefix", "", "put before the name of a sink topic without KAFKA_TOPIC"),
        setting("ksql.persistence.default.format.key", "KAFKA", "key format where a statement gives none"),
        setting("ksql.persistence.default.format.value", "", "value format where a statement gives none"),
        setting("ksql.persistence.wrap.single.values", "", kind: .boolean, "whether a single value column is written as a record"),
        setting("ksql.timestamp.throw.on.invalid", "false", "whether a bad timestamp ends the query"),
        setting("ksql.pull.queries.enable", "true", "queries that end"),
        setting("ksql.query.pull.table.scan.enabled", "true", "pull queries without a key condition"),
        setting("ksql.query.pull.range.scan.enabled", "true", "pull queries with a range of keys"),
        setting("ksql.query.pull.stream.enabled", "true", "pull queries over streams"),
        setting("ksql.query.pull.grouping.enabled", "true", "GROUP BY, aggregate functions and windows in queries that end, which ksqlDB refuses"),
        setting("ksql.query.pull.limit.clause.enabled", "true", "LIMIT in pull queries"),
        setting("ksql.query.pull.interpreter.enabled", "true", "accepted; expressions are always compiled to column kernels"),
        setting("ksql.query.push.v2.enabled", "false", "push queries from the end over one query's output have ids of their own and leave out rows without a key"),
        setting("ksql.suppress.enabled", "true", "EMIT FINAL"),
        setting("ksql.lambdas.enabled", "true", "lambda functions"),
        setting("ksql.headers.columns.enabled", "true", "HEADERS columns"),
        setting("ksql.insert.into.values.enabled", "true", isEditable: false, "INSERT INTO … VALUES"),
        setting("ksql.variable.substitution.enable", "true", "${variables}"),
        setting("ksql.new.query.planner.enabled", "false", "accepted; there is one planner"),
        setting("ksql.functions.collect_list.limit", "", "largest list that COLLECT_LIST keeps"),
        setting("ksql.functions.collect_set.limit", "", "largest set that COLLECT_SET keeps"),
        setting("ksql.functions.substring.legacy.args", "false", "0-based SUBSTRING with start and end"),
        setting("ksql.max.push.queries", "100", isEditable: false, "transient queries at a time"),
        setting("ksql.assert.topic.default.timeout.ms", "1000", "how long ASSERT TOPIC waits"),
        setting("ksql.assert.schema.default.timeout.ms", "1000", "how long ASSERT SCHEMA waits"),
        setting("ksql.fail.on.deserialization.error", "false", isEditable: false, "malformed records go to the processing log"),
        setting("ksql.fail.on.production.error", "true", isEditable: false, "a sink that cannot be written stops the query"),
        setting("ksql.sink.window.change.log.additional.retention", "86400000", "kept beyond a window's retention"),
    ]

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// Kafka Streams, consumer and producer names that clients send along and that change nothing here are accepted by their prefix.
    private static let kafkaNames: Set<String> = [
        "max.task.idle.ms", "task.timeout.ms", "buffered.records.per.partition", "max.poll.records", "fetch.max.bytes", "fetch.min.bytes",
        "fetch.max.wait.ms", "session.timeout.ms", "heartbeat.interval.ms", "isolation.level", "linger.ms", "batch.size", "acks",
        "compression.type", "request.timeout.ms", "state.dir", "topology.optimization", "default.timestamp.extractor", "max.block.ms",
        "retries", "enable.idempotence", "max.partition.fetch.bytes", "statestore.cache.max.bytes", "replication.factor",
    ]

    /// The name under which a property is known here: `ksql.streams.auto.offset.reset` is `auto.offset.reset`.
    public static func canonical(_ name: String) -> String {
        var bare = name[...]
        if bare.hasPrefix("ksql.streams.") { bare = bare.dropFirst("ksql.streams.".count) }
        for prefix in ["consumer.", "producer."] where bare.hasPrefix(prefix) { bare = bare.dropFirst(prefix.count) }
        return byName[String(bare)] == nil ? name : String(bare)
    }

    /// Whether a property name may be set by a client; `ksql.streams.` may stand before Kafka's names.
    public static func isKnown(_ name: String) -> Bool {
        if let setting = byName[name] { return setting.isEditable }
        if name.hasPrefix("ksql.functions.") || name.hasPrefix("ksql.request.") { return true }
        var bare = name[...]
        if bare.hasPrefix("ksql.streams.") { bare = bare.dropFirst("ksql.streams.".count) }
        for prefix in ["consumer.", "producer.", "topic."] where bare.hasPrefix(prefix) { bare = bare.dropFirst(prefix.count) }
        if kafkaNames.contains(String(bare)) { return true }
        return byName[String(bare)]?.isEditable ?? false
    }

    /// The name and value of a property that a client sets, as the session keeps them.
    ///
    /// - Throws: `.unknownProperty`; `.invalidProperty` for one that only the server's owner sets, and for a value that is none of its kind.
    public static func checked(_ name: String, _ value: String) throws(MartletError) -> (name: String, value: String) {
        let known = canonical(name)
        guard isKnown(name) else {
            if byName[known] == nil {
                throw MartletError(.unknownProperty, "Not recognizable as ksql, streams, consumer, or producer property: '\(name)'")
            }
            throw MartletError(
                .invalidProperty,
                "One or more properties overrides set locally are prohibited by the KSQL server (use UNSET to reset their default value): [\(name)]")
        }
        func refused(_ why: String) -> MartletError {
            MartletError(.invalidProperty, "Invalid value \(value) for configuration \(known): \(why)")
        }
        switch byName[known]?.kind {
        case .boolean:
            guard ["true", "false"].contains(value.lowercased()) else { throw refused("Expected value to be either true or false") }
        case .long:
            guard Int64(value) != nil else { throw refused("Not a number of type LONG") }
        case .choice(let values):
            guard values.contains(value.lowercased()) else { throw refused("String must be one of: \(values.joined(separator: ", "))") }
            return (known, value.lowercased())
        case .text, nil: break
        }
        return (known, value)
    }
}
