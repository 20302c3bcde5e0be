import MartletCore
import Testing

@testable import MartletShell

@Suite struct RenderTests {
    private func entity(_ json: String, width: Int? = nil) throws -> String {
        let object = try #require(try JSONValue(parsing: json).objectValue)
        return EntityText(width: width, style: Style(isColoured: false)).text(object)
    }

    @Test func streamsAndTopics() throws {
        #expect(
            try entity(
                #"{"@type":"streams","streams":[{"type":"STREAM","name":"CLICKS","topic":"clicks","keyFormat":"KAFKA","valueFormat":"JSON","isWindowed":false}],"warnings":[{"message":"KEY is gone"}]}"#
            ) == """
             Stream Name | Kafka Topic | Key Format | Value Format | Windowed
            ------------------------------------------------------------------
             CLICKS      | clicks      | KAFKA      | JSON         | false
            ------------------------------------------------------------------
            warning: KEY is gone

            """)
        #expect(try entity(#"{"@type":"tables","tables":[]}"#) == "There are no tables. CREATE TABLE makes one.\n")
        #expect(
            try entity(
                #"{"@type":"kafka_topics_extended","topics":[{"name":"a","replicaInfo":[1,1,1],"consumerCount":2,"consumerGroupCount":1},{"name":"b","replicaInfo":[1,2],"consumerCount":0,"consumerGroupCount":0}]}"#
            ) == """
             Kafka Topic | Partitions | Replicas | Consumers | Consumer Groups
            -------------------------------------------------------------------
             a           |          3 |        1 |         2 |               1
             b           |          2 |     1, 2 |         0 |               0
            -------------------------------------------------------------------

            """)
    }

    @Test func longCellsWrapOnATerminalOnly() throws {
        let json =
            #"{"@type":"queries","queries":[{"queryString":"CREATE STREAM A AS\nSELECT ONE, TWO FROM B EMIT CHANGES;","sinks":["A"],"sinkKafkaTopics":["A"],"id":"CSAS_A_1","statusCount":{"RUNNING":1},"queryType":"PERSISTENT","state":"RUNNING"}]}"#
        #expect(try entity(json).contains("| CREATE STREAM A AS SELECT ONE, TWO FROM B EMIT CHANGES;\n"))
        let rule = String(repeating: "-", count: 90)
        // What is said elsewhere too goes first; an id is never cut.
        #expect(
            try entity(json, width: 90) == """
                 Query ID | Query Type | Status    | Sink Name | Query String
                \(rule)
                 CSAS_A_1 | PERSISTENT | RUNNING:1 | A         | CREATE STREAM A AS SELECT ONE, TWO FROM…
                \(rule)
                EXPLAIN <Query ID>; shows a query's statement, plan and state.

                """)
        #expect(try entity(json, width: 20).contains(" CSAS_A_1 |"))
        let streams = #"{"@type":"streams","streams":[{"name":"A_LONG_NAME","topic":"a topic of many words","keyFormat":"KAFKA","valueFormat":"JSON","isWindowed":false}]}"#
        #expect(
            try entity(streams, width: 66) == """
                 Stream Name | Kafka Topic | Key Format | Value Format | Windowed
                ------------------------------------------------------------------
                 A_LONG_NAME | a topic of  | KAFKA      | JSON         | false
                             | many words  |            |              |
                ------------------------------------------------------------------

                """)
    }

    @Test func statuses() throws {
        #expect(
            try entity(#"{"@type":"currentStatus","commandId":"stream/`A`/create","commandStatus":{"status":"SUCCESS","message":"Stream created","queryId":null}}"#)
                == "Stream created\n")
        #expect(
            try entity(#"{"@type":"currentStatus","commandStatus":{"status":"SUCCESS","message":"Created query with ID Q1","queryId":"Q1"}}"#)
                == "Created query with ID Q1\n")
        #expect(try entity(#"{"@type":"currentStatus","commandStatus":{"status":"SUCCESS","message":"Done","queryId":"Q1"}}"#) == "Done\nQuery: Q1\n")
        #expect(try entity(#"{"@type":"currentStatus","commandStatus":{"status":"ERROR","message":"no"}}"#) == "error: no\n")
        #expect(try entity(#"{"@type":"terminate_query","queryId":"Q","wasTerminated":true}"#) == "Query Q terminated.\n")
        #expect(try entity(#"{"@type":"assert_topic","topicName":"t","exists":false}"#) == "Topic t does not exist.\n")
    }

    @Test func descriptions() throws {
        let fields =
            #"[{"name":"ID","schema":{"type":"BIGINT","fields":null,"memberSchema":null},"type":"KEY"},{"name":"H","schema":{"type":"BYTES"},"type":"HEADER","headerKey":"h"},{"name":"S","schema":{"type":"STRUCT","fields":[{"name":"A","schema":{"type":"ARRAY","memberSchema":{"type":"DECIMAL","parameters":{"precision":4,"scale":2}}}},{"name":"M","schema":{"type":"MAP","memberSchema":{"type":"STRING"}}}]}}]"#
        #expect(
            try entity(#"{"@type":"sourceDescription","sourceDescription":{"name":"U","type":"TABLE","extended":false,"fields":\#(fields)}}"#) == """
                Name : U
                 Field | Type
                ---------------------------------------------------------------
                 ID    | BIGINT  (primary key)
                 H     | BYTES  (header('h'))
                 S     | STRUCT<A ARRAY<DECIMAL(4, 2)>, M MAP<STRING, STRING>>
                ---------------------------------------------------------------
                DESCRIBE U EXTENDED; shows formats, topic, queries and statistics.

                """)
        let extended = try entity(
            #"{"@type":"sourceDescription","sourceDescription":{"name":"U","type":"STREAM","extended":true,"fields":[],"keyFormat":"KAFKA","valueFormat":"AVRO","topic":"u","partitions":3,"replication":1,"statement":"CREATE STREAM U;","statistics":"records: 4","errorStats":"","readQueries":[{"id":"Q","queryString":"SELECT 1;","statusCount":{"RUNNING":1}}],"writeQueries":[],"queryOffsetSummaries":[{"groupId":"g","offsets":[{"topic":"t","partition":0,"logStartOffset":1,"logEndOffset":9,"consumerOffset":7}]}]}}"#)
        #expect(
            extended == """
                Name         : U
                Type         : STREAM
                Key Format   : KAFKA
                Value Format : AVRO
                Kafka Topic  : u (partitions: 3, replication: 1)
                Statement    : CREATE STREAM U;


                Queries that read from this stream:
                  Q (RUNNING:1) SELECT 1;

                Statistics : records: 4

                Consumer group g:
                 Topic | Partition | Start Offset | End Offset | Offset | Lag
                --------------------------------------------------------------
                 t     |         0 |            1 |          9 |      7 |   2
                --------------------------------------------------------------

                """)
        #expect(
            try entity(
                #"{"@type":"queryDescription","queryDescription":{"id":"Q","statementText":"INSERT INTO A\nSELECT 1;","executionPlan":" > [ SINK ]\n\t > [ SOURCE ]\n","sources":["B"],"sinks":["A"],"state":"RUNNING","queryType":"PERSISTENT","queryErrors":[{"errorMessage":"gone","type":"SYSTEM"}]}}"#
            ) == """
            ID        : Q
            Type      : PERSISTENT
            State     : RUNNING
            Statement : INSERT INTO A
                        SELECT 1;
            Sources   : B
            Sinks     : A

            Execution plan
             > [ SINK ]
               > [ SOURCE ]

            error: gone (SYSTEM)

            """)
    }

    @Test func modelsAndFunctions() throws {
        let model =
            #"{"name":"FRAUD","version":2,"source":"m.onnx","inputs":[{"name":"A","schema":{"type":"DOUBLE"}},{"name":"B","schema":{"type":"DOUBLE"}},{"name":"C","schema":{"type":"DOUBLE"}},{"name":"D","schema":{"type":"DOUBLE"}}],"output":{"type":"DOUBLE"},"statistics":{"calls":3,"rows":70,"errors":0,"batchP50Ns":1234567,"batchP99Ns":null}}"#
        #expect(
            try entity(#"{"@type":"models","models":[\#(model)]}"#) == """
                 Model Name | Version | Input      | Output | Rows Scored | Errors | Source
                ----------------------------------------------------------------------------
                 FRAUD      |       2 | 4 × DOUBLE | DOUBLE |          70 |      0 | m.onnx
                ----------------------------------------------------------------------------

                """)
        #expect(try entity(#"{"@type":"modelDescription","modelDescription":\#(model)}"#).contains("Use     : 70 rows in 3 calls, 0 errors\n"))
        #expect(
            try entity(
                #"{"@type":"describe_function","name":"MASK","type":"SCALAR","description":"Hides.","author":"Martlet","version":"","functions":[{"arguments":[{"name":"s","type":"STRING","description":"what","isVariadic":false},{"name":"n","type":"INTEGER","description":"","isVariadic":true}],"returnType":"STRING","description":"Hides."}]}"#
            ) == """
            Name     : MASK
            Type     : SCALAR
            Author   : Martlet
            Overview : Hides.

              MASK(s STRING, n INTEGER...) -> STRING
                s: what

            """)
    }

    @Test func propertiesAndVariables() throws {
        let text = try entity(
            #"{"@type":"properties","properties":[{"name":"a","value":"1","editable":true,"level":"SERVER"},{"name":"b","value":"2","editable":false,"level":"SERVER"}],"overwrittenProperties":["a"],"defaultProperties":["b"]}"#)
        #expect(text.contains(" a        | 1     | SESSION | true\n") && text.contains(" b        | 2     | SERVER  | false\n"))
        #expect(try entity(#"{"@type":"variables","variables":[{"name":"x","value":"a\u001b[31mb"}]}"#).contains("| a\\u001b[31mb\n"))
        #expect(try entity(#"{"@type":"type_list","types":{"ADDRESS":{"type":"STRING"}}}"#).contains(" ADDRESS   | STRING\n"))
    }

    @Test func whatIsUnknownIsJSON() throws {
        #expect(
            try entity(#"{"@type":"news","statementText":"X;","a":[1,2],"b":{"c":[{"d":null}],"e":{}},"warnings":[]}"#) == """
                {
                  "@type": "news",
                  "a": [1, 2],
                  "b": {
                    "c": [
                      {
                        "d": null
                      }
                    ],
                    "e": {}
                  }
                }

                """)
    }

    // MARK: - Rows

    @Test func rowsInAGrid() {
        let columns = [ResultColumn("ID", "BIGINT"), ResultColumn("NAME", "STRING")]
        let rows: [[JSONValue]] = [[1, "Hans"], [20, .null]]
        var table = RowTable(columns, sample: rows, isComplete: true, width: 72)
        #expect(
            table.header() + rows.map { table.row($0, isTombstone: false) }.joined() + table.row([3, .null], isTombstone: true) + table.footer() == """
                +----+------+
                | ID | NAME |
                +----+------+
                |  1 | Hans |
                | 20 | null |
                |  3 | <TOM |
                |    | BSTO |
                |    | NE>  |
                +----+------+

                """)
        // Rows to come get room that the first ones did not need.
        #expect(RowTable(columns, sample: rows, isComplete: false, width: 72).header().hasPrefix("+---------------+------------------+\n"))
    }

    @Test func longCells() {
        let columns = [ResultColumn("A", "STRING"), ResultColumn("B", "ARRAY<INTEGER>")]
        let rows: [[JSONValue]] = [["one two three four five", [1, 2]], ["x\ny\u{1b}[2J", []]]
        var wrapping = RowTable(columns, sample: rows, isComplete: true, width: 27)
        #expect(
            wrapping.header() + rows.map { wrapping.row($0, isTombstone: false) }.joined() == """
                +-----------------+-------+
                | A               | B     |
                +-----------------+-------+
                | one two three   | [1,2] |
                | four five       |       |
                | x               | []    |
                | y\\u001b[2J      |       |

                """)
        var clipping = RowTable(columns, sample: rows, isComplete: true, width: 27, overflow: .clip)
        #expect(clipping.row(rows[0], isTombstone: false) == "| one two three … | [1,2] |\n")
        #expect(clipping.row(rows[1], isTombstone: false) == "| x…              | []    |\n")
    }

    @Test func manyColumnsStandBelowEachOther() {
        let columns = (1...20).map { ResultColumn("V\($0)", "DOUBLE") }
        let row: [JSONValue] = (1...20).map { .number("-\($0).123456789") }
        var table = RowTable(columns, sample: [row], isComplete: false, width: 80)
        #expect(table.isVertical && table.header() == "" && table.footer() == "No rows.\n")
        let text = table.row(row, isTombstone: false)
        #expect(text.hasPrefix("-[ row 1 ]" + String(repeating: "-", count: 62) + "\n V1  | -1.123456789\n V2  | -2.123456789\n"))
        #expect(table.row(row, isTombstone: false).hasPrefix("-[ row 2 ]-"))
        #expect(!RowTable(columns, sample: [row], isComplete: false, width: 400).isVertical)
    }

    // Nothing is wider than the place there is, and wrapping loses nothing.
    @Test(arguments: [1, 2, 3] as [UInt64]) func cellsFitAndStayWhole(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let pieces = ["a", "bc", " ", "字", "\n", "e\u{301}", "😀", "long-word"]
        for _ in 0..<500 {
            let text = (0..<Int.random(in: 0...30, using: &random)).map { _ in pieces.randomElement(using: &random)! }.joined()
            let width = Int.random(in: 2...20, using: &random)
            let lines = CellText.wrapped(text, width)
            #expect(lines.allSatisfy { CellText.width($0) <= width }, "\(String(reflecting: text)) in \(width)")
            func letters(_ text: String) -> String { text.filter { !$0.isWhitespace } }
            #expect(letters(lines.joined()) == letters(text))
            let clipped = CellText.clipped(text, width)
            #expect(CellText.width(clipped) <= width && !clipped.contains("\n") && (clipped == text || clipped.hasSuffix("…")))
            let natural = (0..<5).map { _ in Int.random(in: 1...40, using: &random) }, least = (0..<5).map { _ in Int.random(in: 1...12, using: &random) }
            let room = Int.random(in: 1...120, using: &random)
            guard let widths = ColumnWidths.fit(natural, least: least, room: room) else {
                #expect(zip(natural, least).reduce(0) { $0 + min($1.0, $1.1) } > room)
                continue
            }
            #expect(widths.reduce(0, +) <= room && zip(widths, natural).allSatisfy { $0 <= $1 })
            #expect(zip(widths, zip(natural, least)).allSatisfy { $0 >= min($1.0, $1.1) })
            // No room is left unused while something is cut.
            #expect(widths == natural || widths.reduce(0, +) == room)
        }
    }

    // MARK: - Errors

    @Test func errorsShowTheirPlace() throws {
        func text(_ json: String, _ statement: String) throws -> String {
            ErrorText.text(try #require(try JSONValue(parsing: json).objectValue), statement: statement, Style(isColoured: false))
        }
        #expect(
            try text(
                #"{"@type":"statement_error","error_code":40001,"message":"column COLOUR does not exist in CLICKS","statementText":"SELECT\n\tCOLOUR FROM CLICKS;","line":2,"column":2,"hint":"columns are WHO, URL"}"#,
                "other") == """
                40001 line 2:2: column COLOUR does not exist in CLICKS
                  \tCOLOUR FROM CLICKS;
                  \t^^^^^^  columns are WHO, URL

                """)
        // As ksqlDB says it, in the message alone.
        #expect(
            try text(#"{"error_code":40001,"message":"line 1:5: Syntax Error\nExpecting FROM"}"#, "SEL 'a b';") == """
                40001 line 1:5: Syntax Error
                Expecting FROM
                  SEL 'a b';
                      ^^^^^

                """)
        #expect(try text(#"{"error_code":40001,"message":"m","line":9,"column":1,"hint":"h","detail":"d"}"#, "x") == "40001 line 9:1: m\n  h\n  d\n")
        #expect(
            try text(#"{"error_code":40001,"message":"Line: 1, Col: 3: no","line":1,"column":3,"hint":"\#(String(repeating: "h", count: 99))"}"#, "a b")
                == "40001 line 1:3: no\n  a b\n    ^\n  \(String(repeating: "h", count: 99))\n")
        #expect(try text(#"{"error_code":50000,"message":"line x"}"#, "x") == "50000: line x\n")
        #expect(try text("{}", "x") == ": the server says nothing more\n")
        let long = String(repeating: "x", count: 300) + " bad " + String(repeating: "y", count: 300)
        let shown = try text(#"{"error_code":1,"message":"m","line":1,"column":302}"#, long).split(separator: "\n")
        let line = Array(shown[1]), carets = Array(shown[2])
        #expect(line.count < 220 && carets.firstIndex(of: "^").map { String(line[$0..<($0 + 3)]) } == "bad" && carets.filter { $0 == "^" }.count == 3)
        #expect(
            ErrorText.text(ServerRefusal(status: 401, text: "nope"), statement: "", Style(isColoured: true))
                == "\u{1B}[31mHTTP status 401\u{1B}[0m: nope\n  log in with martlet sql http://user:password@host:port\n")
    }
}
