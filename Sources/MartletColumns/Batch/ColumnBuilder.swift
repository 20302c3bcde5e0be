import MartletCore

/// Builds a column of a given type from boxed values: for literals, INSERT, and functions on nested values.
public struct ColumnBuilder: Sendable {
    public private(set) var column: Column

    public init(_ type: SQLType) { column = Column.empty(type) }

    /// Appends `value`, which must be null or of the column's type; struct fields are matched by name, a missing one is null.
    public mutating func append(_ value: SQLValue) { column.append(value) }

    public static func column(of type: SQLType, _ values: [SQLValue]) -> Column {
        var builder = ColumnBuilder(type)
        for value in values { builder.append(value) }
        return builder.column
    }
}

extension Column {
    public static func empty(_ type: SQLType) -> Column {
        switch type {
        case .boolean: .boolean(FixedColumn([]))
        case .integer: .integer(FixedColumn([]))
        case .bigint: .bigint(FixedColumn([]))
        case .double: .double(FixedColumn([]))
        case .decimal(let precision, let scale): .decimal(FixedColumn([]), precision: precision, scale: scale)
        case .string: .string(BytesColumn())
        case .bytes: .bytes(BytesColumn())
        case .date: .date(FixedColumn([]))
        case .time: .time(FixedColumn([]))
        case .timestamp: .timestamp(FixedColumn([]))
        case .array(let element): .array(ListColumn(offsets: [0], elements: .empty(element)))
        case .map(let key, let value): .map(MapColumn(offsets: [0], keys: .empty(key), values: .empty(value)))
        case .structure(let fields):
            .structure(StructColumn(names: fields.map(\.name), fields: fields.map { .empty($0.type) }, count: 0))
        }
    }

    /// `count` nulls.
    public static func nulls(_ type: SQLType, count: Int) -> Column { .repeating(.null, type: type, count: count) }

    /// `count` times the same value of `type` (or null).
    public static func repeating(_ value: SQLValue, type: SQLType, count: Int) -> Column {
        var one = Column.empty(type)
        one.append(value)
        return one.gathered([UInt32](repeating: 0, count: count))
    }

    mutating func append(_ value: SQLValue) {
        func add<T>(_ column: inout FixedColumn<T>, _ value: T?, _ zero: T) {
            column.validity.append(value != nil, count: column.values.count)
            column.values.append(value ?? zero)
        }
        func mismatch() -> Never { preconditionFailure("a value appended to a column has the column's type") }
        switch self {
        case .boolean(var c):
            self = .boolean(FixedColumn([]))
            switch value {
            case .null: add(&c, nil, false)
            case .boolean(let v): add(&c, v, false)
            default: mismatch()
            }
            self = .boolean(c)
        case .integer(var c):
            self = .boolean(FixedColumn([]))
            switch value {
            case .null: add(&c, nil, 0)
            case .integer(let v): add(&c, v, 0)
            default: mismatch()
            }
            self = .integer(c)
        case .bigint(var c):
            self = .boolean(FixedColumn([]))
            switch value {
            case .null: add(&c, nil, 0)
            case .bigint(let v): add(&c, v, 0)
            default: mismatch()
            }
            self = .bigint(c)
        case .double(var c):
            self = .boolean(FixedColumn([]))
            switch value {
            case .null: add(&c, nil, 0)
            case .double(let v): add(&c, v, 0)
            default: mismatch()
            }
            self = .double(c)
        case .decimal(var c, let precision, let scale):
            self = .boolean(FixedColumn([]))
            switch value {
            case .null: add(&c, nil, 0)
            case .decimal(let v):
                precondition(v.scale == scale, "a decimal appended to a column has the column's scale")
                add(&c, v.unscaled, 0)
            default: mismatch()
            }
            self = .decimal(c, precision: precision, scale: scale)
        case .string(var c):
            self = .boolean(FixedColumn([]))
            switch value {
            case .null: c.appendNull()
            case .string(let v): c.append(Array(v.utf8))
            default: mismatch()
            }
            self = .string(c)
        case .bytes(var c):
            self = .boolean(FixedColumn([]))
            switch value {
            case .null: c.appendNull()
            case .bytes(let v): c.append(v)
            default: mismatch()
            }
            self = .bytes(c)
        case .date(var c):
            self = .boolean(FixedColumn([]))
            switch value {
            case .null: add(&c, nil, 0)
            case .date(let v): add(&c, v, 0)
            default: mismatch()
            }
            self = .date(c)
        case .time(var c):
            self = .boolean(FixedColumn([]))
            switch value {
            case .null: add(&c, nil, 0)
            case .time(let v): add(&c, v, 0)
            default: mismatch()
            }
            self = .time(c)
        case .timestamp(var c):
            self = .boolean(FixedColumn([]))
            switch value {
            case .null: add(&c, nil, 0)
            case .timestamp(let v): add(&c, v, 0)
            default: mismatch()
            }
            self = .timestamp(c)
        case .array(var c):
            self = .boolean(FixedColumn([]))
            c.validity.append(!value.isNull, count: c.count)
            switch value {
            case .null: break
            case .array(let values): for element in values { c.elements.append(element) }
            default: mismatch()
            }
            c.offsets.append(Int32(c.elements.count))
            self = .array(c)
        case .map(var c):
            self = .boolean(FixedColumn([]))
            c.validity.append(!value.isNull, count: c.count)
            switch value {
            case .null: break
            case .map(let entries):
                for entry in entries {
                    c.keys.append(entry.key)
                    c.values.append(entry.value)
                }
            default: mismatch()
            }
            c.offsets.append(Int32(c.keys.count))
            self = .map(c)
        case .structure(var c):
            self = .boolean(FixedColumn([]))
            c.validity.append(!value.isNull, count: c.count)
            switch value {
            case .null: for i in c.fields.indices { c.fields[i].append(.null) }
            case .structure(let fields):
                for i in c.fields.indices {
                    c.fields[i].append(fields.first { $0.name == c.names[i] }?.value ?? .null)
                }
            default: mismatch()
            }
            c.count += 1
            self = .structure(c)
        }
    }
}
