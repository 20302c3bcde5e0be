/// Runs a `RegexProgram` over UTF-8: tries what comes first and takes back what fails, with a stack of its own instead of recursion.
struct RegexMatcher {
    /// Where to go on after a failure, or (with a negative `pc`) what to put back.
    private struct Choice {
        var pc: Int32
        var at: Int32
        /// Loops: the position (greedy) or the rounds (lazy) at which it ends. Restoring: slot `a` had the value `at`.
        var a: Int32
        var kind: Kind
    }

    private enum Kind: UInt8 { case branch, greedyLoop, lazyLoop, restore }

    private let program: RegexProgram
    private var stack: [Choice] = []
    /// Byte positions of groups, start and end, -1 where a group has none; then what loops remember.
    private(set) var slots: [Int32]
    private var searchStart = 0
    private var stepsLeft = 0

    /// A text on which a pattern takes more steps than this fails, instead of holding up the stream: patterns can need exponentially many.
    static let stepCountMax = 20_000_000

    init(_ program: RegexProgram) {
        self.program = program
        slots = [Int32](repeating: -1, count: program.slotCount)
    }

    /// Bytes of group `i`'s part in the last match; nil if it took no part.
    func range(_ group: Int) -> Range<Int>? {
        let start = slots[2 * group], end = slots[2 * group + 1]
        return start < 0 || end < start ? nil : Int(start)..<Int(end)
    }

    /// Whether the whole text matches.
    mutating func matchesWhole(_ text: [UInt8]) throws(KernelFailure) -> Bool {
        var from = 0
        // A match at the beginning that ends elsewhere does not rule out one that ends at the end; only for the empty text is it the same.
        precondition(text.isEmpty, "asked for the empty text alone")
        return try find(text.span, &from, end: 0)
    }

    /// Finds the first match that begins at or after `from`; then `slots` has its groups and `from` is where the next search begins.
    mutating func find(_ text: Span<UInt8>, _ from: inout Int, end: Int, base: Int = 0) throws(KernelFailure) -> Bool {
        var start = from
        searchStart = from
        stepsLeft = Self.stepCountMax
        while start <= end {
            if program.isAnchored, start > base { break }
            if let only = program.firstByte {
                while start < end, text[start] != only { start &+= 1 }
                if start == end { break }
            } else if let first = program.firstBytes {
                while start < end, !first[Int(text[start])] { start &+= 1 }
                if start == end { break }
            }
            if let matchEnd = try match(text, at: start, base: base, end: end) {
                slots[0] = Int32(start)
                slots[1] = Int32(matchEnd)
                from = matchEnd > start ? matchEnd : start == end ? end + 1 : Self.after(text, start)
                return true
            }
            if start == end { break }
            start = Self.after(text, start)
        }
        from = end + 1
        return false
    }

    /// The position behind the character at `at`.
    @inline(__always) private static func after(_ text: Span<UInt8>, _ at: Int) -> Int {
        let byte = text[at]
        return at &+ (byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4)
    }

    @inline(__always) private static func before(_ text: Span<UInt8>, _ at: Int) -> Int {
        var i = at &- 1
        while i > 0, text[i] & 0xc0 == 0x80 { i &-= 1 }
        return i
    }

    private static func point(_ text: Span<UInt8>, _ at: Int) -> UInt32 {
        let a = UInt32(text[at])
        if a < 0x80 { return a }
        if a < 0xe0 { return (a & 0x1f) << 6 | UInt32(text[at + 1] & 0x3f) }
        if a < 0xf0 { return (a & 0x0f) << 12 | UInt32(text[at + 1] & 0x3f) << 6 | UInt32(text[at + 2] & 0x3f) }
        return (a & 0x07) << 18 | UInt32(text[at + 1] & 0x3f) << 12 | UInt32(text[at + 2] & 0x3f) << 6 | UInt32(text[at + 3] & 0x3f)
    }

    /// Whether the character at `at` is in a set.
    @inline(__always) private static func contains(_ program: RegexProgram, _ set: Int32, _ text: Span<UInt8>, _ at: Int) -> Bool {
        let byte = text[at]
        if byte >= 0x80 { return program.sets[Int(set)].contains(point(text, at)) }
        return program.bits[2 &* Int(set) &+ Int(byte &>> 6)] &>> UInt64(byte & 63) & 1 != 0
    }

    // MARK: matching

    private mutating func match(_ text: Span<UInt8>, at: Int, base: Int, end: Int) throws(KernelFailure) -> Int? {
        for i in slots.indices { slots[i] = -1 }
        stack.removeAll(keepingCapacity: true)
        return try run(text, pc: 0, at: at, base: base, end: end)
    }

