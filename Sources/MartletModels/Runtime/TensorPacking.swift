import MartletColumns
import MartletCore

/// Columns into row-major tensors. Nulls are gone by now: rows with one are not sent to the model.
enum TensorPacking {
    /// Rows worked on at a time: their part of the tensor stays in the first-level cache while each column writes its stripe.
    private static let tileRows = 64

    /// Numbers to `[rows, columns.count]`, from row `start` of each column.
    static func pack(_ columns: ArraySlice<Column>, start: Int, rows: Int, into out: inout MutableSpan<Float>) {
        packNumbers(columns, start: start, rows: rows, into: &out)
    }

    static func pack(_ columns: ArraySlice<Column>, start: Int, rows: Int, into out: inout MutableSpan<Double>) {
        packNumbers(columns, start: start, rows: rows, into: &out)
    }

    /// Four DOUBLE columns at a time: a row of them is one or two stores of 16 bytes. 30 columns cost 4 ns a row so, against 6 column by column and
    /// 13 through checked spans, where the model itself takes 30: hence the pointers.
    @inline(__always)
    private static func packNumbers<Element: BinaryFloatingPoint & BitwiseCopyable & SIMDScalar>(
        _ columns: ArraySlice<Column>, start: Int, rows: Int, into out: inout MutableSpan<Element>
    ) {
        let width = columns.count, first = columns.startIndex
        precondition(rows * width <= out.count && columns.allSatisfy { $0.count >= start + rows }, "packed rows lie inside columns and tensor")
        for tile in stride(from: 0, to: rows, by: tileRows) {
            let end = min(tile + tileRows, rows)
            var stripe = 0
            while stripe < width {
                if stripe + 4 <= width, case .double(let a) = columns[first + stripe], case .double(let b) = columns[first + stripe + 1],
                    case .double(let c) = columns[first + stripe + 2], case .double(let d) = columns[first + stripe + 3]
                {
                    out.withUnsafeMutableBufferPointer { out in
                        writeFour(a.values, b.values, c.values, d.values, start: start, tile..<end, to: out.baseAddress! + stripe, width: width)
                    }
                    stripe += 4
                } else {
                    write(columns[first + stripe], start, tile, end, stripe, width, &out)
                    stripe += 1
                }
            }
        }
    }

    @inline(__always)
    private static func writeFour<Element: BinaryFloatingPoint & BitwiseCopyable & SIMDScalar>(
        _ a: [Double], _ b: [Double], _ c: [Double], _ d: [Double], start: Int, _ rows: Range<Int>, to out: UnsafeMutablePointer<Element>, width: Int
    ) {
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                c.withUnsafeBufferPointer { c in
                    d.withUnsafeBufferPointer { d in
                        let a = a.baseAddress! + start, b = b.baseAddress! + start, c = c.baseAddress! + start, d = d.baseAddress! + start
                        let bytes = MemoryLayout<Element>.stride
                        var place = UnsafeMutableRawPointer(out + rows.lowerBound &* width)
                        for row in rows {
                            place.storeBytes(of: SIMD4(Element(a[row]), Element(b[row]), Element(c[row]), Element(d[row])), as: SIMD4<Element>.self)
                            place += width &* bytes
                        }
                    }
                }
            }
        }
    }

    /// One column's stripe of a tile.
    private static func write<Element: BinaryFloatingPoint & BitwiseCopyable>(
        _ column: Column, _ start: Int, _ from: Int, _ to: Int, _ stripe: Int, _ width: Int, _ out: inout MutableSpan<Element>
    ) {
        switch column {
        case .double(let c): write(c.values, start, from, to, stripe, width, &out) { Element($0) }
        case .bigint(let c): write(c.values, start, from, to, stripe, width, &out) { Element($0) }
        case .integer(let c): write(c.values, start, from, to, stripe, width, &out) { Element($0) }
        case .decimal(let c, _, let scale):
            let unit = powerOfTen(scale)
            write(c.values, start, from, to, stripe, width, &out) { Element(Double($0) / unit) }
        default: preconditionFailure("the planner casts a model's arguments to the types of its signature")
        }
    }

    /// Whole numbers to `[rows, columns.count]`.
    static func pack<Element: FixedWidthInteger & BitwiseCopyable>(_ columns: ArraySlice<Column>, start: Int, rows: Int, into out: inout MutableSpan<Element>) {
        for (stripe, column) in columns.enumerated() {
            switch column {
            case .bigint(let c): write(c.values, start, 0, rows, stripe, columns.count, &out) { Element($0) }
            case .integer(let c): write(c.values, start, 0, rows, stripe, columns.count, &out) { Element($0) }
            default: preconditionFailure("the planner casts a model's arguments to the types of its signature")
            }
        }
    }

    static func pack(_ columns: ArraySlice<Column>, start: Int, rows: Int, into out: inout MutableSpan<Bool>) {
        for (stripe, column) in columns.enumerated() {
            guard case .boolean(let c) = column else { preconditionFailure("the planner casts a model's arguments to the types of its signature") }
            write(c.values, start, 0, rows, stripe, columns.count, &out) { $0 }
        }
    }

    /// Strings row by row, each ended by a zero byte, and where each begins.
    static func pack(_ columns: ArraySlice<Column>, start: Int, rows: Int) -> (text: [UInt8], starts: [Int]) {
        var text: [UInt8] = [], starts: [Int] = []
        starts.reserveCapacity(rows * columns.count)
        for row in start..<start + rows {
            for column in columns {
                guard case .string(let c) = column else { preconditionFailure("the planner casts a model's arguments to the types of its signature") }
                starts.append(text.count)
                text.append(contentsOf: c.slice(row))
                text.append(0)
            }
        }
        return (text, starts)
    }

    @inline(__always)
    private static func write<Source, Element: BitwiseCopyable>(
        _ values: [Source], _ start: Int, _ from: Int, _ to: Int, _ stripe: Int, _ width: Int, _ out: inout MutableSpan<Element>,
        _ convert: (Source) -> Element
    ) {
        let source = values.span
        var place = from &* width &+ stripe
        for row in from..<to {
            out[place] = convert(source[start &+ row])
            place &+= width
        }
    }

    private static func powerOfTen(_ exponent: Int) -> Double {
        var out = 1.0
        for _ in 0..<exponent { out *= 10 }
        return out
    }
}
