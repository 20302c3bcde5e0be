/// Calls of a model since it was loaded.
public struct ModelStatistics: Sendable, Hashable {
    /// Batches.
    public private(set) var calls = 0
    public private(set) var rows = 0
    /// Rows on which the model failed.
    public private(set) var errors = 0
    /// Counts of batch times: 8 classes for each doubling of nanoseconds, so a percentile is at most 1/8 too high.
    private var counts = [UInt32](repeating: 0, count: 64 * 8)

    mutating func record(rows: Int, errors: Int, nanoseconds: Int64) {
        calls += 1
        self.rows += rows
        self.errors += errors
        counts[Self.index(UInt64(max(nanoseconds, 1)))] += 1
    }

    /// Time of a batch in nanoseconds that the share `p` (0...1) of all batches did not exceed; nil without any.
    public func batchNanoseconds(percentile p: Double) -> Int64? {
        guard calls > 0 else { return nil }
        let wanted = max(1, Int((Double(calls) * p).rounded(.up)))
        var seen = 0
        for (i, count) in counts.enumerated() where count > 0 {
            seen += Int(count)
            if seen >= wanted { return Self.upperBound(i) }
        }
        return nil
    }

    private static func index(_ value: UInt64) -> Int {
        let exponent = 63 - value.leadingZeroBitCount
        let fraction = exponent >= 3 ? Int(value >> UInt64(exponent - 3)) & 7 : Int(value << UInt64(3 - exponent)) & 7
        return exponent * 8 + fraction
    }

    private static func upperBound(_ index: Int) -> Int64 {
        let exponent = index / 8, fraction = index % 8
        let bound = (Double(fraction + 9) / 8) * Double(UInt64(1) << UInt64(exponent))
        return bound >= 9e18 ? .max : Int64(bound)
    }
}
