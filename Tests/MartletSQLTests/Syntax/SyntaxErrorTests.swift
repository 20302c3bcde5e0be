import Foundation
import MartletCore
import Testing

@testable import MartletSQL

@Suite struct SyntaxErrorTests {
    // What is written, and the message, or the part of it after "Syntax Error\n" and its place.
    static let table: [(String, String)] = [
        ("RUN SCRIPT 'x'", "line 1:1: Syntax Error\nUnknown statement 'RUN'"),
        ("SHOW STREAMS;\n FOO", "line 2:2: Syntax Error\nUnknown statement 'FOO'"),
        ("ASSERT VALUES foo (id INT) VALUES (123)", "line 1:8: Syntax Error\nSyntax error at or near 'VALUES' at line 1:8"),
        ("CREATE FOO x", "line 1:8: Syntax Error\nSyntax error at or near 'FOO' at line 1:8"),
        ("DROP", "line 1:5: Syntax Error\nSyntax error at or near '<EOF>' at line 1:5"),
        ("SELECT a FORM s", "line 1:15: Syntax Error\nExpecting {',', 'FROM'}"),
        ("SELECT FROM s", "line 1:8: Syntax Error\nExpecting an expression"),
        ("SELECT a FROM s GROUP BY f3, (f2, f1)", "line 1:33: Syntax Error\nmissing ')' at ','"),
        ("SELECT f(a b) FROM s", "line 1:12: Syntax Error\nextraneous input 'b' expecting {',', ')'}"),
        ("SELECT a FROM s LIMIT heh", "line 1:23: Syntax Error\nExpecting a number"),
        ("SELECT a FROM s LIMIT 2.5", "Failed to prepare statement: Value must be integer for command: LIMIT"),
        ("PRINT a LIMIT -1", "Failed to prepare statement: Value must not be negative for command: LIMIT"),
        ("SELECT size FROM s", "line 1:8: Syntax Error\n\"size\" is a reserved keyword and it can't be used as an identifier"),
        ("SELECT a FROM s WHERE ID IN ( )", "line 1:31: Syntax Error\nExpecting an expression"),
        ("SELECT a = b = c FROM s", "line 1:14: Syntax Error\nExpecting {'AS', ',', 'FROM'}"),
        ("SELECT * FROM EXPLODE(a)", "line 1:22: Syntax Error"),
        ("CREATE STREAM i (K VARCHAR (KEY))", "line 1:29: Syntax Error\nExpecting {'STRING', INTEGER_VALUE}"),
        ("CREATE STREAM i (a NULL)", "line 1:20: Syntax Error"),
        ("CREATE STREAM i (a DECIMAL(2, 3))", "Failed to prepare statement: DECIMAL precision must be >= scale: DECIMAL(2,3)"),
        ("CREATE TABLE INPUT (ID INT KEY)", "Failed to prepare statement: Line: 1, Col: 21: Column `ID` is a 'KEY' column: please use 'PRIMARY KEY' for tables."),
        ("CREATE STREAM INPUT (ID INT PRIMARY KEY)", "Failed to prepare statement: Line: 1, Col: 22: Column `ID` is a 'PRIMARY KEY' column: please use 'KEY' for streams."),
        ("SELECT -9223372036854775809 FROM s", "Failed to prepare statement: line 1:9: Invalid numeric literal: -9223372036854775809"),
        ("SELECT 9223372036854775808 FROM s", "Failed to prepare statement: line 1:9: Invalid numeric literal: 9223372036854775808"),
        ("SELECT 1.7976931348623159E308 FROM s", "Failed to prepare statement: line 1:9: Number overflows DOUBLE: 1.7976931348623159E308"),
        ("INSERT INTO s (a, b) VALUES (1)", "Failed to prepare statement: Expected number columns and values to match: 2, 1"),
        ("SELECT 'abc FROM s", "line 1:8: Syntax Error\nstring without a closing '"),
        ("SELECT a /* FROM s", "line 1:10: Syntax Error\ncomment without a closing */"),
        ("SELECT a ~ b FROM s", "line 1:10: Syntax Error\ntoken recognition error at: '~'"),
        ("SELECT é FROM s", "line 1:8: Syntax Error\ntoken recognition error at: 'é'"),
        ("SELECT a FROM s WINDOW TUMBLING (SIZE 5 BOBS)", "line 1:41: Syntax Error\nExpecting a unit: DAYS, HOURS, MINUTES, SECONDS or MILLISECONDS"),
        ("SELECT a FROM s WINDOW SESSION (9223372036854775807 DAYS)", "Failed to prepare statement: duration of more than 2^63 milliseconds"),
        ("ASSERT SCHEMA", "line 1:14: Syntax Error\nExpecting {'SUBJECT', 'ID'}"),
        ("SHOW STREAMS x", "line 1:14: Syntax Error\nExpecting {'EXTENDED', ';'}"),
        ("SELECT (a).b FROM s", "line 1:11: Syntax Error"), ("SELECT a LIKE 'x' ESCAPE 'ab' FROM s", "Failed to prepare statement: Expected single character escape but got: ab"),
    ]

