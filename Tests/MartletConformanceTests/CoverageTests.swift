import Foundation
import MartletColumns
import Testing

/// Nothing of the dialect may go without a case in `Tests/Queries`.
@Suite struct CoverageTests {
    private static let corpus: String = {
        let files = FileManager.default.enumerator(atPath: QueriesTests.folder)?.compactMap { $0 as? String } ?? []
        return files.filter { $0.hasSuffix(".sqltest") }.sorted()
            .map { (try? String(contentsOfFile: "\(QueriesTests.folder)/\($0)", encoding: .utf8)) ?? "" }.joined(separator: "\n")
    }()

    private func occurs(_ pattern: String) -> Bool { Self.corpus.range(of: pattern, options: [.regularExpression, .caseInsensitive]) != nil }

    @Test func everyFunctionHasACase() {
        let registry = FunctionRegistry.builtin
        let names = (registry.scalars + registry.aggregates + registry.tables).map(\.name)
        #expect(names.count > 140)
        #expect(names.filter { !occurs("\\b\($0)\\s*\\(") } == [])
    }

    @Test func everyOperatorHasACase() {
        let operators: KeyValuePairs = [
            "+": " \\+ ", "-": " - ", "*": " \\* ", "/": " / ", "%": " % ", "||": "\\|\\|", "=": "WHERE .* = ", "<>": " <> ", "!=": " != ", "<": " < ", "<=": " <= ",
            ">": " > ", ">=": " >= ", "BETWEEN": " BETWEEN ", "NOT BETWEEN": "NOT BETWEEN ", "IN": " IN \\(", "NOT IN": "NOT IN \\(", "LIKE": " LIKE ",
            "NOT LIKE": "NOT LIKE ", "ESCAPE": " ESCAPE ", "IS NULL": "IS NULL", "IS NOT NULL": "IS NOT NULL", "IS DISTINCT FROM": "IS DISTINCT FROM",
            "IS NOT DISTINCT FROM": "IS NOT DISTINCT FROM", "AND": " AND ", "OR": " OR ", "NOT": "NOT ", "CASE": "CASE WHEN ", "CAST": "CAST\\(", "[]": "\\[[0-9'-]",
            "->": "->", "ARRAY": "ARRAY\\[", "MAP": "MAP\\(", "STRUCT": "STRUCT\\(", "=>": " => ", "unary -": "[ (,]-[a-z]",
        ]
        #expect(operators.filter { !occurs($0.value) }.map(\.key) == [])
    }
}
