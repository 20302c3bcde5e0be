import MartletColumns
import MartletCore

/// Collects one output of a model, run after run, into a column.
struct OutputColumn {
    private let output: TensorBinding.Output
    private var values: Values
    private var keys: Values
    /// For arrays and maps.
    private var offsets: [Int32] = [0]
    private var validity = Validity.allValid
    private(set) var count = 0

    init(_ output: TensorBinding.Output) {
        self.output = output
        switch output.type {
        case .array(let element): (values, keys) = (Values(element), Values(.boolean))
        case .map(let key, let value): (values, keys) = (Values(value), Values(key))
        case let type: (values, keys) = (Values(type), Values(.boolean))
        }
    }

    /// Takes the first `rows` rows of `value`; a run of fixed size may hold `padded` of them.
    /// - Throws: `.modelInvalid` if the run did not give what the first one did; `truncate(to:)` then drops what was taken.
    mutating func append(_ value: ONNXValue, rows: Int, padded: Int) throws(MartletError) {
        switch output.shape {
        case .scalar, .list:
            let width = if case .list(let width) = output.shape { width } else { 1 }
            let (element, shape) = try value.shape()
            let total = shape.reduce(1) { $0 * Int($1) }
            guard total == padded * width else {
                throw MartletError(
                    .modelInvalid, "output \(output.name) gave shape [\(shape.map(String.init).joined(separator: ","))] for \(padded) rows, \(width) a row are needed")
            }
            try values.append(value, element, take: rows * width, of: total)
            if case .list = output.shape {
                for _ in 0..<rows { offsets.append(offsets[offsets.count - 1] + Int32(width)) }
            }
        case .map:
            guard try value.itemCount() == padded else { throw MartletError(.modelInvalid, "output \(output.name) did not give one map a row") }
            for row in 0..<rows {
                let map = try value.item(row)
                let mapKeys = try map.item(0), mapValues = try map.item(1)
                let (keyElement, keyShape) = try mapKeys.shape()
                let entries = keyShape.reduce(1) { $0 * Int($1) }
                try keys.append(mapKeys, keyElement, take: entries, of: entries)
                try values.append(mapValues, try mapValues.shape().element, take: entries, of: entries)
                offsets.append(offsets[offsets.count - 1] + Int32(entries))
            }
        }
        if validity.flags != nil { for i in 0..<rows { validity.append(true, count: count + i) } }
        count += rows
    }

    mutating func appendNull() {
        switch output.shape {
        case .scalar: values.appendZero()
        case .list, .map: offsets.append(offsets[offsets.count - 1])
        }
        validity.append(false, count: count)
        count += 1
    }

    /// Drops all rows but the first `rows`.
    mutating func truncate(to rows: Int) {
        count = rows
        if let flags = validity.flags { validity = Validity(flags: Array(flags.prefix(rows))) }
        switch output.shape {
        case .scalar: values.truncate(to: rows)
        case .list, .map:
            offsets.removeLast(offsets.count - min(offsets.count, rows + 1))
            values.truncate(to: Int(offsets[offsets.count - 1]))
            if case .map = output.shape { keys.truncate(to: Int(offsets[offsets.count - 1])) }
        }
    }

    func column() -> Column {
        switch output.shape {
        case .scalar:
            var column = values.column
            column.validity = validity
            return column
        case .list: return .array(ListColumn(offsets: offsets, elements: values.column, validity: validity))
        case .map: return .map(MapColumn(offsets: offsets, keys: keys.column, values: values.column, validity: validity))
        }
    }

    /// Values of one SQL type; only the array of that type is used.
    private struct Values {
        let type: SQLType
        private var doubles: [Double] = []
        private var bigints: [Int64] = []
        private var integers: [Int32] = []
        private var booleans: [Bool] = []
        private var strings = BytesColumn()

        init(_ type: SQLType) { self.type = type }

        mutating func append(_ value: ONNXValue, _ element: TensorElementType, take: Int, of total: Int) throws(MartletError) {
            switch (type, element) {
            case (.double, .float): doubles.append(contentsOf: try Self.read(value, Float.self, take, total) { Double($0) })
            case (.double, .double): doubles.append(contentsOf: try Self.read(value, Double.self, take, total) { $0 })
            case (.double, .int64): doubles.append(contentsOf: try Self.read(value, Int64.self, take, total) { Double($0) })
            case (.double, .uint32): doubles.append(contentsOf: try Self.read(value, UInt32.self, take, total) { Double($0) })
            case (.double, _): doubles.append(contentsOf: try Self.smallIntegers(value, element, take, total).map { Double($0) })
            case (.bigint, .int64): bigints.append(contentsOf: try Self.read(value, Int64.self, take, total) { $0 })
            case (.bigint, .uint32): bigints.append(contentsOf: try Self.read(value, UInt32.self, take, total) { Int64($0) })
            case (.bigint, _): bigints.append(contentsOf: try Self.smallIntegers(value, element, take, total).map { Int64($0) })
            case (.integer, _): integers.append(contentsOf: try Self.smallIntegers(value, element, take, total))
            case (.boolean, .bool): booleans.append(contentsOf: try Self.read(value, UInt8.self, take, total) { $0 != 0 })
            case (.string, .string):
                let (text, starts) = try value.strings(count: total)
                for i in 0..<take { strings.append(text[starts[i]..<(i + 1 < total ? starts[i + 1] : text.count)]) }
            default: throw MartletError(.modelInvalid, "the model gave \(element) where it gave another type before")
            }
        }

        private static func smallIntegers(_ value: ONNXValue, _ element: TensorElementType, _ take: Int, _ total: Int) throws(MartletError) -> [Int32] {
            switch element {
            case .int32: try read(value, Int32.self, take, total) { $0 }
            case .int16: try read(value, Int16.self, take, total) { Int32($0) }
            case .uint16: try read(value, UInt16.self, take, total) { Int32($0) }
            case .int8: try read(value, Int8.self, take, total) { Int32($0) }
            case .uint8: try read(value, UInt8.self, take, total) { Int32($0) }
            default: throw MartletError(.modelInvalid, "the model gave \(element) where it gave another type before")
            }
        }

        private static func read<Source: BitwiseCopyable, Target>(
            _ value: ONNXValue, _: Source.Type, _ take: Int, _ total: Int, _ convert: (Source) -> Target
        ) throws(MartletError) -> [Target] {
            try value.withElements(Source.self, count: total) { elements in
                [Target](unsafeUninitializedCapacity: take) { out, count in
                    for i in 0..<take { out.initializeElement(at: i, to: convert(elements[i])) }
                    count = take
                }
            }
        }

        mutating func appendZero() {
            switch type {
            case .double: doubles.append(0)
            case .bigint: bigints.append(0)
            case .integer: integers.append(0)
            case .boolean: booleans.append(false)
            default: strings.append([])
            }
        }

        mutating func truncate(to n: Int) {
            switch type {
            case .double: doubles.removeLast(max(0, doubles.count - n))
            case .bigint: bigints.removeLast(max(0, bigints.count - n))
            case .integer: integers.removeLast(max(0, integers.count - n))
            case .boolean: booleans.removeLast(max(0, booleans.count - n))
            default:
                strings.starts.removeLast(max(0, strings.starts.count - n))
                strings.lengths.removeLast(max(0, strings.lengths.count - n))
            }
        }

        var column: Column {
            switch type {
            case .double: .double(FixedColumn(doubles))
            case .bigint: .bigint(FixedColumn(bigints))
            case .integer: .integer(FixedColumn(integers))
            case .boolean: .boolean(FixedColumn(booleans))
            default: .string(strings)
            }
        }
    }
}
