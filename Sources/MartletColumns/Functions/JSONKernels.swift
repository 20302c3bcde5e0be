import MartletCore

/// JSON functions over a column of documents. What `JSONSkim` can walk over comes out as slices of the documents' own buffer; any other
/// document is read by `JSONValue`, which also says what is wrong with it.
enum JSONKernels {
    private static func documents(_ call: KernelCall) -> BytesColumn { call.arguments[0].column.byteStrings }

    /// EXTRACTJSONFIELD
    static func extract(_ call: inout KernelCall) -> Column {
        let source = documents(call), paths = ArgumentColumn<String>(call.arguments[1])
        var out = TextSlices(source), known: (text: String, path: JSONPath)?
        for row in 0..<call.count {
            let i = call.arguments[0].index(row)
            guard source.validity.isValid(i), let text = paths[row] else {
                out.appendNull()
                continue
            }
            do {
                let path: JSONPath
                if let known, known.text == text { path = known.path } else { path = try JSONPath(text) }
                known = (text, path)
                var skim = JSONSkim(source, i)
                // Names in JSON may be written in several ways, which only matters beyond ASCII.
                if text.utf8.allSatisfy({ $0 < 0x80 }), let found = skim.find(path.steps[...]) {
                    guard let part = found else {
                        out.appendNull()
                        continue
                    }
                    if part.isPlain {
                        out.append(part.start..<part.end)
                        continue
                    }
                }
                out.append(path.find(in: try FunctionTable.document(source.string(i))).map(FunctionTable.content))
            } catch {
                call.fail(row, error)
                out.appendNull()
            }
        }
        return .string(out.column)
    }

    /// Runs `fast`, which is nil where the skimming gives up, or else `slow` on each document that is not null; nil is null.
    private static func each<T: KernelResult>(
        _ call: inout KernelCall, _ fast: (inout JSONSkim) -> T??, _ slow: (JSONValue) -> T?
    ) -> Column {
        let source = documents(call), argument = call.arguments[0]
        return call.rows { row -> T? in
            let i = argument.index(row)
            guard source.validity.isValid(i) else { return nil }
            var skim = JSONSkim(source, i)
            if let answer = fast(&skim) { return answer }
            return slow(try FunctionTable.document(source.string(i)))
        }
    }

    static func arrayLength(_ call: inout KernelCall) -> Column {
        each(&call, { $0.elements().map { $0.map { Int32($0.count) } } }, { $0.arrayValue.map { Int32($0.count) } })
    }

    /// JSON_CONCAT: null if one of the documents is, or is none.
    static func concatenate(_ call: inout KernelCall) -> Column {
        let arguments = call.arguments.map { BytesArgument($0) }
        var joiner = JSONJoiner(arguments.map(\.column.buffer))
        return StringKernels.texts(&call) { (row, out) throws(KernelFailure) in
            joiner.begin()
            var isSkimmed = true
            for (i, argument) in arguments.enumerated() {
                guard let range = argument.range(row) else { return false }
                if isSkimmed { isSkimmed = joiner.take(i, range) }
            }
            if arguments.isEmpty { return false }
            if isSkimmed, joiner.write(to: &out) { return true }
            var values: [JSONValue] = []
            for argument in arguments { values.append(try FunctionTable.document(String(decoding: argument.slice(row) ?? [], as: UTF8.self))) }
            if values.allSatisfy({ $0.objectValue != nil }) {
                var merged = JSONObject()
                for member in values.flatMap({ $0.objectValue?.members ?? [] }) { merged[member.name] = member.value }
                out.append(contentsOf: JSONValue.object(merged).description.utf8)
            } else {
                out.append(contentsOf: JSONValue.array(values.flatMap { $0.arrayValue ?? [$0] }).description.utf8)
            }
            return true
        }
    }

