import MartletCore

/// The shape of the last object read, to read the next one with: names in the same places, values of the usual kinds.
///
/// Objects of one topic are mostly alike. Then a name is one comparison, and a value is stored by row without looking at a tree of targets. At
/// the first difference it gives the row up to `JSONReader`, which knows all of JSON and alone reports problems: like the fast reader of
/// DELIMITED it decides nothing, it is only fast (4 times for small events).
struct JSONHabit {
    private enum Code: UInt8 { case double, int32, int64, boolean, text, skip, general }

    private struct Step {
        var name: UnsafePointer<UInt8>
        var count: Int
        var code: Code
        var slot: ColumnAppender.Slot?
        /// Of a general step.
        var target: Int
    }

    let reader: JSONReader
    private var steps: [Step] = []
    private var targets: [JSONTarget] = []
    /// Targets that no name fills.
    private var missing: [JSONTarget] = []

    init(reader: JSONReader) { self.reader = reader }

    /// Takes over the object that `names` read last.
    mutating func learn(_ names: JSONNames, _ slots: [ColumnAppender.Slot]) {
        steps.removeAll(keepingCapacity: true)
        targets.removeAll(keepingCapacity: true)
        missing.removeAll(keepingCapacity: true)
        guard names.places <= names.seen.count else { return }
        var filled = [Bool](repeating: false, count: names.targets.count)
        for seen in names.seen[..<names.places] {
            var step = Step(name: seen.start, count: seen.count, code: .skip, slot: nil, target: -1)
            if seen.index >= 0, let target = names.targets[seen.index] {
                // Which of two names counts is for the other reader.
                if filled[seen.index] {
                    steps.removeAll()
                    return
                }
                filled[seen.index] = true
                step.slot = slots[seen.index]
                switch target.type {
                case .double: step.code = .double
                case .integer, .date: step.code = .int32
                case .bigint, .timestamp: step.code = .int64
                case .boolean: step.code = .boolean
                case .string: step.code = .text
                default:
                    step.code = .general
                    step.target = targets.count
                    targets.append(target)
                }
            }
            steps.append(step)
        }
        missing = names.targets.indices.compactMap { filled[$0] ? nil : names.targets[$0] }
    }

    /// Reads the object to the cells `row`; false if it is not as usual, whatever has been stored until then.
    func read(_ start: JSONScanner, row: Int) -> Bool {
        if steps.isEmpty { return false }
        var scanner = start
        let base = reader.base, end = scanner.end
        let tens = NumberScan.tens, integerTens = NumberScan.integerTens
        if !scanner.take(UInt8(ascii: "{")) { return false }
        let isRead = steps.withUnsafeBufferPointer { steps in
            var left = steps.count
            for step in steps {
                left &-= 1
                if scanner.peek() != 0x22 || end - scanner.p < step.count &+ 3 { return false }
                if !Self.isEqual(scanner.p + 1, step.name, step.count) || scanner.p[step.count &+ 1] != 0x22 { return false }
                scanner.p += step.count &+ 2
                if !scanner.take(UInt8(ascii: ":")) { return false }
                let first = scanner.peek()
                if first == UInt8(ascii: "n"), let slot = step.slot, step.code != .general {
                    if !scanner.word("null") { return false }
                    Self.storeNull(step.code, slot, row)
                } else {
                    switch step.code {
                    case .double:
                        let number = scanner.p
                        var value = 0.0
                        guard NumberScan.plainDouble(&scanner.p, &value, tens: tens, integerTens: integerTens), scanner.p[-1] != 0x2e,
                            !Self.hasLeadingZero(number)
                        else { return false }
                        step.slot.unsafelyUnwrapped.store(value, row)
                        step.slot.unsafelyUnwrapped.valid[row] = true
                    case .int32, .int64:
                        let number = scanner.p
                        guard let value = Self.integer(&scanner.p), !Self.hasLeadingZero(number) else { return false }
                        if step.code == .int32 {
                            guard let small = Int32(exactly: value) else { return false }
                            step.slot.unsafelyUnwrapped.store(small, row)
                        } else {
                            step.slot.unsafelyUnwrapped.store(value, row)
                        }
                        step.slot.unsafelyUnwrapped.valid[row] = true
                    case .boolean:
                        let isTrue = scanner.word("true")
                        if !isTrue, !scanner.word("false") { return false }
                        step.slot.unsafelyUnwrapped.store(isTrue, row)
                        step.slot.unsafelyUnwrapped.valid[row] = true
                    case .text:
                        guard first == 0x22, let text = scanner.string(), !text.isEscaped, text.isASCII || UTF8Check.isValid(text.bytes) else {
                            return false
                        }
                        step.slot.unsafelyUnwrapped.store(start: text.start - base, length: text.count, row)
                        step.slot.unsafelyUnwrapped.valid[row] = true
                    case .skip: if !scanner.skip() { return false }
                    case .general:
                        let target = targets[step.target]
                        target.appender.truncate(to: row)
                        target.appender.count = row
                        if reader.read(target, &scanner, depth: 1) != nil { return false }
                    }
                }
                // A number may have run into the bytes behind the record: then there is no closing brace either.
                if scanner.p >= end || !scanner.take(left > 0 ? UInt8(ascii: ",") : UInt8(ascii: "}")) { return false }
            }
            return true
        }
        if !isRead { return false }
        for target in missing {
            target.appender.appendNull(at: row)
        }
        return true
    }

    @inline(__always)
    private static func isEqual(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        var i = 0
        while i &+ 8 <= count {
            if NumberScan.word(a + i) != NumberScan.word(b + i) { return false }
            i &+= 8
        }
        if i == count { return true }
        // Both lie in the padded buffer; bytes that do not count are shifted out.
        return (NumberScan.word(a + i) ^ NumberScan.word(b + i)) &<< UInt64(truncatingIfNeeded: 64 &- 8 &* (count &- i)) == 0
    }

    /// `[-]digits`, at most 18.
    @inline(__always)
    private static func integer(_ p: inout UnsafePointer<UInt8>) -> Int64? {
        let negative = p.pointee == 0x2d
        if negative { p += 1 }
        let start = p
        var value: Int64 = 0, digit = p.pointee &- 0x30
        while digit < 10 {
            value = value &* 10 &+ Int64(digit)
            p += 1
            if p - start > 18 { return nil }
            digit = p.pointee &- 0x30
        }
        if p == start { return nil }
        return negative ? 0 &- value : value
    }

    @inline(__always)
    private static func hasLeadingZero(_ start: UnsafePointer<UInt8>) -> Bool {
        let first = start.pointee == 0x2d ? start + 1 : start
        return first.pointee == 0x30 && first[1] &- 0x30 < 10
    }

    @inline(__always)
    private static func storeNull(_ code: Code, _ slot: ColumnAppender.Slot, _ row: Int) {
        switch code {
        case .double: slot.store(0.0, row)
        case .int64: slot.store(Int64(0), row)
        case .int32: slot.store(Int32(0), row)
        case .boolean: slot.store(false, row)
        case .text: slot.store(start: 0, length: 0, row)
        case .skip, .general: return
        }
        slot.valid[row] = false
    }
}
