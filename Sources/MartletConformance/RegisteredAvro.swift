import MartletColumns
import MartletCore

/// Avro binary of case values, by a registered schema: written and read field by field, independently of the engine's own columns.
struct RegisteredAvro {
    let schema: AvroSchema

    // MARK: writing

    /// - Throws: `.badRequest` if the value does not fit the schema.
    func encode(_ value: JSONValue) throws(MartletError) -> [UInt8] {
        var out: [UInt8] = []
        try write(value, schema.root, to: &out)
        return out
    }

    private func misfit(_ value: JSONValue, _ type: AvroType) -> MartletError {
        MartletError(.badRequest, "case value \(value) does not fit Avro type \(type.name)")
    }

    private func write(_ value: JSONValue, _ type: AvroType, to out: inout [UInt8]) throws(MartletError) {
        let type = schema.resolved(type)
        switch type {
        case .null:
            if !value.isNull { throw misfit(value, type) }
        case .boolean:
            guard case .bool(let flag) = value else { throw misfit(value, type) }
            out.append(flag ? 1 : 0)
        case .int, .long:
            guard let number = value.numberText.flatMap({ BigNumber($0) })?.truncated else { throw misfit(value, type) }
            Self.writeLong(number, to: &out)
        case .float:
            guard let number = value.numberText.flatMap({ Float($0) }) else { throw misfit(value, type) }
            withUnsafeBytes(of: number.bitPattern.littleEndian) { out.append(contentsOf: $0) }
        case .double:
            guard let number = value.numberText.flatMap({ Double($0) }) else { throw misfit(value, type) }
            withUnsafeBytes(of: number.bitPattern.littleEndian) { out.append(contentsOf: $0) }
        case .bytes(let logical):
            guard let bytes = Self.bytes(value, logical) else { throw misfit(value, type) }
            Self.writeLong(Int64(bytes.count), to: &out)
            out += bytes
        case .fixed(_, let size, let logical):
            guard var bytes = Self.bytes(value, logical), bytes.count <= size else { throw misfit(value, type) }
            let sign: UInt8 = logical != nil && bytes.first.map { $0 & 0x80 != 0 } == true ? 0xff : 0
            bytes = [UInt8](repeating: sign, count: size - bytes.count) + bytes
            out += bytes
        case .string:
            let text: String
            switch value {
            case .string(let string): text = string
            case .number(let string): text = string
            case .bool(let flag): text = "\(flag)"
            default: throw misfit(value, type)
            }
            Self.writeLong(Int64(text.utf8.count), to: &out)
            out += text.utf8
        case .enumeration(_, let symbols, _):
            guard let index = value.stringValue.flatMap({ symbols.firstIndex(of: $0) }) else { throw misfit(value, type) }
            Self.writeLong(Int64(index), to: &out)
        case .array(let element):
            var elements: [JSONValue]
            switch value {
            case .array(let values): elements = values
            case .object(let object):
                // A map with entries as records (Kafka Connect).
                elements = object.members.map { ["key": .string($0.name), "value": $0.value] }
            default: throw misfit(value, type)
            }
            if !elements.isEmpty {
                Self.writeLong(Int64(elements.count), to: &out)
                for one in elements { try write(one, element, to: &out) }
                elements = []
            }
            out.append(0)
        case .map(let element):
            guard case .object(let object) = value else { throw misfit(value, type) }
            if !object.members.isEmpty {
                Self.writeLong(Int64(object.members.count), to: &out)
                for member in object.members {
                    try write(.string(member.name), .string, to: &out)
                    try write(member.value, element, to: &out)
                }
            }
            out.append(0)
        case .record(let record):
            guard case .object(let object) = value else { throw misfit(value, type) }
            for field in record.fields {
                let given = object[field.name] ?? object.members.first { $0.name.uppercased() == field.name.uppercased() }?.value
                try write(given ?? field.defaultValue ?? .null, field.type, to: &out)
            }
        case .union(let branches):
            // A text may be meant as a number, but only where no branch takes text.
            for (index, branch) in branches.enumerated() {
                if value.stringValue != nil, branch != .string, branches.contains(.string) { continue }
                var bytes: [UInt8] = []
                do throws(MartletError) {
                    try write(value, branch, to: &bytes)
                } catch {
                    continue
                }
                Self.writeLong(Int64(index), to: &out)
                out += bytes
                return
            }
            throw misfit(value, type)
        case .named: throw misfit(value, type)
        }
    }

    private static func bytes(_ value: JSONValue, _ logical: AvroLogicalType?) -> [UInt8]? {
        if case .decimal(_, let scale)? = logical {
            guard let unscaled = value.numberText.flatMap({ Decimal128(parsing: $0) })?.rescaled(to: scale)?.unscaled else { return nil }
            var bytes = withUnsafeBytes(of: unscaled.bigEndian) { Array($0) }
            while bytes.count > 1, bytes[0] == (unscaled < 0 ? 0xff : 0), (bytes[1] & 0x80 != 0) == (unscaled < 0) { bytes.removeFirst() }
            return bytes
        }
        guard case .string(let text) = value else { return nil }
        return Base64.decode(text.utf8) ?? Array(text.utf8)
    }

