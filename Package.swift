// swift-tools-version: 6.2
import Foundation
import PackageDescription

// `MARTLET_ONLY=Log` keeps one module, what it depends on and its tests, because `swift test` otherwise links every test target.
let only = Context.environment["MARTLET_ONLY"].map { "Martlet\($0)" }
let withBenchmarks = Context.environment["MARTLET_BENCH"] != nil

// Of the compiler that is used here; a newer one may warn of more, and that is no reason not to build.
#if compiler(>=6.3) && compiler(<6.4)
let warnings: [SwiftSetting] = [.treatAllWarnings(as: .error)]
#else
let warnings: [SwiftSetting] = []
#endif

let swiftSettings: [SwiftSetting] = warnings + [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    // A root package may use unsafe flags; without this a public generic costs 18 ns a call across a module instead of 0.1.
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]

func nio(_ name: String) -> Target.Dependency { .product(name: name, package: "swift-nio") }
let tls: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

struct Module {
    var name: String
    var needs: [String] = []
    var products: [Target.Dependency] = []
    /// For its tests alone.
    var testProducts: [Target.Dependency] = []
    /// nil: Sources/<name>
    var path: String?
    /// Holds no unsafe code, and the compiler sees to it. Elsewhere too many lines would have to say `unsafe` (docs/decisions/0009-unsafe-code.md).
    var isMemorySafe = false
    var hasTests: Bool { FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/Tests/\(name)Tests") }
}

// Arrows point down only: a module may name those above it in this table.
let modules: [Module] = [
    Module(name: "MartletCore", needs: ["CInstructions"]),
    Module(name: "MartletColumns", needs: ["MartletCore"]),
    Module(name: "MartletSQL", needs: ["MartletCore", "MartletColumns"], isMemorySafe: true),
    Module(
        name: "MartletLog", needs: ["MartletCore", "CCompression"],
        products: [logging, nio("NIOCore"), nio("NIOPosix"), tls], testProducts: [nio("NIOEmbedded")]),
    Module(name: "MartletModels", needs: ["MartletCore", "MartletColumns"], products: [logging]),
    Module(
        name: "MartletEngine", needs: ["MartletCore", "MartletColumns", "MartletSQL", "MartletLog", "MartletModels"],
        products: [logging]),
    Module(name: "MartletConformance", needs: ["MartletCore", "MartletColumns", "MartletSQL", "MartletLog", "MartletEngine"]),
    Module(name: "MartletConnect", needs: ["MartletCore", "MartletColumns", "MartletEngine", "MartletLog"], products: [logging]),
    Module(
        name: "MartletServer",
        needs: ["MartletCore", "MartletColumns", "MartletSQL", "MartletEngine", "MartletConnect", "MartletLog"],
        products: [
            logging, nio("NIOCore"), nio("NIOPosix"), nio("NIOHTTP1"), nio("NIOWebSocket"),
            .product(name: "NIOHTTP2", package: "swift-nio-http2"), tls,
        ], isMemorySafe: true),
    // A library so that its tests can drive it through a pseudo-terminal.
    Module(
        name: "MartletShell", needs: ["MartletCore", "MartletColumns", "MartletSQL"],
        products: [nio("NIOCore"), nio("NIOEmbedded"), nio("NIOTLS"), tls], testProducts: [nio("NIOPosix")], path: "Sources/martlet/Shell"),
]

func needed(_ name: String) -> Bool {
    guard let only else { return true }
    var wanted: Set = [only], grew = true
    while grew {
        grew = false
        for module in modules where wanted.contains(module.name) {
            for need in module.needs where wanted.insert(need).inserted { grew = true }
        }
    }
    return wanted.contains(name)
}

/// The module's README and those of its folders.
func readmes(_ path: String) -> [String] {
    (FileManager.default.enumerator(atPath: "\(Context.packageDirectory)/\(path)")?.compactMap { $0 as? String } ?? [])
        .filter { $0 == "README.md" || $0.hasSuffix("/README.md") }
}

var targets: [Target] = [
    .target(name: "CInstructions"),
    .systemLibrary(
        name: "CCompression", providers: [.apt(["zlib1g-dev", "liblz4-dev", "libzstd-dev", "libsnappy-dev"])]),
]
for module in modules where needed(module.name) {
    let dependencies = module.needs.map { Target.Dependency.target(name: $0) } + module.products
    targets.append(
        .target(
            name: module.name, dependencies: dependencies, path: module.path, exclude: readmes(module.path ?? "Sources/\(module.name)"),
            swiftSettings: swiftSettings + (module.isMemorySafe ? [.strictMemorySafety()] : [])))
    let hasTests = Context.environment["MARTLET_NO_TESTS"] == nil && module.hasTests
    if hasTests, only == nil || only == module.name {
        targets.append(
            .testTarget(
                name: "\(module.name)Tests", dependencies: [.target(name: module.name)] + dependencies + module.testProducts,
                swiftSettings: warnings + [.swiftLanguageMode(.v6)]))
    }
}
if only == nil {
    targets.append(
        .executableTarget(
            name: "martlet",
            dependencies: modules.map { .target(name: $0.name) } + [
                logging, .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            exclude: ["Shell", "README.md"],
            swiftSettings: swiftSettings))
    if withBenchmarks {
        targets.append(
            .executableTarget(
                name: "martlet-bench", dependencies: modules.map { .target(name: $0.name) }, path: "Benchmarks",
                exclude: ["Client", "broker.py", "process.py"], swiftSettings: swiftSettings))
        targets.append(.executableTarget(name: "martlet-bench-client", path: "Benchmarks/Client", swiftSettings: swiftSettings))
    }
}

let package = Package(
    name: "martlet",
    products: only == nil ? [.executable(name: "martlet", targets: ["martlet"])] : [],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    ],
    targets: targets
)
