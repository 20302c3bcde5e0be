import MartletColumns
import MartletCore
import Testing

@testable import MartletModels

@Suite struct TensorPackingTests {
    /// Any mix of column types and any width, from any row: each element is where its row and column say. SEED replays by argument.
    @Test(arguments: 1...40) func everyElementLandsInItsPlace(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let width = seed % 11 + 1, count = Int.random(in: 1...200, using: &random), start = Int.random(in: 0..<count, using: &random)
        let rows = count - start
        var columns: [Column] = [], expected: [[Double]] = []
        for _ in 0..<width {
            let numbers = (0..<count).map { _ in Int.random(in: -50_000...50_000, using: &random) }
            switch Int.random(in: 0..<8, using: &random) {
            case 0: columns.append(.integer(FixedColumn(numbers.map { Int32($0) })))
            case 1: columns.append(.bigint(FixedColumn(numbers.map { Int64($0) })))
            case 2:
                columns.append(.decimal(FixedColumn(numbers.map { Int128($0) }), precision: 10, scale: 2))
                expected.append(numbers.map { Double($0) / 100 })
                continue
            default: columns.append(.double(FixedColumn(numbers.map { Double($0) })))
            }
            expected.append(numbers.map { Double($0) })
        }
        var singles = [Float](repeating: -1, count: rows * width), doubles = [Double](repeating: -1, count: rows * width)
        var span = singles.mutableSpan
        TensorPacking.pack(columns[...], start: start, rows: rows, into: &span)
        var span2 = doubles.mutableSpan
        TensorPacking.pack(columns[...], start: start, rows: rows, into: &span2)
        for row in 0..<rows {
            for c in 0..<width {
                #expect(doubles[row * width + c] == expected[c][start + row] && singles[row * width + c] == Float(expected[c][start + row]))
            }
        }
    }
}
