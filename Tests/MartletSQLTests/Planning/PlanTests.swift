import Foundation
import MartletColumns
import MartletCore
import Testing

@testable import MartletSQL

/// Statements and their plans as EXPLAIN prints them.
@Suite struct PlanTests {
    static let bench: AnalysisBench = {
        var bench = AnalysisBench()
        bench.topics = ["payments": 3, "users": 3, "clicks": 2, "prices": 2, "many": 7]
        bench.catalog.models["FRAUD_SCORE"] = ModelEntry(
            name: "FRAUD_SCORE", inputs: [Field("A", .double), Field("B", .double)], output: .double)
        do {
            try bench.run(
                """
                CREATE STREAM payments (Id bigint, User varchar, Time int, V1 double, V2 double, Amount double, Class string)
                    WITH (kafka_topic='payments', value_format='DELIMITED');
                CREATE TABLE users (userid varchar PRIMARY KEY, gender varchar, city varchar) WITH (kafka_topic='users', value_format='AVRO');
                CREATE STREAM clicks (id varchar KEY, a int, b struct<x int, y string>, tags array<string>, ts bigint, h bytes header('h'))
                    WITH (kafka_topic='clicks', value_format='JSON');
                CREATE STREAM timed (id varchar KEY, a int, ts bigint) WITH (kafka_topic='clicks', value_format='JSON', timestamp='ts');
                CREATE TABLE prices (id varchar PRIMARY KEY, c decimal(5,2)) WITH (kafka_topic='prices', value_format='JSON');
                """)
        } catch {
            Issue.record("\(error)")
        }
        return bench
    }()

