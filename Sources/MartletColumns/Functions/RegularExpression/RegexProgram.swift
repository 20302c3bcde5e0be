/// A pattern as instructions for `RegexMatcher`.
///
/// | op | a, b, c |
/// |---|---|
/// | byte, literal | the byte; where the bytes lie in `literals` and how many |
/// | set, any | the set's number |
/// | loop | set, least, most: one character again and again (`mode` greedy, lazy or possessive) |
/// | split | go on at a; if that fails at b |
/// | save | the position goes to slot a |
/// | progress | fail unless the position has moved since it was saved in slot a |
/// | look | the part up to its `accept`, then go on at a; b: lengths' number for looking behind, -1 ahead; c: 1 if it must not match |
/// | atomic | the part up to its `accept` without a way back, then go on at a |
/// | reference | what group a matched; b: 1 ignoring case, 2 by Unicode |
final class RegexProgram: Sendable {
    enum Operation: UInt8, Sendable {
        case byte, literal, set, any, greedyLoop, lazyLoop, possessiveLoop, split, jump, save, progress, look, atomic, reference, assert, accept
    }

    struct Instruction: Sendable {
        var operation: Operation
        var a: Int32 = 0, b: Int32 = 0, c: Int32 = 0
    }

    let code: [Instruction]
    let literals: [UInt8]
    let sets: [CodePointSet]
    /// Two words a set: which ASCII characters are in it.
    let bits: [UInt64]
    let assertions: [RegexNode.Assertion]
    /// For looking behind: characters at least and at most.
    let spans: [(least: Int, most: Int)]
    /// Two a group, then one a loop.
    let slotCount: Int
    let groupSlots: Int
    /// Bytes with which a match can begin; nil where an empty one can.
    let firstBytes: [Bool]?
    /// The first byte of every match, if there is only one.
    let firstByte: UInt8?
    /// It can match at the beginning of the text only.
    let isAnchored: Bool

    init(_ root: RegexNode, groupCount: Int) throws(KernelFailure) {
        groupSlots = 2 * (groupCount + 1)
        var compiler = RegexCompiler(slotCount: groupSlots)
        try compiler.emit(root)
        compiler.add(.accept)
        (code, literals, sets, assertions, spans) = (compiler.code, compiler.literals, compiler.sets, compiler.assertions, compiler.spans)
        slotCount = compiler.slotCount
        bits = compiler.sets.flatMap { [$0.low, $0.high] }
        var first = FirstBytes()
        let canBeEmpty = first.add(root)
        firstBytes = canBeEmpty ? nil : first.bytes
        let only = first.bytes.indices.filter { first.bytes[$0] }
        firstByte = !canBeEmpty && only.count == 1 ? UInt8(only[0]) : nil
        isAnchored = Self.beginsAnchored(root)
    }

    private static func beginsAnchored(_ node: RegexNode) -> Bool {
        switch node {
        case .assertion(.textStart): true
        case .sequence(let parts): parts.first.map(beginsAnchored) ?? false
        case .group(let inner, _), .atomic(let inner): beginsAnchored(inner)
        case .choice(let parts): parts.allSatisfy(beginsAnchored)
        default: false
        }
    }

    /// The bytes with which a match of a node can begin.
    private struct FirstBytes {
        var bytes = [Bool](repeating: false, count: 256)

        /// Adds a node's; whether it can match nothing.
        mutating func add(_ node: RegexNode) -> Bool {
            switch node {
            case .empty, .look, .assertion, .reference:
                if case .reference = node { for i in bytes.indices { bytes[i] = true } }
                return true
            case .literal(let literal):
                bytes[Int(literal[0])] = true
                return false
            case .set(let set):
                for byte in UInt8(0)..<128 where set.containsASCII(byte) { bytes[Int(byte)] = true }
                if case .none = set.beyond { return false }
                for byte in 0xc2...0xf4 { bytes[byte] = true }
                return false
            case .sequence(let parts):
                for part in parts where !add(part) { return false }
                return true
            case .choice(let parts):
                var canBeEmpty = false
                for part in parts where add(part) { canBeEmpty = true }
                return canBeEmpty
            case .group(let inner, _), .atomic(let inner): return add(inner)
            case .loop(let inner, let least, let most, _):
                if most == 0 { return true }
                return add(inner) || least == 0
            }
        }
    }
}
