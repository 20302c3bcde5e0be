import MartletCore

/// Everything a name in a statement can mean: an immutable snapshot against which statements are analysed.
public struct Catalog: Sendable, Hashable, Codable {
    public var sources: [String: Source] = [:]
    public var types: [String: SQLType] = [:]
    public var models: [String: ModelEntry] = [:]
    /// Persistent queries: id → what it reads and writes.
    public var queries: [String: QueryEntry] = [:]

    public init() {}

    /// Queries that read `source`, by id.
    public func readers(of source: String) -> [String] { queries.filter { $0.value.sources.contains(source) }.keys.sorted() }
    /// Queries that write `source`, by id.
    public func writers(of source: String) -> [String] { queries.filter { $0.value.sink == source }.keys.sorted() }
}

/// A model as SQL sees it: a scalar function of its name.
public struct ModelEntry: Sendable, Hashable, Codable {
    public var name: String
    public var inputs: [Field]
    public var output: SQLType
    public init(name: String, inputs: [Field], output: SQLType) {
        self.name = name
        self.inputs = inputs
        self.output = output
    }
}

public struct QueryEntry: Sendable, Hashable, Codable {
    public var id: String
    public var sources: [String]
    public var models: [String]
    public var sink: String
    public var statement: String
    public init(id: String, sources: [String], models: [String], sink: String, statement: String) {
        self.id = id
        self.sources = sources
        self.models = models
        self.sink = sink
        self.statement = statement
    }
}
