import MartletCore
import Testing

@testable import MartletSQL

/// Plans of what ksqlDB does not have: subqueries, WITH, UNION ALL, and the endings of queries that end.
@Suite struct QueryExtensionTests {
    static let plans: [(sql: String, plan: String)] = [
        (
            """
            SELECT n FROM (SELECT id, COUNT(*) AS n FROM clicks GROUP BY id) AS t WHERE n > 3 EMIT CHANGES;
            """,
            """
             > [ RESULTS ] | Schema: `N` BIGINT
            \t > [ PROJECT ] | Schema: `N` BIGINT | Columns: N
            \t\t > [ FILTER ] | Condition: (N > 3)
            \t\t\t > [ PROJECT ] | Schema: `N` BIGINT | Columns: COUNT() AS N
            \t\t\t\t > [ AGGREGATE ] | Keys: ID | Functions: COUNT()
            \t\t\t\t\t > [ PROJECT ] | Schema: `ID` STRING | Columns: ID
            \t\t\t\t\t\t > [ SOURCE ] | Schema: `ID` STRING | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON

            """
        ),
        (
            """
            CREATE TABLE o AS SELECT n, COUNT(*) AS many FROM (SELECT id, COUNT(*) AS n FROM clicks GROUP BY id) t GROUP BY n;
            """,
            """
             > [ SINK ] | Schema: `N` BIGINT KEY, `MANY` BIGINT | Topic: O | Formats: KAFKA, JSON
            \t > [ PROJECT ] | Schema: `N` BIGINT, `MANY` BIGINT | Columns: N, COUNT() AS MANY
            \t\t > [ AGGREGATE ] | Keys: N | Functions: COUNT()
            \t\t\t > [ REPARTITION SOURCE ] | Schema: `N` BIGINT, `ADDED` BOOLEAN, `REMOVED` BOOLEAN | Step: Aggregate-GroupBy | Formats: KAFKA, JSON
            \t\t\t\t > [ REPARTITION ] | Schema: `N` BIGINT KEY, `ADDED` BOOLEAN, `REMOVED` BOOLEAN | Step: Aggregate-GroupBy | Formats: KAFKA, JSON | Partitions of: clicks
            \t\t\t\t\t > [ GROUP_BY ] | Keys: N | Arguments: 
            \t\t\t\t\t\t > [ PROJECT ] | Schema: `N` BIGINT | Columns: COUNT() AS N
            \t\t\t\t\t\t\t > [ AGGREGATE ] | Keys: ID | Functions: COUNT()
            \t\t\t\t\t\t\t\t > [ PROJECT ] | Schema: `ID` STRING | Columns: ID
            \t\t\t\t\t\t\t\t\t > [ SOURCE ] | Schema: `ID` STRING | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON

            """
        ),
        (
            """
            CREATE STREAM o AS SELECT id, a FROM clicks UNION ALL SELECT s, a FROM plain PARTITION BY s;
            """,
            """
             > [ SINK ] | Schema: `ID` STRING KEY, `A` INTEGER | Topic: O | Formats: KAFKA, JSON
            \t > [ PROJECT ] | Schema: `ID` STRING, `A` INTEGER | Columns: ID, A
            \t\t > [ PROJECT ] | Schema: `ID` STRING, `A` INTEGER | Columns: ID, A
            \t\t\t > [ SOURCE ] | Schema: `ID` STRING, `A` INTEGER | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON
            \t > [ PROJECT ] | Schema: `ID` STRING, `A` INTEGER | Columns: ID, A
            \t\t > [ PROJECT ] | Schema: `ID` STRING, `A` INTEGER | Columns: S AS ID, A
            \t\t\t > [ REKEY ] | Schema: `S` STRING, `A` INTEGER, `S` STRING | Key: S
            \t\t\t\t > [ SOURCE ] | Schema: `A` INTEGER, `S` STRING | Stream: PLAIN | Topic: plain | Formats: KAFKA, DELIMITED

            """
        ),
        (
            """
            CREATE STREAM o AS SELECT a, CAST(a AS DOUBLE) AS v FROM clicks UNION ALL SELECT a, v FROM plain;
            """,
            """
             > [ SINK ] | Schema: `A` INTEGER, `V` DOUBLE | Topic: O | Formats: NONE, JSON
            \t > [ PROJECT ] | Schema: `A` INTEGER, `V` DOUBLE | Columns: A, V
            \t\t > [ PROJECT ] | Schema: `A` INTEGER, `V` DOUBLE | Columns: A, CAST(A AS DOUBLE) AS V
            \t\t\t > [ SOURCE ] | Schema: `A` INTEGER | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON
            \t > [ PROJECT ] | Schema: `A` INTEGER, `V` DOUBLE | Columns: A, V
            \t\t > [ PROJECT ] | Schema: `A` INTEGER, `V` DOUBLE | Columns: A, V
            \t\t\t > [ SOURCE ] | Schema: `A` INTEGER, `V` DOUBLE | Stream: PLAIN | Topic: plain | Formats: KAFKA, DELIMITED

            """
        ),
        (
            """
            WITH big AS (SELECT id, a FROM clicks WHERE a > 1), both AS (SELECT a FROM big UNION ALL SELECT a FROM plain) SELECT a, COUNT(*) AS n FROM both GROUP BY a EMIT CHANGES;
            """,
            """
             > [ RESULTS ] | Schema: `A` INTEGER, `N` BIGINT
            \t > [ PROJECT ] | Schema: `A` INTEGER, `N` BIGINT | Columns: A, COUNT() AS N
            \t\t > [ AGGREGATE ] | Keys: A | Functions: COUNT()
            \t\t\t > [ PROJECT ] | Schema: `A` INTEGER | Columns: A
            \t\t\t\t > [ PROJECT ] | Schema: `A` INTEGER | Columns: A
            \t\t\t\t\t > [ UNION ]
            \t\t\t\t\t\t > [ PROJECT ] | Schema: `A` INTEGER | Columns: A
            \t\t\t\t\t\t\t > [ PROJECT ] | Schema: `A` INTEGER | Columns: A
            \t\t\t\t\t\t\t\t > [ FILTER ] | Condition: (A > 1)
            \t\t\t\t\t\t\t\t\t > [ SOURCE ] | Schema: `A` INTEGER | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON
            \t\t\t\t\t\t > [ PROJECT ] | Schema: `A` INTEGER | Columns: A
            \t\t\t\t\t\t\t > [ SOURCE ] | Schema: `A` INTEGER | Stream: PLAIN | Topic: plain | Formats: KAFKA, DELIMITED

            """
        ),
        (
            """
            CREATE TABLE o AS WITH both AS (SELECT a, 1 AS x FROM clicks UNION ALL SELECT a, 2 FROM plain) SELECT a, SUM(x) AS n FROM both GROUP BY a;
            """,
            """
             > [ SINK ] | Schema: `A` INTEGER KEY, `N` INTEGER | Topic: O | Formats: KAFKA, JSON
            \t > [ PROJECT ] | Schema: `A` INTEGER, `N` INTEGER | Columns: A, SUM(X) AS N
            \t\t > [ AGGREGATE ] | Keys: A | Functions: SUM(X)
            \t\t\t > [ REPARTITION SOURCE ] | Schema: `A` INTEGER, `X` INTEGER | Step: Aggregate-GroupBy | Formats: KAFKA, JSON
            \t\t\t\t > [ REPARTITION ] | Schema: `A` INTEGER KEY, `X` INTEGER | Step: Aggregate-GroupBy | Formats: KAFKA, JSON | Partitions of: clicks
            \t\t\t\t\t > [ REKEY ] | Schema: `A` INTEGER, `X` INTEGER | Key: A
            \t\t\t\t\t\t > [ PROJECT ] | Schema: `A` INTEGER, `X` INTEGER | Columns: A, X
            \t\t\t\t\t\t\t > [ PROJECT ] | Schema: `A` INTEGER, `X` INTEGER | Columns: A, 1 AS X
            \t\t\t\t\t\t\t\t > [ SOURCE ] | Schema: `A` INTEGER | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON
            \t\t\t\t\t > [ REKEY ] | Schema: `A` INTEGER, `X` INTEGER | Key: A
            \t\t\t\t\t\t > [ PROJECT ] | Schema: `A` INTEGER, `X` INTEGER | Columns: A, X
            \t\t\t\t\t\t\t > [ PROJECT ] | Schema: `A` INTEGER, `X` INTEGER | Columns: A, 2 AS X
            \t\t\t\t\t\t\t\t > [ SOURCE ] | Schema: `A` INTEGER | Stream: PLAIN | Topic: plain | Formats: KAFKA, DELIMITED

            """
        ),
        (
            """
            SELECT a, id FROM clicks ORDER BY a DESC, b->x LIMIT 3 OFFSET 2;
            """,
            """
             > [ RESULTS ] | Schema: `A` INTEGER, `ID` STRING | Order: A DESC NULLS FIRST, ORDER_0 NULLS LAST | Offset: 2 | Limit: 3
            \t > [ PROJECT ] | Schema: `A` INTEGER, `ID` STRING, `ORDER_0` INTEGER | Columns: A, ID, B->X AS ORDER_0
            \t\t > [ SOURCE ] | Schema: `ID` STRING, `A` INTEGER, `B` STRUCT<`X` INTEGER, `Y` STRING> | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON

            """
        ),
        (
            """
            SELECT DISTINCT a FROM clicks ORDER BY 1;
            """,
            """
             > [ RESULTS ] | Schema: `A` INTEGER | Distinct | Order: A NULLS LAST
            \t > [ PROJECT ] | Schema: `A` INTEGER | Columns: A
            \t\t > [ SOURCE ] | Schema: `A` INTEGER | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON

            """
        ),
        (
            """
            SELECT id, n FROM totals WHERE id = 'a' ORDER BY total DESC NULLS LAST;
            """,
            """
             > [ RESULTS ] | Schema: `ID` STRING, `N` BIGINT | Order: ORDER_0 DESC NULLS LAST
            \t > [ PROJECT ] | Schema: `ID` STRING, `N` BIGINT, `ORDER_0` INTEGER | Columns: ID, N, TOTAL AS ORDER_0
            \t\t > [ FILTER ] | Condition: (ID = 'a')
            \t\t\t > [ SOURCE ] | Schema: `ID` STRING, `N` BIGINT, `TOTAL` INTEGER | Table: TOTALS | Topic: TOTALS | Formats: KAFKA, JSON

            """
        ),
    ]

