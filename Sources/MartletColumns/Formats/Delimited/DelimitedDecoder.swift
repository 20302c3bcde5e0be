import MartletCore

#if canImport(Glibc)
    import Glibc
#endif

/// Reads CSV lines (RFC 4180, ksqlDB's DELIMITED) straight into columns: one pass, directed by the schema.
///
/// Two readers write the same columns. The *fast* one knows only the common shapes: plain numbers in place, text without doubled quotes,
/// skipped fields checked for shape. At the first byte it does not expect it gives the row up to the *careful* one (`CSVLine`), which knows
/// all of CSV and of Java's number syntax, and alone reports errors. So the fast one decides nothing, it is only fast.
///
/// Unsafe pointers, because this loop is 80 % of a CSV pipeline and checked subscripts cost it 1.6×. They are safe because the buffer has
/// `RecordBlock.paddingBytes` readable bytes after each record and the end is compared after every field.
struct DelimitedDecoder: Sendable {
    enum Shape: UInt8 { case text, skippedText, int32, int64, skippedInt32, skippedInt64, double, skippedDouble, other }

    struct Operation: Sendable {
        var shape: Shape
        /// Field whose appender gets the value.
        var field: Int
        var isRequired: Bool
    }

    let request: DecodeRequest
    let delimiter: UInt8
    private let operations: [Operation]
    /// The required field to look at before a row is read, if that saves work: the last of the line, or one behind numbers.
    private let lookAhead: Int?

    init(request: DecodeRequest, delimiter: UInt8) {
        self.request = request
        self.delimiter = delimiter
        let outputs = request.outputs, required = Set(request.notNull)
        let operations: [Operation] = request.fields.indices.map { i in
            let kept = outputs[i] != nil
            let shape: Shape =
                switch request.fields[i].type {
                case .string: kept ? .text : .skippedText
                case .integer, .date: kept ? .int32 : .skippedInt32
                case .bigint, .timestamp: kept ? .int64 : .skippedInt64
                case .double: kept ? .double : .skippedDouble
                default: .other
                }
            return Operation(shape: shape, field: i, isRequired: required.contains(i))
        }
        self.operations = operations
        let last = request.fields.count - 1
        lookAhead =
            required.contains(last) && last > 0
            ? last : required.max().flatMap { field in operations[..<field].count { $0.shape == .double } > 3 ? field : nil }
    }

