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
        case .streamTable: return StreamTableJoin(join, leftTypes: left.outputTypes, rightTypes: right.outputTypes)
        case .streamStream, .tableTable, .foreignKey:
            throw MartletError(.notSupported, "joins of this kind are not supported by this release")
        }
    }

    /// Makes `subscribe` and `resolve`, the steps around a foreign-key join.
    static func compileForeignKeyStep(
        _ description: PhysicalOperator, below: PhysicalPlan.Node, _ setup: OperatorSetup
    ) throws(MartletError) -> any StreamOperator {
        throw MartletError(.notSupported, "joins of this kind are not supported by this release")
    }
}
