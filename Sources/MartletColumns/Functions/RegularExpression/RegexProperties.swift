/// The character classes that a pattern names: `\p{Lu}`, `\p{Alpha}`, `\p{IsGreek}`, `\p{InCyrillic}`, `\p{javaLowerCase}`.
enum RegexProperties {
    static let digit = CodePointSet(0x30...0x39)
    static let word = CodePointSet([0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a])
    static let space = CodePointSet([0x09...0x0d, 0x20...0x20])
    static let horizontalSpace = CodePointSet([
        0x09...0x09, 0x20...0x20, 0xa0...0xa0, 0x1680...0x1680, 0x180e...0x180e, 0x2000...0x200a, 0x202f...0x202f, 0x205f...0x205f,
        0x3000...0x3000,
    ])
    static let verticalSpace = CodePointSet([0x0a...0x0d, 0x85...0x85, 0x2028...0x2029])
    /// What `.` does not match.
    static let lineBreak = CodePointSet([0x0a...0x0a, 0x0d...0x0d, 0x85...0x85, 0x2028...0x2029])

    // Under the flag U.
    static let unicodeDigit = category { $0 == .decimalNumber }
    static let unicodeWord = scalar { scalar in
        let properties = scalar.properties
        if properties.isAlphabetic || properties.isJoinControl { return true }
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .spacingMark, .decimalNumber, .connectorPunctuation: return true
        default: return false
        }
    }
    static let unicodeSpace = scalar { $0.properties.isWhitespace }

    /// The class of a name as it stands between the braces; nil if it is not known.
    static func named(_ name: String, unicode: Bool) -> CodePointSet? {
        if let equals = name.firstIndex(of: "=") {
            let value = String(name[name.index(after: equals)...])
            switch name[..<equals].lowercased() {
            case "general_category", "gc": return generalCategory(value)
            case "script", "sc": return ranges(scripts, value)
            case "block", "blk": return ranges(blocks, value)
            default: return nil
            }
        }
        if name.hasPrefix("In") { return ranges(blocks, String(name.dropFirst(2))) }
        if name.hasPrefix("Is") {
            let rest = String(name.dropFirst(2))
            return binary(rest) ?? generalCategory(rest) ?? ranges(scripts, rest)
        }
        if name.hasPrefix("java") { return java(String(name.dropFirst(4))) }
        return (unicode ? binary(name) : nil) ?? posix(name) ?? generalCategory(name)
    }

    private static func posix(_ name: String) -> CodePointSet? {
        switch name {
        case "Lower": CodePointSet(0x61...0x7a)
        case "Upper": CodePointSet(0x41...0x5a)
        case "ASCII": CodePointSet(0...0x7f)
        case "Alpha": CodePointSet([0x41...0x5a, 0x61...0x7a])
        case "Digit": digit
        case "Alnum": CodePointSet([0x30...0x39, 0x41...0x5a, 0x61...0x7a])
        case "Punct": CodePointSet([0x21...0x2f, 0x3a...0x40, 0x5b...0x60, 0x7b...0x7e])
        case "Graph": CodePointSet(0x21...0x7e)
        case "Print": CodePointSet(0x20...0x7e)
        case "Blank": CodePointSet([0x09...0x09, 0x20...0x20])
        case "Cntrl": CodePointSet([0...0x1f, 0x7f...0x7f])
        case "XDigit": CodePointSet([0x30...0x39, 0x41...0x46, 0x61...0x66])
        case "Space": space
        case "L1": CodePointSet(0...0xff)
        case "all": CodePointSet.all
        default: nil
        }
    }

    private static func binary(_ name: String) -> CodePointSet? {
        switch name.lowercased() {
        case "alphabetic", "alpha": scalar { $0.properties.isAlphabetic }
        case "ideographic": scalar { $0.properties.isIdeographic }
        case "letter": category { $0.isLetter }
        case "lowercase", "lower": scalar { $0.properties.isLowercase }
        case "uppercase", "upper": scalar { $0.properties.isUppercase }
        case "titlecase": category { $0 == .titlecaseLetter }
        case "white_space", "whitespace", "space": unicodeSpace
        case "control", "cntrl": category { $0 == .control }
        case "punctuation", "punct": category { $0.isPunctuation }
        case "hex_digit", "hexdigit", "xdigit": scalar { $0.properties.isHexDigit }
        case "digit": unicodeDigit
        case "alnum": unicodeDigit.union(scalar { $0.properties.isAlphabetic })
        case "word": unicodeWord
        case "join_control", "joincontrol": scalar { $0.properties.isJoinControl }
        case "noncharacter_code_point", "noncharactercodepoint": scalar { $0.properties.isNoncharacterCodePoint }
        case "assigned": category { $0 != .unassigned }
        case "emoji": scalar { $0.properties.isEmoji }
        case "emoji_presentation": scalar { $0.properties.isEmojiPresentation }
        case "emoji_modifier": scalar { $0.properties.isEmojiModifier }
        case "emoji_modifier_base": scalar { $0.properties.isEmojiModifierBase }
        default: nil
        }
    }

    private static func java(_ name: String) -> CodePointSet? {
        switch name {
        case "LowerCase": scalar { $0.properties.isLowercase }
        case "UpperCase": scalar { $0.properties.isUppercase }
        case "Alphabetic": scalar { $0.properties.isAlphabetic }
        case "Ideographic": scalar { $0.properties.isIdeographic }
        case "TitleCase": category { $0 == .titlecaseLetter }
        case "Digit": unicodeDigit
        case "Defined": category { $0 != .unassigned }
        case "Letter": category { $0.isLetter }
        case "LetterOrDigit": category { $0.isLetter || $0 == .decimalNumber }
        case "SpaceChar": category { $0 == .spaceSeparator || $0 == .lineSeparator || $0 == .paragraphSeparator }
        case "Whitespace":
            // Java's own notion: no no-break blanks, but the file separators.
            scalar { scalar in
                switch scalar.value {
                case 0x09...0x0d, 0x1c...0x1f: return true
                case 0xa0, 0x2007, 0x202f: return false
                default:
                    let category = scalar.properties.generalCategory
                    return category == .spaceSeparator || category == .lineSeparator || category == .paragraphSeparator
                }
            }
        case "ISOControl": CodePointSet([0...0x1f, 0x7f...0x9f])
        case "Mirrored": scalar { $0.properties.isBidiMirrored }
        default: nil
        }
    }

    private static func generalCategory(_ name: String) -> CodePointSet? {
        let groups: [String: [Unicode.GeneralCategory]] = [
            "Lu": [.uppercaseLetter], "Ll": [.lowercaseLetter], "Lt": [.titlecaseLetter], "Lm": [.modifierLetter], "Lo": [.otherLetter],
            "Mn": [.nonspacingMark], "Me": [.enclosingMark], "Mc": [.spacingMark], "Nd": [.decimalNumber], "Nl": [.letterNumber],
            "No": [.otherNumber], "Zs": [.spaceSeparator], "Zl": [.lineSeparator], "Zp": [.paragraphSeparator], "Cc": [.control],
            "Cf": [.format], "Co": [.privateUse], "Cs": [.surrogate], "Cn": [.unassigned], "Pd": [.dashPunctuation],
            "Ps": [.openPunctuation], "Pe": [.closePunctuation], "Pc": [.connectorPunctuation], "Po": [.otherPunctuation],
            "Pi": [.initialPunctuation], "Pf": [.finalPunctuation], "Sm": [.mathSymbol], "Sc": [.currencySymbol],
            "Sk": [.modifierSymbol], "So": [.otherSymbol],
            "L": [.uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter],
            "LC": [.uppercaseLetter, .lowercaseLetter, .titlecaseLetter],
            "LD": [.uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber],
            "M": [.nonspacingMark, .enclosingMark, .spacingMark], "N": [.decimalNumber, .letterNumber, .otherNumber],
            "Z": [.spaceSeparator, .lineSeparator, .paragraphSeparator],
            "C": [.control, .format, .privateUse, .surrogate, .unassigned],
            "P": [
                .dashPunctuation, .openPunctuation, .closePunctuation, .connectorPunctuation, .otherPunctuation, .initialPunctuation,
                .finalPunctuation,
            ],
            "S": [.mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol],
        ]
        return groups[name].map { wanted in category { wanted.contains($0) } }
    }

    private static func scalar(_ rule: @escaping @Sendable (Unicode.Scalar) -> Bool) -> CodePointSet {
        CodePointSet { Unicode.Scalar($0).map(rule) ?? false }
    }

    private static func category(_ rule: @escaping @Sendable (Unicode.GeneralCategory) -> Bool) -> CodePointSet {
        scalar { rule($0.properties.generalCategory) }
    }

    private static func ranges(_ table: [String: [ClosedRange<UInt32>]], _ name: String) -> CodePointSet? {
        let key = name.lowercased().filter { $0 != "_" && $0 != " " && $0 != "-" }
        return table[key].map { CodePointSet($0) }
    }

    /// The main ranges of the scripts that occur in texts of business.
    private static let scripts: [String: [ClosedRange<UInt32>]] = [
        "latin": [
            0x41...0x5a, 0x61...0x7a, 0xaa...0xaa, 0xba...0xba, 0xc0...0xd6, 0xd8...0xf6, 0xf8...0x2b8, 0x2e0...0x2e4, 0x1d00...0x1d25,
            0x1d2c...0x1d5c, 0x1d62...0x1d65, 0x1d6b...0x1d77, 0x1d79...0x1dbe, 0x1e00...0x1eff, 0x2071...0x2071, 0x207f...0x207f,
            0x2090...0x209c, 0x212a...0x212b, 0x2132...0x2132, 0x214e...0x214e, 0x2160...0x2188, 0x2c60...0x2c7f, 0xa722...0xa787,
            0xa78b...0xa7ff, 0xab30...0xab5a, 0xab5c...0xab64, 0xfb00...0xfb06, 0xff21...0xff3a, 0xff41...0xff5a,
        ],
        "greek": [
            0x370...0x373, 0x375...0x377, 0x37a...0x37d, 0x37f...0x37f, 0x384...0x384, 0x386...0x386, 0x388...0x3e1, 0x3f0...0x3ff,
            0x1f00...0x1ffe, 0x2126...0x2126,
        ],
        "cyrillic": [0x400...0x484, 0x487...0x52f, 0x1c80...0x1c88, 0x1d2b...0x1d2b, 0x2de0...0x2dff, 0xa640...0xa69f],
        "armenian": [0x531...0x58f, 0xfb13...0xfb17], "hebrew": [0x591...0x5f4, 0xfb1d...0xfb4f],
        "arabic": [
            0x600...0x604, 0x606...0x60b, 0x60d...0x61a, 0x61c...0x61e, 0x620...0x63f, 0x641...0x64a, 0x656...0x66f, 0x671...0x6dc,
            0x6de...0x6ff, 0x750...0x77f, 0x8a0...0x8ff, 0xfb50...0xfdff, 0xfe70...0xfefc,
        ],
        "devanagari": [0x900...0x950, 0x955...0x963, 0x966...0x97f], "bengali": [0x980...0x9fe], "tamil": [0xb82...0xbfa],
        "telugu": [0xc00...0xc7f], "thai": [0xe01...0xe3a, 0xe40...0xe5b], "georgian": [0x10a0...0x10ff, 0x1c90...0x1cbf, 0x2d00...0x2d2d],
        "hangul": [0x1100...0x11ff, 0x302e...0x302f, 0x3131...0x318e, 0x3200...0x321e, 0x3260...0x327e, 0xa960...0xa97c, 0xac00...0xd7fb, 0xffa0...0xffdc],
        "hiragana": [0x3041...0x3096, 0x309d...0x309f, 0x1b001...0x1b11f], "katakana": [0x30a1...0x30fa, 0x30fd...0x30ff, 0x31f0...0x31ff, 0x32d0...0x32fe, 0x3300...0x3357, 0xff66...0xff6f, 0xff71...0xff9d],
        "han": [0x2e80...0x2fd5, 0x3005...0x3005, 0x3007...0x3007, 0x3021...0x3029, 0x3038...0x303b, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xf900...0xfad9, 0x20000...0x3134a],
    ]

    private static let blocks: [String: [ClosedRange<UInt32>]] = [
        "basiclatin": [0...0x7f], "latin1supplement": [0x80...0xff], "latinextendeda": [0x100...0x17f], "latinextendedb": [0x180...0x24f],
        "ipaextensions": [0x250...0x2af], "combiningdiacriticalmarks": [0x300...0x36f], "greek": [0x370...0x3ff],
        "greekandcoptic": [0x370...0x3ff], "cyrillic": [0x400...0x4ff], "armenian": [0x530...0x58f], "hebrew": [0x590...0x5ff],
        "arabic": [0x600...0x6ff], "devanagari": [0x900...0x97f], "thai": [0xe00...0xe7f], "latinextendedadditional": [0x1e00...0x1eff],
        "greekextended": [0x1f00...0x1fff], "generalpunctuation": [0x2000...0x206f], "currencysymbols": [0x20a0...0x20cf],
        "arrows": [0x2190...0x21ff], "mathematicaloperators": [0x2200...0x22ff], "hiragana": [0x3040...0x309f],
        "katakana": [0x30a0...0x30ff], "cjkunifiedideographs": [0x4e00...0x9fff], "hangulsyllables": [0xac00...0xd7af],
        "emoticons": [0x1f600...0x1f64f],
    ]
}

extension Unicode.GeneralCategory {
    fileprivate var isLetter: Bool {
        switch self {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    fileprivate var isPunctuation: Bool {
        switch self {
        case .dashPunctuation, .openPunctuation, .closePunctuation, .connectorPunctuation, .otherPunctuation, .initialPunctuation,
            .finalPunctuation:
            true
        default: false
        }
    }
}
