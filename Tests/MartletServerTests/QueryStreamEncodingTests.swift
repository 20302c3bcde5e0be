import MartletColumns
import MartletCore
import MartletEngine
import NIOHTTP1
import Testing

@testable import MartletServer

/// The three result shapes, line by line, and errors as JSON.
@Suite struct QueryStreamEncodingTests {
    static let fields = [Field("ID", .bigint), Field("na`me", .string)]
    static let batch = ResultBatch(
        columns: [.bigint(FixedColumn([1, 2])), .string(BytesColumn(["a", nil]))], count: 2, tombstones: [false, true])

    /// All of a response as text.
    static func text(_ shape: QueryStreamEncoding.Shape, isPush: Bool, ending: QueryStreamEncoding.Ending = .limitReached, error: MartletError? = nil) throws -> String {
        var encoding = try QueryStreamEncoding(shape, fields: fields)
        var out = try QueryStreamEncoding.header(shape, id: "q1", isPush: isPush, fields: fields, keyFlags: [true, false])
        out += encoding.rows(batch)
        out += error.map { QueryStreamEncoding.failure(shape, $0) } ?? QueryStreamEncoding.end(shape, ending)
        return String(decoding: out, as: UTF8.self)
    }

    @Test func streamedRows() throws {
        #expect(
            try Self.text(.streamedRows, isPush: true) == """
                [{"header":{"queryId":"q1","schema":"`ID` BIGINT, `na``me` STRING"}},
                {"row":{"columns":[1,"a"]}},
                {"row":{"columns":[2,null],"tombstone":true}},
                {"finalMessage":"Limit Reached"}]

                """)
        #expect(try Self.text(.streamedRows, isPush: false).contains("`ID` BIGINT KEY, `na``me` STRING"))
        for isPush in [false, true] {
            #expect(try Self.text(.streamedRows, isPush: isPush).hasSuffix("{\"finalMessage\":\"Limit Reached\"}]\n"))
            #expect(try Self.text(.streamedRows, isPush: isPush, ending: .completed).hasSuffix("{\"finalMessage\":\"Query Completed\"}]\n"))
        }
    }

    @Test func aPullQueryOnATableEndsSilently() throws {
        #expect(try Self.text(.streamedRows, isPush: false, ending: .silent).hasSuffix("\"tombstone\":true}},\n]\n"))
    }

    /// 08 01: field 1, varint 1; 12 01 61: field 2, "a".
    @Test func rowsAsProtobufMessages() throws {
        let fields = [Field("ID", .bigint), Field("NAME", .string)]
        var encoding = try QueryStreamEncoding(.protobufRows, fields: fields)
        let header = try QueryStreamEncoding.header(.protobufRows, id: "q1", isPush: false, fields: fields, keyFlags: [])
        #expect(String(decoding: header, as: UTF8.self).contains(#"message ConnectDefault1 {\n  int64 ID = 1;\n  string NAME = 2;\n}"#))
        #expect(String(decoding: encoding.rows(Self.batch), as: UTF8.self) == "{\"row\":{\"protobufBytes\":\"CAESAWE=\"}},\n")
    }

    @Test func delimitedAndArrayLeaveDeletionsOut() throws {
        #expect(
            try Self.text(.delimited, isPush: true) == """
                {"queryId":"q1","columnNames":["ID","na`me"],"columnTypes":["BIGINT","STRING"]}
                [1,"a"]

                """)
        #expect(
            try Self.text(.array, isPush: false) == """
                [{"queryId":null,"columnNames":["ID","na`me"],"columnTypes":["BIGINT","STRING"]}
                ,[1,"a"]
                ]

                """)
    }

    @Test func aLateErrorIsTheLastElement() throws {
        let error = MartletError(.io, "disk gone")
        let body = #"{"@type":"generic_error","error_code":50000,"message":"disk gone"}"#
        #expect(try Self.text(.streamedRows, isPush: true, error: error).hasSuffix("{\"errorMessage\":\(body)}]\n"))
        #expect(try Self.text(.delimited, isPush: true, error: error).hasSuffix("\n\(body)\n"))
        for shape in [QueryStreamEncoding.Shape.streamedRows, .array] {
            #expect(try JSONValue(parsing: try Self.text(shape, isPush: false, error: error)).arrayValue != nil)
            #expect(try JSONValue(parsing: try Self.text(shape, isPush: false)).arrayValue != nil)
        }
    }

    @Test func errorsAreStatementErrorsWhereAStatementIsToBlame() {
        let span = SourceSpan(start: 7, end: 13, line: 1, column: 8)
        let error = MartletError(.unknownColumn, "no such column", at: span, hint: "columns are A", statement: "SELECT COLOUR FROM c;")
        let body = JSONValue.object(ErrorResponse.ksqlBody(error, entities: [["@type": "streams"]]))
        #expect(
            body.description
                == #"{"@type":"statement_error","error_code":40001,"message":"no such column","statementText":"SELECT COLOUR FROM c;","entities":[{"@type":"streams"}],"line":1,"column":8,"hint":"columns are A"}"#)
        // What the system could not do is nobody's statement.
        #expect(ErrorResponse.ksqlBody(MartletError(.io, "x", statement: "SELECT 1;"))["@type"] == "generic_error")
        #expect(ErrorResponse.ksql(MartletError(.shuttingDown, "x")).status == .serviceUnavailable)
        #expect(ErrorResponse.ksql(HTTPFailure(.notFound, "Not Found")).status == .notFound)
        #expect(ErrorResponse.registry(MartletError(.schemaIncompatible, "x", detail: "why")).status == .conflict)
        #expect(ErrorResponse.registry(RegistryFailure(42201, "x")).status == .unprocessableEntity)
        #expect(ErrorResponse.registry(MartletError(.io, "x")).status == .internalServerError)
    }
}
