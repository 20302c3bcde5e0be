import MartletCore
import Testing

@testable import MartletSQL

@Suite struct SyntaxExpressionTests {
    static let table: [(String, String)] = [
        // Precedence and associativity.
        ("a OR b AND NOT c = d", "(A OR (B AND (NOT (C = D))))"),
        ("NOT NOT a AND b", "((NOT (NOT A)) AND B)"),
        ("a - b - c", "((A - B) - C)"), ("a - (b - c)", "(A - (B - C))"),
        ("a + b * c % d / e", "(A + (((B * C) % D) / E))"), ("a || b + c || d", "((A || (B + C)) || D)"),
        ("-a * b", "(-A * B)"), ("- a -> b", "-A->B"), ("+a", "+A"), ("a = b || c AND d", "((A = (B || C)) AND D)"),
        ("a != b", "(A <> B)"), ("a <= b", "(A <= B)"),
        ("a BETWEEN 1 AND 2 AND b", "((A BETWEEN 1 AND 2) AND B)"), ("a NOT BETWEEN -1 AND b + 1 OR c", "((A NOT BETWEEN -1 AND (B + 1)) OR C)"),
        ("a IN (1, 'x', NULL)", "(A IN (1, 'x', null))"), ("a NOT IN (b)", "(A NOT IN (B))"),
        ("a LIKE 'x%' ESCAPE '!'", "(A LIKE 'x%' ESCAPE '!')"), ("a NOT LIKE b", "(A NOT LIKE B)"),
        ("a IS NULL OR b IS NOT NULL", "((A IS NULL) OR (B IS NOT NULL))"),
        ("a IS DISTINCT FROM b", "(A IS DISTINCT FROM B)"), ("a IS NOT DISTINCT FROM b + 1", "(A IS NOT DISTINCT FROM (B + 1))"),
        ("a AT TIME ZONE 'Z'", "(A AT TIME ZONE 'Z')"), ("(-a) AT TIME ZONE 'Z'", "((-A) AT TIME ZONE 'Z')"), ("-a AT TIME ZONE 'Z'", "-(A AT TIME ZONE 'Z')"),
        // Literals.
        ("1", "1"), ("-1", "-1"), ("a-1", "(A - 1)"), ("a - -1", "(A - -1)"), ("-(1)", "-(1)"), ("- - 1", "-(-1)"), ("- -a", "-(-A)"), ("+5", "+(5)"),
        ("9223372036854775807", "9223372036854775807"), ("-9223372036854775808", "-9223372036854775808"),
        ("5.0", "5.0"), (".5", "0.5"), ("5.", "DECIMAL '5'"), ("-0.50", "-0.50"), ("DECIMAL '1.50'", "1.50"), ("decimal '12'", "DECIMAL '12'"),
        ("5e0", "5.0E0"), ("1.5E3", "1500.0E0"), (".5e-9", "5.0E-10"), ("1.7976931348623157E308", "1.7976931348623157E308"),
        ("'it''s'", "'it''s'"), ("''", "''"), ("'a\n;--'", "'a\n;--'"), ("TRUE", "true"), ("false", "false"), ("null", "null"),
        // Names.
        ("a_1@x", "A_1@X"), ("`Mixed``x`", "`Mixed``x`"), ("\"a b\"", "`a b`"), ("`A`", "A"), ("`SELECT`", "`SELECT`"), ("1abc", "`1ABC`"), ("t.1e5x", "T.`1E5X`"),
        ("s.`a`", "S.`a`"), ("timestamp", "TIMESTAMP"), ("key", "KEY"), ("model", "MODEL"), ("`ARRAY`[1]", "`ARRAY`[1]"), ("interval", "INTERVAL"), ("class", "CLASS"),
        // Structures.
        ("a->b->c", "A->B->C"), ("a.b->c[1]['k']", "A.B->C[1]['k']"), ("a[-1]", "A[-1]"), ("f(a)[i + 1]->x", "F(A)[(I + 1)]->X"), ("a->`b c`", "A->`b c`"),
        ("ARRAY[1, 2][1]", "ARRAY[1, 2][1]"), ("ARRAY[]", "ARRAY[]"), ("MAP('a' := 1, 'b':=x)", "MAP('a':=1, 'b':=X)"), ("map()", "MAP()"),
        ("STRUCT(a := 1, `b` := 'x')->a", "STRUCT(A:=1, `b`:='x')->A"), ("(a + b)->c", "(A + B)->C"), ("(-a)[1]", "(-A)[1]"),
        // Calls and lambdas.
        ("count(*)", "COUNT(*)"), ("f()", "F()"), ("f(g(1), a * 2)", "F(G(1), (A * 2))"), ("replace(a, 'x', 'y')", "REPLACE(a, 'x', 'y')".replacing("a", with: "A")),
        ("transform(a, x => x + 1)", "TRANSFORM(A, X => (X + 1))"), ("transform(m, (k, v) => k, (k, v) => v)", "TRANSFORM(M, (K, V) => K, (K, V) => V)"),
        ("reduce(a, 0, (s, x) => s + transform(x, y => y))", "REDUCE(A, 0, (S, X) => (S + TRANSFORM(X, Y => Y)))"), ("f((a), (b) => 1)", "F(A, B => 1)"),
        ("TIMESTAMPADD(MILLISECONDS, 5, t)", "TIMESTAMPADD(MILLISECONDS, 5, T)"), ("f(DAY)", "F(DAY)"),
        // Case and cast.
        ("CASE WHEN a THEN 1 WHEN b THEN 2 ELSE 3 END", "(CASE WHEN A THEN 1 WHEN B THEN 2 ELSE 3 END)"),
        ("CASE a WHEN 1 THEN 'x' END + 1", "((CASE A WHEN 1 THEN 'x' END) + 1)"),
        ("CAST(a AS VARCHAR)", "CAST(A AS STRING)"), ("cast(a as array<struct<x int, `y` map<string, double>>>)", "CAST(A AS ARRAY<STRUCT<X INTEGER, `y` MAP<STRING, DOUBLE>>>)"),
        ("CAST(a AS `INT`)", "CAST(A AS `INT`)"),
    ]

