/// A table whose rows are all known.
///
/// ```
///  Stream | Topic  | Value format
/// --------------------------------
///  CLICKS | clicks | JSON
/// --------------------------------
/// ```
struct TextTable {
    struct Column {
        var title: String
        var isNumber = false
        init(_ title: String, isNumber: Bool = false) {
            self.title = title
            self.isNumber = isNumber
        }
    }

    var columns: [Column]
    var rows: [[String]] = []

    init(_ columns: [Column]) { self.columns = columns }

    init(_ titles: String..., numbers: Set<String> = []) {
        columns = titles.map { Column($0, isNumber: numbers.contains($0)) }
    }

    mutating func add(_ cells: String...) { rows.append(cells) }

    /// - `width`: wider cells are wrapped; nil = as wide as they are.
    func rendered(width: Int?) -> String {
        let natural = columns.indices.map { i in
            rows.reduce(CellText.width(columns[i].title)) { max($0, i < $1.count ? CellText.width($1[i]) : 0) }
        }
        var widths = natural
        if let width {
            let room = width - 3 * columns.count + 1
            let least = columns.map { max(10, CellText.width($0.title)) }
            widths = ColumnWidths.fit(natural, least: least, room: room) ?? zip(natural, least).map { min($0, $1) }
        }
        let rule = String(repeating: "-", count: widths.reduce(0) { $0 + $1 + 3 } - 1)
        var lines = [line(columns.map(\.title), widths), rule]
        for row in rows {
            let cells = columns.indices.map { i in CellText.wrapped(i < row.count ? row[i] : "", widths[i]) }
            for l in 0..<(cells.map(\.count).max() ?? 0) { lines.append(line(cells.map { l < $0.count ? $0[l] : "" }, widths)) }
        }
        lines.append(rule)
        return lines.joined(separator: "\n") + "\n"
    }

    private func line(_ cells: [String], _ widths: [Int]) -> String {
        var out = columns.indices.map { " " + CellText.padded(cells[$0], widths[$0], right: columns[$0].isNumber) + " " }.joined(separator: "|")
        while out.last == " " { out.removeLast() }
        return out
    }
}
