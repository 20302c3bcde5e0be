import MartletCore
import Testing

@testable import MartletColumns

/// Random expressions over random batches with nulls: a batch gives what its rows give one by one, in any split, and WHERE what SELECT says.
struct ExpressionLawTests {
    private struct Generator {
        var random: SeededRandom
        let types: [SQLType] = [.integer, .bigint, .double, .decimal(precision: 6, scale: 2), .string, .boolean]

        mutating func value(_ type: SQLType) -> SQLValue {
            if Int.random(in: 0..<5, using: &random) == 0 { return .null }
            let small = Int32.random(in: -4...4, using: &random)
            switch type {
            case .integer: return .integer(Int.random(in: 0..<10, using: &random) == 0 ? .max : small)
            case .bigint: return .bigint(Int64(small) * 3)
            case .double: return .double(Double(small) / 2)
            case .decimal: return .decimal(Decimal128(unscaled: Int128(small) * 25, scale: 2))
            case .boolean: return .boolean(small > 0)
            default: return .string(["", "a", "ab", "é", "3", "x%"][Int(small.magnitude)])
            }
        }

        mutating func pick<T>(_ values: [T]) -> T { values.randomElement(using: &random)! }

        mutating func expression(_ type: SQLType, _ depth: Int) -> BoundExpression {
            let column = BoundExpression.column(types.firstIndex(of: type)!, type)
            if depth == 0 { return Bool.random(using: &random) ? column : .literal(value(type), type) }
            let choice = Int.random(in: 0..<8, using: &random)
            if choice == 0 {
                return .searchedCase(
                    [.init(condition: expression(.boolean, depth - 1), result: expression(type, depth - 1)),
                     .init(condition: expression(.boolean, depth - 1), result: expression(type, depth - 1))],
                    otherwise: choice % 2 == 0 ? expression(type, depth - 1) : nil, type)
            }
            if choice == 1 { return .call("COALESCE", [expression(type, depth - 1), expression(type, depth - 1)], type) }
            switch type {
            case .boolean:
                switch choice {
                case 2: return .and(expression(.boolean, depth - 1), expression(.boolean, depth - 1))
                case 3: return .or(expression(.boolean, depth - 1), expression(.boolean, depth - 1))
                case 4: return .not(expression(.boolean, depth - 1))
                case 5: return .like(expression(.string, depth - 1), pattern: .literal("%a_%", .string), escape: nil)
                case 6: return .isNull(expression(pick(types), depth - 1))
                default:
                    let operand = pick(types)
                    return .compare(pick([.equal, .notEqual, .less, .greaterOrEqual, .isDistinctFrom]), expression(operand, depth - 1), expression(operand, depth - 1))
                }
            case .string:
                switch choice {
                case 2: return .cast(expression(pick(types.filter { $0 != .string }), depth - 1), .string)
                case 3: return .call("UCASE", [expression(.string, depth - 1)], .string)
                case 4: return .call("MASK_LEFT", [expression(.string, depth - 1), expression(.integer, depth - 1)], .string)
                default: return .call("CONCAT", [expression(.string, depth - 1), expression(.string, depth - 1)], .string)
                }
            case .decimal: return .cast(expression(pick([.integer, .double, .string]), depth - 1), type)
            default:
                if choice == 2 { return .cast(expression(pick([.string, .double, .bigint].filter { $0 != type }), depth - 1), type) }
                if choice == 3 { return .negate(expression(type, depth - 1), type) }
                return .arithmetic(pick([.add, .subtract, .multiply, .divide, .modulo]), expression(type, depth - 1), expression(type, depth - 1), type)
            }
        }

        mutating func batch(_ count: Int) -> Batch {
            let columns = types.map { type in ColumnBuilder.column(of: type, (0..<count).map { _ in value(type) }) }
            return Batch(count: count, columns: columns, timestamps: [Int64](repeating: 0, count: count))
        }
    }

    @Test(arguments: 0..<60 as Range<UInt64>) func batchIsRowByRow(seed: UInt64) throws {
        var generator = Generator(random: SeededRandom(seed: seed))
        for _ in 0..<8 {
            let condition = generator.expression(.boolean, 3)
            let type = generator.pick(generator.types)
            let expression = generator.expression(type, 3)
            let program = try ExpressionProgram([expression, condition])
            let filter = try ExpressionProgram([condition])
            let whole = generator.batch(17)
            var errors = RowErrors()
            let columns = program.evaluate(whole, labels: ["E", "C"], errors: &errors)
            #expect(columns[0].type == type)
            var selectErrors = RowErrors()
            let selected = filter.select(whole, label: "W", errors: &selectErrors)
            #expect(selected == selected.sorted())
            var wanted: [UInt32] = [], reported: [Int] = []
            for row in 0..<whole.count {
                var one = RowErrors()
                let single = program.evaluate(whole.gathered([UInt32(row)]), labels: ["E", "C"], errors: &one)
                #expect(single[0].value(0).sameAs(columns[0].value(row)), "row \(row) of \(expression)")
                #expect(single[1].value(0) == columns[1].value(row), "row \(row) of \(condition)")
                if columns[1].value(row) == .boolean(true) { wanted.append(UInt32(row)) }
                reported += [Int](repeating: row, count: one.count)
            }
            #expect(selected == wanted, "WHERE \(condition)")
            #expect(errors.entries.map(\.row).sorted() == reported, "failures are reported once for their row")
        }
    }
}

extension SQLValue {
    /// Equality under which NaN equals itself.
    fileprivate func sameAs(_ other: SQLValue) -> Bool {
        if case .double(let a) = self, case .double(let b) = other, a.isNaN { return b.isNaN }
        return self == other
    }
}