    @Test(arguments: plans.indices)
    func planOfStatement(_ index: Int) throws {
        var bench = GroupPlanTests.bench
        let (sql, plan) = Self.plans[index]
        #expect(try bench.plan(sql) == plan)
    }

    @Test(arguments: plans.indices)
    func columnsAreInRange(_ index: Int) throws {
        var bench = GroupPlanTests.bench
        PlanTests.checkColumns(try bench.physicalPlan(Self.plans[index].sql))
    }

    /// The names of state and of internal topics are all different, and the same whenever the statement is analysed.
    @Test func stepsHaveNamesOfTheirOwn() throws {
        let sql = """
            CREATE TABLE o AS SELECT m, COUNT(*) AS many FROM (SELECT n, COUNT(*) AS m FROM (SELECT a, COUNT(*) AS n FROM clicks GROUP BY a) x GROUP BY n) y GROUP BY m;
            """
        var bench = GroupPlanTests.bench, again = GroupPlanTests.bench
        again.nextQueryNumber = 100
        let plan = try bench.physicalPlan(sql)
        var names: [String] = []
        for stage in plan.stages {
            for case .aggregate(let aggregate) in stage.root.operators { names.append(aggregate.step) }
            if case .repartition(let topic) = stage.output { names.append(topic.step) }
        }
        #expect(names.count == 6 && Set(names).count == 6, "\(names)")
        #expect(try again.physicalPlan(sql) == plan)
    }

