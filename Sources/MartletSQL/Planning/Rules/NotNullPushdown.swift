import MartletColumns
import MartletCore

/// `WHERE c IS NOT NULL` right above the scan of a stream: the decoder drops such rows before it parses any other column.
///
/// Not for tables, whose filters turn rows that stop passing into tombstones.
enum NotNullPushdown {
    static func apply(_ plan: LogicalPlan) -> LogicalPlan {
        switch plan {
        case .scan: return plan
        case .filter(.scan(var scan), let condition, let text) where scan.source.kind == .stream:
            var rest: [BoundExpression] = []
            for conjunct in condition.conjuncts {
                if case .isNotNull(.column(let index, _)) = conjunct, case .value(let field) = scan.columns[index].source {
                    if !scan.notNullValues.contains(field) { scan.notNullValues.append(field) }
                } else {
                    rest.append(conjunct)
                }
            }
            scan.notNullValues.sort()
            guard let left = BoundExpression.conjunction(rest) else { return .scan(scan) }
            return .filter(.scan(scan), left, text: text)
        case .filter(let input, let condition, let text): return .filter(apply(input), condition, text: text)
        case .flatMap(let input, let calls): return .flatMap(apply(input), calls)
        case .selectKey(let input, let keys, let names): return .selectKey(apply(input), keys, names: names)
        case .project(let input, let expressions, let names): return .project(apply(input), expressions, names: names)
        case .join(var join):
            join.left = apply(join.left)
            join.right = apply(join.right)
            return .join(join)
        case .materialize(let input, let step, let keyCount): return .materialize(apply(input), step: step, keyCount: keyCount)
        case .union(let inputs): return .union(inputs.map(apply))
        case .ended(let input, let ending, let limit): return .ended(apply(input), ending, limit: limit)
        case .aggregate(var node):
            node.input = apply(node.input)
            return .aggregate(node)
        }
    }
}
