/// What is limited (Kafka documentation, "Quotas"), by the names that clients set.
enum QuotaKind: String, CaseIterable, Sendable {
    /// Bytes of Produce requests a second.
    case produce = "producer_byte_rate"
    /// Bytes of records in answers to Fetch a second.
    case fetch = "consumer_byte_rate"
    /// Time of ours that requests take, in percent of one thread.
    case request = "request_percentage"
    /// Partitions made and deleted a second (KIP-599).
    case mutation = "controller_mutation_rate"
    /// New connections a second from an address (KIP-612).
    case connection = "connection_creation_rate"

    /// Of users and client ids; of addresses there is one.
    static let ofClients: [QuotaKind] = [.produce, .fetch, .request, .mutation]

    /// What is counted when a whole second of the limit is used up: bytes, nanoseconds, partitions.
    func perSecond(_ limit: Double) -> Double { self == .request ? limit / 100 * 1e9 : limit }

    /// - Returns: what is allowed instead; nil if this is a limit.
    func refusal(of limit: Double) -> String? {
        guard limit.isFinite, limit > 0 else { return "\(rawValue) is more than 0" }
        switch self {
        case .produce, .fetch: return limit.rounded() == limit && limit < 9e15 ? nil : "\(rawValue) is a whole number of bytes"
        case .connection: return limit.rounded() == limit && limit <= Double(Int32.max) ? nil : "\(rawValue) is a whole number of connections"
        case .request, .mutation: return nil
        }
    }
}

/// Whom limits are for: a user, a client id, both, an address, or whoever has no limit of its own.
struct QuotaTarget: Hashable, Sendable {
    enum Name: Hashable, Sendable {
        case named(String)
        case byDefault
    }

    /// Nil: whatever it is. One of the two is given, or `address` alone.
    var user: Name?
    var client: Name?
    var address: Name?

    /// What may be limited for it.
    var kinds: [QuotaKind] { address == nil ? QuotaKind.ofClients : [.connection] }

    /// The targets whose limits hold for this user and client id, the nearest first, each with who shares it: a limit of a user is shared by all
    /// its clients, a limit of both is that pair's own (KIP-55, KIP-257).
    static func candidates(user: String, client: String) -> [(target: QuotaTarget, meter: QuotaMeters.Key)] {
        let pair = QuotaMeters.Key(user: user, client: client), ofUser = QuotaMeters.Key(user: user), ofClient = QuotaMeters.Key(client: client)
        return [
            (.init(user: .named(user), client: .named(client)), pair), (.init(user: .named(user), client: .byDefault), pair),
            (.init(user: .named(user)), ofUser),
            (.init(user: .byDefault, client: .named(client)), pair), (.init(user: .byDefault, client: .byDefault), pair),
            (.init(user: .byDefault), ofUser),
            (.init(client: .named(client)), ofClient), (.init(client: .byDefault), ofClient),
        ]
    }
}