    private static func writeLong(_ value: Int64, to out: inout [UInt8]) {
        var rest = UInt64(bitPattern: value << 1 ^ value >> 63)
        while rest >= 0x80 {
            out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        out.append(UInt8(rest))
    }

    // MARK: reading

    /// - Throws: `.corruptRecord` if the bytes are no datum of the schema.
    func decode(_ bytes: ArraySlice<UInt8>) throws(MartletError) -> ActualValue {
        var reader = Reader(rest: bytes)
        let value = try read(schema.root, &reader)
        if !reader.rest.isEmpty { throw MartletError(.corruptRecord, "\(reader.rest.count) bytes after an Avro datum") }
        return value
    }

    private struct Reader {
        var rest: ArraySlice<UInt8>

        mutating func long() throws(MartletError) -> Int64 {
            var value: UInt64 = 0, shift: UInt64 = 0
            while let byte = rest.popFirst(), shift < 64 {
                value |= UInt64(byte & 0x7f) << shift
                if byte & 0x80 == 0 { return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
                shift += 7
            }
            throw MartletError(.corruptRecord, "an Avro datum ends early")
        }

        mutating func take(_ count: Int) throws(MartletError) -> [UInt8] {
            guard count >= 0, rest.count >= count else { throw MartletError(.corruptRecord, "an Avro datum ends early") }
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
    }

    private func read(_ type: AvroType, _ reader: inout Reader) throws(MartletError) -> ActualValue {
        let type = schema.resolved(type)
        switch type {
        case .null: return .null
        case .boolean: return .boolean(try reader.take(1)[0] != 0)
        case .int: return .int(Int32(truncatingIfNeeded: try reader.long()))
        case .long: return .long(try reader.long())
        case .float: return .double(Double(Float(bitPattern: try reader.take(4).reversed().reduce(0) { $0 << 8 | UInt32($1) })))
        case .double: return .double(Double(bitPattern: try reader.take(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }))
        case .bytes(let logical): return Self.value(try reader.take(Int(try reader.long())), logical)
        case .fixed(_, let size, let logical): return Self.value(try reader.take(size), logical)
        case .string: return .string(String(decoding: try reader.take(Int(try reader.long())), as: UTF8.self))
        case .enumeration(_, let symbols, _):
            let index = Int(try reader.long())
            guard symbols.indices.contains(index) else { throw MartletError(.corruptRecord, "no such enum symbol") }
            return .string(symbols[index])
        case .array(let element):
            var values: [ActualValue] = []
            try blocks(&reader) { (reader) throws(MartletError) in values.append(try read(element, &reader)) }
            guard case .record(let record) = schema.resolved(element), record.isMapEntry else { return .array(values) }
            return .object(
                values.map { entry in
                    guard case .object(let members) = entry, members.count == 2 else { return ActualValue.Member("", entry) }
                    if case .string(let key) = members[0].value { return ActualValue.Member(key, members[1].value) }
                    return ActualValue.Member(members[0].value.description, members[1].value)
                })
        case .map(let element):
            var members: [ActualValue.Member] = []
            try blocks(&reader) { (reader) throws(MartletError) in
                let name = String(decoding: try reader.take(Int(try reader.long())), as: UTF8.self)
                members.append(ActualValue.Member(name, try read(element, &reader)))
            }
            return .object(members)
        case .record(let record):
            var members: [ActualValue.Member] = []
            for field in record.fields { members.append(ActualValue.Member(field.name, try read(field.type, &reader))) }
            return .object(members)
        case .union(let branches):
            let index = Int(try reader.long())
            guard branches.indices.contains(index) else { throw MartletError(.corruptRecord, "no such union branch") }
            return try read(branches[index], &reader)
        case .named(let name): throw MartletError(.corruptRecord, "no type \(name)")
        }
    }

    private func blocks(_ reader: inout Reader, _ item: (inout Reader) throws(MartletError) -> Void) throws(MartletError) {
        while true {
            var count = try reader.long()
            if count == 0 { return }
            if count < 0 {
                _ = try reader.long()
                count = -count
            }
            for _ in 0..<count { try item(&reader) }
        }
    }

    private static func value(_ bytes: [UInt8], _ logical: AvroLogicalType?) -> ActualValue {
        guard case .decimal(_, let scale)? = logical, bytes.count <= 16 else { return .bytes(bytes) }
        let sign: Int128 = bytes.first.map { $0 & 0x80 != 0 } == true ? -1 : 0
        return .decimal(BigNumber(Decimal128(unscaled: bytes.reduce(sign) { $0 << 8 | Int128($1) }, scale: scale)))
    }
}

extension JSONValue {
    /// Case files write numbers as text now and then.
    fileprivate var numberText: String? {
        switch self {
        case .number(let text), .string(let text): text
        default: nil
        }
    }
}
