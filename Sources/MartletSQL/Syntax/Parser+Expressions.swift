import MartletColumns
import MartletCore

// Precedence, loosest first: OR, AND, NOT, predicates (one, not a chain), ||, + -, * / %, unary - +, AT TIME ZONE, then [ ] and ->.
private enum Level {
    static let or = 1, and = 2, not = 3, predicate = 4, concatenate = 5, additive = 6, multiplicative = 7, unary = 8, zone = 9
}

extension Parser {
    mutating func expression() throws(MartletError) -> Expression { try operation(Level.or) }

    /// `value` of the grammar: no comparison or logic outside parentheses.
    mutating func valueExpression() throws(MartletError) -> Expression { try operation(Level.concatenate) }

    mutating func expressionList() throws(MartletError) -> [Expression] {
        var list: [Expression] = []
        var tallest = 0
        repeat {
            list.append(try expression())
            tallest = max(tallest, height)
        } while accept(.comma)
        height = tallest
        return list
    }

    /// A node over parts of which the tallest has `tallest` levels.
    private mutating func node(_ node: Expression.Node, from start: SourceSpan, over tallest: Int) throws(MartletError) -> Expression {
        guard tallest < Self.heightMax else {
            throw syntaxError("expression of more than \(Self.heightMax) levels", hint: "use IN (…) or several statements")
        }
        height = tallest + 1
        return Expression(node, span: span(from: start))
    }

    /// Precedence climbing: takes operators of `level` and tighter.
    private mutating func operation(_ level: Int) throws(MartletError) -> Expression {
        let start = token.span
        // After a predicate or prefix operator only looser operators may follow.
        var tightest = Level.zone
        var left = try prefix(level, &tightest)
        while let operatorLevel = operatorLevel, operatorLevel >= level, operatorLevel <= tightest {
            let leftHeight = height
            if operatorLevel == Level.predicate {
                left = try predicate(left, start, leftHeight)
                tightest = Level.not
                continue
            }
            let sign = token
            advance()
            if operatorLevel == Level.zone {
                try expect(.time)
                try expect(.zone)
            }
            let right = try nested { parser throws(MartletError) in try parser.operation(operatorLevel + 1) }
            left = try node(binary(sign, left, right), from: start, over: max(leftHeight, height))
        }
        return left
    }

    private mutating func prefix(_ level: Int, _ tightest: inout Int) throws(MartletError) -> Expression {
        let start = token.span
        if level <= Level.not, at(.not) {
            advance()
            let operand = try nested { parser throws(MartletError) in try parser.operation(Level.not) }
            tightest = Level.and
            return try node(.not(operand), from: start, over: height)
        }
        guard at(.minus) || at(.plus) else { return try postfix() }
        let isMinus = at(.minus)
        if isMinus, next.kind == .integer || next.kind == .decimal || next.kind == .double { return try postfix() }
        advance()
        let operand = try nested { parser throws(MartletError) in try parser.operation(Level.unary) }
        tightest = Level.multiplicative
        return try node(isMinus ? .negate(operand) : .plus(operand), from: start, over: height)
    }

    /// Level of the operator that stands here, nil if none does.
    private var operatorLevel: Int? {
        switch token.kind {
        case .symbol(let symbol):
            switch symbol {
            case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual: Level.predicate
            case .concatenate: Level.concatenate
            case .plus, .minus: Level.additive
            case .star, .slash, .percent: Level.multiplicative
            default: nil
            }
        case .word:
            switch token.keyword {
            case .or: Level.or
            case .and: Level.and
            case .between, .in_, .like, .is_: Level.predicate
            case .not: next.keyword == .between || next.keyword == .in_ || next.keyword == .like ? Level.predicate : nil
            case .at: Level.zone
            default: nil
            }
        default: nil
        }
    }

