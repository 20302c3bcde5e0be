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
        /// What happens to cells that are too wide: several lines, never too wide, or an end in `…`.
        enum Overflow { case wrap, whole, clip }

        var title: String
        var isNumber = false
        var overflow = Overflow.wrap
        /// Left out if not everything fits.
        var isOptional = false

        init(_ title: String, isNumber: Bool = false, overflow: Overflow = .wrap, isOptional: Bool = false) {
            self.title = title
            self.isNumber = isNumber
            self.overflow = overflow
            self.isOptional = isOptional
        }
    }

    var columns: [Column]
    var rows: [[String]] = []

    init(_ columns: [Column]) { self.columns = columns }

    init(_ titles: String..., numbers: Set<String> = []) {
        columns = titles.map { Column($0, isNumber: numbers.contains($0)) }
    }

    mutating func add(_ cells: String...) { rows.append(cells) }

    /// - `width`: of the terminal; nil = all cells are whole.
    func rendered(width: Int?) -> String {
        let natural = naturalWidths
        guard let width, natural.reduce(0, { $0 + $1 + 3 }) - 1 > width else { return rendered(natural) }
        let kept = columns.indices.filter { !columns[$0].isOptional }
        if kept.count < columns.count {
            var narrower = TextTable(kept.map { columns[$0] })
            narrower.rows = rows.map { row in kept.map { $0 < row.count ? row[$0] : "" } }
            return narrower.rendered(width: width)
        }
        let least = columns.indices.map { columns[$0].overflow == .whole ? natural[$0] : max(10, CellText.width(columns[$0].title)) }
        return rendered(ColumnWidths.fit(natural, least: least, room: width - 3 * columns.count + 1) ?? zip(natural, least).map { min($0, $1) })
    }

    private var naturalWidths: [Int] {
        columns.indices.map { i in rows.reduce(CellText.width(columns[i].title)) { max($0, i < $1.count ? CellText.width($1[i]) : 0) } }
    }

    private func rendered(_ widths: [Int]) -> String {
        let rule = String(repeating: "-", count: widths.reduce(0) { $0 + $1 + 3 } - 1)
        var lines = [line(columns.map(\.title), widths), rule]
        for row in rows {
            let cells = columns.indices.map { i in
                let text = i < row.count ? row[i] : ""
                return columns[i].overflow == .clip ? [CellText.clipped(text, widths[i])] : CellText.wrapped(text, widths[i])
            }
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
