import MartletCore
import Testing

@testable import MartletColumns

struct ExpressionProgramTests {
    private func lit(_ value: SQLValue) -> BoundExpression { .literal(value, inferredType(value) ?? .integer) }
    private func ints(_ values: [Int32?]) -> Column { ColumnBuilder.column(of: .integer, values.map { $0.map { .integer($0) } ?? .null }) }
    private func strings(_ values: [String?]) -> Column { .string(BytesColumn(values)) }
    private let a = BoundExpression.column(0, .integer), b = BoundExpression.column(1, .integer)

    /// NULL is two-valued: a comparison with it is false, and NOT of that is true.
    @Test func comparisonsWithNull() throws {
        let columns = [ints([1, nil, 2, nil]), ints([1, 1, 3, nil])]
        func values(_ expression: BoundExpression) throws -> [SQLValue] { try evaluate(expression, columns).values }
        #expect(try values(.compare(.equal, a, b)) == [true, false, false, false])
        #expect(try values(.compare(.notEqual, a, b)) == [false, false, true, false])
        #expect(try values(.not(.compare(.equal, a, b))) == [false, true, true, true])
        #expect(try values(.compare(.isDistinctFrom, a, b)) == [false, true, true, false])
        #expect(try values(.compare(.isNotDistinctFrom, a, b)) == [true, false, false, true])
        #expect(try values(.not(.isIn(a, [lit(2), lit(5)]))) == [true, true, false, true])
        #expect(try values(.isNull(a)) == [false, true, false, true])
        #expect(try values(.isNotNull(a)) == [true, false, true, false])
        #expect(try values(.compare(.less, lit(1), a)) == [false, false, true, false])
        #expect(try values(.compare(.equal, a, .literal(nil, .integer))) == [false, false, false, false])
    }

    @Test func integersWrapAndDivideTowardsZero() throws {
        let columns = [ints([.max, -7, .min, 7, nil]), ints([1, 2, -1, 0, 3])]
        func values(_ op: ArithmeticOperator) throws -> (values: [SQLValue], errors: [RowErrors.Entry]) {
            try evaluate(.arithmetic(op, a, b, .integer), columns)
        }
        #expect(try values(.add).values == [.integer(.min), -5, .integer(.max), 7, nil])
        #expect(try values(.multiply).values == [.integer(.max), -14, .integer(.min), 0, nil])
        let division = try values(.divide)
        #expect(division.values == [.integer(.max), -3, .integer(.min), nil, nil])
        #expect(division.errors == [.init(row: 3, column: "X", reason: "/ by zero")])
        #expect(try values(.modulo).values == [0, -1, 0, nil, nil])
        let doubles = BoundExpression.arithmetic(.divide, .cast(a, .double), .literal(0.0, .double), .double)
        #expect(try evaluate(doubles, columns).values[0] == .double(.infinity))
        #expect(try evaluate(.negate(a, .integer), columns).values == [.integer(-.max), 7, .integer(.min), -7, nil])
    }

    /// What fails in arithmetic makes the whole expression null; a function that fails is null itself.
    @Test func failuresReachTheWholeExpression() throws {
        let columns = [ints([6, 6]), ints([2, 0])]
        let quotient = BoundExpression.arithmetic(.divide, a, b, .integer)
        let guarded = try evaluate(.call("IFNULL", [quotient, lit(-1)], .integer), columns)
        #expect(guarded.values == [3, nil] && guarded.errors.map(\.row) == [1])
        let parsed = BoundExpression.call("PARSE_DATE", [lit("nonsense"), lit("yyyy")], .date)
        let function = try evaluate(.call("COALESCE", [parsed, .literal(.date(5), .date)], .date), columns)
        #expect(function.values == [.date(5), .date(5)] && function.errors.count == 2)
        let cast = try evaluate(.cast(.column(0, .string), .integer), [strings([" 12 ", "x", nil])])
        #expect(cast.values == [12, nil, nil] && cast.errors.map(\.row) == [1])
    }

    /// The right side of AND and OR counts only where the left side leaves the answer open.
    @Test func shortCircuit() throws {
        let columns = [ints([6, 6, 0]), ints([2, 0, 0])]
        let big = BoundExpression.compare(.greater, .arithmetic(.divide, a, b, .integer), lit(1))
        let and = try evaluate(.and(.compare(.notEqual, b, lit(0)), big), columns)
        #expect(and.values == [true, false, false] && and.errors.isEmpty)
        let or = try evaluate(.or(.compare(.equal, b, lit(0)), big), columns)
        #expect(or.values == [true, true, true] && or.errors.isEmpty)
        let reversed = try evaluate(.and(big, .compare(.notEqual, b, lit(0))), columns)
        #expect(reversed.values == [true, nil, nil] && reversed.errors.count == 2)
        #expect(try evaluate(.and(lit(false), big), columns).errors.isEmpty)
        #expect(try evaluate(.or(lit(false), big), columns).errors.count == 2)
    }

