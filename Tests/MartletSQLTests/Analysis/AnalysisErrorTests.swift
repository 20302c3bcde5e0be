import MartletColumns
import MartletCore
import Testing

@testable import MartletSQL

/// Wrong statements and the whole error a person sees: words, place, hint.
@Suite struct AnalysisErrorTests {
    static let bench: AnalysisBench = {
        var bench = AnalysisBench()
        bench.topics = ["s": 2, "t": 2, "w": 1, "t3": 3]
        bench.catalog.models["SCORE"] = ModelEntry(name: "SCORE", inputs: [Field("A", .double), Field("B", .double)], output: .double)
        do {
            try bench.run(
                """
                CREATE STREAM s (id varchar KEY, a int, b struct<x int, y string>, c array<int>) WITH (kafka_topic='s', value_format='JSON');
                CREATE TABLE t (id varchar PRIMARY KEY, v int) WITH (kafka_topic='t', value_format='JSON');
                CREATE TABLE t3 (id varchar PRIMARY KEY, v int) WITH (kafka_topic='t3', value_format='JSON');
                CREATE SOURCE TABLE ro (id varchar PRIMARY KEY, v int) WITH (kafka_topic='t', value_format='JSON');
                CREATE STREAM w (id varchar KEY, v int) WITH (kafka_topic='w', value_format='JSON', window_type='session');
                CREATE STREAM s2 AS SELECT id, a FROM s;
                """)
        } catch {
            Issue.record("\(error)")
        }
        return bench
    }()

    static let errors: [(sql: String, text: String)] = [
        (
            "SELECT COLOUR FROM s EMIT CHANGES;",
            """
            40001 line 1:8: Line: 1, Col: 8: SELECT column 'COLOUR' cannot be resolved.
              SELECT COLOUR FROM s EMIT CHANGES;
                     ^^^^^^  columns are ID, A, B, C
            """
        ),
        (
            "SELECT *\nFROM s WHERE a + 'x' = 1 EMIT CHANGES;",
            """
            40001 line 2:14: Error in WHERE expression: Error processing expression: (A + 'x'). Unsupported arithmetic types. INTEGER STRING
            Statement: ((A + 'x') = 1)
              FROM s WHERE a + 'x' = 1 EMIT CHANGES;
                           ^^^^^^^
            """
        ),
        (
            "SELECT b->z FROM s EMIT CHANGES;",
            """
            40001 line 1:11: Could not find field 'Z' in 'B'.
              SELECT b->z FROM s EMIT CHANGES;
                        ^  fields are X, Y
            """
        ),
        (
            "SELECT SCORE(a) FROM s EMIT CHANGES;",
            """
            40001 line 1:8: Model 'SCORE' takes 2 arguments, but got 1.
              SELECT SCORE(a) FROM s EMIT CHANGES;
                     ^^^^^^^^
              signature: SCORE(A DOUBLE, B DOUBLE)
            """
        ),
        (
            "SELECT SCORE(a, id) FROM s EMIT CHANGES;",
            """
            40001 line 1:17: Model 'SCORE' does not accept ID (STRING) for its input `B` (DOUBLE).
              SELECT SCORE(a, id) FROM s EMIT CHANGES;
                              ^^
              signature: SCORE(A DOUBLE, B DOUBLE)
            """
        ),
        (
            "SELECT * FROM S3;",
            """
            40001 line 1:15: Exception while preparing statement: S3 does not exist.
              SELECT * FROM S3;
                            ^^  did you mean S?
            """
        ),
        (
            "SELECT UCSE(id) FROM s EMIT CHANGES;",
            """
            40001 line 1:8: Can't find any functions with the name 'UCSE'
              SELECT UCSE(id) FROM s EMIT CHANGES;
                     ^^^^^^^^  did you mean UCASE?
            """
        ),
        (
            "SELECT * FROM t;",
            """
            40001 line 1:15: The `T` table isn't queryable. To derive a queryable table, you can do 'CREATE TABLE QUERYABLE_T AS SELECT * FROM T'. See https://cnfl.io/queries for more info.
            Add EMIT CHANGES if you intended to issue a push query.
              SELECT * FROM t;
                            ^
            """
        ),
        (
            "DROP STREAM s;",
            """
            40001 line 1:13: Cannot drop S.
            The following streams and/or tables read from this source: [S2].
            You need to drop them before dropping S.
              DROP STREAM s;
                          ^
            """
        ),
        (
            "CREATE STREAM n (a int) WITH (kafka_topic='s', value_format='JSON', partitons=3);",
            """
            40000 line 1:69: Invalid config variable(s) in the WITH clause: PARTITONS
              CREATE STREAM n (a int) WITH (kafka_topic='s', value_format='JSON', partitons=3);
                                                                                  ^^^^^^^^^^^  did you mean PARTITIONS?
            """
        ),
        (
            "INSERT INTO s (id, a) VALUES ('k', 'x');",
            """
            40001 line 1:36: Failed to insert values into 'S'. Expected type INTEGER for field `A` but got STRING(x)
              INSERT INTO s (id, a) VALUES ('k', 'x');
                                                 ^^^
              invalid input syntax for type INTEGER: "x".
            """
        ),
        (
            "CREATE STREAM n AS SELECT s.id, v FROM s JOIN t ON s.a = t.id;",
            """
            40001 line 1:52: Invalid join condition: types don't match. Got S.A{INTEGER} = T.ID{STRING}.
              CREATE STREAM n AS SELECT s.id, v FROM s JOIN t ON s.a = t.id;
                                                                 ^^^^^^^^^^  CAST one side to the type of the other
            """
        ),
        (
            "SELECT id, a, SUM(a) FROM s GROUP BY a EMIT CHANGES;",
            """
            40001 line 1:8: Non-aggregate SELECT expression(s) not part of GROUP BY: ID
            Either add the column(s) to the GROUP BY or remove them from the SELECT.
              SELECT id, a, SUM(a) FROM s GROUP BY a EMIT CHANGES;
                     ^^
            """
        ),
    ]

