import MartletCore
import Testing

@testable import MartletSQL

/// SQL as a user types it, and as `SQLFormatter` prints what was understood.
@Suite struct SyntaxStatementTests {
    // Every statement kind, in every form.
    static let table: [(String, String)] = [
        ("select * from s", "SELECT *\nFROM S;"),
        ("SELECT a, b.c AS d, `e` f FROM s AS b EMIT CHANGES LIMIT 3;", "SELECT\n  A,\n  B.C D,\n  `e` F\nFROM S B\nEMIT CHANGES\nLIMIT 3;"),
        ("SELECT s.*, x->* FROM s", "SELECT\n  S.*,\n  X->*\nFROM S;"),
        (
            "select count(*) from s window tumbling (size 10 second, retention 1 day, grace period 0 seconds) where a > 1 group by a, b having count(*) > 2 emit final",
            "SELECT COUNT(*)\nFROM S\nWINDOW TUMBLING (SIZE 10 SECONDS, RETENTION 1 DAYS, GRACE PERIOD 0 MILLISECONDS)\nWHERE (A > 1)\nGROUP BY A, B\nHAVING (COUNT(*) > 2)\nEMIT FINAL;"
        ),
        ("SELECT a FROM s WINDOW w HOPPING (SIZE 90 SECONDS, ADVANCE BY 1 MINUTES) GROUP BY (a, b)",
            "SELECT A\nFROM S\nWINDOW HOPPING (SIZE 90 SECONDS, ADVANCE BY 1 MINUTES)\nGROUP BY A, B;"),
        ("SELECT a FROM s WINDOW SESSION (5 Minute) GROUP BY (a + b) * 2, c", "SELECT A\nFROM S\nWINDOW SESSION (5 MINUTES)\nGROUP BY ((A + B) * 2), C;"),
        ("SELECT a FROM s PARTITION BY null", "SELECT A\nFROM S\nPARTITION BY null;"),
        (
            "SELECT * FROM a JOIN b x ON a.i = x.i LEFT JOIN c WITHIN 1 HOUR GRACE PERIOD 5 MINUTES ON a.i = c.i FULL OUTER JOIN d WITHIN (1 SECOND, 2 DAYS) ON a.i = d.i RIGHT JOIN e ON a.i=e.i",
            "SELECT *\nFROM A\nINNER JOIN B X ON (A.I = X.I)\nLEFT OUTER JOIN C WITHIN 1 HOURS GRACE PERIOD 5 MINUTES ON (A.I = C.I)\nFULL OUTER JOIN D WITHIN (1 SECONDS, 2 DAYS) ON (A.I = D.I)\nRIGHT OUTER JOIN E ON (A.I = E.I);"
        ),
        ("SELECT x FROM (SELECT a x FROM s) AS t", "SELECT X\nFROM (SELECT A X\nFROM S) T;"),
        ("select distinct a from s order by a desc nulls last, b + 1, 2 asc limit 3 offset 4",
            "SELECT DISTINCT A\nFROM S\nORDER BY A DESC NULLS LAST, (B + 1), 2\nLIMIT 3\nOFFSET 4;"),
        ("SELECT a FROM s UNION ALL SELECT b FROM t WHERE b > 1 UNION ALL SELECT c FROM u PARTITION BY c EMIT CHANGES",
            "SELECT A\nFROM S\nUNION ALL\nSELECT B\nFROM T\nWHERE (B > 1)\nUNION ALL\nSELECT C\nFROM U\nPARTITION BY C\nEMIT CHANGES;"),
        ("WITH x AS (SELECT a FROM s), y AS (SELECT a FROM x UNION ALL SELECT a FROM x z) SELECT a FROM y GROUP BY (a) ORDER BY a",
            "SELECT A\nFROM (SELECT A\nFROM (SELECT A\nFROM S) X\nUNION ALL\nSELECT A\nFROM (SELECT A\nFROM S) Z) Y\nGROUP BY A\nORDER BY A;"),
        ("SELECT union, order o, offset FROM order union ORDER BY offset OFFSET 1",
            "SELECT\n  UNION,\n  ORDER O,\n  OFFSET\nFROM ORDER AS UNION\nORDER BY OFFSET\nOFFSET 1;"),
        ("delete from t where k = 1 or k in (2, 3)", "DELETE FROM T\nWHERE ((K = 1) OR (K IN (2, 3)));"),
        ("SELECT emit FROM s emit EMIT CHANGES", "SELECT EMIT\nFROM S AS EMIT\nEMIT CHANGES;"),
        (
            "CREATE STREAM s (Id INT KEY, Time DOUBLE, Class STRING, User varchar(255), Timestamp BIGINT, h BYTES HEADER('x')) WITH (kafka_topic='t', value_format='delimited', key='Id', partitions=3);",
            "CREATE STREAM S (ID INTEGER KEY, TIME DOUBLE, CLASS STRING, USER STRING, TIMESTAMP BIGINT, H BYTES HEADER('x')) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='delimited', KEY='Id', PARTITIONS=3);"
        ),
        ("create or replace source table if not exists `t` (k string primary key, m map<string, array<decimal(4, 2)>>, c my_type, e struct<>, d INT ARRAY ARRAY, hs ARRAY<STRUCT<key STRING, value BYTES>> HEADERS)",
            "CREATE OR REPLACE SOURCE TABLE IF NOT EXISTS `t` (K STRING PRIMARY KEY, M MAP<STRING, ARRAY<DECIMAL(4, 2)>>, C MY_TYPE, E STRUCT<>, D ARRAY<ARRAY<INTEGER>>, HS ARRAY<STRUCT<KEY STRING, VALUE BYTES>> HEADERS);"),
        ("CREATE STREAM s WITH ('kafka_topic'='it''s', wrap_single_value=false, x=-1.5, y=null)",
            "CREATE STREAM S WITH (KAFKA_TOPIC='it''s', WRAP_SINGLE_VALUE=false, X=-1.5, Y=null);"),
        ("CREATE OR REPLACE TABLE IF NOT EXISTS t WITH (partitions=1) AS SELECT a FROM s GROUP BY a",
            "CREATE OR REPLACE TABLE IF NOT EXISTS T WITH (PARTITIONS=1) AS SELECT A\nFROM S\nGROUP BY A;"),
        ("INSERT INTO s WITH (QUERY_ID='q') SELECT * FROM t", "INSERT INTO S WITH (QUERY_ID='q') SELECT *\nFROM T;"),
        ("insert into s (a, `b`) values (1, 'x' || 'y')", "INSERT INTO S (A, `b`) VALUES (1, ('x' || 'y'));"),
        ("INSERT INTO s VALUES ()", "INSERT INTO S VALUES ();"),
        ("ALTER STREAM s ADD COLUMN a INT, ADD column STRING ADD b MAP<INT, INT>",
            "ALTER STREAM S ADD COLUMN A INTEGER, ADD COLUMN COLUMN STRING, ADD COLUMN B MAP<INTEGER, INTEGER>;"),
        ("DROP STREAM IF EXISTS s DELETE TOPIC", "DROP STREAM IF EXISTS S DELETE TOPIC;"),
        ("drop table if", "DROP TABLE IF;"),
        ("CREATE TYPE IF NOT EXISTS address AS STRUCT<street STRING, zip INT>", "CREATE TYPE IF NOT EXISTS ADDRESS AS STRUCT<STREET STRING, ZIP INTEGER>;"),
        ("DROP TYPE IF EXISTS address", "DROP TYPE IF EXISTS ADDRESS;"),
        ("CREATE SINK CONNECTOR IF NOT EXISTS `c-1` WITH ('connector.class'='x.Y', \"tasks.max\"='1', topics='a')",
            "CREATE SINK CONNECTOR IF NOT EXISTS `c-1` WITH ('connector.class'='x.Y', 'tasks.max'='1', 'topics'='a');"),
        ("CREATE SOURCE CONNECTOR 'jdbc' WITH (a=1)", "CREATE SOURCE CONNECTOR `jdbc` WITH ('a'=1);"),
        ("DROP CONNECTOR IF EXISTS c", "DROP CONNECTOR IF EXISTS C;"),
        ("CREATE OR REPLACE MODEL IF NOT EXISTS fraud INPUT (v1 DOUBLE, v2 DOUBLE) OUTPUT (score DOUBLE) WITH ('path'='/m.onnx', Threshold=0.5)",
            "CREATE OR REPLACE MODEL IF NOT EXISTS FRAUD INPUT (V1 DOUBLE, V2 DOUBLE) OUTPUT (SCORE DOUBLE) WITH ('path'='/m.onnx', 'Threshold'=0.5);"),
        ("CREATE MODEL model WITH (path='m')", "CREATE MODEL MODEL WITH ('path'='m');"),
        ("DROP MODEL IF EXISTS fraud", "DROP MODEL IF EXISTS FRAUD;"),
        ("show streams extended", "LIST STREAMS EXTENDED;"), ("LIST TABLES", "LIST TABLES;"), ("SHOW TOPICS", "LIST TOPICS;"),
        ("SHOW ALL TOPICS EXTENDED", "LIST ALL TOPICS EXTENDED;"), ("SHOW QUERIES", "LIST QUERIES;"), ("LIST FUNCTIONS", "LIST FUNCTIONS;"),
        ("SHOW TYPES", "LIST TYPES;"), ("SHOW VARIABLES", "LIST VARIABLES;"), ("SHOW PROPERTIES", "LIST PROPERTIES;"),
        ("SHOW CONNECTORS", "LIST CONNECTORS;"), ("SHOW SOURCE CONNECTORS", "LIST SOURCE CONNECTORS;"), ("LIST SINK CONNECTORS", "LIST SINK CONNECTORS;"),
        ("SHOW CONNECTOR PLUGINS", "LIST CONNECTOR PLUGINS;"), ("SHOW MODELS", "LIST MODELS;"),
        ("DESCRIBE s EXTENDED", "DESCRIBE S EXTENDED;"), ("DESCRIBE EXTENDED s", "DESCRIBE S EXTENDED;"), ("DESCRIBE STREAMS", "DESCRIBE STREAMS;"),
        ("DESCRIBE TABLES EXTENDED", "DESCRIBE TABLES EXTENDED;"), ("DESCRIBE `TABLES`", "DESCRIBE `TABLES`;"), ("DESCRIBE FUNCTION sum", "DESCRIBE FUNCTION SUM;"),
        ("DESCRIBE CONNECTOR c", "DESCRIBE CONNECTOR C;"), ("DESCRIBE MODEL fraud", "DESCRIBE MODEL FRAUD;"), ("DESCRIBE model", "DESCRIBE MODEL;"),
        ("EXPLAIN CSAS_S_0", "EXPLAIN CSAS_S_0;"), ("EXPLAIN SELECT a FROM s", "EXPLAIN SELECT A\nFROM S;"),
        ("EXPLAIN CREATE STREAM x AS SELECT a FROM s", "EXPLAIN CREATE STREAM X AS SELECT A\nFROM S;"),
        ("TERMINATE CSAS_S_0", "TERMINATE CSAS_S_0;"), ("TERMINATE ALL", "TERMINATE ALL;"), ("PAUSE q", "PAUSE Q;"), ("RESUME ALL", "RESUME ALL;"),
        ("PRINT 'topic' FROM BEGINNING INTERVAL 2 LIMIT 5", "PRINT 'topic' FROM BEGINNING INTERVAL 2 LIMIT 5;"),
        ("print Topic1 sample 3", "PRINT 'Topic1' INTERVAL 3;"),
        ("SET 'auto.offset.reset' = 'earliest'", "SET 'auto.offset.reset'='earliest';"), ("UNSET 'a'", "UNSET 'a';"),
        ("ALTER SYSTEM 'a'='b'", "ALTER SYSTEM 'a'='b';"), ("DEFINE Format = 'AVRO'", "DEFINE Format='AVRO';"), ("UNDEFINE Format", "UNDEFINE Format;"),
        ("ASSERT NOT EXISTS TOPIC t WITH (partitions=3) TIMEOUT 10 SECONDS", "ASSERT NOT EXISTS TOPIC 't' WITH (PARTITIONS=3) TIMEOUT 10 SECONDS;"),
        ("ASSERT SCHEMA SUBJECT 't-value' ID 3", "ASSERT SCHEMA SUBJECT 't-value' ID 3;"), ("ASSERT SCHEMA ID 3 TIMEOUT 1 MINUTE", "ASSERT SCHEMA ID 3 TIMEOUT 1 MINUTES;"),
    ]

