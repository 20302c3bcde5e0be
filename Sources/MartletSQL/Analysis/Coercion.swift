import MartletColumns
import MartletCore

/// The common type of a list of expressions (IN, ARRAY, MAP) and the conversion of each to it (ksqlDB, "Type coercion").
///
/// Numbers widen; text literals become what the others are, if they parse; beside a text expression other literals become text. Anything
/// else must have the same type. Constructors are looked into, so `ARRAY['10']` fits beside an ARRAY<BIGINT>.
extension ExpressionAnalyzer {
    /// - Returns: nil if all are NULL literals.
    /// - Throws: `operator does not exist …` or `invalid input syntax …`, made by `fail`.
    func coerced(
        _ expressions: [Expression], _ fail: (String, SourceSpan) -> MartletError
    ) throws(MartletError) -> (values: [BoundExpression], type: SQLType)? {
        var bound: [Typed] = []
        for expression in expressions { bound.append(try bind(expression)) }
        var common: SQLType?
        // Text literals take what others say, so they speak only if there is nobody else.
        for (expression, value) in zip(expressions, bound) where !expression.isTextLiteral {
            guard let type = value.type else { continue }
            guard let so = common else {
                common = type
                continue
            }
            // The later one first: of two STRUCTs its fields come first.
            if let merged = ArithmeticTypes.common(type, so) {
                common = merged
            } else if !expression.isLooselyTyped {
                throw fail(mismatch(so, type, expression), expression.span)
            }
        }
        if common == nil, bound.contains(where: { $0.type != nil }) { common = .string }
        guard var type = common else { return nil }
        for expression in expressions { type = widened(type, for: expression) }
        var values: [BoundExpression] = []
        for (expression, value) in zip(expressions, bound) { values.append(try fit(expression, value, to: type, fail)) }
        return (values, type)
    }

    /// A decimal or integer type made large enough for the number in a text literal.
    private func widened(_ type: SQLType, for expression: Expression) -> SQLType {
        guard case .string(let literal) = expression.node, let (_, number) = NumberText.parse(literal) else { return type }
        switch type {
        case .integer, .bigint, .decimal: return ArithmeticTypes.common(type, number) ?? type
        default: return type
        }
    }

    private func mismatch(_ wanted: SQLType, _ type: SQLType, _ expression: Expression) -> String {
        "operator does not exist: \(wanted) = \(type) (\(text(expression)))\nHint: You might need to add explicit type casts."
    }

    private func fit(
        _ expression: Expression, _ value: Typed, to type: SQLType, _ fail: (String, SourceSpan) -> MartletError
    ) throws(MartletError) -> BoundExpression {
        guard let own = value.type else { return .literal(.null, type) }
        if case .string(let literal) = expression.node, type != .string {
            return try parsed(literal, as: type, expression, fail)
        }
        if own == type { return value.expression }
        // A part of the wrong type makes the whole one wrong; a text that does not parse is named itself.
        let inner = { (message: String, span: SourceSpan) in
            message.hasPrefix("operator does not exist") ? fail(self.mismatch(type, own, expression), expression.span) : fail(message, span)
        }
        switch (expression.node, type) {
        case (.array(let elements), .array(let element)):
            var out: [BoundExpression] = []
            for item in elements { out.append(try fit(item, try bind(item), to: element, inner)) }
            return .array(out, type)
        case (.map(let entries), .map(let key, let element)):
            var keys: [BoundExpression] = [], values: [BoundExpression] = []
            for entry in entries {
                keys.append(try fit(entry.key, try bind(entry.key), to: key, inner))
                values.append(try fit(entry.value, try bind(entry.value), to: element, inner))
            }
            return .map(keys: keys, values: values, type)
        case (.structure(let fields), .structure(let wanted)):
            guard fields.allSatisfy({ field in wanted.contains { $0.name == field.name.name } }) else { break }
            var out: [BoundExpression] = []
            for field in wanted {
                if let given = fields.first(where: { $0.name.name == field.name }) {
                    out.append(try fit(given.value, try bind(given.value), to: field.type, inner))
                } else {
                    out.append(.literal(.null, field.type))
                }
            }
            return .structure(wanted.map(\.name), out, type)
        default: break
        }
        if type == .string, let literal = expression.literalText { return .literal(.string(literal), .string) }
        if let common = ArithmeticTypes.common(type, own), common == type { return value.cast(to: type) }
        throw fail(mismatch(type, own, expression), expression.span)
    }

    /// A text literal read as a value of `type`.
    private func parsed(
        _ literal: String, as type: SQLType, _ expression: Expression, _ fail: (String, SourceSpan) -> MartletError
    ) throws(MartletError) -> BoundExpression {
        let bad = "invalid input syntax for type \(type.baseName): \"\(literal)\"."
        switch type {
        case .boolean:
            // Any beginning of true, yes, false or no, in any case.
            let lower = literal.lowercased()
            if !lower.isEmpty, "true".hasPrefix(lower) || "yes".hasPrefix(lower) { return .literal(.boolean(true), .boolean) }
            if !lower.isEmpty, "false".hasPrefix(lower) || "no".hasPrefix(lower) { return .literal(.boolean(false), .boolean) }
            throw fail(bad, expression.span)
        case .integer, .bigint, .decimal, .double:
            guard let (value, number) = NumberText.parse(literal) else { throw fail(bad, expression.span) }
            if number == type { return .literal(value, number) }
            guard ArithmeticTypes.common(type, number) == type else { throw fail(bad, expression.span) }
            return .cast(.literal(value, number), type)
        case .date, .time, .timestamp: return .cast(.literal(.string(literal), .string), type)
        case .string: return .literal(.string(literal), .string)
        case .bytes, .array, .map, .structure:
            throw fail(mismatch(type, .string, expression), expression.span)
        }
    }