    private func binary(_ sign: Token, _ left: Expression, _ right: Expression) -> Expression.Node {
        switch sign.keyword {
        case .or: return .or(left, right)
        case .and: return .and(left, right)
        case .at: return .atTimeZone(left, right)
        default: break
        }
        if let arithmetic = ArithmeticOperator(rawValue: sign.value) { return .arithmetic(arithmetic, left, right) }
        return .concatenate(left, right)
    }

    private mutating func predicate(_ left: Expression, _ start: SourceSpan, _ leftHeight: Int) throws(MartletError) -> Expression {
        if case .symbol(let symbol) = token.kind {
            advance()
            let right = try nested { parser throws(MartletError) in try parser.valueExpression() }
            let comparison = ComparisonOperator(rawValue: symbol.rawValue) ?? .equal
            return try node(.compare(comparison, left, right), from: start, over: max(leftHeight, height))
        }
        if accept(.is_) {
            let negated = accept(.not)
            if accept(.null) { return try node(negated ? .isNotNull(left) : .isNull(left), from: start, over: leftHeight) }
            try expect(.distinct)
            try expect(.from)
            let right = try nested { parser throws(MartletError) in try parser.valueExpression() }
            let comparison = negated ? ComparisonOperator.isNotDistinctFrom : .isDistinctFrom
            return try node(.compare(comparison, left, right), from: start, over: max(leftHeight, height))
        }
        let negated = accept(.not)
        if accept(.between) {
            let low = try nested { parser throws(MartletError) in try parser.valueExpression() }
            let lowHeight = height
            try expect(.and)
            let high = try nested { parser throws(MartletError) in try parser.valueExpression() }
            return try node(.between(left, low: low, high: high, negated: negated), from: start, over: max(leftHeight, lowHeight, height))
        }
        if accept(.in_) {
            try expect(.leftParen)
            let options = try nested { parser throws(MartletError) in try parser.expressionList() }
            try expect(.rightParen)
            return try node(.isIn(left, options, negated: negated), from: start, over: max(leftHeight, height))
        }
        try expect(.like)
        let pattern = try nested { parser throws(MartletError) in try parser.valueExpression() }
        let patternHeight = height
        var escape: String?
        if at(.escape), next.kind == .string {
            advance()
            let place = token.span
            let text = try string()
            guard text.utf16.count == 1 else {
                throw prepareError("Expected single character escape but got: \(text)", at: place)
            }
            escape = text
        }
        return try node(.like(left, pattern: pattern, escape: escape, negated: negated), from: start, over: max(leftHeight, patternHeight))
    }

    // MARK: primaries

    /// A primary with its `[index]` and `->field`; `->*` is left for the SELECT item.
    private mutating func postfix() throws(MartletError) -> Expression {
        let start = token.span
        var base = try primary()
        while true {
            let baseHeight = height
            if at(.leftBracket) {
                advance()
                let place = try nested { parser throws(MartletError) in try parser.valueExpression() }
                try expect(.rightBracket)
                base = try node(.subscript_(base, place), from: start, over: max(baseHeight, height))
            } else if at(.arrow), next.kind != .symbol(.star) {
                advance()
                let field = try identifier("a field name")
                base = try node(.field(base, field), from: start, over: baseHeight)
            } else {
                return base
            }
        }
    }

    private mutating func primary() throws(MartletError) -> Expression {
        let token = self.token
        switch token.kind {
        case .integer, .decimal, .double:
            return try leaf(try number())
        case .symbol(.minus):
            return try leaf(try number())
        case .string:
            advance()
            return try leaf(Expression(.string(token.value), span: token.span))
        case .symbol(.leftParen):
            advance()
            let inner = try nested { parser throws(MartletError) in try parser.expression() }
            try expect(.rightParen)
            return inner
        case .quotedWord, .digitWord:
            return try named()
        case .word:
            return try word()
        default:
            tried.append(.what("an expression"))
            throw failure()
        }
    }

    private mutating func leaf(_ expression: Expression) throws(MartletError) -> Expression {
        height = 1
        return expression
    }

