import MartletCore

/// Walks over a JSON document without making anything of it: where its parts begin and end.
///
/// It decides nothing: at whatever it does not expect (mistakes, escapes, deep nesting) it gives up, and `JSONValue` reads the
/// document and reports what is wrong.
struct JSONSkim {
    enum Kind { case null, word, number, string, array, object }

    /// A value. `start ..< end` is its text, of a string without the quotes.
    struct Part {
        var kind: Kind
        var start: Int
        var end: Int
        /// The text is what `JSONValue` would print: no blanks.
        var isPlain: Bool
    }

    private let bytes: [UInt8]
    private var at: Int
    private let end: Int
    /// Blanks between tokens so far.
    private var oddities = 0
    private var depth = 0

    init(_ column: BytesColumn, _ row: Int) {
        let start = Int(column.starts[row])
        self.init(column.buffer, start..<start + Int(column.lengths[row]))
    }

    init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        at = range.lowerBound
        end = range.upperBound
    }

    // MARK: whole documents

    /// The document as one part; nil if it gives up.
    mutating func document() -> Part? {
        guard let part = value() else { return nil }
        return isAtEnd() ? part : nil
    }

    /// What a path finds: nil if it gives up, `.some(nil)` if there is nothing there. Of two members with one name the later counts.
    mutating func find(_ steps: ArraySlice<JSONPath.Step>) -> Part?? {
        guard let found = descend(steps) else { return nil }
        return isAtEnd() ? .some(found) : nil
    }

    /// The members of an object, in order: nil if it gives up, `.some(nil)` for any other document.
    mutating func members() -> [(name: Part, value: Part)]?? {
        blanks()
        guard at < end, bytes[at] == UInt8(ascii: "{") else { return document() == nil ? nil : .some(nil) }
        var out: [(name: Part, value: Part)] = []
        let isWhole = object { skim, name in
            guard let value = skim.value() else { return false }
            out.append((name, value))
            return true
        }
        return isWhole && isAtEnd() ? .some(out) : nil
    }

    /// The elements of an array: nil if it gives up, `.some(nil)` for any other document.
    mutating func elements() -> [Part]?? {
        blanks()
        guard at < end, bytes[at] == UInt8(ascii: "[") else { return document() == nil ? nil : .some(nil) }
        var out: [Part] = []
        let isWhole = array { skim, _ in
            guard let value = skim.value() else { return false }
            out.append(value)
            return true
        }
        return isWhole && isAtEnd() ? .some(out) : nil
    }

    /// The first byte that is no blank.
    var first: UInt8? {
        mutating get {
            blanks()
            oddities = 0
            return at < end ? bytes[at] : nil
        }
    }

    /// Visits the members of the object that begins here, until `body` says false; the whole object, nil if it gave up or was stopped.
    mutating func eachMember(_ body: (Part, Part) -> Bool) -> Part? {
        let start = at
        let isWhole = object { skim, name in
            guard let value = skim.value() else { return false }
            return body(name, value)
        }
        let whole = Part(kind: .object, start: start, end: at, isPlain: oddities == 0)
        return isWhole && isAtEnd() ? whole : nil
    }

    /// Visits the elements of the array that begins here, until `body` says false; false if it gave up or was stopped.
    mutating func eachElement(_ body: (Part) -> Bool) -> Bool {
        let isWhole = array { skim, _ in
            guard let value = skim.value() else { return false }
            return body(value)
        }
        return isWhole && isAtEnd()
    }

    private mutating func isAtEnd() -> Bool {
        blanks()
        return at == end
    }

    // MARK: values

    @inline(__always)
    private mutating func blanks() {
        while at < end, bytes[at] == 0x20 || bytes[at] == 0x0a || bytes[at] == 0x0d || bytes[at] == 0x09 {
            at &+= 1
            oddities &+= 1
        }
    }

    private mutating func descend(_ steps: ArraySlice<JSONPath.Step>) -> Part?? {
        guard let step = steps.first else { return value().map { .some($0) } }
        blanks()
        guard at < end else { return nil }
        var found: Part?
        let isWhole: Bool
        switch (step, bytes[at]) {
        case (.member(let name), UInt8(ascii: "{")):
            isWhole = object { skim, part in
                guard skim.bytes[part.start..<part.end].elementsEqual(name.utf8) else { return skim.value() != nil }
                guard let inner = skim.descend(steps.dropFirst()) else { return false }
                found = inner
                return true
            }
        case (.element(let wanted), UInt8(ascii: "[")):
            isWhole = array { skim, index in
                guard index == wanted else { return skim.value() != nil }
                guard let inner = skim.descend(steps.dropFirst()) else { return false }
                found = inner
                return true
            }
        // A name of an array, a number of an object.
        case (.member, UInt8(ascii: "[")), (.element, UInt8(ascii: "{")): return nil
        default: isWhole = value() != nil
        }
        return isWhole ? .some(found) : nil
    }

    private mutating func value() -> Part? {
        blanks()
        guard at < end else { return nil }
        let start = at, before = oddities
        switch bytes[at] {
        case UInt8(ascii: "\""): return string()
        case UInt8(ascii: "{"):
            guard object({ skim, _ in skim.value() != nil }) else { return nil }
            return Part(kind: .object, start: start, end: at, isPlain: oddities == before)
        case UInt8(ascii: "["):
            guard array({ skim, _ in skim.value() != nil }) else { return nil }
            return Part(kind: .array, start: start, end: at, isPlain: oddities == before)
        case UInt8(ascii: "t"): return word("true", .word)
        case UInt8(ascii: "f"): return word("false", .word)
        case UInt8(ascii: "n"): return word("null", .null)
        default: return number()
        }
    }

    private mutating func word(_ text: StaticString, _ kind: Kind) -> Part? {
        let start = at
        guard end - at >= text.utf8CodeUnitCount else { return nil }
        for i in 0..<text.utf8CodeUnitCount where bytes[at + i] != text.utf8Start[i] { return nil }
        at += text.utf8CodeUnitCount
        return Part(kind: kind, start: start, end: at, isPlain: true)
    }

    private mutating func number() -> Part? {
        let start = at
        func digits(_ skim: inout JSONSkim) -> Int {
            let from = skim.at
            while skim.at < skim.end, skim.bytes[skim.at] >= 0x30, skim.bytes[skim.at] <= 0x39 { skim.at &+= 1 }
            return skim.at - from
        }
        if bytes[at] == UInt8(ascii: "-") { at += 1 }
        let leadingZero = at < end && bytes[at] == 0x30
        let whole = digits(&self)
        if whole == 0 || (leadingZero && whole > 1) { return nil }
        if at < end, bytes[at] == UInt8(ascii: ".") {
            at += 1
            if digits(&self) == 0 { return nil }
        }
        if at < end, bytes[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            if at < end, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
            if digits(&self) == 0 { return nil }
        }
        return Part(kind: .number, start: start, end: at, isPlain: true)
    }

    /// Gives up at an escape: what is wrong with one is for `JSONValue` to say.
    private mutating func string() -> Part? {
        at &+= 1
        let start = at
        while at < end {
            let byte = bytes[at]
            if byte == UInt8(ascii: "\"") {
                at &+= 1
                return Part(kind: .string, start: start, end: at - 1, isPlain: true)
            }
            if byte == UInt8(ascii: "\\") || byte < 0x20 { return nil }
            at &+= 1
        }
        return nil
    }

    @inline(__always)
    private mutating func object(_ member: (inout JSONSkim, Part) -> Bool) -> Bool {
        depth += 1
        if depth > 100 { return false }
        at += 1
        blanks()
        if at < end, bytes[at] == UInt8(ascii: "}") {
            at += 1
            depth -= 1
            return true
        }
        while true {
            blanks()
            guard at < end, bytes[at] == UInt8(ascii: "\""), let name = string() else { return false }
            blanks()
            guard at < end, bytes[at] == UInt8(ascii: ":") else { return false }
            at += 1
            guard member(&self, name) else { return false }
            blanks()
            guard at < end else { return false }
            at += 1
            if bytes[at - 1] == UInt8(ascii: "}") { break }
            if bytes[at - 1] != UInt8(ascii: ",") { return false }
        }
        depth -= 1
        return true
    }

    @inline(__always)
    private mutating func array(_ element: (inout JSONSkim, Int) -> Bool) -> Bool {
        depth += 1
        if depth > 100 { return false }
        at += 1
        blanks()
        if at < end, bytes[at] == UInt8(ascii: "]") {
            at += 1
            depth -= 1
            return true
        }
        var index = 0
        while true {
            guard element(&self, index) else { return false }
            index += 1
            blanks()
            guard at < end else { return false }
            at += 1
            if bytes[at - 1] == UInt8(ascii: "]") { break }
            if bytes[at - 1] != UInt8(ascii: ",") { return false }
        }
        depth -= 1
        return true
    }
}
