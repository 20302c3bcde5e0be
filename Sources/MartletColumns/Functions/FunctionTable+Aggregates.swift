import MartletCore

extension FunctionTable {
    /// The aggregate functions' names and types. Column arguments come first; brackets mark literal initial arguments.
    static func aggregates(_ t: inout FunctionTable) {
        let sameType: @Sendable ([SQLType?]) -> SQLType? = { $0[0] }
        let arrayOfFirst: @Sendable ([SQLType?]) -> SQLType? = { $0[0].map { .array($0) } }
        func aggregate(_ name: String, _ description: String, undo: Bool, shown: String? = nil) {
            t.function(name, .aggregate, description, shown: shown ?? name, kind: .aggregate, undo: undo)
        }

        aggregate("ATTR", "The value if all rows of the group have the same one, else NULL.", undo: true)
        t.signature("(T value) -> T")
        aggregate("AVG", "The mean of a column.", undo: true)
        for type in ["BIGINT", "INT", "DOUBLE"] { t.signature("(\(type) value) -> DOUBLE") }
        aggregate("COLLECT_LIST", "All values of the group, in order of arrival.", undo: true)
        t.signature("(T value) -> ARRAY<T>")
        aggregate("COLLECT_SET", "The distinct values of the group, in order of first arrival.", undo: false)
        t.signature("(T value) -> ARRAY<T>")
        aggregate("CORRELATION", "Pearson's correlation coefficient of two columns.", undo: true)
        for type in ["DOUBLE", "INT", "BIGINT"] { t.signature("(\(type) x, \(type) y) -> DOUBLE") }
        aggregate("COUNT", "The number of rows, or of rows whose value is not NULL.", undo: true)
        t.signature("() -> BIGINT")
        t.signature("(T value) -> BIGINT")
        aggregate("COUNT_DISTINCT", "The approximate number of distinct values that are not NULL.", undo: false)
        t.signature("(T value) -> BIGINT")
        for (name, which, limit) in [("EARLIEST_BY_OFFSET", "first", "earliest_n"), ("LATEST_BY_OFFSET", "last", "latest_n")] {
            aggregate(name, "The \(which) value of the group, or the \(which) n, by order of arrival. NULLs do not count unless the flag says so.", undo: false)
            t.signature("(T value) -> T")
            t.signature("(T value, [BOOLEAN ignore_nulls]) -> T")
            t.signature("(T value, [INT \(limit)]) -> ARRAY<T>")
            t.signature("(T value, [INT \(limit)], [BOOLEAN ignore_nulls]) -> ARRAY<T>")
        }
        aggregate("HISTOGRAM", "How often each value occurs in the group; at most 1000 different ones.", undo: true)
        t.signature("(VARCHAR value) -> MAP<VARCHAR, BIGINT>")
        for (name, which) in [("MAX", "largest"), ("MIN", "smallest")] {
            aggregate(name, "The \(which) value of the group; NULLs do not count.", undo: false)
            for type in ["INT", "BIGINT", "DOUBLE", "DATE", "TIME", "TIMESTAMP", "VARCHAR", "BYTES"] { t.signature("(\(type) value) -> \(type)") }
            t.signature("(DECIMAL value) -> DECIMAL", returns: sameType)
        }
        aggregate("STDDEV_SAMP", "The sample variance of a column. (The name promises its root: STDDEV_SAMPLE.)", undo: true)
        for type in ["BIGINT", "INT", "DOUBLE"] { t.signature("(\(type) value) -> DOUBLE") }
        aggregate("STDDEV_SAMPLE", "The sample standard deviation of a column.", undo: true)
        for type in ["BIGINT", "INT", "DOUBLE"] { t.signature("(\(type) value) -> DOUBLE") }
        aggregate("SUM", "The sum of a column.", undo: true)
        t.signature("(DECIMAL value) -> DECIMAL", returns: sameType)
        for type in ["DOUBLE", "BIGINT", "INT"] { t.signature("(\(type) value) -> \(type)") }
        aggregate("SUM_LIST", "The sum of all elements of the group's arrays.", undo: true)
        for type in ["DOUBLE", "INT", "BIGINT"] { t.signature("(ARRAY<\(type)> values) -> \(type)") }
        aggregate("TOPK", "The k largest values of the group, descending; with further columns, structs of each value and those columns.", undo: false)
        for type in ["INT", "BIGINT", "DOUBLE", "VARCHAR"] {
            t.signature("(\(type) value, [INT k]) -> ARRAY<\(type)>")
            t.signature("(\(type) value, ANY first, ANY... others, [INT k]) -> ARRAY<\(type)>") { types in
                let columns = types.dropLast().compactMap { $0 }
                guard let sort = columns.first else { return nil }
                return .array(.structure([Field("sort_col", sort)] + columns.dropFirst().enumerated().map { Field("col\($0.offset)", $0.element) }))
            }
        }
        aggregate("TOPKDISTINCT", "The k largest distinct values of the group, descending.", undo: false)
        for type in ["INT", "BIGINT", "DOUBLE", "VARCHAR", "DATE", "TIME", "TIMESTAMP", "BYTES"] {
            t.signature("(\(type) value, [INT k]) -> ARRAY<\(type)>")
        }
        t.signature("(DECIMAL value, [INT k]) -> ARRAY<DECIMAL>", returns: arrayOfFirst)
    }

    /// The table functions' names and types: the type of one row of the result is the element type.
    static func tableFunctions(_ t: inout FunctionTable) {
        t.function("EXPLODE", .table, "One row for each element of an array.", kind: .table)
        t.signature("(ARRAY<T> array) -> ARRAY<T>")
        t.function("CUBE_EXPLODE", .table, "One row for each way of replacing elements of an array by NULL.", kind: .table)
        t.signature("(ARRAY<T> array) -> ARRAY<ARRAY<T>>")
    }
}
