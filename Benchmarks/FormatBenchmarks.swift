import MartletColumns
import MartletCore

/// Formats on the rows of the credit-card job: 34 fields of a CSV line in, 31 nullable Avro fields out.
public enum FormatBenchmarks {
    public typealias Result = (name: String, rows: Int, seconds: Double)

    static let csvFields: [Field] =
        [Field("ID", .bigint), Field("TIMESTAMP", .string), Field("USER", .string), Field("TIME", .integer)]
        + (1...28).map { Field("V\($0)", .double) } + [Field("AMOUNT", .double), Field("CLASS", .string)]
    static let wanted = Array(3..<34)
    static var outFields: [Field] { wanted.map { csvFields[$0] } }

    /// - `lines`: CSV lines of the shape above; none: generated ones.
    /// - `rows`: rows of a block.
    public static func all(lines: [[UInt8]] = [], rows: Int = 4096, repetitions: Int = 40) -> [Result] {
        let block = csvBlock(lines, rows: rows)
        var results: [Result] = []
        results.append(measure("DELIMITED decode, by hand", rows, repetitions) { byHand(block) })
        results.append(measure("DELIMITED decode, 31 of 34 columns", rows, repetitions) { decode(FormatSpec(.delimited), block, csvFields, wanted).count })
        results.append(
            measure("DELIMITED decode, 1 of 34 columns", rows, repetitions) { decode(FormatSpec(.delimited), block, csvFields, [33]).count })
        let columns = decode(FormatSpec(.delimited), block, csvFields, wanted)
        for spec in [FormatSpec(.avro), FormatSpec(.protobuf), FormatSpec(.json), FormatSpec(.delimited)] {
            // One buffer for all batches, as a sink has.
            var encoded = EncodedColumn()
            results.append(
                measure("\(spec.kind.rawValue) encode, 31 columns", rows, repetitions) {
                    encoded.removeAll()
                    encode(spec, columns, rows, into: &encoded)
                    return encoded.count
                })
            let again = self.block(encoded)
            results.append(
                measure("\(spec.kind.rawValue) decode, 31 columns", rows, repetitions) {
                    decode(spec, again, outFields, Array(0..<31), notNull: []).count
                })
        }
        results += small(rows, repetitions)
        let writer = JSONRowWriter(outFields)
        results.append(
            measure("REST JSON, 31 columns", rows, repetitions) {
                var out = EncodedColumn()
                writer.append(columns, count: rows, to: &out)
                return out.count
            })
        return results
    }

    /// What preprocessing costs without log or engine: each line parsed by hand, its 31 columns encoded as Avro, the CRC of the result.
    public static func bareLoop(lines: [[UInt8]], repetitions: Int = 20) -> Result {
        let block = csvBlock(lines, rows: lines.count)
        let columns = decode(FormatSpec(.delimited), block, csvFields, wanted)
        var encoded = EncodedColumn()
        return measure("bare loop", lines.count, repetitions) {
            let parsed = byHand(block)
            encoded.removeAll()
            encode(FormatSpec(.avro), columns, lines.count, into: &encoded)
            return parsed + Int(CRC32C.checksum(encoded.buffer))
        }
    }

    /// Small events: `{"user":"u4711","n":17}`.
    static func small(_ rows: Int, _ repetitions: Int) -> [Result] {
        let fields = [Field("USER", .string), Field("N", .bigint)]
        var random = SeededRandom(seed: 3), out = EncodedColumn()
        for _ in 0..<rows {
            let line = Array("{\"user\":\"u\(Int.random(in: 0..<10_000, using: &random))\",\"n\":\(Int.random(in: 0..<1000, using: &random))}".utf8)
            out.starts.append(UInt32(out.buffer.count))
            out.lengths.append(Int32(line.count))
            out.buffer += line
        }
        let block = block(out), columns = decode(FormatSpec(.json), block, fields, [0, 1], notNull: [])
        return [
            measure("JSON decode, 2 columns", rows, repetitions) { decode(FormatSpec(.json), block, fields, [0, 1], notNull: []).count },
            measure("JSON encode, 2 columns", rows, repetitions) {
                guard var encoder = try? RecordEncoder(spec: FormatSpec(.json), fields: fields) else { return 0 }
                var errors = RowErrors()
                out.removeAll()
                encoder.encode(columns, count: rows, into: &out, errors: &errors)
                return out.count
            },
        ]
    }

    /// The least of all repetitions: the machine's other work only adds.
    static func measure(_ name: String, _ rows: Int, _ repetitions: Int, _ body: () -> Int) -> Result {
        let clock = ContinuousClock()
        var best = Double.infinity, sum = 0
        for _ in 0..<repetitions {
            let time = clock.measure { sum &+= body() }
            best = min(best, Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18)
        }
        precondition(sum > 0, "the benchmark did something")
        return (name, rows, best)
    }

    static func decode(_ spec: FormatSpec, _ block: RecordBlock, _ fields: [Field], _ wanted: [Int], notNull: [Int] = [33]) -> [Column] {
        guard
            var decoder = try? RecordDecoder(spec: spec, fields: fields, wanted: wanted, notNull: notNull, schemas: OneSchema(kind: spec.kind, fields: fields))
        else { preconditionFailure("the format holds these columns") }
        var errors = RowErrors()
        let decoded = decoder.decode(block, side: .value, errors: &errors)
        precondition(errors.count == 0, "benchmark rows are well-formed: \(errors.entries.first?.reason ?? "")")
        return decoded.columns
    }

