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
                    guard let part = found, part.kind != .null else {
                        out.appendNull()
                        continue
                    }
                    if part.isPlain {
                        out.append(part.start..<part.end)
                        continue
                    }
                }
                out.append(path.find(in: try FunctionTable.document(source.string(i))).flatMap(FunctionTable.content))
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
                        if value.kind == .null { values.appendNull() } else { values.append(value.start..<value.end) }
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
