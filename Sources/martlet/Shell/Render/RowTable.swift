import MartletCore

/// The rows of a query as they come: a grid, or, if there are too many columns for that, one line a value.
///
/// ```
/// +----+-------+     -[ row 1 ]-
/// | ID | NAME  |      TIME   | 406
/// +----+-------+      V1     | -2.31
/// |  1 | Hans  |      AMOUNT | 2.69
/// ```
/// Widths are chosen once, from the columns' types and the rows that came with the first.
public struct RowTable {
    /// Whether long cells go over several lines; else they end in `…`.
    public enum Overflow: Sendable { case wrap, clip }

    public let columns: [ResultColumn]
    public let isVertical: Bool
    private let isNumber: [Bool]
    private let overflow: Overflow
    private let width: Int
    /// Of the cells; in a vertical table, of the names.
    private let widths: [Int]
    private var count = 0

    /// - `sample`: the first rows; `isComplete`: there are no others.
    /// - `width`: of the terminal.
    public init(_ columns: [ResultColumn], sample: [[JSONValue]], isComplete: Bool, width: Int, overflow: Overflow = .wrap) {
        self.columns = columns
        self.overflow = overflow
        self.width = width
        isNumber = columns.map { Self.isNumber($0.type) }
        let names = columns.map { CellText.width(CellText.printable($0.name)) }
        let natural = columns.indices.map { i in
            let values = sample.reduce(0) { max($0, i < $1.count ? CellText.width(CellText.text($1[i])) : 0) }
            return max(names[i], values, isComplete ? 0 : Self.typicalWidth(columns[i].type), 1)
        }
        let room = width - 3 * columns.count - 1
        let least = columns.indices.map { max(min(natural[$0], 8), min(names[$0], 12)) }
        if let fitting = ColumnWidths.fit(natural, least: least, room: room) {
            isVertical = false
            widths = fitting
        } else {
            isVertical = true
            widths = [min(names.max() ?? 0, max(width / 2, 8))]
        }
    }

    /// What stands before the rows.
    public func header() -> String {
        guard !isVertical, !columns.isEmpty else { return "" }
        return rule() + grid(columns.map { CellText.printable($0.name) }) + rule()
    }

    public mutating func row(_ values: [JSONValue], isTombstone: Bool) -> String {
        count += 1
        let texts = columns.indices.map { i in
            let value = i < values.count ? values[i] : .null
            return isTombstone && value.isNull ? "<TOMBSTONE>" : CellText.text(value)
        }
        return isVertical ? vertical(texts) : grid(texts)
    }

    /// What stands after them.
    public func footer() -> String {
        if columns.isEmpty { return "" }
        return isVertical ? (count == 0 ? "No rows.\n" : "") : rule()
    }

    private func rule() -> String { "+" + widths.map { String(repeating: "-", count: $0 + 2) + "+" }.joined() + "\n" }

    private func grid(_ texts: [String]) -> String {
        let cells = texts.indices.map { overflow == .wrap ? CellText.wrapped(texts[$0], widths[$0]) : [CellText.clipped(texts[$0], widths[$0])] }
        var out = ""
        for line in 0..<(cells.map(\.count).max() ?? 0) {
            out += "|"
            for i in cells.indices {
                out += " " + CellText.padded(line < cells[i].count ? cells[i][line] : "", widths[i], right: isNumber[i]) + " |"
            }
            out += "\n"
        }
        return out
    }

    private func vertical(_ texts: [String]) -> String {
        let title = "-[ row \(count) ]"
        var out = title + String(repeating: "-", count: max(0, min(width, 72) - title.count)) + "\n"
        let room = max(width - widths[0] - 4, 10)
        for (column, text) in zip(columns, texts) {
            let lines = overflow == .wrap ? CellText.wrapped(text, room) : [CellText.clipped(text, room)]
            var name = CellText.clipped(CellText.printable(column.name), widths[0])
            for line in lines {
                out += " " + CellText.padded(name, widths[0]) + " | " + line + "\n"
                name = ""
            }
        }
        return out
    }

    private static func base(_ type: String) -> String { String(type.prefix { $0 != "(" && $0 != "<" }).trimmed }

    private static func isNumber(_ type: String) -> Bool { ["INTEGER", "BIGINT", "DOUBLE", "DECIMAL"].contains(base(type)) }

    /// Room for most values of a type, as later rows may be wider than the first.
    private static func typicalWidth(_ type: String) -> Int {
        switch base(type) {
        case "BOOLEAN": 5
        case "INTEGER": 8
        case "BIGINT": 13
        case "DOUBLE": 12
        case "DECIMAL": 12
        case "DATE": 10
        case "TIME": 12
        case "TIMESTAMP": 23
        default: 16
        }
    }
}
