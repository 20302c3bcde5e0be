import MartletCore
import Testing

@testable import MartletLog

@Suite struct MetricsReaderTests {
    @Test func gaugesAndSumsAreRead() throws {
        let bytes = MetricsWriter.data(
            [
                .init(name: "a.b", unit: "ms", points: [(.double(-1.5), ["topic": "t"]), (.int(-7), [:])]),
                .init(name: "c", kind: 7, points: [(.int(12), [:])]), .init(name: "d", kind: 7, isDelta: true, points: [(.double(2), [:])]),
            ], shared: ["client_rack": "r"])
        let points = try MetricsReader.points(bytes)
        #expect(points.map(\.name) == ["a.b", "a.b", "c", "d"] && points.map(\.value) == [-1.5, -7, 12, 2])
        #expect(points.map(\.isCounter) == [false, false, true, true] && points.map(\.isDelta) == [false, false, false, true])
        #expect(points[0].attributes == ["client_rack": "r", "topic": "t"] && points[1].attributes == ["client_rack": "r"])
        #expect(points[0].unit == "ms" && points[0].timestampMs == 1_700_000_000_123)
        #expect(try MetricsReader.points([]).isEmpty)
    }

    /// Fields that are not known, of every wire type, around the known ones; a histogram, which is passed over.
    @Test func whatIsNotKnownIsPassedOver() throws {
        let extra: [UInt8] = [15 << 3, 0xff, 1, 14 << 3 | 5, 1, 2, 3, 4, 13 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8] + MetricsWriter.field(12, [1, 2])
        let points = try MetricsReader.points(extra + MetricsWriter.gauge("a", 1) + extra)
        #expect(points.map(\.name) == ["a"])
        #expect(try MetricsReader.points(MetricsWriter.data([.init(name: "h", kind: 9, points: [(.double(1), [:])])])).isEmpty)
    }

    @Test func valuesOfAttributesOfAllKindsAreText() throws {
        func attribute(_ value: [UInt8]) -> [UInt8] { MetricsWriter.field(7, MetricsWriter.field(1, Array("k".utf8)) + MetricsWriter.field(2, value)) }
        let number: [UInt8] = [4 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0]
        for (value, text) in [([2 << 3, 1], "true"), ([3 << 3] + MetricsWriter.varint(UInt64(bitPattern: -5)), "-5"), ([4 << 3 | 1, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f], "1.5")]
            as [([UInt8], String)]
        {
            let metric = MetricsWriter.field(1, Array("a".utf8)) + MetricsWriter.field(5, MetricsWriter.field(1, number + attribute(value)))
            let points = try MetricsReader.points(MetricsWriter.field(1, MetricsWriter.field(2, MetricsWriter.field(2, metric))))
            #expect(points.map(\.attributes) == [["k": text]])
        }
    }

    @Test func whatIsCutOrSpoiltThrowsOrReads() throws {
        let bytes = MetricsWriter.data(
            (0..<20).map { .init(name: "metric.\($0)", kind: $0 % 2 == 0 ? 5 : 7, points: [(.double(Double($0)), ["a": "b"]), (.int(Int64($0)), [:])]) })
        withSeeds(300) { seed, random in
            var spoilt = Array(bytes.prefix(Int.random(in: 1...bytes.count, using: &random)))
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                spoilt[Int.random(in: 0..<spoilt.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            do { #expect(try MetricsReader.points(spoilt).count <= 40, "seed \(seed)") } catch is MalformedMetrics {} catch { Issue.record(error) }
        }
        for wrong: [UInt8] in [[0x0a], [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], [0x0b], [0], [0x08] + [UInt8](repeating: 0xff, count: 11)] {
            #expect(throws: MalformedMetrics.self) { try MetricsReader.points(wrong) }
        }
    }

    @Test func manyPointsAreBounded() throws {
        let point: [UInt8] = MetricsWriter.field(1, [6 << 3 | 1, 1, 0, 0, 0, 0, 0, 0, 0])
        let many = Array(repeatElement(point, count: MetricsReader.pointsMax + 10).joined())
        let metric = MetricsWriter.field(1, [0x61]) + MetricsWriter.field(5, many)
        let points = try MetricsReader.points(MetricsWriter.field(1, MetricsWriter.field(2, MetricsWriter.field(2, metric))))
        #expect(points.count == MetricsReader.pointsMax)
    }
}
