import MartletColumns
import MartletCore
import MartletSQL

/// The JSON shapes of ksqlDB's `/ksql` responses (ksqlDB REST API, "Run SQL statements").
extension Engine {
    /// A `currentStatus` entity, remembered for `/status`.
    func entity(
        _ statement: Statement, commandID: String, message: String, queryID: String? = nil, sequence: Int64, warnings: [String] = []
    ) -> JSONObject {
        let status: JSONObject = [
            "status": "SUCCESS", "message": .string(message), "queryId": queryID.map { .string($0) } ?? .null,
        ]
        if sequence >= 0 {
            commandStatuses.removeAll { $0.id == commandID }
            commandStatuses.append((commandID, status))
            if commandStatuses.count > 10_000 { commandStatuses.removeFirst() }
        }
        return [
            "@type": "currentStatus", "statementText": .string(statement.text), "commandId": .string(commandID),
            "commandStatus": .object(status), "commandSequenceNumber": .int(sequence), "warnings": Self.warnings(warnings),
        ]
    }

    static func warnings(_ texts: [String]) -> JSONValue { .array(texts.map { ["message": .string($0)] }) }

    func commandID(_ statement: Statement) -> String {
        switch statement.node {
        case .createSource(let s): "\(s.kind.rawValue.lowercased())/`\(s.name.name)`/create"
        case .createAs(let s): "\(s.kind.rawValue.lowercased())/`\(s.name.name)`/create"
        case .insertInto(let target, _, _): "stream/`\(target.name)`/create"
        case .alterSource(let kind, let name, _): "\(kind.rawValue.lowercased())/`\(name.name)`/alter"
        case .dropSource(let kind, let name, _, _): "\(kind.rawValue.lowercased())/`\(name.name)`/drop"
        case .createType(let name, _, _): "type/\(name.name)/create"
        case .dropType(let name, _): "type/\(name.name)/drop"
        case .terminate(let id): "terminate/\(id?.name ?? "all")/execute"
        case .pause(let id): "pause/\(id?.name ?? "all")/execute"
        case .resume(let id): "resume/\(id?.name ?? "all")/execute"
        case .createModel(let s): "model/`\(s.name.name)`/create"
        case .dropModel(let name, _): "model/`\(name.name)`/drop"
        default: "statement/\(statement.kindName)/execute"
        }
    }

    /// `{type, fields, memberSchema}` of a type.
    static func schema(_ type: SQLType) -> JSONValue {
        switch type {
        case .array(let element): ["type": "ARRAY", "fields": nil, "memberSchema": schema(element)]
        case .map(_, let value): ["type": "MAP", "fields": nil, "memberSchema": schema(value)]
        case .structure(let fields):
            [
                "type": "STRUCT", "fields": .array(fields.map { ["name": .string($0.name), "schema": schema($0.type)] }), "memberSchema": nil,
            ]
        case .decimal(let precision, let scale):
            [
                "type": "DECIMAL", "parameters": ["precision": .int(precision), "scale": .int(scale)], "fields": nil, "memberSchema": nil,
            ]
        default: ["type": .string(type.baseName), "fields": nil, "memberSchema": nil]
        }
    }

    /// Columns of a result as `fields` of an entity has them; those of `keyFlags` are key columns.
    public static func fieldShapes(_ fields: [Field], keyFlags: [Bool]) -> JSONValue {
        .array(
            fields.enumerated().map { index, field in
                var shape: JSONObject = ["name": .string(field.name), "schema": schema(field.type)]
                if index < keyFlags.count, keyFlags[index] { shape["type"] = "KEY" }
                return .object(shape)
            })
    }

    static func fields(of source: Source) -> JSONValue {
        var values: [JSONValue] = source.schema.value.map { ["name": .string($0.name), "schema": schema($0.type)] }
        for header in source.headers {
            var field: JSONObject = ["name": .string(header.name), "schema": schema(header.type), "type": "HEADER"]
            if let key = header.headerKey { field["headerKey"] = .string(key) }
            values.insert(.object(field), at: min(header.position, values.count))
        }
        return .array(source.schema.key.map { ["name": .string($0.name), "schema": schema($0.type), "type": "KEY"] } + values)
    }
}

extension Statement {
    /// The kind as messages call it: `CREATE STREAM`.
    var kindName: String {
        switch node {
        case .query: "QUERY"
        case .createSource(let s): "CREATE \(s.kind.rawValue)"
        case .createAs(let s): "CREATE \(s.kind.rawValue) AS SELECT"
        case .insertInto: "INSERT INTO"
        case .insertValues: "INSERT VALUES"
        case .delete: "DELETE"
        case .alterSource(let kind, _, _): "ALTER \(kind.rawValue)"
        case .dropSource(let kind, _, _, _): "DROP \(kind.rawValue)"
        case .createType: "CREATE TYPE"
        case .dropType: "DROP TYPE"
        case .createConnector: "CREATE CONNECTOR"
        case .dropConnector: "DROP CONNECTOR"
        case .createModel: "CREATE MODEL"
        case .dropModel: "DROP MODEL"
        case .list: "LIST"
        case .describeSource, .describeStreams, .describeFunction, .describeConnector, .describeModel: "DESCRIBE"
        case .explainQuery, .explainStatement: "EXPLAIN"
        case .terminate: "TERMINATE"
        case .pause: "PAUSE"
        case .resume: "RESUME"
        case .printTopic: "PRINT"
        case .set: "SET"
        case .unset: "UNSET"
        case .alterSystem: "ALTER SYSTEM"
        case .define: "DEFINE"
        case .undefine: "UNDEFINE"
        case .assertTopic, .assertSchema, .assertValues, .assertTombstone, .assertSource: "ASSERT"
        case .runScript: "RUN SCRIPT"
        }
    }
}
