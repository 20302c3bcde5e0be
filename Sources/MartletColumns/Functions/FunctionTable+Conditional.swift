import MartletCore

extension FunctionTable {
    static func conditional(_ t: inout FunctionTable) {
        t.function("COALESCE", .conditional, "The first argument that is not NULL; NULL if all are.", shown: "COALESCE")
        t.columns("(T first, T... others) -> T") { call in firstValid(call) }
        t.function("IFNULL", .conditional, "The first argument, or the second where the first is NULL.")
        t.columns("(T expression, T alternative) -> T") { call in firstValid(call) }
        t.function("NULLIF", .conditional, "NULL where both arguments are equal, else the first.")
        t.columns("(T expression, T other) -> T") { call in
            let equal = ComparisonKernels.compare(.equal, call.arguments[0], call.arguments[1], count: call.count)
            var column = call.arguments[0].expanded(call.count).column
            for row in 0..<call.count where equal[row] { column.validity.setNull(row, count: call.count) }
            return column
        }
    }

    /// For each row the first argument with a value there; a single pass of gathering, whatever the type.
    private static func firstValid(_ call: KernelCall) -> Column {
        if call.arguments[0].column.validity.flags == nil { return call.arguments[0].expanded(call.count).column }
        var source = [UInt32](repeating: 0, count: call.count)
        var open = [Bool](repeating: true, count: call.count)
        var base = 0
        for argument in call.arguments {
            let validity = argument.column.validity
            for row in 0..<call.count where open[row] {
                source[row] = UInt32(base + argument.index(row))
                open[row] = !validity.isValid(argument.index(row))
            }
            base += argument.column.count
        }
        return Column.concatenated(call.arguments.map(\.column), type: call.type).gathered(source)
    }
}
