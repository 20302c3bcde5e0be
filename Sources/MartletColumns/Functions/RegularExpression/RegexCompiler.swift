/// Makes the instructions of a `RegexProgram`.
struct RegexCompiler {
    private(set) var code: [RegexProgram.Instruction] = []
    private(set) var literals: [UInt8] = []
    private(set) var sets: [CodePointSet] = []
    private(set) var assertions: [RegexNode.Assertion] = []
    private(set) var spans: [(least: Int, most: Int)] = []
    private(set) var slotCount: Int

    init(slotCount: Int) { self.slotCount = slotCount }

    @discardableResult
    mutating func add(_ operation: RegexProgram.Operation, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0) -> Int {
        code.append(RegexProgram.Instruction(operation: operation, a: Int32(clamping: a), b: Int32(clamping: b), c: Int32(clamping: c)))
        return code.count - 1
    }

    private mutating func number(_ set: CodePointSet) -> Int {
        sets.append(set)
        return sets.count - 1
    }

    mutating func emit(_ node: RegexNode) throws(KernelFailure) {
        if code.count > 200_000 { throw KernelFailure("a regular expression is too large") }
        switch node {
        case .empty: break
        case .literal(let bytes):
            if bytes.count == 1 {
                add(.byte, Int(bytes[0]))
            } else {
                add(.literal, literals.count, bytes.count)
                literals += bytes
            }
        case .set(let set):
            if case .all = set.beyond, set.low == ~0, set.high == ~0 { add(.any) } else { add(.set, number(set)) }
        case .sequence(let parts): for part in parts { try emit(part) }
        case .choice(let parts):
            var ends: [Int] = []
            for (i, part) in parts.enumerated() {
                if i == parts.count - 1 {
                    try emit(part)
                } else {
                    let split = add(.split)
                    code[split].a = Int32(code.count)
                    try emit(part)
                    ends.append(add(.jump))
                    code[split].b = Int32(code.count)
                }
            }
            for end in ends { code[end].a = Int32(code.count) }
        case .group(let inner, let index):
            add(.save, 2 * index)
            try emit(inner)
            add(.save, 2 * index + 1)
        case .loop(let inner, let least, let most, let mode): try loop(inner, least, most, mode)
        case .look(let inner, let isAhead, let isNegative):
            var span = -1
            if !isAhead {
                let length = inner.length
                spans.append((length.least, length.most ?? 0))
                span = spans.count - 1
            }
            let look = add(.look, 0, span, isNegative ? 1 : 0)
            try emit(inner)
            add(.accept)
            code[look].a = Int32(code.count)
        case .atomic(let inner): try atomic { program throws(KernelFailure) in try program.emit(inner) }
        case .reference(let group, let ignoresCase, let isUnicode): add(.reference, group, ignoresCase ? (isUnicode ? 2 : 1) : 0)
        case .assertion(let assertion):
            assertions.append(assertion)
            add(.assert, assertions.count - 1)
        }
    }

    private mutating func atomic(_ body: (inout RegexCompiler) throws(KernelFailure) -> Void) throws(KernelFailure) {
        let start = add(.atomic)
        try body(&self)
        add(.accept)
        code[start].a = Int32(code.count)
    }

    private mutating func loop(_ inner: RegexNode, _ least: Int, _ most: Int?, _ mode: RegexNode.Mode) throws(KernelFailure) {
        if let set = inner.single {
            let operation: RegexProgram.Operation =
                switch mode {
                case .greedy: .greedyLoop
                case .lazy: .lazyLoop
                case .possessive: .possessiveLoop
                }
            add(operation, number(set), least, most ?? Int(Int32.max))
            return
        }
        if mode == .possessive {
            try atomic { program throws(KernelFailure) in try program.loop(inner, least, most, .greedy) }
            return
        }
        let isGreedy = mode == .greedy
        func branch(_ split: Int, inside: Int, outside: Int) {
            code[split].a = Int32(isGreedy ? inside : outside)
            code[split].b = Int32(isGreedy ? outside : inside)
        }
        for _ in 0..<least { try emit(inner) }
        if let most {
            // (x(x(x)?)?)?
            var splits: [Int] = []
            for _ in least..<max(least, most) {
                splits.append(add(.split))
                try emit(inner)
            }
            for split in splits { branch(split, inside: split + 1, outside: code.count) }
            return
        }
        let slot = slotCount
        slotCount += 1
        let split = add(.split)
        let canBeEmpty = inner.length.least == 0
        if canBeEmpty { add(.save, slot) }
        try emit(inner)
        // A round that matched nothing is the last one.
        if canBeEmpty { add(.progress, slot, 0) }
        add(.jump, split)
        if canBeEmpty { code[code.count - 2].b = Int32(code.count) }
        branch(split, inside: split + 1, outside: code.count)
    }
}
