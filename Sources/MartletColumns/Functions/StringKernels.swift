import MartletCore

/// A STRING or BYTES argument of a call as ranges of its buffer.
struct BytesArgument {
    let column: BytesColumn
    private let value: Value

    init(_ value: Value) {
        self.value = value
        column = value.column.byteStrings
    }

    /// The row's bytes; nil for null.
    @inline(__always) func range(_ row: Int) -> Range<Int>? {
        let i = value.index(row)
        guard column.validity.isValid(i) else { return nil }
        let start = Int(column.starts[i])
        return start..<start + Int(column.lengths[i])
    }

    func slice(_ row: Int) -> ArraySlice<UInt8>? { range(row).map { column.buffer[$0] } }
}

/// Something made of a text argument, again only where the text changes from row to row.
struct MadeOfText<T> {
    private let texts: BytesColumn
    private let argument: Value
    private let make: (String) throws(KernelFailure) -> T
    private var known: (row: Int, value: T)?

    init(_ argument: Value, _ make: @escaping (String) throws(KernelFailure) -> T) {
        self.argument = argument
        self.make = make
        texts = argument.column.byteStrings
    }

    /// Calls `body` with what the row's text makes; nil for null.
    mutating func with<R>(_ row: Int, _ body: (inout T) throws(KernelFailure) -> R) throws(KernelFailure) -> R? {
        let i = argument.index(row)
        guard texts.validity.isValid(i) else { return nil }
        if let known, known.row == i || texts.slice(known.row) == texts.slice(i) {} else { known = (i, try make(texts.string(i))) }
        return try body(&known!.value)
    }
}

/// String functions over columns. Positions count UTF-16 units, as Java's do; where everything is ASCII those are bytes.
enum StringKernels {
    @inline(__always) static func isASCII(_ buffer: [UInt8], _ range: Range<Int>) -> Bool {
        buffer.withUnsafeBufferPointer { bytes in
            var all: UInt8 = 0
            for i in range { all |= bytes[i] }
            return all < 0x80
        }
    }

    static func units(_ bytes: ArraySlice<UInt8>) -> [UInt16] { Array(String(decoding: bytes, as: UTF8.self).utf16) }

    /// A column of text that `body` appends row by row; false gives NULL.
    static func texts(_ call: inout KernelCall, isText: Bool = true, _ body: (Int, inout [UInt8]) throws(KernelFailure) -> Bool) -> Column {
        var out = BytesColumn()
        out.starts.reserveCapacity(call.count)
        out.lengths.reserveCapacity(call.count)
        for row in 0..<call.count {
            let start = out.buffer.count
            do throws(KernelFailure) {
                if try body(row, &out.buffer) {
                    out.endRow(start)
                    continue
                }
            } catch {
                call.fail(row, error)
            }
            out.buffer.removeLast(out.buffer.count - start)
            out.appendNull()
        }
        return isText ? .string(out) : .bytes(out)
    }

    // MARK: parts of the argument

    /// TRIM: what is left lies in the argument's buffer.
    static func trim(_ call: inout KernelCall) -> Column {
        let text = BytesArgument(call.arguments[0])
        var out = TextSlices(text.column)
        let buffer = text.column.buffer
        for row in 0..<call.count {
            guard let range = text.range(row) else {
                out.appendNull()
                continue
            }
            var (from, to) = (range.lowerBound, range.upperBound)
            while from < to, buffer[from] <= 0x20 { from += 1 }
            while to > from, buffer[to - 1] <= 0x20 { to -= 1 }
            out.append(from..<to)
        }
        return .string(out.column)
    }

    /// SUBSTRING of STRING or BYTES.
    static func substring(_ call: inout KernelCall, isText: Bool) -> Column {
        let text = BytesArgument(call.arguments[0]), positions = ArgumentColumn<Int32>(call.arguments[1])
        let lengths = call.arguments.count > 2 ? ArgumentColumn<Int32>(call.arguments[2]) : nil
        var out = TextSlices(text.column)
        for row in 0..<call.count {
            guard let range = text.range(row), let position = positions[row] else {
                out.appendNull()
                continue
            }
            var length: Int32?
            if let lengths {
                guard let given = lengths[row] else {
                    out.appendNull()
                    continue
                }
                length = given
            }
            if !isText || isASCII(text.column.buffer, range) {
                let (from, to) = FunctionTable.bounds(count: range.count, position, length)
                out.append(range.lowerBound + from..<range.lowerBound + to)
            } else {
                let all = units(text.column.buffer[range])
                let (from, to) = FunctionTable.bounds(count: all.count, position, length)
                out.append(String(decoding: all[from..<to], as: UTF16.self))
            }
        }
        return isText ? .string(out.column) : .bytes(out.column)
    }

