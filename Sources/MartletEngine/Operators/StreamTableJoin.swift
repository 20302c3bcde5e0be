import MartletColumns
import MartletCore
import MartletSQL

/// Looks rows of a stream up in a table that is held in memory as columns.
///
/// The stream's side triggers; the result carries the stream's timestamp and the table's newest *processed* row, whatever its time
/// (KStream-KTable join, Kafka Streams docs). A null key or a null stream value is dropped by an inner join; a left join forwards a row with
/// a null key, and one without a match, padded with nulls.
///
/// The table's rows live in growing columns; `index` maps the bytes of a key to its newest row. Rows that were replaced or deleted stay
/// behind as garbage until they outnumber the live ones, then the columns are packed.
final class StreamTableJoin {
    let description: PhysicalOperator.StreamTableJoin
    private var input: StageInput
    private var columns: [Column]
    private var index: [KeyBytes: UInt32] = [:]
    private var rowsHeld = 0
    private let tableKeyPosition: Int?
    /// The row that stands for "no match": all null.
    private static let noMatch: UInt32 = 0

    struct KeyBytes: Hashable {
        let bytes: [UInt8]
    }

    init(_ description: PhysicalOperator.StreamTableJoin, schemas: any SchemaSource) throws(MartletError) {
        self.description = description
        // The key is needed for the index even if the query does not select it.
        var table = description.table
        if let position = table.columns.firstIndex(of: .key(0)) {
            tableKeyPosition = position
        } else {
            tableKeyPosition = table.columns.count
            table.columns.append(.key(0))
        }
        input = try StageInput(table, schemas: schemas)
        columns = table.columns.map { Column.nulls(StageInput.type(of: $0, in: table), count: 1) }
        rowsHeld = 1
    }

    /// Live rows.
    var count: Int { index.count }

    /// Applies a block of the table's topic: newer rows replace older ones, a null value deletes.
    func update(_ block: RecordBlock, errors: inout RowErrors) throws(MartletError) {
        let batch = try input.decode(block, errors: &errors)
        update(batch)
    }

    func decode(_ block: RecordBlock, errors: inout RowErrors) throws(MartletError) -> Batch { try input.decode(block, errors: &errors) }

    func update(_ batch: Batch) {
        guard batch.count > 0, let tableKeyPosition else { return }
        let keys = Self.keys(of: batch.columns[tableKeyPosition])
        for row in 0..<batch.count {
            guard let key = keys[row] else { continue }
            if batch.nullValues?[row] == true {
                index[key] = nil
            } else {
                index[key] = UInt32(rowsHeld + row)
            }
        }
        for i in columns.indices { columns[i] = columns[i].concatenated(with: batch.columns[i]) }
        rowsHeld += batch.count
        if rowsHeld > 2 * index.count + 65_536 { pack() }
    }

    private func pack() {
        let live = index.sorted { $0.value < $1.value }
        let rows = [Self.noMatch] + live.map(\.value)
        columns = columns.map { $0.gathered(rows).compacted() }
        for (i, entry) in live.enumerated() { index[entry.key] = UInt32(i + 1) }
        rowsHeld = rows.count
    }

    /// The joined rows of `batch`: its columns, then the table's.
    func process(_ batch: Batch) -> Batch {
        let keys = Self.keys(of: batch.columns[description.keyColumn])
        var kept: [UInt32] = [], matches: [UInt32] = []
        kept.reserveCapacity(batch.count)
        matches.reserveCapacity(batch.count)
        for row in 0..<batch.count where batch.nullValues?[row] != true {
            if let key = keys[row], let match = index[key] {
                kept.append(UInt32(row))
                matches.append(match)
            } else if description.isLeft {
                kept.append(UInt32(row))
                matches.append(Self.noMatch)
            }
        }
        var out = batch.gathered(kept)
        out.nullValues = nil
        out.columns += columns[..<description.table.columns.count].map { $0.gathered(matches) }
        return out
    }

    private static func keys(of column: Column) -> [KeyBytes?] {
        func fixed<T: FixedWidthInteger>(_ column: FixedColumn<T>) -> [KeyBytes?] {
            (0..<column.count).map { row in
                column[row].map { value in KeyBytes(bytes: withUnsafeBytes(of: Int64(truncatingIfNeeded: value)) { Array($0) }) }
            }
        }
        switch column {
        case .string(let c), .bytes(let c):
            return (0..<c.count).map { c.validity.isValid($0) ? KeyBytes(bytes: Array(c.slice($0))) : nil }
        case .integer(let c), .date(let c), .time(let c): return fixed(c)
        case .bigint(let c), .timestamp(let c): return fixed(c)
        default:
            return (0..<column.count).map { row in
                let value = column.value(row)
                return value.isNull ? nil : KeyBytes(bytes: Array("\(value)".utf8))
            }
        }
    }
}
