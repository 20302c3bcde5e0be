import MartletCore

/// `WITH name AS (query), …`: each use of a name stands for its query, so that nothing behind the parser knows of them.
struct NamedQueries {
    /// Each query may use the names before it.
    private var queries: [String: Query] = [:]
    private var uses = 0
    /// A name that is used twice by one that is used twice … would not end.
    private static let usesMax = 1_000

    init(_ tables: [(name: Identifier, query: Query)]) throws(MartletError) {
        for table in tables { queries[table.name.name] = try expand(table.query) }
    }

    mutating func expand(_ query: Query) throws(MartletError) -> Query {
        var out = query
        out.from = try expand(query.from)
        for index in out.unions.indices { out.unions[index] = try expand(out.unions[index]) }
        return out
    }

    private mutating func expand(_ relation: Relation) throws(MartletError) -> Relation {
        switch relation {
        case .source(let name, let alias):
            guard let query = queries[name.name] else { return relation }
            uses += query.size
            guard uses <= Self.usesMax else {
                throw MartletError(.syntax, "Failed to prepare statement: WITH expands to more than \(Self.usesMax) queries", at: name.span)
            }
            return .subquery(query, alias: alias ?? name)
        case .join(var join):
            join.left = try expand(join.left)
            join.right = try expand(join.right)
            return .join(join)
        case .subquery(let query, let alias): return .subquery(try expand(query), alias: alias)
        }
    }
}

extension Query {
    /// Number of SELECTs in it.
    var size: Int { 1 + from.size + unions.reduce(0) { $0 + $1.size } }
}

extension Relation {
    fileprivate var size: Int {
        switch self {
        case .source: 0
        case .join(let join): join.left.size + join.right.size
        case .subquery(let query, _): query.size
        }
    }
}
