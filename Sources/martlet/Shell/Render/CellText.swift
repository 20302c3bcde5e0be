import MartletCore

/// Values as the text of a table's cell.
enum CellText {
    /// A value as people read it: texts without quotes, arrays and objects as JSON. A NULL is `null`.
    static func text(_ value: JSONValue) -> String {
        if case .string(let text) = value { return printable(text) }
        return printable(value.description)
    }

    /// Without characters that would move the terminal's cursor or change its colours: they are shown as `\u001b`. Line breaks stay, tabs are blanks.
    static func printable(_ text: String) -> String { printable(text, keepingTabs: false) }

    static func printable(_ text: String, keepingTabs: Bool) -> String {
        func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
            switch scalar.value {
            case 0x0a: false
            // C0, DEL, C1, line and paragraph separators, changes of direction.
            case 0..<0x20, 0x7f...0x9f, 0x2028...0x202e, 0x2066...0x2069: true
            default: false
            }
        }
        guard text.unicodeScalars.contains(where: isHarmful) else { return text }
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if scalar == "\t" {
                out.append(keepingTabs ? "\t" : " ")
            } else if isHarmful(scalar) {
                let hex = String(scalar.value, radix: 16)
                out.append(contentsOf: ("\\u" + String(repeating: "0", count: max(0, 4 - hex.count)) + hex).unicodeScalars)
            } else {
                out.append(scalar)
            }
        }
        return String(out)
    }

    /// Cells of the terminal that the widest line takes.
    static func width(_ text: String) -> Int {
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) { return text.utf8.count }
        return text.split(separator: "\n", omittingEmptySubsequences: false).reduce(0) { max($0, $1.reduce(0) { $0 + LineLayout.cells($1) }) }
    }

    /// The text's lines, none wider than `width`: cut after a blank where there is one in the second half, else anywhere.
    static func wrapped(_ text: String, _ width: Int) -> [String] {
        let width = max(width, 2)  // One character may need two cells.
        if CellText.width(text) <= width, !text.contains("\n") { return [text] }
        var lines: [String] = []
        for paragraph in text.split(separator: "\n", omittingEmptySubsequences: false) {
            var rest = Array(paragraph)[...]
            repeat {
                var used = 0
                var end = rest.startIndex
                var blank: Int?
                while end < rest.endIndex {
                    let cells = LineLayout.cells(rest[end])
                    if used + cells > width { break }
                    used += cells
                    end += 1
                    if rest[end - 1] == " ", used > width / 2 { blank = end }
                }
                if end < rest.endIndex, rest[end] == " " {
                    lines.append(String(rest[..<end]))
                    rest = rest[(end + 1)...]
                    continue
                }
                if end < rest.endIndex, let blank { end = blank }
                lines.append(String(rest[..<end]))
                rest = rest[end...]
            } while !rest.isEmpty
        }
        return lines
    }

    /// One line no wider than `width`, ending in `…` if something is missing.
    static func clipped(_ text: String, _ width: Int) -> String {
        let line = text.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
        if line.count == text.count, CellText.width(text) <= width { return text }
        var out = ""
        var used = 0
        for character in line {
            let cells = LineLayout.cells(character)
            if used + cells > max(width, 1) - 1 { break }
            out.append(character)
            used += cells
        }
        return out + "…"
    }

    static func padded(_ text: String, _ width: Int, right: Bool = false) -> String {
        let blanks = String(repeating: " ", count: max(0, width - CellText.width(text)))
        return right ? blanks + text : text + blanks
    }
}

/// The widths that columns get when there is not room for all of each.
enum ColumnWidths {
    /// - `natural`: what each would like; `least`: what it must have.
    /// - Returns: widths whose sum is at most `room`, taken from the widest first; nil if not even the least fit.
    static func fit(_ natural: [Int], least: [Int], room: Int) -> [Int]? {
        if natural.reduce(0, +) <= room { return natural }
        guard zip(natural, least).reduce(0, { $0 + min($1.0, $1.1) }) <= room else { return nil }
        // The greatest cap under which everything fits; what is left over goes to the first capped columns, one cell each.
        func widths(_ cap: Int) -> [Int] { zip(natural, least).map { min($0, max(cap, min($0, $1))) } }
        var low = 1, high = room
        while low < high {
            let middle = (low + high + 1) / 2
            if widths(middle).reduce(0, +) <= room { low = middle } else { high = middle - 1 }
        }
        var out = widths(low)
        var left = room - out.reduce(0, +)
        for i in out.indices where left > 0 && out[i] == low && out[i] < natural[i] {
            out[i] += 1
            left -= 1
        }
        return out
    }
}
