import MartletCore

/// What is known of a version of a model without loading it; the file beside its ONNX file.
///
/// ```
/// {"name":"FRAUD_SCORE","version":1,"source":"/home/me/fraud.onnx","sha256":"…","bytes":12345,"createdMs":…,
///  "input":[{"name":"V1","type":"DOUBLE"},…] or null, "output":… or null,
///  "signature":{"inputs":[…],"output":"DOUBLE"}}
/// ```
/// A type is its name; of nested ones an object: `{"array":"DOUBLE"}`, `{"map":["STRING","DOUBLE"]}`, `{"struct":[fields]}`.
public struct ModelManifest: Sendable, Hashable {
    public var name: String
    /// Counts from 1; a replaced model has the next one.
    public var version: Int
    /// The path that CREATE MODEL named.
    public var source: String
    /// Of the file, 64 hexadecimal digits.
    public var sha256: String
    public var bytes: Int
    /// Milliseconds since the epoch.
    public var createdMs: Int64
    /// The clauses of CREATE MODEL, nil if absent.
    public var input: [Field]?
    public var output: [Field]?
    public var signature: ModelSignature

    func encoded() -> [UInt8] {
        var out: [UInt8] = []
        let json: JSONValue = [
            "name": .string(name), "version": .int(version), "source": .string(source), "sha256": .string(sha256), "bytes": .int(bytes),
            "createdMs": .int(createdMs), "input": Self.json(input), "output": Self.json(output),
            "signature": ["inputs": Self.json(signature.inputs), "output": Self.json(signature.output)],
        ]
        json.write(to: &out)
        out.append(UInt8(ascii: "\n"))
        return out
    }

    init(
        name: String, version: Int, source: String, sha256: String, bytes: Int, createdMs: Int64, input: [Field]?, output: [Field]?,
        signature: ModelSignature
    ) {
        self.name = name
        self.version = version
        self.source = source
        self.sha256 = sha256
        self.bytes = bytes
        self.createdMs = createdMs
        self.input = input
        self.output = output
        self.signature = signature
    }

    /// - Throws: `.corruptRecord` with the path.
    init(parsing bytes: [UInt8], path: String) throws(MartletError) {
        let corrupt = MartletError(.corruptRecord, "model manifest \(path) is damaged")
        guard let json = try? JSONValue(parsing: bytes), let name = json["name"]?.stringValue, let version = json["version"]?.intValue,
            let source = json["source"]?.stringValue, let sha256 = json["sha256"]?.stringValue, let size = json["bytes"]?.intValue,
            let created = json["createdMs"]?.intValue, let inputs = Self.fields(json["signature"]?["inputs"]),
            let output = Self.type(json["signature"]?["output"])
        else { throw corrupt }
        func clause(_ json: JSONValue?) throws(MartletError) -> [Field]? {
            guard let json, !json.isNull else { return nil }
            guard let fields = Self.fields(json) else { throw corrupt }
            return fields
        }
        self.init(
            name: name, version: version, source: source, sha256: sha256, bytes: size, createdMs: Int64(created), input: try clause(json["input"]),
            output: try clause(json["output"]), signature: ModelSignature(inputs: inputs, output: output))
    }

    private static func json(_ fields: [Field]?) -> JSONValue {
        guard let fields else { return .null }
        return .array(fields.map { ["name": .string($0.name), "type": json($0.type)] })
    }

    private static func json(_ type: SQLType) -> JSONValue {
        switch type {
        case .array(let element): ["array": json(element)]
        case .map(let key, let value): ["map": [json(key), json(value)]]
        case .structure(let fields): ["struct": json(fields)]
        case .decimal(let precision, let scale): ["decimal": [.int(precision), .int(scale)]]
        default: .string(type.description)
        }
    }

    private static func fields(_ json: JSONValue?) -> [Field]? {
        guard let values = json?.arrayValue else { return nil }
        let fields = values.compactMap { value in value["name"]?.stringValue.flatMap { name in type(value["type"]).map { Field(name, $0) } } }
        return fields.count == values.count ? fields : nil
    }

    private static let simpleTypes: [SQLType] = [.boolean, .integer, .bigint, .double, .string, .bytes, .date, .time, .timestamp]

    private static func type(_ json: JSONValue?) -> SQLType? {
        guard let json else { return nil }
        if let name = json.stringValue { return simpleTypes.first { $0.description == name } }
        if let element = json["array"] { return type(element).map { .array($0) } }
        if let pair = json["map"]?.arrayValue, pair.count == 2, let key = type(pair[0]), let value = type(pair[1]) { return .map(key: key, value: value) }
        if let parts = json["struct"] { return fields(parts).map { .structure($0) } }
        if let pair = json["decimal"]?.arrayValue, pair.count == 2, let precision = pair[0].intValue, let scale = pair[1].intValue {
            return .decimal(precision: precision, scale: scale)
        }
        return nil
    }
}
