import MartletCore
import MartletLog
import NIOHTTP1
import NIOPosix
import Synchronization

/// Who may use a port: user and password by HTTP's Basic scheme (RFC 7617), checked against the users of the Kafka listeners.
///
/// Checking a password takes milliseconds on purpose, so who was let in is remembered for a few seconds; a changed password takes that long.
final class BasicAuthentication: Sendable {
    /// What a user needs besides a password.
    enum Right: Sendable {
        /// Every user.
        case user
        /// Users who may alter the cluster: what is done here is done in the server's own name.
        case alterCluster
        /// Reading is for every user, the rest for those who may alter the cluster.
        case alterClusterToChange
    }

    private struct Remembered {
        var user: String
        var untilNs: Int64
    }

    private let broker: KafkaBroker
    private let right: Right
    private let pool: NIOThreadPool
    private let time: TimeSource
    private let known = Mutex<[String: Remembered]>([:])
    private static let rememberedNs: Int64 = 5_000_000_000
    private static let rememberedMax = 1000

    init(broker: KafkaBroker, right: Right, pool: NIOThreadPool, time: TimeSource) {
        self.broker = broker
        self.right = right
        self.pool = pool
        self.time = time
    }

    /// - `onlyDescribes`: the request is for whoever may describe the cluster.
    /// - Throws: `HTTPFailure` with 401 or 403.
    func check(_ request: HTTPRequest, onlyDescribes: Bool) async throws {
        guard let header = request.headers.first(name: "authorization"), let user = try await self.user(header) else {
            throw HTTPFailure(.unauthorized, "Unauthorized")
        }
        guard onlyDescribes && broker.mayDescribeCluster(user: user, host: request.client?.host ?? "") || may(user, request) else {
            throw HTTPFailure(
                .forbidden, "You are forbidden from using this cluster.", hint: "user \(user) needs the operation \(onlyDescribes ? "DESCRIBE" : "ALTER") on the cluster")
        }
    }

    /// Whether the request's user was let in a moment ago and may do what it asks.
    func remembers(_ request: HTTPRequest) -> Bool {
        guard let header = request.headers.first(name: "authorization"), let remembered = known.withLock({ $0[header] }),
            remembered.untilNs > time.monotonicNs
        else { return false }
        return may(remembered.user, request)
    }

    private func may(_ user: String, _ request: HTTPRequest) -> Bool {
        let needsMore =
            switch right {
            case .user: false
            case .alterCluster: true
            case .alterClusterToChange: request.method != .GET && request.method != .HEAD && request.method != .POST
            }
        return !needsMore || broker.mayAlterCluster(user: user, host: request.client?.host ?? "")
    }

    private func user(_ header: String) async throws -> String? {
        let now = time.monotonicNs
        if let remembered = known.withLock({ $0[header] }), remembered.untilNs > now { return remembered.user }
        guard let (user, password) = Self.parse(header) else { return nil }
        let users = broker.users
        guard try await pool.runIfActive({ users.check(user: user, password: password) }) else { return nil }
        known.withLock { known in
            if known.count >= Self.rememberedMax { known.removeAll() }
            known[header] = Remembered(user: user, untilNs: now + Self.rememberedNs)
        }
        return user
    }

    /// `Basic base64(user:password)`.
    static func parse(_ header: String) -> (user: String, password: [UInt8])? {
        let parts = header.split(separator: " ")
        guard parts.count == 2, parts[0].lowercased() == "basic", let bytes = UserStore.base64(String(parts[1])),
            let colon = bytes.firstIndex(of: UInt8(ascii: ":")), let user = String(validating: bytes[..<colon], as: UTF8.self), !user.isEmpty
        else { return nil }
        return (user, Array(bytes[bytes.index(after: colon)...]))
    }
}
