import MartletCore

extension FixedColumn {
    mutating func append(contentsOf other: FixedColumn) {
        validity.append(contentsOf: other.validity, counts: (count, other.count))
        values.append(contentsOf: other.values)
    }
}

extension BytesColumn {
    /// Copies only the bytes that rows of `other` point at: its buffer may be a whole block of records.
    mutating func append(contentsOf other: BytesColumn) {
        for row in 0..<other.count {
            if other.validity.isValid(row) { append(other.slice(row)) } else { appendNull() }
        }
    }
}

extension Column {
    /// Appends the rows of `other`, which has the same type, in place: a growing column is not copied for each batch.
    public mutating func append(contentsOf other: Column) {
        func offsets(_ a: inout [Int32], _ b: [Int32]) {
            let last = a[a.count - 1]
            for offset in b.dropFirst() { a.append(offset + last) }
        }
        // The payload is taken out of `self`, so that it is grown where it lies.
        let own = self
        self = .boolean(FixedColumn([]))
        switch (consume own, other) {
        case (.boolean(var a), .boolean(let b)):
            a.append(contentsOf: b)
            self = .boolean(a)
        case (.integer(var a), .integer(let b)):
            a.append(contentsOf: b)
            self = .integer(a)
        case (.bigint(var a), .bigint(let b)):
            a.append(contentsOf: b)
            self = .bigint(a)
        case (.double(var a), .double(let b)):
            a.append(contentsOf: b)
            self = .double(a)
        case (.decimal(var a, let p, let s), .decimal(let b, _, let other)) where s == other:
            a.append(contentsOf: b)
            self = .decimal(a, precision: p, scale: s)
        case (.string(var a), .string(let b)):
            a.append(contentsOf: b)
            self = .string(a)
        case (.bytes(var a), .bytes(let b)):
            a.append(contentsOf: b)
            self = .bytes(a)
        case (.date(var a), .date(let b)):
            a.append(contentsOf: b)
            self = .date(a)
        case (.time(var a), .time(let b)):
            a.append(contentsOf: b)
            self = .time(a)
        case (.timestamp(var a), .timestamp(let b)):
            a.append(contentsOf: b)
            self = .timestamp(a)
        case (.array(var a), .array(let b)):
            a.validity.append(contentsOf: b.validity, counts: (a.count, b.count))
            offsets(&a.offsets, b.offsets)
            a.elements.append(contentsOf: b.elements)
            self = .array(a)
        case (.map(var a), .map(let b)):
            a.validity.append(contentsOf: b.validity, counts: (a.count, b.count))
            offsets(&a.offsets, b.offsets)
            a.keys.append(contentsOf: b.keys)
            a.values.append(contentsOf: b.values)
            self = .map(a)
        case (.structure(var a), .structure(let b)):
            a.validity.append(contentsOf: b.validity, counts: (a.count, b.count))
            for i in a.fields.indices { a.fields[i].append(contentsOf: b.fields[i]) }
            a.count += b.count
            self = .structure(a)
        default: preconditionFailure("only columns of one type are appended to each other")
        }
    }
}
