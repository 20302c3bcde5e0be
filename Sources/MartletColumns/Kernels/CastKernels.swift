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
        case (.string(let c), .integer), (.string(let c), .bigint): return wholeNumbers(c, to: type, &failures)
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

    /// Whole numbers of texts, as Java's `parseInt` and `parseLong` read them behind a trim.
    private static func wholeNumbers(_ column: BytesColumn, to type: SQLType, _ failures: inout RowFailures) -> Column {
        var values = [Int64](repeating: 0, count: column.count), validity = column.validity
        let least = type == .integer ? Int64(Int32.min) : Int64.min, most = type == .integer ? Int64(Int32.max) : Int64.max
        for row in 0..<column.count where column.validity.isValid(row) {
            if let value = wholeNumber(column.slice(row)), value >= least, value <= most {
                values[row] = value
            } else {
                validity.setNull(row, count: column.count)
                failures.add(row, "text does not denote a value of type \(type)", isFatal: true)
            }
        }
        if type == .bigint { return .bigint(FixedColumn(values, validity: validity)) }
        return .integer(FixedColumn(values.map { Int32(truncatingIfNeeded: $0) }, validity: validity))
    }

    private static func wholeNumber(_ text: ArraySlice<UInt8>) -> Int64? {
        var at = text.startIndex, end = text.endIndex
        while at < end, text[at] <= 0x20 { at += 1 }
        while end > at, text[end - 1] <= 0x20 { end -= 1 }
        guard at < end else { return nil }
        let isNegative = text[at] == UInt8(ascii: "-")
        if isNegative || text[at] == UInt8(ascii: "+") { at += 1 }
        guard at < end else { return nil }
        var value: Int64 = 0
        while at < end {
            let digit = text[at] &- 0x30
            guard digit < 10 else { return nil }
            let (scaled, isOver) = value.multipliedReportingOverflow(by: 10)
            let (sum, isOver2) = scaled.subtractingReportingOverflow(Int64(digit))
            if isOver || isOver2 { return nil }
            value = sum
            at += 1
        }
        // Collected below zero, where there is one more.
        return isNegative ? value : value == Int64.min ? nil : -value
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
