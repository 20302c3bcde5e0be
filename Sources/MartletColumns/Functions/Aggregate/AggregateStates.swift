import MartletCore

/// Where the states of aggregate functions come from.
public enum AggregateStates {
    /// An empty state for `call`, whose name and argument types the function table has.
    ///
    /// - `properties`: the session's; `ksql.functions.<function>.<name>` of them concern functions.
    /// - Throws: `.unknownFunction`; `.typeMismatch` if the function does not take such arguments; `.invalidProperty`.
    public static func make(_ call: AggregateCall, properties: [String: String] = [:]) throws(MartletError) -> any AggregateState {
        let type = call.argumentTypes.first
        func mismatch() -> MartletError {
            MartletError(.typeMismatch, "\(call.name) does not aggregate \(call.argumentTypes.map(\.description).joined(separator: ", "))")
        }
        switch call.name {
        case "COUNT": return CountState()
        case "SUM":
            switch type {
            case .integer?: return SumIntegerState()
            case .bigint?: return SumBigintState()
            case .double?: return SumDoubleState()
            case .decimal(let precision, let scale)?: return SumDecimalState(precision: precision, scale: scale)
            default: throw mismatch()
            }
        case "SUM_LIST":
            switch type {
            case .array(.integer)?: return ListSumIntegerState()
            case .array(.bigint)?: return ListSumBigintState()
            case .array(.double)?: return ListSumDoubleState()
            default: throw mismatch()
            }
        case "AVG":
            switch type {
            case .integer?: return AverageIntegerState()
            case .bigint?: return AverageBigintState()
            case .double?: return AverageDoubleState()
            default: throw mismatch()
            }
        case "MIN", "MAX":
            let isLargest = call.name == "MAX"
            switch type {
            case .integer?, .date?, .time?: return ExtremeIntegerState(call.argumentTypes[0], isLargest: isLargest)
            case .bigint?, .timestamp?: return ExtremeBigintState(call.argumentTypes[0], isLargest: isLargest)
            case .double?: return ExtremeDoubleState(isLargest: isLargest)
            case .decimal?: return ExtremeDecimalState(call.argumentTypes[0], isLargest: isLargest)
            case .string?: return ExtremeBytesState(isText: true, isLargest: isLargest)
            case .bytes?: return ExtremeBytesState(isText: false, isLargest: isLargest)
            default: throw mismatch()
            }
        default: throw MartletError(.unknownFunction, "Can't find any functions with the name '\(call.name)'")
        }
    }
}
