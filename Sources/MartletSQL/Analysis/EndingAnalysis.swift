import MartletColumns
import MartletCore

/// DISTINCT, ORDER BY and OFFSET of a query that ends, and groups that are shown once they are complete.
struct EndingAnalysis {
    var items: [ProjectionItem]
    var outputs: [AnalyzedSelect.Output]
    /// For expressions that are not selected.
    var binder: ExpressionAnalyzer
    var scope: Scope

    /// - Parameters: `groups` are the keys of the result of an aggregation; nil: rows are no changes.
    /// - Returns: nil if rows can be shown as they come; and columns to compute behind the outputs.
    func analyze(
        _ query: Query, groups: [KeySlot]?
    ) throws(MartletError) -> (PhysicalPlan.Ending?, [AnalyzedSelect.Output]) {
        var hidden: [AnalyzedSelect.Output] = []
        func column(_ expression: BoundExpression) -> Int {
            if let index = (outputs + hidden).firstIndex(where: { $0.expression == expression }) { return index }
            hidden.append(AnalyzedSelect.Output(name: "ORDER_\(hidden.count)", expression: expression, keyIndex: nil))
            return outputs.count + hidden.count - 1
        }
        var ending = PhysicalPlan.Ending()
        ending.newest = groups.map { $0.map { column($0.expression) } }
        ending.isDistinct = query.isDistinct
        for item in query.orderBy {
            let index: Int
            if let place = try output(item.expression) {
                index = place
            } else {
                let qualified = try Qualifier(scope: scope, clause: .orderBy, functions: binder.functions).qualify(item.expression)
                var binder = binder
                binder.clause = .orderBy
                index = column(try binder.bind(qualified).expression)
                if query.isDistinct, index >= outputs.count {
                    throw MartletError(.badStatement, "SELECT DISTINCT can only be ordered by what is selected.", at: item.expression.span)
                }
            }
            let type = (outputs + hidden)[index].expression.type
            guard !type.isNested else {
                throw MartletError(.typeMismatch, "Rows cannot be ordered by a value of type \(type).", at: item.expression.span)
            }
            ending.order.append(
                PhysicalPlan.Ending.Order(column: index, isDescending: item.isDescending, nullsFirst: item.nullsFirst ?? item.isDescending))
        }
        ending.offset = query.offset?.count ?? 0
        return (ending == PhysicalPlan.Ending() ? nil : ending, hidden)
    }

    /// The output that a name or a number (from 1) means.
    private func output(_ expression: Expression) throws(MartletError) -> Int? {
        switch expression.node {
        case .column(nil, let name): return outputs.firstIndex { $0.name == name.name }
        case .integer(let place):
            guard place >= 1, place <= Int64(outputs.count) else {
                throw MartletError(.badStatement, "ORDER BY \(place): there are \(outputs.count) columns.", at: expression.span)
            }
            return Int(place) - 1
        default: return nil
        }
    }
}
