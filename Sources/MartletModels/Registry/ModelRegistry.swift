import MartletCore
import Synchronization

/// The models of a server by name, durable on their own: a model is there after a restart if `create` returned.
///
/// ```
/// <directory>/<name>/<version>.onnx   a copy of the file that CREATE MODEL named
/// <directory>/<name>/<version>.json   its manifest, written last: without it the version does not exist
/// ```
/// A name is made of letters, digits, `_` and `-`; other bytes are written `%2F`. The highest version is the model; older ones stay on disk
/// until the model is dropped, and in memory while a query uses them.
///
/// Neither opening the registry nor planning a query opens ONNX Runtime: signatures come from the manifests, sessions are opened by the
/// first batch or by `ModelVersion.session()`.
public final class ModelRegistry: Sendable {
    private let directory: String
    private let time: TimeSource
    private let models: Mutex<[String: ModelVersion]>
    /// One CREATE or DROP at a time; scoring and planning do not wait for it.
    private let changing = Mutex(())

    /// Opens the models in `directory` (made by the first CREATE) and removes what an interrupted CREATE or DROP left.
    ///
    /// - Throws: `.io`; `.corruptRecord` for a damaged manifest, with its path.
    public init(directory: String, time: TimeSource = .system) throws(MartletError) {
        self.directory = directory
        self.time = time
        var found: [String: ModelVersion] = [:]
        for folder in try ModelFiles.list(directory) {
            let path = "\(directory)/\(folder)"
            let files = try ModelFiles.list(path)
            for file in files where file.hasSuffix(".tmp") || (file.hasSuffix(".onnx") && !files.contains(file.dropLast(5) + ".json")) {
                try ModelFiles.remove("\(path)/\(file)")
            }
            var latest: ModelManifest?
            for file in files where file.hasSuffix(".json") {
                guard let bytes = try ModelFiles.read("\(path)/\(file)") else { continue }
                let manifest = try ModelManifest(parsing: bytes, path: "\(path)/\(file)")
                if manifest.version > latest?.version ?? 0 { latest = manifest }
            }
            if let latest {
                found[latest.name] = ModelVersion(manifest: latest, path: "\(path)/\(latest.version).onnx", session: nil, time: time)
            }
        }
        models = Mutex(found)
    }

    /// CREATE MODEL: copies the file at `path`, loads and warms the copy, and keeps it.
    ///
    /// - `name`: as the statement has it after folding to upper case.
    /// - `input`, `output`: the clauses; nil takes names and types from the file.
    /// - `replace`: makes the next version of a model that exists already; calls of running queries stay with the old one.
    /// - Throws: `.alreadyExists`, `.modelInvalid` (no such file, not a model, a clause that does not fit), `.io`. Nothing has changed then.
    /// - Cost: blocks for reading, hashing and loading the file: not for the cooperative pool.
    @discardableResult
    public func create(
        name: String, path: String, input: [Field]? = nil, output: [Field]? = nil, replace: Bool = false
    ) throws(MartletError) -> ModelVersion {
        try changing.withLock { (_) throws(MartletError) -> ModelVersion in
            let old = self[name]
            if old != nil, !replace { throw MartletError(.alreadyExists, "Cannot add model '\(name)': A model with the same name already exists") }
            let bytes: [UInt8]?
            do throws(MartletError) {
                bytes = try ModelFiles.read(path)
            } catch {
                throw MartletError(.modelInvalid, "Model \(name): \(error.message)")
            }
            guard let bytes else { throw MartletError(.modelInvalid, "Model \(name): there is no file \(path)") }
            let folder = "\(directory)/\(Self.folderName(name))", version = (old?.manifest.version ?? 0) + 1
            let copy = "\(folder)/\(version).onnx"
            try ModelFiles.makeDirectory(folder)
            try ModelFiles.writeAtomically(bytes, to: copy, in: folder)
            do throws(MartletError) {
                let session = try ModelSession(name: name, path: copy, input: input, output: output)
                let manifest = ModelManifest(
                    name: name, version: version, source: path, sha256: SHA256.hex(bytes), bytes: bytes.count, createdMs: time.wallMs, input: input,
                    output: output, signature: session.signature)
                try ModelFiles.writeAtomically(manifest.encoded(), to: "\(folder)/\(version).json", in: folder)
                try ModelFiles.syncDirectory(directory)
                let made = ModelVersion(manifest: manifest, path: copy, session: session, time: time)
                models.withLock { $0[name] = made }
                return made
            } catch {
                // The first failure is the one to report; what cannot be removed now is removed at the next start.
                try? ModelFiles.remove(copy)
                if old == nil { try? ModelFiles.removeDirectory(folder) }
                throw error.detail == nil || !error.message.contains(copy)
                    ? error : MartletError(error.code, error.message.replacing(copy, with: path), detail: error.detail, hint: error.hint)
            }
        }
    }

