import MartletColumns
import MartletCore
import MartletModels
import MartletSQL

/// One stage of a query run by hand: records in, records out, on the caller's thread, without a log, transactions or commits.
///
/// The same decoding, operators and encoding as a `StreamTask`; for what runs statements outside a server.
public struct StageRunner {
    /// A record as it would be appended to the output topic.
    public struct Output: Sendable {
        public var timestampMs: Int64
        public var key: [UInt8]?
        public var value: [UInt8]?
        /// The header section as on the wire; nil: no headers.
        public var headers: [UInt8]?
        /// Bytes at the end of the key that do not count for its partition: the bounds of its window.
        public var keySuffixBytes = 0
    }

    /// What comes between blocks; results may not depend on it.
    public enum Interruptions: Sendable {
        case none
        /// The stage is made anew before each block, from the changelogs and from the topics of tables, as after a stop.
        case restarts
        /// The same, and each block is processed a first time whose results and changes are lost, as by a crash before the commit.
        case crashes
        /// After each block stores give up everything that they can be without, as where memory is short.
        case evictions
    }

    private var inputs: [StageInput] = []
    private var tree: OperatorTree
    private let root: PhysicalPlan.Node
    private let setup: OperatorSetup
    private let interruptions: Interruptions
    /// What a log would hold of the state: changes of stores by their place, and rows of tables by their leaf, in order.
    private var changelogs: [[RecordBlock]] = []
    /// The newest of these changes by key, for stores that give up entries.
    private var indexes: [MemoryIndex] = []
    private var tableRows: [(leaf: Int, batch: Batch)] = []
    private var encoder: SinkEncoder
    /// Rows that were left out or have a null for a failed expression, and why.
    public private(set) var failures: [String] = []

    /// The topics it reads, one a leaf, left to right; and the one it writes.
    public let inputTopics: [String]
    public let outputTopic: String

    /// - `repartitionTopic`: names the topic between two stages by its step.
    /// - Throws: what starting the query would; `.notSupported` for a stage that ends in results for a client.
    public init(
        _ stage: PhysicalPlan.Stage, registry: SchemaRegistry, functions: FunctionRegistry = .builtin, properties: [String: String] = [:],
        interruptions: Interruptions = .none, repartitionTopic: (_ step: String) -> String
    ) throws(MartletError) {
        root = stage.root
        self.interruptions = interruptions
        setup = OperatorSetup(functions: functions, emitsEveryUpdate: true, isPersistent: interruptions != .none,
            copiesTables: interruptions == .evictions, properties: properties)
        tree = try OperatorTree(stage.root, setup: setup)
        changelogs = tree.stores.map { _ in [] }
        indexes = (tree.stores + Self.topicStores(tree)).map { MemoryIndex(listing: $0.listing) }
        for leaf in tree.leaves { inputs.append(try StageInput(leaf.input, schemas: registry)) }
        inputTopics = tree.leaves.map { leaf in
            switch leaf.input.topic {
            case .source(_, let topic): topic
            case .repartition(let step): repartitionTopic(step)
            }
        }
        switch stage.output {
        case .sink(let sink):
            outputTopic = sink.topic
            encoder = try SinkEncoder(SinkEncoder.Description(sink, registry: registry))
        case .repartition(let repartition):
            outputTopic = repartitionTopic(repartition.step)
            encoder = try SinkEncoder(SinkEncoder.Description(repartition, topic: outputTopic, registry: registry))
        case .results: throw MartletError(.notSupported, "a stage that ends in results for a client is not run by hand")
        }
    }

    /// Processes the records of `block`, of the topic `topic`, in order; a topic at several leaves has to come record by record.
    ///
    /// - Throws: what would end the query, e.g. an invalid timestamp under `ksql.timestamp.throw.on.invalid`.
    public mutating func run(_ block: RecordBlock, of topic: String) throws(MartletError) -> [Output] {
        if interruptions == .none { return try process(block, of: topic) }
        if interruptions == .crashes {
            let reported = failures.count
            _ = try process(block, of: topic)
            failures.removeLast(failures.count - reported)
            try makeAnew()
        }
        let out = try process(block, of: topic)
        if interruptions == .evictions {
            for (store, index) in zip(tree.stores + Self.topicStores(tree), indexes) {
                var changes = StateChanges()
                try store.takeChanges(&changes)
                index.apply(RecordBlock(changes))
                try store.evict(to: 0, index)
            }
            return out
        }
        for (i, store) in tree.stores.enumerated() {
            var changes = StateChanges()
            try store.takeChanges(&changes)
            if changes.count > 0 { changelogs[i].append(RecordBlock(changes)) }
        }
        for leaf in inputs.indices where inputTopics[leaf] == topic && tree.leaves[leaf].isSourceTable {
            var errors = RowErrors()
            tableRows.append((leaf, try inputs[leaf].decode(block, errors: &errors)))
        }
        try makeAnew()
        return out
    }

