import Foundation
import MartletCore
import Testing

@testable import MartletSQL

/// The statements of the public conformance cases, where they are at hand: `MARTLET_SHARED`, else `../shared` beside the package.
@Suite struct SyntaxConformanceTests {
    struct Case {
        var name: String
        /// What is parsed as one text: the whole case, or its statements up to the first query and then each query.
        var texts: [[String]]
        var isFailureExpected: Bool
        var parseFailure: String?
        var isParseFailureExpected: Bool
    }

    static let folder: URL? = {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let shared = ProcessInfo.processInfo.environment["MARTLET_SHARED"].map { URL(fileURLWithPath: $0) }
        let candidates = [shared, package.deletingLastPathComponent().appendingPathComponent("shared")].compactMap { $0 }
        return candidates.map { $0.appendingPathComponent("conformance/open") }.first { FileManager.default.fileExists(atPath: $0.path) }
    }()

    static func cases(in folder: URL) throws -> [Case] {
        var cases: [Case] = []
        for kind in ["qtt", "rest"] {
            let files = try FileManager.default.contentsOfDirectory(at: folder.appendingPathComponent(kind), includingPropertiesForKeys: nil)
            for file in files.sorted(by: { $0.path < $1.path }) where file.pathExtension == "json" {
                let json = try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any]
                for entry in json?["cases"] as? [[String: Any]] ?? [] {
                    let expected = (entry["expectedException"] ?? entry["expectedError"]) as? [String: Any]
                    let type = expected?["type"] as? String ?? ""
                    let statements = entry["statements"] as? [String] ?? []
                    let admin = entry["adminStatementCount"] as? Int ?? statements.count
                    cases.append(
                        Case(
                            name: entry["name"] as? String ?? "", texts: [Array(statements[..<admin])] + statements[admin...].map { [$0] },
                            isFailureExpected: expected != nil, parseFailure: expected?["message"] as? String,
                            isParseFailureExpected: type.hasSuffix("ParseFailedException")))
                }
            }
        }
        return cases
    }

    // What the parser leaves to the analysis: values of WITH properties.
    static let checkedLater = ["Configuration WINDOW_SIZE is invalid", "'WINDOW_SIZE' should not be set for SESSION windows"]

    @Test(.enabled(if: folder != nil, "the conformance cases are not at hand: set MARTLET_SHARED"))
    func everyStatementParsesUnlessItsCaseExpectsAParseFailure() throws {
        let cases = try Self.cases(in: #require(Self.folder))
        #expect(cases.count == 1867)
        for entry in cases {
            for text in entry.texts { try check(text, entry) }
        }
    }

    private func check(_ texts: [String], _ entry: Case) throws {
        let sql = texts.joined(separator: "\n")
        do throws(MartletError) {
            let statements = try Parser.parse(sql)
            #expect(statements.count == texts.count, "\(entry.name)")
            if entry.isParseFailureExpected {
                #expect(Self.checkedLater.contains { entry.parseFailure?.contains($0) == true }, "\(entry.name) parses: \(sql)")
            }
            // The round trip law.
            let printed = statements.map { SQLFormatter.format($0) }.joined(separator: "\n")
            let again = try Parser.parse(printed)
            #expect(structure(of: again) == structure(of: statements), "\(entry.name)\n\(sql)\n\(printed)")
            #expect(again.map { SQLFormatter.format($0) }.joined(separator: "\n") == printed)
            // Cutting agrees with parsing.
            #expect(Parser.split(sql).map(\.text) == statements.map(\.text))
        } catch {
            #expect(error.code == .syntax)
            #expect(entry.isFailureExpected, "\(entry.name): \(error.rendered())")
            if let message = entry.parseFailure {
                let full = "\(error.message)\nStatement: \(sql)"
                #expect(full.contains(message), "\(entry.name): \(full)")
            }
        }
    }
}
