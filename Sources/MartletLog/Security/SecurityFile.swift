import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One file below `<data>/security/`, replaced whole and durably. Only its owner may read it.
struct SecurityFile: Sendable {
    let directory: String
    let path: String
    private let fileSystem: any FileSystem

    init(directory: String, name: String, fileSystem: any FileSystem) {
        self.directory = "\(directory)/security"
        path = "\(self.directory)/\(name)"
        self.fileSystem = fileSystem
    }

    /// Nil if there is none yet.
    func read() throws(MartletError) -> [UInt8]? { try fileSystem.contents(path) }

    func write(_ bytes: [UInt8]) throws(MartletError) { try fileSystem.replace(path, with: bytes, durably: true) }

    /// Runs `body` while no other process changes the file; waits for one that does, up to two seconds.
    func locked(_ body: () throws(MartletError) -> Void) throws(MartletError) {
        if !fileSystem.exists(directory) {
            try fileSystem.createDirectoryDurably(directory)
            try fileSystem.makePrivate(directory)
        }
        var attempts = 0
        while true {
            do throws(MartletError) {
                let lock = try fileSystem.lock("\(directory)/lock")
                try withExtendedLifetime(lock) { () throws(MartletError) in try body() }
                return
            } catch {
                attempts += 1
                guard error.code == .directoryInUse, attempts < 100 else { throw error }
                usleep(20_000)
            }
        }
    }
}