    /// DROP MODEL. Queries that still use the model keep their session.
    ///
    /// - Throws: `.unknownModel` unless `ifExists`; `.io`.
    public func drop(name: String, ifExists: Bool = false) throws(MartletError) {
        try changing.withLock { (_) throws(MartletError) in
            guard self[name] != nil else {
                if ifExists { return }
                throw unknown(name)
            }
            models.withLock { _ = $0.removeValue(forKey: name) }
            let folder = "\(directory)/\(Self.folderName(name))"
            let files = try ModelFiles.list(folder)
            // All manifests go before any model file, and the latest goes last: a crash in between leaves the latest version or nothing.
            let manifests = files.filter { $0.hasSuffix(".json") }.sorted { Self.version(of: $0) < Self.version(of: $1) }
            for file in manifests { try ModelFiles.remove("\(folder)/\(file)") }
            for file in files where !file.hasSuffix(".json") { try ModelFiles.remove("\(folder)/\(file)") }
            try ModelFiles.removeDirectory(folder)
            try ModelFiles.syncDirectory(directory)
        }
    }

    public subscript(name: String) -> ModelVersion? { models.withLock { $0[name] } }

    /// - Throws: `.unknownModel` that lists the models there are.
    public func model(named name: String) throws(MartletError) -> ModelVersion {
        guard let model = self[name] else { throw unknown(name) }
        return model
    }

    /// All models by name.
    public func list() -> [ModelVersion] { models.withLock { $0.values.sorted { $0.name < $1.name } } }

    /// DESCRIBE MODEL. Loads the model if it is not yet.
    public func describe(name: String) throws(MartletError) -> ModelDescription {
        let model = try model(named: name)
        let session = try model.session()
        return ModelDescription(
            manifest: model.manifest, inputs: session.inputs, outputs: session.outputs, metadata: session.metadata, statistics: model.statistics)
    }

    private func unknown(_ name: String) -> MartletError {
        let names = list().map(\.name)
        return MartletError(
            .unknownModel, "Model \(name) does not exist", hint: names.isEmpty ? "there are no models" : "models are \(names.joined(separator: ", "))")
    }

    private static func version(of file: String) -> Int { Int(file.prefix { $0 != "." }) ?? 0 }

    static func folderName(_ name: String) -> String {
        let digits = Array("0123456789ABCDEF")
        var out = ""
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "_"), UInt8(ascii: "-"):
                out.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                out += "%"
                out.append(digits[Int(byte >> 4)])
                out.append(digits[Int(byte & 15)])
            }
        }
        return out
    }
}

/// What DESCRIBE MODEL shows.
public struct ModelDescription: Sendable {
    public var manifest: ModelManifest
    /// Tensors as the file has them.
    public var inputs: [TensorInfo]
    public var outputs: [TensorInfo]
    public var metadata: [String: String]
    public var statistics: ModelStatistics
}
