import MartletColumns
import MartletCore

/// DELETE FROM table WHERE …: rows of a declared table end, by their keys.
struct DeleteAnalysis {
    var catalog: Catalog
    var context: AnalysisContext

    func analyze(_ target: Identifier, _ condition: Expression) throws(MartletError) -> AnalyzedStatement {
        let table = try FromAnalysis(catalog: catalog, context: context).source(target)
        guard table.kind == .table else {
            throw MartletError(.badStatement, "Cannot delete from stream \(table.name): its rows are there for good.", at: target.span)
        }
        if table.isSource { throw MartletError(.badStatement, "Cannot delete from read-only table: \(table.name)", at: target.span) }
        if let query = table.createdBy {
            throw MartletError(
                .badStatement, "Cannot delete from \(table.name): its rows are those of query \(query).", at: target.span,
                hint: "delete from a table that the query reads")
        }
        if table.window != nil { throw MartletError(.badStatement, "Cannot delete from windowed table \(table.name).", at: target.span) }
        let scan = LogicalPlan.Scan(table)
        let scope = Scope(sources: [target.name], columns: FromClause.columns(of: scan, alias: target.name))
        let qualified = try Qualifier(scope: scope, clause: .whereClause, functions: context.functions).qualify(condition)
        let bound = try ExpressionAnalyzer(scope: scope, clause: .whereClause, catalog: catalog, functions: context.functions).bind(qualified)
        let folded = ConstantFolding.fold(bound.expression)
        let extraction = LookupExtraction(columns: scan.columns, keyCount: table.schema.key.count, functions: context.functions)
        guard isAboutKeysOnly(folded, scan), case .some(let keys) = extraction.lookup(folded, table: table.name).keys else {
            let names = table.schema.key.map(\.name)
            throw MartletError(
                .badStatement, "DELETE needs a WHERE clause that names whole keys, by = or IN and OR.", at: condition.span,
                hint: "e.g. WHERE \(names.map { "\($0) = …" }.joined(separator: " AND "))")
        }
        return .deleteRows(AnalyzedDelete(source: table, keys: keys))
    }

    private func isAboutKeysOnly(_ condition: BoundExpression, _ scan: LogicalPlan.Scan) -> Bool {
        func isKey(_ expression: BoundExpression) -> Bool {
            guard case .column(let index, _) = expression, case .key = scan.columns[index].source else { return false }
            return true
        }
        switch condition {
        case .and(let a, let b), .or(let a, let b): return isAboutKeysOnly(a, scan) && isAboutKeysOnly(b, scan)
        case .compare(.equal, let a, let b): return isKey(a) && b.columns.isEmpty || isKey(b) && a.columns.isEmpty
        case .isIn(let operand, let options): return isKey(operand) && options.allSatisfy { $0.columns.isEmpty }
        default: return false
        }
    }
}
