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

    /// The types to cast the arguments of a call to.
    ///
    /// - `arguments`: the type of each argument; nil for a NULL literal, which fits everything.
    /// - Throws: `.badStatement` for a wrong number of arguments, `.typeMismatch` for a type that does not fit; both name the model and say
    ///   what it takes.
    public func argumentTypes(for arguments: [SQLType?], model name: String) throws(MartletError) -> [SQLType] {
        guard arguments.count == inputs.count else {
            throw MartletError(
                .badStatement, "Model \(name) expects \(inputs.count) \(inputs.count == 1 ? "argument" : "arguments") (\(inputsText)), got \(arguments.count)")
        }
        for (i, argument) in arguments.enumerated() {
            guard let argument, !Self.accepts(inputs[i].type, argument) else { continue }
            throw MartletError(
                .typeMismatch, "Model \(name) expects \(inputs[i].type) for argument \(i + 1) (\(inputs[i].name)), got \(argument)",
                hint: "its arguments are \(inputsText)")
        }
        return inputs.map(\.type)
    }

    /// `V1 DOUBLE, V2 DOUBLE`; the middle of more than eight is left out.
    private var inputsText: String {
        let texts = inputs.map { "\($0.name) \($0.type)" }
        return texts.count <= 8 ? texts.joined(separator: ", ") : (texts.prefix(3) + ["…"] + texts.suffix(2)).joined(separator: ", ")
    }

    private static func accepts(_ parameter: SQLType, _ argument: SQLType) -> Bool {
        parameter == argument || (parameter.isNumeric && argument.isNumeric)
    }
}
