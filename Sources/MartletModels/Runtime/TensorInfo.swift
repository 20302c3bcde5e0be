import MartletCore

/// Element types of tensors, with the numbers of ONNX Runtime's C API (`ONNXTensorElementDataType`).
public enum TensorElementType: Int32, Sendable, Hashable {
    case float = 1, uint8, int8, uint16, int16, int32, int64, string, bool, float16, double, uint32, uint64

    /// The SQL type that holds every value of it; nil if there is none (yet).
    public var sqlType: SQLType? {
        switch self {
        case .float, .double: .double
        case .int8, .uint8, .int16, .uint16, .int32: .integer
        case .uint32, .int64: .bigint
        case .string: .string
        case .bool: .boolean
        case .float16, .uint64: nil
        }
    }
}

/// One input or output of a model, as its file declares it.
public struct TensorInfo: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        /// Dimensions: −1 where the model leaves the size open. Empty for a scalar, and also where the file says nothing about the shape.
        case tensor(TensorElementType, shape: [Int64])
        /// One map a row, as scikit-learn's ZipMap makes them.
        case maps(key: TensorElementType, value: TensorElementType)
        /// Anything else, by its name.
        case other(String)
    }

    public var name: String
    public var kind: Kind

    public init(name: String, kind: Kind) {
        self.name = name
        self.kind = kind
    }
}

extension TensorInfo: CustomStringConvertible {
    /// `float[N,30]`; N is an open size.
    public var description: String {
        switch kind {
        case .tensor(let element, let shape): "\(element)[\(shape.map { $0 < 0 ? "N" : String($0) }.joined(separator: ","))]"
        case .maps(let key, let value): "sequence(map(\(key), \(value)))"
        case .other(let name): name
        }
    }
}
