import MartletCore

/// Whether documents of one JSON Schema are valid for another (Confluent, "JSON Schema Compatibility Rules").
///
/// What a reader's schema must not do is refuse a document that the writer's schema allows. Objects that allow further properties (the
/// default) are open: a property that the reader declares may have been there before, with any type, so that adding one is not safe.
public enum JSONSchemaCompatibility {
    /// The problems a reader with schema `reader` has with documents of `writer`; empty: it can read all of them.
    ///
    /// - Throws: `.schemaInvalid` for a text that is no JSON.
    public static func check(
        reader: String, writer: String, readerImports: [SchemaImport] = [], writerImports: [SchemaImport] = []
    ) throws(MartletError) -> [String] {
        let new = try JSONSchemaDocument(parsing: reader, imports: readerImports), old = try JSONSchemaDocument(parsing: writer, imports: writerImports)
        var checker = Checker(new: new, old: old)
        checker.check(.init(value: new.root), .init(value: old.root), path: "#")
        return checker.problems
    }

    /// - Throws: `.schemaInvalid` for a text that is no schema, or refers to what is not there.
    public static func checkValid(_ text: String, imports: [SchemaImport] = []) throws(MartletError) {
        let document = try JSONSchemaDocument(parsing: text, imports: imports)
        switch document.root {
        case .object, .bool: break
        default: throw MartletError(.schemaInvalid, "a JSON schema is an object, true or false")
        }
        if let reference = document.danglingReference { throw MartletError(.schemaInvalid, "JSON schema: reference \(reference) leads nowhere") }
    }

    private struct Checker {
        let new: JSONSchemaDocument
        let old: JSONSchemaDocument
        var problems: [String] = []
        /// Pairs of references under way or done: recursion ends at them.
        var seen: Set<String> = []

        private mutating func problem(_ kind: String, _ path: String, _ what: String) { problems.append("\(kind) \(path): \(what)") }

        private func isCompatible(_ a: JSONSchemaDocument.Place, _ b: JSONSchemaDocument.Place, path: String) -> Bool {
            var trial = self
            trial.problems = []
            trial.check(a, b, path: path)
            return trial.problems.isEmpty
        }

        mutating func check(_ newPlace: JSONSchemaDocument.Place, _ oldPlace: JSONSchemaDocument.Place, path: String) {
            let a = new.resolved(newPlace), b = old.resolved(oldPlace)
            if a.reference != nil || b.reference != nil {
                if !seen.insert("\(a.reference ?? path) \(b.reference ?? path)").inserted { return }
            }
            if JSONSchemaDocument.allowsAll(a.value) || JSONSchemaDocument.allowsNothing(b.value) { return }
            if JSONSchemaDocument.allowsNothing(a.value) { return problem("TYPE_NARROWED", path, "nothing is allowed any more") }
            if JSONSchemaDocument.allowsAll(b.value) { return problem("TYPE_NARROWED", path, "anything was allowed before") }
            if let sum = sum(a), let others = self.sum(b) {
                for one in others where !sum.contains(where: { isCompatible($0, one, path: path) }) {
                    return problem("SUM_TYPE_NARROWED", path, "not every type that was allowed still is")
                }
                return
            }
            if let sum = sum(a) {
                if !sum.contains(where: { isCompatible($0, b, path: path) }) { problem("COMBINED_TYPE_SUBSCHEMAS_CHANGED", path, "none of the types allows what was allowed before") }
                return
            }
            if let others = sum(b) {
                for one in others where !isCompatible(a, one, path: path) { return problem("SUM_TYPE_NARROWED", path, "not every type that was allowed still is") }
                return
            }
            if let product = a.value["allOf"]?.arrayValue {
                let others = b.value["allOf"]?.arrayValue ?? [b.value]
                for one in product where !others.contains(where: { isCompatible(a.inner(one), b.inner($0), path: path) }) {
                    return problem("PRODUCT_TYPE_EXTENDED", path, "a condition was added or narrowed")
                }
                return
            }
            if let others = b.value["allOf"]?.arrayValue {
                if !others.contains(where: { isCompatible(a, b.inner($0), path: path) }) { problem("PRODUCT_TYPE_EXTENDED", path, "no condition is as strict as before") }
                return
            }
            checkConstants(a.value, b.value, path: path)
            checkTypes(a, b, path: path)
        }

