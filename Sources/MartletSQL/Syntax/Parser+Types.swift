import MartletCore

extension Parser {
    /// A type, `T ARRAY` included. A plain name that is no type of the dialect is a custom type's.
    mutating func typeName() throws(MartletError) -> TypeName {
        let start = token.span
        var type = try nested { parser throws(MartletError) in try parser.innerType() }
        var levels = 0
        while at(.array) {
            levels += 1
            guard levels < Self.nestingMax else { throw syntaxError("nesting deeper than \(Self.nestingMax) levels") }
            advance()
            type = TypeName(.array(type), span: span(from: start))
        }
        return type
    }

    private mutating func innerType() throws(MartletError) -> TypeName {
        let start = token
        if start.keyword == .array, next.kind == .symbol(.less) {
            advance()
            advance()
            let element = try typeName()
            try expect(.greater)
            return TypeName(.array(element), span: span(from: start.span))
        }
        if start.keyword == .map, next.kind == .symbol(.less) {
            advance()
            advance()
            let key = try typeName()
            try expect(.comma)
            let value = try typeName()
            try expect(.greater)
            return TypeName(.map(key, value), span: span(from: start.span))
        }
        if start.keyword == .struct_, next.kind == .symbol(.notEqual) {  // `<>`
            advance()
            advance()
            return TypeName(.structure([]), span: span(from: start.span))
        }
        if start.keyword == .struct_, next.kind == .symbol(.less) {
            advance()
            advance()
            var members: [TypeName.StructMember] = []
            if !accept(.greater) {
                repeat {
                    let name = try identifier("a field name")
                    members.append(TypeName.StructMember(name: name, type: try typeName()))
                } while accept(.comma)
                try expect(.greater)
            }
            return TypeName(.structure(members), span: span(from: start.span))
        }
        let name = try identifier("a type")
        if !name.isQuoted, name.name == "DECIMAL" { return try decimal(start.span) }
        if accept(.leftParen) {
            // Lengths are taken and not used, as in ksqlDB.
            repeat {
                if token.kind == .integer || at(.string) {
                    advance()
                } else {
                    tried += [.keyword(.string), .what("INTEGER_VALUE")]
                    throw failure()
                }
            } while accept(.comma)
            try expect(.rightParen)
        }
        guard !name.isQuoted, let primitive = Self.primitive(name.name) else { return TypeName(.custom(name), span: span(from: start.span)) }
        return TypeName(.primitive(primitive), span: span(from: start.span))
    }

    static func primitive(_ name: String) -> SQLType? {
        switch name {
        case "BOOLEAN": .boolean
        case "INT", "INTEGER": .integer
        case "BIGINT": .bigint
        case "DOUBLE": .double
        case "STRING", "VARCHAR": .string
        case "BYTES": .bytes
        case "DATE": .date
        case "TIME": .time
        case "TIMESTAMP": .timestamp
        default: nil
        }
    }

    private mutating func decimal(_ start: SourceSpan) throws(MartletError) -> TypeName {
        try expect(.leftParen)
        let precision = try wholeNumber()
        try expect(.comma)
        let scale = try wholeNumber()
        try expect(.rightParen)
        let place = span(from: start)
        guard precision >= 1 else { throw prepareError("DECIMAL precision must be >= 1: DECIMAL(\(precision),\(scale))", at: place) }
        guard scale >= 0 else { throw prepareError("DECIMAL scale must be >= 0: DECIMAL(\(precision),\(scale))", at: place) }
        guard precision >= scale else { throw prepareError("DECIMAL precision must be >= scale: DECIMAL(\(precision),\(scale))", at: place) }
        guard precision <= 38 else { throw prepareError("DECIMAL precision must be <= 38: DECIMAL(\(precision),\(scale))", at: place) }
        return TypeName(.primitive(.decimal(precision: Int(precision), scale: Int(scale))), span: place)
    }

    private mutating func wholeNumber() throws(MartletError) -> Int64 {
        let token = self.token
        guard token.kind == .integer else {
            tried.append(.what("INTEGER_VALUE"))
            throw failure()
        }
        advance()
        guard let value = Int64(token.value) else { throw numberError("Invalid numeric literal: \(token.value)", at: token.span) }
        return value
    }
}