    static let testTool: [(String, String)] = [
        ("ASSERT VALUES s (a, b) VALUES (1, 2)", "ASSERT VALUES S (A, B) VALUES (1, 2);"),
        ("ASSERT NULL VALUES s (k) KEY ('x')", "ASSERT NULL VALUES S (K) KEY ('x');"),
        ("ASSERT STREAM s (a INT KEY) WITH (kafka_topic='t')", "ASSERT STREAM S (A INTEGER KEY) WITH (KAFKA_TOPIC='t');"),
        ("ASSERT TABLE t", "ASSERT TABLE T;"), ("RUN SCRIPT 'a.sql'", "RUN SCRIPT 'a.sql';"),
    ]

    @Test(arguments: table) func statementIsUnderstood(sql: String, printed: String) throws {
        try check(sql, printed, .server)
    }

    @Test(arguments: testTool) func testStatementIsUnderstood(sql: String, printed: String) throws {
        try check(sql, printed, .testTool)
        #expect(throws: MartletError.self) { try Parser.parse(sql) }
    }

    private func check(_ sql: String, _ printed: String, _ dialect: Parser.Dialect) throws {
        let statements = try Parser.parse(sql, dialect: dialect)
        try #require(statements.count == 1)
        #expect(SQLFormatter.format(statements[0]) == printed)
        #expect(statements[0].text == sql)
        let again = try Parser.parse(printed, dialect: dialect)
        #expect(structure(of: again) == structure(of: statements))
        // Lower case and odd blanks make no difference outside quotes.
        if !sql.contains("'") && !sql.contains("`") && !sql.uppercased().contains("DEFINE") && !sql.contains("TOPIC t") && !sql.contains("Topic1") {
            let spaced = sql.lowercased().split(separator: " ").joined(separator: " /* ; */\n -- ' \n\t")
            #expect(structure(of: try Parser.parse(spaced, dialect: dialect)) == structure(of: statements))
        }
    }

