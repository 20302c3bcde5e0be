import MartletCore
import Testing

@testable import MartletSQL

/// Which keys and windows a pull query's condition leads to.
@Suite struct LookupExtractionTests {
    private func lookup(_ condition: String, from table: String = "totals", properties: [String: String] = [:]) throws -> TableLookup {
        var bench = GroupPlanTests.bench
        bench.properties = properties
        return try #require(try bench.select("SELECT * FROM \(table) WHERE \(condition);").lookup)
    }

    static let keys: [(condition: String, keys: [String]?)] = [
        ("id = 'a'", ["a"]),
        ("'a' = id", ["a"]),
        ("id = 'b' OR id IN ('a', 'b') OR id = 'c' AND n > 3", ["b", "a", "c"]),
        ("id IN ('a', 'b', 'c') AND id IN ('c', 'b')", ["b", "c"]),
        ("id = 'a' AND id = 'b'", []),
        ("id = CONCAT('a', 'b')", ["ab"]),
        ("id = 'a' AND (n = 1 OR n = 2)", ["a"]),
        ("id = 'a' OR n = 1", nil),
        ("NOT id = 'a'", nil),
        ("id <> 'a'", nil),
        ("id = CAST(n AS STRING)", nil),
        ("n = 3", nil),
    ]

    @Test(arguments: keys.indices)
    func keysOfCondition(_ index: Int) throws {
        let (condition, keys) = Self.keys[index]
        #expect(try lookup(condition).keys == (keys.map { .some($0.map { [.string($0)] }) } ?? .all))
    }

    @Test func ranges() throws {
        #expect(
            try lookup("id >= 'a' AND 'c' > id").keys
                == .range(lower: .init(value: .string("a"), isInclusive: true), upper: .init(value: .string("c"), isInclusive: false)))
        #expect(try lookup("id > 'a' OR id = 'b'").keys == .all)
    }

    @Test func windows() throws {
        let one = try lookup("id = 'a' AND y = 'b' AND WINDOWSTART > 10 AND WINDOWEND <= '1970-01-01T00:00:01'", from: "hourly")
        #expect(one.keys == .some([[.string("a"), .string("b")]]))
        #expect(one.windowStart == .init(lower: 11) && one.windowEnd == .init(upper: 1000))
        let either = try lookup("(id = 'a' AND WINDOWSTART = 5) OR (id = 'b' AND WINDOWSTART BETWEEN 7 AND 9)", from: "hourly")
        #expect(either.keys == .all && either.windowStart == .init(lower: 5, upper: 9))
        #expect(try lookup("WINDOWSTART = 5 OR id = 'a'", from: "hourly").windowStart == .init())
    }

    /// Conditions that would be looked up one by one too often are scanned for.
    @Test func manyAlternatives() throws {
        let pairs = (0..<12).map { "(id = 'a\($0)' OR id = 'b\($0)')" }.joined(separator: " AND ")
        #expect(try lookup(pairs).keys == .all)
    }

    static let refused: [(condition: String, message: String)] = [
        ("n = 100", "WHERE clause missing key column for disjunct: (N = 100)"),
        ("id = 'a' OR n = 100", "WHERE clause missing key column for disjunct: (N = 100)"),
        ("id = 'a' AND id = 'b'", "A comparison condition on the key column cannot be combined with other comparisons such as an IN predicate"),
        ("UCASE(id) = 'A'", "A comparison must directly reference a key column.  See https://cnfl.io/queries for more info."),
        ("id = CAST(n AS STRING)", "A comparison must be between a key column and a resolvable expression."),
        ("id = 'a' AND n IS NULL", "Unsupported expression in WHERE clause: (N IS NULL)"),
        ("id LIKE UCASE('a') AND UCASE(id) LIKE 'a'", "Like condition must be between strings"),
        ("id <> 'a'", "Bound on key columns '[`ID` STRING KEY]' must currently be '='"),
    ]

    @Test(arguments: refused.indices)
    func withoutScans(_ index: Int) throws {
        let (condition, message) = Self.refused[index]
        do {
            _ = try lookup(condition, properties: ["ksql.query.pull.table.scan.enabled": "false"])
            Issue.record("accepted: \(condition)")
        } catch let error as MartletError {
            #expect(error.message.hasPrefix(message))
        }
        _ = try lookup(condition)
    }

    static let bounds: [(condition: String, message: String)] = [
        ("id = 'a' AND y = 'b' AND WINDOWSTART > 1 AND 2 < WINDOWSTART", "Duplicate `WINDOWSTART` bounds on: GREATER_THAN"),
        ("id = 'a' AND y = 'b' AND WINDOWEND <= 1 AND WINDOWEND < 2", "Duplicate `WINDOWEND` bounds on: LESS_THAN"),
        ("id = 'a' AND y = 'b' AND WINDOWSTART = 1 AND WINDOWSTART = 2", "Duplicate `WINDOWSTART` bounds on: EQUAL"),
        ("id = 'a' AND y = 'b' AND WINDOWSTART = 1 AND WINDOWSTART > 2", "`(WINDOWSTART > 2)` cannot be combined with other `WINDOWSTART` bounds"),
        ("id = 'a' AND y = 'b' AND WINDOWSTART BETWEEN 1 AND 5 AND WINDOWSTART = 2", "`(WINDOWSTART = 2)` cannot be combined with other `WINDOWSTART` bounds"),
        ("id = 'a' AND y = 'b' AND WINDOWSTART <> 1", "Unsupported `WINDOWSTART` bounds: NOT_EQUAL"),
        ("WINDOWEND IS DISTINCT FROM 1", "Unsupported `WINDOWEND` bounds: IS_DISTINCT_FROM"),
        ("id = 'a' AND y = 'b' AND WINDOWSTART > 1.5", "Window bounds must resolve to an INT, BIGINT, or STRING containing a datetime."),
        ("id IN ('a', NULL) AND y = 'b'", "Primary key columns can not be NULL: (ID = null)"),
    ]

    /// Bounds of windows that contradict each other, whether the table is scanned or not.
    @Test(arguments: bounds.indices)
    func windowBounds(_ index: Int) throws {
        let (condition, message) = Self.bounds[index]
        do {
            _ = try lookup(condition, from: "hourly")
            Issue.record("accepted: \(condition)")
        } catch let error as MartletError {
            #expect(error.message.hasPrefix(message), "\(error.message)")
        }
        // One bound from each side, and each of both bounds.
        _ = try lookup("id = 'a' AND y = 'b' AND WINDOWSTART > 1 AND WINDOWSTART < 9 AND WINDOWEND = 8", from: "hourly")
        // Where the table is scanned anyway nothing is looked up.
        _ = try lookup("WINDOWSTART > 1 AND WINDOWSTART > 2", from: "hourly")
    }
}
