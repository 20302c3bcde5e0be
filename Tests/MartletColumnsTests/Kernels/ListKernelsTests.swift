import MartletCore
import Testing

@testable import MartletColumns

/// Functions on arrays and maps against the same function written down on boxed values, over batches of random rows.
@Suite struct ListKernelsTests {
    static let types: [SQLType] = [.bigint, .string, .double, .decimal(precision: 9, scale: 2), .array(.integer), .map(key: .string, value: .integer)]

    private func value(_ type: SQLType, _ random: inout SeededRandom) -> SQLValue { AggregateTests.value(type, &random) }

    private func call(_ name: String, _ columns: [Column], _ type: SQLType, row: Int? = nil) throws -> [SQLValue] {
        // With `row` all arguments but the first are constants, those of that row.
        let arguments = columns.enumerated().map { i, column in
            if let row, i > 0 { return BoundExpression.literal(column.value(row), column.type) }
            return .column(i, column.type)
        }
        return try evaluate(.call(name, arguments, type), columns).values
    }

    private func elements(_ value: SQLValue) -> [SQLValue]? { if case .array(let values) = value { values } else { nil } }
    private func entries(_ value: SQLValue) -> [SQLValue.MapEntry]? { if case .map(let entries) = value { entries } else { nil } }

    private func distinct(_ values: [SQLValue]) -> [SQLValue] {
        values.reduce(into: []) { out, x in if !out.contains(where: { NestedKernels.equal($0, x) }) { out.append(x) } }
    }

