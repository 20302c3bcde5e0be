/// Where the characters of a prompt and a line come to stand on a terminal of a given width.
struct LineLayout {
    /// What is written: prompt and line; a line break inside the line shows as `↵`.
    var text = ""
    /// Rows below the first, at the end and at the cursor.
    var lastRow = 0
    var cursorRow = 0
    var cursorColumn = 0
    /// The text ends in the last column: the terminal has not yet gone to the next row.
    var endsAtEdge = false

    init(prompt: String, line: [Character], cursor: Int, width: Int) {
        let width = max(width, 2)
        var row = 0
        var column = 0
        func place(_ character: Character) {
            let cells = Self.cells(character)
            if column + cells > width {
                row += 1
                column = 0
            }
            column += cells
        }
        for character in prompt {
            place(character)
            text.append(character)
        }
        for (i, character) in line.enumerated() {
            let shown: Character = character.isNewline ? "↵" : character
            if i == cursor { (cursorRow, cursorColumn) = Self.position(row, column, before: Self.cells(shown), width) }
            place(shown)
            text.append(shown)
        }
        endsAtEdge = column == width
        lastRow = endsAtEdge ? row + 1 : row
        if cursor >= line.count { (cursorRow, cursorColumn) = Self.position(row, column, before: 1, width) }
    }

    /// Where a character of `cells` goes that follows what ends at `column`.
    private static func position(_ row: Int, _ column: Int, before cells: Int, _ width: Int) -> (Int, Int) {
        column + max(cells, 1) > width ? (row + 1, 0) : (row, column)
    }

    /// Cells a terminal gives a character: 0 for marks, 2 for East Asian wide ones and emoji (Unicode Standard Annex 11), else 1.
    static func cells(_ character: Character) -> Int {
        guard let scalar = character.unicodeScalars.first else { return 0 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control: return 0
        default: break
        }
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F680...0x1F6FF, 0x1F900...0x1F9FF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }
}
