import MartletColumns
import MartletCore
import Testing

@testable import MartletSQL

/// Statements with their names resolved, and expressions as messages show them.
@Suite struct ResolvedStatementTests {
    static let texts: [(sql: String, text: String?)] = [
        (
            "CREATE TABLE o WITH (partitions=2) AS SELECT a, a + 1, COUNT(*), c->x, WINDOWSTART AS ws FROM s WINDOW TUMBLING (SIZE 1 HOUR) WHERE id > 1 GROUP BY a, c->x;",
            """
            CREATE TABLE O WITH (PARTITIONS=2) AS SELECT
              S.A A,
              (S.A + 1) KSQL_COL_0,
              COUNT(*) KSQL_COL_1,
              S.C->X X,
              S.WINDOWSTART WS
            FROM S S
            WINDOW TUMBLING (SIZE 1 HOURS)
            WHERE (S.ID > 1)
            GROUP BY S.A, S.C->X
            EMIT CHANGES;
            """
        ),
        (
            "INSERT INTO p SELECT l.id, b.id, l.a FROM s l JOIN p AS b WITHIN 1 HOUR ON l.id = b.id PARTITION BY l.a;",
            """
            INSERT INTO P SELECT
              L.ID L_ID,
              B.ID B_ID,
              L.A L_A
            FROM S L
            INNER JOIN P B WITHIN 1 HOURS ON (L.ID = B.ID)
            PARTITION BY L.A
            EMIT CHANGES;
            """
        ),
        ("CREATE STREAM o AS SELECT * FROM s;", "CREATE STREAM O AS SELECT *\nFROM S S\nEMIT CHANGES;"),
        ("CREATE STREAM o AS SELECT * FROM (SELECT id FROM s);", nil),
        ("CREATE STREAM o AS SELECT * FROM nope;", nil),
        ("DROP STREAM s;", nil),
    ]

    private static func bench() throws -> AnalysisBench {
        var bench = AnalysisBench()
        try bench.run(
            """
            CREATE STREAM s (id INT KEY, a INT, c STRUCT<x INT>) WITH (kafka_topic='s', value_format='JSON', partitions=1);
            CREATE STREAM p (id INT KEY, a INT) WITH (kafka_topic='p', value_format='JSON', partitions=1);
            """)
        return bench
    }

    @Test(arguments: texts.indices)
    func text(_ index: Int) throws {
        let (sql, text) = Self.texts[index]
        let statement = try #require(try Parser.parse(sql).first)
        #expect(try ResolvedStatement.text(statement, catalog: Self.bench().catalog, functions: .builtin) == text)
    }

    @Test func namesThatMeanNothing() throws {
        let statement = try #require(try Parser.parse("CREATE STREAM o AS SELECT nope FROM s;").first)
        let catalog = try Self.bench().catalog
        #expect(throws: MartletError.self) { try ResolvedStatement.text(statement, catalog: catalog, functions: .builtin) }
    }

    @Test(arguments: [
        ("a NOT IN (1, 2)", "(NOT (A IN (1, 2)))"), ("a NOT BETWEEN 1 AND 2", "(NOT (A BETWEEN 1 AND 2))"), ("b NOT LIKE 'x'", "(NOT (B LIKE 'x'))"),
        ("a IS NOT DISTINCT FROM b", "(NOT (A IS DISTINCT FROM B))"), ("a || b", "concat(A, B)"), ("-(-a)", "- -A"), ("COUNT()", "COUNT(*)"),
        ("1.5e0", "1.5E0"), ("100e0", "1E2"), ("0.00125e0", "1.25E-3"), ("1.7976931348623157e308", "1.7976931348623157E308"), ("0e0", "0E0"), ("5e-324", "5E-324"),
        ("123456789e12", "1.23456789E20"),
    ])
    func expression(_ sql: String, _ text: String) throws {
        let statement = try #require(try Parser.parse("SELECT \(sql) AS x FROM s;").first)
        guard case .query(let query) = statement.node, case .expression(let expression, _)? = query.select.first else {
            Issue.record("no expression")
            return
        }
        #expect(ExpressionText()(expression) == text)
    }
}
