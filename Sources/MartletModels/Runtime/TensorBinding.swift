import MartletCore

/// How the arguments of a SQL call become the input tensors of a model, and its outputs a column.
///
/// Inputs. Each input tensor takes the next arguments in order:
///
/// | tensor | arguments |
/// |---|---|
/// | `[N]`, `[N,1]` | one |
/// | `[N,k]` | k, packed row by row |
/// | `[N,?]` | what the INPUT clause leaves for it; only one input may be so open |
///
/// N is the number of rows. Where the model fixes it (1 or more), a batch is cut into pieces of that size and the last is filled up.
///
/// Outputs. A value a row is a scalar, `[N,m]` an ARRAY, a map a row (ZipMap) a MAP. The OUTPUT clause chooses and names; without it a model's
/// only output is the result, and several are a STRUCT of all.
public struct TensorBinding: Sendable {
    struct Input: Sendable, Hashable {
        var element: TensorElementType
        /// Arguments that it takes.
        var width: Int
        /// Whether its shape is `[N,width]`, not `[N]`.
        var isMatrix: Bool
        var firstArgument: Int
    }

    struct Output: Sendable, Hashable {
        enum Shape: Sendable, Hashable { case scalar, list(Int), map }
        /// Place among the outputs of the session.
        var index: Int
        /// The field's name where the result is a STRUCT.
        var name: String
        var shape: Shape
        /// The type of the result, or of this field of it.
        var type: SQLType
    }

    let inputs: [Input]
    let outputs: [Output]
    /// Rows that the model wants in each run, if it fixes them.
    let fixedRows: Int?
    /// Whether the result is a STRUCT of all outputs.
    let isStruct: Bool
    public let signature: ModelSignature

    /// Metadata that a model's author may set: argument names in order, separated by commas.
    public static let inputNamesKey = "martlet.inputs"

    /// - `model`: the name in messages.
    /// - `input`, `output`: the clauses of CREATE MODEL; nil: taken from the file.
    /// - `probe`: runs the model once on zeros and gives the shapes that came out; the file's own words on output shapes are often missing.
    /// - Throws: `.modelInvalid` that names the model, the tensor and what would fit.
    init(
        model: String, inputs infos: [TensorInfo], outputs outputInfos: [TensorInfo], metadata: [String: String], input: [Field]?, output: [Field]?,
        probe: ([Input], _ rows: Int) throws(MartletError) -> [ProbedShape]
    ) throws(MartletError) {
        let (inputs, fixedRows) = try Self.bindInputs(model, infos, argumentCount: input?.count)
        let arguments = try Self.arguments(model, infos, inputs, names: metadata[Self.inputNamesKey], declared: input)
        let rows = fixedRows ?? 2
        let shapes = try probe(inputs, rows)
        let outputs = try Self.bindOutputs(model, outputInfos, shapes, rows: rows, declared: output)
        self.inputs = inputs
        self.outputs = outputs
        self.fixedRows = fixedRows
        isStruct = outputs.count > 1
        let type: SQLType = outputs.count > 1 ? .structure(outputs.map { Field($0.name, $0.type) }) : outputs[0].type
        signature = ModelSignature(inputs: arguments, output: type)
    }

    /// What came out of the first run for one output.
    enum ProbedShape { case tensor(TensorElementType, [Int64]), maps(key: TensorElementType, value: TensorElementType, count: Int), other(String) }

    // MARK: Inputs

