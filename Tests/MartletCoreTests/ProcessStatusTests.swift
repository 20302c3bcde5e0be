import Testing

@testable import MartletCore

@Suite struct ProcessStatusTests {
    @Test func numbersAreFoundBehindAnyName() {
        var status = ProcessStatus()
        let stat = "77 (a ) b (c) S 1 77 77 0 -1 4194304 90 0 0 0 250 50 0 0 20 0 9 0 3000 1048576 64 18446744073709551615 1\n"
        status.read(stat: Array(stat.utf8), ticksPerSecond: 100, pageBytes: 4096, bootSeconds: ProcessStatus.bootSeconds(Array("cpu 1 2\nbtime 1000\n".utf8)))
        #expect(status.cpuSeconds == 3)
        #expect(status.threads == 9)
        #expect(status.startSeconds == 1030)
        #expect(status.virtualBytes == 1 << 20)
        #expect(status.residentBytes == 256 << 10)
    }

    @Test(arguments: ["", "77 (x)", "77 (x) S 1 2", ") ) )", "77 x S"]) func whatIsCutShortHasNoNumbers(_ text: String) {
        var status = ProcessStatus()
        status.read(stat: Array(text.utf8), ticksPerSecond: 100, pageBytes: 4096, bootSeconds: nil)
        #expect(status == ProcessStatus())
    }

    #if canImport(Glibc)
    @Test func ofThisProcess() {
        let status = ProcessStatus.current
        #expect((status.residentBytes ?? 0) > 1 << 20)
        #expect((status.virtualBytes ?? 0) >= (status.residentBytes ?? .max))
        #expect((status.threads ?? 0) >= 1)
        #expect((status.openFiles ?? 0) >= 3 && (status.openFiles ?? 0) <= (status.openFilesMax ?? 0))
        let now = Double(TimeSource.system.wallMs) / 1000
        #expect((status.startSeconds ?? 0) > now - 86_400 && (status.startSeconds ?? .infinity) < now + 5)
    }
    #endif
}
