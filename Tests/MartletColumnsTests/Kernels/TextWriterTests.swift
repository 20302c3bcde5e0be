import MartletCore
import Testing

@testable import MartletColumns

/// Texts and JSON of whole columns against those of boxed values.
@Suite struct TextWriterTests {
    private static let types: [SQLType] = [
        .boolean, .integer, .bigint, .double, .decimal(precision: 9, scale: 2), .string, .bytes, .date, .time, .timestamp, .array(.double),
        .map(key: .string, value: .integer), .structure([Field("A", .integer), Field("b", .array(.string))]),
    ]

    private func value(_ type: SQLType, _ random: inout SeededRandom) -> SQLValue {
        if Int.random(in: 0..<6, using: &random) == 0 { return .null }
        func days() -> Int32 { Int32.random(in: -800_000...3_000_000, using: &random) }
        switch type {
        case .boolean: return .boolean(Bool.random(using: &random))
        case .bytes: return .bytes((0..<Int.random(in: 0..<5, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
        case .date: return .date(days())
        case .time: return .time(Int32.random(in: 0..<86_400_000, using: &random))
        case .timestamp: return .timestamp(Int64(days()) * 86_400_000 + Int64.random(in: 0..<86_400_000, using: &random))
        case .double: return .double([0, -0.0, 1e7, 0.001, 1e-5, .infinity, -1.5, .nan, 0.1 + 0.2, 123456.75].randomElement(using: &random)!)
        case .array(let element): return .array((0..<3).map { _ in value(element, &random) })
        case .structure(let fields): return .structure(fields.map { .init($0.name, value($0.type, &random)) })
        default: return AggregateTests.value(type, &random)
        }
    }

    @Test(arguments: types.indices) func textsAreThoseOfBoxedValues(index: Int) throws {
        let type = Self.types[index]
        var random = SeededRandom(seed: 92)
        let values = (0..<200).map { _ in value(type, &random) }
        let column = ColumnBuilder.column(of: type, values)
        let texts = TextWriter.texts(column)
        for (row, value) in values.enumerated() {
            if value.isNull { #expect(!texts.validity.isValid(row)) } else { #expect(texts.string(row) == column.value(row).castText) }
        }
        if case .bytes = type { return }
        #expect(try evaluate(.cast(.column(0, type), .string), [column]).values == values.map { $0.isNull ? .null : .string($0.castText) })
    }

    @Test func castsOfArraysAreThoseOfTheirElements() throws {
        let lists: [SQLValue] = [.array([.string("1"), .string(" 2 "), .null]), .null, .array([]), .array([.string("3"), .string("x")])]
        let column = ColumnBuilder.column(of: .array(.string), lists)
        let (values, errors) = try evaluate(.cast(.column(0, .array(.string)), .array(.bigint)), [column])
        #expect(values == [.array([.bigint(1), .bigint(2), .null]), .null, .array([]), .null])
        #expect(errors.map(\.row) == [3])
    }

    @Test func textsAsNumbers() throws {
        let texts = ["1", "+5", " -7 ", "2147483648", "-2147483648", "9223372036854775807", "9223372036854775808", "", "-", "1.5", "1e3", ".5", "5.", "1d", "NaN", "0x10", "１"]
        let column = Column.string(BytesColumn(texts))
        func cast(_ type: SQLType) throws -> [SQLValue] { try evaluate(.cast(.column(0, .string), type), [column]).values }
        for (text, found) in zip(texts, try cast(.integer)) {
            let trimmed = String(text.split(separator: " ").first ?? "")
            #expect(found == (Int32(trimmed).map { .integer($0) } ?? .null), "\(text)")
        }
        for (text, found) in zip(texts, try cast(.bigint)) {
            let trimmed = String(text.split(separator: " ").first ?? "")
            #expect(found == (Int64(trimmed).map { .bigint($0) } ?? .null), "\(text)")
        }
        let doubles = try cast(.double)
        for (text, wanted) in [("1", 1), ("+5", 5), (" -7 ", -7), ("1.5", 1.5), ("1e3", 1000), (".5", 0.5), ("5.", 5)] as [(String, Double)] {
            #expect(doubles[texts.firstIndex(of: text)!] == .double(wanted), "\(text)")
        }
        for text in ["", "-", "1d", "NaN", "0x10", "１"] { #expect(doubles[texts.firstIndex(of: text)!] == .null, "\(text)") }
    }
}