    @Test func caseIsLazy() throws {
        let columns = [ints([6, 6, nil, 0]), ints([2, 0, 1, 1])]
        let expression = BoundExpression.searchedCase(
            [
                .init(condition: .compare(.equal, b, lit(0)), result: lit("zero")),
                .init(condition: .isNull(a), result: lit("null")),
                .init(condition: .compare(.greater, .arithmetic(.divide, a, b, .integer), lit(2)), result: .cast(.arithmetic(.divide, a, b, .integer), .string)),
            ], otherwise: nil, .string)
        let result = try evaluate(expression, columns)
        #expect(result.values == ["3", "zero", "null", nil] && result.errors.isEmpty)
        let failing = BoundExpression.searchedCase(
            [.init(condition: .compare(.greater, .arithmetic(.divide, a, b, .integer), lit(2)), result: lit(1))], otherwise: lit(2), .integer)
        let failed = try evaluate(failing, columns)
        #expect(failed.values == [1, nil, 2, 2] && failed.errors.map(\.row) == [1])
        #expect(try evaluate(.searchedCase([.init(condition: lit(true), result: a)], otherwise: nil, .integer), columns).values == [6, 6, nil, 0])
    }

    @Test func selectionIsRising() throws {
        let values: [Int32?] = [5, nil, 3, 9, nil, 0]
        let columns = [ints(values), ints([1, 1, 0, 3, 1, 0])]
        func select(_ expression: BoundExpression) throws -> ([UInt32], Int) {
            var errors = RowErrors()
            let rows = try ExpressionProgram([expression]).select(batch(columns), label: "WHERE", errors: &errors)
            return (rows, errors.count)
        }
        #expect(try select(.isNotNull(a)) == ([0, 2, 3, 5], 0))
        #expect(try select(.compare(.greater, a, lit(3))) == ([0, 3], 0))
        let quotient = BoundExpression.compare(.greaterOrEqual, .arithmetic(.divide, a, b, .integer), lit(3))
        #expect(try select(quotient) == ([0, 3], 2))
        #expect(try select(.and(.compare(.greater, b, lit(0)), quotient)) == ([0, 3], 0))
        #expect(try select(lit(true)) == ([0, 1, 2, 3, 4, 5], 0))
        #expect(try select(.literal(nil, .boolean)) == ([], 0))
        #expect(try select(.and(lit(false), quotient)) == ([], 0))
    }

    @Test func stringsAddWithNullAsText() throws {
        let columns = [strings(["a", nil]), strings(["é", "b"])]
        let sum = BoundExpression.arithmetic(.add, .column(0, .string), .column(1, .string), .string)
        #expect(try evaluate(sum, columns).values == ["aé", "nullb"])
    }

    @Test func nestedValues() throws {
        let list = ColumnBuilder.column(of: .array(.integer), [[10, 20, 30], [], nil, [nil, 5, 6]])
        let e = BoundExpression.column(0, .array(.integer))
        func at(_ i: Int32) -> BoundExpression { .subscript_(e, lit(.integer(i)), .integer) }
        #expect(try evaluate(at(1), [list]).values == [10, nil, nil, nil])
        #expect(try evaluate(at(-1), [list]).values == [30, nil, nil, 6])
        #expect(try evaluate(at(0), [list]).values == [nil, nil, nil, nil])
        #expect(try evaluate(at(4), [list]).values == [nil, nil, nil, nil])
        let map = ColumnBuilder.column(of: .map(key: .string, value: .integer), [.map(["x": 1]), nil, .map([:])])
        let m = BoundExpression.column(0, .map(key: .string, value: .integer))
        #expect(try evaluate(.subscript_(m, lit("x"), .integer), [map]).values == [1, nil, nil])
        let type = SQLType.structure([Field("F", .integer)])
        let structs = ColumnBuilder.column(of: type, [.structure([.init("F", 7)]), nil])
        #expect(try evaluate(.field(.column(0, type), "F", .integer), [structs]).values == [7, nil])
        let built = BoundExpression.array([a, lit(1), .literal(nil, .integer)], .array(.integer))
        #expect(try evaluate(built, [ints([5, nil])]).values == [[5, 1, nil], [nil, 1, nil]])
        let made = BoundExpression.structure(["A", "B"], [a, lit("x")], .structure([Field("A", .integer), Field("B", .string)]))
        #expect(try evaluate(made, [ints([5])]).values == [.structure([.init("A", 5), .init("B", "x")])])
        let pairs = BoundExpression.map(keys: [lit("k"), lit("k")], values: [a, lit(2)], .map(key: .string, value: .integer))
        #expect(try evaluate(pairs, [ints([5])]).values == [.map(["k": 2])])
        let equal = BoundExpression.compare(.equal, e, .literal([10, 20, 30], .array(.integer)))
        #expect(try evaluate(equal, [list]).values == [true, false, false, false])
    }