    private static func bindInputs(_ model: String, _ infos: [TensorInfo], argumentCount: Int?) throws(MartletError) -> ([Input], Int?) {
        guard !infos.isEmpty else { throw MartletError(.modelInvalid, "Model \(model) has no inputs; at least one is needed") }
        var inputs: [Input] = [], fixedRows: Int?, open: Int?
        for info in infos {
            func refuse(_ why: String) -> MartletError {
                MartletError(
                    .modelInvalid, "Model \(model): input \(info.name) is \(info), \(why)", hint: "inputs of shape [N], [N,1] or [N,k] can be fed, N being the rows of a batch")
            }
            guard case .tensor(let element, let shape) = info.kind else { throw refuse("not a tensor") }
            switch element {
            case .float, .double, .int32, .int64, .string, .bool: break
            default: throw refuse("and elements of type \(element) cannot be fed from SQL")
            }
            guard shape.count == 1 || shape.count == 2 else { throw refuse(shape.isEmpty ? "which has no dimension for the rows of a batch" : "which has more than two dimensions") }
            if shape.count == 1, shape[0] > 1 { throw refuse("which has no dimension for the rows of a batch") }
            guard shape.allSatisfy({ $0 == -1 || $0 > 0 }) else { throw refuse("which holds nothing") }
            if shape[0] > 0 {
                if let fixedRows, fixedRows != Int(shape[0]) { throw refuse("but another input has \(fixedRows) rows") }
                fixedRows = Int(shape[0])
            }
            var width = shape.count == 2 ? Int(shape[1]) : 1
            if width == -1 {
                guard open == nil else { throw refuse("and it is not the only input of open width") }
                open = inputs.count
                width = 0
            }
            inputs.append(Input(element: element, width: width, isMatrix: shape.count == 2, firstArgument: 0))
        }
        if let open {
            guard let argumentCount else {
                throw MartletError(
                    .modelInvalid, "Model \(model): input \(infos[open].name) is \(infos[open]), its width is open",
                    hint: "name the arguments: CREATE MODEL \(model) INPUT (A DOUBLE, B DOUBLE, …)")
            }
            let rest = argumentCount - inputs.reduce(0) { $0 + $1.width }
            guard rest > 0 else {
                throw MartletError(.modelInvalid, "Model \(model): INPUT names \(argumentCount) arguments, which leaves none for input \(infos[open].name)")
            }
            inputs[open].width = rest
        }
        var next = 0
        for i in inputs.indices {
            inputs[i].firstArgument = next
            next += inputs[i].width
        }
        return (inputs, fixedRows)
    }

    /// Names and SQL types of the arguments, declared or taken from the file.
    private static func arguments(
        _ model: String, _ infos: [TensorInfo], _ inputs: [Input], names: String?, declared: [Field]?
    ) throws(MartletError) -> [Field] {
        let count = inputs.reduce(0) { $0 + $1.width }
        if let declared {
            guard declared.count == count else {
                throw MartletError(
                    .modelInvalid, "Model \(model) takes \(count) \(count == 1 ? "value" : "values") a row, its INPUT clause names \(declared.count)",
                    detail: "inputs: " + infos.map { "\($0.name) \($0)" }.joined(separator: ", "))
            }
            for (info, input) in zip(infos, inputs) {
                for field in declared[input.firstArgument..<input.firstArgument + input.width] where !fits(field.type, input.element) {
                    throw MartletError(
                        .modelInvalid, "Model \(model): argument \(field.name) is declared \(field.type), its input \(info.name) takes \(input.element)",
                        hint: "declare it \(input.element.sqlType ?? .double)")
                }
            }
            return declared
        }
        let given = names.map { $0.split(separator: ",").map { trimmed($0).uppercased() } }
        if let given, given.count != count {
            throw MartletError(
                .modelInvalid, "Model \(model) takes \(count) values a row, its metadata \(inputNamesKey) names \(given.count)")
        }
        var out: [Field] = []
        for (info, input) in zip(infos, inputs) {
            for i in 0..<input.width {
                let base = info.name.uppercased()
                out.append(Field(given?[out.count] ?? (input.width == 1 ? base : "\(base)_\(i + 1)"), input.element.sqlType ?? .double))
            }
        }
        return out
    }

