import MartletCore

extension FunctionTable {
    /// MASK and its kin. Upper-case letters become `X`, lower-case ones `x`, digits `n`, anything else `-`, or the single characters given
    /// instead; NULL given instead leaves that kind as it is. Characters are counted in UTF-16 units, as Java's: one beyond U+FFFF is two, of which the
    /// second is of no kind. `MASK_LEFT('Hans', 2)` is `Xxns`.
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
        private let upper: [UInt8]?, lower: [UInt8]?, digit: [UInt8]?, other: [UInt8]?
        /// What each ASCII character becomes; empty if a replacement is longer than a byte.
        let table: [UInt8]

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
                } : []
        }

        static let standard = Masker(upper: [0x58], lower: [0x78], digit: [0x6e], other: [0x2d])

        func append(_ character: ArraySlice<UInt8>, to out: inout [UInt8]) {
            let replacement =
                switch String(decoding: character, as: UTF8.self).unicodeScalars.first?.properties.generalCategory {
                case .uppercaseLetter?: upper
                case .lowercaseLetter?: lower
                case .decimalNumber?: digit
                default: other
                }
            out += replacement ?? Array(character)
            // The second half of a pair is of no kind of its own.
            if character.count == 4, let other { out += other }
        }
    }

    private static func masked(_ call: inout KernelCall, _ part: Part) -> Column {
        let text = BytesArgument(call.arguments[0]), buffer = text.column.buffer
        let counts = part == .all ? nil : ArgumentColumn<Int32>(call.arguments[1])
        let given = call.arguments.dropFirst(part == .all ? 1 : 2), replacements = given.map { BytesArgument($0) }
        let areConstant = given.allSatisfy(\.isConstant)
        var known: Masker? = given.isEmpty ? .standard : nil

        func masker(_ row: Int) throws(KernelFailure) -> Masker {
            var made: [[UInt8]?] = []
            for replacement in replacements {
                let bytes = replacement.slice(row)
                if let bytes, utf16Count(bytes) != 1 {
                    throw KernelFailure("Invalid mask character. Must be only single character, but was '\(String(decoding: bytes, as: UTF8.self))'")
                }
                made.append(bytes.map { Array($0) })
            }
            return Masker(upper: made[0], lower: made[1], digit: made[2], other: made[3])
        }

        return StringKernels.texts(&call) { (row, out) throws(KernelFailure) in
            let masker = if let known { known } else { try masker(row) }
            if areConstant { known = masker }
            guard let range = text.range(row) else { return false }
            let isASCII = StringKernels.isASCII(buffer, range)
            var wanted = 0..<Int.max
            if let counts {
                guard let n = counts[row] else { return false }
                if n < 0 { throw KernelFailure("the number of characters to mask or keep is at least 0, not \(n)") }
                let total = isASCII ? range.count : utf16Count(buffer[range])
                let edge = Int(n)
                switch part {
                case .left, .all: wanted = 0..<edge
                case .keepLeft: wanted = edge..<Int.max
                case .right: wanted = max(0, total - edge)..<Int.max
                case .keepRight: wanted = 0..<max(0, total - edge)
                }
            }
            if isASCII, !masker.table.isEmpty {
                let start = out.count
                out += buffer[range]
                out.withUnsafeMutableBufferPointer { bytes in
                    masker.table.withUnsafeBufferPointer { table in
                        for i in wanted.clamped(to: 0..<range.count) { bytes[start &+ i] = table[Int(bytes[start &+ i])] }
                    }
                }
                return true
            }
            var at = range.lowerBound, index = 0
            while at < range.upperBound {
                let first = buffer[at], count = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
                let character = buffer[at..<min(at + count, range.upperBound)]
                if wanted.contains(index) { masker.append(character, to: &out) } else { out += character }
                at += character.count
                index += character.count == 4 ? 2 : 1
            }
            return true
        }
    }
}
