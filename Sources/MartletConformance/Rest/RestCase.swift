import MartletCore

/// What a case of the REST API adds to statements, inputs and outputs.
struct RestCase: Sendable {
    var base: ConformanceCase
    /// Leading statements that are no queries.
    var adminStatementCount: Int
    /// One object per response with one key: `admin`, `query` or `queryProto`.
    var responses: [JSONObject]
    var expectedError: ExpectedError?
    /// The only query is running before the inputs are produced.
    var waitsForPushQuery: Bool
    /// Queries are asked a second time for rows as Protobuf messages.
    var asksForProtobuf: Bool

    struct ExpectedError: Sendable {
        /// Class name without package; nil: any.
        var type: String?
        var message: String?
        var status: Int?
    }

    init(_ json: JSONValue) throws(MartletError) {
        base = try ConformanceCase(json)
        adminStatementCount = json["adminStatementCount"]?.intValue ?? base.statements.count
        responses = (json["responses"]?.arrayValue ?? []).compactMap(\.objectValue)
        if let error = json["expectedError"], !error.isNull {
            expectedError = ExpectedError(
                type: error["type"]?.stringValue?.split(separator: ".").last.map { String($0) }, message: error["message"]?.stringValue,
                status: error["status"]?.intValue)
        }
        waitsForPushQuery = json["waitForActivePushQuery"] == .bool(true)
        asksForProtobuf = json["testPullWithProtoFormat"] == .bool(true)
    }
}
