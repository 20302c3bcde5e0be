import MartletCore
import Synchronization

/// REGEXP_EXTRACT and its kin over columns: what they find are slices of the text's own buffer.
enum RegexKernels {
    /// A compiled pattern for each row's text of it: once as long as the text stays the same.
    private struct Patterns {
        private let texts: BytesColumn
        private let argument: Value
        private var known: (row: Int, pattern: RegularExpression, matcher: RegexMatcher)?

        init(_ argument: Value) {
            self.argument = argument
            texts = argument.column.byteStrings
        }

        /// The pattern of a row; nil for null.
        mutating func with<R>(_ row: Int, _ body: (RegularExpression, inout RegexMatcher) throws(KernelFailure) -> R) throws(KernelFailure) -> R? {
            let i = argument.index(row)
            guard texts.validity.isValid(i) else { return nil }
            if let known, known.row == i || texts.slice(known.row) == texts.slice(i) {} else {
                let pattern = try RegularExpression.cached(texts.string(i))
                known = (i, pattern, RegexMatcher(pattern.program))
            }
            return try body(known!.pattern, &known!.matcher)
        }
    }

    /// REGEXP_EXTRACT(pattern, text[, group])
    static func extract(_ call: inout KernelCall) -> Column {
        let source = call.arguments[1].column.byteStrings
        var patterns = Patterns(call.arguments[0]), out = TextSlices(source)
        let groups = call.arguments.count > 2 ? ArgumentColumn<Int32>(call.arguments[2]) : nil
        for row in 0..<call.count {
            let i = call.arguments[1].index(row)
            guard source.validity.isValid(i), let group = groups.map({ $0[row] }) ?? 0 else {
                out.appendNull()
                continue
            }
            do throws(KernelFailure) {
                let found = try patterns.with(row) { (pattern, matcher) throws(KernelFailure) -> Range<Int>? in
                    guard group >= 0, Int(group) <= pattern.groupCount else { return nil }
                    var from = Int(source.starts[i])
                    let end = from + Int(source.lengths[i])
                    return try matcher.find(source.buffer.span, &from, end: end, base: from) ? matcher.range(Int(group)) : nil
                }
                out.append(found ?? nil)
            } catch {
                call.fail(row, error)
                out.appendNull()
            }
        }
        return .string(out.column)
    }

    /// Runs `body` for each row with a text and a pattern, which appends texts to the row's list; nil makes the row null.
    private static func lists(
        _ call: inout KernelCall, text: Int, pattern: Int,
        _ body: (Int, BytesColumn, Int, RegularExpression, inout RegexMatcher, inout TextSlices) throws(KernelFailure) -> Bool
    ) -> Column {
        let source = call.arguments[text].column.byteStrings
        var patterns = Patterns(call.arguments[pattern]), parts = TextSlices(source)
        var offsets: [Int32] = [0], validity = Validity.allValid
        for row in 0..<call.count {
            let i = call.arguments[text].index(row)
            var isValid = source.validity.isValid(i)
            let before = parts.column.count
            if isValid {
                do throws(KernelFailure) {
                    isValid = try patterns.with(row) { (pattern, matcher) throws(KernelFailure) -> Bool in
                        try body(row, source, i, pattern, &matcher, &parts)
                    } ?? false
                } catch {
                    call.fail(row, error)
                    isValid = false
                }
                if !isValid { parts.removeLast(parts.column.count - before) }
            }
            validity.append(isValid, count: row)
            offsets.append(Int32(parts.column.count))
        }
        return .array(ListColumn(offsets: offsets, elements: .string(parts.column), validity: validity))
    }

    /// REGEXP_EXTRACT_ALL(pattern, text[, group])
    static func extractAll(_ call: inout KernelCall) -> Column {
        let groups = call.arguments.count > 2 ? ArgumentColumn<Int32>(call.arguments[2]) : nil
        return lists(&call, text: 1, pattern: 0) { (row, source, i, pattern, matcher, parts) throws(KernelFailure) in
            guard let group = groups.map({ $0[row] }) ?? 0, group >= 0, Int(group) <= pattern.groupCount else { return false }
            let base = Int(source.starts[i]), end = base + Int(source.lengths[i])
            var from = base
            while try matcher.find(source.buffer.span, &from, end: end, base: base) { parts.append(matcher.range(Int(group))) }
            return true
        }
    }

    /// REGEXP_SPLIT_TO_ARRAY(text, pattern). A pattern that matches nothing as well splits between characters: no part is made before the first
    /// character, and empty parts at the end are left out.
    static func split(_ call: inout KernelCall) -> Column {
        lists(&call, text: 0, pattern: 1) { (_, source, i, pattern, matcher, parts) throws(KernelFailure) in
            let base = Int(source.starts[i]), end = base + Int(source.lengths[i])
            let first = parts.column.count
            var from = base, at = base
            while try matcher.find(source.buffer.span, &from, end: end, base: base) {
                guard let found = matcher.range(0) else { break }
                if pattern.matchesEmpty, found.isEmpty, found.lowerBound == base { continue }
                parts.append(at..<found.lowerBound)
                at = found.upperBound
            }
            parts.append(at..<end)
            if pattern.matchesEmpty, at > base {
                while parts.column.count > first, parts.column.lengths.last == 0 { parts.removeLast(1) }
            }
            return true
        }
    }

