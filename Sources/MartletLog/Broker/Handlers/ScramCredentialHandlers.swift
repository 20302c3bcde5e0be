import Logging
import MartletCore

// DescribeUserScramCredentials, AlterUserScramCredentials (KIP-554): users as kafka-configs manages them.

struct DescribeUserScramCredentialsRequest: WireRequest {
    typealias Response = DescribeUserScramCredentialsResponse
    static let api = APIKey.describeUserScramCredentials

    struct User: WireMessage {
        var name = ""

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.tags()
        }
    }

    /// Nil or none: all.
    var users: [User]?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&users)
        try wire.tags()
    }
}

struct DescribeUserScramCredentialsResponse: WireMessage {
    struct Credential: WireMessage {
        var mechanism: Int8 = 0
        var iterations: Int32 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&mechanism)
            try wire.field(&iterations)
            try wire.tags()
        }
    }

    struct Result: WireMessage {
        var user = ""
        var error = KafkaErrorCode.none
        var errorMessage: String?
        var credentials: [Credential] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&user)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&credentials)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var results: [Result] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&results)
        try wire.tags()
    }
}

struct AlterUserScramCredentialsRequest: WireRequest {
    typealias Response = AlterUserScramCredentialsResponse
    static let api = APIKey.alterUserScramCredentials

    struct Deletion: WireMessage {
        var name = ""
        var mechanism: Int8 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&mechanism)
            try wire.tags()
        }
    }

    struct Upsertion: WireMessage {
        var name = ""
        var mechanism: Int8 = 0
        var iterations: Int32 = 0
        var salt: [UInt8] = []
        var saltedPassword: [UInt8] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&mechanism)
            try wire.field(&iterations)
            try wire.field(&salt)
            try wire.field(&saltedPassword)
            try wire.tags()
        }
    }

    var deletions: [Deletion] = []
    var upsertions: [Upsertion] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&deletions)
        try wire.field(&upsertions)
        try wire.tags()
    }
}

struct AlterUserScramCredentialsResponse: WireMessage {
    struct Result: WireMessage {
        var user = ""
        var error = KafkaErrorCode.none
        var errorMessage: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&user)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var results: [Result] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&results)
        try wire.tags()
    }
}

extension AlterUserScramCredentialsRequest {
    /// Every user named, once, in the order of the request.
    var userNames: [String] {
        var names: [String] = []
        for name in deletions.map(\.name) + upsertions.map(\.name) where !names.contains(name) { names.append(name) }
        return names
    }
}

extension RequestRouter {
    func describeUserScramCredentials(_ request: DescribeUserScramCredentialsRequest, _ context: RequestContext)
        -> Answer<DescribeUserScramCredentialsResponse>
    {
        offload(context) {
            do throws(MartletError) {
                let known = try self.security.users.credentials()
                let wanted = request.users ?? []
                let names = wanted.isEmpty ? known.keys.sorted() : wanted.map(\.name)
                var timesNamed: [String: Int] = [:]
                for name in names { timesNamed[name, default: 0] += 1 }
                var results: [DescribeUserScramCredentialsResponse.Result] = []
                for name in names where !results.contains(where: { $0.user == name }) {
                    if timesNamed[name] != 1 {
                        results.append(.init(user: name, error: .duplicateResource, errorMessage: "user \(name) is named more than once"))
                    } else if let credentials = known[name], !credentials.isEmpty {
                        results.append(
                            .init(
                                user: name,
                                credentials: credentials.sorted { $0.key.number < $1.key.number }
                                    .map { .init(mechanism: $0.key.number, iterations: Int32(clamping: $0.value.iterations)) }))
                    } else {
                        results.append(.init(user: name, error: .resourceNotFound, errorMessage: "user \(name) does not exist"))
                    }
                }
                return DescribeUserScramCredentialsResponse(results: results)
            } catch {
                return DescribeUserScramCredentialsResponse(error: self.code(error), errorMessage: error.message)
            }
        }
    }

    /// All changes of one user happen or none: a mistake in one of them is told for the user. The client salts; its password never travels.
    func alterUserScramCredentials(_ request: AlterUserScramCredentialsRequest, _ context: RequestContext)
        -> Answer<AlterUserScramCredentialsResponse>
    {
        offload(context) { self.alterUserScramCredentials(request, by: context.access.principal) }
    }

    private func alterUserScramCredentials(_ request: AlterUserScramCredentialsRequest, by principal: Principal)
        -> AlterUserScramCredentialsResponse
    {
        var results: [AlterUserScramCredentialsResponse.Result] = []
        for name in request.userNames {
            let deletions = request.deletions.filter { $0.name == name }, upsertions = request.upsertions.filter { $0.name == name }
            do throws(KafkaError) {
                let numbers = deletions.map(\.mechanism) + upsertions.map(\.mechanism)
                guard Set(numbers).count == numbers.count else {
                    throw KafkaError(.duplicateResource, "a mechanism of user \(name) is named more than once")
                }
                var removed: [SaslMechanism] = [], added: UserStore.Credentials = [:]
                for deletion in deletions { removed.append(try mechanism(deletion.mechanism)) }
                for upsertion in upsertions {
                    added[try mechanism(upsertion.mechanism)] = try credential(upsertion)
                }
                do throws(MartletError) {
                    try UserStore.check(name: name)
                } catch {
                    throw KafkaError(.unacceptableCredential, error.message)
                }
                var missing: SaslMechanism?
                do throws(MartletError) {
                    let (gone, made) = (removed, added)
                    try security.users.change { users in
                        var credentials = users[name] ?? [:]
                        missing = gone.first { credentials[$0] == nil }
                        guard missing == nil else { return }
                        for mechanism in gone { credentials[mechanism] = nil }
                        credentials.merge(made) { $1 }
                        users[name] = credentials.isEmpty ? nil : credentials
                    }
                } catch {
                    throw KafkaError(code(error), error.message)
                }
                if let missing { throw KafkaError(.resourceNotFound, "user \(name) has no credential for \(missing.rawValue)") }
                logger.info("credentials changed", metadata: ["user": "\(name)", "by": "\(principal)"])
                results.append(.init(user: name))
            } catch {
                results.append(.init(user: name, error: error.code, errorMessage: error.message))
            }
        }
        return AlterUserScramCredentialsResponse(results: results)
    }

    private func mechanism(_ number: Int8) throws(KafkaError) -> SaslMechanism {
        guard let mechanism = SaslMechanism(number: number) else {
            throw KafkaError(.unsupportedSASLMechanism, "credentials are for SCRAM-SHA-256 (1) or SCRAM-SHA-512 (2), not \(number)")
        }
        return mechanism
    }

    private func credential(_ wanted: AlterUserScramCredentialsRequest.Upsertion) throws(KafkaError) -> ScramCredential {
        guard let digest = try mechanism(wanted.mechanism).digest else { throw KafkaError(.unsupportedSASLMechanism, "no such mechanism") }
        let allowed = ScramCredential.iterationsAllowed
        guard allowed.contains(Int(wanted.iterations)) else {
            throw KafkaError(.unacceptableCredential, "iterations must be \(allowed.lowerBound) to \(allowed.upperBound), not \(wanted.iterations)")
        }
        guard !wanted.salt.isEmpty, wanted.saltedPassword.count == digest.size else {
            throw KafkaError(.unacceptableCredential, "a salt and a salted password of \(digest.size) bytes are needed")
        }
        return ScramCredential(digest: digest, salt: wanted.salt, iterations: Int(wanted.iterations), saltedPassword: wanted.saltedPassword)
    }
}