        /// The alternatives of a schema that has any; a list of types is one.
        private func sum(_ place: JSONSchemaDocument.Place) -> [JSONSchemaDocument.Place]? {
            if let branches = (place.value["oneOf"] ?? place.value["anyOf"])?.arrayValue { return branches.map { place.inner($0) } }
            guard let types = place.value["type"]?.arrayValue, types.count > 1, var object = place.value.objectValue else { return nil }
            return types.map { type in
                object["type"] = type
                return place.inner(.object(object))
            }
        }

        private mutating func checkConstants(_ a: JSONValue, _ b: JSONValue, path: String) {
            func allowed(_ schema: JSONValue) -> [JSONValue]? { schema["const"].map { [$0] } ?? schema["enum"]?.arrayValue }
            guard let new = allowed(a) else { return }
            guard let old = allowed(b) else { return problem("ENUM_ARRAY_NARROWED", path, "only certain values are allowed now") }
            let missing = old.filter { !new.contains($0) }
            if !missing.isEmpty { problem("ENUM_ARRAY_NARROWED", path, "no longer allowed: \(missing.map(\.description).joined(separator: ", "))") }
        }

        private func typeName(_ schema: JSONValue) -> String? {
            if let name = schema["type"]?.stringValue ?? schema["type"]?.arrayValue?.first?.stringValue { return name }
            if schema["properties"] != nil || schema["additionalProperties"] != nil || schema["required"] != nil { return "object" }
            return schema["items"] != nil ? "array" : nil
        }

        private mutating func checkTypes(_ a: JSONSchemaDocument.Place, _ b: JSONSchemaDocument.Place, path: String) {
            guard let new = typeName(a.value) else { return }
            guard let old = typeName(b.value) else {
                // Constants alone were allowed, and they have types of their own.
                if b.value["enum"] == nil, b.value["const"] == nil { problem("TYPE_NARROWED", path, "only \(new) is allowed now") }
                return
            }
            if new != old {
                if new == "number", old == "integer" { return checkNumbers(a.value, b.value, path: path) }
                return problem(new == "integer" && old == "number" ? "TYPE_NARROWED" : "TYPE_CHANGED", path, "\(old) became \(new)")
            }
            switch new {
            case "object": checkObject(a, b, path: path)
            case "array": checkArray(a, b, path: path)
            case "number", "integer": checkNumbers(a.value, b.value, path: path)
            case "string":
                checkBounds([("maxLength", true), ("minLength", false)], a.value, b.value, path: path)
                if let pattern = a.value["pattern"], pattern != b.value["pattern"] { problem("PATTERN_CHANGED", path, "texts have to look otherwise") }
            default: break
            }
        }

        /// - `bounds`: keywords, and whether they are upper bounds.
        private mutating func checkBounds(_ bounds: [(String, isUpper: Bool)], _ a: JSONValue, _ b: JSONValue, path: String) {
            for (keyword, isUpper) in bounds {
                guard let new = a[keyword]?.doubleValue else { continue }
                guard let old = b[keyword]?.doubleValue, isUpper ? new >= old : new <= old else {
                    problem("\(Self.shouted(keyword))_\(isUpper ? "DECREASED" : "INCREASED")", path, "\(keyword) is \(a[keyword]?.description ?? "") now")
                    continue
                }
            }
        }

        /// `maxLength` as `MAX_LENGTH`.
        private static func shouted(_ keyword: String) -> String {
            keyword.unicodeScalars.reduce(into: "") { $0 += ("A"..."Z").contains($1) ? "_\($1)" : "\($1)" }.uppercased()
        }

        private mutating func checkNumbers(_ a: JSONValue, _ b: JSONValue, path: String) {
            checkBounds([("maximum", true), ("minimum", false), ("exclusiveMaximum", true), ("exclusiveMinimum", false)], a, b, path: path)
            guard let new = a["multipleOf"]?.doubleValue else { return }
            guard let old = b["multipleOf"]?.doubleValue, (old / new).rounded() == old / new else {
                return problem("MULTIPLE_OF_CHANGED", path, "numbers have to be multiples of \(new)")
            }
        }

        // MARK: objects

        private enum Content {
            case open, closed
            case partly(JSONValue)
        }

        private func content(_ schema: JSONValue) -> Content {
            guard let further = schema["additionalProperties"], !JSONSchemaDocument.allowsAll(further) else { return .open }
            return JSONSchemaDocument.allowsNothing(further) ? .closed : .partly(further)
        }