    /// REGEXP_REPLACE(text, pattern, replacement)
    static func replace(_ call: inout KernelCall) -> Column {
        let source = call.arguments[0].column.byteStrings, replacements = call.arguments[2].column.byteStrings
        var patterns = Patterns(call.arguments[1]), out = BytesColumn()
        var known: (row: Int, parts: RegexReplacement)?
        for row in 0..<call.count {
            let i = call.arguments[0].index(row), j = call.arguments[2].index(row)
            let start = out.buffer.count
            guard source.validity.isValid(i), replacements.validity.isValid(j) else {
                out.appendNull()
                continue
            }
            do throws(KernelFailure) {
                if let known, known.row == j || replacements.slice(known.row) == replacements.slice(j) {} else {
                    known = (j, RegexReplacement(replacements.slice(j)))
                }
                let isDone = try patterns.with(row) { (pattern, matcher) throws(KernelFailure) -> Bool in
                    let base = Int(source.starts[i]), end = base + Int(source.lengths[i])
                    var from = base, at = base
                    while try matcher.find(source.buffer.span, &from, end: end, base: base) {
                        guard let found = matcher.range(0) else { break }
                        out.buffer += source.buffer[at..<found.lowerBound]
                        try known!.parts.append(to: &out.buffer, pattern, matcher, source.buffer)
                        at = found.upperBound
                    }
                    out.buffer += source.buffer[at..<end]
                    return true
                }
                if isDone == nil { out.appendNull() } else { out.endRow(start) }
            } catch {
                call.fail(row, error)
                out.buffer.removeLast(out.buffer.count - start)
                out.appendNull()
            }
        }
        return .string(out)
    }
}

/// Java's replacement syntax: `$1`, `${name}`, and `\` before a character that stands for itself.
struct RegexReplacement {
    private enum Part {
        case bytes(Range<Int>)
        case group([UInt8])
        case name(String)
        case mistake(String)
    }

    private let bytes: [UInt8]
    private var parts: [Part] = []

    init(_ text: ArraySlice<UInt8>) {
        bytes = Array(text)
        var at = 0, start = 0
        func isDigit(_ i: Int) -> Bool { i < bytes.count && bytes[i] >= 0x30 && bytes[i] <= 0x39 }
        while at < bytes.count {
            guard bytes[at] == UInt8(ascii: "\\") || bytes[at] == UInt8(ascii: "$") else {
                at += 1
                continue
            }
            if start < at { parts.append(.bytes(start..<at)) }
            if bytes[at] == UInt8(ascii: "\\") {
                if at + 1 == bytes.count { parts.append(.mistake("character to be escaped is missing")) }
                // The character behind it is part of what follows.
                start = at + 1
                at += 2
                continue
            }
            var end = at + 1
            if end < bytes.count, bytes[end] == UInt8(ascii: "{") {
                let name = bytes[(end + 1)...].prefix { $0 != UInt8(ascii: "}") }
                if name.endIndex == bytes.count { parts.append(.mistake("named capturing group is missing trailing '}'")) }
                parts.append(.name(String(decoding: name, as: UTF8.self)))
                end = min(bytes.count, name.endIndex + 1)
            } else if isDigit(end) {
                while isDigit(end) { end += 1 }
                parts.append(.group(Array(bytes[(at + 1)..<end])))
            } else {
                parts.append(.mistake("illegal group reference"))
            }
            start = end
            at = end
        }
        if start < bytes.count { parts.append(.bytes(start..<bytes.count)) }
    }

    /// Appends what stands for a match.
    func append(to out: inout [UInt8], _ pattern: RegularExpression, _ matcher: RegexMatcher, _ text: [UInt8]) throws(KernelFailure) {
        for part in parts {
            switch part {
            case .bytes(let range): out += bytes[range]
            case .mistake(let reason): throw KernelFailure("a replacement: \(reason)")
            case .name(let name):
                guard let group = pattern.names[name] else { throw KernelFailure("no group with name <\(name)>") }
                if let range = matcher.range(group) { out += text[range] }
            case .group(let digits):
                // As many digits as name a group that is there; the others are text.
                var group = Int(digits[0] - 0x30), used = 1
                guard group <= pattern.groupCount else { throw KernelFailure("no group \(group)") }
                while used < digits.count, group * 10 + Int(digits[used] - 0x30) <= pattern.groupCount {
                    group = group * 10 + Int(digits[used] - 0x30)
                    used += 1
                }
                if let range = matcher.range(group) { out += text[range] }
                out += digits[used...]
            }
        }
    }
}

extension RegularExpression {
    /// The pattern of a text, from those that have been compiled lately.
    static func cached(_ pattern: String) throws(KernelFailure) -> RegularExpression {
        if let known = cache.withLock({ $0[pattern] }) { return known }
        let made = try RegularExpression(pattern)
        cache.withLock { cache in
            if cache.count >= 256 { cache.removeAll() }
            cache[pattern] = made
        }
        return made
    }

    private static let cache = Mutex<[String: RegularExpression]>([:])
}
