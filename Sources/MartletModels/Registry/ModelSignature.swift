import MartletCore

/// A model as SQL sees it: a scalar function with named arguments.
public struct ModelSignature: Sendable, Hashable, Codable {
    /// Arguments in order. Numbers are accepted in any numeric type and cast to the type here.
    public var inputs: [Field]
    public var output: SQLType

    public init(inputs: [Field], output: SQLType) {
        self.inputs = inputs
        self.output = output
    }
}