    @Test(arguments: errors.indices)
    func errorAsShown(_ index: Int) {
        let (sql, text) = Self.errors[index]
        #expect(Self.bench.error(sql) == text)
    }

    /// The beginning of the message is enough here; each has a place in the statement.
    static let messages: [(sql: String, message: String)] = [
        ("CREATE STREAM s (a int) WITH (kafka_topic='s', value_format='JSON');", "Cannot add stream 'S': A stream with the same name already exists"),
        ("CREATE STREAM n AS SELECT * FROM t;", "Invalid result type. Your SELECT query produces a TABLE. Please use CREATE TABLE AS SELECT statement instead."),
        ("CREATE TABLE n AS SELECT * FROM s;", "Invalid result type. Your SELECT query produces a STREAM."),
        ("CREATE STREAM n AS SELECT * FROM s LIMIT 1;", "CREATE STREAM AS SELECT statements don't support LIMIT clause."),
        ("CREATE STREAM n AS SELECT a, a AS x, a AS x, id FROM s;", "Duplicate value columns found in schema: `X` INTEGER"),
        ("CREATE STREAM n AS SELECT id, NULL AS x FROM s;", "The type of the column `X` is unknown"),
        ("CREATE STREAM n AS SELECT id, a FROM s WHERE a;", "Type error in WHERE expression: Should evaluate to boolean but is A (INTEGER) instead."),
        ("CREATE STREAM n AS SELECT id, a FROM s WHERE a = NULL;", "Error in WHERE expression: Comparison with NULL not supported: INTEGER = NULL"),
        ("CREATE STREAM n AS SELECT id, a FROM s PARTITION BY a, NULL;", "Cannot PARTITION BY multiple columns including NULL"),
        ("CREATE STREAM n AS SELECT id, v FROM w PARTITION BY v;", "Implicit repartitioning of windowed sources is not supported."),
        ("INSERT INTO t SELECT * FROM s;", "INSERT INTO can only be used to insert into a stream. T is a table."),
        ("INSERT INTO s2 SELECT id, b FROM s;", "Incompatible schema between results and sink.\nResult schema is `ID` STRING KEY, `B` STRUCT<`X` INTEGER, `Y` STRING>\nSink schema is `ID` STRING KEY, `A` INTEGER"),
        ("INSERT INTO s2 WITH (query_id='CSAS_X') SELECT id, a FROM s;", "Query IDs must not start with a reserved query ID prefix"),
        ("INSERT INTO ro VALUES ('a', 1);", "Cannot insert values into read-only table: RO"),
        ("INSERT INTO w VALUES ('a', 1);", "Cannot insert values into windowed stream/table!"),
        ("INSERT INTO t (v) VALUES (1);", "Failed to insert values into 'T'. Value for primary key column(s) ID is required for tables"),
        ("INSERT INTO s (id, nope) VALUES ('a', 1);", "Failed to insert values into 'S'. Column name `NOPE` does not exist."),
        ("INSERT INTO s (id, a) VALUES ('a', b);", "Failed to prepare statement: VALUES column 'B' cannot be resolved."),
        ("ALTER STREAM s ADD COLUMN a int;", "Cannot add column `A` to schema. A column with the same name already exists."),
        ("ALTER TABLE ro ADD COLUMN z int;", "Cannot alter table 'RO': ALTER operations are not supported on source tables."),
        ("ALTER STREAM s2 ADD COLUMN z int;", "ALTER command is not supported for CREATE ... AS statements."),
        ("DROP TABLE s;", "Incompatible data source type is STREAM, but statement was DROP TABLE"),
        ("DROP TABLE nope;", "Table NOPE does not exist"),
        ("DROP TYPE nope;", "Type NOPE does not exist."),
        ("CREATE TYPE x AS nope;", "Cannot resolve unknown type: NOPE"),
        ("SELECT * FROM s JOIN t ON s.id = t.v EMIT CHANGES;", "Invalid join condition: stream-table joins require to join on the table's primary key. Got S.ID = T.V."),
        ("CREATE STREAM n AS SELECT * FROM s JOIN t3 ON s.id = t3.id;", "Can't join `S` with `T3` since the number of partitions don't match. `S` partitions = 2; `T3` partitions = 3."),
        ("SELECT * FROM s JOIN s ON s.id = s.id EMIT CHANGES;", "Can not join 'S' to 'S': self joins are not yet supported."),
        ("SELECT t.id FROM t JOIN t u ON t.id = u.id GROUP BY t.id;", "Pull queries don't support GROUP BY clauses."),
        ("SELECT ROWOFFSET FROM s;", "Pull queries don't support the following columns in SELECT clauses: `ROWOFFSET`"),
        ("SELECT nope.a FROM s EMIT CHANGES;", "Failed to prepare statement: 'NOPE' is not a valid stream/table name or alias."),
        ("SELECT id FROM s JOIN t ON s.id = t.id EMIT CHANGES;", "Exception while preparing statement: Line: 1, Col: 8: Column 'ID' is ambiguous. Could be S.ID or T.ID."),
        ("CREATE STREAM n AS SELECT a, a AS x, id FROM s PARTITION BY a;", "The projection contains a key column more than once: `A` and `X`."),
        ("CREATE STREAM n AS SELECT id, id AS x, a FROM s;", "The projection contains a key column (`ID`) more than once, aliased as: ID and X."),
        ("SELECT NOPE(a) FROM s EMIT CHANGES;", "Can't find any functions with the name 'NOPE'"),
        ("SELECT CASE a WHEN 1 THEN 2 END FROM s EMIT CHANGES;", "CASE with an operand is not supported."),
        ("SELECT EXPLODE(EXPLODE(c)) FROM s EMIT CHANGES;", "Table functions cannot be nested: `EXPLODE`(`EXPLODE`())"),
        ("CREATE TABLE n AS SELECT id, MIN(a) FROM s WINDOW HOPPING (SIZE 3 SECONDS, ADVANCE BY 4 SECONDS) GROUP BY id;", "Window advancement interval should be more than zero and less than window duration which is 3000 ms, but given advancement interval is: 4000 ms"),
        (
            "CREATE TABLE n AS SELECT id, MIN(a) FROM s WINDOW TUMBLING (SIZE 1 DAY, RETENTION 1 HOUR) GROUP BY id;",
            "The retention period of the window store Aggregate-Aggregate-Materialize must be no smaller than its window size plus the grace period. Got size=[86400000], grace=[0], retention=[3600000]"
        ),
        (
            "CREATE TABLE n AS SELECT id, MIN(a) FROM s WINDOW SESSION (1 HOUR, RETENTION 1 HOUR, GRACE PERIOD 1 SECOND) GROUP BY id;",
            "The retention period of the session store Aggregate-Aggregate-Materialize must be no smaller than the session inactivity gap plus the grace period. Got gap=[3600000], grace=[1000], retention=[3600000]"
        ),
        ("CREATE TABLE n AS SELECT id, MIN(a) FROM s WINDOW SESSION (0 SECONDS) GROUP BY id;", "Gap time (gapMs) cannot be zero or negative."),
        ("CREATE TABLE n AS SELECT id, MIN(a) FROM s WINDOW TUMBLING (SIZE 0 SECONDS) GROUP BY id;", "Window size (sizeMs) must be larger than zero."),
        ("CREATE TABLE n AS SELECT id, MIN(a) FROM s WINDOW TUMBLING (SIZE 1 HOUR, RETENTION 2 HOURS) GROUP BY id;", "The retention period of the window store Aggregate-Aggregate-Materialize must be no smaller than its window size plus the grace period. Got size=[3600000], grace=[82800000], retention=[7200000]"),
        ("CREATE TABLE n AS SELECT id, SUM(v) FROM t WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY id;", "Windowing not supported for table aggregations."),
        ("CREATE TABLE n AS SELECT v, TOPK(v, 2) FROM t GROUP BY v;", "The aggregation function TOPK cannot be applied to a table source"),
        ("CREATE TABLE n AS SELECT v, MIN(v), MAX(v) FROM t GROUP BY v;", "The aggregation functions MIN and MAX cannot be applied to a table source"),
        ("CREATE TABLE n AS SELECT a, TOPK(a, a) FROM s GROUP BY a;", "Parameter 2 passed to function TOPK must be a literal constant, but was expression: 'A'"),
        ("CREATE TABLE n AS SELECT a, SUM(COUNT(a)) FROM s GROUP BY a;", "Aggregate functions can not be nested: SUM(COUNT())"),
        ("CREATE TABLE n AS SELECT a, COUNT(*) AS n FROM s WHERE COUNT(*) > 1 GROUP BY a;", "Aggregate functions are not allowed in the WHERE clause: COUNT(*)"),
        ("CREATE TABLE n AS SELECT a, COUNT(*) AS n FROM s GROUP BY a HAVING n > 3;", "Line: 1, Col: 68: HAVING column 'N' cannot be resolved."),
        ("CREATE TABLE n AS SELECT a, COUNT(*) AS n FROM s GROUP BY a HAVING SUM(a);", "Type error in HAVING expression: Should evaluate to boolean but is SUM(A) (INTEGER) instead."),
        ("CREATE TABLE n AS SELECT a, COUNT(*) AS n FROM s GROUP BY a, a;", "Duplicate GROUP BY expression: A"),
        ("CREATE TABLE n AS SELECT a, COUNT(*) AS n FROM s GROUP BY a EMIT FINAL;", "EMIT FINAL is only supported for windowed aggregations."),
        ("CREATE TABLE n AS SELECT v, COUNT(*) AS n FROM w GROUP BY v;", "Implicit repartitioning of windowed sources is not supported."),
        ("CREATE STREAM n AS SELECT a, COUNT(*) AS n FROM s GROUP BY a;", "Invalid result type. Your SELECT query produces a TABLE."),
        ("INSERT INTO s2 SELECT id, COUNT(*) FROM s GROUP BY id;", "Incompatible data sink and query result."),
        ("SELECT * FROM ro WHERE id IN (true);", "'true' can not be converted to the type of the key column: ID STRING KEY"),
        ("SELECT id FROM s WHERE ROWTIME > 'yesterday' EMIT CHANGES;", "Error in WHERE expression: Failed to parse timestamp 'yesterday'"),
    ]

