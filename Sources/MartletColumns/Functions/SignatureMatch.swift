import MartletCore

/// One overload laid over the arguments of a call: type variables bound, conversions found.
struct SignatureMatch {
    private(set) var bindings: [String: SQLType] = [:]
    private let patterns: [ParameterType]
    private let arguments: [ArgumentType]

    /// Nil if the signature does not take these arguments. `implicit` allows conversions (CastRules.canImplicitlyCast; any DECIMAL for INT).
    init?(_ signature: FunctionSignature, _ arguments: [ArgumentType], implicit: Bool) {
        guard signature.accepts(count: arguments.count) else { return nil }
        var patterns: [ParameterType] = []
        for i in arguments.indices {
            guard let parameter = signature.parameter(i, of: arguments.count) else { return nil }
            if parameter.isInitial, case .type = arguments[i] { return nil }
            patterns.append(parameter.type)
        }
        self.patterns = patterns
        self.arguments = arguments
        for (pattern, argument) in zip(patterns, arguments) {
            switch (pattern, argument) {
            case (.lambda(let parameters, _), .lambda(let count)):
                if parameters.count != count { return nil }
            case (.unit, .unit), (_, .null): break
            case (.lambda, _), (.unit, _), (_, .lambda), (_, .unit): return nil
            case (_, .type(let type)), (_, .literal(let type)):
                if !bind(pattern, type, implicit: implicit) { return nil }
            }
        }
    }

    private mutating func bind(_ pattern: ParameterType, _ type: SQLType, implicit: Bool) -> Bool {
        switch (pattern, type) {
        case (.any, _): return true
        case (.variable(let name), _):
            guard let before = bindings[name] else {
                bindings[name] = type
                return true
            }
            if before == type { return true }
            guard let common = ArithmeticTypes.common(before, type) else {
                // A date-time type beside text that may denote one.
                guard implicit, (before == .string && type.isTime) || (type == .string && before.isTime) else { return false }
                bindings[name] = before == .string ? type : before
                return true
            }
            // Decimals of different scale are one type as far as the choice is concerned.
            if case .decimal = before, case .decimal = type {} else if !implicit { return false }
            bindings[name] = common
            return true
        case (.array(let element), .array(let inner)): return bind(element, inner, implicit: implicit)
        case (.map(let key, let value), .map(let innerKey, let innerValue)):
            return bind(key, innerKey, implicit: implicit) && bind(value, innerValue, implicit: implicit)
        case (.structure(let fields), .structure(let inner)):
            guard fields.count == inner.count else { return false }
            for (field, given) in zip(fields, inner) {
                guard field.name == given.name, bind(field.type, given.type, implicit: implicit) else { return false }
            }
            return true
        case (.decimal, .decimal): return true
        case (.decimal, .integer), (.decimal, .bigint): return implicit
        default:
            guard let wanted = pattern.bound(bindings) else { return false }
            return wanted == type || (implicit && CastRules.canImplicitlyCast(type, to: wanted))
        }
    }

    /// The type an argument of `type` is cast to for `pattern`.
    private func converted(_ pattern: ParameterType, _ type: SQLType) -> SQLType? {
        switch (pattern, type) {
        case (.decimal, _):
            return ArithmeticTypes.decimalShape(type).map { .decimal(precision: $0.precision, scale: $0.scale) }
        case (.any, _): return type
        case (.array(let element), .array(let inner)): return converted(element, inner).map { .array($0) }
        default: return pattern.bound(bindings)
        }
    }

    func resolved(_ function: FunctionDescription, _ signature: FunctionSignature) throws(MartletError) -> ResolvedFunction {
        var types: [SQLType?] = [], lambdas: [[SQLType]?] = []
        for (pattern, argument) in zip(patterns, arguments) {
            switch argument {
            case .type(let type), .literal(let type):
                types.append(converted(pattern, type))
                lambdas.append(nil)
            case .null:
                types.append(pattern.bound(bindings))
                lambdas.append(nil)
            case .unit:
                types.append(nil)
                lambdas.append(nil)
            case .lambda:
                types.append(nil)
                guard case .lambda(let parameters, _) = pattern else { continue }
                var bound: [SQLType] = []
                for parameter in parameters {
                    guard let type = parameter.bound(bindings) else {
                        throw FunctionRegistry.error("Function '\(function.displayName)' does not accept parameters", function, arguments)
                    }
                    bound.append(type)
                }
                lambdas.append(bound)
            }
        }
        if signature.commonDecimal {
            let common = types.compactMap { $0 }.reduce(SQLType?.none) { soFar, type in soFar.map { ArithmeticTypes.common($0, type) ?? type } ?? type }
            types = types.map { _ in common }
        }
        let resolved = ResolvedFunction(
            name: function.name, kind: function.kind, signature: signature, parameterTypes: types, lambdaParameters: lambdas,
            bindings: bindings)
        if resolved.returnType == nil, !lambdas.contains(where: { $0 != nil }) {
            throw FunctionRegistry.error("Function '\(function.displayName)' does not accept parameters", function, arguments)
        }
        return resolved
    }
}
