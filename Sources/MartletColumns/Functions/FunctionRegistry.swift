import MartletCore

/// What the resolver knows about one argument of a call.
public enum ArgumentType: Sendable, Hashable {
    case type(SQLType)
    /// A literal of this type. Only IFNULL, COALESCE and NULLIF treat it otherwise than `.type`: beside text it is taken as text.
    case literal(SQLType)
    /// The literal NULL: fits everywhere.
    case null
    case lambda(parameterCount: Int)
    /// A bare time unit (DAYS, HOURS …); the call has it as a STRING literal.
    case unit
}

/// The overload chosen for a call.
public struct ResolvedFunction: Sendable {
    public let name: String
    public let kind: FunctionDescription.Kind
    public let signature: FunctionSignature
    /// The type each argument is to be cast to; nil for lambdas, units, and null literals whose type nothing determines (STRING does for those).
    public let parameterTypes: [SQLType?]
    /// For each lambda argument the types of its parameters; nil for other arguments.
    public let lambdaParameters: [[SQLType]?]
    let bindings: [String: SQLType]

    /// The result type; nil if it depends on what a lambda returns.
    public var returnType: SQLType? { signature.returnRule.map { $0(parameterTypes) } ?? signature.returns.bound(bindings) }

    /// The result type given the types of the lambda bodies, in argument order.
    ///
    /// - Throws: `.typeMismatch` if a body's type contradicts the signature.
    public func returnType(lambdaResults: [SQLType]) throws(MartletError) -> SQLType {
        var bindings = bindings
        var results = lambdaResults[...]
        for (index, argument) in lambdaParameters.enumerated() where argument != nil {
            guard let result = results.popFirst(), case .lambda(_, let pattern)? = signature.parameter(index, of: parameterTypes.count)?.type
            else { break }
            if case .variable(let variable) = pattern, bindings[variable] == nil {
                bindings[variable] = result
            } else if pattern.bound(bindings) != result {
                let wanted = pattern.bound(bindings).map(\.description) ?? pattern.description
                throw MartletError(.typeMismatch, "the lambda of function '\(name)' returns \(result), not \(wanted)")
            }
        }
        guard let type = signature.returns.bound(bindings) else {
            throw MartletError(.typeMismatch, "the result type of function '\(name)' does not follow from its arguments")
        }
        return type
    }
}

/// A scalar function as a closure over one row's values: for what no batch is worth.
public struct RowFunction: Sendable {
    /// Upper case.
    public var name: String
    /// In the notation of the function tables, e.g. `(INT a, VARCHAR... more) -> VARCHAR`. A mistake in it is a mistake of the program's and stops it.
    public var signature: String
    /// Arguments as the signature has them, nulls included. What it throws makes the result null and is reported.
    public var evaluate: @Sendable ([SQLValue]) throws(MartletError) -> SQLValue

    public init(_ name: String, _ signature: String, _ evaluate: @escaping @Sendable ([SQLValue]) throws(MartletError) -> SQLValue) {
        self.name = name
        self.signature = signature
        self.evaluate = evaluate
    }
}

/// All functions by name: what SHOW FUNCTIONS lists, what the analyzer resolves calls against, and where the kernels are.
public final class FunctionRegistry: Sendable {
    public static let builtin: FunctionRegistry = {
        var table = FunctionTable()
        for register in FunctionTable.all { register(&table) }
        return FunctionRegistry(table)
    }()

    private let functions: [String: FunctionDescription]

    /// Where a function does not do just what ksqlDB's does, in sentences for the reference page.
    public static let differences = [
        "DECIMAL ends at 38 digits; GREATEST and LEAST of DECIMALs of several scales show all digits of the widest; `IFNULL(text, -1)` and its like take a number beside text as text.",
        "Patterns of `DateTimeFormatter`: texts are English and weeks those of the United States. Zone names (`z`) are the abbreviations of the system's "
            + "tz database, with four letters too; a zone whose abbreviation is a number is shown by its id. `p` (padding) and `F`, `g`, `v` are refused.",
        "Patterns of `SimpleDateFormat` (PARSE_DATE): weeks (`w`, `W`, `F`) are refused, zones are `Z`, `GMT`, `UTC` and offsets, and the calendar is "
            + "Gregorian before 1582 too.",
        "Regular expressions are Java's (`java.util.regex`, `\\b` as since JDK 19). Refused: `\\N{…}`, `\\X`, `\\b{g}`, and scripts and blocks other than "
            + "the main ones. A match that would need more than 20 million steps on one text fails instead of holding up the stream.",
        "GENERATE_SERIES makes at most 10 million elements.",
        "JSON_ARRAY_CONTAINS compares DECIMALs with JSON numbers by value; EXTRACTJSONFIELD also takes `$['name']`.",
        "Entries of a map come in the order in which they were put in (MAP_KEYS, MAP_VALUES, ENTRIES, REDUCE, CAST to STRING), not in that of a Java HashMap.",
    ]

    init(_ table: FunctionTable) { functions = table.functions }

    /// This registry's functions and those that `register` adds: for functions that are not the product's, such as a test's.
    func adding(_ register: (inout FunctionTable) -> Void) -> FunctionRegistry {
        var table = FunctionTable()
        table.functions = functions
        register(&table)
        return FunctionRegistry(table)
    }

