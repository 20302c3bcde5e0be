import MartletCore

extension FixedColumn {
    mutating func append(_ other: FixedColumn, rows: [UInt32]? = nil) {
        if validity.flags != nil || other.validity.flags != nil {
            let flags = other.validity.flags
            for row in 0..<(rows?.count ?? other.count) {
                let from = rows.map { Int($0[row]) } ?? row
                validity.append(flags?[from] ?? true, count: values.count + row)
            }
        }
        if let rows {
            values.reserveCapacity(Swift.max(values.count + rows.count, values.capacity))
            for row in rows { values.append(other.values[Int(row)]) }
        } else {
            values += other.values
        }
    }
}

extension BytesColumn {
    /// Copies only the bytes that the rows point at.
    mutating func append(_ other: BytesColumn, rows: [UInt32]?) {
        let count = rows?.count ?? other.count
        if validity.flags != nil || other.validity.flags != nil {
            for i in 0..<count {
                let from = rows.map { Int($0[i]) } ?? i
                validity.append(other.validity.isValid(from), count: starts.count + i)
            }
        }
        var total = 0
        if let rows { for row in rows { total += Int(other.lengths[Int(row)]) } } else { for length in other.lengths { total += Int(length) } }
        buffer.reserveCapacity(Swift.max(buffer.count + total, buffer.capacity))
        other.buffer.withUnsafeBufferPointer { source in
            for i in 0..<count {
                let from = if let rows { Int(rows[i]) } else { i }
                let length = other.lengths[from], start = Int(other.starts[from])
                starts.append(UInt32(buffer.count))
                lengths.append(length)
                if length > 0 { buffer.append(contentsOf: UnsafeBufferPointer(rebasing: source[start..<(start + Int(length))])) }
            }
        }
    }
}

extension Column {
    /// Appends the rows of `other`, which has the same type, in place: a growing column is not copied for each batch.
    public mutating func append(contentsOf other: Column) { append(rows: nil, of: other) }

    /// As above, of some rows (nil: all): what is not appended of its buffers is not kept alive.
    mutating func append(rows: [UInt32]? = nil, of other: Column) {
        func spans(_ offsets: inout [Int32], _ from: [Int32]) -> [UInt32] {
            var inner: [UInt32] = [], end = offsets[offsets.count - 1]
            for i in 0..<(rows?.count ?? from.count - 1) {
                let row = if let rows { Int(rows[i]) } else { i }
                for element in from[row]..<from[row + 1] { inner.append(UInt32(element)) }
                end += from[row + 1] - from[row]
                offsets.append(end)
            }
            return inner
        }
        func validity(_ mine: inout Validity, _ theirs: Validity, count: Int) {
            if mine.flags == nil, theirs.flags == nil { return }
            for i in 0..<(rows?.count ?? other.count) {
                let row = if let rows { Int(rows[i]) } else { i }
                mine.append(theirs.isValid(row), count: count + i)
            }
        }
        // The payload is taken out of `self`, so that it has one owner and grows where it lies.
        let own = self
        self = .boolean(FixedColumn([]))
        switch (consume own, other) {
        case (.boolean(var c), .boolean(let d)):
            c.append(d, rows: rows)
            self = .boolean(c)
        case (.integer(var c), .integer(let d)):
            c.append(d, rows: rows)
            self = .integer(c)
        case (.bigint(var c), .bigint(let d)):
            c.append(d, rows: rows)
            self = .bigint(c)
        case (.double(var c), .double(let d)):
            c.append(d, rows: rows)
            self = .double(c)
        case (.decimal(var c, let p, let s), .decimal(let d, _, let other)) where s == other:
            c.append(d, rows: rows)
            self = .decimal(c, precision: p, scale: s)
        case (.string(var c), .string(let d)):
            c.append(d, rows: rows)
            self = .string(c)
        case (.bytes(var c), .bytes(let d)):
            c.append(d, rows: rows)
            self = .bytes(c)
        case (.date(var c), .date(let d)):
            c.append(d, rows: rows)
            self = .date(c)
        case (.time(var c), .time(let d)):
            c.append(d, rows: rows)
            self = .time(c)
        case (.timestamp(var c), .timestamp(let d)):
            c.append(d, rows: rows)
            self = .timestamp(c)
        case (.array(var c), .array(let d)):
            validity(&c.validity, d.validity, count: c.count)
            let inner = spans(&c.offsets, d.offsets)
            c.elements.append(rows: inner, of: d.elements)
            self = .array(c)
        case (.map(var c), .map(let d)):
            validity(&c.validity, d.validity, count: c.count)
            let inner = spans(&c.offsets, d.offsets)
            c.keys.append(rows: inner, of: d.keys)
            c.values.append(rows: inner, of: d.values)
            self = .map(c)
        case (.structure(var c), .structure(let d)):
            validity(&c.validity, d.validity, count: c.count)
            for i in c.fields.indices { c.fields[i].append(rows: rows, of: d.fields[i]) }
            c.count += rows?.count ?? d.count
            self = .structure(c)
        default: preconditionFailure("only rows of the column's type are appended to it")
        }
    }

    /// The rows of `rows` in buffers that hold nothing else.
    func detached(_ rows: [UInt32]) -> Column {
        var out = Column.empty(type)
        out.append(rows: rows, of: self)
        return out
    }
}

extension Column {
    /// Stands for a null among the rows of `gatheredOrNull`.
    public static let noRow = UInt32.max

    /// The rows of `rows`, in that order, null for each `noRow`.
    public func gatheredOrNull(_ rows: [UInt32]) -> Column {
        if !rows.contains(Column.noRow) { return gathered(rows) }
        if count == 0 { return .nulls(type, count: rows.count) }
        var out = gathered(rows.map { $0 == Column.noRow ? 0 : $0 })
        out.validity = out.validity.and(Validity(flags: rows.map { $0 != Column.noRow }))
        return out
    }
}
