import MartletColumns
import MartletCore

/// ALTER, DROP, CREATE TYPE and DROP TYPE.
struct SourceChanges {
    var catalog: Catalog
    var context: AnalysisContext

    func alter(_ kind: Statement.SourceKind, _ name: Identifier, _ additions: [ColumnDefinition]) throws(MartletError) -> AnalyzedStatement {
        let kindName = kind == .stream ? "stream" : "table"
        guard var source = catalog.sources[name.name] else {
            let hint = FromAnalysis(catalog: catalog, context: context).didYouMean(name.name)
            throw MartletError(.unknownSource, "Source \(name.name) does not exist.\(hint)", at: name.span)
        }
        if source.kind != kind {
            throw MartletError(
                .badStatement, "Incompatible data source type is \(source.kind.rawValue), but statement was ALTER \(kind.rawValue)", at: name.span)
        }
        if source.isSource {
            throw MartletError(
                .badStatement, "Cannot alter \(kindName) '\(source.name)': ALTER operations are not supported on source \(kindName)s.", at: name.span)
        }
        if source.createdBy != nil {
            throw MartletError(
                .badStatement, "ALTER command is not supported for CREATE ... AS statements.", at: name.span, hint: "use CREATE OR REPLACE … AS")
        }
        let taken = Set(source.schema.all.map(\.name) + source.headers.map(\.name))
        let added = try DeclaredColumns(additions, types: catalog.types)
        if !added.schema.key.isEmpty || !added.headers.isEmpty {
            throw MartletError(.badStatement, "ALTER adds value columns only.", at: additions[0].span)
        }
        for (field, definition) in zip(added.schema.value, additions) {
            if taken.contains(field.name) {
                throw MartletError(
                    .badStatement, "Cannot add column \(SQLType.quoted(field.name)) to schema. A column with the same name already exists.",
                    at: definition.name.span)
            }
            source.schema.value.append(field)
        }
        if let wrap = source.wrapSingleValue, source.schema.value.count > 1 {
            throw MartletError(
                .badStatement, "'WRAP_SINGLE_VALUE' is only valid for single-field value schemas", at: name.span, hint: "it was declared as \(wrap)")
        }
        try FormatRules.check(source.valueFormat, source.schema.value, side: .value, at: additions.first?.span ?? name.span)
        return .alterSource(source)
    }

    func drop(_ kind: Statement.SourceKind, _ name: Identifier, ifExists: Bool, deleteTopic: Bool) throws(MartletError) -> AnalyzedStatement {
        let kindName = kind == .stream ? "Stream" : "Table"
        guard let source = catalog.sources[name.name] else {
            if ifExists { return .nothingToDo(message: "\(kindName) \(SQLType.quoted(name.name)) does not exist.") }
            let hint = FromAnalysis(catalog: catalog, context: context).didYouMean(name.name)
            throw MartletError(.unknownSource, "\(kindName) \(name.name) does not exist.\(hint)", at: name.span)
        }
        if source.kind != kind {
            throw MartletError(
                .badStatement, "Incompatible data source type is \(source.kind.rawValue), but statement was DROP \(kind.rawValue)", at: name.span)
        }
        // The query that made it ends with it. What other queries have made of it has to go first.
        let made = catalog.sources.values.filter { made in made.createdBy.flatMap { catalog.queries[$0] }?.sources.contains(source.name) == true }
        let readers = catalog.readers(of: source.name).filter { reader in !made.contains { $0.createdBy == reader } }
        let writers = catalog.writers(of: source.name).filter { $0 != source.createdBy }
        if !readers.isEmpty || !writers.isEmpty {
            throw MartletError(
                .badStatement,
                "Cannot drop \(source.name).\nThe following queries read from this source: [\(readers.joined(separator: ", "))].\nThe following queries write into this source: [\(writers.joined(separator: ", "))].\nYou need to terminate them before dropping \(source.name).",
                at: name.span)
        }
        let references = made.map(\.name).filter { $0 != source.name }.sorted()
        if !references.isEmpty {
            throw MartletError(
                .badStatement,
                "Cannot drop \(source.name).\nThe following streams and/or tables read from this source: [\(references.joined(separator: ", "))].\nYou need to drop them before dropping \(source.name).",
                at: name.span)
        }
        if deleteTopic, source.isSource {
            throw MartletError(.badStatement, "Cannot delete topic for read-only source: \(source.name)", at: name.span)
        }
        return .dropSource(name: source.name, deleteTopic: deleteTopic)
    }

    func createType(_ name: Identifier, _ type: TypeName, ifNotExists: Bool) throws(MartletError) -> AnalyzedStatement {
        if catalog.types[name.name] != nil {
            if ifNotExists { return .nothingToDo(message: "\(name.name) is already registered.") }
            throw MartletError(
                .alreadyExists, "Cannot register custom type '\(name.name)' since it is already registered with type: \(catalog.types[name.name]?.description ?? "")",
                at: name.span)
        }
        return .createType(name: name.name, try type.resolved(in: catalog.types))
    }

    func dropType(_ name: Identifier, ifExists: Bool) throws(MartletError) -> AnalyzedStatement {
        if catalog.types[name.name] != nil { return .dropType(name: name.name) }
        if ifExists { return .nothingToDo(message: "Type '\(name.name)' does not exist") }
        throw MartletError(.unknownType, "Type \(name.name) does not exist.", at: name.span)
    }
}
