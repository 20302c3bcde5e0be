import MartletCore

/// The type of a function's parameter or result, possibly with type variables: `ARRAY<T>`, `λ(T) => BOOLEAN`.
public indirect enum ParameterType: Sendable, Hashable {
    /// A type without variables; DECIMAL stands for every precision and scale.
    case boolean, integer, bigint, double, decimal, string, bytes, date, time, timestamp
    case array(ParameterType)
    case map(ParameterType, ParameterType)
    case structure([StructField])
    /// A type variable: every use in one signature is the same type.
    case variable(String)
    /// Any type, each use for itself.
    case any
    /// A bare unit: DAYS, HOURS …
    case unit
    case lambda([ParameterType], ParameterType)

    public struct StructField: Sendable, Hashable {
        public var name: String
        public var type: ParameterType
        public init(_ name: String, _ type: ParameterType) {
            self.name = name
            self.type = type
        }
    }

    var hasVariables: Bool {
        switch self {
        case .variable, .any: true
        case .array(let element): element.hasVariables
        case .map(let key, let value): key.hasVariables || value.hasVariables
        case .structure(let fields): fields.contains { $0.type.hasVariables }
        case .lambda(let parameters, let result): parameters.contains { $0.hasVariables } || result.hasVariables
        default: false
        }
    }

    /// The concrete type under `bindings`; nil if a variable is unbound. DECIMAL has none of its own.
    func bound(_ bindings: [String: SQLType]) -> SQLType? {
        switch self {
        case .boolean: return .boolean
        case .integer: return .integer
        case .bigint: return .bigint
        case .double: return .double
        case .string: return .string
        case .bytes: return .bytes
        case .date: return .date
        case .time: return .time
        case .timestamp: return .timestamp
        case .variable(let name): return bindings[name]
        case .array(let element): return element.bound(bindings).map { .array($0) }
        case .map(let key, let value):
            guard let key = key.bound(bindings), let value = value.bound(bindings) else { return nil }
            return .map(key: key, value: value)
        case .structure(let fields):
            var out: [Field] = []
            for field in fields {
                guard let type = field.type.bound(bindings) else { return nil }
                out.append(Field(field.name, type))
            }
            return .structure(out)
        case .decimal, .any, .unit, .lambda: return nil
        }
    }
}

extension ParameterType: CustomStringConvertible {
    /// As in signatures of DESCRIBE FUNCTION: `ARRAY<VARCHAR>`, `INT`, `T`.
    public var description: String {
        switch self {
        case .boolean: "BOOLEAN"
        case .integer: "INT"
        case .bigint: "BIGINT"
        case .double: "DOUBLE"
        case .decimal: "DECIMAL"
        case .string: "VARCHAR"
        case .bytes: "BYTES"
        case .date: "DATE"
        case .time: "TIME"
        case .timestamp: "TIMESTAMP"
        case .array(let element): "ARRAY<\(element)>"
        case .map(let key, let value): "MAP<\(key), \(value)>"
        case .structure(let fields): "STRUCT<" + fields.map { "\($0.name) \($0.type)" }.joined(separator: ", ") + ">"
        case .variable(let name): name
        case .any: "ANY"
        case .unit: "INTERVALUNIT"
        case .lambda(let parameters, let result):
            "LAMBDA (" + parameters.map(\.description).joined(separator: ", ") + ") => \(result)"
        }
    }
}

/// One overload of a function.
public struct FunctionSignature: Sendable, CustomStringConvertible {
    public struct Parameter: Sendable, Hashable {
        /// Lower case; empty if the signature gives none.
        public var name: String
        public var type: ParameterType
        /// May occur any number of times, none included.
        public var isVariadic: Bool
        /// A literal that configures an aggregate, after its columns.
        public var isInitial: Bool
    }

    /// Upper case, as written in SQL.
    public let function: String
    public let parameters: [Parameter]
    public let returns: ParameterType
    /// What this overload does; empty if the function's description says it all.
    public let summary: String

    /// Result types that follow from the arguments' types by a rule instead of variables (DECIMAL).
    var returnRule: (@Sendable ([SQLType?]) -> SQLType?)?
    /// Parameters' types after conversion where DECIMALs must agree.
    var commonDecimal = false
    var kernel: Kernel?
    /// Aggregates and table functions that are given row by row.
    var rowAggregate: AggregateRowFunction?
    var rowTable: TableRowFunction?
    /// False for functions whose value changes from row to row (RANDOM, UUID).
    var isDeterministic = true

    public var isVariadic: Bool { parameters.contains(where: \.isVariadic) }
    var variableCount: Int { parameters.reduce(0) { $0 + ($1.type.hasVariables ? 1 : 0) } }
    /// Of several overloads that take the same arguments the one that ranks highest is meant: without a variadic parameter, with more
    /// parameters, with fewer type variables.
    var rank: [Int] { [isVariadic ? 0 : 1, parameters.count, -variableCount] }

    /// `SUBSTRING(VARCHAR str, INT pos)`
    public var description: String {
        let list = parameters.map { parameter in
            let type = "\(parameter.type)\(parameter.isVariadic ? "..." : "")"
            return parameter.name.isEmpty ? type : "\(type) \(parameter.name)"
        }
        return "\(function)(\(list.joined(separator: ", ")))"
    }

    /// The parameter that takes argument `index` of `count`; nil if there is none. Fixed parameters may follow the variadic one.
    public func parameter(_ index: Int, of count: Int) -> Parameter? {
        guard let variadic = parameters.firstIndex(where: \.isVariadic) else {
            return count == parameters.count ? parameters[index] : nil
        }
        let extra = count - (parameters.count - 1)
        if extra < 0 { return nil }
        if index < variadic { return parameters[index] }
        return index < variadic + extra ? parameters[variadic] : parameters[index - extra + 1]
    }

    func accepts(count: Int) -> Bool { isVariadic ? count >= parameters.count - 1 : count == parameters.count }
}

/// A function as SHOW FUNCTIONS and DESCRIBE FUNCTION present it.
public struct FunctionDescription: Sendable {
    public enum Kind: String, Sendable { case scalar = "SCALAR", aggregate = "AGGREGATE", table = "TABLE" }

    /// Upper case.
    public let name: String
    /// As error messages spell it.
    public let displayName: String
    public let kind: Kind
    /// `STRING`, `DATE / TIME` … as ksqlDB groups them.
    public let category: String
    public let description: String
    public internal(set) var signatures: [FunctionSignature]
    /// Aggregates only: whether it can take a row back, so that it may aggregate a table.
    public internal(set) var supportsUndo = false
}
