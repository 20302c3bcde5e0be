import MartletColumns
import MartletCore
import Testing

@testable import MartletSQL

/// How joins are cut into stages: who is written again, in which key format, with whose partitions, and what the key of the result is.
@Suite struct JoinPlanTests {
    static let bench: AnalysisBench = {
        var bench = AnalysisBench()
        bench.topics = ["l": 3, "r": 3, "wide": 5, "tl": 3, "tr": 3, "tx": 5, "jl": 3, "av": 3, "aw": 3]
        do {
            try bench.run(
                """
                CREATE STREAM l (id INT KEY, x INT, n STRING) WITH (kafka_topic='l', value_format='JSON');
                CREATE STREAM r (id INT KEY, x INT, n STRING) WITH (kafka_topic='r', value_format='JSON');
                CREATE STREAM wide (id INT KEY, y INT) WITH (kafka_topic='wide', value_format='JSON');
                CREATE STREAM jl (id INT KEY, x INT) WITH (kafka_topic='jl', format='JSON');
                CREATE STREAM av (id INT KEY, x INT) WITH (kafka_topic='av', key_format='AVRO', value_format='JSON');
                CREATE TABLE tl (id INT PRIMARY KEY, b INT, n STRING) WITH (kafka_topic='tl', value_format='JSON');
                CREATE TABLE tr (id INT PRIMARY KEY, c INT) WITH (kafka_topic='tr', value_format='JSON');
                CREATE TABLE tx (id INT PRIMARY KEY, d INT) WITH (kafka_topic='tx', value_format='JSON');
                CREATE TABLE aw (id INT PRIMARY KEY, e INT) WITH (kafka_topic='aw', key_format='AVRO', value_format='JSON');
                CREATE STREAM two (k1 INT KEY, k2 STRING KEY, v INT) WITH (kafka_topic='l', format='JSON');
                CREATE STREAM other (k1 INT KEY, k2 STRING KEY, w INT) WITH (kafka_topic='r', format='JSON');
                CREATE TABLE ttwo (k1 INT PRIMARY KEY, k2 STRING PRIMARY KEY, w INT) WITH (kafka_topic='tr', format='JSON');
                """)
        } catch {
            Issue.record("\(error)")
        }
        return bench
    }()

    /// `step:format(topic whose partitions it takes)` of each internal topic, in the order of the stages.
    private func topics(_ plan: PhysicalPlan) -> [String] {
        plan.stages.compactMap { stage in
            guard case .repartition(let topic) = stage.output else { return nil }
            return "\(topic.step):\(topic.keyFormat.kind.rawValue)(\(topic.partitionsOfTopic))"
        }
    }

    private func plan(_ sql: String) throws -> PhysicalPlan {
        var bench = Self.bench
        return try bench.physicalPlan(sql)
    }

    static let layouts: [(from: String, topics: [String])] = [
        ("l JOIN r WITHIN 1 SECOND ON l.id = r.id", []),
        ("l JOIN r WITHIN 1 SECOND ON l.x = r.id", ["Join-left:KAFKA(r)"]),
        ("l JOIN r WITHIN 1 SECOND ON r.x = l.id", ["Join-right:KAFKA(l)"]),
        ("l JOIN r WITHIN 1 SECOND ON l.x = r.x", ["Join-left:KAFKA(l)", "Join-right:KAFKA(l)"]),
        ("l JOIN r WITHIN 1 SECOND ON ABS(l.id) = r.id", ["Join-left:KAFKA(r)"]),
        // Partition counts do not matter to the side that is written again.
        ("l JOIN wide WITHIN 1 SECOND ON l.x = wide.id", ["Join-left:KAFKA(wide)"]),
        // The left side's key format, unless only that side is written again anyway.
        ("l JOIN jl WITHIN 1 SECOND ON l.id = jl.id", ["Join-right:KAFKA(l)"]),
        ("jl JOIN l WITHIN 1 SECOND ON l.id = jl.id", ["Join-right:JSON(jl)"]),
        ("l JOIN jl WITHIN 1 SECOND ON l.x = jl.id", ["Join-left:JSON(jl)"]),
        // Equal keys may have different bytes where they hold ids of schemas.
        ("av JOIN l WITHIN 1 SECOND ON l.id = av.id", ["Join-left:AVRO(av)", "Join-right:AVRO(av)"]),
        ("l JOIN av WITHIN 1 SECOND ON l.id = av.id", ["Join-right:KAFKA(l)"]),
        ("l JOIN tl ON l.id = tl.id", []),
        ("l JOIN tl ON l.x = tl.id", ["Join:KAFKA(tl)"]),
        ("jl JOIN tl ON jl.id = tl.id", ["RightSourceKeyed-SelectKey:JSON(jl)"]),
        ("av JOIN aw ON av.id = aw.id", ["Join:AVRO(av)", "RightSourceKeyed-SelectKey:AVRO(av)"]),
        // A second join on the same key stays where it is, on another one it moves.
        ("l JOIN tl ON l.x = tl.id JOIN tr ON l.x = tr.id", ["L_Join:KAFKA(tl)"]),
        ("l JOIN tl ON l.x = tl.id JOIN tr ON tl.b = tr.id", ["L_Join:KAFKA(tl)", "Join:KAFKA(tr)"]),
        ("l JOIN r WITHIN 1 SECOND ON l.id = ABS(r.id) JOIN jl WITHIN 1 SECOND ON ABS(r.id) = jl.x", ["L_Join-right:KAFKA(l)", "Join-right:KAFKA(l)"]),
        // Several columns: where both sides are keyed so, nothing moves.
        ("two JOIN other WITHIN 1 SECOND ON two.k2 = other.k2 AND two.k1 = other.k1", []),
        ("two JOIN other WITHIN 1 SECOND ON two.k1 = other.k1 AND two.v = other.w", ["Join-left:JSON(l)", "Join-right:JSON(l)"]),
        ("two JOIN ttwo ON two.k1 = ttwo.k1 AND two.k2 = ttwo.k2 AND two.v > ttwo.w", []),
        // Further conditions beside the key leave the rows where they are.
        ("l JOIN r WITHIN 1 SECOND ON l.id = r.id AND l.n = r.n AND l.x > r.x", []),
        // With itself.
        ("l a JOIN l b WITHIN 1 SECOND ON a.id = b.id", []),
        ("l a JOIN l b WITHIN 1 SECOND ON a.id = b.x", ["Join-right:KAFKA(l)"]),
    ]