    private static func fits(_ type: SQLType, _ element: TensorElementType) -> Bool {
        switch element {
        case .float, .double: type.isNumeric
        // Fractions would be lost and large numbers cut off.
        case .int64: type == .bigint || type == .integer
        case .int32: type == .integer
        case .string: type == .string
        case .bool: type == .boolean
        default: false
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }

    // MARK: Outputs

    private static func bindOutputs(
        _ model: String, _ infos: [TensorInfo], _ shapes: [ProbedShape], rows: Int, declared: [Field]?
    ) throws(MartletError) -> [Output] {
        guard !infos.isEmpty else { throw MartletError(.modelInvalid, "Model \(model) has no outputs; at least one is needed") }
        let available = infos.map { "\($0.name) \($0)" }.joined(separator: ", ")
        guard let declared else {
            let upper = infos.map { $0.name.uppercased() }
            let names = Set(upper).count == upper.count ? upper : infos.map(\.name)
            var out: [Output] = []
            for i in infos.indices { out.append(try bindOutput(model, infos[i], shapes[i], index: i, name: names[i], rows: rows, declared: nil)) }
            return out
        }
        guard !declared.isEmpty else { throw MartletError(.modelInvalid, "Model \(model): the OUTPUT clause names nothing", hint: "outputs are \(available)") }
        var out: [Output] = []
        for field in declared {
            let exact = infos.firstIndex { $0.name == field.name } ?? infos.firstIndex { $0.name.uppercased() == field.name.uppercased() }
            // With one output there is nothing to choose: the clause only names it.
            guard let index = exact ?? (infos.count == 1 && declared.count == 1 ? 0 : nil) else {
                throw MartletError(.modelInvalid, "Model \(model) has no output \(field.name)", hint: "outputs are \(available)")
            }
            out.append(try bindOutput(model, infos[index], shapes[index], index: index, name: field.name, rows: rows, declared: field.type))
        }
        return out
    }

    private static func bindOutput(
        _ model: String, _ info: TensorInfo, _ shape: ProbedShape, index: Int, name: String, rows: Int, declared: SQLType?
    ) throws(MartletError) -> Output {
        func refuse(_ why: String) -> MartletError { MartletError(.modelInvalid, "Model \(model): output \(info.name) \(why)") }
        func scalar(_ element: TensorElementType) throws(MartletError) -> SQLType {
            guard let type = element.sqlType else { throw refuse("has elements of type \(element), which have no SQL type") }
            return type
        }
        switch shape {
        case .other(let kind): throw refuse("is a \(kind); tensors and one map a row are supported")
        case .maps(let key, let value, let count):
            guard count == rows else { throw refuse("gives \(count) maps for \(rows) rows; one a row is needed") }
            guard key == .string || key == .int64, value == .float || value == .double || value == .int64 || value == .string else {
                throw refuse("is a map from \(key) to \(value), which is not supported")
            }
            let type = SQLType.map(key: try scalar(key), value: try scalar(value))
            guard declared == nil || declared == type else { throw refuse("is \(type), not \(declared!)") }
            return Output(index: index, name: name, shape: .map, type: type)
        case .tensor(let element, let dimensions):
            let text = "\(dimensions.map(String.init).joined(separator: ","))"
            guard dimensions.first == Int64(rows) else { throw refuse("has shape [\(text)] for a batch of \(rows) rows; its first dimension has to be the rows") }
            guard dimensions.count <= 2 else { throw refuse("has shape [\(text)]; one or two dimensions are supported") }
            let width = dimensions.count == 2 ? Int(dimensions[1]) : 1
            guard width > 0 else { throw refuse("has shape [\(text)], which holds nothing") }
            let natural = try scalar(element)
            if case .array(let wanted)? = declared, dimensions.count == 2 {
                guard widens(natural, to: wanted) else { throw refuse("is ARRAY<\(natural)>, not ARRAY<\(wanted)>") }
                return Output(index: index, name: name, shape: .list(width), type: .array(wanted))
            }
            if width > 1 {
                guard declared == nil else { throw refuse("gives \(width) values a row: it is ARRAY<\(natural)>, not \(declared!)") }
                return Output(index: index, name: name, shape: .list(width), type: .array(natural))
            }
            guard widens(natural, to: declared ?? natural) else { throw refuse("is \(natural), not \(declared!)") }
            return Output(index: index, name: name, shape: .scalar, type: declared ?? natural)
        }
    }

    private static func widens(_ type: SQLType, to wanted: SQLType) -> Bool {
        switch (type, wanted) {
        case (.integer, .bigint), (.integer, .double), (.bigint, .double): true
        default: type == wanted
        }
    }
}
