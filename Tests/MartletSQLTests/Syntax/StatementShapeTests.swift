import MartletCore
import Testing

@testable import MartletSQL

@Suite struct StatementShapeTests {
    @Test func literalsAreTakenOut() throws {
        let shape = try #require(StatementShape("SELECT * FROM t WHERE k = 'a''b' AND n=12;"))
        #expect(shape.literals == [.text("a'b"), .integer(12)])
        #expect(shape.pattern == "SELECT * FROM t WHERE k = \u{1} AND n=\u{2};")
        let other = try #require(StatementShape("SELECT * FROM t WHERE k = '' AND n=0;"))
        #expect(shape.pattern == other.pattern)
        // Names keep their digits, and quotes what is in them.
        #expect(StatementShape("SELECT a1 FROM `t 5` WHERE \"k'\" = 5")?.pattern == "SELECT a1 FROM `t 5` WHERE \"k'\" = \u{2}")
    }

    @Test func differentThingsHaveDifferentPatterns() {
        let texts = [
            "SELECT * FROM t WHERE k = 5", "SELECT * FROM t WHERE k = '5'", "SELECT * FROM t WHERE k = 3000000000", "SELECT * FROM t WHERE k = -5",
            "SELECT * FROM t WHERE `k` = 5", "SELECT * FROM t WHERE K = 5", "SELECT * FROM t1 WHERE k = 5", "SELECT * FROM t WHERE k = 5 LIMIT 1",
        ]
        #expect(Set(texts.compactMap { StatementShape($0)?.pattern }).count == texts.count)
    }

    @Test func whatIsUnsureHasNoShape() {
        for text in [
            "SELECT 1.5", "SELECT .5", "SELECT 5e0", "SELECT 2nd", "SELECT 'open", "SELECT `open", "SELECT 1 -- no", "SELECT /* no */ 1", "SELECT ${x}",
            "SELECT 99999999999999999999", "SELECT \u{1}",
        ] {
            #expect(StatementShape(text) == nil, "\(text)")
        }
    }

    /// Whatever the literals are, the statement parses to the same but for them: its shape is the one of the parser's own tokens.
    @Test func theParserFindsTheSameLiterals() throws {
        var random = SeededRandom(seed: 7)
        for _ in 0..<300 {
            let text = String((0..<Int.random(in: 0..<6, using: &random)).map { _ in ["a", "'", "`", "\"", "5", " ", "é", "-", ";"][Int.random(in: 0..<9, using: &random)] }.joined())
            let number = Int64(Int.random(in: 0..<(1 << 40), using: &random))
            let sql = "SELECT * FROM t WHERE a = '\(text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''"))' AND b = \(number);"
            let shape = try #require(StatementShape(sql))
            #expect(shape.literals == [.text(text), .integer(number)])
            guard case .query(let query)? = try Parser.parse(sql).first?.node, let condition = query.whereClause else {
                Issue.record("no query")
                return
            }
            var found: [StatementShape.Literal] = []
            for conjunct in condition.conjuncts {
                guard case .compare(.equal, _, let value) = conjunct.node else { continue }
                switch value.node {
                case .string(let text): found.append(.text(text))
                case .integer(let number): found.append(.integer(number))
                default: Issue.record("no literal")
                }
            }
            #expect(found == shape.literals)
        }
    }
}
