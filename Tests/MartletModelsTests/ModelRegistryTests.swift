import MartletColumns
import MartletCore
import Testing

@testable import MartletModels

#if canImport(Glibc)
import Glibc
#endif

@Suite(.temporaryDirectories, .enabled(if: Fixtures.hasRuntime, Fixtures.needsRuntime)) struct ModelRegistryTests {
    typealias F = Fixtures

    private func failure(_ body: () throws(MartletError) -> Void) -> MartletError? {
        do throws(MartletError) {
            try body()
            return nil
        } catch {
            return error
        }
    }

    private func score(_ model: ModelVersion, _ columns: [Column]) -> [SQLValue] {
        var errors = RowErrors()
        return model.score(columns, count: columns[0].count, errors: &errors).rows
    }

    private let three = [F.doubles([1]), F.doubles([1]), F.doubles([1])]

    @Test func aModelOutlivesItsFileAndARestart() throws {
        let directory = try F.temporaryDirectory() + "/models", source = try F.temporaryDirectory() + "/linear.onnx"
        let bytes = try #require(try ModelFiles.read(F.path("linear")))
        try ModelFiles.writeAtomically(bytes, to: source, in: String(source.dropLast("/linear.onnx".count)))
        let clause = [Field("A", .double), Field("B", .double), Field("C", .double)]
        do {
            let registry = try ModelRegistry(directory: directory)
            try registry.create(name: "LINEAR", path: source, input: clause, output: [Field("SCORE", .double)])
            #expect(score(try registry.model(named: "LINEAR"), three) == [.double(6.5)])
        }
        try ModelFiles.remove(source)
        let registry = try ModelRegistry(directory: directory)
        #expect(registry.list().map(\.name) == ["LINEAR"])
        let model = try registry.model(named: "LINEAR")
        #expect(model.signature == ModelSignature(inputs: clause, output: .double))
        #expect(model.manifest.source == source && model.manifest.sha256 == SHA256.hex(bytes) && model.manifest.bytes == bytes.count)
        #expect(score(model, three) == [.double(6.5)])
    }

    @Test func namesWithAnyCharactersStayInsideTheDirectory() throws {
        let directory = try F.temporaryDirectory() + "/models"
        let registry = try ModelRegistry(directory: directory)
        try registry.create(name: "../Größe", path: F.path("linear"))
        #expect(try ModelFiles.list(directory) == ["%2E%2E%2FGr%C3%B6%C3%9Fe"])
        #expect(try ModelRegistry(directory: directory).list().map(\.name) == ["../Größe"])
    }

    @Test func refusalsLeaveNothingBehind() throws {
        let directory = try F.temporaryDirectory() + "/models"
        let registry = try ModelRegistry(directory: directory)
        let missing = failure { () throws(MartletError) in try registry.create(name: "M", path: "/nowhere/m.onnx") }
        #expect(missing?.code == .modelInvalid && missing?.message == "Model M: there is no file /nowhere/m.onnx")
        let folder = failure { () throws(MartletError) in try registry.create(name: "M", path: "/tmp") }
        #expect(folder?.message == "Model M: /tmp is not a file")
        let broken = failure { () throws(MartletError) in try registry.create(name: "M", path: F.path("broken")) }
        #expect(broken?.message == "Model M cannot be loaded from \(F.path("broken"))")
        #expect(failure { () throws(MartletError) in try registry.create(name: "M", path: F.path("linear"), input: [Field("A", .double)]) } != nil)
        #expect(try ModelFiles.list(directory) == [] && registry.list().isEmpty)
    }

    @Test func namesAreTakenOnceUnlessReplaced() throws {
        let directory = try F.temporaryDirectory() + "/models"
        let registry = try ModelRegistry(directory: directory)
        let first = try registry.create(name: "M", path: F.path("linear"))
        let again = failure { () throws(MartletError) in try registry.create(name: "M", path: F.path("double")) }
        #expect(again?.code == .alreadyExists && again?.message == "Cannot add model 'M': A model with the same name already exists")
        let second = try registry.create(name: "M", path: F.path("double"), replace: true)
        #expect(second.manifest.version == 2 && second.signature.inputs.count == 2)
        #expect(score(first, three) == [.double(6.5)])
        #expect(score(try ModelRegistry(directory: directory).model(named: "M"), [F.doubles([3]), F.doubles([1])]) == [.double(2)])
    }

    @Test func aDroppedModelIsGone() throws {
        let directory = try F.temporaryDirectory() + "/models"
        let registry = try ModelRegistry(directory: directory)
        try registry.create(name: "M", path: F.path("linear"))
        try registry.create(name: "M", path: F.path("linear"), replace: true)
        let running = try registry.model(named: "M")
        try registry.drop(name: "M")
        #expect(registry["M"] == nil)
        #expect(try ModelFiles.list(directory) == [])
        #expect(score(running, three) == [.double(6.5)])
        let unknown = failure { () throws(MartletError) in try registry.drop(name: "M") }
        #expect(unknown?.code == .unknownModel && unknown?.message == "Model M does not exist")
        try registry.drop(name: "M", ifExists: true)
    }

    @Test func whatAnInterruptedCreateLeftIsCleared() throws {
        let directory = try F.temporaryDirectory() + "/models"
        let registry = try ModelRegistry(directory: directory)
        try registry.create(name: "M", path: F.path("linear"))
        try ModelFiles.writeAtomically([1, 2, 3], to: "\(directory)/M/2.onnx", in: "\(directory)/M")
        try ModelFiles.writeAtomically([1, 2, 3], to: "\(directory)/M/2.json.tmp", in: "\(directory)/M")
        #expect(try ModelRegistry(directory: directory).model(named: "M").manifest.version == 1)
        #expect(try ModelFiles.list("\(directory)/M") == ["1.json", "1.onnx"])
    }

    @Test func damageOnDiskIsReported() throws {
        let directory = try F.temporaryDirectory() + "/models"
        try ModelRegistry(directory: directory).create(name: "M", path: F.path("linear"))
        var bytes = try #require(try ModelFiles.read("\(directory)/M/1.onnx"))
        bytes[bytes.count / 2] ^= 1
        try ModelFiles.writeAtomically(bytes, to: "\(directory)/M/1.onnx", in: "\(directory)/M")
        let model = try ModelRegistry(directory: directory).model(named: "M")
        #expect(failure { () throws(MartletError) in _ = try model.session() }?.code == .corruptRecord)
        var errors = RowErrors()
        #expect(model.score(three, count: 1, errors: &errors).rows == [.null])
        #expect(errors.count == 1 && model.statistics.errors == 1)
        try ModelFiles.writeAtomically(Array("{\"name\":".utf8), to: "\(directory)/M/1.json", in: "\(directory)/M")
        #expect(failure { () throws(MartletError) in _ = try ModelRegistry(directory: directory) }?.code == .corruptRecord)
    }

    @Test func describeTellsTensorsMetadataAndCalls() throws {
        let clock = ManualTime(wallMs: 1_700_000_000_000)
        let registry = try ModelRegistry(directory: F.temporaryDirectory() + "/models", time: clock.source)
        let model = try registry.create(name: "N", path: F.path("named"))
        _ = score(model, [F.doubles([1, 2]), F.doubles([1, 2])])
        let description = try registry.describe(name: "N")
        #expect(description.inputs.map(\.name) == ["x"] && description.outputs.map(\.description) == ["float[N]"])
        #expect(description.metadata["author"] == "fixtures" && description.manifest.createdMs == 1_700_000_000_000)
        #expect(description.statistics.calls == 1 && description.statistics.rows == 2 && description.statistics.errors == 0)
    }
}

