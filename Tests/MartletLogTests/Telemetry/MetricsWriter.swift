@testable import MartletLog

/// Writes OTLP's `MetricsData`, as a client does.
enum MetricsWriter {
    struct Metric {
        var name: String
        var unit = "1"
        /// Field 5 gauge, 7 sum.
        var kind: UInt64 = 5
        var isDelta = false
        var points: [(value: Value, attributes: [String: String])]
    }

    enum Value {
        case double(Double)
        case int(Int64)
    }

    static func gauge(_ name: String, _ value: Double, _ attributes: [String: String] = [:]) -> [UInt8] {
        data([Metric(name: name, points: [(.double(value), attributes)])])
    }

    static func counter(_ name: String, _ value: Int64, isDelta: Bool = false) -> [UInt8] {
        data([Metric(name: name, kind: 7, isDelta: isDelta, points: [(.int(value), [:])])])
    }

    /// - `shared`: attributes of the resource.
    static func data(_ metrics: [Metric], shared: [String: String] = [:]) -> [UInt8] {
        let resource = field(1, shared.sorted { $0.key < $1.key }.flatMap { field(1, attribute($0.key, $0.value)) })
        let scope = field(2, metrics.flatMap { field(2, metric($0)) })
        return field(1, resource + scope)
    }

    private static func metric(_ metric: Metric) -> [UInt8] {
        let points = metric.points.flatMap { value, attributes -> [UInt8] in
            let number: [UInt8] =
                switch value {
                case .double(let double): [4 << 3 | 1] + fixed(double.bitPattern)
                case .int(let int): [6 << 3 | 1] + fixed(UInt64(bitPattern: int))
                }
            let labels = attributes.sorted { $0.key < $1.key }.flatMap { field(7, attribute($0.key, $0.value)) }
            return field(1, [3 << 3 | 1] + fixed(1_700_000_000_123_000_000) + number + labels)
        }
        let sum: [UInt8] = metric.kind == 7 ? [2 << 3, metric.isDelta ? 1 : 2, 3 << 3, 1] : []
        // A description too, which nobody reads.
        return field(1, Array(metric.name.utf8)) + field(2, Array("what it is".utf8)) + field(3, Array(metric.unit.utf8)) + field(metric.kind, points + sum)
    }

    private static func attribute(_ key: String, _ value: String) -> [UInt8] {
        field(1, Array(key.utf8)) + field(2, field(1, Array(value.utf8)))
    }

    static func field(_ number: UInt64, _ bytes: [UInt8]) -> [UInt8] { varint(number << 3 | 2) + varint(UInt64(bytes.count)) + bytes }

    static func varint(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = [], rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    private static func fixed(_ value: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) } }
}
