import MartletCore

/// One case of a case file: statements, what goes in, and what has to come out.
struct ConformanceCase: Sendable {
    var name: String
    var properties: [(name: String, value: String)]
    var topics: [Topic]
    /// SQL in order, one statement an element.
    var statements: [String]
    var inputs: [Record]
    var outputs: [Record]
    var expectedException: ExpectedException?
    /// Sources and topics that must be there afterwards; null: not checked.
    var post: JSONValue
    /// What another engine reported after this case; null: nothing.
    var recorded: JSONValue

    /// A topic that exists before the first statement.
    struct Topic: Sendable {
        var name: String
        var partitions: Int32
        var keyFormat: String?
        var valueFormat: String?
        var keySchema: RegisteredText?
        var valueSchema: RegisteredText?
        /// Index of the CREATE statement whose columns tell the schema; with it, `…Schema` is what they came to, if that is known.
        var keySchemaStatement: Int?
        var valueSchemaStatement: Int?
    }

    struct RegisteredText: Sendable {
        var text: String
        var id: Int32?
        var references: [JSONValue]
        /// Not given as JSON: the text of a .proto file.
        var isText: Bool
    }

    struct Record: Sendable {
        var topic: String
        /// Nil: not compared.
        var timestamp: Int64?
        var key: JSONValue
        var value: JSONValue
        var window: Window?
        /// Nil: not compared.
        var headers: [Header]?
    }

    struct Window: Sendable, Equatable {
        var start: Int64
        var end: Int64
        var isSession: Bool
    }

    struct Header: Sendable, Equatable {
        var name: String
        /// Base64
        var value: String?
    }

    struct ExpectedException: Sendable {
        /// Class name without package; nil: any.
        var type: String?
        var message: String?
        var causeMessage: String?
    }

    init(_ json: JSONValue) throws(MartletError) {
        guard let name = json["name"]?.stringValue, let statements = json["statements"]?.arrayValue else {
            throw MartletError(.badRequest, "a case has a name and statements")
        }
        self.name = name
        self.statements = statements.compactMap(\.stringValue)
        properties = (json["properties"]?.objectValue?.members ?? []).map { ($0.name, $0.value.stringValue ?? $0.value.description) }
        topics = (json["topics"]?.arrayValue ?? []).compactMap { Topic($0) }
        inputs = (json["inputs"]?.arrayValue ?? []).compactMap { Record($0) }
        outputs = (json["outputs"]?.arrayValue ?? []).compactMap { Record($0) }
        if let expected = json["expectedException"], !expected.isNull {
            expectedException = ExpectedException(
                type: expected["type"]?.stringValue?.split(separator: ".").last.map { String($0) }, message: expected["message"]?.stringValue,
                causeMessage: expected["causeMessage"]?.stringValue)
        }
        post = json["post"] ?? .null
        recorded = json["recorded"] ?? .null
    }
}

extension ConformanceCase.Topic {
    fileprivate init?(_ json: JSONValue) {
        guard let name = json["name"]?.stringValue else { return nil }
        self.name = name
        partitions = json["partitions"]?.intValue.map { Int32($0) } ?? 4
        keyFormat = json["keyFormat"]?.stringValue
        valueFormat = json["valueFormat"]?.stringValue
        func schema(_ side: String) -> ConformanceCase.RegisteredText? {
            guard let schema = json["\(side)Schema"], !schema.isNull else { return nil }
            return ConformanceCase.RegisteredText(
                text: schema.stringValue ?? schema.description, id: json["\(side)SchemaId"]?.intValue.map { Int32($0) },
                references: json["\(side)SchemaReferences"]?.arrayValue ?? [], isText: schema.stringValue != nil)
        }
        keySchema = schema("key")
        valueSchema = schema("value")
        keySchemaStatement = json["keySchemaFromStatement"]?.intValue
        valueSchemaStatement = json["valueSchemaFromStatement"]?.intValue
    }
}

extension ConformanceCase.Record {
    fileprivate init?(_ json: JSONValue) {
        guard let topic = json["topic"]?.stringValue else { return nil }
        self.topic = topic
        timestamp = json["timestamp"]?.intValue.map { Int64($0) }
        key = json["key"] ?? .null
        value = json["value"] ?? .null
        if let window = json["window"], let start = window["start"]?.intValue, let end = window["end"]?.intValue {
            self.window = ConformanceCase.Window(start: Int64(start), end: Int64(end), isSession: window["type"]?.stringValue == "SESSION")
        }
        headers = json["headers"]?.arrayValue.map { list in
            list.map { ConformanceCase.Header(name: $0["KEY"]?.stringValue ?? "", value: $0["VALUE"]?.stringValue) }
        }
    }
}
