import MartletCore

/// A JSON Schema with the schemas it refers to: `$ref` to a place in itself (`#/definitions/x`, `#/$defs/x`), to another schema by the name of
/// the reference, or to a place in that.
struct JSONSchemaDocument: Sendable {
    /// A schema, and the document it stands in.
    struct Place {
        var value: JSONValue
        /// Name of the imported document; nil: the root.
        var document: String?
        /// What led here, if a reference did.
        var reference: String?

        func inner(_ value: JSONValue) -> Place { Place(value: value, document: document) }
    }

    let root: JSONValue
    private var imports: [String: JSONValue] = [:]

    init(parsing text: String, imports: [SchemaImport] = []) throws(MartletError) {
        func parsed(_ text: String) throws(MartletError) -> JSONValue {
            do {
                return try JSONValue(parsing: text)
            } catch {
                throw MartletError(.schemaInvalid, "a JSON schema is JSON", cause: error)
            }
        }
        root = try parsed(text)
        for one in imports { self.imports[one.name] = try parsed(one.text) }
    }

    /// The schema itself where `place` only refers to it; a reference that leads nowhere, or round in a ring, stays.
    func resolved(_ place: Place) -> Place {
        var out = place
        for _ in 0..<50 {
            guard let reference = out.value["$ref"]?.stringValue, let found = target(reference, in: out.document) else { return out }
            out = found
        }
        return out
    }

    /// The schema of an object's property, also if it is in a part of an `allOf`; nil: there is none.
    func property(_ name: String, of place: Place) -> Place? {
        parts(of: place).lazy.compactMap { part in part.value["properties"]?[name].map { part.inner($0) } }.first
    }

    /// The schema and the parts of its `allOf`, and theirs, each where its references lead; what contains itself comes once.
    func parts(of place: Place) -> [Place] {
        var out: [Place] = [], seen: Set<String> = []
        func add(_ given: Place, _ depth: Int) {
            let part = resolved(given)
            if depth > 20 || part.reference.map({ !seen.insert("\(part.document ?? "")|\($0)").inserted }) == true { return }
            out.append(part)
            for inner in part.value["allOf"]?.arrayValue ?? [] { add(part.inner(inner), depth + 1) }
        }
        add(place, 0)
        return out
    }

    /// The first reference that leads nowhere.
    var danglingReference: String? {
        func search(_ value: JSONValue, _ document: String?) -> String? {
            switch value {
            case .object(let object):
                if let reference = object["$ref"]?.stringValue, target(reference, in: document) == nil { return reference }
                // Values of these are data, not schemas.
                for member in object.members where !["enum", "const", "default", "examples"].contains(member.name) {
                    if let found = search(member.value, document) { return found }
                }
            case .array(let values):
                for one in values { if let found = search(one, document) { return found } }
            default: break
            }
            return nil
        }
        return search(root, nil)
    }

    private func target(_ reference: String, in document: String?) -> Place? {
        let parts = reference.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        var name = document
        if let file = parts.first, !file.isEmpty {
            // Names are compared as they are, then by their last part: a `$ref` may be relative to an `$id`.
            let whole = String(file)
            name = imports[whole] != nil ? whole : imports.keys.sorted().first { $0.split(separator: "/").last == file.split(separator: "/").last }
            if name == nil {
                guard root["$id"]?.stringValue == whole else { return nil }
            }
        }
        guard var value = name.map({ imports[$0] }) ?? root else { return nil }
        if parts.count == 2, !parts[1].isEmpty {
            guard parts[1].hasPrefix("/") else {
                // A plain name: an anchor.
                guard let found = anchored(String(parts[1]), in: value) else { return nil }
                return Place(value: found, document: name, reference: "\(name ?? "")#\(parts[1])")
            }
            for step in parts[1].dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
                let key = String(step).replacing("~1", with: "/").replacing("~0", with: "~")
                if let index = Int(key), let list = value.arrayValue, list.indices.contains(index) {
                    value = list[index]
                } else if let found = value[key] {
                    value = found
                } else {
                    return nil
                }
            }
        }
        return Place(value: value, document: name, reference: "\(name ?? "")#\(parts.count == 2 ? parts[1] : "")")
    }

    private func anchored(_ name: String, in value: JSONValue) -> JSONValue? {
        switch value {
        case .object(let object):
            if object["$anchor"]?.stringValue == name || object["$id"]?.stringValue == "#" + name { return value }
            return object.members.lazy.compactMap { anchored(name, in: $0.value) }.first
        case .array(let values): return values.lazy.compactMap { anchored(name, in: $0) }.first
        default: return nil
        }
    }

    static func allowsAll(_ schema: JSONValue) -> Bool {
        if schema == .bool(true) { return true }
        // Descriptions allow and forbid nothing.
        return schema.objectValue.map { $0.members.allSatisfy { ["title", "description", "default", "$id", "$schema", "$comment", "examples", "connect.index"].contains($0.name) } } ?? false
    }

    static func allowsNothing(_ schema: JSONValue) -> Bool {
        if schema == .bool(false) { return true }
        return schema.objectValue?.members.count == 1 && schema["not"].map { $0 == .object(JSONObject()) || $0 == .bool(true) } == true
    }
}
