import MartletColumns
import MartletCore
import Testing
@testable import MartletSQL

@Suite struct ScratchTests {
    @Test func show() throws {
        var bench = AnalysisBench()
        bench.topics = ["creditcardfraud_source": 3, "users": 3, "test": 2, "keyed": 2, "t2": 2]
        let v = (1...28).map { "V\($0)" }
        bench.catalog.models["FRAUD_SCORE"] = ModelEntry(name: "FRAUD_SCORE", inputs: [Field("A", .double), Field("B", .double)], output: .double)
        try bench.run("""
            CREATE STREAM creditcardfraud_source (Id bigint, Timestamp varchar, User varchar, Time int, \(v.map { $0 + " double" }.joined(separator: ", ")), Amount double, Class string) WITH (kafka_topic='creditcardfraud_source', value_format='DELIMITED', KEY='Id');
            CREATE TABLE users (userid varchar, gender varchar, city varchar) WITH (kafka_topic='users', value_format='AVRO', key='userid');
            CREATE STREAM keyed (id varchar key, a int, b struct<x int, y string>) WITH (kafka_topic='keyed', value_format='JSON');
            CREATE TABLE t2 (id varchar primary key, c decimal(5,2)) WITH (kafka_topic='t2', value_format='JSON');
            """)
        for sql in [
            "CREATE STREAM creditcardfraud_preprocessed_avro WITH (VALUE_FORMAT='AVRO', KAFKA_TOPIC='creditcardfraud_preprocessed_avro') AS SELECT Time, V1, V2, Amount, Class FROM creditcardfraud_source WHERE Class IS NOT NULL;",
            "SELECT * FROM CREDITCARDFRAUD_PREPROCESSED_AVRO LIMIT 1;",
            "SELECT * FROM CREDITCARDFRAUD_PREPROCESSED_AVRO EMIT CHANGES;",
            "SELECT Id, MASK_LEFT(User, 2) FROM creditcardfraud_source;",
            "SELECT Id, IFNULL(Class, '-1'), IFNULL(Class, -1) FROM creditcardfraud_source;",
            "CREATE STREAM creditcardfraud_per_user WITH (VALUE_FORMAT='AVRO', KAFKA_TOPIC='creditcardfraud_per_user') AS SELECT Time, V1, V2, Amount, Class FROM creditcardfraud_source c INNER JOIN USERS u ON c.user = u.userid WHERE V1 > 5 AND V2 IS NOT NULL AND u.CITY LIKE 'Premium%';",
            "CREATE STREAM j AS SELECT k.id, a, c, k.ROWTIME rt FROM keyed k LEFT JOIN t2 ON k.id = t2.id WHERE b->x = 1;",
            "CREATE STREAM scored AS SELECT Id, FRAUD_SCORE(V1, 1) AS score FROM creditcardfraud_source WHERE FRAUD_SCORE(V1, V2) > 0.5;",
            "CREATE STREAM p AS SELECT b->y, id, a FROM keyed PARTITION BY b->y;",
            "CREATE TABLE tt AS SELECT id, c * 2 FROM t2 WHERE c IS NOT NULL;",
        ] {
            do {
                let r = try bench.run(sql)
                switch r {
                case .persistentQuery(let q): print(q.queryID, q.sink.schema, q.sink.keyFormat.kind, q.warnings, q.partitions ?? -1); print(Explain.text(q.plan))
                case .transientQuery(let q): print(q.kind, q.keyFlags, q.fields.map(\.name)); print(Explain.text(q.plan))
                default: print(r)
                }
            } catch { print(error.rendered()) }
        }
        for sql in [
            "SELECT COLOUR FROM keyed EMIT CHANGES;", "SELECT a + 'x' FROM keyed EMIT CHANGES;", "SELECT * FROM keyed WHERE id = 5 EMIT CHANGES;",
            "SELECT FRAUD_SCORE(V1) FROM creditcardfraud_source;", "SELECT FRAUD_SCORE(V1, Class) FROM creditcardfraud_source;",
            "SELECT * FROM nope;", "SELECT * FROM t2;", "DROP STREAM keyed;", "CREATE STREAM x (a int) WITH (kafka_topic='x', value_format='JSON');",
            "CREATE STREAM x (a int) WITH (kafka_topic='x', value_format='JSON', partitons=3);",
            "INSERT INTO keyed (id, a, b) VALUES ('k', 1 + 2, STRUCT(x := 1, y := 'b'));", "INSERT INTO keyed VALUES ('k', 1);", "INSERT INTO keyed (id, a) VALUES ('k', 'x');",
            "INSERT INTO t2 (c) VALUES (1);", "INSERT INTO t2 (id, c, rowtime) VALUES ('a', 1.5, 1234);",
        ] {
            do { print(try bench.run(sql)) } catch { print(error.rendered()) }
        }
    }
}
