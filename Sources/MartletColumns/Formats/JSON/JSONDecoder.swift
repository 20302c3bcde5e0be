import MartletCore

#if canImport(Glibc)
    import Glibc
#endif

/// Reads JSON records straight into columns, with ksqlDB's leniency (SEMANTICS: surprises 16 and 26).
///
/// A field fills the column of its exact name, else the one of its upper-cased name; of two the exact one counts, of equal ones the last.
/// Numeric columns take numeric text too, fractions are cut off for INT and BIGINT, STRING takes anything. A column that is not wanted is still
/// converted, because what cannot be converted drops the record.
struct JSONDecoder: Sendable {
    let request: DecodeRequest
    let unwrapped: Bool
    /// 5 where the registry's magic and id come first.
    let headerBytes: Int

    func decode(_ slices: RecordSlices, errors: inout RowErrors) -> RecordDecoder.Decoded {
        let count = slices.count
        let extra = ExtraBytes(after: slices.buffer.count)
        let targets = request.fields.map { JSONTarget($0, capacity: count) }
        let outputs = request.outputs
        var selection = RowSelection(capacity: count)

        slices.buffer.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            let reader = JSONReader(base: base, extra: extra, hasSchemas: headerBytes > 0)
            // An unwanted STRING takes anything: it only has to be passed over.
            let names = JSONNames(
                targets.enumerated().map { i, target in
                    (request.fields[i].name, target.type == .string && outputs[i] == nil && !request.notNull.contains(i) ? nil : target)
                })
            let slots = targets.map(\.appender.slot)
            var habit = JSONHabit(reader: reader)
            for row in 0..<count {
                let length = Int(slices.lengths[row]), out = selection.count
                var isNull = length < 0
                if !isNull {
                    let start = base + Int(slices.starts[row])
                    if headerBytes > 0, length < headerBytes || start[0] != 0 {
                        errors.add(row: row, column: "", "expected magic byte 0 and a schema id")
                        continue
                    }
                    var scanner = JSONScanner(p: start + headerBytes, end: start + length)
                    if !habit.read(scanner, row: out) {
                        for target in targets {
                            target.appender.truncate(to: out)
                            target.appender.count = out
                        }
                        var problem: JSONReader.Problem?
                        if unwrapped, let only = targets.first {
                            problem = reader.read(only, &scanner, depth: 0)
                        } else if scanner.peek() == UInt8(ascii: "n"), scanner.word("null") {
                            isNull = true
                        } else {
                            problem = reader.object(names, row: out, &scanner, depth: 0)
                            if problem == nil { habit.learn(names, slots) }
                        }
                        if let problem {
                            if let name = problem.column ?? (unwrapped ? request.fields.first?.name : nil) {
                                errors.add(row: row, column: name, "column \(SQLType.quoted(name)): \(problem.reason)")
                            } else {
                                errors.add(row: row, column: "", "\(problem.reason)")
                            }
                            continue
                        }
                        for target in targets where target.appender.count == out { target.appender.appendNull() }
                    }
                } else {
                    for target in targets {
                        target.appender.appendNull(at: out)
                    }
                }
                if request.notNull.contains(where: { !slots[$0].valid[out] }) { continue }
                selection.keep(row, isNull: isNull)
            }
        }
        for target in targets {
            target.appender.truncate(to: selection.count)
            target.appender.count = selection.count
        }
        let joined = extra.joined(slices.buffer)
        return selection.decoded(request.output { targets[$0].appender.finish(joined) }, of: count)
    }
}

/// Where values of one column or nested part go.
final class JSONTarget {
    let type: SQLType
    let appender: ColumnAppender
    let children: [JSONTarget]
    /// Of a struct's fields.
    let names: JSONNames?
    let isAlternatives: Bool

    convenience init(_ field: Field, capacity: Int) { self.init(ColumnAppender(field.type, capacity: capacity)) }

    init(_ appender: ColumnAppender) {
        type = appender.type
        self.appender = appender
        isAlternatives = JSONSchemaTranslation.isAlternatives(appender.type)
        children = appender.children.map { JSONTarget($0) }
        if case .structure(let fields) = appender.type {
            names = JSONNames(zip(fields, children).map { ($0.name, $1) })
        } else {
            names = nil
        }
    }
}

/// Finds the target of a field name. Objects of one topic mostly have the same names in the same order: the name that came at this place in the
/// object before is tried first, by its bytes.
final class JSONNames {
    struct Seen {
        var start: UnsafePointer<UInt8>
        var count: Int
        var index: Int
        var isExact: Bool
    }