    private mutating func word() throws(MartletError) -> Expression {
        let token = self.token
        switch token.keyword {
        case .null:
            advance()
            return try leaf(Expression(.null, span: token.span))
        case .true_, .false_:
            advance()
            return try leaf(Expression(.boolean(token.keyword == .true_), span: token.span))
        case .case_: return try nested { parser throws(MartletError) in try parser.caseExpression() }
        case .cast: return try nested { parser throws(MartletError) in try parser.cast() }
        case .array where next.kind == .symbol(.leftBracket): return try nested { parser throws(MartletError) in try parser.array() }
        case .map where next.kind == .symbol(.leftParen): return try nested { parser throws(MartletError) in try parser.map() }
        case .struct_ where next.kind == .symbol(.leftParen): return try nested { parser throws(MartletError) in try parser.structure() }
        default: return try named()
        }
    }

    /// Column, `source.column`, call or `DECIMAL '…'`.
    private mutating func named() throws(MartletError) -> Expression {
        let start = token
        let name = try identifier("an expression")
        if at(.leftParen) { return try nested { parser throws(MartletError) in try parser.call(name) } }
        if at(.dot) {
            advance()
            let column = try identifier("a column name")
            height = 1
            return Expression(.column(source: name, column), span: span(from: start.span))
        }
        if token.kind == .string, start.kind == .word {
            guard name.name == "DECIMAL" else { throw prepareError("Unknown type: \(name.name)", at: name.span) }
            let text = token
            advance()
            guard let value = Decimal128(parsing: text.value) else { throw numberError("Invalid numeric literal: \(text.value)", at: text.span) }
            height = 1
            return Expression(.decimal(value), span: span(from: start.span))
        }
        height = 1
        return Expression(.column(source: nil, name), span: name.span)
    }

    private mutating func call(_ name: Identifier) throws(MartletError) -> Expression {
        try expect(.leftParen)
        if at(.star), next.kind == .symbol(.rightParen) {
            advance()
            advance()
            return try node(.call(name, [], isStar: true), from: name.span, over: 0)
        }
        var arguments: [Expression] = []
        var tallest = 0
        if !accept(.rightParen) {
            repeat {
                arguments.append(try argument())
                tallest = max(tallest, height)
            } while accept(.comma)
            try expect(.rightParen)
        }
        return try node(.call(name, arguments, isStar: false), from: name.span, over: tallest)
    }

    /// An expression, a lambda or a unit of time (`TIMESTAMPADD(SECONDS, …)`), which is kept as a column of that name.
    private mutating func argument() throws(MartletError) -> Expression {
        let start = token
        if let parameters = try lambdaParameters() {
            let body = try nested { parser throws(MartletError) in try parser.expression() }
            return try node(.lambda(parameters, body), from: start.span, over: height)
        }
        if start.keyword?.isReserved == true, TimeUnit.named(start.value) != nil, next.kind == .symbol(.comma) || next.kind == .symbol(.rightParen) {
            advance()
            height = 1
            return Expression(.column(source: nil, Identifier(start.value, span: start.span)), span: start.span)
        }
        return try expression()
    }

    /// Takes `x =>` or `(x, y) =>` if that is what stands here.
    private mutating func lambdaParameters() throws(MartletError) -> [Identifier]? {
        if atName, next.kind == .symbol(.lambda) {
            let parameter = try identifier()
            advance()
            return [parameter]
        }
        guard at(.leftParen) else { return nil }
        var ahead = index + 1
        while ahead < tokens.count, tokens[ahead].kind == .word || tokens[ahead].kind == .quotedWord || tokens[ahead].kind == .symbol(.comma) {
            ahead += 1
        }
        guard ahead + 1 < tokens.count, tokens[ahead].kind == .symbol(.rightParen), tokens[ahead + 1].kind == .symbol(.lambda) else { return nil }
        advance()
        var parameters: [Identifier] = []
        repeat { parameters.append(try identifier("a lambda parameter")) } while accept(.comma)
        try expect(.rightParen)
        try expect(.lambda)
        return parameters
    }

