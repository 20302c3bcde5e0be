/// Every kind of mistake or failure that a user can meet: the one table.
///
/// `restCode` is ksqlDB's `error_code`: HTTP status × 100 + detail (ksqlDB REST API, "Errors").
public enum ErrorCode: String, Sendable, Hashable, Codable, CaseIterable {
    // The user wrote something that cannot be understood or is not allowed.
    case badRequest, badStatement, syntax, unknownSource, unknownColumn, unknownFunction, unknownType, unknownModel, unknownQuery
    case unknownProperty, invalidProperty, typeMismatch, alreadyExists, notSupported, queryEndpointRequired
    case tooManyQueries, assertionFailed, schemaIncompatible, schemaInvalid, schemaReadOnly, schemaReferenced, notFound, modelInvalid
    // What came from outside, our own disk included, is not what it should be.
    case corruptRecord, incompatibleFormat
    // The system could not do its part.
    case io, diskFull, directoryInUse, addressInUse, shuttingDown, timeout, outOfRange, fenced, internalError

    /// Who has to act.
    public enum Actor: String, Sendable { case user, system, us }

    public var restCode: Int {
        switch self {
        case .badRequest, .unknownProperty, .invalidProperty, .unknownQuery: 40000
        case .badStatement, .syntax, .unknownSource, .unknownColumn, .unknownFunction, .unknownType, .unknownModel, .typeMismatch,
            .alreadyExists, .notSupported, .modelInvalid:
            40001
        case .queryEndpointRequired: 40002
        case .tooManyQueries: 40003
        case .notFound: 40400
        case .assertionFailed: 41700
        case .schemaIncompatible: 40900
        case .schemaInvalid: 42201
        case .schemaReadOnly: 42205
        case .schemaReferenced: 42206
        case .timeout: 50301
        case .shuttingDown: 50303
        case .corruptRecord, .incompatibleFormat, .io, .diskFull, .directoryInUse, .addressInUse, .outOfRange, .fenced, .internalError:
            50000
        }
    }

    public var httpStatus: Int { restCode / 100 }

    public var actor: Actor {
        switch self {
        case .corruptRecord, .incompatibleFormat, .io, .diskFull, .directoryInUse, .addressInUse, .shuttingDown, .timeout, .outOfRange,
            .fenced:
            .system
        case .internalError: .us
        default: .user
        }
    }

    /// Whether the same request may succeed later without a change to it.
    public var isRetriable: Bool {
        switch self {
        case .io, .diskFull, .shuttingDown, .timeout, .tooManyQueries: true
        default: false
        }
    }
}
