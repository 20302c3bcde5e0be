// CreateDelegationToken, RenewDelegationToken, ExpireDelegationToken, DescribeDelegationToken (KIP-48), as a broker answers them whose
// `delegation.token.secret.key` is not set: tokens are disabled, and over connections on which they could be stolen they may not even be asked for.

struct TokenPrincipal: WireMessage {
    var type = ""
    var name = ""

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&type)
        try wire.field(&name)
        try wire.tags()
    }
}

struct CreateDelegationTokenRequest: WireRequest {
    typealias Response = CreateDelegationTokenResponse
    static let api = APIKey.createDelegationToken

    var ownerType: String?
    var ownerName: String?
    var renewers: [TokenPrincipal] = []
    var lifetimeMsMax: Int64 = -1

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&ownerType, from: 3)
        try wire.field(&ownerName, from: 3)
        try wire.field(&renewers)
        try wire.field(&lifetimeMsMax)
        try wire.tags()
    }
}

struct CreateDelegationTokenResponse: WireMessage {
    var error = KafkaErrorCode.none
    var principalType = ""
    var principalName = ""
    var requesterType = ""
    var requesterName = ""
    var issuedMs: Int64 = -1
    var expiresMs: Int64 = -1
    var expiresAtMostMs: Int64 = -1
    var tokenID = ""
    var hmac: [UInt8] = []
    var throttleTimeMs: Int32 = 0

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&error)
        try wire.field(&principalType)
        try wire.field(&principalName)
        try wire.field(&requesterType, from: 3)
        try wire.field(&requesterName, from: 3)
        try wire.field(&issuedMs)
        try wire.field(&expiresMs)
        try wire.field(&expiresAtMostMs)
        try wire.field(&tokenID)
        try wire.field(&hmac)
        try wire.field(&throttleTimeMs)
        try wire.tags()
    }
}

/// The answer to RenewDelegationToken and ExpireDelegationToken.
struct TokenExpiryResponse: WireMessage {
    var error = KafkaErrorCode.none
    var expiresMs: Int64 = -1
    var throttleTimeMs: Int32 = 0

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&error)
        try wire.field(&expiresMs)
        try wire.field(&throttleTimeMs)
        try wire.tags()
    }
}

struct RenewDelegationTokenRequest: WireRequest {
    typealias Response = TokenExpiryResponse
    static let api = APIKey.renewDelegationToken

    var hmac: [UInt8] = []
    var periodMs: Int64 = -1

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&hmac)
        try wire.field(&periodMs)
        try wire.tags()
    }
}

struct ExpireDelegationTokenRequest: WireRequest {
    typealias Response = TokenExpiryResponse
    static let api = APIKey.expireDelegationToken

    var hmac: [UInt8] = []
    var periodMs: Int64 = -1

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&hmac)
        try wire.field(&periodMs)
        try wire.tags()
    }
}

struct DescribeDelegationTokenRequest: WireRequest {
    typealias Response = DescribeDelegationTokenResponse
    static let api = APIKey.describeDelegationToken

    /// Nil: everybody's.
    var owners: [TokenPrincipal]?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&owners)
        try wire.tags()
    }
}

struct DescribeDelegationTokenResponse: WireMessage {
    struct Token: WireMessage {
        var principalType = ""
        var principalName = ""
        var requesterType = ""
        var requesterName = ""
        var issuedMs: Int64 = -1
        var expiresMs: Int64 = -1
        var expiresAtMostMs: Int64 = -1
        var tokenID = ""
        var hmac: [UInt8] = []
        var renewers: [TokenPrincipal] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&principalType)
            try wire.field(&principalName)
            try wire.field(&requesterType, from: 3)
            try wire.field(&requesterName, from: 3)
            try wire.field(&issuedMs)
            try wire.field(&expiresMs)
            try wire.field(&expiresAtMostMs)
            try wire.field(&tokenID)
            try wire.field(&hmac)
            try wire.field(&renewers)
            try wire.tags()
        }
    }

    var error = KafkaErrorCode.none
    var tokens: [Token] = []
    var throttleTimeMs: Int32 = 0

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&error)
        try wire.field(&tokens)
        try wire.field(&throttleTimeMs)
        try wire.tags()
    }
}

extension RequestRouter {
    /// Why there is no token for who asks.
    func tokenRefusal(_ context: RequestContext) -> KafkaErrorCode {
        switch context.session.listener {
        case .plaintext: .delegationTokenRequestNotAllowed
        case .ssl where context.session.principal == .anonymous: .delegationTokenRequestNotAllowed
        case .ssl, .saslPlaintext, .saslSSL: .delegationTokenAuthDisabled
        }
    }

    func createDelegationToken(_ request: CreateDelegationTokenRequest, _ context: RequestContext) -> Answer<CreateDelegationTokenResponse> {
        .now(CreateDelegationTokenResponse(error: tokenRefusal(context)))
    }

    func renewDelegationToken(_ request: RenewDelegationTokenRequest, _ context: RequestContext) -> Answer<TokenExpiryResponse> {
        .now(TokenExpiryResponse(error: tokenRefusal(context)))
    }

    func expireDelegationToken(_ request: ExpireDelegationTokenRequest, _ context: RequestContext) -> Answer<TokenExpiryResponse> {
        .now(TokenExpiryResponse(error: tokenRefusal(context)))
    }

    func describeDelegationToken(_ request: DescribeDelegationTokenRequest, _ context: RequestContext) -> Answer<DescribeDelegationTokenResponse> {
        .now(DescribeDelegationTokenResponse(error: tokenRefusal(context)))
    }
}
