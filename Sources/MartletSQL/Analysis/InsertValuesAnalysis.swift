import MartletColumns
import MartletCore

/// INSERT INTO … VALUES: one row, its expressions evaluated now (ksqlDB, "INSERT VALUES"; SEMANTICS §8).
struct InsertValuesAnalysis {
    var catalog: Catalog
    var context: AnalysisContext
    var insert: InsertValues
    var statement: Statement

    func analyze() throws(MartletError) -> AnalyzedStatement {
        let span = insert.target.span
        if context.properties["ksql.insert.into.values.enabled"]?.lowercased() == "false" {
            throw MartletError(.badStatement, "The server has disabled INSERT INTO ... VALUES functionality. To enable it, restart your ksqlDB server with 'ksql.insert.into.values.enabled'=true", at: span)
        }
        guard let source = catalog.sources[insert.target.name] else {
            let hint = FromAnalysis(catalog: catalog, context: context).didYouMean(insert.target.name)
            throw MartletError(
                .unknownSource, "Cannot insert values into an unknown stream/table: \(SQLType.quoted(insert.target.name))\(hint)", at: span)
        }
        let kind = source.kind == .stream ? "stream" : "table"
        if source.isSource { throw MartletError(.badStatement, "Cannot insert values into read-only \(kind): \(source.name)", at: span) }
        if source.window != nil { throw MartletError(.badStatement, "Cannot insert values into windowed stream/table!", at: span) }
        do throws(MartletError) {
            return try row(source)
        } catch {
            var error = error
            if !error.message.hasPrefix("Failed to ") { error.message = "Failed to insert values into '\(source.name)'. \(error.message)" }
            throw error
        }
    }

    /// The one row that is inserted.
    private func row(_ source: Source) throws(MartletError) -> AnalyzedStatement {
        let span = insert.target.span
        let columns = try columns(source)
        var given: [String: SQLValue] = [:]
        for (column, expression) in zip(columns, insert.values) {
            given[column.name] = try value(expression, for: column)
        }
        if source.kind == .table {
            let missing = source.schema.key.filter { given[$0.name] == nil || given[$0.name]?.isNull == true }
            if !missing.isEmpty {
                throw MartletError(
                    .badStatement, "Value for primary key column(s) \(missing.map(\.name).joined(separator: ", ")) is required for tables", at: span)
            }
        }
        var timestamp: Int64?
        if case .bigint(let millis)? = given[PseudoColumns.rowTime] {
            guard millis >= 0 else { throw MartletError(.badStatement, "ROWTIME must not be negative.", at: span) }
            timestamp = millis
        }
        return .insertValues(
            AnalyzedInsert(
                source: source, key: source.schema.key.map { given[$0.name] ?? .null }, value: source.schema.value.map { given[$0.name] ?? .null },
                timestampMs: timestamp))
    }

    /// The columns the values are for, in their order.
    private func columns(_ source: Source) throws(MartletError) -> [Field] {
        let all = source.schema.all
        if insert.columns.isEmpty {
            guard insert.values.count == all.count else {
                throw MartletError(
                    .badStatement,
                    "Expected a value for each column. Expected Columns: [\(all.map { SQLType.quoted($0.name) }.joined(separator: ", "))]. Got [\(insert.values.map { ExpressionText()($0) }.joined(separator: ", "))]",
                    at: insert.target.span)
            }
            return all
        }
        guard insert.columns.count == insert.values.count else {
            throw MartletError(
                .badStatement,
                "Failed to prepare statement: Expected number columns and values to match: \(insert.columns.count), \(insert.values.count)",
                at: insert.target.span)
        }
        let headers = insert.columns.filter { column in source.headers.contains { $0.name == column.name } }
        if let first = headers.first {
            throw MartletError(
                .badStatement, "Cannot insert into HEADER columns: \(headers.map(\.name).joined(separator: ", "))", at: first.span)
        }
        var out: [Field] = []
        for column in insert.columns {
            if column.name == PseudoColumns.rowPartition || column.name == PseudoColumns.rowOffset {
                throw MartletError(.badStatement, "Inserting into column \(SQLType.quoted(column.name)) is not allowed.", at: column.span)
            }
            if out.contains(where: { $0.name == column.name }) {
                throw MartletError(.badStatement, "Column \(SQLType.quoted(column.name)) is given twice.", at: column.span)
            }
            if column.name == PseudoColumns.rowTime {
                out.append(Field(column.name, .bigint))
            } else if let field = all.first(where: { $0.name == column.name }) {
                out.append(field)
            } else {
                throw MartletError(
                    .unknownColumn, "Column name \(SQLType.quoted(column.name)) does not exist.", at: column.span,
                    hint: "columns are \(all.map(\.name).joined(separator: ", "))")
            }
        }
        return out
    }

    private func value(_ expression: Expression, for column: Field) throws(MartletError) -> SQLValue {
        let scope = Scope(sources: [], columns: [])
        try refuseColumns(expression, [])
        let qualified = try Qualifier(scope: scope, clause: .values, functions: context.functions).qualify(expression)
        let binder = ExpressionAnalyzer(scope: scope, clause: .values, catalog: catalog, functions: context.functions)
        if let call = expression.firstCall(where: { catalog.models[$0.name] != nil }) {
            throw MartletError(.notSupported, "Models cannot be called in INSERT VALUES: \(binder.text(call))", at: call.span)
        }
        let typed = try binder.bind(qualified)
        guard typed.type != nil else { return .null }
        let program = try located(expression.span) { () throws(MartletError) in
            try ExpressionProgram([typed.expression], registry: context.functions)
        }
        var errors = RowErrors()
        let row = Batch(count: 1, columns: [], timestamps: [0])
        let result = program.evaluate(row, labels: [column.name], errors: &errors)[0].value(0)
        if let error = errors.entries.first {
            throw MartletError(
                .badStatement, "Could not evaluate \(binder.text(qualified)) for column \(SQLType.quoted(column.name)): \(error.reason)", at: expression.span)
        }
        do {
            return try ValueCoercion.coerce(result, to: column.type)
        } catch {
            throw MartletError(
                .typeMismatch,
                "Expected type \(column.type) for field \(SQLType.quoted(column.name)) but got \(typed.type?.baseName ?? "NULL")(\(Self.shown(expression, binder.text(qualified))))",
                at: expression.span, detail: error.message)
        }
    }

    /// Text without its quotes, anything else as it was written.
    private static func shown(_ expression: Expression, _ text: String) -> String {
        if case .string(let literal) = expression.node { return literal }
        return text
    }

    private func refuseColumns(_ expression: Expression, _ bound: Set<String>) throws(MartletError) {
        switch expression.node {
        case .column(let source?, _):
            throw MartletError(
                .badStatement, "Failed to prepare statement: '\(source.name)' is not a valid stream/table name or alias.", at: expression.span)
        case .column(nil, let name) where !bound.contains(name.name) && UnitArgument.named(name.name) == nil:
            throw MartletError(
                .badStatement, "Failed to prepare statement: VALUES column '\(name.name)' cannot be resolved.", at: expression.span,
                hint: "text is written in single quotes")
        case .lambda(let parameters, let body):
            try refuseColumns(body, bound.union(parameters.map(\.name)))
        default:
            for child in expression.children { try refuseColumns(child, bound) }
        }
    }
}
