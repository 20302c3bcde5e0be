import MartletColumns
import MartletCore

/// Protobuf of case values, by a message of a schema: written and read field by field, independently of the engine's own columns.
struct RegisteredProtobuf {
    let schema: ProtobufSchema
    let message: ProtobufMessage

    private enum Meaning { case timestamp, date, time, decimal, wrapper, map, none }

    private func meaning(_ name: String) -> Meaning {
        switch name {
        case "google.protobuf.Timestamp": return .timestamp
        case "google.type.Date": return .date
        case "google.type.TimeOfDay": return .time
        case "confluent.type.Decimal": return .decimal
        default:
            if schema.messages[name]?.isMapEntry == true { return .map }
            return name.hasPrefix("google.protobuf.") && name.hasSuffix("Value") && schema.messages[name]?.fields.map(\.name) == ["value"]
                && name != "google.protobuf.Value" ? .wrapper : .none
        }
    }

    /// The number and kind bits before a field, as the specification counts them.
    private static func wireKind(_ kind: ProtobufField.Kind) -> UInt64 {
        switch kind {
        case .message, .scalar(.string), .scalar(.bytes): 2
        case .scalar(.double), .scalar(.fixed64), .scalar(.sfixed64): 1
        case .scalar(.float), .scalar(.fixed32), .scalar(.sfixed32): 5
        default: 0
        }
    }

    // MARK: writing

    /// - Throws: `.badRequest` if the value does not fit the message.
    func encode(_ value: JSONValue) throws(MartletError) -> [UInt8] { try encode(value, message) }

    private func encode(_ value: JSONValue, _ message: ProtobufMessage) throws(MartletError) -> [UInt8] {
        guard case .object(let object) = value else { throw MartletError(.badRequest, "case value \(value) is no message \(message.fullName)") }
        var out: [UInt8] = []
        func given(_ name: String, _ object: JSONObject) -> JSONValue? {
            object[name] ?? object.members.first { $0.name.uppercased() == name.uppercased() }?.value
        }
        for field in message.fields {
            var found = given(field.name, object)
            if let oneof = field.oneof, case .object(let inner)? = given("\(message.oneofs[oneof])_\(oneof)", object) { found = given(field.name, inner) }
            guard let found, !found.isNull else { continue }
            if field.isRepeated {
                var elements: [JSONValue] = []
                switch found {
                case .array(let values): elements = values
                case .object(let map): elements = map.members.map { ["key": .string($0.name), "value": $0.value] }
                default: throw misfit(found, field)
                }
                for element in elements { try write(element, field, to: &out) }
            } else {
                try write(found, field, to: &out)
            }
        }
        return out
    }

    private func misfit(_ value: JSONValue, _ field: ProtobufField) -> MartletError {
        MartletError(.badRequest, "case value \(value) does not fit Protobuf field \(field.name)")
    }

    private static func varint(_ value: UInt64, to out: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        out.append(UInt8(rest))
    }

    private static func delimited(_ bytes: [UInt8], to out: inout [UInt8]) {
        varint(UInt64(bytes.count), to: &out)
        out += bytes
    }

    private func write(_ value: JSONValue, _ field: ProtobufField, to out: inout [UInt8]) throws(MartletError) {
        Self.varint(UInt64(field.number) << 3 | Self.wireKind(field.kind), to: &out)
        let number = value.caseNumber
        switch field.kind {
        case .enumeration(let name):
            guard let constant = schema.enums[name]?.constants.first(where: { $0.name == value.stringValue }) else { throw misfit(value, field) }
            Self.varint(UInt64(bitPattern: Int64(constant.number)), to: &out)
        case .scalar(let scalar):
            switch scalar {
            case .bool:
                guard case .bool(let flag) = value else { throw misfit(value, field) }
                out.append(flag ? 1 : 0)
            case .string: Self.delimited(Array((value.stringValue ?? value.description).utf8), to: &out)
            case .bytes:
                guard let text = value.stringValue else { throw misfit(value, field) }
                Self.delimited(Base64.decode(text.utf8) ?? Array(text.utf8), to: &out)
            case .double, .float:
                guard let real = number.flatMap({ Double($0) }) else { throw misfit(value, field) }
                if scalar == .double {
                    withUnsafeBytes(of: real.bitPattern.littleEndian) { out.append(contentsOf: $0) }
                } else {
                    withUnsafeBytes(of: Float(real).bitPattern.littleEndian) { out.append(contentsOf: $0) }
                }
            default:
                guard let integer = number.flatMap({ BigNumber($0) })?.truncated else { throw misfit(value, field) }
                switch scalar {
                case .fixed32, .sfixed32: withUnsafeBytes(of: Int32(truncatingIfNeeded: integer).littleEndian) { out.append(contentsOf: $0) }
                case .fixed64, .sfixed64: withUnsafeBytes(of: integer.littleEndian) { out.append(contentsOf: $0) }
                case .sint32, .sint64: Self.varint(UInt64(bitPattern: integer << 1 ^ integer >> 63), to: &out)
                default: Self.varint(UInt64(bitPattern: integer), to: &out)
                }
            }
        case .message(let name):
            guard let inner = schema.messages[name] else { throw misfit(value, field) }
            func integer() throws(MartletError) -> Int64 {
                guard let value = number.flatMap({ BigNumber($0) })?.truncated else { throw misfit(value, field) }
                return value
            }
            switch meaning(name) {
            case .timestamp:
                let millis = try integer(), seconds = Int64((Double(millis) / 1000).rounded(.down))
                Self.delimited(try encode(["seconds": .int(seconds), "nanos": .int((millis - seconds * 1000) * 1_000_000)], inner), to: &out)
            case .date:
                let (year, month, day) = Self.civil(try integer())
                Self.delimited(try encode(["year": .int(year), "month": .int(month), "day": .int(day)], inner), to: &out)
            case .time:
                let millis = try integer()
                Self.delimited(
                    try encode(
                        [
                            "hours": .int(millis / 3_600_000), "minutes": .int(millis / 60_000 % 60), "seconds": .int(millis / 1000 % 60),
                            "nanos": .int(millis % 1000 * 1_000_000),
                        ], inner), to: &out)
            case .decimal:
                guard let decimal = number.flatMap({ Decimal128(parsing: $0) })?.rescaled(to: field.scale ?? 0) else { throw misfit(value, field) }
                let bytes = withUnsafeBytes(of: decimal.unscaled.bigEndian) { Array($0) }
                Self.delimited(
                    try encode(["value": .string(Base64.encode(bytes)), "precision": .int(decimal.precision), "scale": .int(decimal.scale)], inner),
                    to: &out)
            case .wrapper: Self.delimited(try encode(["value": value], inner), to: &out)
            case .map, .none: Self.delimited(try encode(value, inner), to: &out)
            }
        }
    }