    @Test(arguments: layouts)
    func streamsAreWrittenAgainWhereTheyMustBe(_ from: String, _ expected: [String]) throws {
        let plan = try plan("SELECT * FROM \(from) EMIT CHANGES;")
        #expect(plan.stages.count == 1, "one task of a transient query works on all rows")
        #expect(topics(try self.plan("CREATE STREAM o WITH (key_format='JSON') AS SELECT * FROM \(from);")) == expected)
    }

    static let tableLayouts: [(from: String, topics: [String])] = [
        ("tl JOIN tr ON tl.id = tr.id", []),
        ("tl FULL JOIN tr ON tl.id = tr.id", []),
        ("tl JOIN aw ON tl.id = aw.id", ["RightSourceKeyed-SelectKey:KAFKA(tl)"]),
        ("aw JOIN tl ON tl.id = aw.id", ["LeftSourceKeyed-SelectKey:AVRO(aw)", "RightSourceKeyed-SelectKey:AVRO(aw)"]),
        // Foreign keys: subscriptions go to the right table's partitions, answers to the left table's.
        ("tl JOIN tr ON tl.b = tr.id", ["Join-subscription-topic:KAFKA(tr)", "Join-answer-topic:KAFKA(tl)"]),
        ("tl LEFT JOIN tx ON tl.b + 1 = tx.id", ["Join-subscription-topic:KAFKA(tx)", "Join-answer-topic:KAFKA(tl)"]),
        ("tl JOIN aw ON tl.b = aw.id", ["Join-subscription-topic:AVRO(aw)", "RightSourceKeyed-SelectKey:AVRO(aw)", "Join-answer-topic:KAFKA(tl)"]),
        ("tl JOIN ttwo ON tl.b = ttwo.k1 AND tl.n = ttwo.k2", ["Join-subscription-topic:JSON(tr)", "Join-answer-topic:KAFKA(tl)"]),
        ("tl JOIN tx ON tl.b = tx.id LEFT JOIN tr ON tl.id = tr.id", ["L_Join-subscription-topic:KAFKA(tx)", "L_Join-answer-topic:KAFKA(tl)"]),
        ("tl a JOIN tl b ON a.b = b.id", ["Join-subscription-topic:KAFKA(tl)", "Join-answer-topic:KAFKA(tl)"]),
    ]

    @Test(arguments: tableLayouts)
    func tablesAreWrittenAgainWhereTheyMustBe(_ from: String, _ expected: [String]) throws {
        let plan = try plan("SELECT * FROM \(from) EMIT CHANGES;")
        #expect(plan.stages.count == 1)
        #expect(topics(try self.plan("CREATE TABLE o AS SELECT * FROM \(from);")) == expected)
    }

