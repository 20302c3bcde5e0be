import NIOCore

struct ApiVersionsRequest: WireRequest {
    typealias Response = ApiVersionsResponse
    static let api = APIKey.apiVersions

    var clientSoftwareName = ""
    var clientSoftwareVersion = ""

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&clientSoftwareName, from: 3)
        try wire.field(&clientSoftwareVersion, from: 3)
        try wire.tags()
    }
}

struct ApiVersionsResponse: WireMessage {
    struct Range: WireMessage {
        var apiKey: Int16 = 0
        var min: Int16 = 0
        var max: Int16 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&apiKey)
            try wire.field(&min)
            try wire.field(&max)
            try wire.tags()
        }
    }

    var error = KafkaErrorCode.none
    var apis: [Range] = []
    var throttleTimeMs: Int32 = 0

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&error)
        try wire.field(&apis)
        try wire.field(&throttleTimeMs, from: 1)
        try wire.tags()
    }
}

extension RequestRouter {
    func apiVersions(_ request: ApiVersionsRequest) -> Answer<ApiVersionsResponse> { .now(Self.spoken) }

    /// A version we do not speak is answered in version 0 with UNSUPPORTED_VERSION and the list, so that the client can ask again (KIP-511).
    func unsupportedApiVersions(_ header: RequestHeader) throws(WireError) -> ByteBuffer {
        var response = Self.spoken
        response.error = .unsupportedVersion
        return try Frame.response(response, to: .apiVersions, version: 0, correlationID: header.correlationID)
    }

    private static var spoken: ApiVersionsResponse {
        ApiVersionsResponse(
            apis: APIKey.allCases.map { api in
                ApiVersionsResponse.Range(
                    apiKey: api.rawValue, min: api.advertised.lowerBound, max: api.advertised.upperBound)
            })
    }
}