    // MARK: the expressions with lists

    func isIn(_ operand: Expression, _ options: [Expression]) throws(MartletError) -> BoundExpression {
        let fail = { (message: String, span: SourceSpan) in self.codeError(message, span) }
        let value = try bind(operand)
        if value.type == .bigint, case .column(_, let name) = operand.node, PseudoColumns.isMagicTimestamp(name.name),
            options.contains(where: { $0.isTextLiteral })
        {
            var out: BoundExpression?
            for option in options {
                let equal = try compare(.equal, operand, option, option.span)
                out = out.map { .or($0, equal) } ?? equal
            }
            return out ?? .literal(.boolean(false), .boolean)
        }
        guard let (values, _) = try coerced([operand] + options, fail) else { return .literal(.boolean(false), .boolean) }
        return .isIn(values[0], Array(values[1...]))
    }

    func array(_ elements: [Expression], _ whole: Expression) throws(MartletError) -> Typed {
        if elements.isEmpty {
            throw typeError(
                "Array constructor cannot be empty. Please supply at least one element (see https://github.com/confluentinc/ksql/issues/4239).",
                whole.span)
        }
        guard let (values, type) = try coerced(elements, { self.typeError($0, $1) }) else {
            throw typeError(
                "Cannot construct an array with all NULL elements (see https://github.com/confluentinc/ksql/issues/4239). As a workaround, you may cast a NULL value to the desired type.",
                whole.span)
        }
        return Typed(.array(values, .array(type)))
    }

    func map(_ entries: [Expression.MapEntry], _ whole: Expression) throws(MartletError) -> Typed {
        if entries.isEmpty {
            throw typeError(
                "Map constructor cannot be empty. Please supply at least one key value pair (see https://github.com/confluentinc/ksql/issues/4239).",
                whole.span)
        }
        let fail = { (message: String, span: SourceSpan) in self.typeError(message, span) }
        guard let (keys, keyType) = try coerced(entries.map(\.key), fail) else {
            throw typeError(
                "Cannot construct a map with all NULL keys (see https://github.com/confluentinc/ksql/issues/4239). As a workaround, you may cast a NULL key to the desired type.",
                whole.span)
        }
        guard let (values, valueType) = try coerced(entries.map(\.value), fail) else {
            throw typeError(
                "Cannot construct a map with all NULL values (see https://github.com/confluentinc/ksql/issues/4239). As a workaround, you may cast a NULL value to the desired type.",
                whole.span)
        }
        return Typed(.map(keys: keys, values: values, .map(key: keyType, value: valueType)))
    }

    func structure(_ fields: [Expression.StructField], _ whole: Expression) throws(MartletError) -> Typed {
        var names: [String] = [], values: [BoundExpression] = []
        for field in fields {
            if names.contains(field.name.name) {
                throw typeError("Duplicate field names found in STRUCT: '\(text(whole))'", field.name.span)
            }
            let value = try bind(field.value)
            guard value.type != nil else {
                throw typeError("Field \(SQLType.quoted(field.name.name)) of this STRUCT is NULL without a type.", field.value.span, hint: "use CAST(NULL AS …)")
            }
            names.append(field.name.name)
            values.append(value.expression)
        }
        return Typed(.structure(names, values, .structure(zip(names, values).map { Field($0, $1.type) })))
    }
}

extension Expression {
    var isTextLiteral: Bool { if case .string = node { true } else { false } }

    /// Whether only literals decide its type, so that it may become another one.
    var isLooselyTyped: Bool {
        switch node {
        case .null, .boolean, .integer, .decimal, .double, .string: literalText != nil || isTextLiteral || node == .null
        case .negate(let operand), .plus(let operand): operand.isLooselyTyped
        case .array(let elements): elements.contains { $0.isLooselyTyped }
        case .map(let entries): entries.contains { $0.key.isLooselyTyped || $0.value.isLooselyTyped }
        case .structure(let fields): fields.contains { $0.value.isLooselyTyped }
        default: false
        }
    }

    /// The text a literal becomes where text is wanted.
    var literalText: String? {
        switch node {
        case .boolean(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .decimal(let value): value.description
        case .double(let value): value.javaDescription
        case .string(let value): value
        case .negate(let operand): operand.isTextLiteral ? nil : operand.literalText.map { "-" + $0 }
        default: nil
        }
    }
}

/// A number as text, with the type a literal of that form has.
enum NumberText {
    static func parse(_ text: String) -> (SQLValue, SQLType)? {
        let trimmed = text.drop { $0 == " " }
        if let value = Int32(trimmed) { return (.integer(value), .integer) }
        if let value = Int64(trimmed) { return (.bigint(value), .bigint) }
        guard let value = Decimal128(parsing: trimmed) else {
            // Beyond 38 digits, as in `1e200`.
            let isNumber = trimmed.utf8.allSatisfy { (0x30...0x39).contains($0) || "+-.eE".utf8.contains($0) }
            return isNumber ? Double(trimmed).map { (.double($0), .double) } : nil
        }
        return (.decimal(value), .decimal(precision: max(value.precision, value.scale, 1), scale: value.scale))
    }
}
