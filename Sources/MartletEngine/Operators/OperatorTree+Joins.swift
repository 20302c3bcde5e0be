import MartletColumns
import MartletCore
import MartletSQL

/// Which operator does which join.
extension OperatorTree {
    /// Makes the operator of a join: its output is the columns of the left node, those of the right, then the key's.
    static func compile(
        _ join: PhysicalPlan.Join, left: PhysicalPlan.Node, right: PhysicalPlan.Node, _ setup: OperatorSetup
    ) throws(MartletError) -> any StreamOperator {
        switch join.method {
        case .streamTable: return try StreamTableJoin(join, right: right, setup)
        case .tableTable: return try TableTableJoin(join, left: left, right: right, setup)
        case .streamStream(let before, let after, let grace):
            return try StreamStreamJoin(
                join, StreamStreamJoin.Bounds(kind: join.kind, beforeMs: before, afterMs: after, graceMs: grace), left: left, right: right, setup)
        case .foreignKey(let keyCount): return try ForeignKeyJoin(join, keyCount: keyCount, left: left, right: right, setup)
        }
    }

    /// Names of the stores that a join may have.
    static func stores(of join: PhysicalPlan.Join) -> [String] {
        switch join.method {
        case .streamTable: [join.step + "-Right"]
        case .tableTable, .streamStream: [join.step + "-Left", join.step + "-Right"]
        case .foreignKey: [join.step + "-Right", join.step + "-Subscriptions"]
        }
    }

    /// Makes `subscribe` and `resolve`, the steps around a foreign-key join.
    static func compileForeignKeyStep(
        _ description: PhysicalOperator, below: PhysicalPlan.Node, _ setup: OperatorSetup
    ) throws(MartletError) -> any StreamOperator {
        switch description {
        case .subscribe(let keyCount, let foreignKeyCount, let isLeft):
            return Subscribe(keyCount: keyCount, foreignKeyCount: foreignKeyCount, isLeft: isLeft)
        case .resolve(let step, let keyCount):
            return Resolve(step: step, keyCount: keyCount, types: below.outputTypes, isPersistent: setup.isPersistent)
        default: throw MartletError(.internalError, "not a step of a foreign-key join")
        }
    }
}