    @Test func groupsOfQueriesThatEnd() throws {
        var bench = GroupPlanTests.bench
        let query = try bench.select("SELECT COUNT(*) AS n FROM clicks WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY a ORDER BY a;")
        #expect(query.kind == .pullStream && query.fields.map(\.name) == ["N"])
        #expect(query.plan.ending?.newest == [1] && query.plan.ending?.order.map(\.column) == [1])
        // A lookup in a table, whose rows are no changes here: any function will do.
        let table = try bench.select("SELECT MAX(total) FROM totals WHERE id IN ('a', 'b');")
        #expect(table.kind == .pullTable && table.lookup?.keys == .some([[.string("a")], [.string("b")]]))
        #expect(table.plan.stages.flatMap(\.root.operators).allSatisfy { if case .groupChanges = $0 { false } else { true } })
    }

    /// What is sorted or cut off inside is a stage of its own, whose rows go on when all are there.
    @Test func subqueriesThatSortAndCut() throws {
        var bench = GroupPlanTests.bench
        let query = try bench.select("SELECT a + 1 AS x FROM (SELECT a, id AS name FROM clicks ORDER BY id DESC LIMIT 3 OFFSET 1) t WHERE a > 1;")
        #expect(query.kind == .pullStream && query.plan.stages.count == 2 && query.plan.ending == nil && query.plan.limit == nil)
        let inner = query.plan.stages[0]
        #expect(inner.limit == 3 && inner.ending?.offset == 1 && inner.ending?.order.map(\.isDescending) == [true])
        // Filters stay above it.
        #expect(inner.root.operators.allSatisfy { if case .filter = $0 { false } else { true } })
        PlanTests.checkColumns(query.plan)
        let distinct = try bench.select("SELECT COUNT(*) AS n FROM (SELECT DISTINCT a FROM clicks) t;")
        #expect(distinct.plan.stages[0].ending?.isDistinct == true && distinct.plan.stages[0].ending?.distinctColumns == 1)
        PlanTests.checkColumns(distinct.plan)
        // A condition inside still says which rows of a table are looked up.
        let table = try bench.select("SELECT MAX(total) FROM (SELECT total FROM totals WHERE id IN ('a', 'b') ORDER BY total LIMIT 1) t;")
        #expect(table.kind == .pullTable && table.lookup?.keys == .some([[.string("a")], [.string("b")]]))
    }

