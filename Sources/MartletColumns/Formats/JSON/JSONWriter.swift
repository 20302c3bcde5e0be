import MartletCore

/// Texts in one piece of memory: an array of arrays costs a retain and a release a field here, 5 ns of 30.
///
/// Sendable unchecked: the memory is written in `init` and freed in `deinit`, nowhere else.
private final class JSONLabels: @unchecked Sendable {
    /// Each text begins at a multiple of 16, zeros behind it up to the next.
    private let bytes: UnsafeMutablePointer<UInt8>
    /// Where the texts begin, and how long they are.
    private let places: UnsafeMutablePointer<(start: UInt32, count: UInt32)>

    init(_ labels: [[UInt8]]) {
        let total = labels.reduce(16) { $0 + ($1.count + 15) / 16 * 16 }
        bytes = .allocate(capacity: total)
        bytes.initialize(repeating: 0, count: total)
        places = .allocate(capacity: max(labels.count, 1))
        var start = 0
        for (i, label) in labels.enumerated() {
            places[i] = (UInt32(start), UInt32(label.count))
            for (j, byte) in label.enumerated() { bytes[start + j] = byte }
            start += (label.count + 15) / 16 * 16
        }
    }

    deinit {
        bytes.deallocate()
        places.deallocate()
    }

    /// In steps of 16 bytes: a call of `memcpy` for a few costs more than they do.
    @inline(__always)
    func append(_ index: Int, to out: inout ByteWriter) {
        let (start, count) = places[index]
        out.reserve(Int(count) &+ 16)
        let to = UnsafeMutableRawPointer(out.end), from = UnsafeRawPointer(bytes + Int(start))
        var i = 0
        repeat {
            to.storeBytes(of: from.loadUnaligned(fromByteOffset: i, as: SIMD2<UInt64>.self), toByteOffset: i, as: SIMD2<UInt64>.self)
            i &+= 16
        } while i < count
        out.count &+= Int(count)
    }
}

/// Writes values of columns as JSON text.
struct JSONWriter {
    enum Style {
        /// As in topics: time types are numbers.
        case topic
        /// As in REST results: time types are text.
        case rest
        /// As `rest`, with fields and entries in order of their names: TO_JSON_STRING.
        case sorted
    }

    /// How Connect's JSON Schema converter has nested values that are not plain objects.
    enum Shape: UInt8 {
        case plain
        /// A map as a list of `{"key":…,"value":…}`.
        case entries
        /// A struct of alternatives as the one that is not null.
        case alternative
    }

    let style: Style
    /// `,"NAME":` by view: of the columns and of struct fields, empty for others. The first of an object has its comma replaced.
    private let labels: JSONLabels
    /// By view. Empty: all are plain.
    private let shapes: [Shape]
    /// By view, of structs that are written `sorted`: the fields' views in order of their names.
    private let fieldOrder: [[Int]]

    init(_ fields: [Field], style: Style, shapes: [Shape] = []) {
        self.style = style
        self.shapes = shapes
        var labels: [[UInt8]] = [], fieldOrder: [[Int]] = []
        func add(_ type: SQLType, name: String?) {
            let index = labels.count
            fieldOrder.append([])
            labels.append(name.map { Array(("," + JSONValue.string($0).description + ":").utf8) } ?? [])
            switch type {
            case .array(let element): add(element, name: nil)
            case .map(let key, let value):
                add(key, name: nil)
                add(value, name: nil)
            case .structure(let fields):
                var places: [(name: [UInt16], view: Int)] = []
                for field in fields {
                    places.append((Array(field.name.utf16), labels.count))
                    add(field.type, name: field.name)
                }
                fieldOrder[index] = places.sorted { $0.name.lexicographicallyPrecedes($1.name) }.map(\.view)
            default: break
            }
        }
        for field in fields { add(field.type, name: field.name) }
        self.fieldOrder = style == .sorted ? fieldOrder : []
        self.labels = JSONLabels(labels)
    }

    /// One object of the columns.
    @inline(__always)
    func writeObject(_ roots: [Int], _ row: Int, _ views: UnsafePointer<ColumnView>, _ out: inout ByteWriter) {
        let start = out.count
        if roots.isEmpty { out.append(UInt8(ascii: "{")) }
        for i in 0..<roots.count {
            labels.append(roots[i], to: &out)
            writeRoot(roots[i], row, views, &out)
        }
        out.base[start] = UInt8(ascii: "{")
        out.append(UInt8(ascii: "}"))
    }

    /// One array of the columns.
    func writeArray(_ roots: [Int], _ row: Int, _ views: UnsafePointer<ColumnView>, _ out: inout ByteWriter) {
        let start = out.count
        if roots.isEmpty { out.append(UInt8(ascii: "[")) }
        for i in 0..<roots.count {
            out.append(UInt8(ascii: ","))
            writeRoot(roots[i], row, views, &out)
        }
        out.base[start] = UInt8(ascii: "[")
        out.append(UInt8(ascii: "]"))
    }

