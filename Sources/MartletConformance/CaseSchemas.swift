import MartletColumns
import MartletCore
import MartletEngine
import MartletSQL

/// Puts into the registry what a case says is there before its first statement.
struct CaseSchemas {
    private let one: ConformanceCase
    private let registry: SchemaRegistry
    /// Against which the CREATE statements are understood that stand for a schema.
    private let context: AnalysisContext

    init(_ one: ConformanceCase, _ registry: SchemaRegistry, context: AnalysisContext) {
        self.one = one
        self.registry = registry
        self.context = context
    }

    /// Schemas with ids come first, then those that stand for the columns of a CREATE statement, then the others: ids are counted in that order.
    func register() throws(MartletError) {
        for round in 0..<3 {
            for topic in one.topics {
                for side in [Side.key, .value] {
                    let schema = side == .key ? topic.keySchema : topic.valueSchema
                    let statement = side == .key ? topic.keySchemaStatement : topic.valueSchemaStatement
                    guard round == (schema?.id != nil ? 0 : statement != nil ? 1 : 2) else { continue }
                    let subject = "\(topic.name)-\(side.rawValue)"
                    if let schema {
                        let format = side == .key ? topic.keyFormat : topic.valueFormat
                        var registered = Self.registered(schema, format: format)
                        let next = nextID
                        registered.references = try registerReferences(of: schema)
                        let id = schema.id ?? (registered.references.isEmpty ? nil : next)
                        _ = try registry.register(subject: subject, schema: registered, id: id)
                    } else if let statement {
                        registerColumns(ofStatement: statement, side)
                    }
                }
            }
        }
    }

    /// What a schema refers to, each under its own name as the subject. Their ids are beyond those that statements count on.
    private func registerReferences(of schema: ConformanceCase.RegisteredText) throws(MartletError) -> [RegisteredSchema.Reference] {
        var out: [RegisteredSchema.Reference] = []
        for reference in schema.references {
            guard let name = reference["name"]?.stringValue, let text = reference["schema"] else { continue }
            let one = RegisteredSchema(
                type: reference["format"]?.stringValue ?? "PROTOBUF", text: text.stringValue ?? text.description)
            if registry.latest(subject: name) == nil {
                _ = try registry.register(subject: name, schema: one, id: Self.firstReferenceID + Int32(registry.subjects().count))
            }
            out.append(.init(name: name, subject: name, version: 1))
        }
        return out
    }

    private static let firstReferenceID: Int32 = 1_000_000

    /// The id after those of schemas that are no references.
    private var nextID: Int32 {
        let ids = registry.subjects().compactMap { registry.latest(subject: $0)?.id }.filter { $0 < Self.firstReferenceID }
        return (ids.max() ?? 0) + 1
    }

    /// - `format`: the topic's, if the case says: a schema such as `{"type":"string"}` may be one of Avro or of JSON.
    static func registered(_ schema: ConformanceCase.RegisteredText, format: String?) -> RegisteredSchema {
        if schema.isText, schema.text.contains("message ") { return RegisteredSchema(type: "PROTOBUF", text: schema.text) }
        let text = schema.isText ? JSONValue.string(schema.text).description : schema.text
        let isAvro = !(format?.uppercased().hasPrefix("JSON") ?? false) && (try? AvroSchema(parsing: text)) != nil
        return RegisteredSchema(type: isAvro ? "AVRO" : "JSON", text: text)
    }

    /// What a client registers that writes the columns of a CREATE statement. A statement that is wrong registers nothing: it fails again later.
    private func registerColumns(ofStatement index: Int, _ side: Side) {
        guard one.statements.indices.contains(index), let statement = try? Parser.parse(one.statements[index]).first,
            case .createSource(let create)? = try? Analyzer(catalog: Catalog(), context: context).analyze(statement)
        else { return }
        let source = create.source
        _ = try? registry.writerSchema(
            of: side == .key ? source.schema.key : source.schema.value, spec: side == .key ? source.keyFormat : source.valueFormat, side: side,
            topic: source.topic)
    }
}