@Suite struct ModelStatisticsTests {
    @Test func percentilesAreAtMostAnEighthTooHigh() {
        var statistics = ModelStatistics()
        #expect(statistics.batchNanoseconds(percentile: 0.5) == nil)
        for i in 1...1000 { statistics.record(rows: 1, errors: 0, nanoseconds: Int64(i) * 1000) }
        for (p, exact) in [(0.5, 500_000.0), (0.99, 990_000), (1, 1_000_000)] {
            let got = Double(statistics.batchNanoseconds(percentile: p)!)
            #expect(got >= exact && got <= exact * 1.126, "\(p)")
        }
    }
}

@Suite struct SHA256Tests {
    // FIPS 180-4 examples, and the digest of a million letters a.
    @Test func digestsAreThePublishedOnes() {
        #expect(SHA256.hex([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(SHA256.hex(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            SHA256.hex(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8))
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        var hash = SHA256()
        for _ in 0..<1000 { hash.update([UInt8](repeating: UInt8(ascii: "a"), count: 1000)) }
        #expect(hash.finish() == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }
}

@Suite struct ModelManifestTests {
    @Test func everyTypeSurvives() throws {
        let types: [SQLType] = [
            .boolean, .bytes, .timestamp, .decimal(precision: 10, scale: 2), .array(.map(key: .bigint, value: .double)),
            .structure([Field("a`b", .string), Field("C", .array(.integer))]),
        ]
        let manifest = ModelManifest(
            name: "Ä\"", version: 3, source: "/x", sha256: "00", bytes: 7, createdMs: 5, input: types.enumerated().map { Field("I\($0)", $1) }, output: nil,
            signature: ModelSignature(inputs: [Field("I", .double)], output: types[5]))
        #expect(try ModelManifest(parsing: manifest.encoded(), path: "p") == manifest)
    }
}
