import MartletCore
import Testing

@testable import MartletLog

/// SCRAM and what it is made of, against the examples of the RFCs, and against an own client with every kind of mistake.
@Suite struct ScramTests {
    private func hex(_ bytes: [UInt8]) -> String { EmbeddedLog.hex(bytes) }
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// RFC 4231, test case 2.
    @Test func hmacIsThatOfTheRFC() {
        let text = bytes("what do ya want for nothing?"), key = bytes("Jefe")
        #expect(
            hex(Digest.sha256.authenticate(text, key: key)) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        #expect(
            hex(Digest.sha512.authenticate(text, key: key))
                == "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737")
    }

    /// RFC 7914, section 11: the first block of each.
    @Test func pbkdf2IsThatOfTheRFC() {
        #expect(
            hex(Digest.sha256.stretch(password: bytes("passwd"), salt: bytes("salt"), iterations: 1))
                == "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc")
        #expect(
            hex(Digest.sha256.stretch(password: bytes("Password"), salt: bytes("NaCl"), iterations: 80000))
                == "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56")
    }

    @Test func base64RoundTripsAndRefusesWhatItIsNot() {
        withSeeds(50) { _, random in
            let data = (0..<Int.random(in: 0..<70, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(Base64.decode(Base64.encode(data).utf8, padding: .required) == data)
        }
        #expect(Base64.encode(bytes("n,,")) == "biws")
        for text in ["biw", "b===", "bi!s", "biws="] { #expect(Base64.decode(text.utf8, padding: .required) == nil, "\(text)") }
    }

    private func store(_ credentials: [String: UserStore.Credentials]) throws -> UserStore {
        let users = UserStore(directory: "/data", fileSystem: SimulatedFileSystem())
        try users.change { $0 = credentials }
        return users
    }

    /// RFC 7677, section 3.
    @Test func theExchangeOfTheRFC() throws {
        let salt = try #require(Base64.decode("W22ZaJ0SNY7soEsUEjb6gQ==".utf8, padding: .required))
        let users = try store(["user": [.scramSHA256: ScramCredential(digest: .sha256, password: "pencil", salt: salt, iterations: 4096)]])
        var exchange = ScramExchange(digest: .sha256, makeNonce: { "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" })
        #expect(
            try exchange.receive(bytes("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), users: users)
                == .challenge(bytes("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")))
        #expect(
            try exchange.receive(
                bytes("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), users: users)
                == .done(user: "user", bytes("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")))
    }

    /// What a client sends to a challenge.
    struct Client {
        var digest: Digest
        var user: String
        var password: String
        var nonce = "abc"
        var header = "n,,"

        var first: [UInt8] { Array("\(header)\(bare)".utf8) }
        var bare: String {
            "n=" + user.map { $0 == "," ? "=2C" : $0 == "=" ? "=3D" : String($0) }.joined() + ",r=\(nonce)"
        }

        /// - `nonceSent`: what is sent as nonce instead of the server's; `flips`: a bit of the proof to change.
        func final(_ challenge: [UInt8], nonceSent: ((String) -> String)? = nil, flips: Int? = nil) throws -> (message: [UInt8], signature: String) {
            let text = String(decoding: challenge, as: UTF8.self)
            let parts = text.split(separator: ",").map { String($0.dropFirst(2)) }
            let salted = digest.stretch(
                password: Array(password.utf8), salt: try #require(Base64.decode(parts[1].utf8, padding: .required)), iterations: try #require(Int(parts[2])))
            let clientKey = digest.authenticate(Array("Client Key".utf8), key: salted)
            let without = "c=\(Base64.encode(Array(header.utf8))),r=\(nonceSent?(parts[0]) ?? parts[0])"
            let all = Array("\(bare),\(text),\(without)".utf8)
            var proof = zip(clientKey, digest.authenticate(all, key: digest.hash(clientKey))).map { $0 ^ $1 }
            if let flips { proof[flips / 8] ^= 1 << UInt8(flips % 8) }
            let signature = digest.authenticate(all, key: digest.authenticate(Array("Server Key".utf8), key: salted))
            return (Array("\(without),p=\(Base64.encode(proof))".utf8), "v=\(Base64.encode(signature))")
        }
    }

    private func run(_ client: Client, _ users: UserStore, nonceSent: ((String) -> String)? = nil, flips: Int? = nil) throws -> (SaslStep, String) {
        var exchange = ScramExchange(digest: client.digest)
        guard case .challenge(let challenge) = try exchange.receive(client.first, users: users) else {
            throw SaslFailure(message: "no challenge", reason: "")
        }
        let (message, signature) = try client.final(challenge, nonceSent: nonceSent, flips: flips)
        return (try exchange.receive(message, users: users), signature)
    }

    @Test(arguments: [Digest.sha256, .sha512]) func theRightPasswordIsLetInWhateverTheName(digest: Digest) throws {
        let users = try store([:])
        for name in ["alice", "a,b=c", "=2C", "日本", "o'neil \"x\""] {
            try users.set(password: "pass,word=\(name)", of: name, iterations: 4096)
            let client = Client(digest: digest, user: name, password: "pass,word=\(name)")
            let (step, signature) = try run(client, users)
            #expect(step == .done(user: name, bytes(signature)), "\(name)")
        }
    }

    @Test(arguments: [Digest.sha256, .sha512]) func everythingElseIsRefused(digest: Digest) throws {
        let users = try store([:])
        try users.set(password: "secret", of: "alice", iterations: 4096)
        let right = Client(digest: digest, user: "alice", password: "secret")
        #expect(throws: SaslFailure.self) { try run(Client(digest: digest, user: "alice", password: "Secret"), users) }
        #expect(throws: SaslFailure.self) { try run(Client(digest: digest, user: "bob", password: "secret"), users) }
        for bit in [0, 77, digest.size * 8 - 1] { #expect(throws: SaslFailure.self) { try run(right, users, flips: bit) } }
        #expect(throws: SaslFailure.self) { try run(right, users, nonceSent: { _ in "abc" }) }
        #expect(throws: SaslFailure.self) { try run(right, users, nonceSent: { $0 + "x" }) }
        // The client's own nonce once more before it: librdkafka before 2.6.1.
        #expect(throws: Never.self) { try run(right, users, nonceSent: { "abc" + $0 }) }
        // Another user's rights.
        #expect(throws: SaslFailure.self) { try run(Client(digest: digest, user: "alice", password: "secret", header: "n,a=root,"), users) }
        #expect(throws: Never.self) { try run(Client(digest: digest, user: "alice", password: "secret", header: "n,a=alice,"), users) }
        for first in ["", "n,,n=alice", "p=tls-unique,,n=alice,r=x", "n,,m=x,n=alice,r=x", "n,,n=,r=x", "n,,n=a=2,r=x", "n,,n=alice,r=", "n,,n=alice,r=a b"] {
            var exchange = ScramExchange(digest: digest)
            #expect(throws: SaslFailure.self, "\(first)") { try exchange.receive(bytes(first), users: users) }
        }
    }

    /// Asking with a name that does not exist looks like asking with one that does, and the same each time.
    @Test func unknownUsersAreNotTold() throws {
        let users = try store([:])
        func challenge() throws -> String {
            var exchange = ScramExchange(digest: .sha256, makeNonce: { "s" })
            guard case .challenge(let bytes) = try exchange.receive(bytes("n,,n=nobody,r=c"), users: users) else { return "" }
            return String(decoding: bytes, as: UTF8.self)
        }
        let first = try challenge()
        #expect(first.hasPrefix("r=cs,s=") && first.hasSuffix(",i=8192"))
        #expect(try challenge() == first)
    }

    @Test func plainChecksUserAndPassword() throws {
        let users = try store([:])
        try users.set(password: "secret", of: "alice", iterations: 4096)
        func answer(_ text: String) throws -> SaslStep { try SaslExchange.plain(bytes(text), users) }
        #expect(try answer("\0alice\0secret") == .done(user: "alice", []))
        #expect(try answer("alice\0alice\0secret") == .done(user: "alice", []))
        for wrong in ["\0alice\0Secret", "\0alice\0", "\0\0secret", "alice\0secret", "\0bob\0secret", "bob\0alice\0secret", "\0alice\0secret\0"] {
            #expect(throws: SaslFailure.self, "\(wrong)") { try answer(wrong) }
        }
    }
}
