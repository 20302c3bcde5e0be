import MartletCore

/// JSON functions over a column of documents. What `JSONSkim` can walk over comes out as slices of the documents' own buffer; any other
/// document is read by `JSONValue`, which also says what is wrong with it.
enum JSONKernels {
    /// Texts under construction that are slices of a buffer, or new bytes behind it.
    private struct Slices {
        var column: BytesColumn

        init(_ source: BytesColumn) {
            column = BytesColumn(buffer: source.buffer)
        }

        mutating func append(_ part: JSONSkim.Part) {
            column.validity.append(true, count: column.starts.count)
            column.starts.append(UInt32(part.start))
            column.lengths.append(UInt32(part.end - part.start))
        }

        mutating func append(_ text: String?) { if let text { column.append(Array(text.utf8)) } else { column.appendNull() } }
    }

    private static func documents(_ call: KernelCall) -> BytesColumn { call.arguments[0].column.byteStrings }

    /// EXTRACTJSONFIELD
    static func extract(_ call: inout KernelCall) -> Column {
        let source = documents(call), paths = ArgumentColumn<String>(call.arguments[1])
        var out = Slices(source), known: (text: String, path: JSONPath)?
        for row in 0..<call.count {
            let i = call.arguments[0].index(row)
            guard source.validity.isValid(i), let text = paths[row] else {
                out.append(nil)
                continue
            }
            do {
                let path: JSONPath
                if let known, known.text == text { path = known.path } else { path = try JSONPath(text) }
                known = (text, path)
                var skim = JSONSkim(source, i)
                // Names in JSON may be written in several ways, which only matters beyond ASCII.
                if text.utf8.allSatisfy({ $0 < 0x80 }), let found = skim.find(path.steps[...]) {
                    guard let part = found, part.kind != .null else {
                        out.append(nil)
                        continue
                    }
                    if part.isPlain {
                        out.append(part)
                        continue
                    }
                }
                out.append(path.find(in: try FunctionTable.document(source.string(i))).flatMap(FunctionTable.content))
            } catch {
                call.fail(row, error)
                out.append(nil)
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
        var texts = Slices(source), offsets: [Int32] = [0], validity = Validity.allValid
        for row in 0..<call.count {
            let i = call.arguments[0].index(row)
            var isValid = source.validity.isValid(i)
            if isValid {
                var skim = JSONSkim(source, i)
                if let answer = fast(&skim) {
                    isValid = answer != nil
                    for part in answer ?? [] { texts.append(part) }
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
        var names = Slices(source), values = Slices(source), offsets: [Int32] = [0], validity = Validity.allValid
        for row in 0..<call.count {
            let i = call.arguments[0].index(row)
            var isValid = source.validity.isValid(i)
            if isValid {
                var skim = JSONSkim(source, i)
                if let answer = skim.members(), answer?.allSatisfy(\.value.isPlain) != false {
                    isValid = answer != nil
                    for (name, value) in answer ?? [] {
                        names.append(name)
                        if value.kind == .null { values.append(nil) } else { values.append(value) }
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