    /// One value of a column, the most frequent kind without a call.
    @inline(__always)
    private func writeRoot(_ index: Int, _ row: Int, _ views: UnsafePointer<ColumnView>, _ out: inout ByteWriter) {
        let view = views + index
        if view.pointee.kind == .double, view.pointee.isValid(row) {
            let value = view.pointee.value(Double.self, row)
            if value.isFinite {
                out.append(double: value)
                return
            }
        }
        write(index, row, views, &out)
    }

    /// One value; null if the row is.
    func write(_ index: Int, _ row: Int, _ views: UnsafePointer<ColumnView>, _ out: inout ByteWriter) {
        let view = views + index
        if let valid = view.pointee.valid, !valid[row] {
            out.append("null")
            return
        }
        switch view.pointee.kind {
        case .double:
            let value = view.pointee.value(Double.self, row)
            if value.isFinite {
                out.append(double: value)
            } else {
                out.append(0x22)
                out.append(double: value)
                out.append(0x22)
            }
        case .integer: out.append(integer: Int64(view.pointee.value(Int32.self, row)))
        case .bigint: out.append(integer: view.pointee.value(Int64.self, row))
        case .boolean: out.append(view.pointee.value(Bool.self, row) ? "true" : "false")
        case .decimal: out.append(decimal: view.pointee.value(Int128.self, row), scale: view.pointee.scale)
        case .string: Self.write(view.pointee.text(row), &out)
        case .bytes:
            out.append(0x22)
            Base64.encode(view.pointee.text(row), to: &out)
            out.append(0x22)
        case .date:
            let days = view.pointee.value(Int32.self, row)
            if style == .topic { out.append(integer: Int64(days)) } else { quoted(&out) { Self.write(date: Int64(days), &$0) } }
        case .time:
            let millis = view.pointee.value(Int32.self, row)
            if style == .topic { out.append(integer: Int64(millis)) } else { quoted(&out) { Self.write(time: Int(millis), &$0) } }
        case .timestamp:
            let millis = view.pointee.value(Int64.self, row)
            if style == .topic { out.append(integer: millis) } else { quoted(&out) { Self.write(timestamp: millis, &$0) } }
        case .array:
            out.append(UInt8(ascii: "["))
            let range = view.pointee.range(row)
            for i in range {
                if i > range.lowerBound { out.append(UInt8(ascii: ",")) }
                write(index + 1, i, views, &out)
            }
            out.append(UInt8(ascii: "]"))
        case .map:
            let range = view.pointee.range(row), keys = index + 1, values = views[keys].next
            if index < shapes.count, shapes[index] == .entries {
                out.append(UInt8(ascii: "["))
                for i in range {
                    out.append(i > range.lowerBound ? ",{\"key\":" : "{\"key\":")
                    write(keys, i, views, &out)
                    out.append(",\"value\":")
                    write(values, i, views, &out)
                    out.append(UInt8(ascii: "}"))
                }
                out.append(UInt8(ascii: "]"))
                return
            }
            out.append(UInt8(ascii: "{"))
            if style == .sorted, range.count > 1 {
                sorted(range, keys, values, views, &out)
                return
            }
            for i in range {
                if i > range.lowerBound { out.append(UInt8(ascii: ",")) }
                key(keys, i, views, &out)
                out.append(UInt8(ascii: ":"))
                write(values, i, views, &out)
            }
            out.append(UInt8(ascii: "}"))
        case .structure:
            let start = out.count
            var child = index + 1
            if index < shapes.count, shapes[index] == .alternative {
                while child < view.pointee.next, !views[child].isValid(row) { child = views[child].next }
                if child < view.pointee.next { write(child, row, views, &out) } else { out.append("null") }
                return
            }
            if child == view.pointee.next { out.append(UInt8(ascii: "{")) }
            if style == .sorted {
                for child in fieldOrder[index] {
                    labels.append(child, to: &out)
                    write(child, row, views, &out)
                }
                child = view.pointee.next
            }
            while child < view.pointee.next {
                labels.append(child, to: &out)
                write(child, row, views, &out)
                child = views[child].next
            }
            out.base[start] = UInt8(ascii: "{")
            out.append(UInt8(ascii: "}"))
        }
    }

    /// The entries of a map in order of their keys' texts, and the closing brace.
    private func sorted(_ range: Range<Int>, _ keys: Int, _ values: Int, _ views: UnsafePointer<ColumnView>, _ out: inout ByteWriter) {
        let order: [Int]
        if views[keys].kind == .string {
            order = range.sorted { ComparisonKernels.compareUTF16(Array(views[keys].text($0))[...], Array(views[keys].text($1))[...]) < 0 }
        } else {
            let texts = range.map { i in
                var text = ByteWriter(capacity: 32)
                key(keys, i, views, &text)
                return Array(UnsafeBufferPointer(start: text.base, count: text.count))
            }
            order = range.sorted { texts[$0 - range.lowerBound].lexicographicallyPrecedes(texts[$1 - range.lowerBound]) }
        }
        for (place, i) in order.enumerated() {
            if place > 0 { out.append(UInt8(ascii: ",")) }
            key(keys, i, views, &out)
            out.append(UInt8(ascii: ":"))
            write(values, i, views, &out)
        }
        out.append(UInt8(ascii: "}"))
    }

