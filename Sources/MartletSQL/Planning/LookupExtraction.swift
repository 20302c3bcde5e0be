import MartletColumns
import MartletCore

/// Finds in a condition over a table's columns which keys and windows can fulfil it.
struct LookupExtraction {
    /// Columns of the scan that the condition counts.
    var columns: [LogicalPlan.Scan.Column]
    var keyCount: Int
    var functions: FunctionRegistry

    /// More alternatives than this are not looked up one by one.
    private static let alternativesMax = 1_000

    /// What one alternative of the condition says.
    private struct Alternative {
        /// Values each key column may have; nil: any.
        var keys: [[SQLValue]?]
        var lower: TableLookup.Bound?
        var upper: TableLookup.Bound?
        var start = TableLookup.Times()
        var end = TableLookup.Times()
    }

    func lookup(_ condition: BoundExpression?, table: String) -> TableLookup {
        guard let condition, let alternatives = alternatives(condition) else { return TableLookup(table: table) }
        let found = alternatives.map(constraints)
        guard var times = found.first.map({ ($0.start, $0.end) }) else { return TableLookup(table: table) }
        for one in found.dropFirst() { times = (hull(times.0, one.start), hull(times.1, one.end)) }
        return TableLookup(table: table, keys: keys(found), windowStart: times.0, windowEnd: times.1)
    }

    private func keys(_ alternatives: [Alternative]) -> TableLookup.Keys {
        var out: [[SQLValue]] = [], seen: Set<[SQLValue]> = []
        for one in alternatives {
            var rows: [[SQLValue]] = [[]]
            for values in one.keys {
                guard let values else {
                    if alternatives.count == 1, keyCount == 1, one.lower != nil || one.upper != nil { return .range(lower: one.lower, upper: one.upper) }
                    return .all
                }
                guard rows.count * values.count <= Self.alternativesMax else { return .all }
                rows = rows.flatMap { row in values.map { row + [$0] } }
            }
            for row in rows where seen.insert(row).inserted { out.append(row) }
        }
        return out.count <= Self.alternativesMax ? .some(out) : .all
    }

    private func hull(_ a: TableLookup.Times, _ b: TableLookup.Times) -> TableLookup.Times {
        func both(_ f: (Int64, Int64) -> Int64, _ x: Int64?, _ y: Int64?) -> Int64? {
            guard let x, let y else { return nil }
            return f(x, y)
        }
        return TableLookup.Times(lower: both(min, a.lower, b.lower), upper: both(max, a.upper, b.upper))
    }

    /// The condition as alternatives of conjuncts; nil: too many.
    private func alternatives(_ condition: BoundExpression) -> [[BoundExpression]]? {
        switch condition {
        case .or(let a, let b):
            guard let left = alternatives(a), let right = alternatives(b), left.count + right.count <= Self.alternativesMax else { return nil }
            return left + right
        case .and(let a, let b):
            guard let left = alternatives(a), let right = alternatives(b), left.count * right.count <= Self.alternativesMax else { return nil }
            return left.flatMap { one in right.map { one + $0 } }
        default: return [[condition]]
        }
    }

    private func constraints(_ conjuncts: [BoundExpression]) -> Alternative {
        var out = Alternative(keys: Array(repeating: nil, count: keyCount))
        for conjunct in conjuncts {
            switch conjunct {
            case .compare(let op, .column(let column, let type), let value):
                if let constant = constant(value, type) { restrict(&out, column, op, constant) }
            case .compare(let op, let value, .column(let column, let type)):
                if let constant = constant(value, type) { restrict(&out, column, op.flipped, constant) }
            case .isIn(.column(let column, let type), let options):
                let values = options.compactMap { constant($0, type) }
                if values.count == options.count { restrict(&out, column, values) }
            default: break
            }
        }
        return out
    }

    /// The value of an expression without columns; nil if it has some, or none of this type.
    private func constant(_ expression: BoundExpression, _ type: SQLType) -> SQLValue? {
        if case .literal(let value, let own) = expression { return own == type ? value : nil }
        guard expression.columns.isEmpty, expression.models.isEmpty, expression.type == type,
            let program = try? ExpressionProgram([expression], registry: functions)
        else { return nil }
        var errors = RowErrors()
        let value = program.evaluate(Batch(count: 1, columns: [], timestamps: [0]), labels: [""], errors: &errors)[0].value(0)
        return errors.entries.isEmpty ? value : nil
    }

    private func restrict(_ out: inout Alternative, _ column: Int, _ values: [SQLValue]) {
        guard case .key(let key) = columns[column].source else { return }
        var distinct: [SQLValue] = []
        // No key is null, and null equals nothing.
        for value in values where !value.isNull && !distinct.contains(value) { distinct.append(value) }
        out.keys[key] = out.keys[key].map { before in before.filter { distinct.contains($0) } } ?? distinct
    }

    private func restrict(_ out: inout Alternative, _ column: Int, _ op: ComparisonOperator, _ value: SQLValue) {
        switch columns[column].source {
        case .key:
            switch op {
            case .equal: restrict(&out, column, [value])
            case .less, .lessOrEqual:
                if out.upper == nil { out.upper = TableLookup.Bound(value: value, isInclusive: op == .lessOrEqual) }
            case .greater, .greaterOrEqual:
                if out.lower == nil { out.lower = TableLookup.Bound(value: value, isInclusive: op == .greaterOrEqual) }
            case .notEqual, .isDistinctFrom, .isNotDistinctFrom: break
            }
        case .windowStart:
            if case .bigint(let ms) = value { restrict(&out.start, op, ms) }
        case .windowEnd:
            if case .bigint(let ms) = value { restrict(&out.end, op, ms) }
        case .value, .rowTime, .rowPartition, .rowOffset, .headers, .header: break
        }
    }

    private func restrict(_ times: inout TableLookup.Times, _ op: ComparisonOperator, _ ms: Int64) {
        func raise(_ to: Int64) { times.lower = max(times.lower ?? to, to) }
        func lower(_ to: Int64) { times.upper = min(times.upper ?? to, to) }
        switch op {
        case .equal:
            raise(ms)
            lower(ms)
        case .less: lower(ms == .min ? ms : ms - 1)
        case .lessOrEqual: lower(ms)
        case .greater: raise(ms == .max ? ms : ms + 1)
        case .greaterOrEqual: raise(ms)
        case .notEqual, .isDistinctFrom, .isNotDistinctFrom: break
        }
    }
}

extension ComparisonOperator {
    /// The operator that means the same with its sides exchanged.
    var flipped: ComparisonOperator {
        switch self {
        case .less: .greater
        case .lessOrEqual: .greaterOrEqual
        case .greater: .less
        case .greaterOrEqual: .lessOrEqual
        case .equal, .notEqual, .isDistinctFrom, .isNotDistinctFrom: self
        }
    }
}
