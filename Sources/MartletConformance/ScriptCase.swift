import MartletCore

/// A test of a SQL file: statements and assertions, as ksqlDB's own test tool has them (ksqlDB docs, "Test ksqlDB applications").
///
/// ```
/// --@test: a filter keeps what it says
/// --@expected.message: words of the error that the last statement gives (only in tests that have to fail)
/// --@partitions: 1 (only in tests whose results depend on how many tasks share the time)
/// CREATE STREAM …;  INSERT INTO … VALUES …;  ASSERT VALUES …;
/// ```
struct ScriptCase {
    var name: String
    var sql: String
    /// The test has to fail; with these words if they are not empty.
    var expectedError: String?
    /// Most tasks that the records may be spread over; nil: any number.
    var partitionsMax: Int?

    /// Cuts a file into its tests. Text before the first `--@test` belongs to no test.
    static func cases(of text: String) -> [ScriptCase] {
        var out: [ScriptCase] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if let name = value(of: "--@test:", in: line) {
                out.append(ScriptCase(name: name, sql: ""))
            } else if out.isEmpty {
                continue
            } else if let message = value(of: "--@expected.message:", in: line) {
                out[out.count - 1].expectedError = message
            } else if value(of: "--@expected.error:", in: line) != nil {
                out[out.count - 1].expectedError = out[out.count - 1].expectedError ?? ""
            } else if let count = value(of: "--@partitions:", in: line) {
                out[out.count - 1].partitionsMax = Int(count)
            } else {
                out[out.count - 1].sql += line + "\n"
            }
        }
        return out
    }

    private static func value(of mark: String, in line: Substring) -> String? {
        guard line.hasPrefix(mark) else { return nil }
        var rest = line.dropFirst(mark.count)
        while rest.first == " " { rest.removeFirst() }
        while let last = rest.last, last == " " || last == "\r" { rest.removeLast() }
        return String(rest)
    }
}