    private let exact: [[UInt8]]
    let targets: [JSONTarget?]
    /// By place in the object; the first `places` belong to the last one.
    private(set) var seen: [Seen] = []
    var places = 0
    /// By target: 0 not filled in this object, 1 by another case of its name, 2 by its name.
    var filled: [UInt8]

    init(_ fields: [(String, JSONTarget?)]) {
        exact = fields.map { Array($0.0.utf8) }
        targets = fields.map(\.1)
        filled = [UInt8](repeating: 0, count: fields.count)
    }

    func name(_ index: Int) -> String { String(decoding: exact[index], as: UTF8.self) }

    func reset() {
        for i in filled.indices { filled[i] = 0 }
    }

    /// Index of the target (−1: none) of the name that is the `place`th in its object.
    func find(_ name: JSONScanner.Text, place: Int) -> (index: Int, isExact: Bool) {
        if place < seen.count {
            let one = seen[place]
            if one.count == name.count, memcmp(one.start, name.start, name.count) == 0 { return (one.index, one.isExact) }
        }
        let unescaped = name.isEscaped ? JSONScanner.unescaped(name.bytes) : nil
        let bytes = unescaped ?? Array(name.bytes)
        var found = (index: -1, isExact: false)
        if let index = exact.firstIndex(of: bytes) {
            found = (index, true)
        } else {
            let upper = Array(String(decoding: bytes, as: UTF8.self).uppercased().utf8)
            if let index = exact.firstIndex(of: upper) { found = (index, false) }
        }
        let now = Seen(start: name.start, count: name.count, index: found.index, isExact: found.isExact)
        if place < seen.count {
            seen[place] = now
        } else if place == seen.count, place < 10_000 {
            seen.append(now)
        }
        return found
    }
}

struct JSONReader {
    struct Problem {
        var reason: StaticString
        var column: String?
    }

    static let malformed: StaticString = "malformed JSON"

    let base: UnsafePointer<UInt8>
    let extra: ExtraBytes
    /// JSON_SR: values are as Connect writes them, maps as lists of entries too.
    let hasSchemas: Bool

    /// Reads an object's fields to the cells `row` of the targets; targets that no field fills are left one short.
    func object(_ names: JSONNames, row: Int, _ scanner: inout JSONScanner, depth: Int) -> Problem? {
        let malformed = Problem(reason: Self.malformed)
        if !scanner.take(UInt8(ascii: "{")) { return Problem(reason: scanner.p == scanner.end ? "the record is empty" : "expected an object") }
        names.reset()
        names.places = 0
        if scanner.take(UInt8(ascii: "}")) { return nil }
        var place = 0
        repeat {
            guard scanner.peek() == UInt8(ascii: "\""), let name = scanner.string(), scanner.take(UInt8(ascii: ":")) else { return malformed }
            let (index, isExact) = names.find(name, place: place)
            place += 1
            guard index >= 0, let target = names.targets[index], isExact || names.filled[index] != 2 else {
                if !scanner.skip() { return malformed }
                continue
            }
            if names.filled[index] != 0 { target.appender.truncate(to: row) }
            names.filled[index] = isExact ? 2 : 1
            if var problem = read(target, &scanner, depth: depth + 1) {
                // Out of an inner object to the column at the top.
                problem.column = names.name(index)
                return problem
            }
        } while scanner.take(UInt8(ascii: ","))
        names.places = place
        return scanner.take(UInt8(ascii: "}")) ? nil : malformed
    }