    @Test(arguments: table) func mistakeIsNamedWithItsPlace(sql: String, message: String) throws {
        let error = try #require(throws: MartletError.self) { try Parser.parse(sql) }
        #expect(error.message.hasPrefix(message), "\(error.message)")
        #expect(error.code == .syntax)
        #expect(error.statement == sql)
        let span = try #require(error.span)
        #expect(span.start <= span.end && span.end <= sql.utf8.count)
    }

    @Test func aMistypedKeywordIsRecognised() throws {
        let error = try #require(throws: MartletError.self) { try Parser.parse("SELECT a b FORM s") }
        #expect(error.rendered() == """
            40001: line 1:12: Syntax Error
            Expecting {',', 'FROM'}
              SELECT a b FORM s
                         ^^^^  found 'FORM', did you mean FROM?
            """)
    }

    @Test(arguments: [
        String(repeating: "(", count: 100_000), "SELECT " + String(repeating: "-", count: 1) + String(repeating: "(-", count: 50_000),
        "SELECT " + String(repeating: "NOT ", count: 50_000), "SELECT " + String(repeating: "f(", count: 50_000),
        "SELECT " + String(repeating: "CASE WHEN ", count: 50_000), "SELECT " + String(repeating: "x => ", count: 50_000),
        "SELECT a " + String(repeating: "+ a ", count: 50_000) + "FROM s", "SELECT a" + String(repeating: "->a", count: 50_000) + " FROM s",
        "SELECT a" + String(repeating: "[1", count: 50_000), "CREATE STREAM s (a " + String(repeating: "ARRAY<", count: 50_000),
        "CREATE STREAM s (a INT" + String(repeating: " ARRAY", count: 50_000) + ")", String(repeating: "EXPLAIN ", count: 50_000),
        "SELECT a FROM " + String(repeating: "(SELECT a FROM ", count: 50_000), "SELECT a FROM a" + String(repeating: " JOIN a ON a = a", count: 5000),
        "SELECT a WHERE " + String(repeating: "a = ", count: 50_000), "SELECT f(" + String(repeating: "x => f(", count: 20_000),
    ]) func deepNestingIsAnError(sql: String) {
        let error = #expect(throws: MartletError.self) { try Parser.parse("SELECT a FROM s WHERE " + sql) }
        _ = error
        let other = #expect(throws: MartletError.self) { try Parser.parse(sql) }
        #expect(other?.code == .syntax)
    }

    @Test func whatIsAllowedToBeDeepParses() throws {
        let nested = String(repeating: "(", count: 190) + "a" + String(repeating: ")", count: 190)
        #expect(try Parser.parseExpression(nested) == Parser.parseExpression("a"))
        let chain = "SELECT a FROM s WHERE a = 0" + (1..<900).map { " OR a = \($0)" }.joined()
        let statements = try Parser.parse(chain)
        #expect(try structure(of: Parser.parse(SQLFormatter.format(statements[0]))) == structure(of: statements))
    }

    // Whatever the tokens, there is an answer: statements that print and read back, or an error with a place in the text.
    @Test(arguments: 1...6 as ClosedRange<UInt64>) func tokenSoupNeverCrashes(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let words = Keyword.allCases.map(\.rawValue) + ["a", "b", "s", "`q`", "\"Q\"", "1", "2.5", "3e4", "'x'", "1abc", "MODEL", "INPUT", "${v}", "~", "é"]
        let symbols = ["(", ")", "[", "]", ",", ".", ";", "=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "||", ":=", "=>", "->", "'", "`", "/*", "--", "\n"]
        let starts = ["SELECT ", "SELECT a FROM s ", "CREATE STREAM s ", "CREATE TABLE t (", "INSERT INTO s ", "SELECT f(", "SHOW ", "DESCRIBE ", ""]
        var understood = 0
        for _ in 0..<2000 {
            var sql = starts.randomElement(using: &random)!
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                sql += (Int.random(in: 0..<3, using: &random) == 0 ? symbols : words).randomElement(using: &random)!
                if Bool.random(using: &random) { sql += " " }
            }
            _ = Parser.split(sql)
            do throws(MartletError) {
                let statements = try Parser.parse(sql, dialect: .testTool)
                understood += statements.count
                let printed = statements.map { SQLFormatter.format($0) }.joined(separator: "\n")
                let again = try Parser.parse(printed, dialect: .testTool)
                #expect(structure(of: again) == structure(of: statements), "seed \(seed): \(sql)\n\(printed)")
            } catch {
                let span = try #require(error.span, "seed \(seed): \(sql)")
                #expect(error.code == .syntax && span.end <= sql.utf8.count, "seed \(seed): \(sql) \(error)")
                _ = error.rendered()
            }
        }
        #expect(understood > 20, "seed \(seed): the soup holds too few statements to show anything")
    }

    // A bound that only a change of complexity would break; the time of a release build is in the README.
    @Test func aLongTextTakesTimeInProportion() throws {
        let line = "SELECT a, b + 1 AS c, CAST(d AS INT) FROM s WHERE e LIKE 'x%' AND f IN (1, 2, 3) EMIT CHANGES;\n"
        let clock = ContinuousClock()
        let text = String(repeating: line, count: 20)
        let short = try clock.measure { _ = try Parser.parse(text) }
        let best = try (0..<50).map { _ in try clock.measure { _ = try Parser.parse(text) } }.min() ?? short
        var count = 0
        let long = try clock.measure { count = try Parser.parse(String(repeating: line, count: 2000)).count }
        #expect(count == 2000)
        #expect(long < .seconds(20) && long < max(short, .milliseconds(20)) * 1000)
        if CommandLine.environmentAsksForTimes { print("parse of \(text.utf8.count) bytes: \(best)") }
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>) func mutatedStatementsNeverCrash(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for (sql, _) in SyntaxStatementTests.table {
            for _ in 0..<10 {
                var bytes = Array(sql.utf8)
                for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
                    let place = Int.random(in: 0..<bytes.count, using: &random)
                    switch Int.random(in: 0..<3, using: &random) {
                    case 0: bytes.remove(at: place)
                    case 1: bytes[place] = UInt8.random(in: 0...255, using: &random)
                    default: bytes.insert(contentsOf: bytes[place...].prefix(5), at: place)
                    }
                }
                let text = String(decoding: bytes, as: UTF8.self)
                _ = Parser.split(text)
                do throws(MartletError) { _ = try Parser.parse(text) } catch { #expect(error.span.map { $0.end <= text.utf8.count } == true) }
            }
        }
    }
}

extension CommandLine {
    fileprivate static var environmentAsksForTimes: Bool { ProcessInfo.processInfo.environment["MARTLET_TIMES"] != nil }
}
