/// Reads a pattern into a `RegexNode`; character classes are in `RegexParser+Classes.swift`.
struct RegexParser {
    struct Flags {
        var ignoresCase = false, isUnicodeCase = false, dotMatchesAll = false, isMultiline = false, hasComments = false
        var unixLines = false, unicodeClasses = false
    }

    let text: String
    let scalars: [UInt32]
    var at = 0
    var flags = Flags()
    private(set) var groupCount = 0
    private(set) var names: [String: Int] = [:]
    var depth = 0
    /// Groups in groups: patterns may come from data and must not exhaust the thread's stack.
    static let depthMax = 200

    init(_ text: String) {
        self.text = text
        scalars = text.unicodeScalars.map(\.value)
    }

    mutating func parse() throws(KernelFailure) -> RegexNode {
        let root = try choice()
        if at < scalars.count { throw fail("unmatched closing ')'") }
        return root
    }

    func fail(_ what: String) -> KernelFailure { KernelFailure("regular expression '\(text)': \(what) near index \(at)") }

    // MARK: reading

    func peek(_ ahead: Int = 0) -> Unicode.Scalar? { at + ahead < scalars.count ? Unicode.Scalar(scalars[at + ahead]) : nil }

    mutating func accept(_ expected: Unicode.Scalar) -> Bool {
        guard peek() == expected else { return false }
        at += 1
        return true
    }

    func starts(with word: String) -> Bool { scalars[at...].starts(with: word.unicodeScalars.map(\.value)) }

    mutating func accept(_ word: String) -> Bool {
        guard starts(with: word) else { return false }
        at += word.unicodeScalars.count
        return true
    }

    /// Under the flag x: blanks and what follows # are nothing.
    private mutating func skipComments() {
        guard flags.hasComments else { return }
        while let next = peek() {
            if next.value <= 0x20, RegexProperties.space.containsASCII(UInt8(next.value)) {
                at += 1
            } else if next == "#" {
                while let inside = peek(), inside != "\n", inside != "\r" {
                    _ = inside
                    at += 1
                }
            } else {
                return
            }
        }
    }

    // MARK: structure

