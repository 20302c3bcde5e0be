import Synchronization

/// A number that is counted up by any thread: one relaxed atomic addition.
final class Counter: Sendable {
    private let value = Atomic<Int64>(0)

    func add(_ amount: Int64 = 1) { value.wrappingAdd(amount, ordering: .relaxed) }

    var count: Int64 { value.load(ordering: .relaxed) }
}

/// How often something was how large: a count for each of a few ranges, and the sum of all. Two relaxed atomic additions.
final class Histogram: Sendable {
    /// Upper ends of the ranges, included, rising; what is larger has a range of its own.
    let bounds: [Int64]
    private let counts = InlineArray<12, Atomic<Int64>> { _ in Atomic(0) }
    private let total = Atomic<Int64>(0)

    /// - `bounds`: at most 11.
    init(bounds: [Int64]) {
        precondition(bounds.count < 12)
        self.bounds = bounds
    }

    func record(_ value: Int64) {
        var range = 0
        while range < bounds.count, value > bounds[range] { range += 1 }
        counts[range].wrappingAdd(1, ordering: .relaxed)
        total.wrappingAdd(value, ordering: .relaxed)
    }

    /// - `perUnit`: how many make one of the unit that is told: 1e9 for nanoseconds as seconds.
    func snapshot(perUnit: Double = 1) -> HistogramValues {
        HistogramValues(
            bounds: bounds.map { Double($0) / perUnit }, counts: (0...bounds.count).map { counts[$0].load(ordering: .relaxed) },
            sum: Double(total.load(ordering: .relaxed)) / perUnit)
    }
}

/// What a histogram has counted.
public struct HistogramValues: Sendable, Equatable {
    /// Upper ends of the ranges, included.
    public var bounds: [Double]
    /// One more than bounds: how many values fell into each range.
    public var counts: [Int64]
    public var sum: Double

    public var count: Int64 { counts.reduce(0, +) }

    public init(bounds: [Double], counts: [Int64], sum: Double) {
        self.bounds = bounds
        self.counts = counts
        self.sum = sum
    }
}
