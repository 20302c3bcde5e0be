import Foundation
import MartletCore
import Testing

@testable import MartletSQL

/// docs/reference/sql.md says what is true.
@Suite struct SyntaxReferenceTests {
    let page: String

    init() throws {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        page = try String(contentsOf: package.appendingPathComponent("docs/reference/sql.md"), encoding: .utf8)
    }

    private func blocks(_ kind: String) -> [String] {
        page.components(separatedBy: "```\(kind)\n").dropFirst().map { $0.components(separatedBy: "\n```")[0] }
    }

    @Test func everyExampleParsesAndEveryServerStatementHasOne() throws {
        var kinds: Set<String> = []
        for block in blocks("sql") {
            let statements = try Parser.parse(block)
            #expect(try structure(of: Parser.parse(statements.map { SQLFormatter.format($0) }.joined())) == structure(of: statements))
            for statement in statements { kinds.insert(Mirror(reflecting: statement.node).children.first?.label ?? "\(statement.node)") }
        }
        let all = try SyntaxStatementTests.table.flatMap { try Parser.parse($0.0) }
        let missing = Set(all.map { Mirror(reflecting: $0.node).children.first?.label ?? "" }).subtracting(kinds)
        #expect(missing.isEmpty, "no example of \(missing.sorted())")
    }

    @Test func everyMistakeShownReadsSo() throws {
        let examples = blocks("error")
        #expect(examples.count >= 4)
        for example in examples {
            let lines = example.components(separatedBy: "\n")
            let error = try #require(throws: MartletError.self) { try Parser.parse(lines[0]) }
            #expect(error.rendered() == lines.dropFirst().joined(separator: "\n"))
        }
    }

    @Test(arguments: [("reserved", true), ("free", false)]) func listsOfWordsAreComplete(list: String, isReserved: Bool) throws {
        let text = page.components(separatedBy: "<!-- \(list) -->\n")[1].components(separatedBy: "\n<!-- end -->")[0]
        let words = text.components(separatedBy: CharacterSet(charactersIn: ", \n")).filter { !$0.isEmpty }
        #expect(words == Keyword.allCases.filter { $0.isReserved == isReserved }.map(\.rawValue).sorted())
    }

    @Test(arguments: Keyword.allCases.map(\.rawValue)) func freeWordsAreNamesEverywhereAndReservedOnesNowhere(word: String) throws {
        let keyword = try #require(Keyword.named(word))
        let texts = [
            "SELECT \(word) FROM s", "SELECT s.\(word) AS x FROM s", "SELECT a AS \(word) FROM s", "CREATE STREAM s (\(word) INT, b \(word))", "DROP TABLE \(word)",
            "SELECT a FROM \(word) WHERE \(word) = 1", "SELECT a + \(word) * 2 FROM s GROUP BY \(word)", "INSERT INTO s (\(word)) VALUES (1)",
        ]
        for text in texts {
            if keyword.isReserved {
                // NULL and the like are expressions of their own.
                if [.null, .true_, .false_].contains(keyword) { continue }
                #expect(throws: MartletError.self, "\(text)") { try Parser.parse(text) }
            } else {
                let statements = try Parser.parse(text)
                #expect(try structure(of: Parser.parse(SQLFormatter.format(statements[0]))) == structure(of: statements), "\(text)")
            }
        }
    }
}
