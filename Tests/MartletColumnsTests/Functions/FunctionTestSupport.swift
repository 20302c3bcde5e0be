import MartletCore
import Testing

@testable import MartletColumns

// Values in tables read as SQL literals: 1 is INT, 1.5 DOUBLE.
extension SQLValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int32) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(booleanLiteral value: Bool) { self = .boolean(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: SQLValue...) { self = .array(elements) }

    static func map(_ entries: KeyValuePairs<String, SQLValue>) -> SQLValue { .map(entries.map { .init(.string($0.key), $0.value) }) }
    static func decimal(_ text: String) -> SQLValue { .decimal(Decimal128(parsing: text)!) }
    static func bytes(_ text: String) -> SQLValue { .bytes(Array(text.utf8)) }
}

/// The type of a value; nil for NULL and for arrays of nothing else.
func inferredType(_ value: SQLValue) -> SQLType? {
    switch value {
    case .null: nil
    case .boolean: .boolean
    case .integer: .integer
    case .bigint: .bigint
    case .double: .double
    case .decimal(let v): .decimal(precision: max(v.precision, v.scale), scale: v.scale)
    case .string: .string
    case .bytes: .bytes
    case .date: .date
    case .time: .time
    case .timestamp: .timestamp
    case .array(let values): values.compactMap(inferredType).first.map { .array($0) }
    case .map(let entries):
        entries.compactMap { inferredType($0.value) }.first.map { .map(key: .string, value: $0) }
    case .structure(let fields): .structure(fields.map { Field($0.name, inferredType($0.value) ?? .string) })
    }
}

func batch(_ columns: [Column]) -> Batch {
    let count = columns.first?.count ?? 1
    return Batch(count: count, columns: columns, timestamps: [Int64](repeating: 0, count: count))
}

/// Evaluates one expression over columns; the errors too.
func evaluate(
    _ expression: BoundExpression, _ columns: [Column] = [], time: TimeSource = .system
) throws -> (values: [SQLValue], errors: [RowErrors.Entry]) {
    let program = try ExpressionProgram([expression], time: time, seed: 1)
    var errors = RowErrors()
    let batch = batch(columns)
    let column = program.evaluate(batch, labels: ["X"], errors: &errors)[0]
    #expect(column.count == batch.count)
    return ((0..<column.count).map { column.value($0) }, errors.entries)
}

/// A call resolved and converted as the analyzer does it: on columns of one row and on constants, which must agree.
func call(
    _ name: String, _ arguments: [SQLValue], types: [SQLType?]? = nil, time: TimeSource = .system, sourceLocation: SourceLocation = #_sourceLocation
) throws -> SQLValue {
    let types = types ?? arguments.map(inferredType)
    let resolved = try FunctionRegistry.builtin.resolve(name, arguments: types.map { $0.map { .type($0) } ?? .null })
    let result = try #require(resolved.returnType, sourceLocation: sourceLocation)
    var columns: [Column] = [], asColumns: [BoundExpression] = [], asLiterals: [BoundExpression] = []
    for (i, argument) in arguments.enumerated() {
        let type = types[i] ?? resolved.parameterTypes[i] ?? .string, wanted = resolved.parameterTypes[i] ?? type
        columns.append(ColumnBuilder.column(of: type, [argument]))
        asColumns.append(.cast(.column(i, type), wanted))
        asLiterals.append(.cast(.literal(argument, type), wanted))
    }
    let varying = try evaluate(.call(name, asColumns, result), columns, time: time).values[0]
    let constant = try evaluate(.call(name, asLiterals, result), time: time).values[0]
    #expect(varying.castText == constant.castText, "\(name) of columns and of constants", sourceLocation: sourceLocation)
    return varying
}

func expect(
    _ name: String, _ arguments: [SQLValue], types: [SQLType?]? = nil, _ wanted: SQLValue, sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let value = try call(name, arguments, types: types, sourceLocation: sourceLocation)
    #expect(value == wanted, "\(name)(\(arguments.map(\.castText).joined(separator: ", ")))", sourceLocation: sourceLocation)
}
