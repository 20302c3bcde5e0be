/// How a client proves who it is on a SASL listener.
public enum SaslMechanism: String, Sendable, Hashable, CaseIterable {
    case plain = "PLAIN"
    case scramSHA256 = "SCRAM-SHA-256"
    case scramSHA512 = "SCRAM-SHA-512"

    /// Nil for PLAIN, which has no credentials of its own: its password is checked against one of the others.
    var digest: Digest? {
        switch self {
        case .plain: nil
        case .scramSHA256: .sha256
        case .scramSHA512: .sha512
        }
    }

    /// The number of a SCRAM mechanism in the protocol (KIP-554).
    init?(number: Int8) {
        switch number {
        case 1: self = .scramSHA256
        case 2: self = .scramSHA512
        default: return nil
        }
    }

    var number: Int8 {
        switch self {
        case .plain: 0
        case .scramSHA256: 1
        case .scramSHA512: 2
        }
    }
}

/// What is kept of a password: enough to check it, not enough to log in with (RFC 5802, section 3).
///
/// ```
/// SaltedPassword = Hi(password, salt, iterations)
/// StoredKey      = H(HMAC(SaltedPassword, "Client Key"))
/// ServerKey      = HMAC(SaltedPassword, "Server Key")
/// ```
struct ScramCredential: Sendable, Hashable {
    var digest: Digest
    var salt: [UInt8]
    var iterations: Int
    var storedKey: [UInt8]
    var serverKey: [UInt8]

    /// Kafka's bounds: fewer are too cheap to guess, more would let a client keep us busy.
    static let iterationsAllowed = 4096...16384

    init(digest: Digest, salt: [UInt8], iterations: Int, storedKey: [UInt8], serverKey: [UInt8]) {
        self.digest = digest
        self.salt = salt
        self.iterations = iterations
        self.storedKey = storedKey
        self.serverKey = serverKey
    }

    init(digest: Digest, salt: [UInt8], iterations: Int, saltedPassword: [UInt8]) {
        self.init(
            digest: digest, salt: salt, iterations: iterations,
            storedKey: digest.hash(digest.authenticate(Array("Client Key".utf8), key: saltedPassword)),
            serverKey: digest.authenticate(Array("Server Key".utf8), key: saltedPassword))
    }

    /// Costs `iterations` rounds of the hash, about a millisecond: not for an event loop.
    init(digest: Digest, password: String, salt: [UInt8] = Secret.random(24), iterations: Int = 8192) {
        self.init(
            digest: digest, salt: salt, iterations: iterations,
            saltedPassword: digest.stretch(password: Array(password.utf8), salt: salt, iterations: iterations))
    }

    /// Whether it was made of this password. As slow as making it.
    func matches(password: [UInt8]) -> Bool {
        let salted = digest.stretch(password: password, salt: salt, iterations: iterations)
        return Secret.areEqual(digest.hash(digest.authenticate(Array("Client Key".utf8), key: salted)), storedKey)
    }
}
