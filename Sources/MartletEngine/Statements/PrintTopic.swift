import Logging
import MartletColumns
import MartletCore
import MartletLog
import MartletSQL
import Synchronization

/// PRINT: the records of a topic as text lines, until closed or its LIMIT is reached.
///
/// `rowtime: 2018-12-18T12:00:00.000Z, key: …, value: …, partition: 0` (ksqlDB, PRINT). The format of keys and values is guessed from the
/// bytes: Avro by its registered schema, JSON, text, a number of 4 or 8 bytes.
public final class PrintQuery: Sendable {
    public let id: String
    public let lines = ResultChannel<[String]>()
    private let signal = Signal()

    init(id: String) { self.id = id }

    public func close() {
        lines.cancel()
        signal.raise()
    }

    func wake() { signal.raise() }

    func start(
        partitions: [(log: PartitionLog, start: Int64)], interval: Int64, limit: Int64?, registry: SchemaRegistry, ended: @escaping @Sendable () -> Void
    ) throws(MartletError) {
        try WorkerThread("martlet-\(id)") { [self] in
            do throws(MartletError) {
                try run(partitions, interval: interval, limit: limit, registry: registry)
                lines.finish()
            } catch {
                lines.finish(error)
            }
            ended()
        }
    }

    private func run(
        _ partitions: [(log: PartitionLog, start: Int64)], interval: Int64, limit: Int64?, registry: SchemaRegistry
    ) throws(MartletError) {
        var positions = partitions.map(\.start)
        var blocks = [RecordBlock?](repeating: nil, count: partitions.count)
        var seenRecords: Int64 = 0, printed: Int64 = 0
        var keyFormat: String?, valueFormat: String?
        let texts = RecordTexts(registry: registry)
        while !lines.isCancelled {
            let seen = signal.now
            var progressed = false
            for i in partitions.indices {
                let block = try partitions[i].log.readBlock(
                    from: positions[i], maxBytes: 64 * 1024, isolation: .readCommitted, reusing: &blocks[i])
                if block.nextOffset == positions[i] { continue }
                positions[i] = block.nextOffset
                progressed = true
                var out: [String] = []
                for row in 0..<block.count {
                    defer { seenRecords += 1 }
                    if seenRecords % interval != 0 { continue }
                    let key = texts.text(block.key(row)), value = texts.text(block.value(row))
                    // A null tells nothing: the line is repeated when the first key or value that is one shows its format.
                    let isFirst = keyFormat == nil
                    if isFirst || keyFormat == RecordTexts.unknownFormat && key.format != RecordTexts.unknownFormat {
                        keyFormat = key.format
                        out.append("Key format: \(key.format)")
                    }
                    if isFirst || valueFormat == RecordTexts.unknownFormat && value.format != RecordTexts.unknownFormat {
                        valueFormat = value.format
                        out.append("Value format: \(value.format)")
                    }
                    out.append(
                        "rowtime: \(TemporalText.format(timestamp: block.timestamps[row]))Z, key: \(key.text), value: \(value.text), partition: \(block.partition)")
                    printed += 1
                    if let limit, printed >= limit { break }
                }
                blocks[i] = block
                if !out.isEmpty, !lines.send(out, bytes: out.reduce(0) { $0 + $1.utf8.count }) { return }
                if let limit, printed >= limit { return }
            }
            if progressed { continue }
            if let gone = partitions.first(where: { $0.log.isClosed }) {
                throw MartletError(.unknownSource, "topic \(gone.log.id.topic) was deleted")
            }
            signal.wait(past: seen)
        }
    }
}

extension RecordBlock {
    func key(_ row: Int) -> ArraySlice<UInt8>? { slice(keyStarts[row], keyLengths[row]) }
    func value(_ row: Int) -> ArraySlice<UInt8>? { slice(valueStarts[row], valueLengths[row]) }
    private func slice(_ start: UInt32, _ length: Int32) -> ArraySlice<UInt8>? {
        length < 0 ? nil : buffer[Int(start)..<Int(start) + Int(length)]
    }
}

/// Guesses what bytes are and prints them.
struct RecordTexts {
    let registry: SchemaRegistry
    static let unknownFormat = "¯\\_(ツ)_/¯ - no data processed"