        private mutating func checkObject(_ a: JSONSchemaDocument.Place, _ b: JSONSchemaDocument.Place, path: String) {
            let newProperties = a.value["properties"]?.objectValue ?? JSONObject(), oldProperties = b.value["properties"]?.objectValue ?? JSONObject()
            let newRequired = Set((a.value["required"]?.arrayValue ?? []).compactMap(\.stringValue))
            let oldRequired = Set((b.value["required"]?.arrayValue ?? []).compactMap(\.stringValue))
            for member in newProperties.members {
                let at = "\(path)/properties/\(member.name)"
                func isDefaulted() -> Bool { new.resolved(a.inner(member.value)).value["default"] != nil }
                if let old = oldProperties[member.name] {
                    check(a.inner(member.value), b.inner(old), path: at)
                    if newRequired.contains(member.name), !oldRequired.contains(member.name), !isDefaulted() {
                        problem("REQUIRED_ATTRIBUTE_ADDED", at, "the property is required now and has no default")
                    }
                    continue
                }
                switch content(b.value) {
                case .open:
                    if !JSONSchemaDocument.allowsAll(member.value) {
                        problem("PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", at, "documents may have had such a property of any type before")
                    }
                case .partly(let further):
                    if !isCompatible(a.inner(member.value), b.inner(further), path: at) {
                        problem("PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at, "further properties were of another type before")
                    }
                case .closed: break
                }
                if newRequired.contains(member.name), !isDefaulted() {
                    problem("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", at, "the new property is required and has no default")
                }
            }
            for member in oldProperties.members where newProperties[member.name] == nil {
                let at = "\(path)/properties/\(member.name)"
                switch content(a.value) {
                case .open: break
                case .closed:
                    if !JSONSchemaDocument.allowsNothing(member.value) { problem("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", at, "the property is not allowed any more") }
                case .partly(let further):
                    if !isCompatible(a.inner(further), b.inner(member.value), path: at) {
                        problem("PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at, "further properties are of another type")
                    }
                }
            }
            for name in newRequired.subtracting(oldRequired).sorted() where newProperties[name] == nil {
                problem("REQUIRED_ATTRIBUTE_ADDED", path, "property \(name) is required now")
            }
            switch (content(a.value), content(b.value)) {
            case (.open, _), (_, .closed): break
            case (.closed, _): problem("ADDITIONAL_PROPERTIES_REMOVED", path, "further properties are not allowed any more")
            case (.partly(let new), .partly(let old)): check(a.inner(new), b.inner(old), path: "\(path)/additionalProperties")
            case (.partly, .open): problem("ADDITIONAL_PROPERTIES_NARROWED", path, "further properties were of any type before")
            }
            checkBounds([("maxProperties", true), ("minProperties", false)], a.value, b.value, path: path)
            if let patterns = a.value["patternProperties"]?.objectValue {
                for member in patterns.members {
                    guard let old = b.value["patternProperties"]?[member.name] else {
                        problem("PATTERN_PROPERTY_ADDED", "\(path)/patternProperties", "properties like \(member.name) were not looked at before")
                        continue
                    }
                    check(a.inner(member.value), b.inner(old), path: "\(path)/patternProperties/\(member.name)")
                }
            }
        }

        // MARK: arrays

        private mutating func checkArray(_ a: JSONSchemaDocument.Place, _ b: JSONSchemaDocument.Place, path: String) {
            checkBounds([("maxItems", true), ("minItems", false)], a.value, b.value, path: path)
            if a.value["uniqueItems"]?.boolValue == true, b.value["uniqueItems"]?.boolValue != true {
                problem("UNIQUE_ITEMS_ADDED", path, "items have to be unique now")
            }
            func tuple(_ schema: JSONValue) -> [JSONValue] { schema["prefixItems"]?.arrayValue ?? schema["items"]?.arrayValue ?? [] }
            func rest(_ schema: JSONValue) -> JSONValue {
                if schema["items"]?.arrayValue != nil { return schema["additionalItems"] ?? .bool(true) }
                return schema["items"] ?? .bool(true)
            }
            let new = tuple(a.value), old = tuple(b.value)
            for index in 0..<max(new.count, old.count) {
                check(
                    a.inner(index < new.count ? new[index] : rest(a.value)), b.inner(index < old.count ? old[index] : rest(b.value)), path: "\(path)/items/\(index)")
            }
            check(a.inner(rest(a.value)), b.inner(rest(b.value)), path: "\(path)/items")
        }
    }
}
