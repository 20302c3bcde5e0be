import MartletCore

/// A decimal number of any size, as JSON has it: `±digits × 10^−scale`. Java's BigDecimal, for comparisons only.
struct BigNumber: Equatable {
    var isNegative: Bool
    /// Without leading zeros; empty for zero.
    var digits: [UInt8]
    var scale: Int
    /// The text had a fraction or an exponent.
    var isFraction: Bool

    init?(_ text: String) {
        var digits: [UInt8] = [], scale = 0, exponent = 0
        var rest = Array(text.utf8)[...]
        isNegative = rest.first == UInt8(ascii: "-")
        if isNegative || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
        var seenPoint = false, any = false
        isFraction = false
        while let byte = rest.first {
            switch byte {
            case 0x30...0x39:
                any = true
                digits.append(byte)
                if seenPoint { scale += 1 }
            case UInt8(ascii: ".") where !seenPoint:
                seenPoint = true
                isFraction = true
            case UInt8(ascii: "e"), UInt8(ascii: "E"):
                guard let value = Int(String(decoding: rest.dropFirst(), as: UTF8.self)), abs(value) < 100_000 else { return nil }
                exponent = value
                isFraction = true
                rest = rest.suffix(1)
            default: return nil
            }
            rest.removeFirst()
        }
        guard any else { return nil }
        self.scale = scale - exponent
        self.digits = Array(digits.drop { $0 == 0x30 })
    }

    init(_ value: Decimal128) {
        self.init(value.description)!
        scale = value.scale
    }

    /// Equal values, whatever the scales.
    func isSameValue(as other: BigNumber) -> Bool {
        if digits.isEmpty || other.digits.isEmpty { return digits.isEmpty && other.digits.isEmpty }
        let common = max(scale, other.scale)
        func padded(_ number: BigNumber) -> [UInt8] { number.digits + [UInt8](repeating: 0x30, count: common - number.scale) }
        return isNegative == other.isNegative && padded(self) == padded(other)
    }

    /// The integer part as 64 bits, truncated; nil if it does not fit.
    var truncated: Int64? {
        var text = digits
        if scale > 0 { text = Array(text.dropLast(min(scale, text.count))) } else { text += [UInt8](repeating: 0x30, count: min(-scale, 100)) }
        return Int64((isNegative ? "-" : "") + (text.isEmpty ? "0" : String(decoding: text, as: UTF8.self)))
    }

    /// Digits without an exponent, with as many decimals as the scale says.
    var plainText: String {
        let sign = isNegative ? "-" : ""
        if scale <= 0 {
            return sign + (digits.isEmpty ? "0" : String(decoding: digits + [UInt8](repeating: 0x30, count: -scale), as: UTF8.self))
        }
        let padded = [UInt8](repeating: 0x30, count: max(0, scale + 1 - digits.count)) + digits
        return sign + String(decoding: padded.dropLast(scale), as: UTF8.self) + "." + String(decoding: padded.suffix(scale), as: UTF8.self)
    }
}