    @Test func everyKindOfStatementIsInTheTables() throws {
        var kinds: Set<String> = []
        for (sql, _) in Self.table + Self.testTool {
            for statement in try Parser.parse(sql, dialect: .testTool) {
                kinds.insert(Mirror(reflecting: statement.node).children.first?.label ?? "\(statement.node)")
            }
        }
        #expect(kinds.count == 37, "\(kinds.sorted())")
    }

    @Test func statementsOfOneTextKeepTheirPlaces() throws {
        let sql = "-- é\n SHOW STREAMS ;\n\n;SELECT 'ä;', b\n  FROM s"
        let statements = try Parser.parse(sql)
        #expect(statements.map(\.text) == ["SHOW STREAMS ;", "SELECT 'ä;', b\n  FROM s"])
        #expect(statements.map { [$0.span.line, $0.span.column] } == [[2, 2], [4, 2]])
        guard case .query(let query) = statements[1].node, case .expression(let b, _) = query.select[1], case .source(let name, _) = query.from else {
            Issue.record("not the query")
            return
        }
        #expect([b.span.line, b.span.column, b.span.end - b.span.start] == [4, 15, 1])
        #expect([name.span.line, name.span.column] == [5, 8])
        #expect(Array(sql.utf8)[b.span.start] == UInt8(ascii: "b"))
    }

