import MartletCore

extension Column {
    /// The rows of all `parts`, one after another; all have type `type`.
    static func concatenated(_ parts: [Column], type: SQLType) -> Column {
        if parts.count == 1 { return parts[0] }
        func fixed<T>(_ pick: (Column) -> FixedColumn<T>?) -> FixedColumn<T> {
            let columns = parts.compactMap(pick)
            return FixedColumn(columns.flatMap(\.values), validity: validity())
        }
        func validity() -> Validity {
            if parts.allSatisfy({ $0.validity.flags == nil }) { return .allValid }
            return Validity(flags: parts.flatMap { $0.validity.flags ?? [Bool](repeating: true, count: $0.count) })
        }
        func byteStrings(_ columns: [BytesColumn]) -> BytesColumn {
            var out = BytesColumn(validity: validity())
            for column in columns {
                let base = UInt32(out.buffer.count)
                out.buffer += column.buffer
                out.starts += column.starts.map { $0 + base }
                out.lengths += column.lengths
            }
            return out
        }
        func offsets(_ lists: [[Int32]]) -> [Int32] {
            var out: [Int32] = [0]
            for list in lists {
                let base = out[out.count - 1]
                out += list.dropFirst().map { $0 + base }
            }
            return out
        }
        switch type {
        case .boolean: return .boolean(fixed { if case .boolean(let c) = $0 { c } else { nil } })
        case .integer: return .integer(fixed { if case .integer(let c) = $0 { c } else { nil } })
        case .bigint: return .bigint(fixed { if case .bigint(let c) = $0 { c } else { nil } })
        case .double: return .double(fixed { if case .double(let c) = $0 { c } else { nil } })
        case .decimal(let precision, let scale):
            return .decimal(fixed { if case .decimal(let c, _, _) = $0 { c } else { nil } }, precision: precision, scale: scale)
        case .date: return .date(fixed { if case .date(let c) = $0 { c } else { nil } })
        case .time: return .time(fixed { if case .time(let c) = $0 { c } else { nil } })
        case .timestamp: return .timestamp(fixed { if case .timestamp(let c) = $0 { c } else { nil } })
        case .string: return .string(byteStrings(parts.compactMap { if case .string(let c) = $0 { c } else { nil } }))
        case .bytes: return .bytes(byteStrings(parts.compactMap { if case .bytes(let c) = $0 { c } else { nil } }))
        case .array(let element):
            let lists = parts.compactMap { if case .array(let c) = $0 { c } else { nil } }
            return .array(
                ListColumn(
                    offsets: offsets(lists.map(\.offsets)), elements: .concatenated(lists.map(\.elements), type: element),
                    validity: validity()))
        case .map(let key, let value):
            let maps = parts.compactMap { if case .map(let c) = $0 { c } else { nil } }
            return .map(
                MapColumn(
                    offsets: offsets(maps.map(\.offsets)), keys: .concatenated(maps.map(\.keys), type: key),
                    values: .concatenated(maps.map(\.values), type: value), validity: validity()))
        case .structure(let fields):
            let structs = parts.compactMap { if case .structure(let c) = $0 { c } else { nil } }
            return .structure(
                StructColumn(
                    names: fields.map(\.name),
                    fields: fields.indices.map { i in .concatenated(structs.map { $0.fields[i] }, type: fields[i].type) },
                    count: structs.reduce(0) { $0 + $1.count }, validity: validity()))
        }
    }
}
