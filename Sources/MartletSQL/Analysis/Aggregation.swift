import MartletColumns
import MartletCore

/// GROUP BY, HAVING, WINDOW and aggregate functions: what ksqlDB refuses is refused in its words; the rest is not built yet and says so.
struct Aggregation {
    var context: AnalysisContext
    var isPersistent: Bool

    func check(_ query: Query, _ from: FromClause) throws(MartletError) {
        let qualifier = Qualifier(scope: from.scope, clause: .select, functions: context.functions)
        var calls: [Expression] = []
        var plain: [Expression] = []
        for case .expression(let expression, _) in query.select {
            guard let call = expression.firstCall(where: { context.functions.isAggregate($0.name) }) else {
                plain.append(expression)
                continue
            }
            calls.append(call)
        }
        if !query.groupBy.isEmpty { try grouped(query, calls) }
        if let call = calls.first {
            let text = ExpressionText(columns: .plain(isJoin: from.scope.isJoin))
            let alone = try plain.map { (expression) throws(MartletError) in try qualifier.qualify(expression) }.filter { !$0.referencedSources.isEmpty }
            if !alone.isEmpty {
                throw MartletError(
                    .badStatement,
                    "Non-aggregate SELECT expression(s) not part of GROUP BY: \(alone.map { text($0) }.joined(separator: ", "))\nEither add the column(s) to the GROUP BY or remove them from the SELECT.",
                    at: alone[0].span)
            }
            guard isPersistent else {
                throw MartletError(.notSupported, "Aggregate functions are not supported yet.", at: call.span)
            }
            var called = try qualifier.qualify(call)
            if case .call(let name, _, true) = called.node {
                called = Expression(.call(name, [Expression(.column(source: nil, Identifier(PseudoColumns.rowTime)), span: call.span)], isStar: false), span: call.span)
            }
            throw MartletError(
                .badStatement,
                "CREATE TABLE AS SELECT statement does not support aggregate function [\(text(called))] without a GROUP BY clause.", at: call.span)
        }
        if let window = query.window {
            throw MartletError(.badStatement, "WINDOW clause requires a GROUP BY clause.", at: window.span)
        }
        if let having = query.having { throw MartletError(.badStatement, "HAVING clause requires a GROUP BY clause.", at: having.span) }
        if query.emit == .final {
            throw MartletError(.badStatement, "EMIT FINAL is only supported for windowed aggregations.", at: query.span)
        }
    }

    private func grouped(_ query: Query, _ calls: [Expression]) throws(MartletError) {
        for expression in query.groupBy {
            if let call = expression.firstCall(where: { context.functions.isAggregate($0.name) }), case .call(let name, _, _) = call.node {
                throw MartletError(
                    .badStatement, "GROUP BY does not support aggregate functions: \(name.name) is an aggregate function.", at: call.span)
            }
        }
        let having = query.having?.firstCall { context.functions.isAggregate($0.name) }
        if calls.isEmpty, having == nil {
            throw MartletError(
                .badStatement, "GROUP BY requires aggregate functions in either the SELECT or HAVING clause.", at: query.groupBy[0].span)
        }
        throw MartletError(.notSupported, "GROUP BY is not supported yet.", at: query.groupBy[0].span)
    }
}
