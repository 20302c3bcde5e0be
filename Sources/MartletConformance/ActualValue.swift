import MartletCore

/// A key or value read back from a topic, in the terms that expected JSON is compared in.
indirect enum ActualValue {
    case null
    case boolean(Bool)
    case int(Int32)
    case long(Int64)
    case double(Double)
    case decimal(BigNumber)
    case string(String)
    case bytes([UInt8])
    case array([ActualValue])
    case object([Member])

    struct Member {
        var name: String
        var value: ActualValue
        init(_ name: String, _ value: ActualValue) {
            self.name = name
            self.value = value
        }
    }

    /// What a JSON topic holds: fractions are exact decimals, or doubles if the case does not want them exact.
    init(json: JSONValue, exactNumbers: Bool) {
        switch json {
        case .null: self = .null
        case .bool(let value): self = .boolean(value)
        case .string(let text): self = .string(text)
        case .array(let values): self = .array(values.map { ActualValue(json: $0, exactNumbers: exactNumbers) })
        case .object(let object):
            self = .object(object.members.map { Member($0.name, ActualValue(json: $0.value, exactNumbers: exactNumbers)) })
        case .number(let text):
            if let int = Int32(text) {
                self = .int(int)
            } else if let long = Int64(text) {
                self = .long(long)
            } else if !exactNumbers {
                self = .double(Double(text) ?? .nan)
            } else {
                self = BigNumber(text).map { .decimal($0) } ?? .string(text)
            }
        }
    }
}

extension ActualValue {
    /// Whether `expected` describes this value.
    ///
    /// Objects have the same number of fields; an expected name is looked up as it is, then upper-cased. Integers are compared after
    /// truncation, doubles within 1e-6, decimals by value and scale (an expected integer by value, if the actual one has no decimals).
    func matches(_ expected: JSONValue) -> Bool {
        switch self {
        case .null: return expected.isNull
        case .boolean(let value): return expected == .bool(value)
        case .int(let value):
            guard case .number(let text) = expected, let truncated = BigNumber(text)?.truncated else { return false }
            return Int32(truncatingIfNeeded: truncated) == value
        case .long(let value):
            guard case .number(let text) = expected, let truncated = BigNumber(text)?.truncated else { return false }
            return truncated == value
        case .double(let value):
            guard case .number(let text) = expected, let number = Double(text) else { return false }
            return number == value || abs(number - value) < 1e-6
        case .decimal(let value):
            let text: String
            switch expected {
            case .number(let number), .string(let number): text = number
            default: return false
            }
            guard let number = BigNumber(text) else { return false }
            if !number.isFraction { return value.scale <= 0 && number.isSameValue(as: value) }
            return number.scale == value.scale && number.isSameValue(as: value)
        case .string(let value):
            switch expected {
            case .string(let text): return text == value && Array(text.utf8) == Array(value.utf8)
            case .number(let text): return BigNumber(text).flatMap { number in BigNumber(value).map { number.isSameValue(as: $0) } } ?? false
            default: return false
            }
        case .bytes(let value):
            guard case .string(let text) = expected else { return false }
            return Base64.decode(text.utf8) == value
        case .array(let values):
            guard case .array(let wanted) = expected, wanted.count == values.count else { return false }
            return zip(values, wanted).allSatisfy { $0.matches($1) }
        case .object(let members):
            guard case .object(let wanted) = expected, wanted.members.count == members.count else { return false }
            for member in wanted.members {
                var found = members.first { $0.name == member.name }?.value
                if found == nil || found!.isNull { found = members.first { $0.name == member.name.uppercased() }?.value ?? found }
                if !(found ?? .null).matches(member.value) { return false }
            }
            return true
        }
    }

    var isNull: Bool { if case .null = self { true } else { false } }
}

extension ActualValue: CustomStringConvertible {
    var description: String {
        switch self {
        case .null: "null"
        case .boolean(let value): "\(value)"
        case .int(let value): "\(value)"
        case .long(let value): "\(value)L"
        case .double(let value): "\(value)d"
        case .decimal(let value): value.plainText
        case .string(let value): JSONValue.string(value).description
        case .bytes(let value): "base64 \"\(Base64.encode(value))\""
        case .array(let values): "[\(values.map(\.description).joined(separator: ", "))]"
        case .object(let members): "{\(members.map { "\($0.name): \($0.value)" }.joined(separator: ", "))}"
        }
    }
}
