import MartletColumns
import MartletCore

/// Conditions on the stream's columns alone move below a stream-table join, so that rows which fail are neither re-keyed nor looked up.
///
/// Sound for inner and left joins: each stream row gives at most one result, with its own columns unchanged. Not for other joins, where rows
/// that fail still move time, or take results back.
enum FilterPushdown {
    static func apply(_ plan: LogicalPlan) -> LogicalPlan {
        switch plan {
        case .scan: return plan
        case .filter(.join(var join), let condition, let text) where join.method == .streamTable:
            let width = join.left.width
            var below: [BoundExpression] = [], above: [BoundExpression] = []
            for conjunct in condition.conjuncts {
                // A condition without columns stays: it says nothing about the stream.
                let columns = conjunct.columns
                if !columns.isEmpty, columns.allSatisfy({ $0 < width }) { below.append(conjunct) } else { above.append(conjunct) }
            }
            if let moved = BoundExpression.conjunction(below) { join.left = .filter(join.left, moved, text: text) }
            join.left = apply(join.left)
            guard let left = BoundExpression.conjunction(above) else { return .join(join) }
            return .filter(.join(join), left, text: text)
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
