import MartletCore

/// What a pattern says, before it is compiled.
indirect enum RegexNode: Sendable {
    enum Mode: Sendable { case greedy, lazy, possessive }

    enum Assertion: Sendable {
        /// `\A` and `^`; `^` at any line; `$` and `\Z`; `$` at any line; `\z`; `\G`; `\b`; `\B`.
        case textStart, lineStart, textEndBeforeBreak, lineEnd, textEnd, searchStart, wordBoundary, notWordBoundary
        /// `^`, `$` at any line and `$` where only a line feed ends a line.
        case unixLineStart, unixTextEnd, unixLineEnd
    }

    case empty
    /// UTF-8.
    case literal([UInt8])
    case set(CodePointSet)
    case sequence([RegexNode])
    case choice([RegexNode])
    case group(RegexNode, Int)
    case loop(RegexNode, least: Int, most: Int?, Mode)
    case look(RegexNode, isAhead: Bool, isNegative: Bool)
    case atomic(RegexNode)
    case reference(Int, ignoresCase: Bool, isUnicode: Bool)
    case assertion(Assertion)

    /// The one character that this is, as a set.
    var single: CodePointSet? {
        switch self {
        case .set(let set): return set
        case .literal(let bytes):
            guard let first = bytes.first, bytes.count == (first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4) else { return nil }
            return String(decoding: bytes, as: UTF8.self).unicodeScalars.first.map { CodePointSet($0.value) }
        default: return nil
        }
    }

    /// Characters at least and at most; nil: without bound.
    var length: (least: Int, most: Int?) {
        switch self {
        case .empty, .look, .assertion: return (0, 0)
        case .literal(let bytes):
            var count = 0
            for byte in bytes where byte & 0xc0 != 0x80 { count += 1 }
            return (count, count)
        case .set: return (1, 1)
        case .sequence(let parts):
            var least = 0, most: Int? = 0
            for part in parts {
                let length = part.length
                least += length.least
                most = most.flatMap { a in length.most.map { a + $0 } }
            }
            return (least, most)
        case .choice(let parts):
            let lengths = parts.map(\.length)
            let most = lengths.contains { $0.most == nil } ? nil : lengths.compactMap(\.most).max()
            return (lengths.map(\.least).min() ?? 0, most)
        case .group(let inner, _), .atomic(let inner): return inner.length
        case .loop(let inner, let least, let most, _):
            let length = inner.length
            let bound: Int? = length.most == 0 ? 0 : most.flatMap { times in length.most.map { $0 * times } }
            return (length.least * least, bound)
        case .reference: return (0, nil)
        }
    }
}

/// A regular expression in Java's syntax (`java.util.regex.Pattern`), matching UTF-8 by code points.
///
/// Not read: `\N{…}`, `\X` and `\b{g}`, canonical equivalence; of scripts and blocks those that `RegexProperties` lists.
struct RegularExpression: Sendable {
    /// Groups with parentheses; group 0 is the whole match.
    let groupCount: Int
    let names: [String: Int]
    let program: RegexProgram
    /// Whether it matches the empty text as a whole.
    let matchesEmpty: Bool

    /// - Throws: what is wrong with the pattern, and where.
    init(_ pattern: String) throws(KernelFailure) {
        var parser = RegexParser(pattern)
        let root = try parser.parse()
        groupCount = parser.groupCount
        names = parser.names
        program = try RegexProgram(root, groupCount: parser.groupCount)
        var matcher = RegexMatcher(program)
        matchesEmpty = try matcher.matchesWhole([])
    }
}