    static let plans: [(sql: String, plan: String)] = [
        (
            // The null check is the decoder's; nothing but the needed columns is read.
            "CREATE STREAM clean WITH (VALUE_FORMAT='AVRO') AS SELECT Time, V1, Class FROM payments WHERE Class IS NOT NULL;",
            """
             > [ SINK ] | Schema: `TIME` INTEGER, `V1` DOUBLE, `CLASS` STRING | Topic: CLEAN | Formats: KAFKA, AVRO
            \t > [ PROJECT ] | Schema: `TIME` INTEGER, `V1` DOUBLE, `CLASS` STRING | Columns: TIME, V1, CLASS
            \t\t > [ SOURCE ] | Schema: `TIME` INTEGER, `V1` DOUBLE, `CLASS` STRING | Stream: PAYMENTS | Topic: payments | Formats: KAFKA, DELIMITED | Not null: CLASS

            """
        ),
        (
            "SELECT Id, MASK_LEFT(User, 2) FROM payments LIMIT 3;",
            """
             > [ RESULTS ] | Schema: `ID` BIGINT, `KSQL_COL_0` STRING | Limit: 3
            \t > [ PROJECT ] | Schema: `ID` BIGINT, `KSQL_COL_0` STRING | Columns: ID, MASK_LEFT(USER, 2) AS KSQL_COL_0
            \t\t > [ SOURCE ] | Schema: `ID` BIGINT, `USER` STRING | Stream: PAYMENTS | Topic: payments | Formats: KAFKA, DELIMITED

            """
        ),
        (
            "SELECT IFNULL(Class, '-1'), IFNULL(Class, -1) FROM payments EMIT CHANGES;",
            """
             > [ RESULTS ] | Schema: `KSQL_COL_0` STRING, `KSQL_COL_1` STRING
            \t > [ PROJECT ] | Schema: `KSQL_COL_0` STRING, `KSQL_COL_1` STRING | Columns: IFNULL(CLASS, '-1') AS KSQL_COL_0, IFNULL(CLASS, '-1') AS KSQL_COL_1
            \t\t > [ SOURCE ] | Schema: `CLASS` STRING | Stream: PAYMENTS | Topic: payments | Formats: KAFKA, DELIMITED

            """
        ),
        (
            // Re-keyed for the join: conditions on the stream come first, the repartition topic has the table's key format.
            """
            CREATE STREAM per_user WITH (VALUE_FORMAT='AVRO') AS SELECT Time, V1, Class FROM payments c INNER JOIN USERS u ON c.user = u.userid
            WHERE V1 > 5 AND V2 IS NOT NULL AND u.CITY LIKE 'Premium%';
            """,
            """
             > [ SINK ] | Schema: `TIME` INTEGER, `V1` DOUBLE, `CLASS` STRING | Topic: PER_USER | Formats: KAFKA, AVRO
            \t > [ PROJECT ] | Schema: `TIME` INTEGER, `V1` DOUBLE, `CLASS` STRING | Columns: TIME, V1, CLASS
            \t\t > [ FILTER ] | Condition: (CITY LIKE 'Premium%')
            \t\t\t > [ JOIN ] | Key: C_USER = USERID
            \t\t\t\t > [ REPARTITION SOURCE ] | Schema: `C_USER` STRING, `TIME` INTEGER, `V1` DOUBLE, `CLASS` STRING | Step: Join | Formats: KAFKA, DELIMITED
            \t\t\t\t\t > [ REPARTITION ] | Schema: `C_USER` STRING KEY, `TIME` INTEGER, `V1` DOUBLE, `CLASS` STRING | Step: Join | Formats: KAFKA, DELIMITED | Partitions of: users
            \t\t\t\t\t\t > [ REKEY ] | Schema: `C_USER` STRING, `TIME` INTEGER, `V1` DOUBLE, `CLASS` STRING | Key: USER
            \t\t\t\t\t\t\t > [ FILTER ] | Condition: (V1 > 5.0)
            \t\t\t\t\t\t\t\t > [ SOURCE ] | Schema: `USER` STRING, `TIME` INTEGER, `V1` DOUBLE, `CLASS` STRING | Stream: PAYMENTS | Topic: payments | Formats: KAFKA, DELIMITED | Not null: V2
            \t\t\t\t > [ SOURCE ] | Schema: `USERID` STRING, `CITY` STRING | Table: USERS | Topic: users | Formats: KAFKA, AVRO

            """
        ),
        (
            // Keyed by the join column already: one stage.
            "CREATE STREAM j AS SELECT k.id, a, c, k.ROWTIME rt FROM clicks k LEFT JOIN prices ON k.id = prices.id WHERE b->x = 1;",
            """
             > [ SINK ] | Schema: `K_ID` STRING KEY, `A` INTEGER, `C` DECIMAL(5, 2), `RT` BIGINT | Topic: J | Formats: KAFKA, JSON
            \t > [ PROJECT ] | Schema: `K_ID` STRING, `A` INTEGER, `C` DECIMAL(5, 2), `RT` BIGINT | Columns: ID AS K_ID, A, C, ROWTIME AS RT
            \t\t > [ LEFT JOIN ] | Key: ID = ID
            \t\t\t > [ FILTER ] | Condition: (B->X = 1)
            \t\t\t\t > [ SOURCE ] | Schema: `ID` STRING, `A` INTEGER, `B` STRUCT<`X` INTEGER, `Y` STRING>, `ROWTIME` BIGINT | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON
            \t\t\t > [ SOURCE ] | Schema: `ID` STRING, `C` DECIMAL(5, 2) | Table: PRICES | Topic: prices | Formats: KAFKA, JSON

            """
        ),
        (
            "CREATE STREAM p AS SELECT b->y, id, h FROM clicks PARTITION BY b->y;",
            """
             > [ SINK ] | Schema: `Y` STRING KEY, `ID` STRING, `H` BYTES | Topic: P | Formats: KAFKA, JSON
            \t > [ PROJECT ] | Schema: `Y` STRING, `ID` STRING, `H` BYTES | Columns: Y, ID, H
            \t\t > [ REKEY ] | Schema: `Y` STRING, `ID` STRING, `B` STRUCT<`X` INTEGER, `Y` STRING>, `H` BYTES | Key: B->Y
            \t\t\t > [ SOURCE ] | Schema: `ID` STRING, `B` STRUCT<`X` INTEGER, `Y` STRING>, `HEADER(h)` BYTES | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON

            """
        ),
        (
            "CREATE STREAM scored AS SELECT id, FRAUD_SCORE(V1, 1) AS score FROM payments WHERE FRAUD_SCORE(V1, V2) > 0.5;",
            """
             > [ SINK ] | Schema: `ID` BIGINT, `SCORE` DOUBLE | Topic: SCORED | Formats: KAFKA, DELIMITED
            \t > [ PROJECT ] | Schema: `ID` BIGINT, `SCORE` DOUBLE | Columns: ID, FRAUD_SCORE(V1, 1.0) AS SCORE
            \t\t > [ FILTER ] | Condition: (FRAUD_SCORE(V1, V2) > 0.5)
            \t\t\t > [ SOURCE ] | Schema: `ID` BIGINT, `V1` DOUBLE, `V2` DOUBLE | Stream: PAYMENTS | Topic: payments | Formats: KAFKA, DELIMITED

            """
        ),
        (
            "CREATE STREAM tags AS SELECT id, EXPLODE(tags) AS tag FROM clicks;",
            """
             > [ SINK ] | Schema: `ID` STRING KEY, `TAG` STRING | Topic: TAGS | Formats: KAFKA, JSON
            \t > [ PROJECT ] | Schema: `ID` STRING, `TAG` STRING | Columns: ID, KSQL_SYNTH_0 AS TAG
            \t\t > [ FLAT_MAP ] | Functions: EXPLODE(TAGS)
            \t\t\t > [ SOURCE ] | Schema: `ID` STRING, `TAGS` ARRAY<STRING> | Stream: CLICKS | Topic: clicks | Formats: KAFKA, JSON

            """
        ),
        (
            // A table's filter makes tombstones, so its null check is not pushed down; the timestamp column is read though not selected.
            "CREATE TABLE t AS SELECT id, c * 2 FROM prices WHERE c IS NOT NULL;",
            """
             > [ SINK ] | Schema: `ID` STRING KEY, `KSQL_COL_0` DECIMAL(16, 2) | Topic: T | Formats: KAFKA, JSON
            \t > [ PROJECT ] | Schema: `ID` STRING, `KSQL_COL_0` DECIMAL(16, 2) | Columns: ID, (C * 2) AS KSQL_COL_0
            \t\t > [ FILTER ] | Condition: (C IS NOT NULL)
            \t\t\t > [ TABLE ] | Store: KsqlTopic-Reduce
            \t\t\t\t > [ SOURCE ] | Schema: `ID` STRING, `C` DECIMAL(5, 2) | Table: PRICES | Topic: prices | Formats: KAFKA, JSON

            """
        ),
        (
            "SELECT a FROM timed WHERE ROWTIME >= '2020-01-01' AND a IN (1, '2') EMIT CHANGES;",
            """
             > [ RESULTS ] | Schema: `A` INTEGER
            \t > [ PROJECT ] | Schema: `A` INTEGER | Columns: A
            \t\t > [ FILTER ] | Condition: ((ROWTIME >= 1577836800000) AND (A IN (1, 2)))
            \t\t\t > [ SOURCE ] | Schema: `A` INTEGER, `ROWTIME` BIGINT, `TS` BIGINT | Stream: TIMED | Topic: clicks | Formats: KAFKA, JSON | Timestamp: TS

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

    /// Every expression of every stage counts columns that exist.
    @Test(arguments: plans.indices)
    func columnsAreInRange(_ index: Int) throws {
        var bench = Self.bench
        Self.checkColumns(try bench.physicalPlan(Self.plans[index].sql))
    }

    static func checkColumns(_ plan: PhysicalPlan) {
        for stage in plan.stages {
            let width = width(of: stage.root)
            switch stage.output {
            case .sink(let sink): #expect(width == sink.keyFields.count + sink.valueFields.count)
            case .repartition(let topic): #expect(width == topic.keyFields.count + topic.valueFields.count)
            case .results(let fields, _): #expect(plan.ending == nil ? width == fields.count : width >= fields.count)
            }
        }
    }

    /// Columns that a node yields; checks each operator below against those it reads.
    private static func width(of node: PhysicalPlan.Node) -> Int {
        switch node {
        case .input(let input): return input.columns.count
        case .union(let nodes):
            let widths = nodes.map { width(of: $0) }
            #expect(Set(widths).count == 1)
            return widths[0]
        case .join(let join, let left, let right):
            let (l, r) = (width(of: left), width(of: right))
            #expect(join.leftKeys.allSatisfy { $0 < l } && join.rightKeys.allSatisfy { $0 < r } && join.leftKeys.count == join.rightKeys.count)
            return l + r + join.leftKeys.count
        case .step(let step, let below):
            let input = width(of: below)
            let (expressions, output): ([BoundExpression], Int) =
                switch step {
                case .filter(let condition, _): ([condition], input)
                case .project(let list, let names): (list, names.count)
                case .selectKey(let list, let names, _): (list, names.count)
                case .flatMap(let calls): (calls.flatMap(\.arguments), input + calls.count)
                case .materialize, .suppress: ([], input)
                case .resolve: ([], input - 2)
                case .groupChanges(let keys, let arguments, let names): (keys + arguments, names.count)
                case .aggregate(let aggregate):
                    ([], aggregate.keyCount + aggregate.calls.count + (aggregate.window == nil ? 0 : 2))
                case .subscribe: ([], input + 2)
                }
            if case .aggregate(let aggregate) = step {
                let removed = aggregate.undoes ? Set(aggregate.calls.flatMap(\.arguments)).count : 0
                #expect(aggregate.calls.allSatisfy { $0.arguments.allSatisfy { $0 + removed < input } } && aggregate.keyCount <= input)
            }
            for expression in expressions { #expect(expression.columns.allSatisfy { $0 < input }) }
            return output
        }
    }

    @Test func idsPartitionsAndSources() throws {
        var bench = Self.bench
        bench.nextQueryNumber = 4
        let create = try bench.query("CREATE STREAM x AS SELECT * FROM clicks;")
        let replaced = try bench.query("CREATE OR REPLACE STREAM x AS SELECT *, a + 1 AS a1 FROM clicks;")
        let insert = try bench.query("INSERT INTO x SELECT *, a + 1 FROM clicks;")
        let named = try bench.query("INSERT INTO x WITH (QUERY_ID='mine') SELECT *, a + 1 FROM clicks;")
        #expect(bench.error("CREATE OR REPLACE STREAM x AS SELECT * FROM clicks;").contains("multiple queries writing into it: [CSAS_X_4, INSERTQUERY_6, MINE]"))
        #expect([create.queryID, insert.queryID, named.queryID, replaced.queryID] == ["CSAS_X_4", "INSERTQUERY_6", "MINE", "CSAS_X_4"])
        #expect(create.partitions == 2 && create.plan.sources == ["CLICKS"] && insert.isInsert)
        #expect(create.sink.schema.description.hasSuffix("`TS` BIGINT, `H` BYTES"))
    }
}
