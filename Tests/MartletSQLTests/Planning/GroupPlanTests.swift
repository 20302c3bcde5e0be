import Foundation
import MartletColumns
import MartletCore
import Testing

@testable import MartletSQL

/// Plans of GROUP BY, windows and tables as EXPLAIN prints them.
@Suite struct GroupPlanTests {
    static let bench: AnalysisBench = {
        var bench = AnalysisBench()
        bench.topics = ["clicks": 4, "users": 4, "plain": 2, "sessions": 4]
        do {
            try bench.run(
                """
                CREATE STREAM clicks (id varchar KEY, a int, b struct<x int, y string>, d decimal(6,2)) WITH (kafka_topic='clicks', value_format='JSON');
                CREATE STREAM plain (a int, s varchar, v double) WITH (kafka_topic='plain', value_format='DELIMITED');
                CREATE STREAM sessions (id varchar KEY, a int) WITH (kafka_topic='sessions', value_format='JSON', window_type='session');
                CREATE TABLE users (id bigint PRIMARY KEY, city varchar, age int) WITH (kafka_topic='users', value_format='AVRO');
                CREATE TABLE totals AS SELECT id, COUNT(*) AS n, SUM(a) AS total FROM clicks GROUP BY id;
                CREATE TABLE hourly WITH (KEY_FORMAT='JSON') AS SELECT id, b->y, COUNT(*) AS n FROM clicks WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY id, b->y;
                """)
        } catch {
            Issue.record("\(error)")
        }
        return bench
    }()

