import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Memory for the tensors of one input, kept from batch to batch. One thread at a time uses it: see `ModelSession.scratch`.
final class TensorBuffer {
    private var memory: UnsafeMutableRawPointer
    private(set) var byteCount: Int
    // ONNX Runtime asks for no alignment beyond the element's; a cache line keeps packing loops from crossing lines needlessly.
    private static let alignment = 64

    init() {
        byteCount = 4096
        memory = .allocate(byteCount: byteCount, alignment: Self.alignment)
    }

    deinit { memory.deallocate() }

    /// Lends `count` elements, zeroed only where the memory is new.
    func withElements<Element: BitwiseCopyable>(_ type: Element.Type, count: Int, _ body: (inout MutableSpan<Element>) -> Void) {
        let needed = count * MemoryLayout<Element>.stride
        if needed > byteCount {
            memory.deallocate()
            byteCount = max(needed, byteCount * 2)
            memory = .allocate(byteCount: byteCount, alignment: Self.alignment)
        }
        let elements = UnsafeMutableBufferPointer(start: memory.bindMemory(to: Element.self, capacity: count), count: count)
        var span = elements.mutableSpan
        body(&span)
    }

    /// A tensor over the first elements; the buffer has to outlive it and stay unchanged while it is used.
    func tensor(_ runtime: ONNXRuntime, _ element: TensorElementType, shape: [Int64], byteCount: Int) throws(MartletError) -> ONNXValue {
        precondition(byteCount <= self.byteCount, "a tensor lies inside its buffer")
        typealias Create = @convention(c) (
            OpaquePointer, UnsafeMutableRawPointer, Int, UnsafePointer<Int64>, Int, Int32, ONNXRuntime.Out
        ) -> ONNXRuntime.Status
        var value: OpaquePointer?
        try runtime.check(
            runtime.function(ONNXRuntime.Slot.createTensorWithData, Create.self)(
                runtime.memory, memory, byteCount, shape, shape.count, element.rawValue, &value))
        return try ONNXValue(runtime, value)
    }
}

/// A value of ONNX Runtime, released with the last reference to it.
final class ONNXValue {
    let runtime: ONNXRuntime
    let handle: OpaquePointer

    init(_ runtime: ONNXRuntime, _ handle: OpaquePointer?) throws(MartletError) {
        guard let handle else { throw MartletError(.modelInvalid, "ONNX Runtime gave no value") }
        self.runtime = runtime
        self.handle = handle
    }

    deinit { runtime.release(handle, ONNXRuntime.Slot.releaseValue) }

    /// A tensor of strings. `text`: each string's UTF-8, ended by a zero byte; `starts`: where each begins. A zero byte inside a string ends it.
    static func strings(_ runtime: ONNXRuntime, text: [UInt8], starts: [Int], shape: [Int64]) throws(MartletError) -> ONNXValue {
        typealias Create = @convention(c) (OpaquePointer, UnsafePointer<Int64>, Int, Int32, ONNXRuntime.Out) -> ONNXRuntime.Status
        typealias Fill = @convention(c) (OpaquePointer, UnsafePointer<UnsafePointer<CChar>?>, Int) -> ONNXRuntime.Status
        var made: OpaquePointer?
        try runtime.check(
            runtime.function(ONNXRuntime.Slot.createTensorAsValue, Create.self)(
                runtime.allocator, shape, shape.count, TensorElementType.string.rawValue, &made))
        let value = try ONNXValue(runtime, made)
        let fill = runtime.function(ONNXRuntime.Slot.fillStrings, Fill.self)
        let status = text.withUnsafeBytes { bytes -> ONNXRuntime.Status in
            let base = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            let pointers = starts.map { start in base.map { $0 + start } }
            return fill(value.handle, pointers, pointers.count)
        }
        try runtime.check(status)
        return value
    }

    func shape() throws(MartletError) -> (element: TensorElementType, shape: [Int64]) {
        typealias GetInfo = @convention(c) (OpaquePointer, ONNXRuntime.Out) -> ONNXRuntime.Status
        var info: OpaquePointer?
        try runtime.check(runtime.function(ONNXRuntime.Slot.tensorTypeAndShape, GetInfo.self)(handle, &info))
        guard let info else { throw MartletError(.modelInvalid, "ONNX Runtime gave a tensor without a shape") }
        defer { runtime.release(info, ONNXRuntime.Slot.releaseTensorInfo) }
        let (number, shape) = try runtime.tensorShape(info)
        guard let element = TensorElementType(rawValue: number) else {
            throw MartletError(.notSupported, "tensors of ONNX element type \(number) are not supported")
        }
        return (element, shape)
    }