    static let keys: [(query: String, schema: String)] = [
        ("SELECT l.id, r.id, l.x FROM l JOIN r WITHIN 1 SECOND ON l.id = r.id", "`L_ID` INTEGER KEY, `R_ID` INTEGER, `L_X` INTEGER"),
        // The leftmost of the equal columns that are selected is the key.
        ("SELECT r.id, l.id, l.x FROM l JOIN r WITHIN 1 SECOND ON l.id = r.id", "`L_ID` INTEGER KEY, `R_ID` INTEGER, `L_X` INTEGER"),
        ("SELECT r.id AS k, l.x FROM l LEFT JOIN r WITHIN 1 SECOND ON l.id = r.id", "`K` INTEGER KEY, `L_X` INTEGER"),
        ("SELECT ROWKEY, l.x FROM l FULL JOIN r WITHIN 1 SECOND ON l.id = r.id", "`ROWKEY` INTEGER KEY, `L_X` INTEGER"),
        ("SELECT ROWKEY AS k, l.x FROM l JOIN r WITHIN 1 SECOND ON ABS(l.id) = ABS(r.id)", "`K` INTEGER KEY, `L_X` INTEGER"),
        ("SELECT l.x, ABS(l.x) AS a FROM l JOIN r WITHIN 1 SECOND ON l.x = r.x AND l.n > r.n", "`L_X` INTEGER KEY, `A` INTEGER"),
        (
            "SELECT * FROM two JOIN other WITHIN 1 SECOND ON two.k2 = other.k2 AND two.k1 = other.k1",
            "`TWO_K1` INTEGER KEY, `TWO_K2` STRING KEY, `TWO_V` INTEGER, `OTHER_K1` INTEGER, `OTHER_K2` STRING, `OTHER_W` INTEGER"
        ),
        ("SELECT b.id, a.x AS ax, b.x AS bx FROM l a JOIN l b WITHIN 1 SECOND ON a.id = b.id", "`B_ID` INTEGER KEY, `AX` INTEGER, `BX` INTEGER"),
    ]

    @Test(arguments: keys)
    func keyOfResult(_ query: String, _ schema: String) throws {
        var bench = Self.bench
        #expect(try bench.query("CREATE STREAM o AS \(query);").sink.schema.description == schema)
    }