    // MARK: letters

    /// UCASE and LCASE: one pass over ASCII, the full mappings of Unicode else.
    static func mapped(_ call: inout KernelCall, upper: Bool) -> Column {
        let text = BytesArgument(call.arguments[0])
        let first: UInt8 = upper ? 0x61 : 0x41
        return texts(&call) { (row, out) throws(KernelFailure) in
            guard let range = text.range(row) else { return false }
            if isASCII(text.column.buffer, range) {
                let start = out.count
                out += text.column.buffer[range]
                out.withUnsafeMutableBufferPointer { bytes in
                    for i in start..<bytes.count { bytes[i] ^= bytes[i] &- first < 26 ? 0x20 : 0 }
                }
            } else {
                let whole = String(decoding: text.column.buffer[range], as: UTF8.self)
                out += upper ? Array(whole.uppercased().utf8) : Array(lowercased(whole).utf8)
            }
            return true
        }
    }

    /// A sigma at the end of a word has a form of its own.
    private static func lowercased(_ text: String) -> String {
        let lower = text.lowercased()
        guard text.unicodeScalars.contains("\u{3a3}") else { return lower }
        let before = Array(text.unicodeScalars)
        var out = String.UnicodeScalarView()
        for (i, scalar) in before.enumerated() {
            if scalar == "\u{3a3}" {
                let follows = i > 0 && before[i - 1].properties.isCased, isLast = i + 1 == before.count || !before[i + 1].properties.isCased
                out.append(follows && isLast ? "\u{3c2}" : "\u{3c3}")
            } else {
                out.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
            }
        }
        return String(out)
    }