    @Test func lambdas() throws {
        let lists = ColumnBuilder.column(of: .array(.integer), [[3, 6], [5, nil], nil, []])
        let list = BoundExpression.column(0, .array(.integer)), offset = BoundExpression.column(1, .integer)
        let columns = [lists, ints([5, 1, 1, 1])]
        let x = BoundExpression.variable("X", .integer), s = BoundExpression.variable("S", .integer)
        func lambda(_ body: BoundExpression, _ names: String...) -> BoundExpression { .lambda(parameters: names.map { Field($0, .integer) }, body: body) }
        // A column of the batch inside the body; a null element fails `+` and with it the row.
        let plus = try evaluate(.call("TRANSFORM", [list, lambda(.arithmetic(.add, x, offset, .integer), "X")], .array(.integer)), columns)
        #expect(plus.values == [[8, 11], nil, nil, []] && plus.errors.map(\.row) == [1])
        let text = BoundExpression.call("TRANSFORM", [list, lambda(.call("IFNULL", [.cast(x, .string), lit("-")], .string), "X")], .array(.string))
        #expect(try evaluate(text, columns).values == [["3", "6"], ["5", "-"], nil, []])
        let filter = BoundExpression.call("FILTER", [list, lambda(.compare(.greater, x, lit(4)), "X")], .array(.integer))
        #expect(try evaluate(filter, columns).values == [[6], [5], nil, []])
        let reduce = BoundExpression.call("REDUCE", [list, offset, lambda(.arithmetic(.add, s, x, .integer), "S", "X")], .integer)
        #expect(try evaluate(reduce, columns).values == [14, nil, 1, 1])
        // A lambda in a lambda, and arithmetic on its result outside.
        let inner = BoundExpression.call("REDUCE", [list, x, .lambda(parameters: [Field("S", .integer), Field("Y", .integer)], body: .arithmetic(.multiply, s, .variable("Y", .integer), .integer))], .integer)
        let outer = BoundExpression.call("TRANSFORM", [list, lambda(inner, "X")], .array(.integer))
        #expect(try evaluate(outer, [ColumnBuilder.column(of: .array(.integer), [[2, 3], []])]).values == [[12, 18], []])
        let maps = ColumnBuilder.column(of: .map(key: .string, value: .integer), [.map(["a": 1, "b": 2]), nil])
        let m = BoundExpression.column(0, .map(key: .string, value: .integer))
        let parameters = [Field("K", .string), Field("V", .integer)]
        let upper = BoundExpression.lambda(parameters: parameters, body: .call("UCASE", [.variable("K", .string)], .string))
        let same = BoundExpression.lambda(parameters: parameters, body: lit("same"))
        let values = BoundExpression.lambda(parameters: parameters, body: .variable("V", .integer))
        #expect(try evaluate(.call("TRANSFORM", [m, upper, values], .map(key: .string, value: .integer)), [maps]).values == [.map(["A": 1, "B": 2]), nil])
        let clash = try evaluate(.call("TRANSFORM", [m, same, values], .map(key: .string, value: .integer)), [maps])
        #expect(clash.values == [nil, nil] && clash.errors.count == 1)
    }

    @Test func modelsSeeWholeBatches() throws {
        struct Sum: BatchModel {
            func score(_ inputs: [Column], count: Int, errors: inout RowErrors) -> Column {
                errors.add(row: 1, column: "", "second row")
                return .double(FixedColumn((0..<count).map { row in
                    inputs.reduce(0) { sum, input in if case .double(let v) = input.value(row) { sum + v } else { sum } }
                }))
            }
        }
        let expression = BoundExpression.model("M", [.cast(a, .double), .literal(0.5, .double)], .double)
        let program = try ExpressionProgram([expression], models: ["M": Sum()])
        var errors = RowErrors()
        let column = program.evaluate(batch([ints([1, 2])]), labels: ["S"], errors: &errors)[0]
        #expect(column == .double(FixedColumn([1.5, 2.5])) && errors.entries == [.init(row: 1, column: "S", reason: "second row")])
        #expect(throws: MartletError.self) { try ExpressionProgram([expression]) }
    }

    @Test func emptyBatch() throws {
        var errors = RowErrors()
        let program = try ExpressionProgram([.arithmetic(.divide, a, lit(0), .integer), lit(3), .searchedCase([.init(condition: .isNull(a), result: a)], otherwise: nil, .integer)])
        let columns = program.evaluate(batch([ints([])]), labels: ["A", "B", "C"], errors: &errors)
        #expect(columns.map(\.count) == [0, 0, 0] && errors.count == 0)
        #expect(try ExpressionProgram([.isNotNull(a)]).select(batch([ints([])]), label: "", errors: &errors) == [])
    }

    @Test func argumentsWithoutCastsAreConverted() throws {
        let call = BoundExpression.call("GEO_DISTANCE", [a, a, .literal(0.0, .double), .literal(0.0, .double)], .double)
        #expect(try evaluate(call, [ints([0, nil])]).values == [0.0, nil])
    }

    @Test func badExpressions() {
        #expect(throws: MartletError.self) { try ExpressionProgram([.call("NOPE", [], .integer)]) }
        #expect(throws: MartletError.self) { try ExpressionProgram([.cast(self.a, .boolean)]) }
        #expect(throws: MartletError.self) { try ExpressionProgram([.variable("X", .integer)]) }
        #expect(throws: MartletError.self) { try ExpressionProgram([.like(self.lit("x"), pattern: self.lit("a!"), escape: "!")]) }
    }
}
