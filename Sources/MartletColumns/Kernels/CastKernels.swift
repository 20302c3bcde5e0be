import MartletCore

/// CAST of columns and of single values (the allowed pairs: `CastRules.canCast`). A value that does not convert is null and a fatal failure.
enum CastKernels {
    static func cast(_ column: Column, to type: SQLType, _ failures: inout RowFailures) -> Column {
        switch (column, type) {
        case (.integer(let c), .bigint): return .bigint(FixedColumn(c.values.map { Int64($0) }, validity: c.validity))
        case (.integer(let c), .double): return .double(FixedColumn(c.values.map { Double($0) }, validity: c.validity))
        case (.bigint(let c), .integer): return .integer(FixedColumn(c.values.map { Int32(truncatingIfNeeded: $0) }, validity: c.validity))
        case (.bigint(let c), .double): return .double(FixedColumn(c.values.map { Double($0) }, validity: c.validity))
        case (.double(let c), .integer): return .integer(FixedColumn(c.values.map { saturated($0) }, validity: c.validity))
        case (.double(let c), .bigint): return .bigint(FixedColumn(c.values.map { saturated($0) }, validity: c.validity))
        case (.decimal(let c, _, let scale), .double):
            return .double(FixedColumn(c.values.map { double($0, scale) }, validity: c.validity))
        case (.timestamp(let c), .date):
            return .date(FixedColumn(c.values.map { Int32(clamping: CivilDate.floorDiv(Int($0), 86_400_000)) }, validity: c.validity))
        case (.timestamp(let c), .time):
            return .time(FixedColumn(c.values.map { Int32(CivilDate.floorMod(Int($0), 86_400_000)) }, validity: c.validity))
        case (.date(let c), .timestamp):
            return .timestamp(FixedColumn(c.values.map { Int64($0) * 86_400_000 }, validity: c.validity))
        case (_, .string): return .string(TextWriter.texts(column))
        case (.string(let c), .integer): return .integer(parsed(c, type, zero: 0, &failures) { NumberScan.integer($0, as: Int32.self) })
        case (.string(let c), .bigint): return .bigint(parsed(c, type, zero: 0, &failures) { NumberScan.integer($0, as: Int64.self) })
        case (.string(let c), .double):
            return .double(
                parsed(c, type, zero: 0, &failures) { text in
                    // No "nan", "inf", hexadecimal or suffixes.
                    guard let last = text.last, text.allSatisfy({ $0 < 0x3a || $0 | 0x20 == 0x65 }), last < 0x3a else { return nil }
                    return NumberScan.double(text)
                })
        case (.string(let c), .date):
            return .date(parsed(c, type, zero: 0, &failures, format: TemporalText.dateFormat) { TemporalText.date($0) })
        case (.string(let c), .timestamp):
            return .timestamp(parsed(c, type, zero: 0, &failures, format: TemporalText.timestampFormat) { TemporalText.timestamp($0) })
        case (.integer(let c), .decimal(let p, let s)): return decimals(c, p, s, &failures) { Decimal128(unscaled: Int128($0), scale: 0) }
        case (.bigint(let c), .decimal(let p, let s)): return decimals(c, p, s, &failures) { Decimal128(unscaled: Int128($0), scale: 0) }
        case (.decimal(let c, _, let scale), .decimal(let p, let s)): return decimals(c, p, s, &failures) { Decimal128(unscaled: $0, scale: scale) }
        case (.double(let c), .decimal(let p, let s)):
            // By the shortest text, as Java's BigDecimal.valueOf.
            var text = ByteWriter(capacity: 64)
            return decimals(c, p, s, &failures) { value in
                text.count = 0
                text.append(double: value)
                guard let number = NumberScan.bigNumber(UnsafeBufferPointer(start: text.base, count: text.count)), let digits = number.unscaled,
                    number.exponent <= 0, number.exponent >= -38, digits < UInt128(Int128.max)
                else { return value.isFinite ? Decimal128(parsing: value.description) : nil }
                return Decimal128(unscaled: number.negative ? -Int128(digits) : Int128(digits), scale: -number.exponent)
            }
        case (.array(let list), .array(let element)):
            var inner = RowFailures()
            let elements = cast(list.elements, to: element, &inner)
            // A failing element fails the row it is in: below.
            if inner.isEmpty { return .array(ListColumn(offsets: list.offsets, elements: elements, validity: list.validity)) }
        default: break
        }
        var builder = ColumnBuilder(type)
        for row in 0..<column.count {
            do {
                builder.append(try cast(column.value(row), to: type))
            } catch {
                failures.add(row, error.reason, isFatal: true)
                builder.append(.null)
            }
        }
        return builder.column
    }