    /// A name in an object is text whatever the key's type.
    private func key(_ keys: Int, _ row: Int, _ views: UnsafePointer<ColumnView>, _ out: inout ByteWriter) {
        if !views[keys].isValid(row) {
            out.append("\"null\"")
        } else if views[keys].kind == .string {
            Self.write(views[keys].text(row), &out)
        } else {
            var text = ByteWriter(capacity: 64)
            write(keys, row, views, &text)
            let bytes = UnsafeBufferPointer(start: text.base, count: text.count)
            if bytes.first == 0x22 { out.append(text.base, count: text.count) } else { Self.write(bytes, &out) }
        }
    }

    private func quoted(_ out: inout ByteWriter, _ body: (inout ByteWriter) -> Void) {
        out.append(0x22)
        body(&out)
        out.append(0x22)
    }

    /// Text in quotes, escaped as RFC 8259 requires.
    static func write(_ text: UnsafeBufferPointer<UInt8>, _ out: inout ByteWriter) {
        // At worst six bytes for one.
        out.reserve(text.count &* 6 &+ 2)
        var p = out.end
        p.pointee = 0x22
        p += 1
        if let base = text.baseAddress {
            var i = 0
            while i < text.count {
                while i &+ 8 <= text.count {
                    let word = NumberScan.word(base + i)
                    let hits =
                        NumberScan.zeroBytes(word ^ 0x2222_2222_2222_2222) | NumberScan.zeroBytes(word ^ 0x5c5c_5c5c_5c5c_5c5c)
                        | ((word &- 0x2020_2020_2020_2020) & ~word & 0x8080_8080_8080_8080)
                    if hits != 0 { break }
                    UnsafeMutableRawPointer(p).storeBytes(of: word.littleEndian, as: UInt64.self)
                    p += 8
                    i &+= 8
                }
                if i == text.count { break }
                let byte = base[i]
                i &+= 1
                if byte >= 0x20, byte != 0x22, byte != 0x5c {
                    p.pointee = byte
                    p += 1
                    continue
                }
                p.pointee = 0x5c
                p += 1
                switch byte {
                case 0x22, 0x5c: p.pointee = byte
                case 0x0a: p.pointee = UInt8(ascii: "n")
                case 0x0d: p.pointee = UInt8(ascii: "r")
                case 0x09: p.pointee = UInt8(ascii: "t")
                case 0x08: p.pointee = UInt8(ascii: "b")
                case 0x0c: p.pointee = UInt8(ascii: "f")
                default:
                    p[0] = UInt8(ascii: "u")
                    p[1] = 0x30
                    p[2] = 0x30
                    p[3] = 0x30 &+ byte &>> 4
                    let low = byte & 15
                    p[4] = low < 10 ? 0x30 &+ low : 0x37 &+ low
                    p += 4
                }
                p += 1
            }
        }
        p.pointee = 0x22
        out.count = p + 1 - out.base
    }

    // MARK: time types as REST text (UTC, proleptic Gregorian)

    private static func write(_ value: Int, digits: Int, _ out: inout ByteWriter) {
        var power = 1
        for _ in 1..<digits { power *= 10 }
        while power > 0 {
            out.append(0x30 &+ UInt8(value / power % 10))
            power /= 10
        }
    }

    /// `yyyy-MM-dd`.
    static func write(date days: Int64, _ out: inout ByteWriter) {
        // Howard Hinnant, "chrono-compatible low-level date algorithms": civil_from_days.
        let z = days + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shifted + 2) / 5 + 1
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        if year < 0 {
            out.append(0x2d)
        } else if year > 9999 {
            out.append(0x2b)
        }
        var width = 4
        while width < 18, year.magnitude >= NumberScan.integerTens[width] { width += 1 }
        write(Int(year.magnitude), digits: width, &out)
        out.append(0x2d)
        write(Int(month), digits: 2, &out)
        out.append(0x2d)
        write(Int(day), digits: 2, &out)
    }

    /// `HH:mm`, and `:ss` unless seconds are 0; milliseconds are not shown.
    static func write(time millis: Int, _ out: inout ByteWriter) {
        write(millis / 3_600_000, digits: 2, &out)
        out.append(0x3a)
        write(millis / 60_000 % 60, digits: 2, &out)
        let seconds = millis / 1000 % 60
        if seconds != 0 {
            out.append(0x3a)
            write(seconds, digits: 2, &out)
        }
    }

    /// `yyyy-MM-ddTHH:mm:ss.SSS`.
    static func write(timestamp millis: Int64, _ out: inout ByteWriter) {
        let days = millis >= 0 ? millis / 86_400_000 : -((-(millis + 1)) / 86_400_000) - 1
        let rest = Int(millis - days * 86_400_000)
        write(date: days, &out)
        out.append(UInt8(ascii: "T"))
        write(rest / 3_600_000, digits: 2, &out)
        out.append(0x3a)
        write(rest / 60_000 % 60, digits: 2, &out)
        out.append(0x3a)
        write(rest / 1000 % 60, digits: 2, &out)
        out.append(0x2e)
        write(rest % 1000, digits: 3, &out)
    }
}
