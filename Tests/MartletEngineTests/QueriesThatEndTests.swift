import MartletCore
import Testing

@testable import MartletEngine

/// Sorting, groups, UNION ALL and subqueries in queries that end; DELETE.
@Suite struct QueriesThatEndTests {
    private func harness() async throws -> EngineHarness {
        let harness = try await EngineHarness()
        try harness.topic("a", partitions: 2)
        try harness.topic("b")
        try await harness.execute(
            """
            CREATE STREAM a (id VARCHAR KEY, x INT, s VARCHAR) WITH (kafka_topic='a', value_format='JSON');
            CREATE STREAM b (x BIGINT, s VARCHAR) WITH (kafka_topic='b', value_format='JSON');
            """)
        try harness.produce("a", partition: 0, [("k1", #"{"x":3,"s":"c"}"#), ("k2", #"{"x":1,"s":"b"}"#), ("k3", #"{"x":null,"s":"d"}"#)], timestamp: 500_000_000)
        // A day before the other partition's rows: not late for a query that ends.
        try harness.produce("a", partition: 1, [("k4", #"{"x":1,"s":"a"}"#), ("k5", #"{"x":3,"s":null}"#)], timestamp: 1_000)
        try harness.produce("b", [(nil, #"{"x":7,"s":"z"}"#), (nil, #"{"x":1,"s":"y"}"#)], timestamp: 5)
        return harness
    }

    @Test func order() async throws {
        let harness = try await harness()
        #expect(try await harness.rows("SELECT x, s FROM a ORDER BY x, s;") == ["1|a", "1|b", "3|c", "3|null", "null|d"])
        #expect(try await harness.rows("SELECT s FROM a ORDER BY x DESC NULLS LAST, s NULLS FIRST LIMIT 2 OFFSET 1;") == ["c", "a"])
        #expect(try await harness.rows("SELECT x * 2 AS y, id FROM a WHERE x IS NOT NULL ORDER BY y, 2 DESC;") == ["2|k4", "2|k2", "6|k5", "6|k1"])
        #expect(try await harness.rows("SELECT s FROM a ORDER BY s LIMIT 0;").isEmpty)
        #expect(try await harness.rows("SELECT s FROM a ORDER BY s OFFSET 10;").isEmpty)
        await harness.close()
    }

    @Test func distinct() async throws {
        let harness = try await harness()
        #expect(try await harness.rows("SELECT DISTINCT x FROM a ORDER BY x NULLS FIRST;") == ["null", "1", "3"])
        await harness.close()
    }

    @Test func unions() async throws {
        let harness = try await harness()
        #expect(
            try await harness.rows("SELECT x, s FROM a WHERE x = 1 UNION ALL SELECT x, s FROM b ORDER BY x, s DESC;") == ["1|y", "1|b", "1|a", "7|z"])
        #expect(try await harness.rows("WITH u AS (SELECT s FROM a UNION ALL SELECT s FROM b) SELECT UCASE(s) AS t FROM u WHERE s > 'c' ORDER BY t;") == ["D", "Y", "Z"])
        await harness.close()
    }

    @Test func groups() async throws {
        let harness = try await harness()
        for sql in ["SELECT x, COUNT(*) FROM a GROUP BY x;", "SELECT COUNT(*) FROM a;"] {
            await #expect(throws: MartletError.self) { _ = try await harness.engine.query(sql, properties: ["ksql.query.pull.grouping.enabled": "false"]) }
        }
        func rows(_ sql: String) async throws -> [String] { try await grouped(sql, harness) }
        #expect(try await rows("SELECT x, COUNT(*) AS n FROM a GROUP BY x ORDER BY x DESC;") == ["3|2", "1|2"])
        #expect(try await rows("SELECT COUNT(*) AS n, SUM(x) FROM a;") == ["5|8"])
        #expect(try await rows("SELECT n, COUNT(*) FROM (SELECT x, COUNT(*) AS n FROM a GROUP BY x) t GROUP BY n;") == ["2|2"])
        #expect(try await rows("SELECT x, COUNT(*) FROM a GROUP BY x HAVING COUNT(s) = 1;") == ["3|2"])
        #expect(
            try await rows("SELECT WINDOWSTART AS ws, COUNT(*) FROM a WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY x ORDER BY ws, x;")
                == ["0|1", "0|1", "496800000|1", "496800000|1"])
        await harness.close()
    }

    private func grouped(_ sql: String, _ harness: EngineHarness) async throws -> [String] {
        guard case .rows(let query) = try await harness.engine.query(sql) else { return [] }
        var out: [String] = []
        while let batch = try await query.rows.next() {
            for row in 0..<batch.count { out.append(batch.columns.map { $0.value(row).castText }.joined(separator: "|")) }
        }
        return out
    }

    /// DISTINCT, ORDER BY, LIMIT and OFFSET inside: the query around gets what is left of the rows.
    @Test func subqueriesThatSortAndCut() async throws {
        let harness = try await harness()
        func rows(_ sql: String) async throws -> [String] { try await grouped(sql, harness) }
        #expect(try await rows("SELECT s FROM (SELECT s, x FROM a ORDER BY s LIMIT 2) t;") == ["a", "b"])
        #expect(try await rows("SELECT s FROM (SELECT s FROM a ORDER BY x DESC NULLS LAST, s NULLS FIRST LIMIT 2 OFFSET 1) t ORDER BY s;") == ["a", "c"])
        #expect(try await rows("SELECT COUNT(*) AS n, SUM(x) AS total FROM (SELECT x FROM a WHERE x IS NOT NULL ORDER BY x LIMIT 3) t;") == ["3|5"])
        // Distinct values, null among them, counted.
        #expect(try await rows("SELECT COUNT(*) AS n FROM (SELECT DISTINCT x FROM a) t;") == ["3"])
        #expect(try await rows("WITH d AS (SELECT DISTINCT x FROM a) SELECT x FROM d WHERE x > 1 OR x IS NULL ORDER BY x;") == ["3", "null"])
        #expect(try await rows("SELECT x, COUNT(*) AS n FROM (SELECT DISTINCT x, s FROM a) t GROUP BY x ORDER BY x DESC;") == ["3|2", "1|2"])
        // One inside another, and parts of a UNION.
        #expect(try await rows("SELECT y FROM (SELECT x * 2 AS y FROM (SELECT DISTINCT x FROM a ORDER BY x LIMIT 2) i ORDER BY y DESC LIMIT 1) o;") == ["6"])
        #expect(try await rows("SELECT DISTINCT s FROM a WHERE x = 1 UNION ALL SELECT s FROM (SELECT s FROM b ORDER BY s LIMIT 1) t ORDER BY s;") == ["a", "b", "y"])
        #expect(try await rows("SELECT COUNT(*) AS n FROM (SELECT s FROM a UNION ALL SELECT s FROM b LIMIT 4) t;") == ["4"])
        // Groups inside come once, complete.
        #expect(try await rows("SELECT s, n FROM (SELECT s, COUNT(*) AS n FROM a WHERE s IS NOT NULL GROUP BY s ORDER BY s DESC LIMIT 2) t;") == ["d|1", "c|1"])
        #expect(try await rows("SELECT n, COUNT(*) AS m FROM (SELECT x, COUNT(*) AS n FROM a GROUP BY x ORDER BY x LIMIT 5) t GROUP BY n;") == ["2|2"])
        // Keys, ROWTIME and offsets of zero rows.
        #expect(try await rows("SELECT id, ROWTIME AS ts FROM (SELECT id, x FROM a ORDER BY id LIMIT 1) t;") == ["k1|500000000"])
        #expect(try await rows("SELECT s FROM (SELECT s FROM a ORDER BY s LIMIT 0) t;").isEmpty)
        await harness.close()
    }

    @Test func joinsOfSubqueriesThatSortAndCut() async throws {
        let harness = try await harness()
        try harness.topic("t")
        try await harness.execute(
            """
            CREATE TABLE t (x INT PRIMARY KEY, v INT) WITH (kafka_topic='t', value_format='JSON');
            INSERT INTO t VALUES (1, 10); INSERT INTO t VALUES (3, 30); INSERT INTO t VALUES (3, 31);
            """)
        #expect(
            try await grouped("WITH top AS (SELECT x, COUNT(*) AS n FROM a GROUP BY x ORDER BY x DESC LIMIT 1) SELECT top.x AS x, n, v FROM top JOIN t ON top.x = t.x;", harness)
                == ["3|2|31"])
        #expect(try await grouped("SELECT d.x AS x, v FROM (SELECT DISTINCT x FROM a) d LEFT JOIN t ON d.x = t.x ORDER BY v;", harness) == ["1|10", "3|31", "null|null"])
        for (sql, message) in [
            ("SELECT a.x, d.s FROM a JOIN (SELECT DISTINCT x, s FROM a) d WITHIN 1 HOUR ON a.x = d.x;", "it can only be the left side of a join with a table"),
            ("SELECT s FROM (SELECT s FROM a ORDER BY s) t EMIT CHANGES;", "ORDER BY is only for queries that end"),
            ("SELECT s FROM (SELECT s FROM a LIMIT 2) t EMIT CHANGES;", "LIMIT in a subquery is only for queries that end"),
            ("SELECT s FROM (SELECT DISTINCT s FROM a) t EMIT CHANGES;", "SELECT DISTINCT is only for queries that end"),
            ("SELECT s FROM (SELECT s FROM a LIMIT -1) t;", "LIMIT takes no negative number"),
        ] {
            do {
                _ = try await harness.engine.query(sql)
                Issue.record("accepted: \(sql)")
            } catch {
                #expect(error.message.contains(message), "\(sql): \(error)")
                #expect(error.span != nil)
            }
        }
        await harness.close()
    }

    /// Sides of joins that are subqueries: tables inside are read as changes, what is left at the end is the result.
    @Test func joinedSubqueries() async throws {
        let harness = try await harness()
        try harness.topic("t")
        try await harness.execute("CREATE TABLE t (x INT PRIMARY KEY, v INT, w VARCHAR) WITH (kafka_topic='t', value_format='JSON');")
        // Keys are INTEGER in the KAFKA format.
        try await harness.execute(
            "INSERT INTO t VALUES (1, 10, 'p'); INSERT INTO t VALUES (3, 30, 'p'); INSERT INTO t VALUES (1, 11, 'q'); INSERT INTO t VALUES (4, 40, 'q');")
        await #expect(throws: MartletError.self) {
            _ = try await harness.engine.query(
                "SELECT g.x, t.v FROM (SELECT x, COUNT(*) AS n FROM a GROUP BY x) g JOIN t ON g.x = t.x;",
                properties: ["ksql.query.pull.grouping.enabled": "false"])
        }
        #expect(
            try await grouped("SELECT g.x AS x, n, t.v AS v FROM (SELECT x, COUNT(*) AS n FROM a GROUP BY x) g JOIN t ON g.x = t.x ORDER BY x;", harness)
                == ["1|2|11", "3|2|30"])
        #expect(
            try await grouped("SELECT g.x AS x, n, f.v AS v FROM (SELECT x, COUNT(*) AS n FROM a GROUP BY x) g LEFT JOIN (SELECT x, v FROM t WHERE v > 15) f ON g.x = f.x ORDER BY x;", harness)
                == ["1|2|null", "3|2|30"])
        // A table that is grouped inside takes its old rows back.
        #expect(
            try await grouped("SELECT p.w AS w, p.n AS n, p.total AS total FROM (SELECT w, COUNT(*) AS n, SUM(v) AS total FROM t GROUP BY w) p JOIN (SELECT s, COUNT(*) AS m FROM a GROUP BY s) q ON p.w = q.s;", harness)
                == [])
        #expect(
            try await grouped("WITH p AS (SELECT w, SUM(v) AS total FROM t GROUP BY w), q AS (SELECT w, COUNT(*) AS n FROM t GROUP BY w) SELECT p.w AS w, total, n FROM p JOIN q ON p.w = q.w ORDER BY w;", harness)
                == ["p|30|1", "q|51|2"])
        // Groups over a join of tables, and over a subquery with one.
        #expect(try await grouped("SELECT l.w AS w, COUNT(*) AS n FROM t l JOIN (SELECT x, v FROM t) r ON l.x = r.x GROUP BY l.w ORDER BY w;", harness) == ["p|1", "q|2"])
        #expect(
            try await grouped("SELECT w, SUM(u) AS s FROM (SELECT l.x AS x, l.w AS w, r.v AS u FROM t l JOIN t r ON l.x = r.x) j GROUP BY w ORDER BY w;", harness)
                == ["p|30", "q|51"])
        // Groups refer to a table by a foreign key.
        #expect(
            try await grouped("SELECT g.s AS s, t.v AS v FROM (SELECT s, LATEST_BY_OFFSET(x) AS x FROM a GROUP BY s) g JOIN t ON g.x = t.x ORDER BY s;", harness)
                == ["a|11", "b|11", "c|30"])
        // A stream looks a group up as it is when its row comes.
        #expect(
            try await grouped("SELECT s.id AS id, g.n AS n FROM a s JOIN (SELECT w, COUNT(*) AS n FROM t GROUP BY w) g ON s.s = g.w;", harness) == [])
        await harness.close()
    }

    @Test func deletedRows() async throws {
        let harness = try await harness()
        try harness.topic("t")
        try await harness.execute(
            """
            CREATE TABLE t (id VARCHAR PRIMARY KEY, v INT) WITH (kafka_topic='t', value_format='JSON');
            INSERT INTO t VALUES ('a', 1); INSERT INTO t VALUES ('b', 2); INSERT INTO t VALUES ('c', 3);
            DELETE FROM t WHERE id IN ('a', 'c');
            """)
        #expect(try await harness.push("SELECT id, v FROM t", count: 5) == ["a|1", "b|2", "c|3", "a|null", "c|null"])
        await harness.close()
    }

    /// Rows of a result that is looked up can be sorted and grouped like others.
    @Test func rowsOfTables() async throws {
        let harness = try await harness()
        try await harness.execute("CREATE TABLE o AS SELECT id, COUNT(*) AS n, MAX(x) AS x FROM a GROUP BY id;")
        var count: [String] = []
        // The query has read everything once five groups are there.
        let clock = ContinuousClock(), start = clock.now
        while count.count < 5, clock.now - start < .seconds(20) {
            count = try await harness.rows("SELECT id FROM o ORDER BY id;")
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(count == ["k1", "k2", "k3", "k4", "k5"])
        #expect(try await harness.rows("SELECT id, x FROM o WHERE id IN ('k1', 'k4', 'k9') ORDER BY x, id;") == ["k4|1", "k1|3"])
        #expect(try await harness.rows("SELECT DISTINCT x FROM o WHERE x > 0 ORDER BY x DESC LIMIT 1;") == ["3"])
        #expect(try await harness.rows("SELECT t.i FROM (SELECT id AS i, x FROM o WHERE id = 'k2') AS t WHERE x = 1;") == ["k2"])
        await harness.close()
    }
}