    static func encode(_ spec: FormatSpec, _ columns: [Column], _ rows: Int, into out: inout EncodedColumn) {
        guard var encoder = try? RecordEncoder(spec: spec, fields: outFields, schemaID: spec.kind.usesSchemaRegistry ? 1 : nil) else {
            preconditionFailure("the format holds these columns")
        }
        var errors = RowErrors()
        encoder.encode(columns, count: rows, into: &out, errors: &errors)
    }

    struct OneSchema: SchemaSource {
        var kind: FormatKind
        var fields: [Field]
        func writerSchema(id: Int32) throws(MartletError) -> RegisteredSchema {
            RegisteredSchema(type: kind.rawValue, text: try SchemaTranslation.schemaText(for: fields, spec: FormatSpec(kind), side: .value))
        }
    }

    static func block(_ encoded: EncodedColumn) -> RecordBlock {
        var block = RecordBlock(partition: 0, nextOffset: Int64(encoded.count))
        block.buffer = encoded.buffer + [UInt8](repeating: 0, count: RecordBlock.paddingBytes)
        block.offsets = (0..<Int64(encoded.count)).map { $0 }
        block.timestamps = block.offsets
        block.valueStarts = encoded.starts
        block.valueLengths = encoded.lengths
        block.keyStarts = encoded.starts
        block.keyLengths = encoded.lengths.map { _ in -1 }
        return block
    }

    /// The given lines over and over, last digits of their numbers changed, so that no row is like another.
    static func csvBlock(_ lines: [[UInt8]], rows: Int) -> RecordBlock {
        var random = SeededRandom(seed: 92)
        var out = EncodedColumn()
        for row in 0..<rows {
            var line: [UInt8]
            if lines.isEmpty {
                var text = "\(row),\"2018-12-18T12:00:00Z\",\"Kai\",\(row)"
                for _ in 0..<28 { text += ",\(Double(Int.random(in: -2_000_000_000_000_000...2_000_000_000_000_000, using: &random)) / 1e15)" }
                line = Array((text + ",\(Double(Int.random(in: 1...50_000, using: &random)) / 100),\"0\"").utf8)
            } else {
                line = lines[row % lines.count]
                var inNumber = 0
                for i in line.indices.dropLast(4) {
                    if line[i] == 0x2e { inNumber = 1 } else if line[i] &- 0x30 > 9 { inNumber = 0 }
                    if inNumber > 0, line[i] &- 0x30 < 10 { line[i] = 0x30 + UInt8.random(in: 0...9, using: &random) }
                }
            }
            out.starts.append(UInt32(out.buffer.count))
            out.lengths.append(Int32(line.count))
            out.buffer += line
        }
        return block(out)
    }

    /// What a person would write for just these lines: no schema, no nulls, no checks. The measure of what generality costs.
    static func byHand(_ block: RecordBlock) -> Int {
        let rows = block.count
        var doubles = [Double](repeating: 0, count: 29 * rows), times = [Int32](repeating: 0, count: rows)
        var classes = [UInt32](repeating: 0, count: rows)
        let tens: [Double] = (0...22).map { power in (0..<power).reduce(1.0) { value, _ in value * 10 } }
        let whole: [UInt64] = (0...8).map { power in (0..<power).reduce(1) { value, _ in value * 10 } }
        block.buffer.withUnsafeBufferPointer { buffer in
            tens.withUnsafeBufferPointer { tens in
                whole.withUnsafeBufferPointer { whole in
                    doubles.withUnsafeMutableBufferPointer { doubles in
                        for row in 0..<rows {
                            var p = buffer.baseAddress! + Int(block.valueStarts[row])
                            for _ in 0..<3 {
                                while p.pointee != 0x2c { p += 1 }
                                p += 1
                            }
                            var time: Int32 = 0
                            while p.pointee != 0x2c {
                                time = time &* 10 &+ Int32(p.pointee &- 0x30)
                                p += 1
                            }
                            p += 1
                            times[row] = time
                            for field in 0..<29 {
                                let negative = p.pointee == 0x2d
                                if negative { p += 1 }
                                var digits: UInt64 = 0
                                while p.pointee &- 0x30 < 10 {
                                    digits = digits &* 10 &+ UInt64(p.pointee &- 0x30)
                                    p += 1
                                }
                                var scale = 0
                                if p.pointee == 0x2e {
                                    p += 1
                                    while true {
                                        let t = UnsafeRawPointer(p).loadUnaligned(as: UInt64.self) ^ 0x3030_3030_3030_3030
                                        let non = ((t &+ 0x7676_7676_7676_7676) | t) & 0x8080_8080_8080_8080
                                        let count = non == 0 ? 8 : non.trailingZeroBitCount &>> 3
                                        let shifted = count == 8 ? t : (t &<< UInt64(8 &* (7 &- count))) &<< 8
                                        let pairs = shifted &* 10 &+ (shifted &>> 8)
                                        let low = (pairs & 0x0000_00ff_0000_00ff) &* 0x000f_4240_0000_0064
                                        let high = ((pairs &>> 16) & 0x0000_00ff_0000_00ff) &* 0x0000_2710_0000_0001
                                        digits = digits &* whole[count] &+ ((low &+ high) &>> 32)
                                        p += count
                                        scale += count
                                        if count < 8 { break }
                                    }
                                }
                                let value = Double(digits) / tens[scale]
                                doubles[field * rows + row] = negative ? -value : value
                                p += 1
                            }
                            classes[row] = UInt32(p - buffer.baseAddress!) + 1
                        }
                    }
                }
            }
        }
        return times.count + doubles.count + classes.count
    }
}
