import MartletCore

/// One durable change of the catalog: the statement, and what it looked up outside the catalog when it was first executed, so that a replay
/// means the same whatever the registry holds by then.
struct Command: Sendable {
    /// Statement text with its semicolon.
    var statement: String
    /// Session properties in force.
    var properties: [String: String]
    /// Number in the ids of queries.
    var number: Int
    /// Columns that came from registered schemas, by `subject`, side and schema id.
    var inferences: [Inference]

    struct Inference: Sendable {
        var subject: String
        var schemaID: Int?
        var side: String
        var columns: [(name: String, type: String)]
    }

    var json: JSONValue {
        [
            "version": 1, "statement": .string(statement), "number": .int(number),
            "properties": .object(JSONObject(properties.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) })),
            "inferences": .array(
                inferences.map { inference in
                    [
                        "subject": .string(inference.subject), "schemaId": inference.schemaID.map { .int($0) } ?? .null,
                        "side": .string(inference.side),
                        "columns": .array(inference.columns.map { .array([.string($0.name), .string($0.type)]) }),
                    ]
                }),
        ]
    }

    init(statement: String, properties: [String: String], number: Int, inferences: [Inference]) {
        self.statement = statement
        self.properties = properties
        self.number = number
        self.inferences = inferences
    }

    /// - Throws: `.incompatibleFormat` if the record is not a command of a version that this program knows.
    init(_ json: JSONValue) throws(MartletError) {
        guard json["version"]?.intValue == 1, let statement = json["statement"]?.stringValue, let number = json["number"]?.intValue else {
            throw MartletError(.incompatibleFormat, "a record of the command topic is not a command of version 1")
        }
        self.statement = statement
        self.number = number
        properties = [:]
        for member in json["properties"]?.objectValue?.members ?? [] { properties[member.name] = member.value.stringValue ?? "" }
        inferences = (json["inferences"]?.arrayValue ?? []).map { value in
            Inference(
                subject: value["subject"]?.stringValue ?? "", schemaID: value["schemaId"]?.intValue, side: value["side"]?.stringValue ?? "",
                columns: (value["columns"]?.arrayValue ?? []).compactMap { pair in
                    guard let pair = pair.arrayValue, pair.count == 2, let name = pair[0].stringValue, let type = pair[1].stringValue else { return nil }
                    return (name, type)
                })
        }
    }
}
