import MartletCore

extension FunctionTable {
    static func maps(_ t: inout FunctionTable) {
        t.function("AS_MAP", .map, "A map of an array of keys and an array of values, taken pairwise; a key without a value has NULL.")
        t.columns("(ARRAY<VARCHAR> keys, ARRAY<T> values) -> MAP<VARCHAR, T>") { ListKernels.map(&$0) }
        t.function("MAP_KEYS", .map, "The keys of a map, as an array.")
        t.columns("(MAP<VARCHAR, T> map) -> ARRAY<VARCHAR>") { call in
            guard case .map(let map) = call.arguments[0].column else { preconditionFailure("MAP_KEYS of a map") }
            return .array(ListColumn(offsets: map.offsets, elements: map.keys, validity: map.validity))
        }
        t.function("MAP_VALUES", .map, "The values of a map, as an array.")
        t.columns("(MAP<VARCHAR, T> map) -> ARRAY<T>") { call in
            guard case .map(let map) = call.arguments[0].column else { preconditionFailure("MAP_VALUES of a map") }
            return .array(ListColumn(offsets: map.offsets, elements: map.values, validity: map.validity))
        }
        t.function("MAP_UNION", .map, "The entries of both maps; where a key is in both, the second map's value. A NULL map counts as empty; NULL if both are.")
        t.columns("(MAP<VARCHAR, T> left, MAP<VARCHAR, T> right) -> MAP<VARCHAR, T>") { ListKernels.mapUnion(&$0) }
        t.function("ENTRIES", .map, "The entries of a map as an array of structs of K and V, optionally sorted by key.")
        for (type, field) in [("INT", "INT"), ("BIGINT", "BIGINT"), ("DOUBLE", "DOUBLE"), ("BOOLEAN", "BOOLEAN"), ("VARCHAR", "VARCHAR")] {
            t.columns("(MAP<VARCHAR, \(type)> map, BOOLEAN sorted) -> ARRAY<STRUCT<K VARCHAR, V \(field)>>") { ListKernels.entries(&$0) }
        }
    }
}