    /// Reads one value into the next cell of `target`.
    func read(_ target: JSONTarget, _ scanner: inout JSONScanner, depth: Int) -> Problem? {
        let first = scanner.peek()
        if first == UInt8(ascii: "n") {
            if !scanner.word("null") { return Problem(reason: Self.malformed) }
            target.appender.appendNull()
            return nil
        }
        if depth > 200 { return Problem(reason: "the value is nested deeper than 200 levels") }
        let appender = target.appender
        switch target.type {
        case .double:
            if first != 0x22 {
                let start = scanner.p
                var value = 0.0
                if NumberScan.plainDouble(&scanner.p, &value, tens: NumberScan.tens, integerTens: NumberScan.integerTens),
                    scanner.p < scanner.end, scanner.p[-1] != 0x2e, scanner.p.pointee | 0x20 != UInt8(ascii: "e"),
                    !Self.hasLeadingZero(start)
                {
                    appender.append(value)
                    return nil
                }
                scanner.p = start
            }
            return number(&scanner, first, "expected a number or numeric text") { NumberScan.double($0) }.into(appender)
        case .integer:
            return integer(&scanner, first, Int32.self, "expected a number or the text of an INTEGER").into(appender)
        case .bigint:
            return integer(&scanner, first, Int64.self, "expected a number or the text of a BIGINT").into(appender)
        case .timestamp:
            return integer(&scanner, first, Int64.self, "expected a number of milliseconds since 1970-01-01").into(appender)
        case .date:
            return integer(&scanner, first, Int32.self, "expected a number of days since 1970-01-01").into(appender)
        case .time:
            let reason: StaticString = "expected a number of milliseconds from 0 to 86399999"
            switch integer(&scanner, first, Int64.self, reason) {
            case .value(let millis) where (0..<86_400_000).contains(millis):
                appender.append(Int32(millis))
                return nil
            case .value: return Problem(reason: reason)
            case .problem(let problem): return problem
            }
        case .decimal(let precision, let scale):
            return number(&scanner, first, "expected a number that fits the DECIMAL without rounding") {
                NumberScan.decimal($0, precision: precision, scale: scale)
            }.into(appender)
        case .boolean:
            if scanner.word("true") {
                appender.append(true)
            } else if scanner.word("false") {
                appender.append(false)
            } else {
                return Problem(reason: scanner.skip() ? "expected true or false" : Self.malformed)
            }
            return nil
        case .string: return string(appender, &scanner, first)
        case .bytes:
            guard first == 0x22 else { return Problem(reason: scanner.skip() ? "expected base64 text" : Self.malformed) }
            guard let text = scanner.string(), let plain = withPlain(text, { Base64.decode($0) }) else { return Problem(reason: Self.malformed) }
            guard let bytes = plain else { return Problem(reason: "expected base64 text") }
            appender.appendSlice(start: extra.keep(bytes), length: bytes.count)
            return nil
        case .array:
            guard first == UInt8(ascii: "[") else { return Problem(reason: scanner.skip() ? "expected an array" : Self.malformed) }
            scanner.p += 1
            if !scanner.take(UInt8(ascii: "]")) {
                repeat {
                    if let problem = read(target.children[0], &scanner, depth: depth + 1) { return problem }
                } while scanner.take(UInt8(ascii: ","))
                if !scanner.take(UInt8(ascii: "]")) { return Problem(reason: Self.malformed) }
            }
            appender.appendNested()
            return nil
        case .map:
            if hasSchemas, first == UInt8(ascii: "[") { return entries(target, &scanner, depth: depth) }
            guard first == UInt8(ascii: "{") else { return Problem(reason: scanner.skip() ? "expected an object" : Self.malformed) }
            scanner.p += 1
            if !scanner.take(UInt8(ascii: "}")) {
                repeat {
                    guard scanner.peek() == 0x22, let key = scanner.string(), keep(key, target.children[0].appender),
                        scanner.take(UInt8(ascii: ":"))
                    else { return Problem(reason: Self.malformed) }
                    if let problem = read(target.children[1], &scanner, depth: depth + 1) { return problem }
                } while scanner.take(UInt8(ascii: ","))
                if !scanner.take(UInt8(ascii: "}")) { return Problem(reason: Self.malformed) }
            }
            appender.appendNested()
            return nil
        case .structure:
            guard let names = target.names else { return Problem(reason: Self.malformed) }
            if hasSchemas, target.isAlternatives { return alternative(target, &scanner, first, depth: depth) }
            guard first == UInt8(ascii: "{") else { return Problem(reason: scanner.skip() ? "expected an object" : Self.malformed) }
            let row = appender.count
            if let problem = object(names, row: row, &scanner, depth: depth) { return problem }
            for child in target.children where child.appender.count == row { child.appender.appendNull() }
            appender.appendNested()
            return nil
        }
    }

