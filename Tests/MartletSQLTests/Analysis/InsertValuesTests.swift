import MartletColumns
import MartletCore
import Testing

@testable import MartletSQL

/// INSERT VALUES: expressions evaluated and coerced to the columns.
@Suite struct InsertValuesTests {
    private static func insert(_ sql: String) throws -> AnalyzedInsert {
        var bench = AnalysisBench()
        bench.topics = ["s": 1]
        try bench.run(
            "CREATE STREAM s (k int KEY, a bigint, d decimal(5,2), t timestamp, b bytes, x array<double>, n struct<f int, g string>) WITH (kafka_topic='s', value_format='JSON');")
        guard case .insertValues(let insert) = try bench.run(sql) else { throw MartletError(.badRequest, "no insert") }
        return insert
    }

    @Test func columnsInAnyOrder() throws {
        let row = try Self.insert("INSERT INTO s (a, ROWTIME, k) VALUES (1 + 2, 1234, CAST('7' AS INT));")
        #expect(row.key == [.integer(7)] && row.timestampMs == 1234)
        #expect(row.value == [.bigint(3), .null, .null, .null, .null, .null])
    }

    @Test func coercions() throws {
        let row = try Self.insert(
            "INSERT INTO s VALUES (NULL, 5, 1.5, '1970-01-01T00:00:01', 'AQI=', ARRAY[1, 2.5], STRUCT(g := 'x', f := -3));")
        #expect(row.key == [.null])
        #expect(
            row.value == [
                .bigint(5), .decimal(Decimal128(unscaled: 150, scale: 2)), .timestamp(1000), .bytes([1, 2]), .array([.double(1), .double(2.5)]),
                .structure([.init("F", .integer(-3)), .init("G", .string("x"))]),
            ])
        #expect(row.timestampMs == nil)
    }

    @Test func narrowingIsRefused() {
        #expect(throws: MartletError.self) { try Self.insert("INSERT INTO s (k) VALUES (5000000000);") }
        #expect(throws: MartletError.self) { try Self.insert("INSERT INTO s (d) VALUES (1234.5);") }
        #expect(throws: MartletError.self) { try Self.insert("INSERT INTO s (a) VALUES (1.5);") }
        #expect(throws: MartletError.self) { try Self.insert("INSERT INTO s (a) VALUES (1 / 0);") }
    }
}
