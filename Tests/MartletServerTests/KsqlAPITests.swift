import MartletCore
import Testing

@testable import MartletServer

/// Statements, queries and inserts as clients see them, by HTTP/1.1.
@Suite struct KsqlAPITests {
    static let createStream = "CREATE STREAM s (id INT KEY, x INT, t STRING) WITH (kafka_topic='s', value_format='JSON', partitions=1);"

    @Test func statementsGiveEntitiesAndErrorsTheirPlace() async throws {
        try await ServerFixture.with { fixture in
            let created = try await fixture.ksql(Self.createStream).arrayValue?.first
            #expect(created?["@type"]?.stringValue == "currentStatus")
            #expect(created?["commandId"]?.stringValue == "stream/`S`/create")
            #expect(created?["commandStatus"]?["message"]?.stringValue == "Stream created")

            let (status, failed) = try await fixture.json(
                "POST", "/ksql", ["ksql": "SHOW STREAMS;\nCREATE STREAM t AS SELECT nosuch FROM s;", "streamsProperties": ["ksql.streams.auto.offset.reset": "earliest", "ksql.headers.columns.enabled": true]])
            #expect(status == 400)
            #expect(failed["@type"]?.stringValue == "statement_error" && failed["error_code"]?.intValue == 40001)
            #expect(failed["statementText"]?.stringValue == "CREATE STREAM t AS SELECT nosuch FROM s;")
            #expect(failed["entities"]?.arrayValue?.count == 1)
            #expect(failed["column"]?.intValue == 27)

            let select = try await fixture.json("POST", "/ksql", ["ksql": "SELECT * FROM s;"])
            #expect(select.status == 400 && select.body["error_code"]?.intValue == 40002)
            let missing = try await fixture.json("POST", "/ksql", ["sq": "SHOW STREAMS;"])
            #expect(missing.status == 400 && missing.body["error_code"]?.intValue == 40000)
            let unknown = try await fixture.json("POST", "/ksql", ["ksql": "SHOW STREAMS;", "streamsProperties": ["no.such": 1]])
            #expect(unknown.body["error_code"]?.intValue == 40000)
            #expect(unknown.body["message"]?.stringValue?.contains("no.such") == true)
            let variable = try await fixture.json("POST", "/ksql", ["ksql": "DESCRIBE ${v};", "sessionVariables": ["v": "s"]])
            #expect(variable.body.arrayValue?.first?["@type"]?.stringValue == "sourceDescription")
        }
    }

    @Test func propertiesHaveTheirKinds() async throws {
        try await ServerFixture.with { fixture in
            for (name, value, message) in [
                ("auto.offset.reset", "sometime", "Invalid value sometime for configuration auto.offset.reset: String must be one of: latest, earliest"),
                ("ksql.streams.commit.interval.ms", "soon", "Invalid value soon for configuration commit.interval.ms: Not a number of type LONG"),
                ("ksql.query.pull.table.scan.enabled", "1", "Invalid value 1 for configuration ksql.query.pull.table.scan.enabled: Expected value to be either true or false"),
                ("ksql.service.id", "x", "prohibited by the KSQL server (use UNSET to reset their default value): [ksql.service.id]"),
                ("no.such", "x", "Not recognizable as ksql, streams, consumer, or producer property: 'no.such'"),
            ] {
                let (status, body) = try await fixture.json(
                    "POST", "/ksql", ["ksql": "SHOW STREAMS;", "streamsProperties": .object(JSONObject([.init(name, .string(value))]))])
                #expect(status == 400 && body["error_code"]?.intValue == 40000 && body["message"]?.stringValue?.hasSuffix(message) == true, "\(name): \(body)")
            }
            for sql in ["SET 'no.such'='x';", "UNSET 'no.such';"] {
                let (status, body) = try await fixture.json("POST", "/ksql", ["ksql": .string(sql)])
                #expect(status == 400 && body["error_code"]?.intValue == 40001 && body["message"]?.stringValue == "Unknown property: no.such")
            }
            let set = try await fixture.json("POST", "/ksql", ["ksql": "SET 'auto.offset.reset'='EARLIEST'; SHOW PROPERTIES;"])
            #expect(set.status == 200)
        }
    }