    private static func topicStores(_ tree: OperatorTree) -> [any StateStore] { tree.leaves.indices.flatMap { tree.topicStores(leaf: $0) } }

    /// As a task that starts makes its state.
    private mutating func makeAnew() throws(MartletError) {
        tree = try OperatorTree(root, setup: setup)
        for (store, blocks) in zip(tree.stores, changelogs) {
            for block in blocks { try store.restore(block) }
        }
        for (leaf, batch) in tableRows where batch.count > 0 { try tree.restore(batch, leaf: leaf) }
    }

    private mutating func process(_ block: RecordBlock, of topic: String) throws(MartletError) -> [Output] {
        var out: [Output] = []
        for leaf in inputs.indices where inputTopics[leaf] == topic {
            var errors = RowErrors()
            let decoded = try inputs[leaf].decode(block, errors: &errors)
            for entry in errors.entries { failures.append("offset \(block.offsets[entry.row]): \(entry.column): \(entry.reason)") }
            if decoded.count == 0 { continue }
            var context = OperatorContext()
            do throws(MartletError) {
                try encode(tree.push(decoded, leaf: leaf, &context), &context, &out)
            } catch {
                throw error.processing(topic, decoded)
            }
        }
        return out
    }

    private mutating func encode(_ rows: Batch, _ context: inout OperatorContext, _ out: inout [Output]) throws(MartletError) {
        if rows.count > 0 {
            let (batch, unwritten) = try encoder.encode(rows, failed: &context.failed)
            for row in 0..<batch.count where !unwritten.contains(row) {
                let headers = batch.headers.map { Array($0.slice(row)) }
                out.append(
                    Output(
                        timestampMs: batch.timestamps[row], key: encoder.hasKeys ? encoder.keys.slice(row).map { Array($0) } : nil,
                        value: encoder.values.slice(row).map { Array($0) }, headers: headers.flatMap { $0.isEmpty ? nil : $0 },
                        keySuffixBytes: encoder.keySuffixBytes))
            }
        }
        for entry in context.failed.entries { failures.append("offset \(entry.offset): \(entry.column): \(entry.reason)") }
    }
}

extension SinkEncoder.Description {
    /// The encoding of a sink; registers its schemas if need be.
    init(_ sink: PhysicalPlan.Sink, registry: SchemaRegistry) throws(MartletError) {
        self.init(
            keyFields: sink.keyFields, keyFormat: sink.keyFormat,
            keySchema: try registry.writerSchema(of: sink.keyFields, spec: sink.keyFormat, side: .key, topic: sink.topic),
            valueFields: sink.valueFields, valueFormat: sink.valueFormat,
            valueSchema: try registry.writerSchema(of: sink.valueFields, spec: sink.valueFormat, side: .value, topic: sink.topic),
            timestamp: sink.timestamp, window: sink.window)
    }

    /// The encoding of a topic between two stages.
    init(_ repartition: PhysicalPlan.Repartition, topic: String, registry: SchemaRegistry) throws(MartletError) {
        self.init(
            keyFields: repartition.keyFields, keyFormat: repartition.keyFormat,
            keySchema: try registry.writerSchema(of: repartition.keyFields, spec: repartition.keyFormat, side: .key, topic: topic),
            valueFields: repartition.valueFields, valueFormat: repartition.valueFormat,
            valueSchema: try registry.writerSchema(of: repartition.valueFields, spec: repartition.valueFormat, side: .value, topic: topic),
            window: repartition.window)
    }
}

extension MartletError {
    /// What ended a query while it processed rows of a topic (Kafka Streams: "Exception caught in process").
    func processing(_ topic: String, _ rows: Batch) -> MartletError {
        var place = "topic=\(topic), partition=\(rows.partition)"
        if let first = rows.offsets.first, let last = rows.offsets.last { place += first == last ? ", offset=\(first)" : ", offsets=\(first)-\(last)" }
        return MartletError(code, "Exception caught in process. \(place): \(message)", detail: detail, hint: hint, cause: self)
    }
}
