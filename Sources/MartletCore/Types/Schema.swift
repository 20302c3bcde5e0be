/// Columns of a stream or table: key columns first, then value columns (and header columns last).
///
/// Order inside each part is the order of declaration.
public struct Schema: Sendable, Hashable, Codable {
    public var key: [Field]
    public var value: [Field]

    public init(key: [Field] = [], value: [Field]) {
        self.key = key
        self.value = value
    }

    /// Key columns, then value columns.
    public var all: [Field] { key + value }

    public func index(of name: String) -> Int? { all.firstIndex { $0.name == name } }
    public func isKey(_ name: String) -> Bool { key.contains { $0.name == name } }
}

extension Schema: CustomStringConvertible {
    /// ksqlDB's text form: `` `ID` BIGINT KEY, `NAME` STRING ``.
    public var description: String {
        (key.map { "\(SQLType.quoted($0.name)) \($0.type) KEY" } + value.map { "\(SQLType.quoted($0.name)) \($0.type)" })
            .joined(separator: ", ")
    }
}