    /// Lends the elements of a tensor of fixed-width numbers; `count` is the product of its dimensions.
    func withElements<Element: BitwiseCopyable, R>(_ type: Element.Type, count: Int, _ body: (Span<Element>) -> R) throws(MartletError) -> R {
        typealias GetData = @convention(c) (OpaquePointer, UnsafeMutablePointer<UnsafeMutableRawPointer?>) -> ONNXRuntime.Status
        var data: UnsafeMutableRawPointer?
        try runtime.check(runtime.function(ONNXRuntime.Slot.tensorData, GetData.self)(handle, &data))
        guard let data else {
            guard count == 0 else { throw MartletError(.modelInvalid, "ONNX Runtime gave a tensor without data") }
            return body(Span())
        }
        let elements = UnsafeBufferPointer(start: data.assumingMemoryBound(to: Element.self), count: count)
        return withExtendedLifetime(self) { body(elements.span) }
    }

    /// The strings of a tensor: all bytes, and where each string begins.
    func strings(count: Int) throws(MartletError) -> (text: [UInt8], starts: [Int]) {
        guard count > 0 else { return ([], []) }
        typealias GetLength = @convention(c) (OpaquePointer, UnsafeMutablePointer<Int>) -> ONNXRuntime.Status
        typealias GetContent = @convention(c) (OpaquePointer, UnsafeMutableRawPointer, Int, UnsafeMutablePointer<Int>, Int) -> ONNXRuntime.Status
        var length = 0
        try runtime.check(runtime.function(ONNXRuntime.Slot.stringsLength, GetLength.self)(handle, &length))
        // At least one byte: the address of an empty array is not one to write to.
        var text = [UInt8](repeating: 0, count: max(length, 1)), starts = [Int](repeating: 0, count: count)
        try runtime.check(runtime.function(ONNXRuntime.Slot.stringsContent, GetContent.self)(handle, &text, length, &starts, count))
        text.removeLast(text.count - length)
        return (text, starts)
    }

    /// Items of a sequence (one a row), or 2 for a map: its keys and its values.
    func itemCount() throws(MartletError) -> Int {
        typealias GetCount = @convention(c) (OpaquePointer, UnsafeMutablePointer<Int>) -> ONNXRuntime.Status
        var count = 0
        try runtime.check(runtime.function(ONNXRuntime.Slot.valueCount, GetCount.self)(handle, &count))
        return count
    }

    /// An item of a sequence; of a map, 0 is the tensor of keys and 1 that of values.
    func item(_ index: Int) throws(MartletError) -> ONNXValue {
        typealias GetValue = @convention(c) (OpaquePointer, Int32, OpaquePointer, ONNXRuntime.Out) -> ONNXRuntime.Status
        var item: OpaquePointer?
        try runtime.check(runtime.function(ONNXRuntime.Slot.valueAt, GetValue.self)(handle, Int32(index), runtime.allocator, &item))
        return try ONNXValue(runtime, item)
    }
}

/// A loaded model of ONNX Runtime with the names of its inputs and outputs as C strings.
///
/// Unchecked: immutable after `init`, and the runtime allows `Run` on one session from several threads.
final class ONNXSession: @unchecked Sendable {
    let runtime: ONNXRuntime
    let inputs: [TensorInfo]
    let outputs: [TensorInfo]
    let metadata: [String: String]
    private let handle: OpaquePointer
    private let inputNames: [UnsafeMutablePointer<CChar>?]
    private let outputNames: [UnsafeMutablePointer<CChar>?]

    init(path: String) throws(MartletError) {
        let runtime = try ONNXRuntime.loaded()
        let handle = try runtime.createSession(path: path)
        do {
            inputs = try runtime.inputs(of: handle)
            outputs = try runtime.outputs(of: handle)
            metadata = try runtime.metadata(of: handle)
        } catch {
            runtime.release(handle, ONNXRuntime.Slot.releaseSession)
            throw error
        }
        self.runtime = runtime
        self.handle = handle
        inputNames = inputs.map { strdup($0.name) }
        outputNames = outputs.map { strdup($0.name) }
    }

    deinit {
        runtime.release(handle, ONNXRuntime.Slot.releaseSession)
        for name in inputNames + outputNames { free(name) }
    }

    /// Runs the model once. `values` in the order of `inputs`; the result has one value for each index of `wanted` (into `outputs`).
    func run(_ values: [ONNXValue], wanted: [Int]) throws(MartletError) -> [ONNXValue] {
        precondition(values.count == inputs.count, "a run has a value for each input")
        typealias Names = UnsafePointer<UnsafeMutablePointer<CChar>?>
        typealias Run = @convention(c) (
            OpaquePointer, OpaquePointer?, Names, UnsafePointer<OpaquePointer?>, Int, Names, Int, UnsafeMutablePointer<OpaquePointer?>
        ) -> ONNXRuntime.Status
        let handles: [OpaquePointer?] = values.map(\.handle)
        let names = wanted.map { outputNames[$0] }
        var results = [OpaquePointer?](repeating: nil, count: wanted.count)
        let status = withExtendedLifetime(values) {
            runtime.function(ONNXRuntime.Slot.run, Run.self)(
                handle, nil, inputNames, handles, handles.count, names, names.count, &results)
        }
        if status != nil {
            for case let result? in results { runtime.release(result, ONNXRuntime.Slot.releaseValue) }
            try runtime.check(status)
        }
        var out: [ONNXValue] = []
        for result in results { out.append(try ONNXValue(runtime, result)) }
        return out
    }
}
