import MartletColumns
import MartletCore
import MartletModels
import MartletSQL

/// CREATE MODEL, DROP MODEL, DESCRIBE MODEL, and the sessions that queries call.
extension Engine {
    /// What CREATE MODEL says: the properties of its WITH clause are `path` (a file of this machine, ONNX).
    func createModel(_ model: CreateModel, _ statement: Statement, _ session: Session) throws(MartletError) -> JSONObject {
        let name = model.name.name
        if catalog.models[name] != nil && !model.orReplace {
            if model.ifNotExists {
                return entity(statement, commandID: commandID(statement), message: "Cannot add model `\(name)`: A model with the same name already exists.", sequence: -1)
            }
            throw MartletError(
                .alreadyExists, "Cannot add model '\(name)': A model with the same name already exists", at: model.name.span,
                hint: "use CREATE OR REPLACE MODEL or DROP MODEL \(name)")
        }
        if !FunctionRegistry.builtin.scalar(named: name).isEmpty {
            throw MartletError(.alreadyExists, "Cannot add model '\(name)': a function of that name exists", at: model.name.span)
        }
        for property in model.properties where property.name.lowercased() != "path" {
            throw MartletError(.invalidProperty, "property '\(property.name)' is not known to CREATE MODEL", at: property.span, hint: "it takes 'path'")
        }
        guard let path = model.properties.first(where: { $0.name.lowercased() == "path" }) else {
            throw MartletError(.invalidProperty, "CREATE MODEL needs the property 'path', the ONNX file of the model", at: statement.span)
        }
        let input = try model.input.map { columns throws(MartletError) in try fields(columns) }
        let output = try model.output.map { columns throws(MartletError) in try fields(columns) }
        let created: ModelVersion
        do {
            created = try models.create(name: name, path: path.value.text, input: input, output: output, replace: model.orReplace)
        } catch {
            throw MartletError(error.code, error.message, at: path.valueSpan, detail: error.detail, hint: error.hint, cause: error.cause)
        }
        enter(created)
        return entity(statement, commandID: commandID(statement), message: "Model created", sequence: 0)
    }

    /// Models are durable in their own registry, not in the command log: it knows what there is at start.
    func enterModels() { for model in models.list() { enter(model) } }

    private func enter(_ version: ModelVersion) {
        catalog.models[version.name] = ModelEntry(name: version.name, inputs: version.signature.inputs, output: version.signature.output)
    }

    private func fields(_ columns: [ColumnDefinition]) throws(MartletError) -> [Field] {
        var out: [Field] = []
        for column in columns { out.append(Field(column.name.name, try column.type.resolved(in: catalog.types))) }
        return out
    }

    func dropModel(_ name: Identifier, ifExists: Bool, _ statement: Statement, _ session: Session) throws(MartletError) -> JSONObject {
        guard catalog.models[name.name] != nil else {
            if ifExists {
                return entity(statement, commandID: commandID(statement), message: "Model '\(name.name)' does not exist.", sequence: -1)
            }
            throw unknownModel(name)
        }
        let users = catalog.queries.values.filter { $0.models.contains(name.name) }.map(\.id).sorted()
        if !users.isEmpty {
            throw MartletError(
                .badStatement,
                "Cannot drop model \(name.name).\nThe following queries call it: [\(users.joined(separator: ", "))].\nYou need to terminate them before dropping it.",
                at: name.span)
        }
        try models.drop(name: name.name)
        catalog.models[name.name] = nil
        return entity(statement, commandID: commandID(statement), message: "Model `\(name.name)` was dropped.", sequence: 0)
    }

    func unknownModel(_ name: Identifier) -> MartletError {
        MartletError(
            .unknownModel, "model \(name.name) does not exist", at: name.span,
            hint: catalog.models.isEmpty ? "there are no models yet" : "models are \(catalog.models.keys.sorted().joined(separator: ", "))")
    }

    func describeModel(_ name: Identifier, _ statement: Statement) throws(MartletError) -> JSONObject {
        guard let model = models[name.name] else { throw unknownModel(name) }
        var description = Self.summary(model)
        let details = try models.describe(name: name.name)
        description["metadata"] = .object(JSONObject(details.metadata.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) }))
        description["readQueries"] = .array(
            catalog.queries.values.filter { $0.models.contains(name.name) }.map { .string($0.id) })
        return ["@type": "modelDescription", "statementText": .string(statement.text), "modelDescription": .object(description), "warnings": []]
    }

    static func summary(_ model: ModelVersion) -> JSONObject {
        let use = model.statistics
        return [
            "name": .string(model.name), "version": .int(model.manifest.version), "source": .string(model.manifest.source),
            "sha256": .string(model.manifest.sha256), "bytes": .int(model.manifest.bytes),
            "inputs": .array(model.signature.inputs.map { ["name": .string($0.name), "schema": schema($0.type)] }),
            "output": schema(model.signature.output),
            "statistics": [
                "calls": .int(use.calls), "rows": .int(use.rows), "errors": .int(use.errors),
                "batchP50Ns": use.batchNanoseconds(percentile: 0.5).map { .int($0) } ?? .null,
                "batchP99Ns": use.batchNanoseconds(percentile: 0.99).map { .int($0) } ?? .null,
            ],
        ]
    }

    /// The loaded sessions of the models a plan calls.
    func sessions(_ names: [String]) throws(MartletError) -> [String: any BatchModel] {
        var out: [String: any BatchModel] = [:]
        for name in names {
            let model = try models.model(named: name)
            // Opened now, so that a missing library or a damaged file is this query's error and not each row's.
            _ = try model.session()
            out[name] = model
        }
        return out
    }
}