    static let refused: [(sql: String, message: String)] = [
        ("SELECT * FROM (SELECT a FROM clicks LIMIT 3) EMIT CHANGES;", "LIMIT in a subquery is only for queries that end, which this one does not."),
        ("SELECT * FROM (SELECT a FROM clicks EMIT CHANGES) EMIT CHANGES;", "EMIT CHANGES belongs to the outermost query."),
        ("SELECT * FROM (SELECT a, id AS a FROM clicks) EMIT CHANGES;", "The subquery has two columns named `A`."),
        ("SELECT id FROM clicks ORDER BY b;", "Rows cannot be ordered by a value of type STRUCT<`X` INTEGER, `Y` STRING>."),
        ("SELECT id FROM clicks ORDER BY 2;", "ORDER BY 2: there are 1 columns."),
        ("SELECT DISTINCT id FROM clicks ORDER BY a;", "SELECT DISTINCT can only be ordered by what is selected."),
        ("SELECT id FROM clicks ORDER BY id EMIT CHANGES;", "ORDER BY is only for queries that end, which this one does not."),
        ("CREATE STREAM o AS SELECT DISTINCT id, a FROM clicks;", "SELECT DISTINCT is only for queries that end, which this one does not."),
        ("SELECT id FROM clicks UNION ALL SELECT id, a FROM clicks;", "Each part of a UNION needs the same columns: the first has 1, this one 2."),
        ("SELECT id FROM clicks UNION ALL SELECT a FROM clicks;", "Column `ID` of the UNION is STRING in one part and INTEGER in another."),
        ("CREATE TABLE o AS SELECT id, n FROM totals UNION ALL SELECT id, n FROM totals;", "UNION ALL is for streams, and this part is a table."),
        ("SELECT a FROM clicks JOIN (SELECT id FROM totals) ON clicks.id = id EMIT CHANGES;", "A subquery that is joined needs a name."),
        ("SELECT * FROM (SELECT DISTINCT a FROM clicks) EMIT CHANGES;", "SELECT DISTINCT is only for queries that end, which this one does not."),
        ("CREATE STREAM o AS WITH x AS (SELECT * FROM clicks ORDER BY a) SELECT * FROM x;", "ORDER BY is only for queries that end, which this one does not."),
        ("SELECT a FROM clicks UNION ALL SELECT DISTINCT a FROM clicks EMIT CHANGES;", "SELECT DISTINCT cannot be part of a UNION that does not end."),
        ("SELECT * FROM (SELECT a FROM clicks LIMIT -3);", "LIMIT takes no negative number."),
        (
            "SELECT * FROM clicks c JOIN (SELECT a, id FROM clicks ORDER BY a LIMIT 1) d WITHIN 1 HOUR ON c.a = d.a;",
            "A subquery with DISTINCT, ORDER BY or LIMIT gives its rows when all others have been read: it can only be the left side of a join with a table."
        ),
        ("SELECT * FROM clicks GROUP BY id;", "Pull queries don't support GROUP BY clauses."),
        ("SELECT * FROM clicks WINDOW TUMBLING (SIZE 1 SECOND);", "Pull queries don't support WINDOW clauses."),
        ("CREATE TABLE o AS SELECT n FROM (SELECT id, COUNT(*) AS n FROM clicks GROUP BY id);", "Key missing from projection (ie, SELECT)."),
        ("DELETE FROM clicks WHERE id = 'a';", "Cannot delete from stream CLICKS: its rows are there for good."),
        ("DELETE FROM totals WHERE id = 'a';", "Cannot delete from TOTALS: its rows are those of query CTAS_TOTALS_0."),
        ("DELETE FROM users WHERE age = 3;", "DELETE needs a WHERE clause that names whole keys, by = or IN and OR."),
        ("DELETE FROM users WHERE id = 3 AND age = 3;", "DELETE needs a WHERE clause that names whole keys, by = or IN and OR."),
    ]

    @Test(arguments: refused.indices)
    func message(_ index: Int) throws {
        let (sql, message) = Self.refused[index]
        var bench = GroupPlanTests.bench
        do {
            try bench.run(sql)
            Issue.record("accepted: \(sql)")
        } catch {
            #expect(error.message.hasPrefix(message), "\(error.message)")
        }
    }

    @Test func deletedKeys() throws {
        var bench = GroupPlanTests.bench
        guard case .deleteRows(let delete) = try bench.run("DELETE FROM users WHERE id = 3 OR id IN (4, 3);") else {
            Issue.record("no DELETE")
            return
        }
        #expect(delete.source.name == "USERS" && delete.keys == [[.bigint(3)], [.bigint(4)]])
    }
}