    @Test(arguments: table) func expressionIsUnderstood(sql: String, printed: String) throws {
        let expression = try Parser.parseExpression(sql)
        #expect(SQLFormatter.format(expression) == printed)
        #expect(try Parser.parseExpression(printed) == expression)
        #expect(expression.span.start == 0 || sql.hasPrefix("("))
    }

    @Test func spansCoverWhatWasWritten() throws {
        let sql = "a + CAST(bc AS INT) * -4"
        guard case .arithmetic(.add, let a, let product) = try Parser.parseExpression(sql).node, case .arithmetic(.multiply, let cast, let four) = product.node
        else {
            Issue.record("not a sum")
            return
        }
        func text(_ span: SourceSpan) -> String { String(decoding: Array(sql.utf8)[span.start..<span.end], as: UTF8.self) }
        #expect([a, product, cast, four].map { text($0.span) } == ["a", "CAST(bc AS INT) * -4", "CAST(bc AS INT)", "-4"])
        #expect([a, product, cast, four].map(\.span.column) == [1, 5, 5, 23])
    }

    // A random tree, printed and read back, is the same tree.
    @Test(arguments: [1, 2, 3, 4] as [UInt64]) func printedTreesReadBackTheSame(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<500 {
            let expression = Self.tree(4, &random)
            let text = SQLFormatter.format(expression)
            let again = try Parser.parseExpression(text)
            #expect(again == expression, "seed \(seed): \(text) became \(SQLFormatter.format(again))")
        }
    }

    static func tree(_ depth: Int, _ random: inout SeededRandom) -> Expression {
        func make(_ node: Expression.Node) -> Expression { Expression(node, span: .none) }
        func name() -> Identifier {
            Identifier(["A", "b", "KEY", "SELECT", "ARRAY", "MAP", "STRUCT", "CASE", "EMIT", "x y", "`", "1", "DAYS", "DECIMAL", "É"].randomElement(using: &random)!, isQuoted: true)
        }
        func sub() -> Expression { tree(depth - 1, &random) }
        if depth == 0 || Int.random(in: 0..<5, using: &random) == 0 {
            switch Int.random(in: 0..<9, using: &random) {
            case 0: return make(.null)
            case 1: return make(.boolean(Bool.random(using: &random)))
            case 2: return make(.integer([0, 1, -1, .max, .min].randomElement(using: &random)!))
            case 3: return make(.decimal(Decimal128(unscaled: Int128(Int64.random(in: -99999...99999, using: &random)), scale: Int.random(in: 0...7, using: &random))))
            case 4: return make(.double([0, -1.5, 1e300, 2.5e-308, 123_456.789].randomElement(using: &random)!))
            case 5: return make(.string(["", "'", "a\nb", "--", "é", "/*"].randomElement(using: &random)!))
            case 6: return make(.column(source: name(), name()))
            default: return make(.column(source: nil, name()))
            }
        }
        switch Int.random(in: 0..<22, using: &random) {
        case 0: return make(.field(sub(), name()))
        case 1: return make(.subscript_(sub(), sub()))
        case 2: return make(.arithmetic([.add, .subtract, .multiply, .divide, .modulo].randomElement(using: &random)!, sub(), sub()))
        case 3: return make(.negate(sub()))
        case 4: return make(.plus(sub()))
        case 5: return make(.concatenate(sub(), sub()))
        case 6: return make(.compare([.equal, .notEqual, .less, .isDistinctFrom, .isNotDistinctFrom].randomElement(using: &random)!, sub(), sub()))
        case 7: return make(.and(sub(), sub()))
        case 8: return make(.or(sub(), sub()))
        case 9: return make(.not(sub()))
        case 10: return make(.isNull(sub()))
        case 11: return make(.isNotNull(sub()))
        case 12: return make(.between(sub(), low: sub(), high: sub(), negated: Bool.random(using: &random)))
        case 13: return make(.isIn(sub(), [sub(), sub()], negated: Bool.random(using: &random)))
        case 14: return make(.like(sub(), pattern: sub(), escape: [nil, "'", "!"].randomElement(using: &random)!, negated: Bool.random(using: &random)))
        case 15: return make(.searchedCase([.init(condition: sub(), result: sub())], otherwise: Bool.random(using: &random) ? sub() : nil))
        case 16: return make(.simpleCase(sub(), [.init(condition: sub(), result: sub()), .init(condition: sub(), result: sub())], otherwise: nil))
        case 17: return make(.cast(sub(), TypeName(.array(TypeName(.custom(Identifier("INT", isQuoted: true)), span: .none)), span: .none)))
        case 18: return make(.call(name(), [sub(), make(.lambda([name()], sub())), make(.lambda([name(), name()], sub()))], isStar: false))
        case 19: return make(.array([sub(), sub()]))
        case 20: return Bool.random(using: &random) ? make(.map([.init(key: sub(), value: sub())])) : make(.structure([.init(name: name(), value: sub())]))
        default: return make(.atTimeZone(sub(), sub()))
        }
    }
}
