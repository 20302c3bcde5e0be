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

    struct SupportedFeature: WireMessage {
        var name = ""
        var min: Int16 = 0
        var max: Int16 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&min)
            try wire.field(&max)
            try wire.tags()
        }
    }

    struct FinalizedFeature: WireMessage {
        var name = ""
        var max: Int16 = 0
        var min: Int16 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&max)
            try wire.field(&min)
            try wire.tags()
        }
    }

    var error = KafkaErrorCode.none
    var apis: [Range] = []
    var throttleTimeMs: Int32 = 0
    /// Features of the cluster that clients go by (KIP-584): what could be switched on, and what is.
    var supportedFeatures: [SupportedFeature] = []
    var finalizedFeaturesEpoch: Int64 = -1
    var finalizedFeatures: [FinalizedFeature] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&error)
        try wire.field(&apis)
        try wire.field(&throttleTimeMs, from: 1)
        try wire.tags([0, 1, 2]) { (tag, wire) throws(WireError) in
            switch tag {
            case 0: try wire.field(&supportedFeatures)
            case 1: try wire.field(&finalizedFeaturesEpoch)
            default: try wire.field(&finalizedFeatures)
            }
        }
    }
}

extension RequestRouter {
    func apiVersions(_ request: ApiVersionsRequest, _ context: RequestContext) -> Answer<ApiVersionsResponse> {
        if context.version >= 3 {
            guard Self.isSoftwareText(request.clientSoftwareName), Self.isSoftwareText(request.clientSoftwareVersion) else {
                return .now(ApiVersionsResponse(error: .invalidRequest))
            }
            context.session.software = .init(name: request.clientSoftwareName, version: request.clientSoftwareVersion)
        }
        var response = Self.spoken
        // Clients that know version 3 and not 4 stumble over a lowest version of 0.
        if context.version < 4 { response.supportedFeatures = [] }
        return .now(response)
    }

    /// Letters, digits, `-` and `.`, of which the latter two neither begin nor end it (KIP-511).
    static func isSoftwareText(_ text: String) -> Bool {
        func isLetterOrDigit(_ byte: UInt8?) -> Bool {
            guard let byte else { return false }
            return (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
        }
        return isLetterOrDigit(text.utf8.first) && isLetterOrDigit(text.utf8.last)
            && text.utf8.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
    }

    /// group.version 1: consumer groups of KIP-848. share.version 1: share groups of KIP-932. streams.version 1: streams groups of KIP-1071.
    /// transaction.version 2: transactions of KIP-890, in which partitions and groups join by being written to, and each transaction has an epoch of its own.
    static let features: [(name: String, level: Int16)] = [
        ("group.version", 1), ("share.version", 1), ("streams.version", 1), ("transaction.version", 2),
    ]

    /// A version we do not speak is answered in version 0 with UNSUPPORTED_VERSION and the list, so that the client can ask again (KIP-511).
    func unsupportedApiVersions(_ header: RequestHeader) throws(WireError) -> FrameBytes {
        var response = Self.spoken
        response.error = .unsupportedVersion
        return try Frame.response(response, to: .apiVersions, version: 0, correlationID: header.correlationID)
    }

    private static var spoken: ApiVersionsResponse {
        ApiVersionsResponse(
            apis: APIKey.allCases.map { api in
                ApiVersionsResponse.Range(
                    apiKey: api.rawValue, min: api.versions.lowerBound, max: api.versions.upperBound)
            },
            supportedFeatures: features.map { .init(name: $0.name, max: $0.level) }, finalizedFeaturesEpoch: 0,
            finalizedFeatures: features.map { .init(name: $0.name, max: $0.level, min: $0.level) })
    }
}
