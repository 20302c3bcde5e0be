import MartletColumns
import MartletCore
import MartletModels

/// The autoencoder as SQL calls it (columns in, a column out), against ONNX Runtime's C API called directly on tensors that are packed already.
enum Score {
    static func run() throws {
        let directory = Suite.temporaryDirectory()
        defer { Suite.remove(directory) }
        let registry = try ModelRegistry(directory: directory)
        let model = try registry.create(name: "FRAUD_SCORE", path: "models/fraud_autoencoder.onnx")
        let rows = 4096, rounds = 300
        var random = SeededRandom(seed: 1)
        let columns: [Column] = model.signature.inputs.map { field in
            switch field.type {
            case .integer: .integer(FixedColumn((0..<rows).map { _ in Int32.random(in: 0...172_800, using: &random) }))
            default: .double(FixedColumn((0..<rows).map { _ in random.nextGaussian() }))
            }
        }
        let arguments = model.signature.inputs.enumerated().map { BoundExpression.column($0.offset, $0.element.type) }
        let program = try ExpressionProgram([.model("FRAUD_SCORE", arguments, model.signature.output)], models: ["FRAUD_SCORE": model])
        let batch = Batch(count: rows, columns: columns, timestamps: [Int64](repeating: 0, count: rows))
        var rates: [Double] = [], references: [Double] = []
        let time = TimeSource.system
        for _ in 0..<5 {
            let start = time.monotonicNs
            for _ in 0..<rounds {
                var errors = RowErrors()
                let out = program.evaluate(batch, labels: ["score"], errors: &errors)
                precondition(out[0].count == rows && errors.count == 0, "every row has a score")
            }
            let scored = time.monotonicNs
            rates.append(Double(rows * rounds) / (Double(scored - start) * 1e-9))
            references.append(try RuntimeYardstick.rowsPerSecond(path: model.path, rows: rows, width: 30, rounds: rounds, time: time))
        }
        let rate = Suite.median(rates), reference = Suite.median(references)
        Suite.line("score", rate, "rows/s", ("C API", reference), rate / reference)
    }
}
