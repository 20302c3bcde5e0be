/// Characters that one place of a regular expression accepts: a bitmap for ASCII, a rule for the rest.
struct CodePointSet: Sendable {
    /// Membership beyond ASCII.
    enum Beyond: Sendable {
        case none, all
        case some(@Sendable (UInt32) -> Bool)
    }

    /// Bits 0–63 and 64–127.
    private(set) var low: UInt64 = 0
    private(set) var high: UInt64 = 0
    private(set) var beyond: Beyond

    static let empty = CodePointSet(.none) { _ in false }
    static let all = CodePointSet(.all) { _ in true }

    init(_ beyond: Beyond, ascii: (UInt32) -> Bool) {
        self.beyond = beyond
        for point in 0..<UInt32(64) where ascii(point) { low |= 1 << UInt64(point) }
        for point in 64..<UInt32(128) where ascii(point) { high |= 1 << UInt64(point - 64) }
    }

    init(_ range: ClosedRange<UInt32>) {
        self.init(range.upperBound < 0x80 ? .none : .some { range.contains($0) }) { range.contains($0) }
    }

    init(_ point: UInt32) { self.init(point...point) }

    /// The ranges together, which may lie in any order.
    init(_ ranges: [ClosedRange<UInt32>]) {
        let outside = ranges.filter { $0.upperBound >= 0x80 }
        self.init(outside.isEmpty ? .none : .some { point in outside.contains { $0.contains(point) } }) { point in ranges.contains { $0.contains(point) } }
    }

    /// By a rule that holds for every code point.
    init(where rule: @escaping @Sendable (UInt32) -> Bool) { self.init(.some(rule), ascii: rule) }

    @inline(__always) func containsASCII(_ byte: UInt8) -> Bool {
        (byte < 64 ? low >> UInt64(byte) : high >> UInt64(byte & 63)) & 1 != 0
    }

    func contains(_ point: UInt32) -> Bool {
        if point < 0x80 { return containsASCII(UInt8(point)) }
        switch beyond {
        case .none: return false
        case .all: return true
        case .some(let rule): return rule(point)
        }
    }

    var inverted: CodePointSet {
        var out = self
        (out.low, out.high) = (~low, ~high)
        switch beyond {
        case .none: out.beyond = .all
        case .all: out.beyond = .none
        case .some(let rule): out.beyond = .some { !rule($0) }
        }
        return out
    }

    func union(_ other: CodePointSet) -> CodePointSet {
        var out = self
        (out.low, out.high) = (low | other.low, high | other.high)
        switch (beyond, other.beyond) {
        case (.all, _), (_, .all): out.beyond = .all
        case (.none, let b): out.beyond = b
        case (let a, .none): out.beyond = a
        case (.some(let a), .some(let b)): out.beyond = .some { a($0) || b($0) }
        }
        return out
    }

    func intersection(_ other: CodePointSet) -> CodePointSet { inverted.union(other.inverted).inverted }

    /// With what differs from a member in case alone: within ASCII, or everywhere.
    func ignoringCase(unicode: Bool) -> CodePointSet {
        let whole = self
        func folded(_ point: UInt32) -> Bool {
            if whole.contains(point) { return true }
            return CodePointSet.cases(of: point, unicode: unicode).contains { whole.contains($0) }
        }
        var out = CodePointSet(beyond, ascii: folded)
        if unicode, case .some = beyond { out.beyond = .some { point in whole.contains(point) || CodePointSet.cases(of: point, unicode: true).contains { whole.contains($0) } } }
        return out
    }

    /// The other cases of a letter.
    static func cases(of point: UInt32, unicode: Bool) -> [UInt32] {
        if point < 0x80 {
            let isLetter = (0x61...0x7a).contains(point | 0x20)
            var out = isLetter ? [point ^ 0x20] : []
            // The long s and the Kelvin sign fold into ASCII.
            if unicode, point | 0x20 == 0x73 { out.append(0x17f) }
            if unicode, point | 0x20 == 0x6b { out.append(0x212a) }
            return out
        }
        guard unicode, let scalar = Unicode.Scalar(point) else { return [] }
        var out: [UInt32] = []
        for mapping in [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping] {
            let scalars = mapping.unicodeScalars
            if scalars.count == 1, let only = scalars.first?.value, only != point { out.append(only) }
        }
        return out
    }
}
