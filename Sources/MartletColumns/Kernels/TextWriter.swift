import MartletCore

/// Writes values of columns as CAST to STRING does (`SQLValue.castText`), without boxing them.
struct TextWriter {
    /// `NAME=` by view, of struct fields; empty for others.
    private let labels: [[UInt8]]

    init(_ type: SQLType) {
        var labels: [[UInt8]] = []
        func add(_ type: SQLType, name: String?) {
            labels.append(name.map { Array("\($0)=".utf8) } ?? [])
            switch type {
            case .array(let element): add(element, name: nil)
            case .map(let key, let value):
                add(key, name: nil)
                add(value, name: nil)
            case .structure(let fields): for field in fields { add(field.type, name: field.name) }
            default: break
            }
        }
        add(type, name: nil)
        self.labels = labels
    }

    /// The column's values as texts; null stays null.
    static func texts(_ column: Column) -> BytesColumn {
        let writer = TextWriter(column.type)
        return rows(of: [column], count: column.count, validity: column.validity) { row, views, out in writer.write(0, row, views, &out) }
    }

    /// A text for each valid row, made from views of `columns`.
    static func rows(
        of columns: [Column], count: Int, validity: Validity, _ body: (Int, UnsafePointer<ColumnView>, inout ByteWriter) -> Void
    ) -> BytesColumn {
        var out = BytesColumn(validity: validity)
        out.starts.reserveCapacity(count)
        out.lengths.reserveCapacity(count)
        var bytes = ByteWriter(capacity: count * 16)
        ColumnView.withViews(of: columns) { views, _ in
            for row in 0..<count {
                let start = bytes.count
                if validity.isValid(row) { body(row, views, &bytes) }
                out.starts.append(UInt32(start))
                out.lengths.append(UInt32(bytes.count - start))
            }
        }
        bytes.copy(to: &out.buffer)
        return out
    }

    /// One value; `null` if the row is. What is inside a collection (`index` above 0) is as Java's classes print it.
    func write(_ index: Int, _ row: Int, _ views: UnsafePointer<ColumnView>, _ out: inout ByteWriter) {
        let view = views + index
        guard view.pointee.isValid(row) else { return out.append("null") }
        switch view.pointee.kind {
        case .boolean: out.append(view.pointee.value(Bool.self, row) ? "true" : "false")
        case .integer: out.append(integer: Int64(view.pointee.value(Int32.self, row)))
        case .bigint: out.append(integer: view.pointee.value(Int64.self, row))
        case .double: out.append(double: view.pointee.value(Double.self, row))
        case .decimal:
            let value = view.pointee.value(Int128.self, row), scale = view.pointee.scale
            if index > 0, scale > 6 {
                out.append(text: Decimal128(unscaled: value, scale: scale).javaText)
            } else {
                out.append(decimal: value, scale: scale)
            }
        case .string:
            let text = view.pointee.text(row)
            if let start = text.baseAddress { out.append(start, count: text.count) }
        case .bytes: Base64.encode(view.pointee.text(row), to: &out)
        case .date: JSONWriter.write(date: Int64(view.pointee.value(Int32.self, row)), &out)
        case .time where index > 0: out.append(text: TemporalText.javaText(time: view.pointee.value(Int32.self, row)))
        case .timestamp where index > 0: out.append(text: TemporalText.javaText(timestamp: view.pointee.value(Int64.self, row)))
        case .time: JSONWriter.write(time: Int(view.pointee.value(Int32.self, row)), &out)
        case .timestamp: JSONWriter.write(timestamp: view.pointee.value(Int64.self, row), &out)
        case .array:
            out.append(UInt8(ascii: "["))
            let range = view.pointee.range(row)
            for i in range {
                if i > range.lowerBound { out.append(", ") }
                write(index + 1, i, views, &out)
            }
            out.append(UInt8(ascii: "]"))
        case .map:
            out.append(UInt8(ascii: "{"))
            let range = view.pointee.range(row), keys = index + 1, values = views[keys].next
            for i in range {
                if i > range.lowerBound { out.append(", ") }
                write(keys, i, views, &out)
                out.append(UInt8(ascii: "="))
                write(values, i, views, &out)
            }
            out.append(UInt8(ascii: "}"))
        case .structure:
            out.append("Struct{")
            var child = index + 1, isFirst = true
            while child < view.pointee.next {
                if views[child].isValid(row) {
                    if !isFirst { out.append(UInt8(ascii: ",")) }
                    isFirst = false
                    out.append(labels[child])
                    write(child, row, views, &out)
                }
                child = views[child].next
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    /// ARRAY_JOIN: the elements' texts with a delimiter between them (nil: none).
    static func joined(_ call: inout KernelCall, delimiter: (Int) -> ArraySlice<UInt8>) -> Column {
        let list = call.arguments[0].expanded(call.count).column
        guard case .array(let lists) = list else { preconditionFailure("ARRAY_JOIN of an array") }
        var validity = list.validity
        switch lists.elements.type {
        case .boolean, .integer, .bigint, .double, .decimal, .string: break
        default:
            // ksqlDB joins plain values only.
            for row in 0..<call.count where validity.isValid(row) && !lists.range(row).isEmpty {
                if lists.range(row).contains(where: { lists.elements.validity.isValid($0) }) {
                    validity.setNull(row, count: call.count)
                    call.fail(row, KernelFailure("ARRAY_JOIN does not support elements of type \(lists.elements.type)"))
                }
            }
        }
        let writer = TextWriter(list.type)
        return .string(
            rows(of: [list], count: call.count, validity: validity) { row, views, out in
                let range = views[0].range(row), between = delimiter(row)
                for i in range {
                    if i > range.lowerBound { between.withUnsafeBufferPointer { if let start = $0.baseAddress { out.append(start, count: $0.count) } } }
                    writer.write(1, i, views, &out)
                }
            })
    }

    /// TO_JSON_STRING: null is `null`, and names are in order.
    static func json(_ call: inout KernelCall) -> Column {
        let column = call.arguments[0].expanded(call.count).column
        let writer = JSONWriter([Field("", column.type)], style: .sorted)
        return .string(rows(of: [column], count: call.count, validity: .allValid) { row, views, out in writer.write(0, row, views, &out) })
    }
}
