import MartletCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Users and what is kept of their passwords, in `<data>/security/users.json`:
///
/// ```json
/// {"version":1,"users":{"alice":{"SCRAM-SHA-256":{"salt":"…","iterations":8192,"storedKey":"…","serverKey":"…"},"SCRAM-SHA-512":{…}}}}
/// ```
///
/// The file is read anew when it has changed, so that `martlet user` works beside a running node; changes are made under a lock of its own.
public final class UserStore: Sendable {
    typealias Credentials = [SaslMechanism: ScramCredential]

    private let file: SecurityFile
    private let cache = Mutex<(bytes: [UInt8], users: [String: Credentials])?>(nil)
    /// Makes the salts of users that do not exist.
    private let decoyKey = Secret.random(32)

    /// - `directory`: the data directory; need not exist yet.
    public convenience init(directory: String) { self.init(directory: directory, fileSystem: PosixFileSystem()) }

    init(directory: String, fileSystem: any FileSystem) { file = SecurityFile(directory: directory, name: "users.json", fileSystem: fileSystem) }

    /// The users, sorted, each with the mechanisms that it has credentials for.
    public func list() throws(MartletError) -> [(name: String, mechanisms: [SaslMechanism])] {
        try load().sorted { $0.key < $1.key }.map { ($0.key, $0.value.keys.sorted { $0.rawValue < $1.rawValue }) }
    }

    /// Makes the user, or gives it another password. It can log in with every mechanism then.
    ///
    /// - Throws: `.badRequest` for a name or a password that cannot be, `.io`.
    public func set(password: String, of user: String, iterations: Int = 8192) throws(MartletError) {
        try Self.check(name: user)
        guard !password.isEmpty else { throw MartletError(.badRequest, "a password is not empty") }
        let made: Credentials = [
            .scramSHA256: ScramCredential(digest: .sha256, password: password, iterations: iterations),
            .scramSHA512: ScramCredential(digest: .sha512, password: password, iterations: iterations),
        ]
        try change { $0[user] = made }
    }

    /// - Returns: false if there was no such user.
    public func remove(_ user: String) throws(MartletError) -> Bool {
        var existed = false
        try change { existed = $0.removeValue(forKey: user) != nil }
        return existed
    }

    /// Whether it is the user's password. A millisecond or two of hashing, also for a user that does not exist.
    public func check(user: String, password: [UInt8]) -> Bool {
        let credentials = (try? load())?[user] ?? [:]
        guard let credential = credentials[.scramSHA256] ?? credentials[.scramSHA512] else {
            _ = decoy(user: user, digest: .sha256).matches(password: password)
            return false
        }
        return credential.matches(password: password)
    }

    /// Base64 as HTTP's Basic scheme has it; nil if it is none.
    public static func base64(_ text: String) -> [UInt8]? { Base64.decode(text.utf8, padding: .required) }

    func credential(user: String, digest: Digest) -> ScramCredential? {
        (try? load())?[user]?[digest == .sha256 ? .scramSHA256 : .scramSHA512]
    }

    func credentials() throws(MartletError) -> [String: Credentials] { try load() }

    /// What a user that does not exist is asked with: always the same, so that asking twice tells nothing.
    func decoy(user: String, digest: Digest) -> ScramCredential {
        let salt = Digest.sha256.authenticate(Array(user.utf8), key: decoyKey)
        return ScramCredential(
            digest: digest, salt: Array(salt.prefix(24)), iterations: 8192, storedKey: [UInt8](repeating: 0, count: digest.size),
            serverKey: [UInt8](repeating: 0, count: digest.size))
    }

    /// Changes users under the lock; what `body` leaves is on disk when this returns.
    func change(_ body: (inout [String: Credentials]) -> Void) throws(MartletError) {
        try file.locked { () throws(MartletError) in
            var users = try load()
            body(&users)
            try file.write(Self.text(users))
        }
    }

    static func check(name: String) throws(MartletError) {
        guard !name.isEmpty, name.utf8.count <= 249, name.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
            throw MartletError(.badRequest, "a user name has 1 to 249 bytes and no control characters")
        }
    }

    // MARK: the file

    private func load() throws(MartletError) -> [String: Credentials] {
        guard let bytes = try file.read() else { return [:] }
        if let known = cache.withLock({ $0 }), known.bytes == bytes { return known.users }
        let users = try Self.parse(bytes, path: file.path)
        cache.withLock { $0 = (bytes, users) }
        return users
    }

    private static func text(_ users: [String: Credentials]) -> [UInt8] {
        let members = users.sorted { $0.key < $1.key }.map { name, credentials in
            JSONObject.Member(
                name,
                .object(
                    JSONObject(
                        credentials.sorted { $0.key.rawValue < $1.key.rawValue }.map { mechanism, credential in
                            JSONObject.Member(
                                mechanism.rawValue,
                                [
                                    "salt": .string(Base64.encode(credential.salt)), "iterations": .int(credential.iterations),
                                    "storedKey": .string(Base64.encode(credential.storedKey)),
                                    "serverKey": .string(Base64.encode(credential.serverKey)),
                                ])
                        })))
        }
        let json: JSONValue = ["version": 1, "users": .object(JSONObject(members))]
        return Array("\(json)\n".utf8)
    }

    private static func parse(_ bytes: [UInt8], path: String) throws(MartletError) -> [String: Credentials] {
        let json = try VersionedJSON.parse(bytes, path: path)
        var users: [String: Credentials] = [:]
        for user in json["users"]?.objectValue?.members ?? [] {
            var credentials: Credentials = [:]
            for member in user.value.objectValue?.members ?? [] {
                guard let mechanism = SaslMechanism(rawValue: member.name), let digest = mechanism.digest,
                    let salt = member.value["salt"]?.stringValue.flatMap({ Base64.decode($0.utf8, padding: .required) }),
                    let iterations = member.value["iterations"]?.intValue, iterations > 0,
                    let storedKey = member.value["storedKey"]?.stringValue.flatMap({ Base64.decode($0.utf8, padding: .required) }), storedKey.count == digest.size,
                    let serverKey = member.value["serverKey"]?.stringValue.flatMap({ Base64.decode($0.utf8, padding: .required) }), serverKey.count == digest.size
                else { throw MartletError(.corruptRecord, "\(path) is damaged at user \(user.name)") }
                credentials[mechanism] = ScramCredential(
                    digest: digest, salt: salt, iterations: iterations, storedKey: storedKey, serverKey: serverKey)
            }
            users[user.name] = credentials
        }
        return users
    }
}
