import MartletCore
import Testing

@testable import MartletEngine

/// Joins on a log: several partitions, topics between stages, restarts, queries that end.
@Suite struct JoinQueriesTests {
    /// The query's rows once they are as expected, or as they are after some time.
    private func rows(_ harness: EngineHarness, _ sql: String, until expected: [String]) async throws -> [String] {
        var found: [String] = []
        for _ in 0..<500 {
            found = try await harness.rows(sql).sorted()
            if found == expected { return found }
            try await Task.sleep(for: .milliseconds(10))
        }
        return found
    }

    @Test func foreignKeysFindRowsOfOtherPartitions() async throws {
        let harness = try await EngineHarness()
        try await harness.execute(
            """
            CREATE TABLE orders (id INT PRIMARY KEY, item STRING, amount INT) WITH (kafka_topic='orders', value_format='JSON', partitions=3);
            CREATE TABLE items (name STRING PRIMARY KEY, price INT) WITH (kafka_topic='items', value_format='JSON', partitions=5);
            CREATE TABLE priced AS SELECT o.id AS id, item, amount * price AS total FROM orders o LEFT JOIN items i ON o.item = i.name;
            """)
        for id in 0..<20 { try await harness.execute("INSERT INTO orders (id, item, amount) VALUES (\(id), 'item\(id % 4)', \(id));") }
        for item in 0..<3 { try await harness.execute("INSERT INTO items (name, price) VALUES ('item\(item)', \(10 * (item + 1)));") }
        func expected(_ price: (Int) -> Int?) -> [String] {
            (0..<20).map { id in "\(id)|item\(id % 4)|\(price(id % 4).map { "\(id * $0)" } ?? "null")" }.sorted()
        }
        let select = "SELECT * FROM priced;"
        let first = expected { $0 < 3 ? 10 * ($0 + 1) : nil }
        #expect(try await rows(harness, select, until: first) == first)

        try await harness.restart()
        // Subscriptions, the right table and the last answers are there again: a change of a right row reaches its rows.
        try await harness.execute("INSERT INTO items (name, price) VALUES ('item1', 7); INSERT INTO items (name, price) VALUES ('item3', 1);")
        let then = expected { [10, 7, 30, 1][$0] }
        #expect(try await rows(harness, select, until: then) == then)
        // A row refers to something else; then its old item changes, which is not its affair any more.
        try await harness.execute(
            "INSERT INTO orders (id, item, amount) VALUES (0, 'item2', 2); INSERT INTO items (name, price) VALUES ('item0', 1000);")
        let last = (expected { [1000, 7, 30, 1][$0] }.filter { !$0.hasPrefix("0|") } + ["0|item2|60"]).sorted()
        #expect(try await rows(harness, select, until: last) == last)
        await harness.close()
    }

    @Test func groupedSubqueriesMeetAndGoOnAfterARestart() async throws {
        let harness = try await EngineHarness()
        try await harness.execute(
            """
            CREATE STREAM sales (id INT KEY, shop STRING, amount INT) WITH (kafka_topic='sales', value_format='JSON', partitions=3);
            CREATE STREAM visits (id INT KEY, shop STRING) WITH (kafka_topic='visits', value_format='JSON', partitions=2);
            CREATE TABLE shops (name STRING PRIMARY KEY, town STRING) WITH (kafka_topic='shops', value_format='JSON', partitions=3);
            CREATE TABLE o AS
              WITH s AS (SELECT shop, SUM(amount) AS total FROM sales GROUP BY shop), v AS (SELECT shop, COUNT(*) AS n FROM visits GROUP BY shop)
              SELECT s.shop AS shop, total, n, t.town AS town
              FROM s JOIN v ON s.shop = v.shop LEFT JOIN (SELECT name, town FROM shops WHERE town <> 'nowhere') t ON s.shop = t.name
              EMIT CHANGES;
            """)
        for id in 0..<12 {
            try await harness.execute("INSERT INTO sales VALUES (\(id), 'shop\(id % 4)', \(id)); INSERT INTO visits VALUES (\(id), 'shop\(id % 3)');")
        }
        try await harness.execute("INSERT INTO shops VALUES ('shop0', 'Bern'); INSERT INTO shops VALUES ('shop1', 'nowhere');")
        let first = ["shop0|12|4|Bern", "shop1|15|4|null", "shop2|18|4|null"]
        #expect(try await rows(harness, "SELECT * FROM o;", until: first) == first)
        try await harness.restart()
        try await harness.execute(
            "INSERT INTO sales VALUES (1, 'shop0', 100); INSERT INTO visits VALUES (1, 'shop3'); INSERT INTO shops VALUES ('shop1', 'Basel'); INSERT INTO shops VALUES ('shop0', 'nowhere');")
        let then = ["shop0|112|4|null", "shop1|15|4|Basel", "shop2|18|4|null", "shop3|21|1|null"]
        #expect(try await rows(harness, "SELECT * FROM o;", until: then) == then)
        await harness.close()
    }

