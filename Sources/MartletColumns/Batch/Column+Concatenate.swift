import MartletCore

extension Validity {
    func concatenated(with other: Validity, counts: (Int, Int)) -> Validity {
        if flags == nil && other.flags == nil { return .allValid }
        let a = flags ?? [Bool](repeating: true, count: counts.0)
        return Validity(flags: a + (other.flags ?? [Bool](repeating: true, count: counts.1)))
    }
}

extension FixedColumn {
    func concatenated(with other: FixedColumn) -> FixedColumn {
        FixedColumn(values + other.values, validity: validity.concatenated(with: other.validity, counts: (count, other.count)))
    }
}

extension BytesColumn {
    /// Copies only the bytes that rows of `other` point at: its buffer may be a whole block of records.
    func concatenated(with other: BytesColumn) -> BytesColumn {
        var out = self
        for row in 0..<other.count {
            if other.validity.isValid(row) { out.append(other.slice(row)) } else { out.appendNull() }
        }
        return out
    }

    /// The same rows in a buffer that holds nothing else.
    func compacted() -> BytesColumn { BytesColumn().concatenated(with: self) }
}

extension Column {
    /// The rows of this column, then those of `other`, which has the same type.
    public func concatenated(with other: Column) -> Column {
        func joined(_ a: [Int32], _ b: [Int32]) -> [Int32] { a + b.dropFirst().map { $0 + a[a.count - 1] } }
        switch (self, other) {
        case (.boolean(let a), .boolean(let b)): return .boolean(a.concatenated(with: b))
        case (.integer(let a), .integer(let b)): return .integer(a.concatenated(with: b))
        case (.bigint(let a), .bigint(let b)): return .bigint(a.concatenated(with: b))
        case (.double(let a), .double(let b)): return .double(a.concatenated(with: b))
        case (.decimal(let a, let p, let s), .decimal(let b, _, let s2)) where s == s2:
            return .decimal(a.concatenated(with: b), precision: p, scale: s)
        case (.string(let a), .string(let b)): return .string(a.concatenated(with: b))
        case (.bytes(let a), .bytes(let b)): return .bytes(a.concatenated(with: b))
        case (.date(let a), .date(let b)): return .date(a.concatenated(with: b))
        case (.time(let a), .time(let b)): return .time(a.concatenated(with: b))
        case (.timestamp(let a), .timestamp(let b)): return .timestamp(a.concatenated(with: b))
        case (.array(let a), .array(let b)):
            return .array(
                ListColumn(
                    offsets: joined(a.offsets, b.offsets), elements: a.elements.concatenated(with: b.elements),
                    validity: a.validity.concatenated(with: b.validity, counts: (a.count, b.count))))
        case (.map(let a), .map(let b)):
            return .map(
                MapColumn(
                    offsets: joined(a.offsets, b.offsets), keys: a.keys.concatenated(with: b.keys),
                    values: a.values.concatenated(with: b.values),
                    validity: a.validity.concatenated(with: b.validity, counts: (a.count, b.count))))
        case (.structure(let a), .structure(let b)):
            return .structure(
                StructColumn(
                    names: a.names, fields: zip(a.fields, b.fields).map { $0.concatenated(with: $1) }, count: a.count + b.count,
                    validity: a.validity.concatenated(with: b.validity, counts: (a.count, b.count))))
        default: preconditionFailure("only columns of one type are concatenated")
        }
    }

    /// The same rows without bytes that no row points at.
    public func compacted() -> Column {
        switch self {
        case .string(let c): .string(c.compacted())
        case .bytes(let c): .bytes(c.compacted())
        default: self
        }
    }
}