    func text(_ bytes: ArraySlice<UInt8>?) -> (text: String, format: String) {
        guard let bytes else { return ("<null>", Self.unknownFormat) }
        if bytes.count >= 5, bytes[bytes.startIndex] == 0 {
            let id = bytes[(bytes.startIndex + 1)..<(bytes.startIndex + 5)].reduce(Int32(0)) { $0 << 8 | Int32($1) }
            if let schema = registry.schema(id: id), let text = decoded(bytes, schema) { return (text, schema.kind.rawValue) }
        }
        if let text = String(validating: bytes, as: UTF8.self), !text.unicodeScalars.contains(where: { $0.value < 0x20 && $0 != "\t" && $0 != "\n" && $0 != "\r" }) {
            if let first = bytes.first, first == UInt8(ascii: "{") || first == UInt8(ascii: "["), (try? JSONValue(parsing: Array(bytes))) != nil {
                return (text, "JSON")
            }
            return (text, "KAFKA_STRING")
        }
        if bytes.count == 4 { return (String(bytes.reduce(Int32(0)) { $0 << 8 | Int32($1) }), "KAFKA_INT") }
        if bytes.count == 8 { return (String(bytes.reduce(Int64(0)) { $0 << 8 | Int64($1) }), "KAFKA_BIGINT or KAFKA_DOUBLE") }
        let hex = Array("0123456789ABCDEF")
        return ("\\x" + String(bytes.flatMap { [hex[Int($0 >> 4)], hex[Int($0 & 15)]] }), "KAFKA_BYTES")
    }

    private func decoded(_ bytes: ArraySlice<UInt8>, _ schema: RegisteredSchema) -> String? {
        guard
            let imports = try? registry.imports(of: schema),
            let fields = try? SchemaTranslation.fields(
                fromSchemaText: schema.text, spec: FormatSpec(schema.kind), side: .value, imports: imports),
            var decoder = try? RecordDecoder(
                spec: FormatSpec(schema.kind), fields: fields, wanted: Array(fields.indices), notNull: [], schemas: registry)
        else { return nil }
        var block = RecordBlock(partition: 0, nextOffset: 1)
        block.buffer = Array(bytes) + [UInt8](repeating: 0, count: RecordBlock.paddingBytes)
        block.offsets = [0]
        block.timestamps = [0]
        block.keyStarts = [0]
        block.keyLengths = [-1]
        block.valueStarts = [0]
        block.valueLengths = [Int32(bytes.count)]
        var errors = RowErrors()
        let decoded = decoder.decode(block, side: .value, errors: &errors)
        guard errors.count == 0, decoded.columns.count == fields.count, decoded.columns.allSatisfy({ $0.count == 1 }) else { return nil }
        var out: [UInt8] = []
        JSONRowWriter(fields).appendObject(decoded.columns, row: 0, to: &out)
        return String(decoding: out, as: UTF8.self)
    }
}

extension Engine {
    func startPrint(_ print: PrintTopic, _ statement: Statement, _ session: Session) throws(MartletError) -> PrintQuery {
        guard log.topic(print.topic) != nil else {
            throw MartletError(
                .badStatement, "Could not find topic '\(print.topic)', or the KSQL user does not have permissions to list the topic. Topic names are case-sensitive.",
                at: print.span,
                hint: log.topics.first { $0.name.uppercased() == print.topic.uppercased() }.map { "did you mean '\($0.name)'?" })
        }
        try checkRoom(isPush: true, for: statement)
        let fromBeginning = print.fromBeginning || session.properties["auto.offset.reset"] == "earliest"
        nextTransientNumber += 1
        let query = PrintQuery(id: "print_\(print.topic)_\(nextTransientNumber)")
        let partitions = try partitionLogs(of: print.topic).map { ($0, fromBeginning ? $0.startOffset : $0.lastStableOffset) }
        prints[query.id] = query
        let watch = watcher.watch([print.topic]) { [weak query] in query?.wake() }
        do throws(MartletError) {
            try query.start(partitions: partitions, interval: max(print.interval ?? 1, 1), limit: print.limit, registry: registry) { [self] in
                watcher.forget(watch)
                Task { await forgetPrint(query.id) }
            }
        } catch {
            watcher.forget(watch)
            forgetPrint(query.id)
            throw error
        }
        return query
    }

    private func forgetPrint(_ id: String) { prints[id] = nil }
}