    @Test(arguments: types.indices) func arraysOfEachType(index: Int) throws {
        let type = Self.types[index], listType = SQLType.array(type)
        for seed in UInt64(92)..<96 {
            var random = SeededRandom(seed: seed)
            // Rows of the second kind are longer than what is compared each with each.
            let lists = (0..<40).map { row -> SQLValue in
                row == 0 ? .null : .array((0..<(row % 13 == 12 ? 90 : row % 7)).map { _ in value(type, &random) })
            }
            let others = (0..<40).map { row -> SQLValue in row == 3 ? .null : .array((0..<(row % 5)).map { _ in value(type, &random) }) }
            let values = (0..<40).map { _ in value(type, &random) }
            let a = Column(listType, lists), b = Column(listType, others), v = Column(type, values)
            func check(_ name: String, _ second: Column, _ result: SQLType, _ model: (SQLValue, SQLValue) -> SQLValue) throws {
                let found = try call(name, [a, second], result), constant = try call(name, [a, second], result, row: 7)
                for row in lists.indices {
                    #expect(found[row] == model(lists[row], second.value(row)), "\(name) \(type) seed \(seed) row \(row)")
                    #expect(constant[row] == model(lists[row], second.value(7)), "\(name) \(type) seed \(seed) row \(row)")
                }
            }
            try check("ARRAY_CONTAINS", v, .boolean) { x, y in .boolean((elements(x) ?? []).contains { NestedKernels.equal($0, y) }) }
            try check("ARRAY_REMOVE", v, listType) { x, y in elements(x).map { .array($0.filter { !NestedKernels.equal($0, y) }) } ?? .null }
            try check("ARRAY_CONCAT", b, listType) { x, y in
                x.isNull && y.isNull ? .null : .array((elements(x) ?? []) + (elements(y) ?? []))
            }
            try check("ARRAY_UNION", b, listType) { x, y in
                guard let x = elements(x), let y = elements(y) else { return .null }
                return .array(distinct(x + y))
            }
            try check("ARRAY_EXCEPT", b, listType) { x, y in
                guard let x = elements(x), let y = elements(y) else { return .null }
                return .array(distinct(x.filter { e in !y.contains { NestedKernels.equal($0, e) } }))
            }
            try check("ARRAY_INTERSECT", b, listType) { x, y in
                guard let x = elements(x), let y = elements(y) else { return .null }
                return .array(distinct(x.filter { e in y.contains { NestedKernels.equal($0, e) } }))
            }
            let once = try call("ARRAY_DISTINCT", [a], listType)
            for row in lists.indices { #expect(once[row] == elements(lists[row]).map { .array(distinct($0)) } ?? .null) }
            if type.isNested { continue }
            let largest = try call("ARRAY_MAX", [a], type), smallest = try call("ARRAY_MIN", [a], type), sorted = try call("ARRAY_SORT", [a], listType)
            for row in lists.indices {
                let present = (elements(lists[row]) ?? []).filter { !$0.isNull }
                #expect(largest[row] == present.max { BoxedOrder.precedes($0, $1) } ?? .null)
                #expect(smallest[row] == present.min { BoxedOrder.precedes($0, $1) } ?? .null)
                let nulls = (elements(lists[row]) ?? []).filter(\.isNull)
                #expect(sorted[row] == (lists[row].isNull ? .null : .array(present.sorted { BoxedOrder.precedes($0, $1) } + nulls)))
            }
        }
    }

    @Test func mapsKeepTheLaterValueAtTheEarlierPlace() throws {
        var random = SeededRandom(seed: 92)
        func put(_ key: SQLValue, _ value: SQLValue, _ entries: inout [SQLValue.MapEntry]) {
            if let i = entries.firstIndex(where: { $0.key == key }) { entries[i].value = value } else { entries.append(.init(key, value)) }
        }
        let mapType = SQLType.map(key: .string, value: .bigint)
        let names = (0..<50).map { row -> SQLValue in row == 1 ? .null : .array((0..<(row % 6)).map { _ in value(.string, &random) }) }
        let numbers = (0..<50).map { row -> SQLValue in row == 2 ? .null : .array((0..<(row % 5)).map { _ in value(.bigint, &random) }) }
        let made = try call("AS_MAP", [Column(.array(.string), names), Column(.array(.bigint), numbers)], mapType)
        for row in names.indices {
            var model: [SQLValue.MapEntry] = []
            if let k = elements(names[row]), let v = elements(numbers[row]) {
                for (i, key) in k.enumerated() { put(key, i < v.count ? v[i] : .null, &model) }
                #expect(made[row] == .map(model))
            } else {
                #expect(made[row].isNull)
            }
        }
        let shifted = Array(made.dropFirst(3)) + made.prefix(3)
        let union = try call("MAP_UNION", [Column(mapType, made), Column(mapType, shifted)], mapType)
        for row in made.indices {
            guard var model = entries(made[row]) else {
                #expect(union[row] == shifted[row])
                continue
            }
            for entry in entries(shifted[row]) ?? [] { put(entry.key, entry.value, &model) }
            #expect(union[row] == .map(model))
        }
    }

    @Test func splits() throws {
        let texts: [SQLValue] = ["a-b--c", "", "-", "abc", nil, "x->y->", "é-ü"]
        func split(_ text: SQLValue, _ delimiter: String) -> SQLValue {
            guard case .string(let text) = text else { return .null }
            if text.isEmpty { return [""] }
            if delimiter.isEmpty { return .array(text.unicodeScalars.map { .string(String($0)) }) }
            var out: [SQLValue] = [], part = "", rest = Substring(text)
            while !rest.isEmpty {
                if rest.hasPrefix(delimiter) {
                    out.append(.string(part))
                    part = ""
                    rest = rest.dropFirst(delimiter.count)
                } else {
                    part.append(rest.removeFirst())
                }
            }
            return .array(out + [.string(part)])
        }
        for delimiter in ["-", "->", "", "--", "é"] {
            let column = Column(.string, texts)
            let found = try evaluate(.call("SPLIT", [.column(0, .string), .literal(.string(delimiter), .string)], .array(.string)), [column]).values
            #expect(found == texts.map { split($0, delimiter) })
        }
    }
}