    private mutating func set(_ slot: Int, _ value: Int) {
        stack.append(Choice(pc: -1, at: slots[slot], a: Int32(slot), kind: .restore))
        slots[slot] = Int32(value)
    }

    /// Forgets the ways back above `floor` but keeps what is to be put back.
    private mutating func commit(_ floor: Int) {
        var kept = floor
        for i in floor..<stack.count where stack[i].kind == .restore {
            stack[kept] = stack[i]
            kept += 1
        }
        stack.removeLast(stack.count - kept)
    }

    /// Takes back everything above `floor`.
    private mutating func rewind(_ floor: Int) {
        while stack.count > floor, let choice = stack.popLast() {
            if choice.kind == .restore { slots[Int(choice.a)] = choice.at }
        }
    }

    /// Runs from `pc` to an `accept`, which must be at `target` unless that is negative; the position there, or nil with everything taken back.
    private mutating func run(_ text: Span<UInt8>, pc from: Int, at start: Int, base: Int, end: Int, target: Int = -1) throws(KernelFailure) -> Int? {
        let program = self.program
        let floor = stack.count
        var pc = from, at = start
        while true {
            stepsLeft &-= 1
            if stepsLeft < 0 { throw KernelFailure("the regular expression needs too many steps on this text") }
            let instruction = program.code[pc]
            var isMatching: Bool
            switch instruction.operation {
            case .byte:
                isMatching = at < end && text[at] == UInt8(truncatingIfNeeded: instruction.a)
                at &+= 1
                pc &+= 1
            case .literal:
                let count = Int(instruction.b), first = Int(instruction.a)
                isMatching = count <= end &- at
                if isMatching {
                    for i in 0..<count where text[at &+ i] != program.literals[first &+ i] {
                        isMatching = false
                        break
                    }
                }
                at &+= count
                pc &+= 1
            case .set:
                isMatching = at < end && Self.contains(program, instruction.a, text, at)
                if isMatching { at = Self.after(text, at) }
                pc &+= 1
            case .any:
                isMatching = at < end
                if isMatching { at = Self.after(text, at) }
                pc &+= 1
            case .greedyLoop, .possessiveLoop:
                let set = instruction.a
                var count = 0, floorAt = at
                let least = Int(instruction.b), most = Int(instruction.c)
                while count < most, at < end, Self.contains(program, set, text, at) {
                    at = Self.after(text, at)
                    count &+= 1
                    if count == least { floorAt = at }
                }
                isMatching = count >= least
                pc &+= 1
                if isMatching, count > least, instruction.operation == .greedyLoop {
                    stack.append(Choice(pc: Int32(pc), at: Int32(at), a: Int32(floorAt), kind: .greedyLoop))
                }
            case .lazyLoop:
                let set = instruction.a
                var count = 0
                while count < instruction.b, at < end, Self.contains(program, set, text, at) {
                    at = Self.after(text, at)
                    count &+= 1
                }
                isMatching = count >= instruction.b
                if isMatching, instruction.c > instruction.b {
                    stack.append(Choice(pc: Int32(pc), at: Int32(at), a: instruction.c &- instruction.b, kind: .lazyLoop))
                }
                pc &+= 1
            case .split:
                stack.append(Choice(pc: instruction.b, at: Int32(at), a: 0, kind: .branch))
                pc = Int(instruction.a)
                isMatching = true
            case .jump:
                pc = Int(instruction.a)
                isMatching = true
            case .save:
                set(Int(instruction.a), at)
                pc &+= 1
                isMatching = true
            case .progress:
                pc = slots[Int(instruction.a)] == Int32(at) ? Int(instruction.b) : pc &+ 1
                isMatching = true
            case .look:
                let inner = stack.count
                let found: Bool
                if instruction.b < 0 {
                    found = try run(text, pc: pc + 1, at: at, base: base, end: end) != nil
                } else {
                    found = try looksBehind(text, pc: pc + 1, at: at, base: base, end: end, program.spans[Int(instruction.b)])
                }
                isMatching = found == (instruction.c == 0)
                if found, instruction.c == 0 { commit(inner) } else { rewind(inner) }
                pc = Int(instruction.a)
            case .atomic:
                let inner = stack.count
                if let matchEnd = try run(text, pc: pc + 1, at: at, base: base, end: end) {
                    commit(inner)
                    at = matchEnd
                    isMatching = true
                } else {
                    isMatching = false
                }
                pc = Int(instruction.a)
            case .reference:
                isMatching = refers(text, instruction, &at, end)
                pc &+= 1
            case .assert:
                isMatching = holds(program.assertions[Int(instruction.a)], text, at, base, end)
                pc &+= 1
            case .accept:
                if target < 0 || at == target { return at }
                isMatching = false
            }
            if isMatching { continue }

            // Back to the last place where something else can be tried.
            var isResumed = false
            while stack.count > floor {
                let top = stack.count &- 1
                let choice = stack[top]
                switch choice.kind {
                case .restore:
                    slots[Int(choice.a)] = choice.at
                    stack.removeLast()
                    continue
                case .branch:
                    stack.removeLast()
                    (pc, at) = (Int(choice.pc), Int(choice.at))
                case .greedyLoop:
                    // One character less.
                    at = Self.before(text, Int(choice.at))
                    pc = Int(choice.pc)
                    if at <= Int(choice.a) { stack.removeLast() } else { stack[top].at = Int32(at) }
                case .lazyLoop:
                    // One character more.
                    at = Int(choice.at)
                    guard at < end, Self.contains(program, program.code[Int(choice.pc)].a, text, at) else {
                        stack.removeLast()
                        continue
                    }
                    at = Self.after(text, at)
                    pc = Int(choice.pc) &+ 1
                    if choice.a <= 1 {
                        stack.removeLast()
                    } else {
                        stack[top].at = Int32(at)
                        if choice.a != Int32.max { stack[top].a = choice.a &- 1 }
                    }
                }
                isResumed = true
                break
            }
            if !isResumed { return nil }
        }
    }

