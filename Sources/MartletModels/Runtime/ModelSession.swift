import MartletColumns
import MartletCore
import Synchronization

/// A loaded and warmed model that scores whole batches, from any number of threads at a time.
///
/// Cost for a batch: one run of the model for up to `rowsPerRun` rows, packing of the arguments (about 6 ns a row for 30 doubles) and one
/// array for the result. Tensor memory is kept and reused.
public final class ModelSession: Sendable {
    /// Name in messages.
    public let name: String
    public let inputs: [TensorInfo]
    public let outputs: [TensorInfo]
    /// Texts that the model's author left in the file.
    public let metadata: [String: String]
    public let binding: TensorBinding
    private let session: ONNXSession
    /// Tensor memory that no thread is using.
    private let scratch = Mutex<[Scratch]>([])

    public var signature: ModelSignature { binding.signature }

    /// Larger batches are scored in pieces, so that tensors stay in the cache and memory stays bounded.
    static let rowsPerRun = 4096

    /// Loads the file at `path`, binds its tensors to the clauses and runs it once on zeros.
    ///
    /// - `input`, `output`: the clauses of CREATE MODEL, nil if absent.
    /// - Throws: `.modelInvalid` if ONNX Runtime is not there, does not take the file, or the tensors do not fit the clauses or SQL.
    /// - Cost: blocks for some milliseconds, 50 for the process's first model.
    public init(name: String, path: String, input: [Field]? = nil, output: [Field]? = nil) throws(MartletError) {
        let session: ONNXSession
        do {
            session = try ONNXSession(path: path)
        } catch {
            if error.message.hasPrefix("ONNX Runtime:") {
                throw MartletError(.modelInvalid, "Model \(name) cannot be loaded from \(path)", detail: error.message)
            }
            throw error
        }
        let binding = try TensorBinding(
            model: name, inputs: session.inputs, outputs: session.outputs, metadata: session.metadata, input: input, output: output
        ) { (inputs, rows) throws(MartletError) -> [TensorBinding.ProbedShape] in
            do throws(MartletError) {
                return try Self.probe(session, inputs, rows: rows)
            } catch {
                throw MartletError(.modelInvalid, "Model \(name) fails on its first batch, \(rows) rows of zeros", detail: error.message)
            }
        }
        self.name = name
        self.session = session
        self.binding = binding
        inputs = session.inputs
        outputs = session.outputs
        metadata = session.metadata
        // Loading ran through most of the runtime's code, and scoring needs little of it.
        CodePages.release()
    }

    /// One value a row, null where an argument is null or the model failed on the row; failures are reported under the model's name.
    ///
    /// - `columns`: `count` rows each, in the order and the types of the signature.
    public func score(_ columns: [Column], count: Int, errors: inout RowErrors) -> Column {
        precondition(columns.count == signature.inputs.count, "a model is called with the arguments of its signature")
        var validity = Validity.allValid
        for column in columns { validity = validity.and(column.validity) }
        let rows: [UInt32]? = validity.hasNulls ? (0..<UInt32(count)).filter { validity.isValid(Int($0)) } : nil
        let arguments = rows.map { rows in columns.map { $0.gathered(rows) } } ?? columns
        let wanted = rows?.count ?? count
        var results = binding.outputs.map { OutputColumn($0) }
        let scratch = self.scratch.withLock { $0.popLast() } ?? Scratch(inputs: binding.inputs.count)
        var start = 0
        while start < wanted {
            let piece = min(binding.fixedRows ?? Self.rowsPerRun, wanted - start)
            run(arguments, start: start, rows: piece, scratch, into: &results) { row, reason in
                errors.add(row: rows.map { Int($0[row]) } ?? row, column: name, reason)
            }
            start += piece
        }
        self.scratch.withLock { $0.append(scratch) }
        let compact = binding.isStruct ? structure(results, count: wanted) : results[0].column()
        return rows.map { compact.scattered(to: $0, count: count) } ?? compact
    }

    /// Runs `rows` rows at once; if the model fails, each alone, to find those that make it fail.
    private func run(
        _ columns: [Column], start: Int, rows: Int, _ scratch: Scratch, into results: inout [OutputColumn], report: (Int, String) -> Void
    ) {
        let before = results[0].count
        do {
            let padded = binding.fixedRows ?? rows
            var values: [ONNXValue] = []
            for (i, input) in binding.inputs.enumerated() {
                let arguments = columns[input.firstArgument..<input.firstArgument + input.width]
                values.append(try Self.tensor(session.runtime, input, arguments, start: start, rows: rows, padded: padded, scratch.buffers[i]))
            }
            let out = try session.run(values, wanted: binding.outputs.map(\.index))
            for i in results.indices { try results[i].append(out[i], rows: rows, padded: padded) }
        } catch {
            // One output may have been taken when the next one failed.
            for i in results.indices { results[i].truncate(to: before) }
            guard rows > 1 else {
                report(start, error.message)
                for i in results.indices { results[i].appendNull() }
                return
            }
            for row in start..<start + rows { run(columns, start: row, rows: 1, scratch, into: &results, report: report) }
        }
    }