    static func cast(_ value: SQLValue, to type: SQLType) throws(KernelFailure) -> SQLValue {
        switch (value, type) {
        case (.null, _): return .null
        case (.array(let values), .array(let element)):
            var out: [SQLValue] = []
            for value in values { out.append(try cast(value, to: element)) }
            return .array(out)
        case (.map(let entries), .map(let key, let value)):
            var out: [SQLValue.MapEntry] = []
            for entry in entries { out.append(.init(try cast(entry.key, to: key), try cast(entry.value, to: value))) }
            return .map(out)
        case (.structure(let values), .structure(let fields)):
            var out: [SQLValue.StructField] = []
            for field in fields {
                out.append(.init(field.name, try cast(values.first { $0.name == field.name }?.value ?? .null, to: field.type)))
            }
            return .structure(out)
        case (_, .string): return .string(value.castText)
        case (.string(let text), _): return try parse(text, as: type)
        case (.boolean, .boolean), (.integer, .integer), (.bigint, .bigint), (.double, .double), (.bytes, .bytes), (.date, .date),
            (.time, .time), (.timestamp, .timestamp):
            return value
        case (.integer(let v), .bigint): return .bigint(Int64(v))
        case (.integer(let v), .double): return .double(Double(v))
        case (.integer(let v), .decimal(let p, let s)): return try fitted(Decimal128(unscaled: Int128(v), scale: 0), p, s)
        case (.bigint(let v), .integer): return .integer(Int32(truncatingIfNeeded: v))
        case (.bigint(let v), .double): return .double(Double(v))
        case (.bigint(let v), .decimal(let p, let s)): return try fitted(Decimal128(unscaled: Int128(v), scale: 0), p, s)
        case (.decimal(let v), .integer): return .integer(Int32(truncatingIfNeeded: whole(v)))
        case (.decimal(let v), .bigint): return .bigint(Int64(truncatingIfNeeded: whole(v)))
        case (.decimal(let v), .double): return .double(double(v.unscaled, v.scale))
        case (.decimal(let v), .decimal(let p, let s)): return try fitted(v, p, s)
        case (.double(let v), .integer): return .integer(saturated(v))
        case (.double(let v), .bigint): return .bigint(saturated(v))
        case (.double(let v), .decimal(let p, let s)):
            guard let exact = Decimal128(parsing: v.description) else {
                throw KernelFailure("\(v.javaDescription) is not a DECIMAL(\(p), \(s))")
            }
            return try fitted(exact, p, s)
        case (.timestamp(let v), .date): return .date(Int32(clamping: CivilDate.floorDiv(Int(v), 86_400_000)))
        case (.timestamp(let v), .time): return .time(Int32(CivilDate.floorMod(Int(v), 86_400_000)))
        case (.date(let v), .timestamp): return .timestamp(Int64(v) * 86_400_000)
        default: throw KernelFailure("a cast to \(type) is not supported for this value")
        }
    }

    private static func fitted(_ value: Decimal128, _ precision: Int, _ scale: Int) throws(KernelFailure) -> SQLValue {
        guard let fitted = value.fitted(precision: precision, scale: scale) else {
            throw KernelFailure("Numeric field overflow: a field with precision \(precision) and scale \(scale) must round to an absolute value less than 10^\(precision - scale)")
        }
        return .decimal(fitted)
    }

    /// Integer part, towards zero.
    static func whole(_ value: Decimal128) -> Int128 {
        value.scale == 0 ? value.unscaled : value.scale > 38 ? 0 : value.unscaled / Decimal128.powersOfTen[value.scale]
    }

    /// As Java narrows: towards zero, saturating, NaN is 0.
    static func saturated<T: FixedWidthInteger & SignedInteger>(_ value: Double) -> T {
        if value.isNaN { return 0 }
        if value >= Double(T.max) { return T.max }
        return value <= Double(T.min) ? T.min : T(value)
    }

