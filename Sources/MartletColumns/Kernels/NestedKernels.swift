import MartletCore

/// Arrays, maps and structs: construction, access, equality.
enum NestedKernels {
    /// Equality of boxed values: maps regardless of order, decimals by value, doubles as IEEE 754; null equals null inside a nested value.
    static func equal(_ a: SQLValue, _ b: SQLValue) -> Bool {
        switch (a, b) {
        case (.decimal(let x), .decimal(let y)): return ComparisonKernels.compareDecimals(x.unscaled, x.scale, y.unscaled, y.scale) == 0
        case (.array(let x), .array(let y)): return x.count == y.count && zip(x, y).allSatisfy { equal($0, $1) }
        case (.map(let x), .map(let y)):
            return x.count == y.count
                && x.allSatisfy { entry in y.first { equal($0.key, entry.key) }.map { equal($0.value, entry.value) } ?? false }
        case (.structure(let x), .structure(let y)):
            return x.count == y.count
                && x.allSatisfy { field in y.first { $0.name == field.name }.map { equal($0.value, field.value) } ?? false }
        default: return a == b
        }
    }

    /// e[i]: arrays from 1, negative from the end, out of range null; maps by key, absent null.
    static func index(_ base: Value, _ index: Value, count: Int, type: SQLType) -> Column {
        var wanted = [UInt32](repeating: 0, count: count)
        var valid = [Bool](repeating: false, count: count)
        let inner: Column
        switch base.column {
        case .array(let list):
            inner = list.elements
            for row in 0..<count {
                let i = base.index(row), j = index.index(row)
                guard list.validity.isValid(i), index.column.validity.isValid(j) else { continue }
                let at: Int
                switch index.column {
                case .integer(let c): at = Int(c.values[j])
                case .bigint(let c): at = Int(c.values[j])
                default: preconditionFailure("an array is indexed by INT or BIGINT")
                }
                let range = list.range(i)
                let element = at > 0 ? range.lowerBound + at - 1 : range.upperBound + at
                guard at != 0, at.magnitude <= range.count else { continue }
                wanted[row] = UInt32(element)
                valid[row] = true
            }
        case .map(let map):
            inner = map.values
            let equal = RowComparison.equality(map.keys, index.column)
            for row in 0..<count {
                let i = base.index(row)
                guard map.validity.isValid(i) else { continue }
                let key = index.index(row)
                // Of two entries with one key the later counts.
                for entry in map.range(i).reversed() where equal(entry, key) {
                    wanted[row] = UInt32(entry)
                    valid[row] = true
                    break
                }
            }
        default: preconditionFailure("only arrays and maps are indexed")
        }
        if inner.count == 0 { return .nulls(type, count: count) }
        var out = inner.gathered(wanted)
        if valid.contains(false) { out.validity = out.validity.and(Validity(flags: valid)) }
        return out
    }

    /// e->field; a null struct has null fields.
    static func field(_ base: Column, _ name: String, type: SQLType) -> Column {
        guard case .structure(let structs) = base else { preconditionFailure("only structs have fields") }
        guard let i = structs.names.firstIndex(of: name) else { return .nulls(type, count: structs.count) }
        var out = structs.fields[i]
        out.validity = out.validity.and(structs.validity)
        return out
    }

    static func array(_ inputs: [Value], count: Int, type: SQLType) -> Column {
        guard case .array(let element) = type else { preconditionFailure("ARRAY[] makes an array") }
        let offsets = (0...count).map { Int32($0 * inputs.count) }
        if inputs.isEmpty { return .array(ListColumn(offsets: offsets, elements: .empty(element))) }
        return .array(ListColumn(offsets: offsets, elements: interleaved(inputs, count: count, type: element)))
    }

    /// Row 0 of each input, then row 1 of each …
    private static func interleaved(_ inputs: [Value], count: Int, type: SQLType) -> Column {
        var bases: [Int] = [], total = 0
        for input in inputs {
            bases.append(total)
            total += input.column.count
        }
        var rows: [UInt32] = []
        rows.reserveCapacity(count * inputs.count)
        for row in 0..<count { for (k, input) in inputs.enumerated() { rows.append(UInt32(bases[k] + input.index(row))) } }
        return Column.concatenated(inputs.map(\.column), type: type).gathered(rows)
    }

    /// MAP(k := v …): a key may be null; of two equal keys the later value counts.
    static func map(_ inputs: [Value], count: Int, type: SQLType) -> Column {
        guard case .map = type else { preconditionFailure("MAP() makes a map") }
        let size = inputs.count / 2
        var builder = ColumnBuilder(type)
        for row in 0..<count {
            var entries: [SQLValue.MapEntry] = []
            for k in 0..<size {
                let key = inputs[k].boxed(row)
                entries.removeAll { $0.key == key }
                entries.append(.init(key, inputs[size + k].boxed(row)))
            }
            builder.append(.map(entries))
        }
        return builder.column
    }

    static func structure(_ inputs: [Value], count: Int, type: SQLType) -> Column {
        guard case .structure(let fields) = type else { preconditionFailure("STRUCT() makes a struct") }
        return .structure(
            StructColumn(names: fields.map(\.name), fields: inputs.map { $0.expanded(count).column }, count: count))
    }
}
