import Synchronization

/// What Kafka clients ask and how they are served, by API. A request costs two relaxed additions; an error that is told, a lock besides.
final class RequestMeters: Sendable {
    private struct Failure: Hashable {
        var api: APIKey
        var error: KafkaErrorCode
    }

    /// By the key's number.
    private let times: [Histogram]
    private let errors = Mutex<[Failure: Int64]>([:])

    /// Nanoseconds: what is answered from memory, what waits for a disk, what waits for records.
    static let bounds: [Int64] = [100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 50_000_000, 100_000_000, 500_000_000, 1_000_000_000, 5_000_000_000]

    init() {
        let last = APIKey.allCases.map { Int($0.rawValue) }.max() ?? 0
        times = (0...last).map { _ in Histogram(bounds: Self.bounds) }
    }

    /// A request was answered, or needs no answer.
    func served(_ api: APIKey, ns: Int64) { times[Int(api.rawValue)].record(ns) }

    /// An answer tells an error; one that is about several things may tell several.
    func told(_ error: KafkaErrorCode, _ api: APIKey) { errors.withLock { $0[Failure(api: api, error: error), default: 0] += 1 } }

    /// Of APIs that were asked.
    var snapshot: [BrokerStatistics.Request] {
        let failures = errors.withLock { $0 }
        return APIKey.allCases.compactMap { api in
            let seconds = times[Int(api.rawValue)].snapshot(perUnit: 1e9)
            let errors = failures.filter { $0.key.api == api }.map { (error: $0.key.error.protocolName, count: $0.value) }
            guard seconds.count > 0 || !errors.isEmpty else { return nil }
            return BrokerStatistics.Request(
                api: api.protocolName, seconds: seconds, errors: errors.sorted { $0.error < $1.error }.map { .init(name: $0.error, count: $0.count) })
        }
    }
}

extension APIKey {
    /// As the protocol guide calls it: `Produce`, `InitProducerId`.
    var protocolName: String {
        let name = "\(self)"
        return ProtocolName.words(name).map { $0.prefix(1).uppercased() + $0.dropFirst().lowercased() }.joined()
    }
}

extension KafkaErrorCode {
    /// As the protocol guide calls it: `UNKNOWN_TOPIC_OR_PARTITION`.
    var protocolName: String { ProtocolName.words("\(self)").map { $0.uppercased() }.joined(separator: "_") }
}

enum ProtocolName {
    /// `fetchSessionIDNotFound` → fetch Session ID Not Found
    static func words(_ name: String) -> [String] {
        let letters = Array(name)
        var words: [String] = []
        for (i, letter) in letters.enumerated() {
            let followsSmall = i > 0 && letters[i - 1].isLowercase
            let endsCapitals = i > 0 && letters[i - 1].isUppercase && i + 1 < letters.count && letters[i + 1].isLowercase
            if words.isEmpty || letter.isUppercase && (followsSmall || endsCapitals) { words.append("") }
            words[words.count - 1].append(letter)
        }
        return words
    }
}
