import MartletCore

/// A function's kernel: whole columns in, one column out.
typealias Kernel = @Sendable (inout KernelCall) -> Column

/// What a kernel failed with; its text goes to the processing log.
struct KernelFailure: Error {
    var reason: String
    init(_ reason: String) { self.reason = reason }
}

/// One call of a kernel: arguments, the number of rows wanted, and where failures go.
struct KernelCall {
    let arguments: [Value]
    /// Rows of the result: 1 if every argument is constant.
    let count: Int
    let type: SQLType
    let environment: KernelEnvironment
    /// Evaluates lambda argument `i` over rows of its own (see `LambdaScope`); nil outside programs.
    let lambdas: LambdaScope?
    var failures = RowFailures()

    mutating func fail(_ row: Int, _ error: any Error) {
        let reason =
            switch error {
            case let failure as KernelFailure: failure.reason
            case let failure as MartletError: failure.message
            default: "\(error)"
            }
        failures.add(row, reason, isFatal: false)
    }

    /// Runs `body` for each row; nil gives NULL, an error gives NULL and a report.
    mutating func rows<R: KernelResult>(_ body: (Int) throws -> R?) -> Column {
        var rows = R.rows(capacity: count)
        for row in 0..<count {
            do {
                R.append(try body(row), to: &rows)
            } catch {
                fail(row, error)
                R.append(nil, to: &rows)
            }
        }
        return R.finish(rows)
    }

    /// Runs `body` on each row's boxed arguments; with `strict` a null argument gives NULL unseen.
    mutating func boxedRows(strict: Bool, _ body: ([SQLValue]) throws -> SQLValue) -> Column {
        var builder = ColumnBuilder(type)
        for row in 0..<count {
            let values = arguments.map { $0.boxed(row) }
            if strict, values.contains(where: \.isNull) {
                builder.append(.null)
                continue
            }
            do {
                builder.append(try body(values))
            } catch {
                fail(row, error)
                builder.append(.null)
            }
        }
        return builder.column
    }
}
