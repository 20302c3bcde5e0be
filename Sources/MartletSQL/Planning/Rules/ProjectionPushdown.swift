import MartletColumns
import MartletCore

/// Removes columns that nothing above uses, down to the scans: only needed columns are decoded.
enum ProjectionPushdown {
    /// The plan with all its output columns, but nothing superfluous below them.
    static func apply(_ plan: LogicalPlan) -> LogicalPlan { prune(plan, keep: Set(0..<plan.width)).plan }

    /// The plan without the columns outside `keep`, and where the kept ones are now.
    private static func prune(_ plan: LogicalPlan, keep: Set<Int>) -> (plan: LogicalPlan, place: [Int: Int]) {
        switch plan {
        case .scan(var scan):
            let kept = keep.sorted()
            scan.columns = kept.map { scan.columns[$0] }
            return (.scan(scan), places(kept))
        case .filter(let input, let condition, let text):
            let (below, place) = prune(input, keep: keep.union(condition.columns))
            return (.filter(below, condition.remapped { place[$0]! }, text: text), place)
        case .flatMap(let input, let calls):
            let width = input.width
            let needed = calls.reduce(into: keep.filter { $0 < width }) { set, call in call.arguments.forEach { set.formUnion($0.columns) } }
            let (below, place) = prune(input, keep: needed)
            let moved = calls.map { call in
                var call = call
                call.arguments = call.arguments.map { $0.remapped { place[$0]! } }
                return call
            }
            var out = place
            for i in calls.indices { out[width + i] = below.width + i }
            return (.flatMap(below, moved), out)
        case .selectKey(let input, let keys, let names):
            let needed = keys.reduce(into: Set(keep.filter { $0 >= keys.count }.map { $0 - keys.count })) { $0.formUnion($1.columns) }
            let (below, place) = prune(input, keep: needed)
            var out = Dictionary(uniqueKeysWithValues: keys.indices.map { ($0, $0) })
            for (old, new) in place { out[keys.count + old] = keys.count + new }
            return (.selectKey(below, keys.map { $0.remapped { place[$0]! } }, names: names), out)
        case .project(let input, let expressions, let names):
            let kept = keep.sorted()
            let needed = kept.reduce(into: Set<Int>()) { $0.formUnion(expressions[$1].columns) }
            let (below, place) = prune(input, keep: needed)
            return (.project(below, kept.map { expressions[$0].remapped { place[$0]! } }, names: kept.map { names[$0] }), places(kept))
        case .join(var join):
            let left = join.left.width, right = join.right.width
            var used = keep
            if let condition = join.condition { used.formUnion(condition.columns) }
            var usedLeft = used.filter { $0 < left }, usedRight = Set(used.filter { $0 >= left && $0 < left + right }.map { $0 - left })
            let carriedLeft = usedLeft, carriedRight = usedRight
            for key in join.leftKeys + join.resultKeys { usedLeft.formUnion(key.columns) }
            for key in join.rightKeys { usedRight.formUnion(key.columns) }
            let (leftPlan, leftPlace) = prune(join.left, keep: usedLeft)
            let (rightPlan, rightPlace) = prune(join.right, keep: usedRight)
            join.left = leftPlan
            join.right = rightPlan
            join.carriedLeft = Set(carriedLeft.map { leftPlace[$0]! })
            join.carriedRight = Set(carriedRight.map { rightPlace[$0]! })
            join.leftKeys = join.leftKeys.map { $0.remapped { leftPlace[$0]! } }
            join.rightKeys = join.rightKeys.map { $0.remapped { rightPlace[$0]! } }
            if let foreign = join.foreign { join.foreign?.primaryKeys = foreign.primaryKeys.map { $0.remapped { leftPlace[$0]! } } }
            var out = leftPlace
            for (old, new) in rightPlace { out[left + old] = leftPlan.width + new }
            join.condition = join.condition.map { $0.remapped { out[$0]! } }
            for i in join.keyNames.indices { out[left + right + i] = leftPlan.width + rightPlan.width + i }
            return (.join(join), out)
        case .materialize(let input, let step, let keyCount):
            let (below, place) = prune(input, keep: keep.union(0..<keyCount))
            return (.materialize(below, step: step, keyCount: keyCount), place)
        case .union(let inputs):
            // Each part ends in a projection, which leaves the same columns in the same places.
            let pruned = inputs.map { prune($0, keep: keep) }
            return (.union(pruned.map(\.plan)), pruned[0].place)
        case .ended(let input, let ending, let limit):
            // Its columns are counted by what is done to the rows.
            return (.ended(apply(input), ending, limit: limit), places(Array(0..<input.width)))
        case .aggregate(var node):
            let needed = (node.keys + node.arguments).reduce(into: Set<Int>()) { $0.formUnion($1.columns) }
            let (below, place) = prune(node.input, keep: needed)
            node.input = below
            node.keys = node.keys.map { $0.remapped { place[$0]! } }
            node.arguments = node.arguments.map { $0.remapped { place[$0]! } }
            return (.aggregate(node), places(Array(node.fields.indices)))
        }
    }

    private static func places(_ kept: [Int]) -> [Int: Int] {
        Dictionary(uniqueKeysWithValues: kept.enumerated().map { ($0.element, $0.offset) })
    }
}
