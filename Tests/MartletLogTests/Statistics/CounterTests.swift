import MartletCore
import Testing

@testable import MartletLog

@Suite struct CounterTests {
    /// Each value falls into the one range whose bounds it lies between, and the sum is that of all.
    @Test func histogramsCountEachValueOnce() {
        withSeeds(20) { _, random in
            let bounds = Set((0..<Int.random(in: 0...11, using: &random)).map { _ in Int64.random(in: -50...50, using: &random) }).sorted()
            let histogram = Histogram(bounds: bounds)
            let values = (0..<200).map { _ in Int64.random(in: -60...60, using: &random) }
            for value in values { histogram.record(value) }
            let seen = histogram.snapshot()
            #expect(seen.count == 200 && seen.sum == Double(values.reduce(0, +)) && seen.bounds == bounds.map(Double.init))
            for (place, count) in seen.counts.enumerated() {
                let above = place == 0 ? Int64.min : bounds[place - 1], upTo = place < bounds.count ? bounds[place] : .max
                #expect(count == Int64(values.count { ($0 > above || above == .min) && $0 <= upTo }))
            }
        }
    }

    @Test func boundsAreTheNumbersThatPeopleWrite() {
        let histogram = Histogram(bounds: RequestMeters.bounds)
        histogram.record(250_000)
        let seen = histogram.snapshot(perUnit: 1e9)
        #expect(seen.bounds.map { "\($0)" } == ["0.0001", "0.0005", "0.001", "0.005", "0.01", "0.05", "0.1", "0.5", "1.0", "5.0"])
        #expect(seen.sum == 0.00025 && seen.counts[1] == 1)
    }

    @Test func everyThreadsAdditionsCount() async {
        let counter = Counter(), histogram = Histogram(bounds: [10])
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for i in 0..<10_000 {
                        counter.add(2)
                        histogram.record(Int64(i % 20))
                    }
                }
            }
        }
        #expect(counter.count == 80_000)
        #expect(histogram.snapshot().counts == [22_000, 18_000])
    }

    @Test func namesAreThoseOfTheProtocol() {
        #expect([APIKey.produce, .initProducerID, .addPartitionsToTxn, .describeUserScramCredentials, .apiVersions, .listOffsets].map(\.protocolName)
            == ["Produce", "InitProducerId", "AddPartitionsToTxn", "DescribeUserScramCredentials", "ApiVersions", "ListOffsets"])
        #expect([KafkaErrorCode.unknownTopicOrPartition, .fetchSessionIDNotFound, .illegalSASLState, .unsupportedSASLMechanism, .invalidTxnState, .unknownTopicID].map(\.protocolName)
            == ["UNKNOWN_TOPIC_OR_PARTITION", "FETCH_SESSION_ID_NOT_FOUND", "ILLEGAL_SASL_STATE", "UNSUPPORTED_SASL_MECHANISM", "INVALID_TXN_STATE", "UNKNOWN_TOPIC_ID"])
        #expect(Set(APIKey.allCases.map(\.protocolName)).count == APIKey.allCases.count)
    }
}