    /// This registry's functions and further scalar ones that are given row by row. Of several with one name each is an overload.
    public func adding(_ functions: [RowFunction]) -> FunctionRegistry {
        adding { table in
            for name in Set(functions.map(\.name)).sorted() {
                table.function(name, .other, "A function that is given row by row.")
                for function in functions where function.name == name {
                    table.boxedWithNulls(function.signature) { try function.evaluate($0) }
                }
            }
        }
    }

    /// This registry's functions and further aggregates that are given row by row. Of several with one name each is an overload.
    public func adding(aggregates: [AggregateRowFunction]) -> FunctionRegistry {
        adding { table in
            for name in Set(aggregates.map(\.name)).sorted() {
                let overloads = aggregates.filter { $0.name == name }
                let undo = overloads.contains { $0.remove != nil }
                table.function(name, .aggregate, "An aggregate that is given row by row.", shown: name, kind: .aggregate, undo: undo)
                for function in overloads {
                    var signature = SignatureParser.parse(function.signature, function: name)
                    signature.rowAggregate = function
                    table.add(signature)
                }
            }
        }
    }

    /// This registry's functions and further table functions that are given row by row. Of several with one name each is an overload.
    public func adding(tables: [TableRowFunction]) -> FunctionRegistry {
        adding { table in
            for name in Set(tables.map(\.name)).sorted() {
                table.function(name, .table, "A table function that is given row by row.", kind: .table)
                for function in tables where function.name == name {
                    var signature = SignatureParser.parse(function.signature, function: name)
                    signature.rowTable = function
                    signature.returnRule = function.returns
                    table.add(signature)
                }
            }
        }
    }

    private func all(_ kind: FunctionDescription.Kind) -> [FunctionDescription] {
        functions.values.filter { $0.kind == kind }.sorted { $0.name < $1.name }
    }

    public var scalars: [FunctionDescription] { all(.scalar) }
    public var aggregates: [FunctionDescription] { all(.aggregate) }
    public var tables: [FunctionDescription] { all(.table) }

    /// The function of that name in any case; nil if there is none.
    public func function(named name: String) -> FunctionDescription? { functions[name.uppercased()] }

    public func scalar(named name: String) -> [FunctionSignature] {
        guard let function = function(named: name), function.kind == .scalar else { return [] }
        return function.signatures
    }

    public func isAggregate(_ name: String) -> Bool { function(named: name)?.kind == .aggregate }
    public func isTableFunction(_ name: String) -> Bool { function(named: name)?.kind == .table }

    /// Chooses the overload for these arguments: one that takes them as they are, else one that takes them after implicit conversion; of
    /// several, one without a variadic parameter, then with more parameters, then with fewer type variables.
    ///
    /// - Throws: `.unknownFunction`, or `.typeMismatch` if no overload fits or two fit equally well.
    public func resolve(_ name: String, arguments: [ArgumentType]) throws(MartletError) -> ResolvedFunction {
        guard let function = function(named: name) else {
            throw MartletError(.unknownFunction, "Can't find any functions with the name '\(name.uppercased())'")
        }
        let arguments = Self.textualised(function.name, arguments)
        for implicit in [false, true] {
            var candidates: [(signature: FunctionSignature, rank: [Int], match: SignatureMatch)] = []
            for signature in function.signatures {
                guard let match = SignatureMatch(signature, arguments, implicit: implicit) else { continue }
                candidates.append((signature, signature.rank, match))
            }
            guard let best = candidates.map(\.rank).max(by: { $0.lexicographicallyPrecedes($1) }) else { continue }
            let winners = candidates.filter { $0.rank == best }
            guard winners.count == 1 else {
                throw Self.error("Function '\(function.displayName)' cannot be resolved due to ambiguous method parameters", function, arguments)
            }
            return try winners[0].match.resolved(function, winners[0].signature)
        }
        throw Self.error("Function '\(function.displayName)' does not accept parameters", function, arguments)
    }

    /// Before ksqlDB typed strictly, `IFNULL(text, -1)` meant `IFNULL(text, '-1')`; so it does here, for literals only.
    private static func textualised(_ name: String, _ arguments: [ArgumentType]) -> [ArgumentType] {
        guard ["IFNULL", "COALESCE", "NULLIF"].contains(name),
            arguments.contains(.type(.string)) || arguments.contains(.literal(.string))
        else { return arguments }
        return arguments.map { argument in
            if case .literal(let type) = argument, type.isNumeric || type == .boolean { return .type(.string) }
            return argument
        }
    }

    static func error(_ what: String, _ function: FunctionDescription, _ arguments: [ArgumentType]) -> MartletError {
        let list = arguments.map { argument in
            switch argument {
            case .type(let type), .literal(let type): "\(type)"
            case .null: "null"
            case .lambda: "LAMBDA"
            case .unit: "INTERVALUNIT"
            }
        }
        let alternatives = function.signatures.map { "\n" + $0.description }.joined()
        return MartletError(
            .typeMismatch,
            "\(what) (\(list.joined(separator: ", "))).\nValid alternatives are:\(alternatives)"
                + "\nFor detailed information on a function run: DESCRIBE FUNCTION <Function-Name>;")
    }
}
