/// Which rows of a column hold a value.
///
/// One byte a row (`true` = not null), or no array at all while every row is valid: the common case costs nothing and loops over
/// bytes vectorise.
public struct Validity: Sendable, Hashable {
    /// Nil: all rows are valid.
    public private(set) var flags: [Bool]?

    public static let allValid = Validity(flags: nil)

    public init(flags: [Bool]?) { self.flags = flags }

    public init(repeating isValid: Bool, count: Int) { flags = isValid ? nil : [Bool](repeating: false, count: count) }

    @inline(__always)
    public func isValid(_ row: Int) -> Bool {
        if let flags { flags[row] } else { true }
    }

    public var hasNulls: Bool { flags.map { $0.contains(false) } ?? false }

    /// Marks `row` null; `count` is the number of rows of the column.
    public mutating func setNull(_ row: Int, count: Int) {
        if flags == nil { flags = [Bool](repeating: true, count: count) }
        flags![row] = false
    }

    /// Appends the state of one more row to a column of `count` rows so far.
    public mutating func append(_ isValid: Bool, count: Int) {
        if flags != nil {
            flags!.append(isValid)
        } else if !isValid {
            flags = [Bool](repeating: true, count: count)
            flags!.append(false)
        }
    }

    /// Appends the states of `counts.1` rows to those of `counts.0`.
    public mutating func append(contentsOf other: Validity, counts: (Int, Int)) {
        if flags == nil {
            if other.flags == nil { return }
            flags = [Bool](repeating: true, count: counts.0)
        }
        if let more = other.flags { flags!.append(contentsOf: more) } else { flags!.append(contentsOf: repeatElement(true, count: counts.1)) }
    }

    /// Rows valid in both; columns have equal counts.
    public func and(_ other: Validity) -> Validity {
        guard let a = flags else { return other }
        guard let b = other.flags else { return self }
        precondition(a.count == b.count, "columns of one batch have equal counts")
        var out = [Bool](repeating: false, count: a.count)
        for i in 0..<a.count { out[i] = a[i] && b[i] }
        return Validity(flags: out)
    }

    public func gathered(_ rows: [UInt32]) -> Validity {
        guard let flags else { return .allValid }
        var out = [Bool](repeating: true, count: rows.count)
        for i in 0..<rows.count { out[i] = flags[Int(rows[i])] }
        return Validity(flags: out)
    }
}