    /// INITCAP: words are separated by the white space of ASCII; what stands before the first word is dropped, and a first letter beyond U+FFFF stays
    /// as it is.
    static func initcap(_ call: inout KernelCall) -> Column {
        let text = BytesArgument(call.arguments[0])
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0d) }
        return texts(&call) { (row, out) throws(KernelFailure) in
            guard let range = text.range(row) else { return false }
            let buffer = text.column.buffer
            guard let start = range.first(where: { !isSpace(buffer[$0]) }) else { return true }
            let words = start..<range.upperBound
            var isFirst = true
            if isASCII(buffer, words) {
                for i in words {
                    let byte = buffer[i]
                    if isFirst { out.append(byte &- 0x61 < 26 ? byte ^ 0x20 : byte) } else { out.append(byte &- 0x41 < 26 ? byte ^ 0x20 : byte) }
                    isFirst = isSpace(byte)
                }
                return true
            }
            for scalar in lowercased(String(decoding: buffer[words], as: UTF8.self)).unicodeScalars {
                out.append(contentsOf: isFirst && scalar.value <= 0xffff ? Array(scalar.properties.uppercaseMapping.utf8) : Array(String(scalar).utf8))
                isFirst = scalar.value < 0x80 && isSpace(UInt8(scalar.value))
            }
            return true
        }
    }

    // MARK: searching

    /// INSTR(text, part[, position[, occurrence]]): 0 for a null text or part. Backwards, the part has to end at or before the position.
    static func instr(_ call: inout KernelCall) -> Column {
        let text = BytesArgument(call.arguments[0]), part = BytesArgument(call.arguments[1])
        let positions = call.arguments.count > 2 ? ArgumentColumn<Int32>(call.arguments[2]) : nil
        let occurrences = call.arguments.count > 3 ? ArgumentColumn<Int32>(call.arguments[3]) : nil
        return call.rows { row -> Int32? in
            var position: Int32 = 1, occurrence: Int32 = 1
            if let positions {
                guard let given = positions[row] else { return nil }
                position = given
            }
            if let occurrences {
                guard let given = occurrences[row] else { return nil }
                occurrence = given
            }
            guard let range = text.range(row), let wanted = part.range(row) else { return 0 }
            let a = text.column.buffer, b = part.column.buffer
            if isASCII(a, range) {
                return a.withUnsafeBufferPointer { a in
                    b.withUnsafeBufferPointer { b in
                        place(.init(rebasing: a[range]), .init(rebasing: b[wanted]), position, occurrence)
                    }
                }
            }
            let whole = units(a[range]), needle = units(b[wanted])
            return whole.withUnsafeBufferPointer { whole in needle.withUnsafeBufferPointer { place(whole, $0, position, occurrence) } }
        }
    }

    private static func place<T: Equatable>(
        _ text: UnsafeBufferPointer<T>, _ part: UnsafeBufferPointer<T>, _ position: Int32, _ occurrence: Int32
    ) -> Int32 {
        if position == 0 || occurrence < 1 || part.count > text.count || Int(position).magnitude > text.count { return 0 }
        // An empty part is found at once, wherever the search begins, for every occurrence.
        if part.isEmpty { return position > 0 ? position : Int32(text.count + 2) + position }
        func occurs(_ at: Int) -> Bool {
            for i in 0..<part.count where text[at &+ i] != part[i] { return false }
            return true
        }
        let last = text.count - part.count
        var left = occurrence
        var at = position > 0 ? Int(position) - 1 : text.count + Int(position) + 1 - part.count
        let step = position > 0 ? 1 : -1
        while at >= 0, at <= last {
            if occurs(at) {
                left -= 1
                if left == 0 { return Int32(at + 1) }
            }
            at += step
        }
        return 0
    }

    /// REPLACE: an empty part stands between all characters, and at both ends.
    static func replace(_ call: inout KernelCall) -> Column {
        let text = BytesArgument(call.arguments[0]), old = BytesArgument(call.arguments[1]), new = BytesArgument(call.arguments[2])
        return texts(&call) { (row, out) throws(KernelFailure) in
            guard let range = text.range(row), let part = old.slice(row), let replacement = new.slice(row) else { return false }
            let buffer = text.column.buffer
            if part.isEmpty {
                for i in range {
                    if buffer[i] & 0xc0 != 0x80 { out += replacement }
                    out.append(buffer[i])
                }
                out += replacement
                return true
            }
            var at = range.lowerBound
            while let found = FunctionTable.find(part, in: buffer[range], from: at) {
                out += buffer[at..<found]
                out += replacement
                at = found + part.count
            }
            out += buffer[at..<range.upperBound]
            return true
        }
    }

    /// FIELD: 0 for a null.
    static func field(_ call: inout KernelCall) -> Column {
        let arguments = call.arguments.map { BytesArgument($0) }
        return call.rows { row -> Int32? in
            guard let wanted = arguments[0].slice(row) else { return 0 }
            for i in 1..<max(1, arguments.count) where arguments[i].slice(row).map({ $0 == wanted }) == true { return Int32(i) }
            return 0
        }
    }

    /// ELT
    static func elt(_ call: inout KernelCall) -> Column {
        let numbers = ArgumentColumn<Int32>(call.arguments[0]), texts = call.arguments.dropFirst().map { BytesArgument($0) }
        return Self.texts(&call) { (row, out) throws(KernelFailure) in
            guard let number = numbers[row], number >= 1, Int(number) <= texts.count, let text = texts[Int(number) - 1].slice(row) else { return false }
            out += text
            return true
        }
    }

    // MARK: padding

    /// LPAD and RPAD of STRING or BYTES; null for a negative length or an empty padding.
    static func pad(_ call: inout KernelCall, left: Bool, isText: Bool) -> Column {
        let value = BytesArgument(call.arguments[0]), lengths = ArgumentColumn<Int32>(call.arguments[1]), padding = BytesArgument(call.arguments[2])
        return texts(&call, isText: isText) { (row, out) throws(KernelFailure) in
            guard let range = value.range(row), let length = lengths[row], let filler = padding.range(row), length >= 0, !filler.isEmpty else {
                return false
            }
            let wanted = Int(length), a = value.column.buffer, b = padding.column.buffer
            if !isText || (isASCII(a, range) && isASCII(b, filler)) {
                let kept = range.lowerBound..<range.lowerBound + min(wanted, range.count)
                if !left { out += a[kept] }
                var missing = wanted - kept.count
                while missing > 0 {
                    out += b[filler.lowerBound..<filler.lowerBound + min(missing, filler.count)]
                    missing -= filler.count
                }
                if left { out += a[kept] }
                return true
            }
            let units = units(a[range]), fill = Self.units(b[filler])
            let kept = Array(units.prefix(wanted)), filling = (0..<wanted - kept.count).map { fill[$0 % fill.count] }
            out += Array(String(decoding: left ? filling + kept : kept + filling, as: UTF16.self).utf8)
            return true
        }
    }

    // MARK: characters and maps

    /// What Java's escapes in a text stand for; nil unless the text begins with `\u` and is long enough for one.
    static func unescaped(_ text: String) throws(KernelFailure) -> String? {
        let bytes = Array(text.utf8)
        guard text.utf16.count >= 6, bytes.starts(with: "\\u".utf8) else { return nil }
        let source = Array(text.utf16)
        var units: [UInt16] = [], at = 0
        while at < source.count {
            guard source[at] == 0x5c, at + 1 < source.count else {
                units.append(source[at])
                at += 1
                continue
            }
            let next = source[at + 1]
            at += 2
            switch next {
            case 0x75:  // u, once or more, and a plus
                while at < source.count, source[at] == 0x75 { at += 1 }
                if at < source.count, source[at] == 0x2b { at += 1 }
                let digits = source[at..<min(at + 4, source.count)]
                guard digits.count == 4, let unit = UInt16(String(decoding: digits, as: UTF16.self), radix: 16), digits.first != 0x2b, digits.first != 0x2d
                else { throw KernelFailure("\\u is followed by four hexadecimal digits") }
                units.append(unit)
                at += 4
            case 0x62: units.append(0x08)
            case 0x6e: units.append(0x0a)
            case 0x74: units.append(0x09)
            case 0x66: units.append(0x0c)
            case 0x72: units.append(0x0d)
            case 0x30...0x37:
                var value = next - 0x30, count = 1
                while count < (next <= 0x33 ? 3 : 2), at < source.count, (0x30...0x37).contains(source[at]) {
                    value = value * 8 + source[at] - 0x30
                    at += 1
                    count += 1
                }
                units.append(value)
            default: units.append(next)
            }
        }
        return String(decoding: units, as: UTF16.self)
    }

    /// SPLIT_TO_MAP: of two entries with one key the later value counts, at the earlier place; an entry without the delimiter does not count. Null
    /// for delimiters that are empty or equal.
    static func splitToMap(_ call: inout KernelCall) -> Column {
        let text = BytesArgument(call.arguments[0]), entryDelimiter = BytesArgument(call.arguments[1]), valueDelimiter = BytesArgument(call.arguments[2])
        let buffer = text.column.buffer
        var keys: [Range<Int>] = [], values: [Range<Int>] = [], offsets: [Int32] = [0], validity = Validity.allValid
        for row in 0..<call.count {
            let first = keys.count
            var isValid = false
            if let range = text.range(row), let a = entryDelimiter.slice(row), let b = valueDelimiter.slice(row), !a.isEmpty, !b.isEmpty, a != b {
                isValid = true
                var at = range.lowerBound
                while at <= range.upperBound {
                    let end = FunctionTable.find(a, in: buffer[range], from: at) ?? range.upperBound
                    if let middle = FunctionTable.find(b, in: buffer[at..<end], from: at) {
                        let key = at..<middle, rest = middle + b.count
                        let value = rest..<(FunctionTable.find(b, in: buffer[rest..<end], from: rest) ?? end)
                        if let known = (first..<keys.count).first(where: { buffer[keys[$0]] == buffer[key] }) {
                            values[known] = value
                        } else {
                            keys.append(key)
                            values.append(value)
                        }
                    }
                    at = end + a.count
                }
            }
            validity.append(isValid, count: row)
            offsets.append(Int32(keys.count))
        }
        func slices(_ ranges: [Range<Int>]) -> Column {
            var out = TextSlices(text.column)
            for range in ranges { out.append(range) }
            return .string(out.column)
        }
        return .map(MapColumn(offsets: offsets, keys: slices(keys), values: slices(values), validity: validity))
    }
}