    @Test func textIsCutAtSemicolonsOutsideQuotesAndComments() {
        func cut(_ sql: String) -> [String] { Parser.split(sql).map { $0.text + ($0.isComplete ? "!" : "") } }
        #expect(cut("a; b ';' ;c") == ["a;!", "b ';' ;!", "c"])
        #expect(cut("  -- x;\n /* ; */ ") == [])
        #expect(cut(";;a `;` \";\";") == ["a `;` \";\";!"])
        #expect(cut("SELECT 'open; b") == ["SELECT 'open; b"])
        #expect(cut("a /* open ; b") == ["a /* open ; b"])
        #expect(cut("a ~ ;") == ["a ~ ;!"])
        #expect(cut("") == [])
    }

    @Test func maskingHidesValuesAndKeepsNames() throws {
        func masked(_ sql: String) throws -> String { SQLFormatter.format(try Parser.parse(sql)[0], maskingLiterals: true) }
        #expect(try masked("INSERT INTO s (a) VALUES ('secret')") == "INSERT INTO S (A) VALUES ('[value]');")
        #expect(try masked("CREATE SOURCE CONNECTOR c WITH ('password'='secret', a=7)") == "CREATE SOURCE CONNECTOR C WITH ('password'='[string]', 'a'=0);")
        #expect(try masked("SELECT a FROM s WHERE b = 'x' AND c > 1.5 OR d < 12e3 LIMIT 9") == "SELECT A\nFROM S\nWHERE (((B = '[string]') AND (C > 0.0)) OR (D < 0E0))\nLIMIT 0;")
    }

    @Test func variablesAreReplacedByRules() {
        let variables = ["Format": "AVRO", "n": "3", "self": "${n}"]
        func apply(_ sql: String) -> String { VariableSubstitution.apply(sql, variables: variables) }
        #expect(apply("'${format}' ${N} $${n} ${nope} ${ n} $n ${self} ${") == "'AVRO' 3 ${n} ${nope} ${ n} $n ${n} ${")
        #expect(apply("$$${n}") == "$${n}")
        #expect(apply("é${n}ü") == "é3ü")
        let error = #expect(throws: MartletError.self) { try Parser.parse("SELECT ${nope} FROM s") }
        #expect(error?.message == "line 1:8: Syntax Error\nvariable 'nope' is not defined")
    }
}
