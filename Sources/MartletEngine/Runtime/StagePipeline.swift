import MartletColumns
import MartletCore
import MartletSQL

/// Decodes record blocks of one topic into batches with the columns that a stage asks for.
///
/// Rows that cannot be decoded are left out and reported; so are rows whose timestamp column holds no valid time.
struct StageInput {
    private let input: PhysicalPlan.Input
    private var keyDecoder: RecordDecoder?
    private var valueDecoder: RecordDecoder
    /// Where each wanted column comes from: position among the decoded key or value columns, or something of the record itself.
    private let sources: [PhysicalPlan.Input.ColumnSource]
    private let keyPositions: [Int: Int]
    private let valuePositions: [Int: Int]
    private let timestamp: TimestampExtractor?

    init(_ input: PhysicalPlan.Input, schemas: any SchemaSource) throws(MartletError) {
        self.input = input
        sources = input.columns
        var keys: [Int] = [], values: [Int] = []
        var keyPositions: [Int: Int] = [:], valuePositions: [Int: Int] = [:]
        for source in input.columns {
            switch source {
            case .key(let i) where keyPositions[i] == nil:
                keyPositions[i] = keys.count
                keys.append(i)
            case .value(let i) where valuePositions[i] == nil:
                valuePositions[i] = values.count
                values.append(i)
            default: break
            }
        }
        self.keyPositions = keyPositions
        self.valuePositions = valuePositions
        // A key that nobody asks for is still decoded: a record whose key is malformed is no record of this source.
        keyDecoder =
            input.keyFields.isEmpty
            ? nil : try RecordDecoder(spec: input.keyFormat, fields: input.keyFields, wanted: keys, notNull: [], schemas: schemas)
        valueDecoder = try RecordDecoder(
            spec: input.valueFormat, fields: input.valueFields, wanted: values, notNull: input.notNullValues, schemas: schemas)
        timestamp = try input.timestamp.map { extraction throws(MartletError) in
            try TimestampExtractor(extraction, type: Self.type(of: input.columns[extraction.column], in: input))
        }
    }

    static func type(of source: PhysicalPlan.Input.ColumnSource, in input: PhysicalPlan.Input) -> SQLType {
        switch source {
        case .key(let i): input.keyFields[i].type
        case .value(let i): input.valueFields[i].type
        case .rowTime, .rowOffset, .windowStart, .windowEnd: .bigint
        case .rowPartition: .integer
        case .headers: RecordHeaders.columnType
        case .header: .bytes
        }
    }

    /// Decodes `block`; rows in offset order. Errors carry the row in the block.
    mutating func decode(_ block: RecordBlock, errors: inout RowErrors) throws(MartletError) -> Batch {
        var block = block
        var windows: Batch.Windows?
        var short: [Int] = []
        if let window = input.window { (windows, short) = WindowedKeys.split(&block, window) }
        let values = valueDecoder.decode(block, side: .value, errors: &errors)
        let keys = keyDecoder?.decode(block, side: .key, errors: &errors)
        var rows = values.rows
        if let keyRows = keys?.rows { rows = rows.map { Self.intersection($0, keyRows) } ?? keyRows }
        if !short.isEmpty {
            for row in short { errors.add(row: row, column: input.keyFields.first?.name ?? "", "the key is too short for a window") }
            let keep = (0..<UInt32(block.count)).filter { !short.contains(Int($0)) }
            rows = rows.map { Self.intersection($0, keep) } ?? keep
        }
        if input.kind == .table, let keyIsNull = keys?.isNull {
            // A record without a key is no row of a table (Kafka Streams: KTable source).
            let keep = keys?.rows.map { kept in zip(kept, keyIsNull).filter { !$0.1 }.map(\.0) }
                ?? (0..<UInt32(block.count)).filter { !keyIsNull[Int($0)] }
            rows = rows.map { Self.intersection($0, keep) } ?? keep
        }
        let valueColumns = Self.aligned(values.columns, from: values.rows, to: rows)
        let keyColumns = keys.map { Self.aligned($0.columns, from: $0.rows, to: rows) } ?? []
        let count = rows?.count ?? block.count
        let timestamps = rows.map { rows in rows.map { block.timestamps[Int($0)] } } ?? block.timestamps
        let offsets = rows.map { rows in rows.map { block.offsets[Int($0)] } } ?? block.offsets
        var headers: RecordHeaders?
        if let section = block.headers {
            headers = RecordHeaders(buffer: block.buffer, section: section, rows: rows)
        }

        func picked(_ bounds: [Int64]?) -> [Int64] {
            guard let bounds else { return [Int64](repeating: 0, count: count) }
            return rows.map { rows in rows.map { bounds[Int($0)] } } ?? bounds
        }
        var columns: [Column] = []
        columns.reserveCapacity(sources.count)
        for source in sources {
            switch source {
            case .key(let i): columns.append(keyColumns[keyPositions[i]!])
            case .value(let i): columns.append(valueColumns[valuePositions[i]!])
            case .rowTime: columns.append(.bigint(FixedColumn(timestamps)))
            case .rowPartition: columns.append(.integer(FixedColumn([Int32](repeating: block.partition, count: count))))
            case .rowOffset: columns.append(.bigint(FixedColumn(offsets)))
            case .windowStart: columns.append(.bigint(FixedColumn(picked(windows?.starts))))
            case .windowEnd: columns.append(.bigint(FixedColumn(picked(windows?.ends))))
            case .headers: columns.append(RecordHeaders.all(headers, count: count))
            case .header(let name): columns.append(RecordHeaders.last(named: name, of: headers, count: count))
            }
        }
        var batch = Batch(count: count, columns: columns, timestamps: timestamps, partition: block.partition, offsets: offsets)
        if let isNull = values.isNull {
            let flags = Self.aligned(isNull, from: values.rows, to: rows)
            if flags.contains(true) { batch.nullValues = flags }
        }
        if let keys, let isNull = keys.isNull {
            let flags = Self.aligned(isNull, from: keys.rows, to: rows)
            if flags.contains(true) { batch.nullKeys = flags }
        }
        if let windows { batch.windows = Batch.Windows(starts: picked(windows.starts), ends: picked(windows.ends)) }
        batch.headers = headers?.raw
        guard let timestamp else { return batch }
        batch = try timestamp.apply(to: batch, errors: &errors)
        // ROWTIME is the extracted time.
        for (index, source) in sources.enumerated() where source == .rowTime { batch.columns[index] = .bigint(FixedColumn(batch.timestamps)) }
        return batch
    }