    private mutating func choice() throws(KernelFailure) -> RegexNode {
        var branches = [try sequence()]
        while accept("|") { branches.append(try sequence()) }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func sequence() throws(KernelFailure) -> RegexNode {
        var parts: [RegexNode] = []
        while true {
            skipComments()
            guard let next = peek(), next != "|", next != ")" else { break }
            if accept("\\Q") {
                let before = at
                while at < scalars.count, !starts(with: "\\E") { at += 1 }
                let quoted = scalars[before..<at]
                _ = accept("\\E")
                // A quantifier behind it is the last character's.
                for (i, point) in quoted.enumerated() {
                    let node = literal(point)
                    parts.append(i == quoted.count - 1 ? try quantified(node) : node)
                }
                continue
            }
            if accept("\\E") { continue }
            if let node = try atom() { parts.append(try quantified(node)) }
        }
        return Self.joined(parts)
    }

    /// Literals that stand side by side become one.
    private static func joined(_ parts: [RegexNode]) -> RegexNode {
        var out: [RegexNode] = []
        for part in parts {
            if case .empty = part { continue }
            if case .literal(let more) = part, case .literal(let before)? = out.last {
                out[out.count - 1] = .literal(before + more)
            } else {
                out.append(part)
            }
        }
        return out.isEmpty ? .empty : out.count == 1 ? out[0] : .sequence(out)
    }

    /// Nil for what only sets flags.
    private mutating func atom() throws(KernelFailure) -> RegexNode? {
        let point = scalars[at]
        at += 1
        switch Unicode.Scalar(point) {
        case "(": return try group()
        case "[": return .set(try characterClass())
        case ".": return .set(dot)
        case "^": return .assertion(flags.isMultiline ? (flags.unixLines ? .unixLineStart : .lineStart) : .textStart)
        case "$":
            if flags.isMultiline { return .assertion(flags.unixLines ? .unixLineEnd : .lineEnd) }
            return .assertion(flags.unixLines ? .unixTextEnd : .textEndBeforeBreak)
        case "\\": return try escape()
        case "*", "+", "?":
            at -= 1
            throw fail("dangling meta character '\(Unicode.Scalar(point).map(String.init) ?? "")'")
        case "{":
            at -= 1
            throw fail("illegal repetition")
        default: return literal(point)
        }
    }

    private var dot: CodePointSet {
        if flags.dotMatchesAll { return .all }
        return (flags.unixLines ? CodePointSet(0x0a) : RegexProperties.lineBreak).inverted
    }

    func literal(_ point: UInt32) -> RegexNode {
        if flags.ignoresCase, !CodePointSet.cases(of: point, unicode: flags.isUnicodeCase).isEmpty {
            return .set(CodePointSet(point).union(CodePointSet(CodePointSet.cases(of: point, unicode: flags.isUnicodeCase).map { $0...$0 })))
        }
        return .literal(Unicode.Scalar(point).map { Array(String($0).utf8) } ?? [0xef, 0xbf, 0xbd])
    }

    private mutating func group() throws(KernelFailure) -> RegexNode? {
        let before = flags
        depth += 1
        defer { depth -= 1 }
        if depth > Self.depthMax { throw fail("too many groups in each other") }
        func body(_ parser: inout RegexParser) throws(KernelFailure) -> RegexNode {
            let inner = try parser.choice()
            guard parser.accept(")") else { throw parser.fail("unclosed group") }
            parser.flags = before
            return inner
        }
        guard accept("?") else {
            groupCount += 1
            let number = groupCount
            return .group(try body(&self), number)
        }
        if accept(":") { return try body(&self) }
        if accept("=") { return .look(try body(&self), isAhead: true, isNegative: false) }
        if accept("!") { return .look(try body(&self), isAhead: true, isNegative: true) }
        if accept(">") { return .atomic(try body(&self)) }
        if accept("<=") { return .look(try lookBehind(body(&self)), isAhead: false, isNegative: false) }
        if accept("<!") { return .look(try lookBehind(body(&self)), isAhead: false, isNegative: true) }
        if accept("<") {
            let name = try groupName(">")
            guard names[name] == nil else { throw fail("named capturing group <\(name)> is already defined") }
            groupCount += 1
            let number = groupCount
            names[name] = number
            return .group(try body(&self), number)
        }
        // (?idmsux-idmsux) for the rest of the group, (?idmsux-idmsux:…) for a group of its own.
        var on = true
        while let next = peek() {
            at += 1
            switch next {
            case "i": flags.ignoresCase = on
            case "u": flags.isUnicodeCase = on
            case "s": flags.dotMatchesAll = on
            case "m": flags.isMultiline = on
            case "x": flags.hasComments = on
            case "d": flags.unixLines = on
            case "U":
                flags.unicodeClasses = on
                if on { flags.isUnicodeCase = true }
            case "-" where on: on = false
            case ")": return nil
            case ":": return try body(&self)
            default:
                at -= 1
                throw fail("unknown inline modifier")
            }
        }
        throw fail("unclosed group")
    }

    private func lookBehind(_ node: RegexNode) throws(KernelFailure) -> RegexNode {
        guard node.length.most != nil else { throw fail("look-behind group does not have an obvious maximum length") }
        return node
    }

    private mutating func groupName(_ end: Unicode.Scalar) throws(KernelFailure) -> String {
        var name = ""
        while let next = peek(), next != end {
            let isLetter = (0x61...0x7a).contains(next.value | 0x20), isDigit = (0x30...0x39).contains(next.value)
            guard isLetter || (isDigit && !name.isEmpty) else { throw fail("a group's name is letters and digits and begins with a letter") }
            name.unicodeScalars.append(next)
            at += 1
        }
        guard !name.isEmpty, accept(end) else { throw fail("a named group is missing its trailing '\(end)'") }
        return name
    }

    // MARK: quantifiers

    private mutating func quantified(_ atom: RegexNode) throws(KernelFailure) -> RegexNode {
        var node = atom
        while true {
            skipComments()
            var least = 0, most: Int?
            if accept("?") {
                most = 1
            } else if accept("*") {
                most = nil
            } else if accept("+") {
                least = 1
            } else if peek() == "{" {
                at += 1
                guard let first = number() else { throw fail("illegal repetition") }
                (least, most) = (first, first)
                if accept(",") { most = number() }
                guard accept("}") else { throw fail("unclosed counted closure") }
                if let most, most < least { throw fail("illegal repetition range") }
            } else {
                return node
            }
            let mode: RegexNode.Mode = accept("?") ? .lazy : accept("+") ? .possessive : .greedy
            node = .loop(node, least: least, most: most, mode)
        }
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let digit = peek(), (0x30...0x39).contains(digit.value), (value ?? 0) < 100_000_000 {
            value = (value ?? 0) * 10 + Int(digit.value - 0x30)
            at += 1
        }
        return value
    }

    // MARK: escapes

    private mutating func escape() throws(KernelFailure) -> RegexNode {
        guard let next = peek() else { throw fail("unexpected end after '\\'") }
        switch next {
        case "b":
            at += 1
            if starts(with: "{") { throw fail("\\b{g} is not supported") }
            return .assertion(.wordBoundary)
        case "B": at += 1; return .assertion(.notWordBoundary)
        case "A": at += 1; return .assertion(.textStart)
        case "z": at += 1; return .assertion(.textEnd)
        case "Z": at += 1; return .assertion(flags.unixLines ? .unixTextEnd : .textEndBeforeBreak)
        case "G": at += 1; return .assertion(.searchStart)
        case "R":
            at += 1
            return .choice([.literal([0x0d, 0x0a]), .set(RegexProperties.verticalSpace)])
        case "k":
            at += 1
            guard accept("<") else { throw fail("\\k is not followed by '<' for named capturing group") }
            let name = try groupName(">")
            guard let number = names[name] else { throw fail("named capturing group <\(name)> does not exist") }
            return .reference(number, ignoresCase: flags.ignoresCase, isUnicode: flags.isUnicodeCase)
        case "1"..."9":
            // As many digits as name a group that is there.
            var number = Int(next.value - 0x30)
            at += 1
            while let digit = peek(), (0x30...0x39).contains(digit.value), number * 10 + Int(digit.value - 0x30) <= groupCount {
                number = number * 10 + Int(digit.value - 0x30)
                at += 1
            }
            return .reference(number, ignoresCase: flags.ignoresCase, isUnicode: flags.isUnicodeCase)
        default:
            if let set = try classEscape() { return .set(set) }
            return literal(try characterEscape())
        }
    }
}