    /// Whether the part matches so that it ends at `at`: the nearest beginning first.
    private mutating func looksBehind(
        _ text: Span<UInt8>, pc: Int, at: Int, base: Int, end: Int, _ span: (least: Int, most: Int)
    ) throws(KernelFailure) -> Bool {
        var start = at, count = 0
        while true {
            if count >= span.least {
                if try run(text, pc: pc, at: start, base: base, end: end, target: at) != nil { return true }
            }
            if count == span.most || start <= base { return false }
            start = Self.before(text, start)
            count += 1
        }
    }

    private func refers(_ text: Span<UInt8>, _ instruction: RegexProgram.Instruction, _ at: inout Int, _ end: Int) -> Bool {
        let slot = 2 * Int(instruction.a)
        guard slot + 1 < program.groupSlots, slots[slot] >= 0, slots[slot + 1] >= slots[slot] else { return false }
        var i = Int(slots[slot])
        let last = Int(slots[slot + 1])
        while i < last {
            guard at < end else { return false }
            let a = Self.point(text, i), b = Self.point(text, at)
            if a != b, instruction.b == 0 || !CodePointSet.cases(of: a, unicode: instruction.b == 2).contains(b) { return false }
            i = Self.after(text, i)
            at = Self.after(text, at)
        }
        return true
    }

    // MARK: assertions

    private func holds(_ assertion: RegexNode.Assertion, _ text: Span<UInt8>, _ at: Int, _ base: Int, _ end: Int) -> Bool {
        switch assertion {
        case .textStart: return at == base
        case .textEnd: return at == end
        case .searchStart: return at == searchStart
        case .lineStart: return at == base || (at < end && endsLine(text, at, base) && !(text[at] == 0x0a && text[at - 1] == 0x0d))
        case .unixLineStart: return at == base || (at < end && text[at - 1] == 0x0a)
        case .lineEnd: return at == end || beginsBreak(text, at, base, end)
        case .unixLineEnd: return at == end || text[at] == 0x0a
        case .unixTextEnd: return at == end || (at == end - 1 && text[at] == 0x0a)
        case .textEndBeforeBreak:
            if at == end { return true }
            guard end - at <= 3, beginsBreak(text, at, base, end) else { return false }
            let width = text[at] == 0x0d && at + 1 < end && text[at + 1] == 0x0a ? 2 : Self.after(text, at) - at
            return at + width == end
        case .wordBoundary: return isBoundary(text, at, base, end)
        case .notWordBoundary: return !isBoundary(text, at, base, end)
        }
    }

    private func endsLine(_ text: Span<UInt8>, _ at: Int, _ base: Int) -> Bool {
        RegexProperties.lineBreak.contains(Self.point(text, Self.before(text, at)))
    }

    /// A line feed behind a carriage return belongs to it.
    private func beginsBreak(_ text: Span<UInt8>, _ at: Int, _ base: Int, _ end: Int) -> Bool {
        RegexProperties.lineBreak.contains(Self.point(text, at)) && !(text[at] == 0x0a && at > base && text[at - 1] == 0x0d)
    }

    /// Words are `\w`: ASCII letters, digits and `_`.
    private func isBoundary(_ text: Span<UInt8>, _ at: Int, _ base: Int, _ end: Int) -> Bool {
        let before = at > base && text[at - 1] < 0x80 && RegexProperties.word.containsASCII(text[at - 1])
        let after = at < end && text[at] < 0x80 && RegexProperties.word.containsASCII(text[at])
        return before != after
    }
}
