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
    }

    private var inputs: [StageInput] = []
    private let tree: OperatorTree
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
        repartitionTopic: (_ step: String) -> String
    ) throws(MartletError) {
        tree = try OperatorTree(stage.root, setup: OperatorSetup(functions: functions, emitsEveryUpdate: true, properties: properties))
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
        var out: [Output] = []
        for leaf in inputs.indices where inputTopics[leaf] == topic {
            var errors = RowErrors()
            let decoded = try inputs[leaf].decode(block, errors: &errors)
            for entry in errors.entries { failures.append("offset \(block.offsets[entry.row]): \(entry.column): \(entry.reason)") }
            if decoded.count == 0 { continue }
            var context = OperatorContext()
            try encode(tree.push(decoded, leaf: leaf, &context), &context, &out)
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
                        value: encoder.values.slice(row).map { Array($0) }, headers: headers.flatMap { $0.isEmpty ? nil : $0 }))
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