    /// Rows in both; each rises.
    private static func intersection(_ a: [UInt32], _ b: [UInt32]) -> [UInt32] {
        var out: [UInt32] = []
        var i = 0, j = 0
        while i < a.count && j < b.count {
            if a[i] == b[j] {
                out.append(a[i])
                i += 1
                j += 1
            } else if a[i] < b[j] {
                i += 1
            } else {
                j += 1
            }
        }
        return out
    }

    /// Positions of `rows` among `all` (nil: every row of the block).
    private static func positions(of rows: [UInt32], among all: [UInt32]?) -> [UInt32] {
        guard let all else { return rows }
        var out: [UInt32] = []
        out.reserveCapacity(rows.count)
        var i = 0
        for row in rows {
            while all[i] < row { i += 1 }
            out.append(UInt32(i))
        }
        return out
    }

    private static func aligned(_ columns: [Column], from: [UInt32]?, to rows: [UInt32]?) -> [Column] {
        guard let rows, from.map({ $0.count != rows.count }) ?? true else { return columns }
        let picked = positions(of: rows, among: from)
        return columns.map { $0.gathered(picked) }
    }

    private static func aligned(_ flags: [Bool], from: [UInt32]?, to rows: [UInt32]?) -> [Bool] {
        guard let rows, from.map({ $0.count != rows.count }) ?? true else { return flags }
        return positions(of: rows, among: from).map { flags[Int($0)] }
    }
}

/// Replaces a batch's timestamps by those of a column (WITH TIMESTAMP; ksqlDB, "Time and windows").
struct TimestampExtractor {
    private let program: ExpressionProgram
    private let throwOnInvalid: Bool

    init(_ extraction: PhysicalPlan.Input.Timestamp, type: SQLType) throws(MartletError) {
        throwOnInvalid = extraction.throwOnInvalid
        let column = BoundExpression.column(extraction.column, type)
        let expression: BoundExpression
        switch type {
        case .bigint: expression = column
        case .timestamp: expression = .call("UNIX_TIMESTAMP", [column], .bigint)
        case .string:
            expression = .call("STRINGTOTIMESTAMP", [column, .literal(.string(extraction.format ?? ""), .string)], .bigint)
        default:
            throw MartletError(.invalidProperty, "a TIMESTAMP column is a BIGINT, TIMESTAMP or STRING, not \(type)")
        }
        program = try ExpressionProgram([expression])
    }

    /// Rows with no valid time are dropped and reported, or end the query if `ksql.timestamp.throw.on.invalid` is set. A row with a null
    /// record value keeps its own time.
    func apply(to batch: Batch, errors: inout RowErrors) throws(MartletError) -> Batch {
        guard batch.count > 0, case .bigint(let times) = program.evaluate(batch, labels: ["TIMESTAMP"], errors: &errors)[0] else { return batch }
        var out = batch
        var kept: [UInt32] = []
        kept.reserveCapacity(batch.count)
        for row in 0..<batch.count {
            if batch.nullValues?[row] == true {
                kept.append(UInt32(row))
            } else if let time = times[row], time >= 0 {
                out.timestamps[row] = time
                kept.append(UInt32(row))
            } else {
                let reason = "the timestamp is missing, negative or not in the declared format"
                if throwOnInvalid {
                    let offset = batch.offsets.isEmpty ? -1 : batch.offsets[row]
                    throw MartletError(.badRequest, "Fatal user code error in TimestampExtractor callback for record at offset \(offset): \(reason)")
                }
                errors.add(row: row, column: "TIMESTAMP", reason)
            }
        }
        return kept.count == batch.count ? out : out.gathered(kept)
    }
}