    /// A row goes into a topic whose schema somebody else registered, under another name and without nulls, as that schema says.
    @Test func insertsFollowRegisteredSchemas() async throws {
        try await ServerFixture.with { fixture in
            let schema = #"{"type":"record","name":"Other","fields":[{"name":"A","type":"string"},{"name":"N","type":"int"}]}"#
            _ = try await fixture.json("POST", "/subjects/o-value/versions", ["schema": .string(schema)], registry: true)
            _ = try await fixture.ksql("CREATE STREAM o WITH (kafka_topic='o', partitions=1, value_format='AVRO');")
            _ = try await fixture.ksql("INSERT INTO o VALUES ('x', 1);")
            let rows = try await fixture.ask("POST", "/query-stream", #"{"sql":"SELECT * FROM o;"}"#)
            #expect(rows.lines.last == #"["x",1]"#)
            #expect(try await fixture.json("GET", "/subjects/o-value/versions", registry: true).body == [1])
            let refused = try await fixture.json("POST", "/ksql", ["ksql": "INSERT INTO o (A) VALUES ('x');"])
            #expect(refused.status == 400 && refused.body["error_code"]?.intValue == 40001)
            #expect(refused.body["message"]?.stringValue?.hasPrefix("Failed to insert values into 'O'.") == true)
        }
    }

    /// A command that has been told of is applied; one that is still to come is waited for.
    @Test func commandsAreWaitedFor() async throws {
        try await ServerFixture.with { fixture in
            let created = try await fixture.ksql(Self.createStream).arrayValue?.first
            let number = try #require(created?["commandSequenceNumber"]?.intValue)
            let known = try await fixture.json("POST", "/ksql", ["ksql": "SHOW STREAMS;", "commandSequenceNumber": .int(number)])
            #expect(known.status == 200)
            async let waiting = fixture.json("POST", "/ksql", ["ksql": "SHOW TYPES;", "commandSequenceNumber": .int(number + 1)])
            _ = try await fixture.ksql("CREATE TYPE x AS STRING;")
            #expect(try await waiting.status == 200)
            #expect(try await waiting.body.arrayValue?.first?["types"]?["X"] != nil)
        }
    }

    @Test func pullQueriesHaveTheThreeShapes() async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.ksql(Self.createStream + #"INSERT INTO s (id, x, t) VALUES (1, 2, 'a"b'); INSERT INTO s (id) VALUES (2);"#)
            let body = #"{"ksql": "SELECT * FROM s;"}"#
            let rows = try await fixture.ask("POST", "/query", body)
            #expect(rows.headers["content-type"] == "application/vnd.ksql.v1+json")
            #expect(rows.lines.dropFirst() == [#"{"row":{"columns":[1,2,"a\"b"]}},"#, #"{"row":{"columns":[2,null,null]}},"#, #"{"finalMessage":"Query Completed"}]"#])
            let header = try JSONValue(parsing: rows.text).arrayValue?.first?["header"]
            #expect(header?["schema"]?.stringValue == "`ID` INTEGER, `X` INTEGER, `T` STRING", "only tables mark the key")

            let delimited = try await fixture.ask("POST", "/query-stream", #"{"sql": "SELECT id, x FROM s;"}"#)
            #expect(delimited.headers["content-type"] == "application/vnd.ksqlapi.delimited.v1")
            #expect(delimited.lines == [#"{"queryId":null,"columnNames":["ID","X"],"columnTypes":["INTEGER","INTEGER"]}"#, "[1,2]", "[2,null]"])

            let array = try await fixture.ask("POST", "/query-stream", #"{"sql": "SELECT id FROM s;"}"#, headers: ["accept: application/json"])
            #expect(try JSONValue(parsing: array.text).arrayValue?.dropFirst() == [[1], [2]])

            let push = try await fixture.ask("POST", "/query", #"{"ksql": "SELECT id FROM s EMIT CHANGES LIMIT 2;", "streamsProperties": {"auto.offset.reset": "earliest"}}"#)
            #expect(push.lines.dropFirst() == [#"{"row":{"columns":[1]}},"#, #"{"row":{"columns":[2]}},"#, #"{"finalMessage":"Limit Reached"}]"#])
            #expect(push.text.contains("\"schema\":\"`ID` INTEGER\""))

            // A pull query says which came first, its LIMIT or the present end.
            for (limit, rows, final) in [(0, 0, "Limit Reached"), (1, 1, "Limit Reached"), (2, 2, "Limit Reached"), (3, 2, "Query Completed")] {
                let pull = try await fixture.ask("POST", "/query", #"{"ksql": "SELECT id FROM s LIMIT \#(limit);"}"#)
                #expect(pull.lines.count == rows + 2)
                #expect(pull.lines.last == #"{"finalMessage":"\#(final)"}]"#)
            }

            let printed = try await fixture.ask("POST", "/query-stream", #"{"sql": "PRINT s FROM BEGINNING LIMIT 1;"}"#)
            #expect(printed.lines.last?.hasPrefix("rowtime: ") == true)
            let failed = try await fixture.json("POST", "/query", ["ksql": "SELECT * FROM nosuch;"])
            #expect(failed.status == 400 && failed.body["@type"]?.stringValue == "statement_error")
        }
    }

    /// Every chunk is a whole number of lines and every line a whole row, over more rows than one batch holds.
    @Test func rowsAreNeverSplitOverChunks() async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.ksql(Self.createStream)
            let count = 20_000
            var upload = #"{"target": "s"}"# + "\n"
            for i in 0..<count { upload += "{\"ID\": \(i), \"X\": \(i % 7), \"T\": \"\(String(repeating: "é", count: i % 50))\"}\n" }
            let acks = try await fixture.ask("POST", "/inserts-stream", upload)
            #expect(acks.lines.count == count)
            #expect(acks.lines.last == "{\"status\":\"ok\",\"seq\":\(count - 1)}")
            for (path, name) in [("/query-stream", "sql"), ("/query", "ksql")] {
                let response = try await fixture.ask("POST", path, "{\"\(name)\": \"SELECT id, t FROM s;\"}")
                #expect(response.chunks.count > 1)
                #expect(response.chunks.allSatisfy { $0.last == 0x0a })
                #expect(response.lines.count == count + (path == "/query" ? 2 : 1))
                let rows = response.lines.dropFirst().prefix(count)
                let first = path == "/query" ? "{\"row\":{\"columns\":[" : "["
                #expect(rows.enumerated().allSatisfy { $1.hasPrefix("\(first)\($0),\"") })
            }
        }
    }

    @Test func aPushQueryEndsWithItsClientOrByRequest() async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.ksql(Self.createStream)
            let port = fixture.ksqlPort
            let row = try await fixture.client {
                let connection = try RawConnection(port: port)
                try connection.send("POST", "/query-stream", #"{"sql": "SELECT x FROM s EMIT CHANGES;"}"#)
                #expect(try connection.head().status == 200)
                let header = try JSONValue(parsing: try #require(try connection.chunk()))
                #expect(header["queryId"]?.stringValue?.hasPrefix("transient_S_") == true)
                let inserting = try RawConnection(port: port)
                try inserting.send("POST", "/ksql", #"{"ksql": "INSERT INTO s (x) VALUES (42);"}"#)
                #expect(try inserting.response().status == 200)
                let row = try connection.chunk()
                connection.close()
                return row
            }
            #expect(row == Array("[42]\n".utf8))
            try await fixture.eventually("the query ends with its client") { try await fixture.clientQueries() == 0 }

            let (end, unknown) = try await fixture.client {
                let connection = try RawConnection(port: port)
                try connection.send("POST", "/query", #"{"ksql": "SELECT x FROM s EMIT CHANGES;"}"#)
                _ = try connection.head()
                var header = try #require(try connection.chunk())
                header.removeLast(2)
                let id = try JSONValue(parsing: header.dropFirst() + []) ["header"]?["queryId"]?.stringValue ?? ""
                let closing = try RawConnection(port: port)
                try closing.send("POST", "/close-query", "{\"queryId\": \"\(id)\"}")
                #expect(try closing.response().status == 200)
                let end = try connection.chunk()
                #expect(try connection.chunk() == nil)
                try closing.send("POST", "/close-query", "{\"queryId\": \"\(id)\"}")
                return (end, try closing.response())
            }
            #expect(end == Array("{\"finalMessage\":\"Query Completed\"}]\n".utf8))
            #expect(unknown.status == 400 && unknown.text.contains("40000"))
        }
    }

    /// A client that reads nothing holds its query back; once it reads it gets every row.
    @Test func aSlowReaderHoldsItsQueryBack() async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.ksql(Self.createStream)
            let count = 20_000, text = String(repeating: "x", count: 900)
            var upload = #"{"target": "s"}"# + "\n"
            for i in 0..<count { upload += "{\"ID\":\(i),\"T\":\"\(text)\"}\n" }
            #expect(try await fixture.ask("POST", "/inserts-stream", upload).lines.count == count)
            let port = fixture.ksqlPort
            let connection = Held(try RawConnection(port: port, receiveBufferBytes: 65536))
            try await fixture.client { try connection.value.send("POST", "/query-stream", #"{"sql": "SELECT * FROM s;"}"#) }
            // Stalled: the same number of rows sent over many looks.
            var sent = -1, same = 0
            try await fixture.eventually("the query stalls") {
                let now = fixture.server.activity.counts.queryRows
                same = now == sent && now > 0 ? same + 1 : 0
                sent = now
                return same > 150
            }
            #expect(sent < count / 2, "\(sent) of \(count) rows were taken for a client that reads nothing")
            let lines = try await fixture.client { try connection.value.response().lines.count }
            #expect(lines == count + 1)
        }
    }

    @Test func insertsAreAcknowledgedAsTheyCome() async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.ksql(Self.createStream)
            let port = fixture.ksqlPort
            let acks = try await fixture.client {
                let connection = try RawConnection(port: port)
                func sendChunk(_ text: String) throws { try connection.send("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n") }
                try connection.send("POST /inserts-stream HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
                try sendChunk("{\"target\": \"S\"}\n{\"ID\":1")
                #expect(try connection.head().status == 200)
                var acks: [JSONValue] = []
                try sendChunk(",\"X\":5}\n")
                acks.append(try JSONValue(parsing: try #require(try connection.chunk())))
                try sendChunk("{\"X\":\"five\"}\n")
                acks.append(try JSONValue(parsing: try #require(try connection.chunk())))
                try sendChunk("{\"x\": 7}")
                try connection.send("0\r\n\r\n")
                acks.append(try JSONValue(parsing: try #require(try connection.chunk())))
                #expect(try connection.chunk() == nil)
                return acks
            }
            #expect(acks.map { $0["status"]?.stringValue } == ["ok", "error", "ok"])
            #expect(acks.map { $0["seq"]?.intValue } == [0, 1, 2])
            #expect(acks[1]["error_code"]?.intValue == 40001)
            let found = try await fixture.ask("POST", "/query-stream", #"{"sql": "SELECT id, x FROM s;"}"#)
            #expect(found.lines.dropFirst() == ["[1,5]", "[null,7]"])
            for bad in ["", "not json\n", "{\"x\":1}\n", "{\"target\":\"NOSUCH\"}\n"] {
                #expect(try await fixture.ask("POST", "/inserts-stream", bad).status == 400)
            }
            // A bad row among good ones of the same piece costs only itself.
            let mixed = try await fixture.ask("POST", "/inserts-stream", "{\"target\":\"s\"}\n{\"X\":1}\n{\"NOSUCH\":1}\n[]\n{\"X\":2}\n", headers: ["accept: application/json"])
            #expect(try JSONValue(parsing: mixed.text).arrayValue?.map { $0["status"]?.stringValue } == ["ok", "error", "error", "ok"])
        }
    }

    @Test func theServerTellsAboutItself() async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.ksql(Self.createStream)
            let info = try await fixture.json("GET", "/info").body["KsqlServerInfo"]
            #expect(info?["version"]?.stringValue == "7.9.0-martlet" && info?["kafkaClusterId"]?.stringValue == "test-cluster")
            #expect(info?["ksqlServiceId"]?.stringValue == "default_" && info?["serverStatus"]?.stringValue == "RUNNING")
            let root = try await fixture.ask("GET", "/")
            #expect(root.status == 307 && root.headers["location"] == "/info")
            #expect(try await fixture.json("GET", "/healthcheck").body["isHealthy"]?.boolValue == true)
            #expect(try await fixture.json("GET", "/status/stream/S/create").body["status"]?.stringValue == "SUCCESS")
            #expect(try await fixture.json("GET", "/status/stream/NOSUCH/create").status == 404)
            #expect(try await fixture.json("GET", "/status").body["commandStatuses"]?["stream/`S`/create"]?.stringValue == "SUCCESS")
            #expect(try await fixture.json("GET", "/is_valid_property/auto.offset.reset").body == true)
            #expect(try await fixture.json("GET", "/is_valid_property/no.such").status == 400)
            #expect(try await fixture.json("GET", "/clusterStatus").body["clusterStatus"]?["127.0.0.1:\(fixture.ksqlPort)"]?["hostAlive"]?.boolValue == true)
            #expect(try await fixture.json("GET", "/v1/metadata/id").body["scope"]?["clusters"]?["kafka-cluster"]?.stringValue == "test-cluster")
            for path in ["/chc/ready", "/chc/live"] { #expect(try await fixture.ask("GET", path).status == 200) }
            let ended = try await fixture.json("POST", "/ksql/terminate", ["deleteTopicList": ["s.*"]])
            #expect(ended.status == 200)
            #expect(fixture.log.topic("s") == nil)
            #expect(try await fixture.ksql("SHOW STREAMS;").arrayValue?.first?["streams"]?.arrayValue?.count == 0)
        }
    }

    /// What a stop cuts short does not look complete.
    @Test func stoppingEndsRunningQueriesAndSaysSo() async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.ksql(Self.createStream)
            let port = fixture.ksqlPort
            let connection = Held(try RawConnection(port: port))
            try await fixture.client {
                try connection.value.send("POST", "/query", #"{"ksql": "SELECT x FROM s EMIT CHANGES;"}"#)
                _ = try connection.value.head()
                _ = try connection.value.chunk()
            }
            await fixture.server.stop()
            let last = try await fixture.client { try connection.value.chunk() }
            let text = String(decoding: last ?? [], as: UTF8.self)
            #expect(text.hasPrefix(#"{"errorMessage":{"@type":"generic_error","error_code":50303,"message":"The server is shutting down""#) && text.hasSuffix("]\n"), "\(text)")
        }
    }
}

/// A connection that several blocking steps use, one after the other.
final class Held: @unchecked Sendable {
    let value: RawConnection
    init(_ value: RawConnection) { self.value = value }
}
