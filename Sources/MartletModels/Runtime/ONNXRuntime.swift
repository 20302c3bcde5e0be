import MartletCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// ONNX Runtime through its C interface. This file and `ONNXValue.swift` are the only ones that touch it.
///
/// The library exports one symbol, `OrtGetApiBase`; it leads to a table of functions that only ever grows at its end, so a function is
/// found by its place ("slot") and no header is needed. Version 17 of the table is asked for: every slot used here is older.
///
/// The library is opened when the first model is loaded, once for the process, and never closed.
///
/// Unchecked: all properties are set once in `init`; the C interface allows calls from any thread.
final class ONNXRuntime: @unchecked Sendable {
    typealias Handle = OpaquePointer
    typealias Status = OpaquePointer?
    typealias Out = UnsafeMutablePointer<OpaquePointer?>
    private typealias Release = @convention(c) (OpaquePointer) -> Void
    private typealias MakeHandle = @convention(c) (Out) -> Status
    private typealias SetOption = @convention(c) (Handle, Int32) -> Status
    private typealias GetCount = @convention(c) (Handle, UnsafeMutablePointer<Int>) -> Status
    private typealias GetNumber = @convention(c) (Handle, UnsafeMutablePointer<Int32>) -> Status
    private typealias GetHandle = @convention(c) (Handle, Out) -> Status
    private typealias GetAt = @convention(c) (Handle, Int, Out) -> Status
    private typealias CString = UnsafeMutablePointer<CChar>

    private static let shared = Mutex<ONNXRuntime?>(nil)
    private static let apiVersion: UInt32 = 17

    let path: String
    let version: String
    private let table: UnsafePointer<UnsafeRawPointer?>
    private let environment: Handle
    let allocator: Handle
    let memory: Handle

    /// The runtime, opened if this is the first call. A failure is not remembered: the library may be installed while the server runs.
    /// - Throws: `.modelInvalid` that lists every place looked in.
    static func loaded() throws(MartletError) -> ONNXRuntime {
        try shared.withLock { (held) throws(MartletError) -> ONNXRuntime in
            if let held { return held }
            let made = try ONNXRuntime()
            held = made
            return made
        }
    }

    private init() throws(MartletError) {
        let (library, path, failures) = ONNXLibrary.open()
        guard let library else {
            throw MartletError(
                .modelInvalid, "ONNX Runtime was not found; models need its library libonnxruntime.so",
                detail: "looked in: " + ONNXLibrary.places().joined(separator: "; ") + (failures.isEmpty ? "" : "\n  " + failures.joined(separator: "\n  ")),
                hint: "pip install onnxruntime into .venv, or set \(ONNXLibrary.variable) to the library or its folder")
        }
        guard let symbol = dlsym(library, "OrtGetApiBase") else {
            throw MartletError(.modelInvalid, "\(path) is not ONNX Runtime: it has no OrtGetApiBase")
        }
        typealias Base = @convention(c) () -> UnsafePointer<UnsafeRawPointer?>?
        typealias GetAPI = @convention(c) (UInt32) -> UnsafePointer<UnsafeRawPointer?>?
        typealias GetVersion = @convention(c) () -> UnsafePointer<CChar>?
        guard let base = unsafeBitCast(symbol, to: Base.self)(), let getAPI = base[0], let getVersion = base[1] else {
            throw MartletError(.modelInvalid, "\(path) is not ONNX Runtime: its function table is empty")
        }
        let version = unsafeBitCast(getVersion, to: GetVersion.self)().map { String(cString: $0) } ?? "unknown"
        guard let table = unsafeBitCast(getAPI, to: GetAPI.self)(Self.apiVersion) else {
            throw MartletError(.modelInvalid, "ONNX Runtime \(version) is too old; 1.17 or newer is needed", detail: path)
        }
        self.path = path
        self.version = version
        self.table = table
        typealias CreateEnv = @convention(c) (Int32, UnsafePointer<CChar>, Out) -> Status
        typealias CreateMemoryInfo = @convention(c) (Int32, Int32, Out) -> Status
        func function<T>(_ slot: Int, _: T.Type) -> T { unsafeBitCast(table[slot], to: T.self) }
        var environment: Handle?, allocator: Handle?, memory: Handle?
        // Level 4 (fatal): a failure comes back as a status with the same text, and a server's standard error is not the runtime's to write to.
        try Self.check(function(Slot.createEnv, CreateEnv.self)(4, "martlet", &environment), table)
        try Self.check(function(Slot.getAllocatorWithDefaultOptions, MakeHandle.self)(&allocator), table)
        try Self.check(function(Slot.createCPUMemoryInfo, CreateMemoryInfo.self)(0, 0, &memory), table)
        guard let environment, let allocator, let memory else {
            throw MartletError(.internalError, "ONNX Runtime \(version) gave no environment", detail: path)
        }
        self.environment = environment
        self.allocator = allocator
        self.memory = memory
    }

