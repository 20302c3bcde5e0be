import MartletCore

/// One part of a compiled expression; children come before parents.
struct Node: Sendable {
    enum Operation: Sendable {
        case column(Int)
        case literal(SQLValue)
        case arithmetic(ArithmeticOperator)
        case negate
        case compare(ComparisonOperator)
        case and, or, not, isNull, isNotNull
        case isIn
        case like(LikePattern?, escape: String?)
        /// Children: condition, result, condition, result … [otherwise].
        case searchedCase
        case cast
        case call(Kernel)
        case model(any BatchModel)
        case index
        case field(String)
        case array
        /// Children: keys, then values.
        case map
        case structure([String])
        /// Children: the body. The slots are its parameters' variables.
        case lambda([Int])
        case variable(Int)
    }

    var operation: Operation
    var children: [Int]
    var type: SQLType
    /// No column, variable, model or changing function below: one value for every batch.
    var isConstant: Bool
    var usesVariables: Bool
    /// RANDOM() below: another value each time.
    var isChanging = false
    /// Cheap, and cannot fail: worth evaluating for all rows rather than for a selection of them.
    var isTrivial: Bool
}

/// Flattens expressions into nodes, equal ones into one.
struct ExpressionCompiler {
    private(set) var nodes: [Node] = []
    private let models: [String: any BatchModel]
    private let registry: FunctionRegistry
    private var known: [BoundExpression: Int] = [:]
    private var scope: [(name: String, slot: Int)] = []
    private var slotCount = 0

    init(models: [String: any BatchModel], registry: FunctionRegistry) {
        self.models = models
        self.registry = registry
    }

    mutating func compile(_ expression: BoundExpression) throws(MartletError) -> Int {
        if let node = known[expression] { return node }
        if case .cast(let inner, let type) = expression, inner.type == type { return try compile(inner) }
        let node = try make(expression)
        nodes.append(node)
        // RANDOM() twice is two values; a variable's name means different things in different lambdas.
        if !node.usesVariables && !node.isChanging { known[expression] = nodes.count - 1 }
        return nodes.count - 1
    }

    private mutating func all(_ expressions: [BoundExpression]) throws(MartletError) -> [Int] {
        var out: [Int] = []
        for expression in expressions { out.append(try compile(expression)) }
        return out
    }

    // Mutating, so that the children in its arguments are compiled before the nodes are read.
    private mutating func node(_ operation: Node.Operation, _ children: [Int], _ type: SQLType, trivial: Bool = false) -> Node {
        Node(
            operation: operation, children: children, type: type, isConstant: children.allSatisfy { nodes[$0].isConstant },
            usesVariables: children.contains { nodes[$0].usesVariables }, isChanging: children.contains { nodes[$0].isChanging },
            isTrivial: trivial && children.allSatisfy { nodes[$0].isTrivial })
    }

