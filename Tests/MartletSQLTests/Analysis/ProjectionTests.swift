import MartletColumns
import MartletCore
import Testing

@testable import MartletSQL

/// Names, keys and formats of what CREATE STREAM AS makes.
@Suite struct ProjectionTests {
    static let bench: AnalysisBench = {
        var bench = AnalysisBench()
        bench.topics = ["i": 3, "t": 3]
        do {
            try bench.run(
                """
                CREATE STREAM i (id int KEY, name string, s struct<f1 int, name string>, KSQL_COL_0 int) WITH (kafka_topic='i', value_format='JSON');
                CREATE STREAM nokey (v int, w string) WITH (kafka_topic='i', value_format='DELIMITED', value_delimiter='|');
                CREATE STREAM two (a int KEY, b int KEY, v int) WITH (kafka_topic='i', format='JSON');
                CREATE TABLE t (id int PRIMARY KEY, name string, price double) WITH (kafka_topic='t', value_format='JSON');
                """)
        } catch {
            Issue.record("\(error)")
        }
        return bench
    }()

    static let schemas: [(query: String, schema: String)] = [
        ("SELECT * FROM i", "`ID` INTEGER KEY, `NAME` STRING, `S` STRUCT<`F1` INTEGER, `NAME` STRING>, `KSQL_COL_0` INTEGER"),
        // Names that the source has are not generated again.
        ("SELECT id, 1, name + 'x', s->f1, s->name FROM i", "`ID` INTEGER KEY, `KSQL_COL_1` INTEGER, `KSQL_COL_2` STRING, `F1` INTEGER, `NAME_1` STRING"),
        ("SELECT id, s->* FROM i", "`ID` INTEGER KEY, `F1` INTEGER, `NAME_1` STRING"),
        ("SELECT name, id AS k FROM i", "`K` INTEGER KEY, `NAME` STRING"),
        ("SELECT id, AS_VALUE(id) AS copy FROM i", "`ID` INTEGER KEY, `COPY` INTEGER"),
        ("SELECT id, ROWTIME AS rt, ROWPARTITION AS rp, ROWOFFSET AS ro FROM i", "`ID` INTEGER KEY, `RT` BIGINT, `RP` INTEGER, `RO` BIGINT"),
        ("SELECT b, a, v FROM two", "`A` INTEGER KEY, `B` INTEGER KEY, `V` INTEGER"),
        ("SELECT v FROM nokey", "`V` INTEGER"),
        ("SELECT * FROM i PARTITION BY name", "`NAME` STRING KEY, `S` STRUCT<`F1` INTEGER, `NAME` STRING>, `KSQL_COL_0` INTEGER, `ID` INTEGER"),
        ("SELECT id, name AS n FROM i PARTITION BY name", "`N` STRING KEY, `ID` INTEGER"),
        ("SELECT UCASE(name), id FROM i PARTITION BY UCASE(name)", "`KSQL_COL_1` STRING KEY, `ID` INTEGER"),
        ("SELECT id, name FROM i PARTITION BY NULL", "`ID` INTEGER, `NAME` STRING"),
        ("SELECT * FROM i JOIN t ON i.id = t.id", "`I_ID` INTEGER KEY, `I_NAME` STRING, `I_S` STRUCT<`F1` INTEGER, `NAME` STRING>, `I_KSQL_COL_0` INTEGER, `T_ID` INTEGER, `T_NAME` STRING, `T_PRICE` DOUBLE"),
        ("SELECT x.id, i.name, price FROM i JOIN t x ON i.id = x.id", "`X_ID` INTEGER KEY, `I_NAME` STRING, `PRICE` DOUBLE"),
        ("SELECT CAST(name AS DECIMAL(4,2)) + 1 AS d, id FROM i", "`ID` INTEGER KEY, `D` DECIMAL(13, 2)"),
        ("SELECT id, ARRAY[1, '2', 3.5] AS x, MAP('a' := 1, 'b' := NULL) AS m FROM i", "`ID` INTEGER KEY, `X` ARRAY<DECIMAL(11, 1)>, `M` MAP<STRING, INTEGER>"),
        ("SELECT id, TRANSFORM(ARRAY[1, 2], x => x * 2.5) AS x FROM i", "`ID` INTEGER KEY, `X` ARRAY<DECIMAL(13, 1)>"),
        ("SELECT id, CASE WHEN id > 1 THEN NULL WHEN id > 0 THEN CAST(1 AS BIGINT) ELSE 5000000000 END AS x FROM i", "`ID` INTEGER KEY, `X` BIGINT"),
    ]

    @Test(arguments: schemas.indices)
    func schema(_ index: Int) throws {
        let (query, schema) = Self.schemas[index]
        var bench = Self.bench
        let analyzed = try bench.query("CREATE STREAM o AS \(query);")
        #expect(analyzed.sink.schema.description == schema)
    }

    @Test func formatsAreInherited() throws {
        var bench = Self.bench
        bench.properties["ksql.output.topic.name.prefix"] = "pre-"
        let plain = try bench.query("CREATE STREAM o AS SELECT * FROM nokey;")
        let json = try bench.query("CREATE STREAM o2 WITH (value_format='JSON', kafka_topic='x', partitions=9) AS SELECT * FROM nokey;")
        let unkeyed = try bench.query("CREATE STREAM o3 AS SELECT id, name FROM i PARTITION BY NULL;")
        #expect(plain.sink.topic == "pre-O" && plain.partitions == 3 && plain.sink.valueFormat == FormatSpec(.delimited, properties: ["delimiter": "|"]))
        #expect(json.sink.topic == "x" && json.partitions == 9 && json.sink.valueFormat == FormatSpec(.json))
        #expect(unkeyed.sink.keyFormat.kind == .none)
    }

    /// A join without its key in the projection: refused where the stream has a key, as ksqlDB does; with a warning where it was declared without.
    @Test func joinWithoutItsKey() throws {
        var bench = Self.bench
        #expect(
            bench.error("CREATE STREAM o AS SELECT i.name, price FROM i JOIN t ON i.id = t.id;").contains(
                "must include the join expressions I.ID or T.ID in its projection (eg, SELECT I.ID...)"))
        let query = try bench.query("CREATE STREAM o AS SELECT w, price FROM nokey JOIN t ON nokey.v = t.id;")
        #expect(query.sink.schema.description == "`W` STRING, `PRICE` DOUBLE" && query.warnings.count == 1)
    }

    @Test func transientQueriesKeepTheOrderOfSelect() throws {
        var bench = Self.bench
        let query = try bench.select("SELECT name, id, ROWTIME FROM i EMIT CHANGES;")
        #expect(query.fields.map(\.name) == ["NAME", "ID", "ROWTIME"] && query.keyFlags == [false, true, false])
    }
}
