import Testing

@testable import MartletCore

@Suite struct CodePagesTests {
    @Test func onlyExecutableFilesAreMeant() {
        func range(_ line: String) -> Range<UInt>? { CodePages.executableFile(Array(line.utf8)) }
        #expect(range("7f00-7f10 r-xp 00400000 fe:00 1234                       /usr/lib/libx.so") == 0x7f00..<0x7f10)
        #expect(range("7f00-7f10 r-xp 00400000 fe:00 1234 /a path/with spaces") == 0x7f00..<0x7f10)
        for line in [
            "7f00-7f10 r--p 00400000 fe:00 1234 /usr/lib/libx.so", "7f00-7f10 rw-p 00400000 fe:00 1234 /usr/lib/libx.so",
            "7f00-7f10 rwxp 00400000 fe:00 1234 /usr/lib/libx.so", "7f00-7f10 r-xp 00000000 00:00 0    [vdso]", "7f00-7f10 r-xp 00000000 00:00 0",
            "7f10-7f00 r-xp 00400000 fe:00 1234 /usr/lib/libx.so", "x-7f00 r-xp 00400000 fe:00 1234 /usr/lib/libx.so", "",
        ] { #expect(range(line) == nil, "\(line)") }
    }

    /// The code of this very test is thrown out and runs on.
    @Test func lifeGoesOn() {
        for round in 0..<3 {
            CodePages.release()
            #expect((0...round).reduce(0, +) == round * (round + 1) / 2)
        }
    }
}
