import MartletCore

/// Where functions are declared: `function` opens one, the calls after it add its overloads.
///
/// ```swift
/// table.function("SIGN", .mathematical, "The sign of a number: -1, 0 or 1.")
/// table.scalar("value") { (x: Int64) -> Int32 in Int32(x.signum()) }
/// ```
/// Nulls, constants and selection are the executor's affair: a kernel sees values. A kernel that returns nil gives NULL; one that throws gives
/// NULL and a report.
struct FunctionTable {
    enum Category: String {
        case array = "ARRAY", conditional = "CONDITIONAL", conversions = "CONVERSIONS", dateTime = "DATE / TIME", json = "JSON"
        case lambda = "LAMBDA", map = "MAP", mathematical = "MATHEMATICAL", other = "OTHER", regularExpression = "REGULAR EXPRESSION"
        case string = "STRING", url = "URL", aggregate = "AGGREGATE", table = "TABLE"
    }

    var functions: [String: FunctionDescription] = [:]
    private var current = ""

    /// Every group of functions; the order does not matter.
    static var all: [(inout FunctionTable) -> Void] {
        [
            conditional, mathematical, string, stringPadding, masking, bytes, arrays, maps, lambdas, json, regularExpression, url, dateTime,
            other, aggregates, tableFunctions,
        ]
    }

    /// Opens a function. `shown` is the spelling of error messages (lower case unless given).
    mutating func function(
        _ name: String, _ category: Category, _ description: String, shown: String? = nil, kind: FunctionDescription.Kind = .scalar,
        undo: Bool = false
    ) {
        precondition(functions[name] == nil, "function \(name) is declared once")
        functions[name] = FunctionDescription(
            name: name, displayName: shown ?? name.lowercased(), kind: kind, category: category.rawValue, description: description,
            signatures: [], supportsUndo: undo)
        current = name
    }

    mutating func add(_ signature: FunctionSignature) { functions[current]!.signatures.append(signature) }

    /// An overload by its signature's text alone: aggregates and table functions.
    mutating func signature(_ text: String, returns: (@Sendable ([SQLType?]) -> SQLType?)? = nil) {
        var signature = SignatureParser.parse(text, function: current)
        signature.returnRule = returns
        add(signature)
    }

    /// An overload whose kernel sees whole columns.
    mutating func columns(
        _ text: String, deterministic: Bool = true, commonDecimal: Bool = false, returns: (@Sendable ([SQLType?]) -> SQLType?)? = nil,
        _ kernel: @escaping Kernel
    ) {
        var signature = SignatureParser.parse(text, function: current)
        signature.returnRule = returns
        signature.commonDecimal = commonDecimal
        signature.isDeterministic = deterministic
        signature.kernel = kernel
        add(signature)
    }

    /// An overload whose kernel sees one row's values boxed; null if any argument is.
    mutating func boxed(
        _ text: String, returns: (@Sendable ([SQLType?]) -> SQLType?)? = nil, _ body: @escaping @Sendable ([SQLValue]) throws -> SQLValue
    ) {
        columns(text, returns: returns) { call in call.boxedRows(strict: true) { try body($0) } }
    }

    /// As `boxed`, but nulls reach the kernel.
    mutating func boxedWithNulls(
        _ text: String, commonDecimal: Bool = false, returns: (@Sendable ([SQLType?]) -> SQLType?)? = nil,
        _ body: @escaping @Sendable ([SQLValue]) throws -> SQLValue
    ) {
        columns(text, commonDecimal: commonDecimal, returns: returns) { call in call.boxedRows(strict: false) { try body($0) } }
    }

    /// Overloads whose signature follows from the kernel's Swift types (see `KernelValue`).
    mutating func scalar<R: KernelResult>(_ body: @escaping @Sendable () throws -> R?) {
        typed([], [], R.parameterType) { call in call.rows { _ in try body() } }
    }

    mutating func scalar<A: KernelArgument, R: KernelResult>(_ a: String, _ body: @escaping @Sendable (A) throws -> R?) {
        typed([a], [A.parameterType], R.parameterType) { call in
            let a = ArgumentColumn<A>(call.arguments[0])
            return call.rows { row -> R? in
                guard let x = a[row] else { return nil }
                return try body(x)
            }
        }
    }

    mutating func scalar<A: KernelArgument, B: KernelArgument, R: KernelResult>(
        _ a: String, _ b: String, _ body: @escaping @Sendable (A, B) throws -> R?
    ) {
        typed([a, b], [A.parameterType, B.parameterType], R.parameterType) { call in
            let a = ArgumentColumn<A>(call.arguments[0]), b = ArgumentColumn<B>(call.arguments[1])
            return call.rows { row -> R? in
                guard let x = a[row], let y = b[row] else { return nil }
                return try body(x, y)
            }
        }
    }

    mutating func scalar<A: KernelArgument, B: KernelArgument, C: KernelArgument, R: KernelResult>(
        _ a: String, _ b: String, _ c: String, _ body: @escaping @Sendable (A, B, C) throws -> R?
    ) {
        typed([a, b, c], [A.parameterType, B.parameterType, C.parameterType], R.parameterType) { call in
            let a = ArgumentColumn<A>(call.arguments[0]), b = ArgumentColumn<B>(call.arguments[1])
            let c = ArgumentColumn<C>(call.arguments[2])
            return call.rows { row -> R? in
                guard let x = a[row], let y = b[row], let z = c[row] else { return nil }
                return try body(x, y, z)
            }
        }
    }

    private mutating func typed(_ names: [String], _ types: [ParameterType], _ result: ParameterType, _ kernel: @escaping Kernel) {
        let parameters = zip(names, types).map { FunctionSignature.Parameter(name: $0, type: $1, isVariadic: false, isInitial: false) }
        var signature = FunctionSignature(function: current, parameters: parameters, returns: result, summary: "")
        signature.kernel = kernel
        add(signature)
    }
}