    @Test func stagesOfAForeignKeyJoin() throws {
        let sql = "CREATE TABLE o AS SELECT tl.id, n, c FROM tl LEFT JOIN tr ON tl.b = tr.id AND tr.c > 1;"
        #expect(
            Explain.text(try plan(sql)) == """
                 > [ SINK ] | Schema: `TL_ID` INTEGER KEY, `N` STRING, `C` INTEGER | Topic: O | Formats: KAFKA, JSON
                \t > [ PROJECT ] | Schema: `TL_ID` INTEGER, `N` STRING, `C` INTEGER | Columns: ID AS TL_ID, N, C
                \t\t > [ RESOLVE ] | Key: ID
                \t\t\t > [ REPARTITION SOURCE ] | Schema: `ID` INTEGER, `N` STRING, `C` INTEGER, `VERSION` BIGINT, `FOUND` INTEGER | Step: Join-answer-topic | Formats: KAFKA, JSON
                \t\t\t\t > [ REPARTITION ] | Schema: `ID` INTEGER KEY, `N` STRING, `C` INTEGER, `VERSION` BIGINT, `FOUND` INTEGER | Step: Join-answer-topic | Formats: KAFKA, JSON | Partitions of: tl
                \t\t\t\t\t > [ PROJECT ] | Schema: `ID` INTEGER, `N` STRING, `C` INTEGER, `VERSION` BIGINT, `FOUND` INTEGER | Columns: ID, N, C, VERSION, CHANGE AS FOUND
                \t\t\t\t\t\t > [ LEFT JOIN ] | Key: TL_B = ID | Foreign key | Condition: (C > 1)
                \t\t\t\t\t\t\t > [ REPARTITION SOURCE ] | Schema: `TL_B` INTEGER, `ID` INTEGER, `N` STRING, `VERSION` BIGINT, `CHANGE` INTEGER | Step: Join-subscription-topic | Formats: KAFKA, JSON
                \t\t\t\t\t\t\t\t > [ REPARTITION ] | Schema: `TL_B` INTEGER KEY, `ID` INTEGER, `N` STRING, `VERSION` BIGINT, `CHANGE` INTEGER | Step: Join-subscription-topic | Formats: KAFKA, JSON | Partitions of: tr
                \t\t\t\t\t\t\t\t\t > [ SUBSCRIBE ] | Key: ID | Foreign key: TL_B
                \t\t\t\t\t\t\t\t\t\t > [ TABLE ] | Store: Join-Left
                \t\t\t\t\t\t\t\t\t\t\t > [ PROJECT ] | Schema: `ID` INTEGER, `TL_B` INTEGER, `N` STRING | Columns: ID, B AS TL_B, N
                \t\t\t\t\t\t\t\t\t\t\t\t > [ SOURCE ] | Schema: `ID` INTEGER, `B` INTEGER, `N` STRING | Table: TL | Topic: tl | Formats: KAFKA, JSON
                \t\t\t\t\t\t\t > [ SOURCE ] | Schema: `ID` INTEGER, `C` INTEGER | Table: TR | Topic: tr | Formats: KAFKA, JSON

                """)
    }

    static let errors: [(query: String, message: String)] = [
        ("SELECT * FROM l JOIN r ON l.id = r.id", "Stream-Stream joins must have a WITHIN clause specified."),
        ("SELECT * FROM l JOIN tl WITHIN 1 SECOND ON l.id = tl.id", "A window definition was provided for a Stream-Table join."),
        ("SELECT * FROM l JOIN wide WITHIN 1 SECOND ON l.id = wide.id", "Can't join `L` with `WIDE` since the number of partitions don't match."),
        ("SELECT * FROM l RIGHT JOIN tl ON l.id = tl.id", "Invalid join type encountered: RIGHT [OUTER] JOIN"),
        ("SELECT * FROM l JOIN tl ON l.id = tl.b", "stream-table joins require to join on the table's primary key. Got L.ID = TL.B."),
        ("SELECT * FROM l JOIN tl ON l.x > tl.id", "Only equality join criteria is supported."),
        ("SELECT * FROM l JOIN tl ON l.x > tl.id AND l.x < 5", "Unsupported join expression: ((L.X > TL.ID) AND (L.X < 5))"),
        ("SELECT * FROM l JOIN tl ON l.n = tl.id", "types don't match. Got L.N{STRING} = TL.ID{INTEGER}."),
        ("SELECT * FROM two JOIN ttwo ON two.k1 = ttwo.k1", "stream-table joins require to join on the table's primary key. Got TWO.K1 = TTWO.K1."),
        ("SELECT * FROM l JOIN l WITHIN 1 SECOND ON l.id = l.id", "Can not join 'L' to 'L': self joins are not yet supported."),
        ("SELECT l.x FROM l JOIN r WITHIN 1 SECOND ON l.id = r.id", "must include the join expressions L.ID or R.ID in its projection (eg, SELECT L.ID...)."),
        (
            "SELECT l.*, r.* FROM l FULL JOIN r WITHIN 1 SECOND ON l.id = r.id",
            "must include the join expression ROWKEY in its projection (eg, SELECT ROWKEY...).\nROWKEY was added as a synthetic key column"
        ),
        ("SELECT * FROM l JOIN r WITHIN 1 SECOND ON l.id = r.id AND l.x", "Should evaluate to boolean but is L_X (INTEGER)"),
    ]

    @Test(arguments: errors)
    func refusals(_ query: String, _ message: String) {
        #expect(Self.bench.error("CREATE STREAM o AS \(query);").contains(message))
    }

    static let tableErrors: [(query: String, message: String)] = [
        ("SELECT * FROM tl RIGHT JOIN tr ON tl.b = tr.id", "RIGHT OUTER JOIN on a foreign key is not supported"),
        ("SELECT * FROM tl FULL JOIN tr ON tl.b = tr.id", "Invalid join type: full-outer join not supported for foreign-key table-table join. Got TL [FULL] OUTER JOIN TR."),
        ("SELECT * FROM tl JOIN tr ON tl.id = tr.c", "table-table joins require to join on the primary key of the right input table. Got TL.ID = TR.C."),
        ("SELECT * FROM tl JOIN tx ON tl.id = tx.id", "Can't join `TL` with `TX` since the number of partitions don't match."),
        ("SELECT * FROM tl FULL JOIN tr ON tl.id = tr.id AND tl.b = tr.c", "A FULL OUTER JOIN of tables takes no conditions beside the keys"),
        ("SELECT n, c FROM tl JOIN tr ON tl.b = tr.id", "Primary key column missing in projection."),
        ("SELECT * FROM tl JOIN tr ON tl.id = tr.id JOIN tx ON tl.b = tx.id", "foreign-key table-table joins are not supported as part of n-way joins. Got TL.B = TX.ID."),
        ("SELECT * FROM tl JOIN l ON tl.id = l.id", "Invalid join order: table-stream joins are not supported; only stream-table joins. Got TL [INNER] JOIN L."),
    ]

    @Test(arguments: tableErrors)
    func refusalsOfTables(_ query: String, _ message: String) {
        #expect(Self.bench.error("CREATE TABLE o AS \(query);").contains(message))
    }
}