    func decode(_ slices: RecordSlices, errors: inout RowErrors) -> RecordDecoder.Decoded {
        let count = slices.count
        // A column that is not wanted but has to be checked in the careful way needs a place to put its value.
        let appenders = request.fields.map { ColumnAppender($0.type, capacity: count) }
        let slots = appenders.map(\.slot)
        let extra = ExtraBytes(after: slices.buffer.count)
        var selection = RowSelection(capacity: count)

        slices.buffer.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            slots.withUnsafeBufferPointer { slots in
                operations.withUnsafeBufferPointer { operations in
                    for row in 0..<count {
                        let length = Int(slices.lengths[row])
                        let out = selection.count
                        if length < 0 {
                            if !request.notNull.isEmpty { continue }
                            for appender in appenders { appender.storeNull(out) }
                            selection.keep(row, isNull: true)
                            continue
                        }
                        let start = base + Int(slices.starts[row])
                        if let lookAhead, isNull(lookAhead, start, length) { continue }
                        switch fast(start, length, base, slots, operations, row: out) {
                        case .kept: selection.keep(row)
                        case .unwanted: reset(appenders, row: out)
                        case .unknown:
                            reset(appenders, row: out)
                            let line = UnsafeBufferPointer(start: start, count: length)
                            switch careful(line, base, slots, appenders, extra, row: out) {
                            case .kept: selection.keep(row)
                            case .unwanted: reset(appenders, row: out)
                            case .failed(let column, let reason):
                                reset(appenders, row: out)
                                errors.add(row: row, column: column, reason)
                            }
                        }
                    }
                }
            }
        }
        for appender in appenders { appender.count = selection.count }
        let joined = extra.joined(slices.buffer)
        return selection.decoded(request.output { appenders[$0].finish(joined) }, of: count)
    }

    private func reset(_ appenders: [ColumnAppender], row: Int) {
        for appender in appenders { appender.valid[row] = true }
    }

    // MARK: the fast reader

    private enum FastOutcome { case kept, unwanted, unknown }

    private func fast(
        _ start: UnsafePointer<UInt8>, _ length: Int, _ base: UnsafePointer<UInt8>, _ slots: UnsafeBufferPointer<ColumnAppender.Slot>,
        _ operations: UnsafeBufferPointer<Operation>, row: Int
    ) -> FastOutcome {
        let tens = NumberScan.tens, integerTens = NumberScan.integerTens
        let delimiter = self.delimiter
        let end = start + length
        var p = start
        let last = operations.count &- 1
        // No bytes are no record, even of a single column.
        if last < 0 || length == 0 { return .unknown }
        for i in 0...last {
            let operation = operations[i]
            // An empty field is null. At the end of a line there is no delimiter to see.
            if p == end || p.pointee == delimiter {
                if operation.isRequired { return .unwanted }
                if p == end, i != last { return .unknown }
                setNull(operation, slots[operation.field], row)
            } else {
                switch operation.shape {
                case .double:
                    var value = 0.0
                    if !NumberScan.plainDouble(&p, &value, tens: tens, integerTens: integerTens) { return .unknown }
                    slots[operation.field].store(value, row)
                case .skippedDouble:
                    // Its value is not used: the compiler drops the arithmetic and the shape check stays.
                    var value = 0.0
                    if !NumberScan.plainDouble(&p, &value, tens: tens, integerTens: integerTens) { return .unknown }
                case .int32:
                    var value: Int64 = 0
                    if !plainInteger(&p, &value) { return .unknown }
                    guard let small = Int32(exactly: value) else { return .unknown }
                    slots[operation.field].store(small, row)
                case .int64:
                    var value: Int64 = 0
                    if !plainInteger(&p, &value) { return .unknown }
                    slots[operation.field].store(value, row)
                case .skippedInt32:
                    var value: Int64 = 0
                    if !plainInteger(&p, &value) || Int32(exactly: value) == nil { return .unknown }
                case .skippedInt64:
                    var value: Int64 = 0
                    if !plainInteger(&p, &value) { return .unknown }
                case .text, .skippedText:
                    var first = p, isASCII = true
                    guard let size = text(&p, &first, end, &isASCII) else { return .unknown }
                    if operation.shape == .text {
                        if !isASCII, !UTF8Check.isValid(UnsafeBufferPointer(start: first, count: size)) { return .unknown }
                        if size == 0 {
                            if operation.isRequired { return .unwanted }
                            setNull(operation, slots[operation.field], row)
                        } else {
                            slots[operation.field].store(start: first - base, length: size, row)
                        }
                    } else if size == 0, operation.isRequired {
                        return .unwanted
                    }
                case .other:
                    var first = p, isASCII = true
                    guard let size = text(&p, &first, end, &isASCII) else { return .unknown }
                    let field = UnsafeBufferPointer(start: first, count: size)
                    switch request.fields[operation.field].type {
                    case .boolean where size > 0: slots[operation.field].store(CSVLine.boolean(field), row)
                    case .decimal(let precision, let scale):
                        guard let value = NumberScan.decimal(field, precision: precision, scale: scale) else { return .unknown }
                        slots[operation.field].store(value, row)
                    default: return .unknown
                    }
                }
            }
            if i < last {
                if p >= end || p.pointee != delimiter { return .unknown }
                p += 1
            } else if p != end {
                return .unknown
            }
        }
        return .kept
    }

    @inline(__always)
    private func setNull(_ operation: Operation, _ slot: ColumnAppender.Slot, _ row: Int) {
        switch operation.shape {
        case .text: slot.store(start: 0, length: 0, row)
        case .double: slot.store(0.0, row)
        case .int32: slot.store(Int32(0), row)
        case .int64: slot.store(Int64(0), row)
        case .skippedText, .skippedInt32, .skippedInt64, .skippedDouble: return
        case .other:
            switch request.fields[operation.field].type {
            case .boolean: slot.store(false, row)
            case .decimal: slot.store(Int128(0), row)
            case .bytes: slot.store(start: 0, length: 0, row)
            default: slot.store(Int32(0), row)
            }
        }
        slot.valid[row] = false
    }

    /// Reads `[-]digits`, at most 18 of them.
    @inline(__always)
    private func plainInteger(_ p: inout UnsafePointer<UInt8>, _ value: inout Int64) -> Bool {
        let negative = p.pointee == 0x2d
        if negative { p += 1 }
        let start = p
        var digits: UInt64 = 0
        var digit = UInt64(p.pointee &- 0x30)
        while digit < 10 {
            digits = digits &* 10 &+ digit
            p += 1
            digit = UInt64(p.pointee &- 0x30)
            if p - start > 18 { return false }
        }
        if p == start { return false }
        value = negative ? 0 &- Int64(digits) : Int64(digits)
        return true
    }

    /// Finds the end of a text field, plain or in quotes without doubled ones; returns its size and sets `first`. Nil if it is of another kind.
    @inline(__always)
    private func text(
        _ p: inout UnsafePointer<UInt8>, _ first: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ isASCII: inout Bool
    ) -> Int? {
        var high: UInt64 = 0
        if p.pointee == 0x22 {
            p += 1
            first = p
            while p < end {
                let word = NumberScan.word(p)
                high |= word
                let hits = NumberScan.zeroBytes(word ^ 0x2222_2222_2222_2222)
                if hits != 0 {
                    p += hits.trailingZeroBitCount &>> 3
                    if p >= end { return nil }
                    let size = p - first
                    p += 1
                    isASCII = high & 0x8080_8080_8080_8080 == 0
                    return p == end || p.pointee == delimiter ? size : nil
                }
                p += 8
            }
            return nil
        }
        first = p
        let pattern = UInt64(delimiter) &* 0x0101_0101_0101_0101
        while p < end {
            let word = NumberScan.word(p)
            high |= word
            // The delimiter, or any control character: a line break ends the record, so the careful reader has to see it.
            let hits = NumberScan.zeroBytes(word ^ pattern) | ((word &- 0x2020_2020_2020_2020) & ~word & 0x8080_8080_8080_8080)
            if hits != 0 {
                p += hits.trailingZeroBitCount &>> 3
                isASCII = high & 0x8080_8080_8080_8080 == 0
                if p >= end {
                    p = end
                    return p - first
                }
                return p.pointee == delimiter ? p - first : nil
            }
            p += 8
        }
        p = end
        isASCII = high & 0x8080_8080_8080_8080 == 0
        return p - first
    }

    /// Whether the field is certainly null, seen without reading those before it as numbers.
    private func isNull(_ field: Int, _ start: UnsafePointer<UInt8>, _ length: Int) -> Bool {
        if field == operations.count - 1 {
            guard length > 0 else { return false }
            let end = start + length
            if end[-1] == delimiter { return true }
            return length > 2 && end[-1] == 0x22 && end[-2] == 0x22 && end[-3] == delimiter
        }
        let end = start + length
        var p = start
        for _ in 0..<field {
            var first = p, isASCII = true
            if p < end, p.pointee != delimiter, text(&p, &first, end, &isASCII) == nil { return false }
            if p >= end { return false }
            p += 1
        }
        return p == end || p.pointee == delimiter || (end - p > 1 && p[0] == 0x22 && p[1] == 0x22 && (end - p == 2 || p[2] == delimiter))
    }

    // MARK: the careful reader

    private enum CarefulOutcome {
        case kept, unwanted
        case failed(column: String, reason: String)
    }

    private func careful(
        _ line: UnsafeBufferPointer<UInt8>, _ base: UnsafePointer<UInt8>, _ slots: UnsafeBufferPointer<ColumnAppender.Slot>,
        _ appenders: [ColumnAppender], _ extra: ExtraBytes, row: Int
    ) -> CarefulOutcome {
        let parts: [CSVLine.Part]
        switch CSVLine.split(line, delimiter: delimiter) {
        case .malformed(let reason): return .failed(column: "", reason: reason)
        case .parts(let found): parts = found
        }
        if parts.isEmpty { return .failed(column: "", reason: "No fields in record") }
        if parts.count != operations.count {
            return .failed(
                column: "", reason: "Column count mismatch on deserialization. expected: \(operations.count), got: \(parts.count)")
        }
        for operation in operations where operation.isRequired {
            if parts[operation.field].isEmpty { return .unwanted }
        }
        for operation in operations {
            let field = request.fields[operation.field], slot = slots[operation.field], part = parts[operation.field]
            if part.isEmpty {
                appenders[operation.field].storeNull(row)
                continue
            }
            let isStored = part.withBytes(line) { text -> Bool in
                func stored<T: BitwiseCopyable>(_ value: T?) -> Bool {
                    guard let value else { return false }
                    slot.store(value, row)
                    return true
                }
                switch field.type {
                case .string:
                    if part.unescaped == nil, UTF8Check.isValid(text) {
                        slot.store(start: text.baseAddress! - base, length: text.count, row)
                    } else {
                        let kept = UTF8Check.repaired(text)
                        slot.store(start: extra.keep(kept), length: kept.count, row)
                    }
                    return true
                case .bytes:
                    guard let bytes = Base64.decode(text) else { return false }
                    slot.store(start: extra.keep(bytes), length: bytes.count, row)
                    return true
                case .boolean: return stored(CSVLine.boolean(text))
                case .integer: return stored(NumberScan.integer(text, as: Int32.self))
                case .bigint, .timestamp: return stored(NumberScan.integer(text, as: Int64.self))
                case .date: return stored(NumberScan.integer(text, as: Int32.self))
                case .time:
                    let value = NumberScan.integer(text, as: Int32.self)
                    return stored(value.flatMap { (0..<86_400_000).contains($0) ? $0 : nil })
                case .double: return stored(NumberScan.double(text))
                case .decimal(let precision, let scale): return stored(NumberScan.decimal(text, precision: precision, scale: scale))
                case .array, .map, .structure: return false
                }
            }
            if !isStored { return .failed(column: field.name, reason: "column \(SQLType.quoted(field.name)): the field is not \(Self.expected(field.type))") }
        }
        return .kept
    }

    private static func expected(_ type: SQLType) -> String {
        switch type {
        case .integer: "an INTEGER (digits, -2147483648 to 2147483647)"
        case .bigint: "a BIGINT (digits in the 64-bit range)"
        case .double: "a DOUBLE"
        case .decimal(let precision, let scale): "a number that fits DECIMAL(\(precision), \(scale)) without rounding"
        case .bytes: "base64 text"
        case .date: "a number of days since 1970-01-01"
        case .time: "a number of milliseconds from 0 to 86399999"
        case .timestamp: "a number of milliseconds since 1970-01-01"
        default: "a \(type)"
        }
    }
}
