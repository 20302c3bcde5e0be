import MartletColumns
import MartletCore

/// UNION ALL: rows go on as they come.
final class Union: StatelessOperator {
    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        var out = batch
        // They are rows of a stream now, and of several topics.
        out.previous = nil
        out.offsets = []
        return out
    }
}