    /// Year, month and day, counted on from 1970 one after another: slow and plain.
    private static func civil(_ days: Int64) -> (Int64, Int64, Int64) {
        func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }
        func months(_ year: Int64) -> [Int64] { [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] }
        var year: Int64 = 1970, rest = days
        while rest < 0 {
            year -= 1
            rest += isLeap(year) ? 366 : 365
        }
        while rest >= (isLeap(year) ? 366 : 365) {
            rest -= isLeap(year) ? 366 : 365
            year += 1
        }
        var month: Int64 = 1
        for length in months(year) {
            if rest < length { break }
            rest -= length
            month += 1
        }
        return (year, month, rest + 1)
    }

    /// Counted on from 1970 day by day of the years between, and month by month.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        func length(_ year: Int64) -> Int64 { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 366 : 365 }
        guard (1...9999).contains(year) else { return 0 }
        var out: Int64 = year < 1970 ? -(year..<1970).reduce(0) { $0 + length($1) } : (1970..<year).reduce(0) { $0 + length($1) }
        let start = out
        while civil(out).1 < month, out - start < 366 { out += 1 }
        return out + day - 1
    }

    // MARK: reading

    /// - Throws: `.corruptRecord` if the bytes are no message.
    func decode(_ bytes: ArraySlice<UInt8>) throws(MartletError) -> ActualValue { try decode(bytes, message) }

    private struct Reader {
        var rest: ArraySlice<UInt8>

        mutating func varint() throws(MartletError) -> UInt64 {
            var value: UInt64 = 0, shift: UInt64 = 0
            while let byte = rest.popFirst() {
                value |= UInt64(byte & 0x7f) << shift
                if byte & 0x80 == 0 { return value }
                shift += 7
                if shift > 63 { break }
            }
            throw MartletError(.corruptRecord, "a varint is not closed")
        }

        mutating func take(_ count: Int) throws(MartletError) -> ArraySlice<UInt8> {
            guard count >= 0, rest.count >= count else { throw MartletError(.corruptRecord, "the message ends early") }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count)
        }

        /// A value of one of the kinds: number, or bytes.
        mutating func value(_ kind: UInt64) throws(MartletError) -> Raw {
            switch kind {
            case 0: return .number(try varint())
            case 1: return .number(try take(8).reversed().reduce(0) { $0 << 8 | UInt64($1) })
            case 5: return .number(try take(4).reversed().reduce(0) { $0 << 8 | UInt64($1) })
            case 2: return .bytes(try take(Int(truncatingIfNeeded: try varint())))
            default: throw MartletError(.corruptRecord, "a field of kind \(kind)")
            }
        }
    }

    private enum Raw {
        case number(UInt64)
        case bytes(ArraySlice<UInt8>)
    }

    private func decode(_ bytes: ArraySlice<UInt8>, _ message: ProtobufMessage) throws(MartletError) -> ActualValue {
        var reader = Reader(rest: bytes), found: [Int: [Raw]] = [:]
        while !reader.rest.isEmpty {
            let tag = try reader.varint(), number = Int(tag >> 3)
            let value = try reader.value(tag & 7)
            let field = message.fields.first { $0.number == number }
            if case .bytes(let packed) = value, let field, Self.wireKind(field.kind) != 2 {
                var inner = Reader(rest: packed)
                while !inner.rest.isEmpty { found[number, default: []].append(try inner.value(Self.wireKind(field.kind))) }
            } else {
                found[number, default: []].append(value)
            }
        }
        var members: [ActualValue.Member] = []
        for (index, name) in message.oneofs.enumerated() {
            var branches: [ActualValue.Member] = [], isSet = false
            for field in message.fields where field.oneof == index {
                let raw = found[field.number]?.last
                isSet = isSet || raw != nil
                branches.append(.init(field.name, try raw.map { raw throws(MartletError) in try value(raw, field) } ?? .null))
            }
            members.append(.init("\(name)_\(index)", isSet ? .object(branches) : .null))
        }
        for field in message.fields where field.oneof == nil {
            let raws = found[field.number] ?? []
            if field.isRepeated {
                var values: [ActualValue] = []
                for raw in raws { values.append(try value(raw, field)) }
                guard case .message(let name) = field.kind, meaning(name) == .map else {
                    members.append(.init(field.name, .array(values)))
                    continue
                }
                members.append(
                    .init(
                        field.name,
                        .object(
                            values.map { entry in
                                guard case .object(let pair) = entry, pair.count == 2 else { return .init("", entry) }
                                if case .string(let key) = pair[0].value { return .init(key, pair[1].value) }
                                return .init(pair[0].value.description, pair[1].value)
                            })))
            } else if let last = raws.last {
                members.append(.init(field.name, try value(last, field)))
            } else {
                members.append(.init(field.name, field.hasPresence ? .null : try absent(field)))
            }
        }
        return .object(members)
    }

    private func absent(_ field: ProtobufField) throws(MartletError) -> ActualValue {
        switch field.kind {
        case .scalar(.string): return try value(.bytes([]), field)
        // proto3 does not tell empty bytes from none; cases expect null.
        case .scalar(.bytes), .message: return .null
        case .scalar, .enumeration: return try value(.number(0), field)
        }
    }

    private func value(_ raw: Raw, _ field: ProtobufField) throws(MartletError) -> ActualValue {
        switch (field.kind, raw) {
        case (.enumeration(let name), .number(let number)):
            let value = Int(Int32(truncatingIfNeeded: number))
            return .string(schema.enums[name]?.constants.first { $0.number == value }?.name ?? "\(value)")
        case (.scalar(let scalar), .number(let number)):
            switch scalar {
            case .bool: return .boolean(number != 0)
            case .int32, .sfixed32: return .int(Int32(truncatingIfNeeded: number))
            case .sint32: return .int(Int32(truncatingIfNeeded: Int64(bitPattern: number >> 1) ^ -Int64(number & 1)))
            case .uint32, .fixed32: return .long(Int64(UInt32(truncatingIfNeeded: number)))
            case .sint64: return .long(Int64(bitPattern: number >> 1) ^ -Int64(number & 1))
            case .double: return .double(Double(bitPattern: number))
            case .float: return .double(Double(Float(bitPattern: UInt32(truncatingIfNeeded: number))))
            default: return .long(Int64(bitPattern: number))
            }
        case (.scalar(let scalar), .bytes(let bytes)):
            return scalar == .bytes ? .bytes(Array(bytes)) : .string(String(decoding: bytes, as: UTF8.self))
        case (.message(let name), .bytes(let bytes)):
            guard let inner = schema.messages[name] else { throw MartletError(.corruptRecord, "no message \(name)") }
            let value = try decode(bytes, inner)
            func part(_ name: String) -> Int64 {
                guard case .object(let members) = value, let found = members.first(where: { $0.name == name })?.value else { return 0 }
                switch found {
                case .int(let value): return Int64(value)
                case .long(let value): return value
                default: return 0
                }
            }
            switch meaning(name) {
            case .timestamp: return .long(part("seconds") * 1000 + part("nanos") / 1_000_000)
            case .date: return .int(Int32(Self.days(part("year"), part("month"), part("day"))))
            case .time: return .int(Int32(((part("hours") * 60 + part("minutes")) * 60 + part("seconds")) * 1000 + part("nanos") / 1_000_000))
            case .wrapper:
                guard case .object(let members) = value else { return value }
                return members[0].value
            case .decimal:
                guard case .object(let members) = value, case .bytes(let digits)? = members.first(where: { $0.name == "value" })?.value else { return value }
                let sign: Int128 = digits.first.map { $0 & 0x80 != 0 } == true ? -1 : 0
                return .decimal(BigNumber(Decimal128(unscaled: digits.reduce(sign) { $0 << 8 | Int128($1) }, scale: Int(part("scale")))))
            case .map, .none: return value
            }
        default: throw MartletError(.corruptRecord, "field \(field.name) is of another kind")
        }
    }
}

extension JSONValue {
    /// Case files write numbers as text now and then.
    fileprivate var caseNumber: String? {
        switch self {
        case .number(let text), .string(let text): text
        default: nil
        }
    }
}