    private mutating func caseExpression() throws(MartletError) -> Expression {
        let start = token.span
        try expect(.case_)
        var tallest = 0
        var operand: Expression?
        if !at(.when) {
            operand = try valueExpression()
            tallest = height
        }
        var branches: [Expression.When] = []
        try expect(.when)
        repeat {
            let condition = try expression()
            tallest = max(tallest, height)
            try expect(.then)
            let result = try expression()
            tallest = max(tallest, height)
            branches.append(Expression.When(condition: condition, result: result))
        } while accept(.when)
        var otherwise: Expression?
        if accept(.else_) {
            otherwise = try expression()
            tallest = max(tallest, height)
        }
        try expect(.end)
        if let operand { return try node(.simpleCase(operand, branches, otherwise: otherwise), from: start, over: tallest) }
        return try node(.searchedCase(branches, otherwise: otherwise), from: start, over: tallest)
    }

    private mutating func cast() throws(MartletError) -> Expression {
        let start = token.span
        try expect(.cast)
        try expect(.leftParen)
        let operand = try expression()
        let operandHeight = height
        try expect(.as_)
        let type = try typeName()
        try expect(.rightParen)
        return try node(.cast(operand, type), from: start, over: operandHeight)
    }

    private mutating func array() throws(MartletError) -> Expression {
        let start = token.span
        advance()
        try expect(.leftBracket)
        if accept(.rightBracket) { return try node(.array([]), from: start, over: 0) }
        let elements = try expressionList()
        try expect(.rightBracket)
        return try node(.array(elements), from: start, over: height)
    }

    private mutating func map() throws(MartletError) -> Expression {
        let start = token.span
        advance()
        try expect(.leftParen)
        var entries: [Expression.MapEntry] = []
        var tallest = 0
        if !accept(.rightParen) {
            repeat {
                let key = try expression()
                tallest = max(tallest, height)
                try expect(.assign)
                let value = try expression()
                tallest = max(tallest, height)
                entries.append(Expression.MapEntry(key: key, value: value))
            } while accept(.comma)
            try expect(.rightParen)
        }
        return try node(.map(entries), from: start, over: tallest)
    }

    private mutating func structure() throws(MartletError) -> Expression {
        let start = token.span
        advance()
        try expect(.leftParen)
        var fields: [Expression.StructField] = []
        var tallest = 0
        if !accept(.rightParen) {
            repeat {
                let name = try identifier("a field name")
                try expect(.assign)
                let value = try expression()
                tallest = max(tallest, height)
                fields.append(Expression.StructField(name: name, value: value))
            } while accept(.comma)
            try expect(.rightParen)
        }
        return try node(.structure(fields), from: start, over: tallest)
    }

    // MARK: numbers

    /// A number with its `-`: `-1` is a literal, so the smallest BIGINT can be written.
    mutating func number() throws(MartletError) -> Expression {
        let start = token.span
        var sign = ""
        if at(.minus) {
            sign = "-"
            advance()
        }
        let digits = token
        let text = sign + digits.value
        switch digits.kind {
        case .integer:
            advance()
            guard let value = Int64(text) else { throw numberError("Invalid numeric literal: \(text)", at: span(from: start)) }
            return Expression(.integer(value), span: span(from: start))
        case .decimal:
            advance()
            guard let value = Decimal128(parsing: text) else { throw numberError("Invalid numeric literal: \(text)", at: span(from: start)) }
            return Expression(.decimal(value), span: span(from: start))
        case .double:
            advance()
            guard let value = Double(text), value.isFinite else {
                throw numberError("Number overflows DOUBLE: \(text)", at: span(from: start))
            }
            return Expression(.double(value), span: span(from: start))
        default:
            tried.append(.what("a number"))
            throw failure()
        }
    }
}
