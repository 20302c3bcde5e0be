import MartletColumns

/// The rules in the order in which one prepares the next. A filter that is always true stays: it drops records with a null value.
enum LogicalOptimizer {
    static func optimize(_ plan: LogicalPlan) -> LogicalPlan {
        ProjectionPushdown.apply(NotNullPushdown.apply(FilterPushdown.apply(folded(plan))))
    }

    private static func folded(_ plan: LogicalPlan) -> LogicalPlan {
        switch plan {
        case .scan: return plan
        case .filter(let input, let condition, let text): return .filter(folded(input), ConstantFolding.fold(condition), text: text)
        case .flatMap(let input, let calls):
            let calls = calls.map { call in
                var call = call
                call.arguments = call.arguments.map(ConstantFolding.fold)
                return call
            }
            return .flatMap(folded(input), calls)
        case .selectKey(let input, let keys, let names): return .selectKey(folded(input), keys.map(ConstantFolding.fold), names: names)
        case .project(let input, let expressions, let names): return .project(folded(input), expressions.map(ConstantFolding.fold), names: names)
        case .join(var join):
            join.left = folded(join.left)
            join.right = folded(join.right)
            join.leftKeys = join.leftKeys.map(ConstantFolding.fold)
            join.rightKeys = join.rightKeys.map(ConstantFolding.fold)
            join.condition = join.condition.map(ConstantFolding.fold)
            return .join(join)
        case .materialize(let input, let step, let keyCount): return .materialize(folded(input), step: step, keyCount: keyCount)
        case .union(let inputs): return .union(inputs.map(folded))
        case .ended(let input, let ending, let limit): return .ended(folded(input), ending, limit: limit)
        case .aggregate(var node):
            node.input = folded(node.input)
            node.keys = node.keys.map(ConstantFolding.fold)
            node.arguments = node.arguments.map(ConstantFolding.fold)
            return .aggregate(node)
        }
    }
}