    private static func tensor(
        _ runtime: ONNXRuntime, _ input: TensorBinding.Input, _ columns: ArraySlice<Column>, start: Int, rows: Int, padded: Int, _ buffer: TensorBuffer
    ) throws(MartletError) -> ONNXValue {
        let shape = input.isMatrix ? [Int64(padded), Int64(input.width)] : [Int64(padded)]
        let count = padded * input.width, used = rows * input.width
        switch input.element {
        case .string:
            var (text, starts) = TensorPacking.pack(columns, start: start, rows: rows)
            if padded > rows {
                starts += [Int](repeating: text.count, count: count - used)
                text.append(0)
            }
            return try .strings(runtime, text: text, starts: starts, shape: shape)
        case .float:
            buffer.withElements(Float.self, count: count) { out in
                TensorPacking.pack(columns, start: start, rows: rows, into: &out)
                for i in used..<count { out[i] = 0 }
            }
        case .double:
            buffer.withElements(Double.self, count: count) { out in
                TensorPacking.pack(columns, start: start, rows: rows, into: &out)
                for i in used..<count { out[i] = 0 }
            }
        case .int64:
            buffer.withElements(Int64.self, count: count) { out in
                TensorPacking.pack(columns, start: start, rows: rows, into: &out)
                for i in used..<count { out[i] = 0 }
            }
        case .int32:
            buffer.withElements(Int32.self, count: count) { out in
                TensorPacking.pack(columns, start: start, rows: rows, into: &out)
                for i in used..<count { out[i] = 0 }
            }
        case .bool:
            buffer.withElements(Bool.self, count: count) { out in
                TensorPacking.pack(columns, start: start, rows: rows, into: &out)
                for i in used..<count { out[i] = false }
            }
        default: preconditionFailure("a binding has no input of type \(input.element)")
        }
        let stride = switch input.element { case .double, .int64: 8 case .bool: 1 default: 4 }
        return try buffer.tensor(runtime, input.element, shape: shape, byteCount: count * stride)
    }

    /// Runs the model on zeros, empty strings and false; tells the shape of every output.
    private static func probe(_ session: ONNXSession, _ inputs: [TensorBinding.Input], rows: Int) throws(MartletError) -> [TensorBinding.ProbedShape] {
        let scratch = Scratch(inputs: inputs.count)
        var values: [ONNXValue] = []
        for (i, input) in inputs.enumerated() {
            let type: SQLType = input.element.sqlType ?? .double
            let zero: SQLValue = switch type { case .string: .string("") case .boolean: .boolean(false) case .integer: .integer(0) case .bigint: .bigint(0) default: .double(0) }
            let columns = [Column](repeating: .repeating(zero, type: type, count: rows), count: input.width)
            values.append(try tensor(session.runtime, input, columns[...], start: 0, rows: rows, padded: rows, scratch.buffers[i]))
        }
        let out = try session.run(values, wanted: Array(session.outputs.indices))
        var shapes: [TensorBinding.ProbedShape] = []
        for (info, value) in zip(session.outputs, out) {
            switch info.kind {
            case .tensor:
                let (element, shape) = try value.shape()
                shapes.append(.tensor(element, shape))
            case .maps(let key, let value_): shapes.append(.maps(key: key, value: value_, count: try value.itemCount()))
            case .other(let kind): shapes.append(.other(kind))
            }
        }
        return shapes
    }

    private func structure(_ results: [OutputColumn], count: Int) -> Column {
        let fields = results.map { $0.column() }
        // A row on which the model failed is null in every output: the struct is null, not a struct of nulls.
        return .structure(StructColumn(names: binding.outputs.map(\.name), fields: fields, count: count, validity: fields[0].validity))
    }

    /// One thread's tensor memory. Unchecked: the pool hands it to one thread at a time.
    private final class Scratch: @unchecked Sendable {
        let buffers: [TensorBuffer]
        init(inputs: Int) { buffers = (0..<inputs).map { _ in TensorBuffer() } }
    }
}

extension Column {
    /// `count` rows: row `rows[i]` is this column's row i, every other row is null.
    func scattered(to rows: [UInt32], count: Int) -> Column {
        guard !rows.isEmpty else { return .nulls(type, count: count) }
        if type.isNested {
            var values = [SQLValue](repeating: .null, count: count)
            for (i, row) in rows.enumerated() { values[Int(row)] = value(i) }
            return ColumnBuilder.column(of: type, values)
        }
        var sources = [UInt32](repeating: 0, count: count), flags = [Bool](repeating: false, count: count)
        for (i, row) in rows.enumerated() {
            sources[Int(row)] = UInt32(i)
            flags[Int(row)] = validity.isValid(i)
        }
        var out = gathered(sources)
        out.validity = Validity(flags: flags)
        if case .string(var strings) = out {
            for row in 0..<count where !flags[row] { strings.lengths[row] = 0 }
            out = .string(strings)
        }
        return out
    }
}
