import MartletCore

/// Why a client was not let in: a sentence for the client (it says nothing that helps to guess) and one for the log.
struct SaslFailure: Error, Sendable, Hashable {
    var message: String
    var reason: String
}

/// What a mechanism answers to one message of the client.
enum SaslStep: Sendable, Hashable {
    case challenge([UInt8])
    /// Authenticated; the bytes end the exchange.
    case done(user: String, [UInt8])
}

/// The server's side of one authentication: message in, answer out. Not for an event loop: looks users up on disk and hashes.
struct SaslExchange: Sendable {
    private enum State: Sendable {
        case plain
        case scram(ScramExchange)
    }

    let mechanism: SaslMechanism
    private let users: UserStore
    private var state: State

    init(_ mechanism: SaslMechanism, users: UserStore) {
        self.mechanism = mechanism
        self.users = users
        state = mechanism.digest.map { .scram(ScramExchange(digest: $0)) } ?? .plain
    }

    mutating func receive(_ message: [UInt8]) throws(SaslFailure) -> SaslStep {
        switch state {
        case .plain: return try Self.plain(message, users)
        case .scram(var exchange):
            defer { state = .scram(exchange) }
            return try exchange.receive(message, users: users)
        }
    }

    /// `[authorisation id] NUL user NUL password` (RFC 4616).
    static func plain(_ message: [UInt8], _ users: UserStore) throws(SaslFailure) -> SaslStep {
        let parts = message.split(separator: 0, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[1].isEmpty, !parts[2].isEmpty else {
            throw SaslFailure(message: "Invalid SASL/PLAIN response: expected 3 tokens", reason: "malformed PLAIN message")
        }
        let user = String(decoding: parts[1], as: UTF8.self)
        guard users.check(user: user, password: Array(parts[2])) else {
            throw SaslFailure(message: "Authentication failed: Invalid username or password", reason: "wrong user or password for \(user)")
        }
        guard parts[0].isEmpty || parts[0].elementsEqual(parts[1]) else {
            throw SaslFailure(
                message: "Authentication failed: Client requested an authorization id that is different from username",
                reason: "\(user) asked for another authorisation id")
        }
        return .done(user: user, [])
    }
}

/// SCRAM's two round trips (RFC 5802, section 7; without channel binding):
///
/// ```
/// C: n,,n=user,r=cnonce                       client-first
/// S: r=cnonce+snonce,s=salt,i=iterations      server-first
/// C: c=biws,r=cnonce+snonce,p=proof           client-final
/// S: v=signature                              server-final
/// ```
struct ScramExchange: Sendable {
    private enum State: Sendable {
        case start
        case challenged(user: String, credential: ScramCredential, isKnown: Bool, header: [UInt8], clientNonce: String, nonce: String, authMessage: String)
        case ended
    }

    private let digest: Digest
    private var state = State.start
    /// Handed in so that the RFC's own example can be played.
    private let makeNonce: @Sendable () -> String

    init(digest: Digest, makeNonce: @escaping @Sendable () -> String = { Base64.encode(Secret.random(24)) }) {
        self.digest = digest
        self.makeNonce = makeNonce
    }

    private var name: String { digest == .sha256 ? "SCRAM-SHA-256" : "SCRAM-SHA-512" }

    private func malformed(_ what: String) -> SaslFailure {
        SaslFailure(message: "Invalid SASL/SCRAM message: \(what)", reason: "malformed \(name) message: \(what)")
    }

    mutating func receive(_ message: [UInt8], users: UserStore) throws(SaslFailure) -> SaslStep {
        guard let text = String(validating: message, as: UTF8.self) else { throw malformed("not UTF-8") }
        switch state {
        case .start: return try receiveFirst(text, users)
        case .challenged(let user, let credential, let isKnown, let header, let clientNonce, let nonce, let authMessage):
            state = .ended
            return try receiveFinal(text, user, credential, isKnown, header, clientNonce, nonce, authMessage)
        case .ended: throw malformed("the exchange is over")
        }
    }

