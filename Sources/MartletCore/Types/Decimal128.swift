/// An exact decimal: `unscaled × 10^−scale`, up to 38 digits.
public struct Decimal128: Sendable, Hashable, Codable {
    public var unscaled: Int128
    public var scale: Int

    public init(unscaled: Int128, scale: Int) {
        self.unscaled = unscaled
        self.scale = scale
    }

    /// 10^0 … 10^38.
    public static let powersOfTen: [Int128] = {
        var powers: [Int128] = [1]
        for _ in 0..<38 { powers.append(powers[powers.count - 1] * 10) }
        return powers
    }()

    /// Reads `[+-]digits[.digits][e[+-]digits]`; nil for anything else or more than 38 digits.
    public init?(parsing text: some StringProtocol) {
        let bytes = Array(text.utf8)
        var unscaled: Int128 = 0, scale = 0, digits = 0, i = 0
        var seenPoint = false, exponent = 0
        let negative = bytes.first == UInt8(ascii: "-")
        if negative || bytes.first == UInt8(ascii: "+") { i = 1 }
        scan: while i < bytes.count {
            switch bytes[i] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                let (product, over) = unscaled.multipliedReportingOverflow(by: 10)
                let (sum, over2) = product.addingReportingOverflow(Int128(bytes[i] - 0x30))
                if over || over2 { return nil }
                unscaled = sum
                digits += 1
                if seenPoint { scale += 1 }
            case UInt8(ascii: ".") where !seenPoint:
                seenPoint = true
            case UInt8(ascii: "e"), UInt8(ascii: "E"):
                guard let value = Int(String(decoding: bytes[(i + 1)...], as: UTF8.self)), abs(value) < 1000 else { return nil }
                exponent = value
                break scan
            default:
                return nil
            }
            i += 1
        }
        if digits == 0 { return nil }
        scale -= exponent
        while scale < 0 {
            let (product, over) = unscaled.multipliedReportingOverflow(by: 10)
            if over { return nil }
            unscaled = product
            scale += 1
        }
        if unscaled >= Self.powersOfTen[38] { return nil }
        self.init(unscaled: negative ? -unscaled : unscaled, scale: scale)
    }

    /// Number of digits of the unscaled value, at least 1.
    public var precision: Int {
        let magnitude = unscaled.magnitude
        var digits = 1
        while digits < 38 && magnitude >= UInt128(Self.powersOfTen[digits]) { digits += 1 }
        return digits
    }

    /// The value with another scale; fewer digits round half-up (away from zero), more append zeros. Nil on overflow.
    public func rescaled(to newScale: Int) -> Decimal128? {
        if newScale == scale { return self }
        if newScale > scale {
            guard newScale - scale <= 38 else { return unscaled == 0 ? Decimal128(unscaled: 0, scale: newScale) : nil }
            let (product, over) = unscaled.multipliedReportingOverflow(by: Self.powersOfTen[newScale - scale])
            return over ? nil : Decimal128(unscaled: product, scale: newScale)
        }
        guard scale - newScale <= 38 else { return Decimal128(unscaled: 0, scale: newScale) }
        let divisor = Self.powersOfTen[scale - newScale]
        let (quotient, remainder) = unscaled.quotientAndRemainder(dividingBy: divisor)
        let up = remainder.magnitude >= (divisor / 2).magnitude + (divisor % 2 == 0 ? 0 : 1)
        return Decimal128(unscaled: quotient + (up ? (unscaled < 0 ? -1 : 1) : 0), scale: newScale)
    }

    /// The value as DECIMAL(precision, scale), rounding half-up; nil if it does not fit.
    public func fitted(precision: Int, scale: Int) -> Decimal128? {
        guard let value = rescaled(to: scale) else { return nil }
        return value.unscaled.magnitude < UInt128(Self.powersOfTen[min(precision, 38)]) ? value : nil
    }

    public var doubleValue: Double { Double(description) ?? .nan }
}

extension Decimal128: CustomStringConvertible {
    /// Plain digits with exactly `scale` decimals: `-0.50`.
    public var description: String {
        let digits = String(unscaled.magnitude)
        let sign = unscaled < 0 ? "-" : ""
        if scale <= 0 { return sign + digits + String(repeating: "0", count: unscaled == 0 ? 0 : -scale) }
        let padded = digits.utf8.count > scale ? digits : String(repeating: "0", count: scale - digits.utf8.count + 1) + digits
        let split = padded.utf8.index(padded.startIndex, offsetBy: padded.utf8.count - scale)
        return "\(sign)\(padded[..<split]).\(padded[split...])"
    }
}
