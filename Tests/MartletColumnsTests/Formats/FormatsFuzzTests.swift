import MartletCore
import Testing

@testable import MartletColumns

/// Bytes from outside are never trusted: any bytes give rows or reasons, and what surrounds a record changes neither.
@Suite struct FormatsFuzzTests {
    private static let pieces: [[UInt8]] =
        ["{", "}", "[", "]", "\"", "\\", ",", ":", "null", "true", "1", "-", ".", "e", "0.123456789012345", "99999999999999999999999999999999", "\"A\":", "\"I\":", "\"S\":", "\n", "\\u00", "k"].map { Array($0.utf8) }
        + [[0xff], [0xc3], [0xe9, 0x80], [0], [0x80]]

    private func record(_ random: inout SeededRandom) -> [UInt8] {
        (0..<Int.random(in: 0...14, using: &random)).flatMap { _ in Self.pieces[Int.random(in: 0..<Self.pieces.count, using: &random)] }
    }

    @Test(arguments: 0..<40) func anyBytesGiveRowsOrReasons(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let records = (0..<200).map { _ in Optional(record(&random)) }
        let specs: [(FormatSpec, [Field])] = [
            (FormatSpec(.json), nestedFields), (FormatSpec(.json, unwrapSingle: true), [Field("A", .map(key: .string, value: .array(.double)))]),
            (FormatSpec(.json, unwrapSingle: true), [Field("A", .double)]), (FormatSpec(.json, unwrapSingle: true), [Field("A", .string)]),
            (FormatSpec(.delimited), flatFields), (FormatSpec(.delimited), [Field("A", .double)]), (FormatSpec(.delimited), [Field("A", .string), Field("B", .bigint)]),
            (FormatSpec(.delimited, properties: ["delimiter": "\""]), [Field("A", .string), Field("B", .string)]),
            (FormatSpec(.kafka), [Field("A", .string)]), (FormatSpec(.jsonSR), nestedFields),
        ]
        for (spec, fields) in specs {
            let together = try decode(block(records), spec, fields)
            #expect(together.rows.count + together.reasons.count == records.count, "seed \(seed) \(spec.kind)")
            var kept: [UInt32] = [], rows: [[SQLValue]] = []
            for (i, record) in records.enumerated() {
                // Alone, and with other bytes behind it.
                var one = block([record])
                one.buffer.replaceSubrange((one.buffer.count - RecordBlock.paddingBytes)..., with: [UInt8](repeating: seed.isMultiple(of: 2) ? 0x22 : 0x2c, count: RecordBlock.paddingBytes))
                let alone = try decode(one, spec, fields)
                if let row = alone.rows.first {
                    kept.append(UInt32(i))
                    rows.append(row)
                }
            }
            #expect(together.kept == kept, "seed \(seed) \(spec.kind)")
            // NaN is no text of JSON numbers and is equal to nothing: rows are compared as text.
            #expect("\(together.rows)" == "\(rows)", "seed \(seed) \(spec.kind)")
        }
    }
}