    /// JSON_ARRAY_CONTAINS: false for what is no array, and for what is no JSON.
    static func arrayContains(_ call: inout KernelCall) -> Column {
        let source = documents(call), argument = call.arguments[0], value = call.arguments[1]
        var texts: BytesColumn?
        if case .string(let c) = value.column { texts = c }
        return .boolean(
            FixedColumn(
                (0..<call.count).map { row in
                    let i = argument.index(row), j = value.index(row)
                    guard source.validity.isValid(i) else { return false }
                    // The common case: a text among texts without escapes.
                    var skim = JSONSkim(source, i)
                    if let texts, texts.validity.isValid(j), let elements = skim.elements() {
                        let wanted = texts.slice(j)
                        return elements?.contains { $0.kind == .string && source.buffer[$0.start..<$0.end] == wanted } ?? false
                    }
                    guard let array = try? JSONValue(parsing: source.string(i)).arrayValue else { return false }
                    let wanted = value.boxed(row)
                    return array.contains { equal($0, wanted) }
                }))
    }

    private static func equal(_ json: JSONValue, _ value: SQLValue) -> Bool {
        switch (json, value) {
        case (.null, .null): return true
        case (.bool(let a), .boolean(let b)): return a == b
        case (.string(let a), .string(let b)): return a.utf8.elementsEqual(b.utf8)
        case (.number(let a), .integer(let b)): return Int32(a) == b
        case (.number(let a), .bigint(let b)): return Int64(a) == b
        case (.number(let a), .double(let b)): return Int64(a) == nil && Double(a) == b
        case (.number(let a), .decimal(let b)): return Decimal128(parsing: a).map { NestedKernels.equal(.decimal($0), .decimal(b)) } ?? false
        default: return false
        }
    }

    /// A null is no document.
    static func isDocument(_ call: inout KernelCall) -> Column {
        let source = documents(call)
        return .boolean(
            FixedColumn(
                (0..<call.count).map { row in
                    let i = call.arguments[0].index(row)
                    guard source.validity.isValid(i) else { return false }
                    var skim = JSONSkim(source, i)
                    return skim.document() != nil || (try? JSONValue(parsing: source.string(i))) != nil
                }))
    }

    /// JSON_KEYS and JSON_ITEMS: lists of texts; nil of `fast` where the skimming gives up or its slices are not the answer.
    private static func lists(
        _ call: inout KernelCall, _ fast: (inout JSONSkim) -> [JSONSkim.Part]??, _ slow: (JSONValue) -> [String]?
    ) -> Column {
        let source = documents(call)
        var texts = TextSlices(source), offsets: [Int32] = [0], validity = Validity.allValid
        for row in 0..<call.count {
            let i = call.arguments[0].index(row)
            var isValid = source.validity.isValid(i)
            if isValid {
                var skim = JSONSkim(source, i)
                if let answer = fast(&skim) {
                    isValid = answer != nil
                    for part in answer ?? [] { texts.append(part.start..<part.end) }
                } else {
                    do {
                        let answer = slow(try FunctionTable.document(source.string(i)))
                        isValid = answer != nil
                        for text in answer ?? [] { texts.append(text) }
                    } catch {
                        call.fail(row, error)
                        isValid = false
                    }
                }
            }
            validity.append(isValid, count: row)
            offsets.append(Int32(texts.column.count))
        }
        return .array(ListColumn(offsets: offsets, elements: .string(texts.column), validity: validity))
    }

    static func keys(_ call: inout KernelCall) -> Column {
        lists(&call, { $0.members().map { $0.map { $0.map(\.name) } } }, { $0.objectValue.map { $0.members.map(\.name) } })
    }

    static func items(_ call: inout KernelCall) -> Column {
        lists(
            &call,
            { skim in
                guard let elements = skim.elements() else { return nil }
                guard let elements else { return .some(nil) }
                if !elements.allSatisfy(\.isPlain) { return nil }
                // Elements that are strings keep their quotes.
                return .some(elements.map { $0.kind == .string ? JSONSkim.Part(kind: .string, start: $0.start - 1, end: $0.end + 1, isPlain: true) : $0 })
            }, { $0.arrayValue.map { $0.map(\.description) } })
    }

