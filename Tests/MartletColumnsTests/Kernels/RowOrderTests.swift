import MartletColumns
import MartletCore
import Testing

/// Sorting rows: a total order that keeps equal rows as they are.
@Suite struct RowOrderTests {
    private func column(_ type: SQLType, _ values: [SQLValue]) -> Column { ColumnBuilder.column(of: type, values) }
    private func rows(_ count: Int) -> [UInt32] { Array(0..<UInt32(count)) }

    @Test func nullsAndDirections() {
        let values = column(.integer, [.integer(3), .null, .integer(1), .integer(2), .null])
        #expect(RowOrder([.init(values)]).sorted(rows(5)) == [2, 3, 0, 1, 4])
        #expect(RowOrder([.init(values, isDescending: true, nullsFirst: true)]).sorted(rows(5)) == [1, 4, 0, 3, 2])
        #expect(RowOrder([.init(values, isDescending: true)]).sorted(rows(5)) == [0, 3, 2, 1, 4])
    }

    @Test func laterKeysDecideAmongEquals() {
        let a = column(.boolean, [.boolean(true), .boolean(false), .boolean(true), .boolean(false)])
        let b = column(.double, [.double(.nan), .double(-0.5), .double(1e300), .double(-2)])
        #expect(RowOrder([.init(a), .init(b)]).sorted(rows(4)) == [3, 1, 2, 0])
    }

    /// Texts are ordered by UTF-16 code units, as comparisons do.
    @Test func texts() {
        let texts = column(.string, ["b", "a", "\u{FF5E}", "😀", "", "ab"].map { .string($0) })
        #expect(RowOrder([.init(texts)]).sorted(rows(6)) == [4, 1, 5, 0, 3, 2])
    }

    @Test(arguments: 0..<20)
    func sortedRowsAreInOrderAndStable(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let values = (0..<200).map { _ in random.next() % 5 == 0 ? SQLValue.null : .bigint(Int64(random.next() % 10)) }
        let sorted = RowOrder([.init(column(.bigint, values), nullsFirst: true)]).sorted(rows(200))
        #expect(Set(sorted) == Set(rows(200)))
        func rank(_ row: UInt32) -> Int64 { if case .bigint(let value) = values[Int(row)] { value } else { -1 } }
        for (a, b) in zip(sorted, sorted.dropFirst()) { #expect(rank(a) < rank(b) || rank(a) == rank(b) && a < b, "seed \(seed)") }
    }
}