    /// A map as a list of `{"key":…,"value":…}`, the two in any order.
    private func entries(_ target: JSONTarget, _ scanner: inout JSONScanner, depth: Int) -> Problem? {
        let malformed = Problem(reason: Self.malformed), shape = Problem(reason: "expected entries of a key and a value")
        scanner.p += 1
        if !scanner.take(UInt8(ascii: "]")) {
            repeat {
                guard scanner.take(UInt8(ascii: "{")) else { return shape }
                let count = target.children[0].appender.count
                repeat {
                    guard scanner.peek() == 0x22, let name = scanner.string(), scanner.take(UInt8(ascii: ":")) else { return malformed }
                    let place = name.bytes.elementsEqual("key".utf8) ? 0 : name.bytes.elementsEqual("value".utf8) ? 1 : -1
                    guard place >= 0, target.children[place].appender.count == count else { return shape }
                    if let problem = read(target.children[place], &scanner, depth: depth + 1) { return problem }
                } while scanner.take(UInt8(ascii: ","))
                guard scanner.take(UInt8(ascii: "}")) else { return malformed }
                for child in target.children where child.appender.count == count { child.appender.appendNull() }
            } while scanner.take(UInt8(ascii: ","))
            if !scanner.take(UInt8(ascii: "]")) { return malformed }
        }
        target.appender.appendNested()
        return nil
    }

    /// A value of a `oneOf` or `anyOf`: the first alternative of its kind takes it, an object the struct that has most of its names; the others are
    /// null.
    private func alternative(_ target: JSONTarget, _ scanner: inout JSONScanner, _ first: UInt8, depth: Int) -> Problem? {
        func suits(_ type: SQLType) -> Bool {
            switch type {
            case .integer, .bigint, .date, .time, .timestamp:
                var copy = scanner
                guard first == 0x2d || first &- 0x30 < 10, let digits = copy.number() else { return false }
                return NumberScan.integer(digits, as: Int64.self) != nil
            case .double, .decimal: return first == 0x2d || first &- 0x30 < 10
            case .boolean: return first == UInt8(ascii: "t") || first == UInt8(ascii: "f")
            case .string, .bytes: return first == 0x22
            case .array: return first == UInt8(ascii: "[")
            case .map: return first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
            case .structure: return false
            }
        }
        guard let chosen = target.children.firstIndex(where: { suits($0.type) }) ?? mostAlike(target, scanner, first) else {
            return Problem(reason: scanner.skip() ? "no alternative of the schema is of the value's kind" : Self.malformed)
        }
        if let problem = read(target.children[chosen], &scanner, depth: depth + 1) { return problem }
        for (i, child) in target.children.enumerated() where i != chosen { child.appender.appendNull() }
        target.appender.appendNested()
        return nil
    }

    /// Of a target's structs the first that shares most names with the object that begins here; nil if there is no struct, or no object.
    private func mostAlike(_ target: JSONTarget, _ scanner: JSONScanner, _ first: UInt8) -> Int? {
        guard first == UInt8(ascii: "{") else { return nil }
        var copy = scanner, names: [String] = []
        copy.p += 1
        if !copy.take(UInt8(ascii: "}")) {
            repeat {
                guard copy.peek() == 0x22, let name = copy.string(), copy.take(UInt8(ascii: ":")), copy.skip() else { return nil }
                names.append(String(decoding: name.bytes, as: UTF8.self))
            } while copy.take(UInt8(ascii: ","))
        }
        var best: (index: Int, shared: Int)?
        for (i, child) in target.children.enumerated() {
            guard case .structure(let fields) = child.type else { continue }
            let shared = fields.count { field in names.contains { field.name == $0 || field.name == $0.uppercased() } }
            if shared > best?.shared ?? -1 { best = (i, shared) }
        }
        return best?.index
    }

    private static func hasLeadingZero(_ start: UnsafePointer<UInt8>) -> Bool {
        let first = start.pointee == 0x2d ? start + 1 : start
        return first.pointee == 0x30 && first[1] &- 0x30 < 10
    }

    enum Found<T: BitwiseCopyable> {
        case value(T)
        case problem(Problem)

        @inline(__always)
        func into(_ appender: ColumnAppender) -> Problem? {
            switch self {
            case .value(let value):
                appender.append(value)
                return nil
            case .problem(let problem): return problem
            }
        }
    }

    /// A number, or text that is one.
    private func number<T: BitwiseCopyable>(
        _ scanner: inout JSONScanner, _ first: UInt8, _ reason: StaticString, _ read: (UnsafeBufferPointer<UInt8>) -> T?
    ) -> Found<T> {
        if first == 0x22 {
            guard let text = scanner.string(), let value = withPlain(text, read) else { return .problem(Problem(reason: Self.malformed)) }
            return value.map { .value($0) } ?? .problem(Problem(reason: reason))
        }
        if first == 0x2d || first &- 0x30 < 10 {
            guard let digits = scanner.number() else { return .problem(Problem(reason: Self.malformed)) }
            return read(digits).map { .value($0) } ?? .problem(Problem(reason: reason))
        }
        return .problem(Problem(reason: scanner.skip() ? reason : Self.malformed))
    }

