import MartletCore

/// ONNX Runtime alone: what scoring in SQL is measured against by `make bench`.
public enum RuntimeYardstick {
    /// Rows a second through the C API on one packed tensor of doubles `[rows, width]`, the same one each time.
    ///
    /// - Throws: `.modelInvalid` if the model does not take such a tensor.
    public static func rowsPerSecond(path: String, rows: Int, width: Int, rounds: Int, time: TimeSource) throws(MartletError) -> Double {
        let session = try ONNXSession(path: path)
        let buffer = TensorBuffer()
        buffer.withElements(Double.self, count: rows * width) { values in
            var random = SeededRandom(seed: 1)
            for i in 0..<rows * width { values[i] = random.nextGaussian() }
        }
        let tensor = try buffer.tensor(session.runtime, .double, shape: [Int64(rows), Int64(width)], byteCount: rows * width * 8)
        _ = try session.run([tensor], wanted: [0])
        let start = time.monotonicNs
        for _ in 0..<rounds { _ = try session.run([tensor], wanted: [0]) }
        return Double(rows * rounds) / (Double(time.monotonicNs - start) * 1e-9)
    }
}
