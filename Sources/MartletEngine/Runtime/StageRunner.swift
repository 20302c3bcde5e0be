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

    private var input: StageInput
    private let chain: OperatorChain
    private var encoder: SinkEncoder
    /// Rows that were left out or have a null for a failed expression, and why.
    public private(set) var failures: [String] = []

    /// The topics it reads and writes; `tableTopic` is that of the table it joins with, if it does.
    public let sourceTopic: String
    public let tableTopic: String?
    public let outputTopic: String

    /// - `repartitionTopic`: names the topic between two stages by its step.
    /// - Throws: what starting the query would; `.notSupported` for a stage that ends in results for a client.
    public init(
        _ stage: PhysicalPlan.Stage, registry: SchemaRegistry, functions: FunctionRegistry = .builtin, repartitionTopic: (_ step: String) -> String
    ) throws(MartletError) {
        input = try StageInput(stage.input, schemas: registry)
        chain = try OperatorChain(stage.operators, models: [:], schemas: registry, functions: functions)
        func name(_ topic: PhysicalPlan.Input.Topic) -> String {
            switch topic {
            case .source(_, let topic): topic
            case .repartition(let step): repartitionTopic(step)
            }
        }
        sourceTopic = name(stage.input.topic)
        tableTopic = chain.table.map { name($0.description.table.topic) }
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

    /// Applies records of the table's topic to the table that the stage joins with.
    public mutating func updateTable(_ block: RecordBlock) throws(MartletError) {
        guard let table = chain.table else { return }
        var errors = RowErrors()
        try table.update(block, errors: &errors)
        for entry in errors.entries { failures.append("offset \(block.offsets[entry.row]): \(entry.column): \(entry.reason)") }
    }

    /// Processes the records of `block` in order.
    ///
    /// - Throws: what would end the query, e.g. an invalid timestamp under `ksql.timestamp.throw.on.invalid`.
    public mutating func run(_ block: RecordBlock) throws(MartletError) -> [Output] {
        var errors = RowErrors()
        let decoded = try input.decode(block, errors: &errors)
        for entry in errors.entries { failures.append("offset \(block.offsets[entry.row]): \(entry.column): \(entry.reason)") }
        if decoded.count == 0 { return [] }
        var failed = FailedRows()
        let (batch, unwritten) = try encoder.encode(chain.run(decoded, failed: &failed), failed: &failed)
        for entry in failed.entries { failures.append("offset \(entry.offset): \(entry.column): \(entry.reason)") }
        var out: [Output] = []
        for row in 0..<batch.count where !unwritten.contains(row) {
            let headers = batch.headers.map { Array($0.slice(row)) }
            out.append(
                Output(
                    timestampMs: batch.timestamps[row], key: encoder.hasKeys ? encoder.keys.slice(row).map { Array($0) } : nil,
                    value: encoder.values.slice(row).map { Array($0) }, headers: headers.flatMap { $0.isEmpty ? nil : $0 }))
        }
        return out
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
            valueSchema: try registry.writerSchema(of: repartition.valueFields, spec: repartition.valueFormat, side: .value, topic: topic))
    }
}