    static func double(_ unscaled: Int128, _ scale: Int) -> Double {
        // Up to 2^53 and 10^22 both parts are exact doubles and the quotient is the nearest one.
        if unscaled.magnitude <= 1 << 53, scale <= 22 { return Double(Int64(unscaled)) / Double(Decimal128.powersOfTen[scale]) }
        return Decimal128(unscaled: unscaled, scale: scale).doubleValue
    }

    // MARK: text

    /// DECIMAL(precision, scale) of what `exact` makes of each value, rounded half up; nil, or what does not fit, is a failure.
    private static func decimals<T>(
        _ column: FixedColumn<T>, _ precision: Int, _ scale: Int, _ failures: inout RowFailures, _ exact: (T) -> Decimal128?
    ) -> Column {
        var out = FixedColumn([Int128](repeating: 0, count: column.count), validity: column.validity)
        for row in 0..<column.count where column.validity.isValid(row) {
            if let fitted = exact(column.values[row])?.fitted(precision: precision, scale: scale) {
                out.values[row] = fitted.unscaled
            } else {
                out.validity.setNull(row, count: column.count)
                failures.add(
                    row, "Numeric field overflow: a field with precision \(precision) and scale \(scale) must round to an absolute value less than 10^\(precision - scale)",
                    isFatal: true)
            }
        }
        return .decimal(out, precision: precision, scale: scale)
    }

    /// What `read` makes of the trimmed text of each row; nil is a failure.
    private static func parsed<T>(
        _ column: BytesColumn, _ type: SQLType, zero: T, _ failures: inout RowFailures, format: String? = nil,
        _ read: (UnsafeBufferPointer<UInt8>) -> T?
    ) -> FixedColumn<T> {
        var out = FixedColumn([T](repeating: zero, count: column.count), validity: column.validity)
        column.buffer.withUnsafeBufferPointer { buffer in
            for row in 0..<column.count where column.validity.isValid(row) {
                var from = Int(column.starts[row]), to = from + Int(column.lengths[row])
                while from < to, buffer[from] <= 0x20 { from += 1 }
                while to > from, buffer[to - 1] <= 0x20 { to -= 1 }
                if let value = read(UnsafeBufferPointer(rebasing: buffer[from..<to])) {
                    out.values[row] = value
                } else {
                    out.validity.setNull(row, count: column.count)
                    failures.add(row, format.map { "Required format is: \"\($0)\"" } ?? "text does not denote a value of type \(type)", isFatal: true)
                }
            }
        }
        return out
    }

    static func trimmed(_ text: String) -> Substring.UTF8View {
        var bytes = Substring(text).utf8
        while let first = bytes.first, first <= 0x20 { bytes = bytes.dropFirst() }
        while let last = bytes.last, last <= 0x20 { bytes = bytes.dropLast() }
        return bytes
    }

    private static func parse(_ text: String, as type: SQLType) throws(KernelFailure) -> SQLValue {
        let bytes = trimmed(text)
        let shown = String(Substring(bytes))
        func fail() -> KernelFailure { KernelFailure("text does not denote a value of type \(type)") }
        switch type {
        case .boolean:
            let lower = shown.lowercased()
            return .boolean(!lower.isEmpty && ("true".hasPrefix(lower) || "yes".hasPrefix(lower)))
        case .integer:
            guard let value = Int32(shown) else { throw fail() }
            return .integer(value)
        case .bigint:
            guard let value = Int64(shown) else { throw fail() }
            return .bigint(value)
        case .double:
            // Only digits: no "nan", "inf" or hexadecimal.
            let plain = bytes.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || "+-.eE".utf8.contains($0) }
            guard plain, let value = Double(shown) else { throw fail() }
            return .double(value)
        case .decimal(let precision, let scale):
            guard let value = Decimal128(parsing: shown) else { throw fail() }
            return try fitted(value, precision, scale)
        case .bytes:
            guard let value = Base64.decode(bytes) else { throw fail() }
            return .bytes(value)
        case .timestamp: return .timestamp(try temporal { () throws(MartletError) in try TemporalText.parseTimestamp(shown) })
        case .date: return .date(try temporal { () throws(MartletError) in try TemporalText.parseDate(shown) })
        case .time: return .time(try temporal { () throws(MartletError) in try TemporalText.parseTime(shown) })
        default: throw fail()
        }
    }

    private static func temporal<T>(_ body: () throws(MartletError) -> T) throws(KernelFailure) -> T {
        do { return try body() } catch { throw KernelFailure(error.message) }
    }
}