    /// Places in the function table.
    enum Slot {
        static let getErrorMessage = 2, createEnv = 3, createSession = 7, run = 9, createSessionOptions = 10, setExecutionMode = 13
        static let setLogSeverity = 22, setGraphOptimization = 23, setIntraOpThreads = 24, setInterOpThreads = 25
        static let inputCount = 30, outputCount = 31, inputTypeInfo = 33, outputTypeInfo = 34, inputName = 36, outputName = 37
        static let createTensorAsValue = 48, createTensorWithData = 49, isTensor = 50, tensorData = 51, fillStrings = 52, stringsLength = 53
        static let stringsContent = 54
        static let castToTensorInfo = 55, onnxType = 56, elementType = 60, dimensionsCount = 61, dimensions = 62, tensorTypeAndShape = 65
        static let createCPUMemoryInfo = 69, allocatorFree = 76, getAllocatorWithDefaultOptions = 78, valueAt = 80, valueCount = 81
        static let releaseStatus = 93, releaseSession = 95, releaseValue = 96, releaseTypeInfo = 98, releaseTensorInfo = 99
        static let releaseSessionOptions = 100, castToMapInfo = 103, castToSequenceInfo = 104, mapKeyType = 105, mapValueType = 106
        static let sequenceElementType = 107, modelMetadata = 111, metadataLookup = 116, releaseMetadata = 118, metadataKeys = 123
        static let addConfigEntry = 130
    }

    func function<T>(_ slot: Int, _: T.Type) -> T { unsafeBitCast(table[slot], to: T.self) }

    /// Turns a status into an error with the runtime's message.
    func check(_ status: Status) throws(MartletError) { if let status { throw Self.error(status, table) } }

    private static func check(_ status: Status, _ table: UnsafePointer<UnsafeRawPointer?>) throws(MartletError) {
        if let status { throw error(status, table) }
    }

    private static func error(_ status: Handle, _ table: UnsafePointer<UnsafeRawPointer?>) -> MartletError {
        typealias GetMessage = @convention(c) (Handle) -> UnsafePointer<CChar>?
        let message = unsafeBitCast(table[Slot.getErrorMessage], to: GetMessage.self)(status).map { String(cString: $0) } ?? "no message"
        unsafeBitCast(table[Slot.releaseStatus], to: Release.self)(status)
        return MartletError(.modelInvalid, "ONNX Runtime: \(message)")
    }

    func release(_ handle: Handle, _ slot: Int) { function(slot, Release.self)(handle) }

    // MARK: Sessions

    /// Loads the model at `path`: one thread inside an operator, one operator after the other, no spinning, every graph optimisation.
    /// A query scores on its own thread and has the machine's other threads for other partitions.
    func createSession(path: String) throws(MartletError) -> Handle {
        var made: Handle?
        try check(function(Slot.createSessionOptions, MakeHandle.self)(&made))
        guard let options = made else { throw MartletError(.internalError, "ONNX Runtime gave no session options") }
        defer { release(options, Slot.releaseSessionOptions) }
        for (slot, value) in [
            (Slot.setExecutionMode, 0), (Slot.setLogSeverity, 4), (Slot.setGraphOptimization, 99), (Slot.setIntraOpThreads, 1),
            (Slot.setInterOpThreads, 1),
        ] as [(Int, Int32)] {
            try check(function(slot, SetOption.self)(options, value))
        }
        typealias AddEntry = @convention(c) (Handle, UnsafePointer<CChar>, UnsafePointer<CChar>) -> Status
        for key in ["session.intra_op.allow_spinning", "session.inter_op.allow_spinning"] {
            try check(function(Slot.addConfigEntry, AddEntry.self)(options, key, "0"))
        }
        typealias CreateSession = @convention(c) (Handle, UnsafePointer<CChar>, Handle, Out) -> Status
        var session: Handle?
        try check(function(Slot.createSession, CreateSession.self)(environment, path, options, &session))
        guard let session else { throw MartletError(.internalError, "ONNX Runtime gave no session for \(path)") }
        return session
    }

    func inputs(of session: Handle) throws(MartletError) -> [TensorInfo] {
        try infos(session, count: Slot.inputCount, name: Slot.inputName, type: Slot.inputTypeInfo)
    }

    func outputs(of session: Handle) throws(MartletError) -> [TensorInfo] {
        try infos(session, count: Slot.outputCount, name: Slot.outputName, type: Slot.outputTypeInfo)
    }

    private func infos(_ session: Handle, count: Int, name: Int, type: Int) throws(MartletError) -> [TensorInfo] {
        typealias GetName = @convention(c) (Handle, Int, Handle, UnsafeMutablePointer<CString?>) -> Status
        var n = 0
        try check(function(count, GetCount.self)(session, &n))
        var out: [TensorInfo] = []
        for i in 0..<n {
            var text: CString?
            try check(function(name, GetName.self)(session, i, allocator, &text))
            let label = take(text)
            var info: Handle?
            try check(function(type, GetAt.self)(session, i, &info))
            guard let info else { throw MartletError(.modelInvalid, "the model does not say the type of \(label)") }
            defer { release(info, Slot.releaseTypeInfo) }
            out.append(TensorInfo(name: label, kind: try kind(info)))
        }
        return out
    }

