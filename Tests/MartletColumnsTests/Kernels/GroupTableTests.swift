import MartletCore
import Testing

@testable import MartletColumns

@Suite struct GroupTableTests {
    /// Each layout of keys against a dictionary, with insertions and removals in random order.
    @Test(arguments: 0..<5) func behavesLikeADictionary(layout: Int) throws {
        let seed: UInt64 = 92 + UInt64(layout)
        var random = SeededRandom(seed: seed)
        let types: [SQLType] = [[.bigint], [.string], [.integer], [.string, .bigint], [.decimal(precision: 30, scale: 2), .array(.string)]][layout]
        let isWindowed = layout == 2
        let table = GroupTable(types: types, isWindowed: isWindowed)
        var model: [[SQLValue]: UInt32] = [:]
        func value(_ type: SQLType) -> SQLValue {
            let n = Int.random(in: 0..<40, using: &random)
            if n == 0 { return .null }
            switch type {
            case .bigint: return .bigint(Int64(n - 20))
            case .integer: return .integer(Int32(n - 20))
            case .string: return .string(String(repeating: "aé\0z", count: n % 7) + String(n % 11))
            case .decimal(_, let scale): return .decimal(Decimal128(unscaled: Int128(n - 20) << 70, scale: scale))
            default: return .array((0..<(n % 3)).map { .string("\($0)\0") })
            }
        }
        for round in 0..<60 {
            let count = Int.random(in: 1...50, using: &random)
            var columns = types.map { Column.empty($0) }, windows = Batch.Windows(starts: [], ends: []), keys: [[SQLValue]] = []
            for _ in 0..<count {
                var key = types.map(value)
                for i in key.indices { columns[i].append(key[i]) }
                if isWindowed {
                    let start = Int64.random(in: -2..<2, using: &random)
                    windows.starts.append(start)
                    windows.ends.append(start + 1)
                    key.append(.bigint(start))
                }
                keys.append(key)
            }
            let found = table.find(columns, windows: isWindowed ? windows : nil)
            for i in 0..<count { #expect(found[i] == model[keys[i]] ?? GroupTable.absent, "seed \(seed) round \(round)") }
            if round % 3 == 2 {
                let gone = Set(found.filter { $0 != GroupTable.absent })
                table.remove(Array(gone))
                model = model.filter { !gone.contains($0.value) }
            } else {
                let assigned = table.assign(columns, windows: isWindowed ? windows : nil)
                let before = Set(model.values)
                for i in 0..<count {
                    if let slot = model[keys[i]] {
                        #expect(slot == assigned.slots[i])
                    } else {
                        #expect(!model.values.contains(assigned.slots[i]))
                        model[keys[i]] = assigned.slots[i]
                    }
                }
                #expect(Set(assigned.created) == Set(model.values).subtracting(before))
            }
            #expect(table.count == model.count)
            #expect(Set(table.slots) == Set(model.values))
        }
        // Keys come back as they went in, also by way of their encoding.
        let entries = Array(model)
        let slots = entries.map(\.value)
        let (columns, windows) = table.keysAndWindows(of: slots)
        for (i, entry) in entries.enumerated() {
            var key = columns.map { $0.value(i) }
            if let windows { key.append(.bigint(windows.starts[i])) }
            #expect(key == entry.key)
        }
        let copy = GroupTable(types: types, isWindowed: isWindowed)
        let restored = try copy.assign(encoded: table.encoded(slots))
        #expect(copy.encoded(restored.slots) == table.encoded(slots))
        #expect(try copy.find(encoded: table.encoded(slots)) == restored.slots)
    }

    /// The byte order of encoded keys is the order of the values, column by column.
    @Test func encodingKeepsOrder() throws {
        let rising: [(SQLType, [SQLValue])] = [
            (.boolean, [.null, .boolean(false), .boolean(true)]),
            (.integer, [.null, .integer(.min), .integer(-1), .integer(0), .integer(1), .integer(.max)]),
            (.bigint, [.bigint(.min), .bigint(-256), .bigint(-255), .bigint(0), .bigint(.max)]),
            (.double, [.double(-.infinity), .double(-1.5), .double(-0.0), .double(0), .double(.leastNonzeroMagnitude), .double(2), .double(.infinity), .double(.nan)]),
            (.string, ["", "\0", "\0a", "a", "a\0", "a\0b", "ab", "b", "é", "\u{10000}"].map { .string($0) }),
            (.decimal(precision: 38, scale: 0), [-1 << 100, -1, 0, 1 << 64, 1 << 100].map { .decimal(Decimal128(unscaled: $0, scale: 0)) }),
            (.array(.integer), [.null, .array([]), .array([.null]), .array([.integer(1)]), .array([.integer(1), .integer(0)]), .array([.integer(2)])]),
        ]
        for (type, values) in rising {
            let single = KeyEncoding.encode([.init(type, values)])
            for i in 1..<values.count { #expect(single.slice(i - 1).lexicographicallyPrecedes(single.slice(i)), "\(values[i])") }
            // The first column decides before the second.
            let pairs = KeyEncoding.encode([.init(type, values), .init(.string, values.indices.map { .string("\(9 - $0)") })])
            for i in 1..<values.count { #expect(pairs.slice(i - 1).lexicographicallyPrecedes(pairs.slice(i)), "\(values[i])") }
        }
    }

    @Test func rangesOfKeys() {
        let table = GroupTable(types: [.bigint])
        let assigned = table.assign([.bigint(FixedColumn([5, -3, 12, 7, 0, 5]))])
        func bound(_ value: Int64) -> [UInt8] { KeyEncoding.encode([.bigint(FixedColumn([value]))]).buffer }
        let found = table.slots(from: bound(-3), below: bound(7))
        #expect(table.keys(of: found) == [.bigint(FixedColumn([-3, 0, 5]))])
        #expect(assigned.slots == [0, 1, 2, 3, 4, 0])
        #expect(table.slots(from: nil, below: nil).count == 5)
    }

    @Test func equalMapsAreOneKey() {
        func map(_ entries: [(String, Int32)]) -> SQLValue { .map(entries.map { .init(.string($0.0), .integer($0.1)) }) }
        let table = GroupTable(types: [.map(key: .string, value: .integer)])
        let column = Column.init(.map(key: .string, value: .integer), [map([("a", 1), ("b", 2)]), map([("b", 2), ("a", 1)]), map([("b", 1)])])
        #expect(table.assign([column]).slots == [0, 0, 1])
    }

    @Test func bytesThatAreNoKeyAreRefused() {
        let table = GroupTable(types: [.string, .integer])
        for bytes: [UInt8] in [[], [2], [1, 65], [1, 65, 0, 7, 1], [1, 65, 0, 0, 1, 0, 0, 0], [0, 0, 0]] {
            var column = BytesColumn()
            column.append(bytes)
            #expect(throws: MartletError.self) { try table.assign(encoded: column) }
        }
    }

    /// Removing and adding keeps the arena from growing without bound.
    @Test func removedStringsFreeTheirMemory() {
        let table = GroupTable(types: [.string])
        for round in 0..<200 {
            let slots = table.assign([.string(BytesColumn((0..<100).map { "key \(round) \($0) of some length" }))]).slots
            table.remove(slots)
        }
        #expect(table.count == 0)
        #expect(table.slotCount == 100)
        #expect(table.byteCount < 100_000)
    }
}

extension Column {
    init(_ type: SQLType, _ values: [SQLValue]) { self = ColumnBuilder.column(of: type, values) }
}
