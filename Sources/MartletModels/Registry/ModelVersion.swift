import MartletColumns
import MartletCore
import Synchronization

/// One version of a model: what SQL needs to know, and its session, opened on first use.
public final class ModelVersion: Sendable {
    public let manifest: ModelManifest
    /// Where its ONNX file lies.
    public let path: String
    private let time: TimeSource
    private let held: Mutex<ModelSession?>
    private let counters = Mutex(ModelStatistics())

    public var name: String { manifest.name }
    public var signature: ModelSignature { manifest.signature }
    public var statistics: ModelStatistics { counters.withLock { $0 } }

    init(manifest: ModelManifest, path: String, session: ModelSession?, time: TimeSource) {
        self.manifest = manifest
        self.path = path
        self.time = time
        held = Mutex(session)
    }

    /// The session, opened if this is the first call since the start of the server.
    ///
    /// - Throws: `.modelInvalid` if the file is gone or damaged, or ONNX Runtime is not there any more.
    public func session() throws(MartletError) -> ModelSession {
        try held.withLock { (session) throws(MartletError) -> ModelSession in
            if let session { return session }
            guard let bytes = try ModelFiles.read(path) else { throw MartletError(.modelInvalid, "Model \(name) has lost its file", detail: path) }
            guard SHA256.hex(bytes) == manifest.sha256 else {
                throw MartletError(.corruptRecord, "the file of model \(name) is not the one it was created from", detail: path)
            }
            let made = try ModelSession(name: name, path: path, input: manifest.input, output: manifest.output)
            guard made.signature == manifest.signature else {
                throw MartletError(.modelInvalid, "Model \(name) has other arguments or another result than when it was created", detail: path)
            }
            session = made
            return made
        }
    }

    /// Scores a batch; see `ModelSession.score`. If the session cannot be opened, every row is null and reported.
    public func score(_ inputs: [Column], count: Int, errors: inout RowErrors) -> Column {
        let start = time.monotonicNs, before = errors.count
        let out: Column
        do {
            out = try session().score(inputs, count: count, errors: &errors)
        } catch {
            for row in 0..<count { errors.add(row: row, column: name, error.message) }
            out = .nulls(signature.output, count: count)
        }
        let failed = errors.count - before, nanoseconds = time.monotonicNs - start
        counters.withLock { $0.record(rows: count, errors: failed, nanoseconds: nanoseconds) }
        return out
    }
}
