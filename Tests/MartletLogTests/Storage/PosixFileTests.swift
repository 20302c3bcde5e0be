import MartletCore
import Testing

@testable import MartletLog

@Suite struct PosixFileTests {
    /// Pieces come to lie one behind the other, however many and however small; more than the system takes at once too.
    @Test(arguments: [0, 1, 2, 3, 1024, 1025, 5000]) func piecesAreWrittenInOrder(count: Int) throws {
        let directory = TemporaryDirectory()
        let file = try PosixFileSystem().open("\(directory.path)/f", create: true)
        try [UInt8]("head".utf8).withBytes { (bytes) throws(MartletError) in try file.write(bytes, at: 0) }
        let bytes = (0..<count * 3).map { UInt8(truncatingIfNeeded: $0 * 7) }
        try bytes.withBytes { (bytes) throws(MartletError) in
            // Every third one is empty, the others have one and two bytes.
            var pieces: [UnsafeRawBufferPointer] = []
            for i in 0..<count {
                pieces.append(UnsafeRawBufferPointer(rebasing: bytes[i * 3..<i * 3 + 1]))
                pieces.append(UnsafeRawBufferPointer(rebasing: bytes[i * 3 + 1..<i * 3 + 1]))
                pieces.append(UnsafeRawBufferPointer(rebasing: bytes[i * 3 + 1..<i * 3 + 3]))
            }
            try file.write(pieces, at: 4)
        }
        #expect(try PosixFileSystem().contents("\(directory.path)/f") == Array("head".utf8) + bytes)
    }

    /// A file that is not there is nothing; one that cannot be reached is an error.
    @Test func aFileThatCannotBeReachedIsNotMissing() throws {
        let directory = TemporaryDirectory(), system = PosixFileSystem()
        #expect(try system.contents("\(directory.path)/none") == nil)
        #expect(try system.contents("\(directory.path)/none/deeper") == nil)
        try system.replace("\(directory.path)/file", with: [1], durably: true)
        #expect(throws: MartletError.self) { try system.contents("\(directory.path)/file/deeper") }
        #expect(throws: MartletError.self) { try system.list("\(directory.path)/file") }
    }
}