    private func kind(_ info: Handle) throws(MartletError) -> TensorInfo.Kind {
        switch try onnxType(info) {
        case 1:
            let (number, shape) = try tensorShape(borrowed(info, Slot.castToTensorInfo))
            guard let element = TensorElementType(rawValue: number) else { return .other("tensor of element type \(number)") }
            return .tensor(element, shape: shape)
        case 2:
            var made: Handle?
            try check(function(Slot.sequenceElementType, GetHandle.self)(borrowed(info, Slot.castToSequenceInfo), &made))
            guard let item = made else { return .other("sequence") }
            defer { release(item, Slot.releaseTypeInfo) }
            guard try onnxType(item) == 3 else { return .other("sequence of tensors") }
            let map = try borrowed(item, Slot.castToMapInfo)
            var key: Int32 = 0, valueMade: Handle?
            try check(function(Slot.mapKeyType, GetNumber.self)(map, &key))
            try check(function(Slot.mapValueType, GetHandle.self)(map, &valueMade))
            guard let valueInfo = valueMade else { return .other("sequence of maps") }
            defer { release(valueInfo, Slot.releaseTypeInfo) }
            guard try onnxType(valueInfo) == 1 else { return .other("sequence of nested maps") }
            let (value, _) = try tensorShape(borrowed(valueInfo, Slot.castToTensorInfo))
            guard let key = TensorElementType(rawValue: key), let value = TensorElementType(rawValue: value) else { return .other("sequence of maps") }
            return .maps(key: key, value: value)
        case 3: return .other("map")
        case 4: return .other("opaque value")
        case 5: return .other("sparse tensor")
        case 6: return .other("optional value")
        case let other: return .other("value of kind \(other)")
        }
    }

    private func onnxType(_ info: Handle) throws(MartletError) -> Int32 {
        var type: Int32 = 0
        try check(function(Slot.onnxType, GetNumber.self)(info, &type))
        return type
    }

    private func borrowed(_ info: Handle, _ slot: Int) throws(MartletError) -> Handle {
        var out: Handle?
        try check(function(slot, GetHandle.self)(info, &out))
        guard let out else { throw MartletError(.modelInvalid, "the model declares a type that ONNX Runtime cannot describe") }
        return out
    }

    /// Element type (its number) and dimensions of a tensor's type-and-shape information.
    func tensorShape(_ info: Handle) throws(MartletError) -> (element: Int32, shape: [Int64]) {
        typealias GetDimensions = @convention(c) (Handle, UnsafeMutablePointer<Int64>, Int) -> Status
        var element: Int32 = 0, rank = 0
        try check(function(Slot.elementType, GetNumber.self)(info, &element))
        try check(function(Slot.dimensionsCount, GetCount.self)(info, &rank))
        var shape = [Int64](repeating: 0, count: rank)
        if rank > 0 { try check(function(Slot.dimensions, GetDimensions.self)(info, &shape, rank)) }
        return (element, shape)
    }

    /// The texts that the model's author left in the file.
    func metadata(of session: Handle) throws(MartletError) -> [String: String] {
        typealias GetKeys = @convention(c) (Handle, Handle, UnsafeMutablePointer<UnsafeMutablePointer<CString?>?>, UnsafeMutablePointer<Int64>) -> Status
        typealias Lookup = @convention(c) (Handle, Handle, UnsafePointer<CChar>, UnsafeMutablePointer<CString?>) -> Status
        var made: Handle?
        try check(function(Slot.modelMetadata, GetHandle.self)(session, &made))
        guard let metadata = made else { return [:] }
        defer { release(metadata, Slot.releaseMetadata) }
        var keys: UnsafeMutablePointer<CString?>?, count: Int64 = 0
        try check(function(Slot.metadataKeys, GetKeys.self)(metadata, allocator, &keys, &count))
        guard let keys, count > 0 else { return [:] }
        let names = (0..<Int(count)).map { take(keys[$0]) }
        free(keys)
        var out: [String: String] = [:]
        for name in names {
            var text: CString?
            try check(function(Slot.metadataLookup, Lookup.self)(metadata, allocator, name, &text))
            if let text { out[name] = take(text) }
        }
        return out
    }

    /// Copies a string that the runtime allocated, and frees it.
    private func take(_ text: CString?) -> String {
        guard let text else { return "" }
        defer { free(text) }
        return String(cString: text)
    }

    private func free(_ memory: UnsafeMutableRawPointer) {
        typealias Free = @convention(c) (Handle, UnsafeMutableRawPointer) -> Status
        // Its status is always null.
        _ = function(Slot.allocatorFree, Free.self)(allocator, memory)
    }
}