    static let plans: [(sql: String, plan: String)] = [
        (
            """
            CREATE TABLE o AS SELECT id, COUNT(*) AS n, SUM(a) AS total FROM clicks WHERE a > 1 GROUP BY id HAVING SUM(a) > 100;
            """,
            """
             > [ SINK ] | Schema: `ID` STRING KEY, `N` BIGINT, `TOTAL` INTEGER | Topic: O | Formats: KAFKA, JSON
            \t > [ PROJECT ] | Schema: `ID` STRING, `N` BIGINT, `TOTAL` INTEGER | Columns: ID, COUNT() AS N, SUM(A) AS TOTAL
            \t\t > [ FILTER ] | Condition: (SUM(A) > 100)
            \t\t\t > [ AGGREGATE ] | Keys: ID | Functions: COUNT(), SUM(A)
            \t\t\t\t > [ PROJECT ] | Schema: `ID` STRING, `A` INTEGER | Columns: ID, A
            \t\t\t\t\t > [ FILTER ] | Condition: (A > 1)
            \t\t\t\t\t\t > [ SOURCE ] | Schema: `ID` STRING, `A` INTEGER | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON

            """
        ),
        (
            """
            CREATE TABLE o WITH (KEY_FORMAT='JSON') AS SELECT a % 3, b->y AS y, TOPK(a, id, 3) AS top, COUNT(a) + SUM(a * 2), COUNT(a) AS n, AS_VALUE(b->y) AS copy FROM clicks GROUP BY b->y, a % 3;
            """,
            """
             > [ SINK ] | Schema: `Y` STRING KEY, `KSQL_COL_0` INTEGER KEY, `TOP` ARRAY<STRUCT<`sort_col` INTEGER, `col0` STRING>>, `KSQL_COL_1` BIGINT, `N` BIGINT, `COPY` STRING | Topic: O | Formats: JSON, JSON
            \t > [ PROJECT ] | Schema: `Y` STRING, `KSQL_COL_0` INTEGER, `TOP` ARRAY<STRUCT<`sort_col` INTEGER, `col0` STRING>>, `KSQL_COL_1` BIGINT, `N` BIGINT, `COPY` STRING | Columns: Y, KSQL_COL_0, TOPK(A, ID, 3) AS TOP, (COUNT(A) + CAST(SUM(ARG_2) AS BIGINT)) AS KSQL_COL_1, COUNT(A) AS N, Y AS COPY
            \t\t > [ AGGREGATE ] | Keys: Y, KSQL_COL_0 | Functions: TOPK(A, ID, 3), COUNT(A), SUM(ARG_2)
            \t\t\t > [ REPARTITION SOURCE ] | Schema: `Y` STRING, `KSQL_COL_0` INTEGER, `A` INTEGER, `ID` STRING, `ARG_2` INTEGER | Step: Aggregate-GroupBy | Formats: JSON, JSON
            \t\t\t\t > [ REPARTITION ] | Schema: `Y` STRING KEY, `KSQL_COL_0` INTEGER KEY, `A` INTEGER, `ID` STRING, `ARG_2` INTEGER | Step: Aggregate-GroupBy | Formats: JSON, JSON | Partitions of: clicks
            \t\t\t\t\t > [ REKEY ] | Schema: `Y` STRING, `KSQL_COL_0` INTEGER, `A` INTEGER, `ID` STRING, `ARG_2` INTEGER | Key: B->Y, (A % 3)
            \t\t\t\t\t\t > [ SOURCE ] | Schema: `ID` STRING, `A` INTEGER, `B` STRUCT<`X` INTEGER, `Y` STRING> | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON

            """
        ),
        (
            """
            CREATE TABLE o AS SELECT s, SUM(v) FROM plain WINDOW HOPPING (SIZE 30 SECONDS, ADVANCE BY 10 SECONDS, RETENTION 2 DAYS, GRACE PERIOD 1 HOUR) GROUP BY s;
            """,
            """
             > [ SINK ] | Schema: `S` STRING KEY, `KSQL_COL_0` DOUBLE | Topic: O | Formats: KAFKA, DELIMITED
            \t > [ PROJECT ] | Schema: `S` STRING, `KSQL_COL_0` DOUBLE | Columns: S, SUM(V) AS KSQL_COL_0
            \t\t > [ WINDOWED AGGREGATE ] | Keys: S | Functions: SUM(V) | Window: HOPPING, size 30000 ms, advance 10000 ms, grace 3600000 ms, retention 172800000 ms
            \t\t\t > [ REPARTITION SOURCE ] | Schema: `S` STRING, `V` DOUBLE | Step: Aggregate-GroupBy | Formats: KAFKA, DELIMITED
            \t\t\t\t > [ REPARTITION ] | Schema: `S` STRING KEY, `V` DOUBLE | Step: Aggregate-GroupBy | Formats: KAFKA, DELIMITED | Partitions of: plain
            \t\t\t\t\t > [ REKEY ] | Schema: `S` STRING, `V` DOUBLE | Key: S
            \t\t\t\t\t\t > [ SOURCE ] | Schema: `S` STRING, `V` DOUBLE | Stream: PLAIN | Topic: plain | Formats: KAFKA, DELIMITED

            """
        ),
        (
            """
            CREATE TABLE o AS SELECT id, WINDOWSTART AS ws, WINDOWEND - WINDOWSTART AS length, COUNT(*) AS n FROM clicks WINDOW SESSION (5 MINUTES, GRACE PERIOD 1 MINUTE) GROUP BY id EMIT FINAL;
            """,
            """
             > [ SINK ] | Schema: `ID` STRING KEY, `WS` BIGINT, `LENGTH` BIGINT, `N` BIGINT | Topic: O | Formats: KAFKA, JSON
            \t > [ PROJECT ] | Schema: `ID` STRING, `WS` BIGINT, `LENGTH` BIGINT, `N` BIGINT | Columns: ID, WINDOWSTART AS WS, (WINDOWEND - WINDOWSTART) AS LENGTH, COUNT() AS N
            \t\t > [ SUPPRESS ] | Until the window closes, grace 60000 ms
            \t\t\t > [ WINDOWED AGGREGATE ] | Keys: ID | Functions: COUNT() | Window: SESSION, gap 300000 ms, grace 60000 ms, retention 360000 ms
            \t\t\t\t > [ PROJECT ] | Schema: `ID` STRING | Columns: ID
            \t\t\t\t\t > [ SOURCE ] | Schema: `ID` STRING | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON

            """
        ),
        (
            """
            CREATE TABLE o AS SELECT city, COUNT(*) AS n, SUM(age + 1) AS total FROM users WHERE age > 18 GROUP BY city;
            """,
            """
             > [ SINK ] | Schema: `CITY` STRING KEY, `N` BIGINT, `TOTAL` INTEGER | Topic: O | Formats: KAFKA, AVRO
            \t > [ PROJECT ] | Schema: `CITY` STRING, `N` BIGINT, `TOTAL` INTEGER | Columns: CITY, COUNT() AS N, SUM(ARG_0) AS TOTAL
            \t\t > [ AGGREGATE ] | Keys: CITY | Functions: COUNT(), SUM(ARG_0)
            \t\t\t > [ REPARTITION SOURCE ] | Schema: `CITY` STRING, `ADDED` BOOLEAN, `REMOVED` BOOLEAN, `ARG_0` INTEGER, `OLD_ARG_0` INTEGER | Step: Aggregate-GroupBy | Formats: KAFKA, AVRO
            \t\t\t\t > [ REPARTITION ] | Schema: `CITY` STRING KEY, `ADDED` BOOLEAN, `REMOVED` BOOLEAN, `ARG_0` INTEGER, `OLD_ARG_0` INTEGER | Step: Aggregate-GroupBy | Formats: KAFKA, AVRO | Partitions of: users
            \t\t\t\t\t > [ GROUP_BY ] | Keys: CITY | Arguments: (AGE + 1)
            \t\t\t\t\t\t > [ FILTER ] | Condition: (AGE > 18)
            \t\t\t\t\t\t\t > [ TABLE ] | Store: KsqlTopic-Reduce
            \t\t\t\t\t\t\t\t > [ SOURCE ] | Schema: `ID` BIGINT, `CITY` STRING, `AGE` INTEGER | Table: USERS | Topic: users | Formats: KAFKA, AVRO

            """
        ),
        (
            """
            CREATE TABLE o AS SELECT id, UCASE(city) AS city FROM users WHERE age IS NOT NULL;
            """,
            """
             > [ SINK ] | Schema: `ID` BIGINT KEY, `CITY` STRING | Topic: O | Formats: KAFKA, AVRO
            \t > [ PROJECT ] | Schema: `ID` BIGINT, `CITY` STRING | Columns: ID, UCASE(CITY) AS CITY
            \t\t > [ FILTER ] | Condition: (AGE IS NOT NULL)
            \t\t\t > [ TABLE ] | Store: KsqlTopic-Reduce
            \t\t\t\t > [ SOURCE ] | Schema: `ID` BIGINT, `CITY` STRING, `AGE` INTEGER | Table: USERS | Topic: users | Formats: KAFKA, AVRO

            """
        ),
        (
            """
            SELECT a, COUNT(*) AS n, WINDOWSTART FROM clicks WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY a EMIT CHANGES LIMIT 3;
            """,
            """
             > [ RESULTS ] | Schema: `A` INTEGER, `N` BIGINT, `WINDOWSTART` BIGINT | Limit: 3
            \t > [ PROJECT ] | Schema: `A` INTEGER, `N` BIGINT, `WINDOWSTART` BIGINT | Columns: A, COUNT() AS N, WINDOWSTART
            \t\t > [ WINDOWED AGGREGATE ] | Keys: A | Functions: COUNT() | Window: TUMBLING, size 60000 ms, grace 86340000 ms, retention 86400000 ms
            \t\t\t > [ PROJECT ] | Schema: `A` INTEGER | Columns: A
            \t\t\t\t > [ SOURCE ] | Schema: `A` INTEGER | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON

            """
        ),
        (
            """
            SELECT COUNT(*) FROM plain EMIT CHANGES;
            """,
            """
             > [ RESULTS ] | Schema: `KSQL_COL_0` BIGINT
            \t > [ PROJECT ] | Schema: `KSQL_COL_0` BIGINT | Columns: COUNT() AS KSQL_COL_0
            \t\t > [ AGGREGATE ] | Keys:  | Functions: COUNT()
            \t\t\t > [ PROJECT ] | Schema:  | Columns: 
            \t\t\t\t > [ SOURCE ] | Schema:  | Stream: PLAIN | Topic: plain | Formats: KAFKA, DELIMITED

            """
        ),
        (
            """
            SELECT city FROM users WHERE age > 3 EMIT CHANGES;
            """,
            """
             > [ RESULTS ] | Schema: `CITY` STRING
            \t > [ PROJECT ] | Schema: `CITY` STRING | Columns: CITY
            \t\t > [ FILTER ] | Condition: (AGE > 3)
            \t\t\t > [ TABLE ] | Store: KsqlTopic-Reduce
            \t\t\t\t > [ SOURCE ] | Schema: `ID` BIGINT, `CITY` STRING, `AGE` INTEGER | Table: USERS | Topic: users | Formats: KAFKA, AVRO

            """
        ),
        (
            """
            SELECT n, ROWTIME FROM totals WHERE id >= 'a' AND id < 'b' LIMIT 2;
            """,
            """
             > [ RESULTS ] | Schema: `N` BIGINT, `ROWTIME` BIGINT | Limit: 2
            \t > [ PROJECT ] | Schema: `N` BIGINT, `ROWTIME` BIGINT | Columns: N, ROWTIME
            \t\t > [ FILTER ] | Condition: ((ID >= 'a') AND (ID < 'b'))
            \t\t\t > [ SOURCE ] | Schema: `ID` STRING, `N` BIGINT, `ROWTIME` BIGINT | Table: TOTALS | Topic: TOTALS | Formats: KAFKA, JSON

            """
        ),
        (
            """
            SELECT * FROM hourly WHERE id = 'a' AND y = 'b' AND WINDOWSTART >= '2020-01-01T00:00' AND WINDOWEND < 1600000000000;
            """,
            """
             > [ RESULTS ] | Schema: `ID` STRING, `Y` STRING, `WINDOWSTART` BIGINT, `WINDOWEND` BIGINT, `N` BIGINT
            \t > [ PROJECT ] | Schema: `ID` STRING, `Y` STRING, `WINDOWSTART` BIGINT, `WINDOWEND` BIGINT, `N` BIGINT | Columns: ID, Y, WINDOWSTART, WINDOWEND, N
            \t\t > [ FILTER ] | Condition: ((((ID = 'a') AND (Y = 'b')) AND (WINDOWSTART >= 1577836800000)) AND (WINDOWEND < 1600000000000))
            \t\t\t > [ WINDOWED SOURCE ] | Schema: `ID` STRING, `Y` STRING, `N` BIGINT, `WINDOWSTART` BIGINT, `WINDOWEND` BIGINT | Table: HOURLY | Topic: HOURLY | Formats: JSON, JSON

            """
        ),
    ]

    @Test(arguments: plans.indices)
    func planOfStatement(_ index: Int) throws {
        var bench = Self.bench
        let (sql, plan) = Self.plans[index]
        #expect(try bench.plan(sql) == plan)
    }

    /// What is written to the command log is read back the same.
    @Test(arguments: plans.indices)
    func plansSurviveCoding(_ index: Int) throws {
        var bench = Self.bench
        let plan = try bench.physicalPlan(Self.plans[index].sql)
        #expect(try JSONDecoder().decode(PhysicalPlan.self, from: JSONEncoder().encode(plan)) == plan)
    }

    /// Every expression counts columns that exist.
    @Test(arguments: plans.indices)
    func columnsAreInRange(_ index: Int) throws {
        var bench = Self.bench
        PlanTests.checkColumns(try bench.physicalPlan(Self.plans[index].sql))
    }
}
