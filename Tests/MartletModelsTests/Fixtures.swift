import MartletColumns
import MartletCore
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

    static func temporaryDirectory() -> String {
        var template = Array("/tmp/martlet-models-XXXXXX".utf8CString)
        return String(cString: mkdtemp(&template))
    }
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