    @Test func tablesAndTheirJoinsGoOnAfterARestart() async throws {
        let harness = try await EngineHarness()
        try await harness.execute(
            """
            CREATE TABLE a (id INT PRIMARY KEY, x INT) WITH (kafka_topic='a', value_format='JSON', partitions=2);
            CREATE TABLE b (id INT PRIMARY KEY, y INT) WITH (kafka_topic='b', value_format='JSON', partitions=2);
            CREATE TABLE c (id INT PRIMARY KEY, z INT) WITH (kafka_topic='c', key_format='DELIMITED', value_format='JSON', partitions=4);
            CREATE TABLE o AS SELECT a.id AS id, x, y, z FROM a JOIN b ON a.id = b.id LEFT JOIN c ON a.id = c.id;
            """)
        for id in 0..<8 {
            try await harness.execute("INSERT INTO a (id, x) VALUES (\(id), 1); INSERT INTO b (id, y) VALUES (\(id), 2);")
            if id < 4 { try await harness.execute("INSERT INTO c (id, z) VALUES (\(id), 3);") }
        }
        let first = (0..<8).map { "\($0)|1|2|\($0 < 4 ? "3" : "null")" }
        #expect(try await rows(harness, "SELECT * FROM o;", until: first) == first)
        try await harness.restart()
        try await harness.execute("INSERT INTO c (id, z) VALUES (7, 9); INSERT INTO a (id, x) VALUES (0, 5); INSERT INTO b (id, y) VALUES (1, 6);")
        let then = ["0|5|2|3", "1|1|6|3", "2|1|2|3", "3|1|2|3", "4|1|2|null", "5|1|2|null", "6|1|2|null", "7|1|2|9"]
        #expect(try await rows(harness, "SELECT * FROM o;", until: then) == then)
        await harness.close()
    }

    @Test func streamsRememberTheirRowsAndWhatTheyHoldBack() async throws {
        let harness = try await EngineHarness()
        try await harness.execute(
            """
            CREATE STREAM l (id INT KEY, u STRING, a INT) WITH (kafka_topic='l', value_format='JSON', partitions=2);
            CREATE STREAM r (u STRING KEY, b INT) WITH (kafka_topic='r', value_format='JSON', partitions=3);
            CREATE STREAM o AS SELECT r.u AS u, a, b FROM l LEFT JOIN r WITHIN 10 SECONDS GRACE PERIOD 5 SECONDS ON l.u = r.u;
            INSERT INTO l (ROWTIME, id, u, a) VALUES (10000, 1, 'x', 1);
            INSERT INTO l (ROWTIME, id, u, a) VALUES (10000, 2, 'x', 2);
            INSERT INTO r (ROWTIME, u, b) VALUES (11000, 'x', 1);
            INSERT INTO l (ROWTIME, id, u, a) VALUES (12000, 3, 'y', 3);
            """)
        let select = "SELECT u, a, b FROM o;"
        let first = ["x|1|1", "x|2|1"]
        #expect(try await rows(harness, select, until: first) == first)
        try await harness.restart()
        // Rows of all partitions of the topic that the left side is written to: time passes in each of them.
        for i in 0..<20 { try await harness.execute("INSERT INTO r (ROWTIME, u, b) VALUES (30000, 'other\(i)', 0);") }
        try await harness.execute("INSERT INTO r (ROWTIME, u, b) VALUES (15000, 'x', 2);")
        let then = ["x|1|1", "x|1|2", "x|2|1", "x|2|2", "y|3|null"]
        #expect(try await rows(harness, select, until: then) == then)
        await harness.close()
    }