    /// Parts of the language that are switched off.
    @Test(arguments: [
        ("ksql.suppress.enabled", "CREATE TABLE n AS SELECT id, MIN(a) FROM s WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY id EMIT FINAL;", "Suppression is currently disabled. You can enable it by setting ksql.suppress.enabled to true"),
        ("ksql.lambdas.enabled", "CREATE STREAM n AS SELECT id, FILTER(ARRAY[1], x => x > 1) AS f FROM s;", "Lambdas are not enabled at this time."),
        ("ksql.headers.columns.enabled", "CREATE STREAM n (a INT, h BYTES HEADER('x')) WITH (kafka_topic='in', value_format='JSON', partitions=1);", "Cannot create Stream because schema with headers columns is disabled."),
        ("ksql.pull.queries.enable", "SELECT * FROM s;", "Pull queries are disabled. See https://cnfl.io/queries for more info."),
    ])
    func switchedOff(_ property: String, _ sql: String, _ message: String) throws {
        var bench = Self.bench
        try bench.run(sql)
        bench = Self.bench
        bench.properties[property] = "false"
        #expect(bench.error(sql).contains(message))
    }

    @Test(arguments: messages.indices)
    func message(_ index: Int) throws {
        let (sql, message) = Self.messages[index]
        var bench = Self.bench
        do {
            try bench.run(sql)
            Issue.record("accepted: \(sql)")
        } catch {
            #expect(error.message.hasPrefix(message), "\(error.message)")
            let span = try #require(error.span)
            #expect(span.start < span.end && span.end <= sql.utf8.count)
        }
    }
}
