import Testing
@testable import MartletLog
#if canImport(Glibc)
import Glibc
#endif
@Suite struct ZZServe {
    @Test func serve() throws {
        guard let path = getenv("SERVE_FILE").map({ String(cString: $0) }) else { return }
        try TestBroker.run { broker in
            let file = fopen(path, "w"); fputs("\(broker.port)\n", file); fclose(file)
            while access(path, F_OK) == 0 { usleep(200_000) }
        }
    }
}
