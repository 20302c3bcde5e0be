import Foundation
import MartletColumns
import MartletCore
import Testing

@testable import MartletEngine

/// The reference pages that are made from tables in the code: functions, settings, error codes. `make golden` rewrites them.
@Suite struct ReferenceTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "docs/reference")

    private func check(_ name: String, _ text: String) throws {
        let file = Self.folder.appending(path: name)
        if ProcessInfo.processInfo.environment["MARTLET_GOLDEN"] != nil {
            try text.write(to: file, atomically: true, encoding: .utf8)
            return
        }
        let written = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        #expect(written == text, "docs/reference/\(name) does not say what the code says: run make golden and read the difference")
    }

    @Test func functions() throws {
        let registry = FunctionRegistry.builtin
        var text = "# Functions\n\nMade from the function registry; `SHOW FUNCTIONS` and `DESCRIBE FUNCTION` print the same.\n"
        for (title, functions) in [
            ("Scalar functions", registry.scalars), ("Aggregate functions", registry.aggregates),
            ("Table functions", registry.tables),
        ] {
            text += "\n## \(title)\n"
            for (category, members) in Dictionary(grouping: functions, by: \.category).sorted(by: { $0.key < $1.key }) {
                text += "\n### \(category)\n\n| function | what it does |\n|---|---|\n"
                for function in members.sorted(by: { $0.name < $1.name }) {
                    let signatures = function.signatures.map { "`\($0)`" }.joined(separator: "<br>")
                    text += "| \(signatures) | \(function.description.split(separator: "|").joined(separator: "\\|")) |\n"
                }
            }
        }
        text += "\n## What differs from ksqlDB\n\n" + FunctionRegistry.differences.map { "- \($0)\n" }.joined()
        try check("functions.md", text)
    }

    @Test func settings() throws {
        var text = "# Settings\n\nMade from the table of settings; `SHOW PROPERTIES` prints the same. Clients set the editable ones with SET or `streamsProperties`.\n\n"
        text += "| property | default | editable | what it is |\n|---|---|---|---|\n"
        for setting in Settings.all {
            text += "| `\(setting.name)` | \(setting.defaultValue.isEmpty ? "" : "`\(setting.defaultValue)`") | \(setting.isEditable ? "yes" : "no") | \(setting.summary) |\n"
        }
        try check("settings.md", text)
    }

    @Test func errors() throws {
        var text = "# Errors\n\nMade from the table of error codes. `error_code` is the HTTP status × 100 plus a detail, as in ksqlDB.\n\n"
        text += "| kind | error_code | HTTP | who acts | a retry may help |\n|---|---|---|---|---|\n"
        for code in ErrorCode.allCases {
            text += "| \(code.rawValue) | \(code.restCode) | \(code.httpStatus) | \(code.actor.rawValue) | \(code.isRetriable ? "yes" : "no") |\n"
        }
        try check("errors.md", text)
    }
}
