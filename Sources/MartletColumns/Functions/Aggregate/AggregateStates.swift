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
        case "STDDEV_SAMP", "STDDEV_SAMPLE":
            let isRoot = call.name == "STDDEV_SAMPLE"
            switch type {
            case .integer?: return DeviationIntegerState(isRoot: isRoot)
            case .bigint?: return DeviationBigintState(isRoot: isRoot)
            case .double?: return DeviationDoubleState(isRoot: isRoot)
            default: throw mismatch()
            }
        case "CORRELATION":
            switch (type, call.argumentTypes.count) {
            case (.integer?, 2): return CorrelationIntegerState()
            case (.bigint?, 2): return CorrelationBigintState()
            case (.double?, 2): return CorrelationDoubleState()
            default: throw mismatch()
            }
        case "HISTOGRAM":
            if type != .string { throw mismatch() }
            return HistogramState()
        case "COUNT_DISTINCT":
            if type == nil { throw mismatch() }
            return DistinctCountState()
        case "ATTR":
            guard let type else { throw mismatch() }
            return AttributeState(type)
        case "COLLECT_LIST", "COLLECT_SET":
            guard let type else { throw mismatch() }
            let limit = try collectionLimit(call.name.lowercased(), properties)
            return call.name == "COLLECT_LIST" ? CollectListState(type, limit: limit) : CollectSetState(type, limit: limit)
        case "LATEST_BY_OFFSET", "EARLIEST_BY_OFFSET":
            guard let type else { throw mismatch() }
            let isLatest = call.name == "LATEST_BY_OFFSET"
            var limit: Int?, ignoresNulls = true
            for constant in call.constants {
                switch constant {
                case .integer(let n): limit = Int(n)
                case .boolean(let flag): ignoresNulls = flag
                default: throw mismatch()
                }
            }
            guard let limit else { return OffsetState(type, isLatest: isLatest, ignoresNulls: ignoresNulls) }
            if limit < 1 { throw MartletError(.badRequest, "\(isLatest ? "latestN" : "earliestN") must be 1 or greater") }
            return OffsetsState(type, isLatest: isLatest, limit: limit, ignoresNulls: ignoresNulls)
        case "TOPK", "TOPKDISTINCT":
            guard case .integer(let k)? = call.constants.first, case .array(let element) = call.type else { throw mismatch() }
            if k < 1 { throw MartletError(.badRequest, "\(call.name.lowercased()): k must be 1 or more, not \(k)") }
            let types = call.argumentTypes, limit = Int(k), isDistinct = call.name == "TOPKDISTINCT"
            switch type {
            case .integer?, .bigint?, .double?, .date?, .time?, .timestamp?:
                return TopNumberState(types, element: element, limit: limit, isDistinct: isDistinct)
            case .decimal?: return TopDecimalState(types, element: element, limit: limit, isDistinct: isDistinct)
            case .string?: return TopTextState(types, element: element, limit: limit, isDistinct: isDistinct)
            case .bytes?: return TopBytesState(types, element: element, limit: limit, isDistinct: isDistinct)
            default: throw mismatch()
            }
        default: throw MartletError(.unknownFunction, "Can't find any functions with the name '\(call.name)'")
        }
    }
    /// `ksql.functions.<function>.limit`: elements a collection has at most; without it there is no limit.
    private static func collectionLimit(_ function: String, _ properties: [String: String]) throws(MartletError) -> Int {
        let name = "ksql.functions.\(function).limit"
        guard let text = properties[name] else { return .max }
        guard let limit = Int(text), limit > 0 else {
            throw MartletError(.invalidProperty, "\(name) is a positive number of elements, not '\(text)'")
        }
        return limit
    }
}

extension FunctionRegistry {
    /// As `AggregateStates.make`, and for this registry's functions that are given row by row.
    public func aggregate(_ call: AggregateCall, properties: [String: String] = [:]) throws(MartletError) -> any AggregateState {
        guard let function = function(named: call.name), function.signatures.contains(where: { $0.rowAggregate != nil }) else {
            return try AggregateStates.make(call, properties: properties)
        }
        let arguments = call.argumentTypes.map { ArgumentType.type($0) } + call.constants.map { $0.type.map { .literal($0) } ?? .null }
        guard let row = try resolve(call.name, arguments: arguments).signature.rowAggregate else {
            return try AggregateStates.make(call, properties: properties)
        }
        return RowState(RowKernel(row, constants: call.constants, type: call.type))
    }

    /// The table function of these arguments, if it is one that is given row by row.
    public func tableRowFunction(_ name: String, argumentTypes: [SQLType]) throws(MartletError) -> TableRowFunction? {
        guard let function = function(named: name), function.signatures.contains(where: { $0.rowTable != nil }) else { return nil }
        return try resolve(name, arguments: argumentTypes.map { .type($0) }).signature.rowTable
    }
}

extension SQLValue {
    /// The type of a scalar value; nil for null and nested values, of which the value does not say it.
    var type: SQLType? {
        switch self {
        case .boolean: .boolean
        case .integer: .integer
        case .bigint: .bigint
        case .double: .double
        case .decimal(let v): .decimal(precision: max(v.precision, v.scale), scale: v.scale)
        case .string: .string
        case .bytes: .bytes
        case .date: .date
        case .time: .time
        case .timestamp: .timestamp
        case .null, .array, .map, .structure: nil
        }
    }
}
