import MartletCore
import Synchronization

/// Who one connection belongs to, and how far it is with saying so.
///
/// ```
/// SASL listener:  opened ── SaslHandshake ──> chosen ── tokens ──> authenticated ── SaslHandshake ──> chosen again (KIP-368)
/// others:         open from the start, as ANONYMOUS or as the subject of the client's certificate
/// ```
/// Before it is authenticated a connection may ask for ApiVersions, SaslHandshake and SaslAuthenticate, nothing else. Tokens come in
/// SaslAuthenticate requests after a handshake of version 1, bare in frames of their own after one of version 0.
final class ConnectionSession: Sendable {
    enum Phase: Sendable {
        case open
        case opened
        case chosen(SaslExchange, isFramed: Bool)
        case authenticated
        case failed
    }

    struct State: Sendable {
        var phase: Phase
        var principal: Principal
        /// By the monotonic clock; nil: never. Requests after it are not answered.
        var expiresNs: Int64?
        /// How the session that is in force, or is being renewed, was begun.
        var mechanism: SaslMechanism?
        /// While a session is renewed: nobody may become somebody else.
        var isRenewing = false
        /// What the client says it is, in ApiVersions from version 3 on.
        var software = Software()
    }

    struct Software: Sendable, Hashable {
        var name = ""
        var version = ""
    }

    private let state: Mutex<State>
    let listener: Listener.Security
    private let security: ConnectionSecurity
    private let time: TimeSource

    init(listener: Listener.Security, security: ConnectionSecurity, time: TimeSource) {
        self.listener = listener
        self.security = security
        self.time = time
        state = Mutex(State(phase: listener.hasSASL ? .opened : .open, principal: .anonymous))
    }

    var software: Software {
        get { state.withLock(\.software) }
        set { state.withLock { $0.software = newValue } }
    }

    var principal: Principal { state.withLock(\.principal) }

    /// The client's certificate was made out to this subject.
    func identify(subject: String) { state.withLock { $0.principal = Principal(name: subject) } }

    var isAuthenticated: Bool {
        state.withLock { state in
            switch state.phase {
            case .open, .authenticated: true
            case .opened, .chosen, .failed: state.isRenewing
            }
        }
    }

    var hasFailed: Bool { state.withLock { if case .failed = $0.phase { true } else { false } } }

    /// Whether the next frame is a SASL token without a header.
    var expectsBareToken: Bool { state.withLock { if case .chosen(_, isFramed: false) = $0.phase { true } else { false } } }

    /// Why a request may not be made now; nil if it may.
    func refusal(of api: APIKey) -> String? {
        state.withLock { state in
            switch api {
            case .apiVersions, .saslHandshake, .saslAuthenticate: return nil
            default: break
            }
            switch state.phase {
            case .open: return nil
            case .opened, .failed: return "\(api) before authentication"
            case .chosen: return "\(api) in the middle of authentication"
            case .authenticated:
                if let expires = state.expiresNs, time.monotonicNs >= expires { return "the session has expired and was not renewed" }
                return nil
            }
        }
    }

    /// Chooses the mechanism. Anything but `.none` ends the connection once it is told.
    func handshake(_ name: String, version: Int16) -> KafkaErrorCode {
        state.withLock { state in
            switch state.phase {
            case .open: return .illegalSASLState
            case .chosen, .failed:
                state.phase = .failed
                return .illegalSASLState
            case .opened, .authenticated: break
            }
            guard let mechanism = SaslMechanism(rawValue: name), security.config.mechanisms.contains(mechanism) else {
                state.phase = .failed
                return .unsupportedSASLMechanism
            }
            if case .authenticated = state.phase {
                // With bare tokens a connection is authenticated once.
                guard version >= 1, state.mechanism == mechanism else {
                    state.phase = .failed
                    return .illegalSASLState
                }
                state.isRenewing = true
            }
            state.phase = .chosen(SaslExchange(mechanism, users: security.users), isFramed: version >= 1)
            return .none
        }
    }

    /// One message of the exchange. Hashes: not for an event loop.
    /// - Returns: the bytes to answer with, and how long the session lasts (0: for ever, or it is not there yet).
    func authenticate(_ token: [UInt8]) throws(SaslFailure) -> (bytes: [UInt8], lifetimeMs: Int64) {
        let current = state.withLock { $0 }
        guard case .chosen(var exchange, let isFramed) = current.phase else {
            state.withLock { if case .open = $0.phase {} else { $0.phase = .failed } }
            throw SaslFailure(
                message: "SaslAuthenticate request received after successful authentication or before SaslHandshake", reason: "SaslAuthenticate out of turn")
        }
        do throws(SaslFailure) {
            switch try exchange.receive(token) {
            case .challenge(let bytes):
                let next = exchange
                state.withLock { $0.phase = .chosen(next, isFramed: isFramed) }
                return (bytes, 0)
            case .done(let user, let bytes):
                if current.isRenewing, current.principal.name != user {
                    throw SaslFailure(
                        message: "Cannot change principals during re-authentication from \(current.principal) to User:\(user)",
                        reason: "\(current.principal) tried to become User:\(user)")
                }
                let lifetimeMs = security.config.sessionLifetimeMs
                let mechanism = exchange.mechanism
                state.withLock { state in
                    state.phase = .authenticated
                    state.principal = Principal(name: user)
                    state.mechanism = mechanism
                    state.isRenewing = false
                    state.expiresNs = lifetimeMs > 0 ? time.monotonicNs + lifetimeMs * 1_000_000 : nil
                }
                return (bytes, lifetimeMs)
            }
        } catch {
            state.withLock { $0.phase = .failed }
            throw error
        }
    }
}

/// What all connections of a broker share for security.
struct ConnectionSecurity: Sendable {
    var config: SecurityConfig
    var users: UserStore
    /// Nil: nobody asks who may do what.
    var authorizer: Authorizer?
}