    @Test func pushQueriesJoinInOneTask() async throws {
        let harness = try await EngineHarness()
        try await harness.execute(
            """
            CREATE STREAM s (id INT KEY, u STRING, a INT) WITH (kafka_topic='s', value_format='JSON', partitions=3);
            CREATE TABLE t (u STRING PRIMARY KEY, city STRING) WITH (kafka_topic='t', value_format='JSON', partitions=2);
            INSERT INTO t (ROWTIME, u, city) VALUES (1, 'x', 'Bonn');
            INSERT INTO s (ROWTIME, id, u, a) VALUES (2, 1, 'x', 5);
            INSERT INTO s (ROWTIME, id, u, a) VALUES (3, 2, 'y', 6);
            """)
        #expect(try await harness.push("SELECT s.u, a, city FROM s LEFT JOIN t ON s.u = t.u", count: 2) == ["x|5|Bonn", "y|6|null"])
        #expect(
            try await harness.push("SELECT x.id, y.id FROM s x JOIN s y WITHIN 1 SECOND ON x.a + 1 = y.a", count: 1) == ["1|2"])
        await harness.close()
    }

    @Test func pushQueriesJoinSubqueries() async throws {
        let harness = try await EngineHarness()
        try await harness.execute(
            """
            CREATE STREAM sales (id INT KEY, shop STRING, amount INT) WITH (kafka_topic='sales', value_format='JSON', partitions=3);
            CREATE TABLE shops (name STRING PRIMARY KEY, town STRING) WITH (kafka_topic='shops', value_format='JSON', partitions=2);
            INSERT INTO sales (ROWTIME, id, shop, amount) VALUES (1, 1, 'a', 5); INSERT INTO sales (ROWTIME, id, shop, amount) VALUES (2, 2, 'a', 6);
            INSERT INTO shops (ROWTIME, name, town) VALUES (0, 'a', 'Bern');
            """)
        #expect(
            try await harness.push("SELECT s.shop, total, town FROM (SELECT shop, SUM(amount) AS total FROM sales GROUP BY shop) s JOIN shops t ON s.shop = t.name", count: 2)
                == ["a|5|Bern", "a|11|Bern"])
        #expect(
            try await harness.push(
                "SELECT x.shop, x.n, y.n FROM (SELECT shop, COUNT(*) AS n FROM sales WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY shop) x JOIN (SELECT shop, SUM(amount) AS n FROM sales WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY shop) y ON x.shop = y.shop",
                count: 3) == ["a|1|5", "a|2|5", "a|2|11"])
        await harness.close()
    }

    @Test func queriesThatEndJoinWhatIsThere() async throws {
        let harness = try await EngineHarness()
        try await harness.execute(
            """
            CREATE STREAM s (id INT KEY, u STRING, a INT) WITH (kafka_topic='s', value_format='JSON', partitions=3);
            CREATE TABLE t (u STRING PRIMARY KEY, city STRING) WITH (kafka_topic='t', value_format='JSON', partitions=2);
            CREATE TABLE v (u STRING PRIMARY KEY, n INT) WITH (kafka_topic='v', value_format='JSON', partitions=2);
            CREATE TABLE w (id INT PRIMARY KEY, u STRING) WITH (kafka_topic='w', value_format='JSON', partitions=3);
            INSERT INTO t (ROWTIME, u, city) VALUES (1, 'x', 'Bonn');
            INSERT INTO s (ROWTIME, id, u, a) VALUES (2, 1, 'x', 5);
            INSERT INTO t (ROWTIME, u, city) VALUES (3, 'x', 'Ulm');
            INSERT INTO s (ROWTIME, id, u, a) VALUES (4, 2, 'x', 6);
            INSERT INTO v (ROWTIME, u, n) VALUES (5, 'x', 1);
            INSERT INTO v (ROWTIME, u, n) VALUES (6, 'x', 2);
            INSERT INTO v (ROWTIME, u, n) VALUES (7, 'y', 3);
            INSERT INTO w (ROWTIME, id, u) VALUES (1, 1, 'x');
            INSERT INTO w (ROWTIME, id, u) VALUES (2, 2, 'y');
            INSERT INTO w (ROWTIME, id, u) VALUES (9, 1, 'y');
            """)
        #expect(try await harness.rows("SELECT a, city FROM s JOIN t ON s.u = t.u ORDER BY a;") == ["5|Bonn", "6|Ulm"])
        #expect(try await harness.rows("SELECT city, n FROM t JOIN v ON t.u = v.u;") == ["Ulm|2"])
        #expect(try await harness.rows("SELECT city, n FROM t RIGHT JOIN v ON t.u = v.u ORDER BY n;") == ["Ulm|2", "null|3"])
        #expect(try await harness.rows("SELECT id, n FROM w JOIN v ON w.u = v.u ORDER BY id;") == ["1|3", "2|3"])
        #expect(try await harness.rows("SELECT id, n FROM w JOIN v ON w.u = v.u WHERE n < 3;") == [])
        await harness.close()
    }
}