    private func integer<T: FixedWidthInteger & BitwiseCopyable>(
        _ scanner: inout JSONScanner, _ first: UInt8, _: T.Type, _ reason: StaticString
    ) -> Found<T> {
        number(&scanner, first, reason) { digits in
            if let value = NumberScan.integer(digits, as: T.self) { return value }
            // Text must be an integer in range. Numbers are cut off after the point, and then to the type's bits, as Java's `intValue` does.
            return first == 0x22 ? nil : NumberScan.bigNumber(digits).flatMap { Self.truncated($0) }.map { T(truncatingIfNeeded: $0) }
        }
    }

    private static func truncated(_ number: NumberScan.BigNumber) -> Int64? {
        guard var digits = number.unscaled else { return nil }
        if number.exponent < 0 {
            digits = number.exponent < -38 ? 0 : digits / UInt128(Decimal128.powersOfTen[-number.exponent])
        }
        var low = Int64(truncatingIfNeeded: digits)
        // 10⁶⁴ is a multiple of 2⁶⁴: further factors change nothing.
        if number.exponent > 0 { for _ in 0..<min(number.exponent, 64) { low = low &* 10 } }
        return number.negative ? 0 &- low : low
    }

    /// Calls `body` with the text free of escapes; nil if an escape is malformed.
    @inline(__always)
    private func withPlain<R>(_ text: JSONScanner.Text, _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R? {
        if !text.isEscaped { return body(text.bytes) }
        guard let plain = JSONScanner.unescaped(text.bytes) else { return nil }
        return plain.withUnsafeBufferPointer(body)
    }

    /// Appends a string; false if an escape is malformed.
    @inline(__always)
    private func keep(_ text: JSONScanner.Text, _ appender: ColumnAppender) -> Bool {
        if !text.isEscaped, text.isASCII || UTF8Check.isValid(text.bytes) {
            appender.appendSlice(start: text.start - base, length: text.count)
            return true
        }
        guard let plain = withPlain(text, { UTF8Check.repaired($0) }) else { return false }
        appender.appendSlice(start: extra.keep(plain), length: plain.count)
        return true
    }

    /// A STRING column takes any value: text as it is, the rest as ksqlDB prints it.
    private func string(_ appender: ColumnAppender, _ scanner: inout JSONScanner, _ first: UInt8) -> Problem? {
        let malformed = Problem(reason: Self.malformed)
        if first == 0x22 {
            guard let text = scanner.string(), keep(text, appender) else { return malformed }
            return nil
        }
        let start = scanner.p
        guard scanner.skip() else { return malformed }
        let source = UnsafeBufferPointer(start: start, count: scanner.p - start)
        guard let value = try? JSONValue(parsing: Array(source)) else { return malformed }
        let text = Array(Self.text(value).utf8)
        appender.appendSlice(start: extra.keep(text), length: text.count)
        return nil
    }

    private static func text(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .number(let text): plain(text)
        case .string(let text): text
        case .array(let values): "[" + values.map(text).joined(separator: ", ") + "]"
        case .object: value.withUniqueNames.description
        }
    }

    /// Numbers in exponent form as `BigDecimal.toString` has them where that is plain.
    private static func plain(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 | 0x20 == UInt8(ascii: "e") }) else { return text }
        guard let value = Array(text.utf8).withUnsafeBufferPointer({ NumberScan.bigNumber($0) }), let digits = value.unscaled else { return text }
        let sign = value.negative ? "-" : "", all = String(digits)
        let adjusted = value.exponent + all.utf8.count - 1
        if value.exponent <= 0, adjusted >= -6 { return sign + Decimal128(unscaled: Int128(digits), scale: -value.exponent).description }
        let rest = all.dropFirst()
        return "\(sign)\(all.prefix(1))\(rest.isEmpty ? "" : "." + rest)E\(adjusted < 0 ? "" : "+")\(adjusted)"
    }
}

extension JSONValue {
    /// Of members with one name only the last, in the first one's place.
    fileprivate var withUniqueNames: JSONValue {
        switch self {
        case .object(let object):
            var out = JSONObject()
            for member in object.members { out[member.name] = member.value.withUniqueNames }
            return .object(out)
        case .array(let values): return .array(values.map(\.withUniqueNames))
        default: return self
        }
    }
}
