extension RegexParser {
    /// What `\d`, `\p{…}` and their like stand for; nil, with nothing read, for any other escape. The backslash has been read.
    mutating func classEscape() throws(KernelFailure) -> CodePointSet? {
        guard let next = peek() else { throw fail("unexpected end after '\\'") }
        let set: CodePointSet
        switch next {
        case "d", "D": set = flags.unicodeClasses ? RegexProperties.unicodeDigit : RegexProperties.digit
        case "w", "W": set = flags.unicodeClasses ? RegexProperties.unicodeWord : RegexProperties.word
        case "s", "S": set = flags.unicodeClasses ? RegexProperties.unicodeSpace : RegexProperties.space
        case "h", "H": set = RegexProperties.horizontalSpace
        case "v", "V": set = RegexProperties.verticalSpace
        case "p", "P":
            at += 1
            var named = try property()
            if flags.ignoresCase { named = named.ignoringCase(unicode: flags.isUnicodeCase) }
            return next == "P" ? named.inverted : named
        default: return nil
        }
        at += 1
        return next.value & 0x20 == 0 ? set.inverted : set
    }

    /// `L` or `{Lu}` behind `\p`.
    private mutating func property() throws(KernelFailure) -> CodePointSet {
        guard let first = peek() else { throw fail("unexpected end of a property's name") }
        at += 1
        var name = String(first)
        if first == "{" {
            name = ""
            while let next = peek(), next != "}" {
                name.unicodeScalars.append(next)
                at += 1
            }
            guard accept("}") else { throw fail("unclosed character family") }
        }
        guard let set = RegexProperties.named(name, unicode: flags.unicodeClasses) else { throw fail("unknown character property name {\(name)}") }
        return set
    }

    /// The code point of an escape such as `\n`, `\x41` or `\$`. The backslash has been read.
    mutating func characterEscape() throws(KernelFailure) -> UInt32 {
        guard let next = peek() else { throw fail("unexpected end after '\\'") }
        at += 1
        switch next {
        case "t": return 0x09
        case "n": return 0x0a
        case "r": return 0x0d
        case "f": return 0x0c
        case "a": return 0x07
        case "e": return 0x1b
        case "0": return try octal()
        case "c":
            guard let control = peek() else { throw fail("illegal control escape sequence") }
            at += 1
            return control.value ^ 0x40
        case "x":
            if accept("{") {
                var value: UInt32 = 0, count = 0
                while let digit = hexDigit() {
                    value = value << 4 | digit
                    count += 1
                    if value > 0x10ffff { throw fail("hexadecimal code point is too big") }
                }
                guard count > 0, accept("}") else { throw fail("unclosed hexadecimal escape sequence") }
                return value
            }
            return try hex(2)
        case "u":
            let unit = try hex(4)
            // Two escapes that are a surrogate pair are one code point.
            if unit & 0xfc00 == 0xd800, starts(with: "\\u") {
                let before = at
                at += 2
                let second = try hex(4)
                if second & 0xfc00 == 0xdc00 { return 0x10000 + (unit & 0x3ff) << 10 + second & 0x3ff }
                at = before
            }
            return unit
        default:
            let isLetter = (0x61...0x7a).contains(next.value | 0x20) && next.value < 0x80
            if isLetter || (0x30...0x39).contains(next.value) { throw fail("illegal/unsupported escape sequence") }
            return next.value
        }
    }

    private mutating func hexDigit() -> UInt32? {
        guard let next = peek(), let value = next.value < 0x80 ? UInt32(String(next), radix: 16) : nil else { return nil }
        at += 1
        return value
    }

    private mutating func hex(_ count: Int) throws(KernelFailure) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let digit = hexDigit() else { throw fail("illegal hexadecimal escape sequence") }
            value = value << 4 | digit
        }
        return value
    }

    /// `\0n`, `\0nn`, `\0mnn` with m at most 3.
    private mutating func octal() throws(KernelFailure) -> UInt32 {
        var digits: [UInt32] = []
        while digits.count < 3, let next = peek(), (0x30...0x37).contains(next.value) {
            if digits.count == 2, digits[0] > 3 { break }
            digits.append(next.value - 0x30)
            at += 1
        }
        if digits.isEmpty { throw fail("illegal octal escape sequence") }
        return digits.reduce(0) { $0 << 3 | $1 }
    }

    // MARK: [...]

    /// A class whose `[` has been read: members, ranges and classes in it together, cut with what stands behind each `&&`.
    mutating func characterClass() throws(KernelFailure) -> CodePointSet {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.depthMax { throw fail("too many classes in each other") }
        let isInverted = accept("^")
        var whole: CodePointSet?
        var current = CodePointSet.empty, isFirst = true
        while true {
            skipBlanks()
            guard let next = peek() else { throw fail("unclosed character class") }
            if next == "]", !isFirst {
                at += 1
                break
            }
            if next == "&", peek(1) == "&" {
                while accept("&") {}
                whole = whole.map { $0.intersection(current) } ?? current
                current = .empty
                // What follows may be the end: then there was nothing to cut with.
                skipBlanks()
                if peek() == "]" {
                    at += 1
                    let out = whole ?? .empty
                    return isInverted ? out.inverted : out
                }
                isFirst = false
                continue
            }
            isFirst = false
            current = current.union(try member())
        }
        let out = whole.map { $0.intersection(current) } ?? current
        return isInverted ? out.inverted : out
    }

    private mutating func skipBlanks() {
        guard flags.hasComments else { return }
        while let next = peek(), next.value < 0x80, RegexProperties.space.containsASCII(UInt8(next.value)) { at += 1 }
    }

    /// One member of a class: a class, a range or a character.
    private mutating func member() throws(KernelFailure) -> CodePointSet {
        if accept("[") { return try characterClass() }
        if accept("\\Q") {
            var out = CodePointSet.empty
            while at < scalars.count, !starts(with: "\\E") {
                out = out.union(folded(scalars[at]...scalars[at]))
                at += 1
            }
            _ = accept("\\E")
            return out
        }
        if peek() == "\\" {
            at += 1
            if let set = try classEscape() { return set }
            at -= 1
        }
        let first = try classCharacter()
        guard peek() == "-", let after = peek(1), after != "]", after != "[", !(after == "&" && peek(2) == "&") else { return folded(first...first) }
        at += 1
        let last = try classCharacter()
        guard first <= last else { throw fail("illegal character range") }
        return folded(first...last)
    }

    private mutating func classCharacter() throws(KernelFailure) -> UInt32 {
        if accept("\\") { return try characterEscape() }
        at += 1
        return scalars[at - 1]
    }

    private func folded(_ range: ClosedRange<UInt32>) -> CodePointSet {
        let set = CodePointSet(range)
        return flags.ignoresCase ? set.ignoringCase(unicode: flags.isUnicodeCase) : set
    }
}
