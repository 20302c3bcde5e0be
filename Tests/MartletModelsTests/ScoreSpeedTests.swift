import MartletColumns
import MartletCore
import Testing

@testable import MartletModels

#if canImport(Glibc)
import Glibc
#endif

/// The autoencoder 30-14-7-7-30 with its squared error, batch of 1024 rows: through columns, and by ONNX Runtime alone on packed data.
///
/// Always checks that both give the same; with MARTLET_MEASURE set (release build) also that columns reach 0.8 of the bare runtime's rows/s:
/// `MARTLET_ONLY=Models MARTLET_MEASURE=1 swift test -c release -Xswiftc -enable-testing --scratch-path .build-release --filter ScoreSpeed`.
@Suite(.enabled(if: Fixtures.hasRuntime, Fixtures.needsRuntime), .serialized) struct ScoreSpeedTests {
    @Test func columnsCostLittleMoreThanTheRuntimeAlone() throws {
        let count = 1024, width = 30, isMeasured = getenv("MARTLET_MEASURE") != nil
        var random = SeededRandom(seed: 92)
        let columns = (0..<width).map { _ in Column.double(FixedColumn((0..<count).map { _ in random.nextGaussian() })) }
        let model = try Fixtures.session("autoencoder")
        let session = try ONNXSession(path: Fixtures.path("autoencoder"))
        let buffer = TensorBuffer()
        buffer.withElements(Float.self, count: count * width) { TensorPacking.pack(columns[...], start: 0, rows: count, into: &$0) }
        let tensor = try buffer.tensor(session.runtime, .float, shape: [Int64(count), Int64(width)], byteCount: count * width * 4)

        var errors = RowErrors()
        guard case .double(let scored) = model.score(columns, count: count, errors: &errors) else { throw MartletError(.internalError, "no doubles") }
        let bare = try session.run([tensor], wanted: [0])[0].withElements(Float.self, count: count) { span in (0..<count).map { Double(span[$0]) } }
        #expect(scored.values == bare && errors.count == 0)

        var ratios: [Double] = [], times: [(Double, Double, Double)] = []
        let rounds = isMeasured ? 200 : 2
        for _ in 0..<(isMeasured ? 15 : 1) {
            let direct = nanoseconds { for _ in 0..<rounds { _ = try? session.run([tensor], wanted: [0]) } }
            let whole = nanoseconds { for _ in 0..<rounds { _ = model.score(columns, count: count, errors: &errors) } }
            let packing = nanoseconds {
                for _ in 0..<rounds {
                    buffer.withElements(Float.self, count: count * width) { TensorPacking.pack(columns[...], start: 0, rows: count, into: &$0) }
                }
            }
            ratios.append(direct / whole)
            times.append((direct, whole, packing))
        }
        guard isMeasured else { return }
        let rows = Double(rounds * count)
        let (direct, whole, packing) = times.sorted { $0.1 < $1.1 }[0]
        let ratio = ratios.sorted()[ratios.count / 2]
        print("score: runtime alone \(direct / rows) ns/row, columns \(whole / rows) ns/row, packing \(packing / rows) ns/row, ratio (median) \(ratio)")
        #expect(ratio >= 0.8)
    }

    private func nanoseconds(_ body: () -> Void) -> Double {
        var a = timespec(), b = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a)
        body()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b)
        return Double(b.tv_sec - a.tv_sec) * 1e9 + Double(b.tv_nsec - a.tv_nsec)
    }
}