    static func records(_ call: inout KernelCall) -> Column {
        let source = documents(call)
        var names = TextSlices(source), values = TextSlices(source), offsets: [Int32] = [0], validity = Validity.allValid
        for row in 0..<call.count {
            let i = call.arguments[0].index(row)
            var isValid = source.validity.isValid(i)
            if isValid {
                var skim = JSONSkim(source, i)
                if let answer = skim.members(), answer?.allSatisfy(\.value.isPlain) != false {
                    isValid = answer != nil
                    for (name, value) in answer ?? [] {
                        names.append(name.start..<name.end)
                        values.append(value.start..<value.end)
                    }
                } else {
                    do {
                        let answer = try FunctionTable.document(source.string(i)).objectValue
                        isValid = answer != nil
                        for member in answer?.members ?? [] {
                            names.append(member.name)
                            values.append(FunctionTable.content(member.value))
                        }
                    } catch {
                        call.fail(row, error)
                        isValid = false
                    }
                }
            }
            validity.append(isValid, count: row)
            offsets.append(Int32(names.column.count))
        }
        return .map(MapColumn(offsets: offsets, keys: .string(names.column), values: .string(values.column), validity: validity))
    }
}

/// Joins documents whose parts can be taken as they stand: objects to one of all members, anything else to an array.
private struct JSONJoiner {
    private let buffers: [[UInt8]]
    private var members: [(document: Int, name: JSONSkim.Part, value: JSONSkim.Part)] = []
    private var elements: [(document: Int, value: JSONSkim.Part)] = []
    private var areObjects = true
    /// More members than this are compared by hashes, not each with each.
    private static let membersMax = 64

    init(_ buffers: [[UInt8]]) { self.buffers = buffers }

    mutating func begin() {
        members.removeAll(keepingCapacity: true)
        elements.removeAll(keepingCapacity: true)
        areObjects = true
    }

    /// One document more; false if its parts cannot be taken.
    mutating func take(_ document: Int, _ range: Range<Int>) -> Bool {
        var skim = JSONSkim(buffers[document], range)
        switch skim.first {
        case UInt8(ascii: "{"):
            // Beside an array it is an element, taken whole.
            guard let whole = skim.eachMember({ name, value in
                    if value.isPlain { put(document, name, value) }
                    return value.isPlain && members.count <= Self.membersMax
                })
            else { return false }
            elements.append((document, whole))
        case UInt8(ascii: "["):
            areObjects = false
            guard skim.eachElement({ value in
                    elements.append((document, value))
                    return value.isPlain
                })
            else { return false }
        default:
            areObjects = false
            guard let whole = skim.document(), whole.isPlain else { return false }
            elements.append((document, whole))
        }
        return true
    }

    /// Of two members with one name the later value counts, at the earlier place.
    private mutating func put(_ document: Int, _ name: JSONSkim.Part, _ value: JSONSkim.Part) {
        let bytes = buffers[document], count = name.end - name.start
        search: for i in members.indices where members[i].name.end - members[i].name.start == count {
            let other = buffers[members[i].document], start = members[i].name.start
            for k in 0..<count where other[start &+ k] != bytes[name.start &+ k] { continue search }
            members[i] = (document, name, value)
            return
        }
        members.append((document, name, value))
    }

    /// False, with nothing written, if an object that is an element cannot be taken whole.
    func write(to out: inout [UInt8]) -> Bool {
        func append(_ part: JSONSkim.Part, of document: Int) {
            let quote = part.kind == .string ? 1 : 0
            out += buffers[document][part.start - quote..<part.end + quote]
        }
        if areObjects {
            out.append(UInt8(ascii: "{"))
            for (i, member) in members.enumerated() {
                if i > 0 { out.append(UInt8(ascii: ",")) }
                out += buffers[member.document][member.name.start - 1..<member.name.end + 1]
                out.append(UInt8(ascii: ":"))
                append(member.value, of: member.document)
            }
            out.append(UInt8(ascii: "}"))
            return true
        }
        guard elements.allSatisfy(\.value.isPlain) else { return false }
        out.append(UInt8(ascii: "["))
        for (i, element) in elements.enumerated() {
            if i > 0 { out.append(UInt8(ascii: ",")) }
            append(element.value, of: element.document)
        }
        out.append(UInt8(ascii: "]"))
        return true
    }
}
