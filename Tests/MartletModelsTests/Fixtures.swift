import MartletColumns
import MartletCore
import Synchronization
import Testing

@testable import MartletModels

#if canImport(Glibc)
import Glibc
#endif

/// The tiny models of `Tests/Fixtures/models` (make.py says what each computes).
enum Fixtures {
    static let hasRuntime = (try? ONNXRuntime.loaded()) != nil
    static let needsRuntime: Comment = "libonnxruntime was not found: pip install onnxruntime into .venv or set MARTLET_ONNXRUNTIME"

    static func path(_ name: String) -> String {
        #filePath.replacing("MartletModelsTests/Fixtures.swift", with: "Fixtures/models/\(name).onnx")
    }

    static func session(_ name: String, input: [Field]? = nil, output: [Field]? = nil) throws(MartletError) -> ModelSession {
        try ModelSession(name: "M", path: path(name), input: input, output: output)
    }

    /// The error of loading a model that has to be refused.
    static func refusal(_ name: String, input: [Field]? = nil, output: [Field]? = nil) -> MartletError? {
        do throws(MartletError) {
            _ = try session(name, input: input, output: output)
            return nil
        } catch {
            return error
        }
    }

    static func doubles(_ values: [Double?]) -> Column { ColumnBuilder.column(of: .double, values.map { $0.map { .double($0) } ?? .null }) }
    static func bigints(_ values: [Int64?]) -> Column { ColumnBuilder.column(of: .bigint, values.map { $0.map { .bigint($0) } ?? .null }) }
    static func integers(_ values: [Int32?]) -> Column { ColumnBuilder.column(of: .integer, values.map { $0.map { .integer($0) } ?? .null }) }
    static func booleans(_ values: [Bool?]) -> Column { ColumnBuilder.column(of: .boolean, values.map { $0.map { .boolean($0) } ?? .null }) }
    static func strings(_ values: [String?]) -> Column { .string(BytesColumn(values)) }

    /// A directory that is removed with its test, which says so with `.temporaryDirectories`.
    static func temporaryDirectory() throws(MartletError) -> String {
        guard let scope = TemporaryDirectories.current else { throw MartletError(.internalError, "the test lacks .temporaryDirectories") }
        var template = Array("/tmp/martlet-models-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw MartletError(.io, "no temporary directory: errno \(errno)") }
        let path = String(cString: made)
        scope.paths.withLock { $0.append(path) }
        return path
    }
}

/// The directories that one test makes; they go when it ends, however it ends.
final class TemporaryDirectories: Sendable {
    @TaskLocal static var current: TemporaryDirectories?
    let paths = Mutex<[String]>([])

    deinit { for path in paths.withLock({ $0 }) { Self.remove(path) } }

    private static func remove(_ path: String) {
        for name in (try? ModelFiles.list(path)) ?? [] {
            if unlink("\(path)/\(name)") != 0 { remove("\(path)/\(name)") }
        }
        rmdir(path)
    }
}

struct TemporaryDirectoriesTrait: TestTrait, SuiteTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        try await TemporaryDirectories.$current.withValue(TemporaryDirectories(), operation: function)
    }
}

extension Trait where Self == TemporaryDirectoriesTrait {
    static var temporaryDirectories: Self { Self() }
}

extension Column {
    var rows: [SQLValue] { (0..<count).map { value($0) } }
}

extension ModelSession {
    func rows(_ columns: [Column]) -> (values: [SQLValue], errors: RowErrors) {
        var errors = RowErrors()
        let out = score(columns, count: columns[0].count, errors: &errors)
        #expect(out.type == signature.output)
        return (out.rows, errors)
    }
}
