/// A regular expression over the whole of a name: topics that a consumer subscribes to, transactional ids to list. Kafka's is RE2; this is the
/// part of it that names need: literals, `.`, classes, groups, `|`, `*`, `+`, `?`, `{m,n}`, `^`, `$`, `\d`, `\w`, `\s`.
///
/// All alternatives are followed at once (Thompson's construction), so that no pattern, however hostile, takes longer than the name's length
/// times the pattern's.
struct NamePattern: Sendable, Hashable {
    let text: String
    private let steps: [Step]

    private enum Step: Sendable, Hashable {
        case scalar(ScalarClass)
        case split(Int, Int)
        case jump(Int)
        case atStart, atEnd
        case end
    }

    struct ScalarClass: Sendable, Hashable {
        var ranges: [ClosedRange<UInt32>]
        var isNegated = false

        func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.contains(scalar) } != isNegated }

        static let any = ScalarClass(ranges: [10...10], isNegated: true)
    }

    private static let stepsMax = 5_000
    private static let repeatsMax = 1_000

    /// Throws INVALID_REGULAR_EXPRESSION with what is wrong.
    init(_ text: String) throws(KafkaError) {
        self.text = text
        var parser = Parser(scalars: text.unicodeScalars.map(\.value), text: text)
        let tree = try parser.alternatives()
        if parser.at < parser.scalars.count { throw parser.refused("has a ) without its (") }
        var steps: [Step] = []
        try Self.emit(tree, into: &steps, text)
        steps.append(.end)
        self.steps = steps
    }

    func matches(_ name: String) -> Bool {
        let scalars = name.unicodeScalars.map(\.value)
        var current: [Int] = [], isIn = [Bool](repeating: false, count: steps.count)
        follow(0, 0, scalars.count, &current, &isIn)
        for (position, scalar) in scalars.enumerated() {
            var next: [Int] = []
            isIn = [Bool](repeating: false, count: steps.count)
            for at in current {
                if case .scalar(let scalarClass) = steps[at], scalarClass.contains(scalar) {
                    follow(at + 1, position + 1, scalars.count, &next, &isIn)
                }
            }
            current = next
            if current.isEmpty { return false }
        }
        return current.contains { steps[$0] == .end }
    }

    /// Adds all steps that can be reached without a scalar.
    private func follow(_ first: Int, _ position: Int, _ count: Int, _ list: inout [Int], _ isIn: inout [Bool]) {
        var open = [first]
        while let at = open.popLast() {
            if isIn[at] { continue }
            isIn[at] = true
            switch steps[at] {
            case .scalar, .end: list.append(at)
            case .jump(let target): open.append(target)
            case .split(let first, let second): open += [second, first]
            case .atStart: if position == 0 { open.append(at + 1) }
            case .atEnd: if position == count { open.append(at + 1) }
            }
        }
    }

    // MARK: Syntax

    fileprivate indirect enum Tree {
        case nothing
        case scalar(ScalarClass)
        case atStart, atEnd
        case sequence([Tree])
        case either([Tree])
        case repeated(Tree, least: Int, most: Int?)
    }

    private static func emit(_ tree: Tree, into steps: inout [Step], _ text: String) throws(KafkaError) {
        guard steps.count < stepsMax else { throw KafkaError(.invalidRegularExpression, "the pattern \(text.prefix(80)) is too large") }
        switch tree {
        case .nothing: break
        case .scalar(let scalarClass): steps.append(.scalar(scalarClass))
        case .atStart: steps.append(.atStart)
        case .atEnd: steps.append(.atEnd)
        case .sequence(let parts): for part in parts { try emit(part, into: &steps, text) }
        case .either(let parts):
            var jumps: [Int] = []
            for (number, part) in parts.enumerated() {
                if number == parts.count - 1 {
                    try emit(part, into: &steps, text)
                } else {
                    let split = steps.count
                    steps.append(.split(split + 1, 0))
                    try emit(part, into: &steps, text)
                    jumps.append(steps.count)
                    steps.append(.jump(0))
                    steps[split] = .split(split + 1, steps.count)
                }
            }
            for jump in jumps { steps[jump] = .jump(steps.count) }
        case .repeated(let part, let least, let most):
            for _ in 0..<least { try emit(part, into: &steps, text) }
            if let most {
                for _ in least..<max(least, most) {
                    let split = steps.count
                    steps.append(.split(split + 1, 0))
                    try emit(part, into: &steps, text)
                    steps[split] = .split(split + 1, steps.count)
                }
            } else {
                let split = steps.count
                steps.append(.split(split + 1, 0))
                try emit(part, into: &steps, text)
                steps.append(.jump(split))
                steps[split] = .split(split + 1, steps.count)
            }
        }
    }

    private struct Parser {
        let scalars: [UInt32]
        let text: String
        var at = 0
        private var depth = 0

        init(scalars: [UInt32], text: String) {
            self.scalars = scalars
            self.text = text
        }

        func refused(_ why: String) -> KafkaError { KafkaError(.invalidRegularExpression, "the pattern \(text.prefix(80)) \(why)") }

        private var next: UInt32? { at < scalars.count ? scalars[at] : nil }

        private mutating func take(_ character: Character) -> Bool {
            guard let scalar = character.unicodeScalars.first, next == scalar.value else { return false }
            at += 1
            return true
        }

        mutating func alternatives() throws(KafkaError) -> Tree {
            depth += 1
            defer { depth -= 1 }
            guard depth <= 100 else { throw refused("is nested too deeply") }
            var parts = [try sequence()]
            while take("|") { parts.append(try sequence()) }
            return parts.count == 1 ? parts[0] : .either(parts)
        }

        private mutating func sequence() throws(KafkaError) -> Tree {
            var parts: [Tree] = []
            while let scalar = next, scalar != UInt32(UInt8(ascii: "|")), scalar != UInt32(UInt8(ascii: ")")) {
                parts.append(try repetition(of: try atom()))
            }
            return parts.isEmpty ? .nothing : .sequence(parts)
        }

        private mutating func repetition(of atom: Tree) throws(KafkaError) -> Tree {
            var tree = atom
            while true {
                if take("*") {
                    tree = .repeated(tree, least: 0, most: nil)
                } else if take("+") {
                    tree = .repeated(tree, least: 1, most: nil)
                } else if take("?") {
                    tree = .repeated(tree, least: 0, most: 1)
                } else if take("{") {
                    let least = try number()
                    var most: Int? = least
                    if take(",") { most = next == UInt32(UInt8(ascii: "}")) ? nil : try number() }
                    guard take("}"), most.map({ $0 >= least }) ?? true else { throw refused("has a wrong {…}") }
                    tree = .repeated(tree, least: least, most: most)
                } else {
                    return tree
                }
                _ = take("?")  // whether as much or as little as possible: the same, for the whole name
            }
        }

        private mutating func number() throws(KafkaError) -> Int {
            var value = 0, digits = 0
            while let scalar = next, (48...57).contains(scalar) {
                value = value * 10 + Int(scalar - 48)
                digits += 1
                at += 1
                guard value <= NamePattern.repeatsMax else { throw refused("repeats more than \(NamePattern.repeatsMax) times") }
            }
            guard digits > 0 else { throw refused("has a wrong {…}") }
            return value
        }

        private mutating func atom() throws(KafkaError) -> Tree {
            if take("(") {
                if take("?") {
                    if take("P") || next == UInt32(UInt8(ascii: "<")) {
                        guard take("<") else { throw refused("has a (?…) that is not supported") }
                        while let scalar = next, scalar != UInt32(UInt8(ascii: ">")) {
                            guard scalar != 33, scalar != 61 else { throw refused("looks behind, which is not supported") }
                            at += 1
                        }
                        guard take(">") else { throw refused("has a (?…) that is not supported") }
                    } else if !take(":") {
                        throw refused("has a (?…) that is not supported")
                    }
                }
                let tree = try alternatives()
                guard take(")") else { throw refused("has a ( without its )") }
                return tree
            }
            if take("[") { return .scalar(try characterClass()) }
            if take(".") { return .scalar(.any) }
            if take("^") { return .atStart }
            if take("$") { return .atEnd }
            if take("\\") { return try escape() }
            guard let scalar = next else { throw refused("ends too early") }
            guard ![0x2a, 0x2b, 0x3f].contains(scalar) else { throw refused("repeats nothing") }
            at += 1
            return .scalar(ScalarClass(ranges: [scalar...scalar]))
        }

        private mutating func escape() throws(KafkaError) -> Tree {
            guard let scalar = next else { throw refused("ends with \\") }
            switch scalar {
            case UInt32(UInt8(ascii: "A")):
                at += 1
                return .atStart
            case UInt32(UInt8(ascii: "z")):
                at += 1
                return .atEnd
            case UInt32(UInt8(ascii: "Q")):
                at += 1
                var literal: [Tree] = []
                while let scalar = next {
                    if scalar == 0x5c, at + 1 < scalars.count, scalars[at + 1] == UInt32(UInt8(ascii: "E")) {
                        at += 2
                        return .sequence(literal)
                    }
                    literal.append(.scalar(ScalarClass(ranges: [scalar...scalar])))
                    at += 1
                }
                return .sequence(literal)
            default: return .scalar(try escapedClass())
            }
        }

        /// After a backslash: a class like \d, or the scalar itself.
        private mutating func escapedClass() throws(KafkaError) -> ScalarClass {
            guard let scalar = next else { throw refused("ends with \\") }
            at += 1
            let digits: [ClosedRange<UInt32>] = [48...57]
            let words: [ClosedRange<UInt32>] = [48...57, 65...90, 95...95, 97...122]
            let spaces: [ClosedRange<UInt32>] = [9...10, 12...13, 32...32]
            switch UnicodeScalar(scalar).map(Character.init) {
            case "d": return ScalarClass(ranges: digits)
            case "D": return ScalarClass(ranges: digits, isNegated: true)
            case "w": return ScalarClass(ranges: words)
            case "W": return ScalarClass(ranges: words, isNegated: true)
            case "s": return ScalarClass(ranges: spaces)
            case "S": return ScalarClass(ranges: spaces, isNegated: true)
            case "t": return ScalarClass(ranges: [9...9])
            case "n": return ScalarClass(ranges: [10...10])
            case "r": return ScalarClass(ranges: [13...13])
            default:
                guard !words[1].contains(scalar), !words[3].contains(scalar), !digits[0].contains(scalar) else {
                    throw refused("has an escape that is not supported")
                }
                return ScalarClass(ranges: [scalar...scalar])
            }
        }

        private mutating func characterClass() throws(KafkaError) -> ScalarClass {
            var made = ScalarClass(ranges: [])
            made.isNegated = take("^")
            var isFirst = true
            while let scalar = next, isFirst || scalar != UInt32(UInt8(ascii: "]")) {
                isFirst = false
                at += 1
                var low = scalar
                if scalar == 0x5c {
                    let escaped = try escapedClass()
                    guard !escaped.isNegated else { throw refused("has an escape that is not supported") }
                    guard let only = escaped.ranges.first, escaped.ranges.count == 1, only.count == 1 else {
                        made.ranges += escaped.ranges
                        continue
                    }
                    low = only.lowerBound
                } else if scalar == 0x5b, next == UInt32(UInt8(ascii: ":")) {
                    throw refused("has a [[:…:]] that is not supported")
                }
                guard next == UInt32(UInt8(ascii: "-")), at + 1 < scalars.count, scalars[at + 1] != UInt32(UInt8(ascii: "]")) else {
                    made.ranges.append(low...low)
                    continue
                }
                at += 1
                guard var high = next else { throw refused("has a [ without its ]") }
                at += 1
                if high == 0x5c {
                    guard let only = try escapedClass().ranges.first, only.count == 1 else { throw refused("has a wrong range in […]") }
                    high = only.lowerBound
                }
                guard low <= high else { throw refused("has a wrong range in […]") }
                made.ranges.append(low...high)
            }
            guard take("]") else { throw refused("has a [ without its ]") }
            return made
        }
    }
}
