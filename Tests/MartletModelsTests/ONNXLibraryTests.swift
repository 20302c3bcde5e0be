import MartletCore
import Testing

@testable import MartletModels

@Suite(.temporaryDirectories) struct ONNXLibraryTests {
    @Test func theVariableNamesTheLibraryOrItsFolder() throws {
        #expect(ONNXLibrary.candidates(environment: "/x/libort.so", workingDirectory: "/", executable: nil) == ["/x/libort.so"])
        let folder = try Fixtures.temporaryDirectory()
        try ModelFiles.writeAtomically([], to: "\(folder)/libonnxruntime.so.1.2.3", in: folder)
        #expect(ONNXLibrary.candidates(environment: folder, workingDirectory: "/", executable: nil) == ["\(folder)/libonnxruntime.so.1.2.3"])
    }

    @Test func theEnvironmentOfTheRepositoryIsFoundFromBelow() throws {
        let root = try Fixtures.temporaryDirectory(), capi = "\(root)/.venv/lib/python3.12/site-packages/onnxruntime/capi"
        try ModelFiles.makeDirectory(capi)
        try ModelFiles.makeDirectory("\(root)/.build/release")
        try ModelFiles.writeAtomically([], to: "\(capi)/libonnxruntime.so.1.9.0", in: capi)
        let library = "\(capi)/libonnxruntime.so.1.9.0"
        #expect(ONNXLibrary.candidates(environment: nil, workingDirectory: root, executable: nil).first == library)
        #expect(ONNXLibrary.candidates(environment: "", workingDirectory: "/", executable: "\(root)/.build/release/martlet").first == library)
        #expect(ONNXLibrary.candidates(environment: nil, workingDirectory: nil, executable: nil) == ["libonnxruntime.so", "libonnxruntime.so.1"])
    }

    @Test func placesNameEverySpotLookedIn() {
        #expect(ONNXLibrary.places().contains { $0.contains("MARTLET_ONNXRUNTIME") })
    }
}
