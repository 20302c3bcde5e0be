import MartletColumns
import MartletCore
import Synchronization
import Testing

@testable import MartletModels

@Suite(.enabled(if: Fixtures.hasRuntime, Fixtures.needsRuntime)) struct ModelSessionTests {
    typealias F = Fixtures

    @Test func numbersOfAnyTypeFeedAFloatMatrix() throws {
        let model = try F.session(
            "linear", input: [Field("A", .double), Field("B", .integer), Field("C", .decimal(precision: 5, scale: 2))], output: [Field("SCORE", .double)])
        let decimals = ColumnBuilder.column(
            of: .decimal(precision: 5, scale: 2), [.decimal(Decimal128(unscaled: 150, scale: 2)), .decimal(Decimal128(unscaled: -25, scale: 2))])
        let (values, errors) = model.rows([F.doubles([1, -2]), F.integers([10, 20]), decimals])
        #expect(values == [.double(1 + 20 + 4.5 + 0.5), .double(-2 + 40 - 0.75 + 0.5)])
        #expect(errors.count == 0)
    }

    /// Every count around tile and run borders gives what a plain sum gives.
    @Test(arguments: [1, 2, 63, 64, 65, 128, 1000, 4095, 4096, 4097, 9001]) func batchesOfAnySizeEqualRowByRow(count: Int) throws {
        let model = try F.session("linear")
        var random = SeededRandom(seed: UInt64(count))
        let columns = (0..<3).map { _ in (0..<count).map { _ in Double(Int.random(in: -1000...1000, using: &random)) } }
        let (values, errors) = model.rows(columns.map { F.doubles($0) })
        let sums: [SQLValue] = (0..<count).map { (row: Int) -> SQLValue in
            let a = columns[0][row], b = columns[1][row], c = columns[2][row]
            return .double(a + 2 * b + 3 * c + 0.5)
        }
        #expect(values == sums)
        #expect(errors.count == 0)
    }

    @Test func rowsWithANullArgumentAreNullAndTheOthersAreScored() throws {
        let model = try F.session("linear")
        let (values, errors) = model.rows([F.doubles([1, nil, 3, 4]), F.doubles([0, 0, nil, 0]), F.doubles([0, 0, 0, 0])])
        #expect(values == [.double(1.5), .null, .null, .double(4.5)])
        #expect(errors.count == 0)
        #expect(model.rows([F.doubles([nil]), F.doubles([nil]), F.doubles([1])]).values == [.null])
        #expect(model.rows([F.doubles([]), F.doubles([]), F.doubles([])]).values == [])
    }

    @Test func notANumberIsAValueLikeAnother() throws {
        let (values, errors) = try F.session("linear").rows([F.doubles([.nan, .infinity]), F.doubles([1, 1]), F.doubles([1, 1])])
        guard case .double(let first) = values[0] else { throw MartletError(.internalError, "no double") }
        #expect(first.isNaN && values[1] == .double(.infinity) && errors.count == 0)
    }

    @Test func doublesKeepTheirPrecisionAndLargeIntegersToo() throws {
        let (difference, _) = try F.session("double").rows([F.doubles([0.1, 1e300]), F.doubles([0.2, 1])])
        #expect(difference == [.double(0.1 - 0.2), .double(1e300)])
        let (product, _) = try F.session("whole").rows([F.bigints([3_000_000_007, -4]), F.integers([3, 5])])
        #expect(product == [.bigint(9_000_000_021), .bigint(-20)])
    }

    @Test func separateInputsTakeNumbersStringsAndBooleans() throws {
        let model = try F.session("separate")
        #expect(model.signature.inputs == [Field("AGE", .double), Field("COUNT", .bigint), Field("VIP", .boolean), Field("CITY", .string)])
        #expect(model.signature.output == .structure([Field("SCORE", .double), Field("CITY", .string)]))
        let (values, errors) = model.rows([
            F.doubles([30, 40, 50]), F.bigints([2, 3, 4]), F.booleans([true, false, true]), F.strings(["Köln", "", nil]),
        ])
        #expect(values[0] == .structure([.init("SCORE", .double(132)), .init("CITY", .string("Köln"))]))
        #expect(values[1] == .structure([.init("SCORE", .double(43)), .init("CITY", .string(""))]))
        #expect(values[2] == .null)
        #expect(errors.count == 0)
    }

    @Test func theOutputClauseChooses() throws {
        let columns = [F.doubles([30]), F.bigints([2]), F.booleans([true]), F.strings(["Bonn"])]
        #expect(try F.session("separate", output: [Field("SCORE", .double)]).rows(columns).values == [.double(132)])
        #expect(try F.session("separate", output: [Field("CITY", .string)]).rows(columns).values == [.string("Bonn")])
        let several = try F.session("several", output: [Field("PLACE", .bigint), Field("TOTAL", .double)])
        #expect(several.rows([F.doubles([1, -5]), F.doubles([2, -6])]).values == [
            .structure([.init("PLACE", .bigint(1)), .init("TOTAL", .double(3))]), .structure([.init("PLACE", .bigint(0)), .init("TOTAL", .double(-11))]),
        ])
    }

    @Test func severalOutputsAreAStruct() throws {
        let (values, _) = try F.session("several").rows([F.doubles([1, -5]), F.doubles([2, -6])])
        #expect(values == [
            .structure([.init("TOTAL", .double(3)), .init("POSITIVE", .boolean(true)), .init("PLACE", .integer(1))]),
            .structure([.init("TOTAL", .double(-11)), .init("POSITIVE", .boolean(false)), .init("PLACE", .integer(0))]),
        ])
    }

    @Test func labelsArriveAsStringsAndNullsAmongThemStayNull() throws {
        let (values, _) = try F.session("labels").rows([F.bigints([1, nil, 0, 7])])
        #expect(values == [.string("high"), .null, .string("low"), .string("unknown")])
    }

    @Test func aMatrixIsAnArrayAndItsOpenWidthComesFromTheClause() throws {
        let model = try F.session("wide", input: [Field("A", .double), Field("B", .double), Field("C", .double)])
        let (values, _) = model.rows([F.doubles([1, nil, 9]), F.doubles([5, 1, 8]), F.doubles([2, 1, 7])])
        #expect(values == [.array([.double(8), .double(5)]), .null, .array([.double(24), .double(9)])])
    }

    @Test func aMapARowIsAMap() throws {
        let (values, _) = try F.session("zipmap").rows([F.doubles([0.25, nil]), F.doubles([0.75, 1])])
        #expect(values == [.map([.init(.string("no"), .double(0.25)), .init(.string("yes"), .double(0.75))]), .null])
    }

    @Test(arguments: [1, 3, 4, 5, 11]) func aFixedBatchIsFilledUp(count: Int) throws {
        let values = (0..<count).map { Double($0) }
        let out = try F.session("fixed").rows([F.doubles(values), F.doubles(values)])
        #expect(out.values == values.map { .double(2 * $0) })
    }

    @Test func aRowThatTheModelRefusesIsNullAndReportedAndItsNeighboursAreScored() throws {
        let (values, errors) = try F.session("picky").rows([F.bigints([0, nil, 99, 2, -77, 1])])
        #expect(values == [.double(10), .null, .null, .double(30), .null, .double(20)])
        #expect(errors.count == 2 && errors.entries.map(\.row) == [2, 4] && errors.entries[0].column == "M")
        #expect(errors.entries[0].reason.contains("out of data bounds"))
    }

    /// One session, four threads: each sees its own rows.
    @Test func threadsShareASession() async throws {
        let model = try F.session("linear")
        await withTaskGroup(of: Bool.self) { group in
            for seed in 0..<4 {
                group.addTask {
                    (0..<50).allSatisfy { round in
                        let base = Double(seed * 1000 + round)
                        let count = 1 + (seed * 37 + round * 13) % 300
                        var errors = RowErrors()
                        let zero = Column.repeating(.double(0), type: .double, count: count)
                        let out = model.score([.repeating(.double(base), type: .double, count: count), zero, zero], count: count, errors: &errors)
                        return out == .repeating(.double(base + 0.5), type: .double, count: count) && errors.count == 0
                    }
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }

    @Test func namesAndMetadataComeFromTheFile() throws {
        let model = try F.session("named")
        #expect(model.signature.inputs == [Field("LEFT", .double), Field("RIGHT", .double)])
        #expect(model.metadata["author"] == "fixtures")
        #expect(try F.session("linear").signature.inputs.map(\.name) == ["X_1", "X_2", "X_3"])
        #expect(try F.session("linear").inputs.map(\.description) == ["float[N,3]"])
    }

    /// What CREATE MODEL refuses, each with the model, the tensor and the reason in one sentence.
    @Test(arguments: [
        ("linear", [Field("A", .double)], nil, "Model M takes 3 values a row, its INPUT clause names 1"),
        ("linear", [Field("A", .double), Field("B", .string), Field("C", .double)], nil, "Model M: argument B is declared STRING, its input x takes float"),
        ("whole", [Field("A", .double), Field("B", .bigint)], nil, "Model M: argument A is declared DOUBLE, its input x takes int64"),
        ("linear", nil, [Field("SCORE", .bigint)], "Model M: output y is DOUBLE, not BIGINT"),
        ("several", nil, [Field("NOPE", .double)], "Model M has no output NOPE"),
        ("wide", nil, nil, "Model M: input x is float[N,N], its width is open"),
        ("cube", nil, nil, "Model M: input x is float[N,2,2], which has more than two dimensions"),
        ("nobatch", nil, nil, "Model M: output y has shape [1] for a batch of 2 rows; its first dimension has to be the rows"),
    ] as [(String, [Field]?, [Field]?, String)])
    func whatDoesNotFitIsRefusedByName(file: String, input: [Field]?, output: [Field]?, message: String) {
        let error = F.refusal(file, input: input, output: output)
        #expect(error?.message == message)
        #expect(error?.code == .modelInvalid)
    }

    @Test func aFileThatIsNoModelIsRefusedWithTheRuntimesWords() {
        let error = F.refusal("broken")
        #expect(error?.code == .modelInvalid && error?.message.hasPrefix("Model M cannot be loaded from ") == true)
        #expect(error?.detail?.contains("Protobuf parsing failed") == true)
    }
}
