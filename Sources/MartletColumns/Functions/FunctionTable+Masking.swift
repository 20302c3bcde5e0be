import MartletCore

extension FunctionTable {
    /// MASK and its kin. Upper-case letters become `X`, lower-case ones `x`, digits `n`, anything else `-`, or the characters given instead;
    /// NULL or an empty text given instead leaves that kind as it is. Characters are counted in UTF-16 units, as Java's: one beyond U+FFFF is two, and
    /// is replaced by two. `MASK_LEFT('Hans', 2)` is `Xxns`.
    static func masking(_ t: inout FunctionTable) {
        t.function("MASK", .string, "Replaces letters, digits and other characters so that a text's shape can be seen but not the text.")
        t.columns("(VARCHAR input) -> VARCHAR") { masked(&$0, .all) }
        t.columns("(VARCHAR input, VARCHAR upper, VARCHAR lower, VARCHAR digit, VARCHAR other) -> VARCHAR") { masked(&$0, .all) }
        for (name, which, part) in [
            ("MASK_LEFT", "the first n characters", Part.left), ("MASK_RIGHT", "the last n characters", .right),
            ("MASK_KEEP_LEFT", "all but the first n characters", .keepLeft),
            ("MASK_KEEP_RIGHT", "all but the last n characters", .keepRight),
        ] {
            t.function(name, .string, "As MASK, for \(which) only.")
            t.columns("(VARCHAR input, INT n) -> VARCHAR") { masked(&$0, part) }
            t.columns("(VARCHAR input, INT n, VARCHAR upper, VARCHAR lower, VARCHAR digit, VARCHAR other) -> VARCHAR") { masked(&$0, part) }
        }
    }

    enum Part { case all, left, right, keepLeft, keepRight }

    /// Replacements of the four kinds; nil keeps the character.
    private struct Masker {
        var upper: [UInt8]?, lower: [UInt8]?, digit: [UInt8]?, other: [UInt8]?

        /// What each ASCII character becomes; nil if a replacement is longer than a byte.
        let table: [UInt8]?

        init(upper: [UInt8]?, lower: [UInt8]?, digit: [UInt8]?, other: [UInt8]?) {
            (self.upper, self.lower, self.digit, self.other) = (upper, lower, digit, other)
            table = [upper, lower, digit, other].allSatisfy { ($0?.count ?? 1) == 1 }
                ? (0..<128).map { (byte: UInt8) in
                    switch byte {
                    case 0x41...0x5a: upper?[0] ?? byte
                    case 0x61...0x7a: lower?[0] ?? byte
                    case 0x30...0x39: digit?[0] ?? byte
                    default: other?[0] ?? byte
                    }
                } : nil
        }

        static let standard = Masker(upper: [0x58], lower: [0x78], digit: [0x6e], other: [0x2d])

        func append(_ character: ArraySlice<UInt8>, to out: inout [UInt8]) {
            let replacement: [UInt8]?
            let first = character[character.startIndex]
            if first < 0x80 {
                switch first {
                case 0x41...0x5a: replacement = upper
                case 0x61...0x7a: replacement = lower
                case 0x30...0x39: replacement = digit
                default: replacement = other
                }
            } else {
                // The halves of a pair have no kind of their own.
                let properties = character.count == 4 ? nil : String(decoding: character, as: UTF8.self).unicodeScalars.first?.properties
                switch properties?.generalCategory {
                case .uppercaseLetter?: replacement = upper
                case .lowercaseLetter?: replacement = lower
                case .decimalNumber?: replacement = digit
                default: replacement = other
                }
            }
            guard let replacement else { return out += character }
            out += replacement
            if character.count == 4 { out += replacement }
        }
    }

    private static func masked(_ call: inout KernelCall, _ part: Part) -> Column {
        let texts = ArgumentColumn<Text>(call.arguments[0])
        let counts = part == .all ? nil : ArgumentColumn<Int32>(call.arguments[1])
        let replacements = call.arguments.dropFirst(part == .all ? 1 : 2).map { ArgumentColumn<Text?>($0) }
        let standard = Masker.standard, areConstant = call.arguments.dropFirst(part == .all ? 1 : 2).allSatisfy(\.isConstant)
        var given: Masker?
        return call.rows { row -> Text? in
            guard let text = texts[row] else { return nil }
            var masker = given ?? standard
            if replacements.count == 4, given == nil {
                func replacement(_ i: Int) -> [UInt8]? { replacements[i][row].flatMap { $0 }.flatMap { $0.bytes.isEmpty ? nil : Array(firstCharacter($0.bytes)) } }
                masker = Masker(upper: replacement(0), lower: replacement(1), digit: replacement(2), other: replacement(3))
                if areConstant { given = masker }
            }
            var wanted = 0..<Int.max
            if let counts {
                guard let n = counts[row] else { return nil }
                if n < 0 { throw KernelFailure("the number of characters to mask or keep is at least 0, not \(n)") }
                let total = text.isASCII ? text.bytes.count : utf16Count(text.bytes)
                let edge = Int(n)
                switch part {
                case .left, .all: wanted = 0..<edge
                case .keepLeft: wanted = edge..<Int.max
                case .right: wanted = max(0, total - edge)..<Int.max
                case .keepRight: wanted = 0..<max(0, total - edge)
                }
            }
            if let table = masker.table, text.isASCII {
                var out = Array(text.bytes)
                for i in wanted.clamped(to: 0..<out.count) { out[i] = table[Int(out[i])] }
                return Text(out)
            }
            var out: [UInt8] = []
            out.reserveCapacity(text.bytes.count)
            var at = text.bytes.startIndex, index = 0
            while at < text.bytes.endIndex {
                let character = firstCharacter(text.bytes[at...])
                if wanted.contains(index) { masker.append(character, to: &out) } else { out += character }
                at += character.count
                index += character.count == 4 ? 2 : 1
            }
            return Text(out)
        }
    }

    private static func firstCharacter(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard let first = bytes.first else { return bytes }
        return bytes.prefix(first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4)
    }
}
