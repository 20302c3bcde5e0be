import MartletCore
import Testing

@testable import MartletLog

@Suite struct UserStoreTests {
    @Test func usersAreKeptSaltedAndReadBack() throws {
        let system = SimulatedFileSystem()
        let users = UserStore(directory: "/data", fileSystem: system)
        #expect(try users.list().isEmpty)
        try users.set(password: "geheim", of: "alice", iterations: 4096)
        try users.set(password: "geheim", of: "bob", iterations: 4096)
        let text = String(decoding: try #require(try system.contents("/data/security/users.json")), as: UTF8.self)
        #expect(!text.contains("geheim"))
        let other = UserStore(directory: "/data", fileSystem: system)
        #expect(try other.list().map(\.name) == ["alice", "bob"])
        #expect(other.check(user: "alice", password: Array("geheim".utf8)) && !other.check(user: "alice", password: Array("Geheim".utf8)))
        let salts = try other.credentials().values.flatMap { $0.values.map(\.salt) }
        #expect(Set(salts).count == 4, "a salt is used once")
        // A change by somebody else is seen.
        try users.set(password: "neu", of: "alice", iterations: 4096)
        #expect(other.check(user: "alice", password: Array("neu".utf8)) && !other.check(user: "alice", password: Array("geheim".utf8)))
        #expect(try users.remove("alice") && !users.remove("alice"))
        #expect(!other.check(user: "alice", password: Array("neu".utf8)))
    }

    @Test func namesAndPasswordsThatCannotBeAreRefused() throws {
        let users = UserStore(directory: "/data", fileSystem: SimulatedFileSystem())
        #expect(throws: MartletError.self) { try users.set(password: "", of: "a") }
        for name in ["", "a\nb", String(repeating: "x", count: 250)] { #expect(throws: MartletError.self) { try users.set(password: "p", of: name) } }
    }

    @Test func aDamagedFileIsNamedAndLetsNobodyIn() throws {
        let system = SimulatedFileSystem()
        let users = UserStore(directory: "/data", fileSystem: system)
        try users.set(password: "p", of: "alice", iterations: 4096)
        system.damage("/data/security/users.json") { $0.removeLast(20) }
        let error = #expect(throws: MartletError.self) { try users.list() }
        #expect(error?.code == .corruptRecord && error?.message.contains("/data/security/users.json") == true)
        #expect(!users.check(user: "alice", password: Array("p".utf8)))
    }

    /// After a crash at any operation the file is the old or the new one.
    @Test func aCrashLeavesTheOldOrTheNewUsers() throws {
        withSeeds(40) { seed, random in
            let system = SimulatedFileSystem()
            let users = UserStore(directory: "/data", fileSystem: system)
            try system.createDirectory("/data")
            try system.syncDirectory("/")
            try users.set(password: "one", of: "alice", iterations: 4096)
            system.crash([.kill, .tornTail, .lostSectors][Int(seed % 3)], afterOperations: Int.random(in: 0..<8, using: &random), seed: seed)
            try users.set(password: "two", of: "alice", iterations: 4096)
            let isAcknowledged = system.afterCrash == nil
            let disk = system.afterCrash ?? system.crashed(.tornTail, &random)
            let after = UserStore(directory: "/data", fileSystem: disk)
            let one = after.check(user: "alice", password: Array("one".utf8)), two = after.check(user: "alice", password: Array("two".utf8))
            #expect(isAcknowledged ? two : one != two, "seed \(seed)")
        }
    }
}
