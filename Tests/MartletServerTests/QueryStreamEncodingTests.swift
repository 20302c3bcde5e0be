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
    static func text(_ shape: QueryStreamEncoding.Shape, isPush: Bool, limitReached: Bool = true, error: MartletError? = nil) -> String {
        var encoding = QueryStreamEncoding(shape, fields: fields)
        var out = QueryStreamEncoding.header(shape, id: "q1", isPush: isPush, fields: fields, keyFlags: [true, false])
        out += encoding.rows(batch)
        out += error.map { QueryStreamEncoding.failure(shape, $0) } ?? QueryStreamEncoding.end(shape, limitReached: limitReached)
        return String(decoding: out, as: UTF8.self)
    }

    @Test func streamedRows() throws {
        #expect(
            Self.text(.streamedRows, isPush: true) == """
                [{"header":{"queryId":"q1","schema":"`ID` BIGINT, `na``me` STRING"}},
                {"row":{"columns":[1,"a"]}},
                {"row":{"columns":[2,null],"tombstone":true}},
                {"finalMessage":"Limit Reached"}]

                """)
        #expect(Self.text(.streamedRows, isPush: false).contains("`ID` BIGINT KEY, `na``me` STRING"))
        for isPush in [false, true] {
            #expect(Self.text(.streamedRows, isPush: isPush).hasSuffix("{\"finalMessage\":\"Limit Reached\"}]\n"))
            #expect(Self.text(.streamedRows, isPush: isPush, limitReached: false).hasSuffix("{\"finalMessage\":\"Query Completed\"}]\n"))
        }
    }

    @Test func delimitedAndArrayLeaveDeletionsOut() throws {
        #expect(
            Self.text(.delimited, isPush: true) == """
                {"queryId":"q1","columnNames":["ID","na`me"],"columnTypes":["BIGINT","STRING"]}
                [1,"a"]

                """)
        #expect(
            Self.text(.array, isPush: false) == """
                [{"queryId":null,"columnNames":["ID","na`me"],"columnTypes":["BIGINT","STRING"]}
                ,[1,"a"]
                ]

                """)
    }

    @Test func aLateErrorIsTheLastElement() throws {
        let error = MartletError(.io, "disk gone")
        let body = #"{"@type":"generic_error","error_code":50000,"message":"disk gone"}"#
        #expect(Self.text(.streamedRows, isPush: true, error: error).hasSuffix("{\"errorMessage\":\(body)}]\n"))
        #expect(Self.text(.delimited, isPush: true, error: error).hasSuffix("\n\(body)\n"))
        for shape in [QueryStreamEncoding.Shape.streamedRows, .array] {
            #expect(try JSONValue(parsing: Self.text(shape, isPush: false, error: error)).arrayValue != nil)
            #expect(try JSONValue(parsing: Self.text(shape, isPush: false)).arrayValue != nil)
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