    private mutating func make(_ expression: BoundExpression) throws(MartletError) -> Node {
        switch expression {
        case .column(let index, let type):
            return Node(operation: .column(index), children: [], type: type, isConstant: false, usesVariables: false, isTrivial: true)
        case .literal(let value, let type):
            return node(.literal(value), [], type, trivial: true)
        case .arithmetic(let op, let a, let b, let type):
            return node(.arithmetic(op), try all([a, b]), type)
        case .negate(let a, let type):
            return node(.negate, try all([a]), type)
        case .compare(let op, let a, let b):
            return node(.compare(op), try all([a, b]), .boolean, trivial: !a.type.isNested)
        case .and(let a, let b): return node(.and, try all([a, b]), .boolean, trivial: true)
        case .or(let a, let b): return node(.or, try all([a, b]), .boolean, trivial: true)
        case .not(let a): return node(.not, try all([a]), .boolean, trivial: true)
        case .isNull(let a): return node(.isNull, try all([a]), .boolean, trivial: true)
        case .isNotNull(let a): return node(.isNotNull, try all([a]), .boolean, trivial: true)
        case .isIn(let a, let options): return node(.isIn, try all([a] + options), .boolean)
        case .like(let text, let pattern, let escape):
            var compiled: LikePattern?
            if case .literal(.string(let pattern), _) = pattern { compiled = try LikePattern(pattern, escape: escape) }
            return node(.like(compiled, escape: escape), try all([text, pattern]), .boolean)
        case .searchedCase(let branches, let otherwise, let type):
            var children: [Int] = []
            for branch in branches { children += try all([branch.condition, branch.result]) }
            if let otherwise { children.append(try compile(otherwise)) }
            return node(.searchedCase, children, type)
        case .cast(let a, let type):
            guard CastRules.canCast(a.type, to: type) || isNullLiteral(a) else {
                throw MartletError(.typeMismatch, "Cast of \(a.type) to \(type) is not supported")
            }
            if isNullLiteral(a) { return node(.literal(.null), [], type, trivial: true) }
            return node(.cast, try all([a]), type)
        case .call(let name, let arguments, let type): return try call(name, arguments, type)
        case .model(let name, let arguments, let type):
            guard let model = models[name] else { throw MartletError(.unknownModel, "model \(name) does not exist") }
            var made = node(.model(model), try all(arguments), type)
            made.isConstant = false
            return made
        case .subscript_(let base, let index, let type): return node(.index, try all([base, index]), type)
        case .field(let base, let name, let type): return node(.field(name), try all([base]), type, trivial: true)
        case .array(let elements, let type): return node(.array, try all(elements), type)
        case .map(let keys, let values, let type): return node(.map, try all(keys + values), type)
        case .structure(let names, let values, let type): return node(.structure(names), try all(values), type)
        case .lambda(let parameters, let body):
            var slots: [Int] = []
            for parameter in parameters {
                scope.append((parameter.name, slotCount))
                slots.append(slotCount)
                slotCount += 1
            }
            let compiled = try compile(body)
            scope.removeLast(parameters.count)
            var made = node(.lambda(slots), [compiled], body.type)
            made.usesVariables = !scope.isEmpty
            made.isConstant = false
            return made
        case .variable(let name, let type):
            guard let slot = scope.last(where: { $0.name == name })?.slot else {
                throw MartletError(.unknownColumn, "lambda variable \(name) is not defined here")
            }
            return Node(operation: .variable(slot), children: [], type: type, isConstant: false, usesVariables: true, isTrivial: true)
        }
    }

    private func isNullLiteral(_ expression: BoundExpression) -> Bool {
        if case .literal(.null, _) = expression { true } else { false }
    }

    private mutating func call(_ name: String, _ arguments: [BoundExpression], _ type: SQLType) throws(MartletError) -> Node {
        guard registry.function(named: name) != nil else {
            throw MartletError(.unknownFunction, "Can't find any functions with the name '\(name)'")
        }
        let (signature, converted) = try signature(name, arguments)
        guard let kernel = signature.kernel else {
            throw MartletError(.notSupported, "function \(name) cannot be used as a scalar function")
        }
        let children = try all(converted)
        var made = node(.call(kernel), children, type)
        if !signature.isDeterministic {
            made.isConstant = false
            made.isChanging = true
        }
        return made
    }

    /// The overload for arguments that the analyzer has already converted; were they not, they are now.
    private func signature(_ name: String, _ arguments: [BoundExpression]) throws(MartletError) -> (FunctionSignature, [BoundExpression]) {
        let signatures = registry.scalar(named: name)
        let types = arguments.map { argument -> ArgumentType in
            switch argument {
            case .lambda(let parameters, _): .lambda(parameterCount: parameters.count)
            default: .type(argument.type)
            }
        }
        var best: FunctionSignature?
        for signature in signatures where signature.accepts(count: arguments.count) {
            var fitted = types
            for i in types.indices where signature.parameter(i, of: types.count)?.type == .unit {
                if case .literal(.string, _) = arguments[i] { fitted[i] = .unit }
            }
            guard SignatureMatch(signature, fitted, implicit: false) != nil else { continue }
            // The same preference as the analyzer's.
            if let other = best, !other.rank.lexicographicallyPrecedes(signature.rank) { continue }
            best = signature
        }
        if let best { return (best, arguments) }
        let resolved = try registry.resolve(name, arguments: types)
        return (resolved.signature, zip(arguments, resolved.parameterTypes).map { argument, type in type.map { .cast(argument, $0) } ?? argument })
    }
}