    private mutating func receiveFirst(_ text: String, _ users: UserStore) throws(SaslFailure) -> SaslStep {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count >= 4 else { throw malformed("client-first") }
        guard parts[0] == "n" || parts[0] == "y" else { throw malformed("channel binding is not supported") }
        guard parts[1].isEmpty || parts[1].hasPrefix("a=") else { throw malformed("authorisation id") }
        // m= would announce an extension that has to be understood.
        guard parts[2].hasPrefix("n="), let user = Self.unescape(parts[2].dropFirst(2)), !user.isEmpty else { throw malformed("user name") }
        guard parts[3].hasPrefix("r="), parts[3].utf8.count > 2, parts[3].utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw malformed("nonce")
        }
        if !parts[1].isEmpty, Self.unescape(parts[1].dropFirst(2)) != user {
            throw SaslFailure(
                message: "Authentication failed: Client requested an authorization id that is different from username",
                reason: "\(user) asked for another authorisation id")
        }
        // A user that does not exist is challenged like any other, always with the same salt, and fails at the end.
        let known = users.credential(user: user, digest: digest)
        let credential = known ?? users.decoy(user: user, digest: digest)
        let nonce = parts[3].dropFirst(2) + makeNonce()
        let answer = "r=\(nonce),s=\(Base64.encode(credential.salt)),i=\(credential.iterations)"
        let header = "\(parts[0]),\(parts[1]),"
        let bare = text.dropFirst(header.count)
        state = .challenged(
            user: user, credential: credential, isKnown: known != nil, header: Array(header.utf8), clientNonce: String(parts[3].dropFirst(2)), nonce: String(nonce),
            authMessage: "\(bare),\(answer)")
        return .challenge(Array(answer.utf8))
    }

    private func receiveFinal(
        _ text: String, _ user: String, _ credential: ScramCredential, _ isKnown: Bool, _ header: [UInt8], _ clientNonce: String,
        _ nonce: String, _ authMessage: String
    ) throws(SaslFailure) -> SaslStep {
        guard let proofStart = text.firstRange(of: ",p=") else { throw malformed("client-final") }
        let withoutProof = text[..<proofStart.lowerBound]
        let parts = withoutProof.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0].hasPrefix("c="), parts[1].hasPrefix("r="),
            let proof = Base64.decode(text[proofStart.upperBound...].utf8, padding: .required), proof.count == digest.size
        else { throw malformed("client-final") }
        guard Base64.decode(parts[0].dropFirst(2).utf8, padding: .required) == header else { throw malformed("channel binding differs from the first message") }
        // librdkafka before 2.6.1 puts its own nonce before the whole of ours once more; what we made is still all there.
        let sent = parts[1].dropFirst(2)
        guard sent == nonce || sent == clientNonce + nonce else { throw malformed("nonce differs from the challenge") }
        // ClientKey = proof XOR HMAC(StoredKey, AuthMessage); it is the client's if its hash is StoredKey.
        let full = Array("\(authMessage),\(withoutProof)".utf8)
        let signature = digest.authenticate(full, key: credential.storedKey)
        let clientKey = zip(proof, signature).map { $0 ^ $1 }
        guard Secret.areEqual(digest.hash(clientKey), credential.storedKey), isKnown else {
            throw SaslFailure(
                message: "Authentication failed during authentication due to invalid credentials with SASL mechanism \(name)",
                reason: "wrong user or password for \(user)")
        }
        return .done(user: user, Array("v=\(Base64.encode(digest.authenticate(full, key: credential.serverKey)))".utf8))
    }

    /// `=2C` is a comma and `=3D` an equals sign; nil if there is another `=` (RFC 5802, section 5.1).
    static func unescape(_ text: Substring) -> String? {
        var out = "", rest = text
        while let character = rest.first {
            if character == "=" {
                if rest.hasPrefix("=2C") { out.append(",") } else if rest.hasPrefix("=3D") { out.append("=") } else { return nil }
                rest = rest.dropFirst(3)
            } else {
                out.append(character)
                rest = rest.dropFirst()
            }
        }
        return out
    }
}
