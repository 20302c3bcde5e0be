import MartletCore

/// The groups of an aggregation, or the keys of a table: each distinct key (and window) has a *slot*, a dense number that the columns of the
/// state are indexed by. Slots of removed keys are given out again. Owned by one thread.
///
/// One column of up to 8 bytes or one STRING or BYTES column is looked up as it is; any other key is encoded first (`KeyEncoding`).
public final class GroupTable {
    /// What `find` answers for a key that is not there.
    public static let absent = UInt32.max

    /// Slots of some rows.
    public struct Assignment: Sendable {
        /// One a row.
        public var slots: [UInt32]
        /// Slots that had no key before, in the order of their rows. What the state holds in them belonged to a removed key, unless it was cleared.
        public var created: [UInt32]
    }

    public let types: [SQLType]
    /// Whether a window's start and end belong to the key.
    public let isWindowed: Bool
    private let layout: Layout
    private var core: ByteKeyTable

    private enum Layout { case fixed, text, encoded }

    public init(types: [SQLType], isWindowed: Bool = false) {
        self.types = types
        self.isWindowed = isWindowed
        layout =
            switch (types.count, types.first) {
            case (1, .boolean?), (1, .integer?), (1, .bigint?), (1, .double?), (1, .date?), (1, .time?), (1, .timestamp?):
                isWindowed ? .encoded : .fixed
            case (1, .string?), (1, .bytes?): isWindowed ? .encoded : .text
            default: .encoded
            }
        core = ByteKeyTable(ofStrings: layout != .fixed)
    }

    /// Keys in the table.
    public var count: Int { core.liveCount }

    /// One more than the largest slot ever given out: how long columns indexed by slot have to be.
    public var slotCount: Int { core.slotCount }

    /// Slots of all keys, rising.
    public var slots: [UInt32] { core.liveSlots }

    public func contains(_ slot: UInt32) -> Bool { core.isLive(slot) }

    /// Approximate memory in bytes.
    public var byteCount: Int { core.byteCount }

    /// The slot of each row's key; a new key gets one.
    ///
    /// - `rows`: which row of `keys` the i-th answer (and window) is for; nil: row i.
    public func assign(_ keys: [Column], windows: Batch.Windows? = nil, rows: [UInt32]? = nil) -> Assignment {
        var out = Assignment(slots: [], created: [])
        lookUp(keys, windows, rows, insert: true, &out)
        return out
    }

    /// The slot of each row's key, `absent` where there is none.
    public func find(_ keys: [Column], windows: Batch.Windows? = nil, rows: [UInt32]? = nil) -> [UInt32] {
        var out = Assignment(slots: [], created: [])
        lookUp(keys, windows, rows, insert: false, &out)
        return out.slots
    }

    /// Takes keys out; their slots may be given to other keys from now on.
    public func remove(_ slots: [UInt32]) { for slot in slots { core.remove(slot) } }

    public func removeAll() { core = ByteKeyTable(ofStrings: layout != .fixed) }

    // MARK: keys back

    /// The key columns of these slots.
    public func keys(of slots: [UInt32]) -> [Column] { keysAndWindows(of: slots).columns }

    /// The windows of these slots; the table is windowed.
    public func windows(of slots: [UInt32]) -> Batch.Windows {
        keysAndWindows(of: slots).windows ?? Batch.Windows(starts: [], ends: [])
    }

    public func keysAndWindows(of slots: [UInt32]) -> (columns: [Column], windows: Batch.Windows?) {
        switch layout {
        case .fixed: return ([fixedColumn(slots)], nil)
        case .text: return ([textColumn(slots)], nil)
        case .encoded:
            guard let decoded = KeyEncoding.decode(core.strings(slots), types: types, isWindowed: isWindowed) else {
                preconditionFailure("a group table holds keys that it has encoded")
            }
            return decoded
        }
    }

    // MARK: encoded keys

    /// The keys of these slots as `KeyEncoding` has them.
    public func encoded(_ slots: [UInt32]) -> BytesColumn {
        layout == .encoded ? core.strings(slots) : KeyEncoding.encode(keys(of: slots))
    }

    /// The slot of each encoded key; a new key gets one. For keys that come back from a changelog.
    ///
    /// - Throws: `.corruptRecord` if one of them is not a key of this table.
    public func assign(encoded keys: BytesColumn) throws(MartletError) -> Assignment {
        let decoded = try decode(keys)
        return assign(decoded.columns, windows: decoded.windows)
    }

    /// - Throws: `.corruptRecord` if one of them is not a key of this table.
    public func find(encoded keys: BytesColumn) throws(MartletError) -> [UInt32] {
        let decoded = try decode(keys)
        return find(decoded.columns, windows: decoded.windows)
    }

    private func decode(_ keys: BytesColumn) throws(MartletError) -> (columns: [Column], windows: Batch.Windows?) {
        guard let decoded = KeyEncoding.decode(keys, types: types, isWindowed: isWindowed) else {
            throw MartletError(.corruptRecord, "a key of the state is not of the types \(types.map(\.description).joined(separator: ", "))")
        }
        return decoded
    }

    /// Slots whose encoded key is not below `lower` and below `upper` (nil: no bound), in the order of their keys. Looks at every key.
    public func slots(from lower: [UInt8]?, below upper: [UInt8]?) -> [UInt32] {
        let all = slots
        let keys = encoded(all)
        var found: [Int] = []
        for i in all.indices {
            let key = keys.slice(i)
            if let lower, ComparisonKernels.compareBytes(key, lower[...]) < 0 { continue }
            if let upper, ComparisonKernels.compareBytes(key, upper[...]) >= 0 { continue }
            found.append(i)
        }
        found.sort { ComparisonKernels.compareBytes(keys.slice($0), keys.slice($1)) < 0 }
        return found.map { all[$0] }
    }

    // MARK: looking up

    private func lookUp(_ keys: [Column], _ windows: Batch.Windows?, _ rows: [UInt32]?, insert: Bool, _ out: inout Assignment) {
        precondition(keys.count == types.count && (windows != nil) == isWindowed, "keys are laid out as the table was made for")
        switch (layout, keys.first) {
        case (.fixed, .boolean(let c)?): fixed(c.values.map { $0 ? 1 : 0 }, c.validity, rows, insert, &out)
        case (.fixed, .integer(let c)?), (.fixed, .date(let c)?), (.fixed, .time(let c)?):
            fixed(c.values.map { UInt64(UInt32(bitPattern: $0)) }, c.validity, rows, insert, &out)
        case (.fixed, .bigint(let c)?), (.fixed, .timestamp(let c)?):
            fixed(c.values.map { UInt64(bitPattern: $0) }, c.validity, rows, insert, &out)
        case (.fixed, .double(let c)?):
            fixed(c.values.map { $0.isNaN ? Double.nan.bitPattern : $0.bitPattern }, c.validity, rows, insert, &out)
        case (.text, .string(let c)?), (.text, .bytes(let c)?): core.lookUp(c, rows, insert: insert, &out.slots, &out.created)
        case (.encoded, _):
            core.lookUp(KeyEncoding.encode(keys, windows: windows, rows: rows), nil, insert: insert, &out.slots, &out.created)
        default: preconditionFailure("a key column has the type that the table was made for")
        }
    }

    private func fixed(_ words: [UInt64], _ validity: Validity, _ rows: [UInt32]?, _ insert: Bool, _ out: inout Assignment) {
        let words = rows.map { rows in rows.map { words[Int($0)] } } ?? words
        let flags = validity.flags.map { flags in rows.map { rows in rows.map { flags[Int($0)] } } ?? flags }
        core.lookUp(words, flags, insert: insert, &out.slots, &out.created)
    }

    private func fixedColumn(_ slots: [UInt32]) -> Column {
        let words = core.words(slots), validity = core.validity(slots)
        switch types[0] {
        case .boolean: return .boolean(FixedColumn(words.map { $0 != 0 }, validity: validity))
        case .integer: return .integer(FixedColumn(words.map { Int32(truncatingIfNeeded: $0) }, validity: validity))
        case .date: return .date(FixedColumn(words.map { Int32(truncatingIfNeeded: $0) }, validity: validity))
        case .time: return .time(FixedColumn(words.map { Int32(truncatingIfNeeded: $0) }, validity: validity))
        case .bigint: return .bigint(FixedColumn(words.map { Int64(bitPattern: $0) }, validity: validity))
        case .timestamp: return .timestamp(FixedColumn(words.map { Int64(bitPattern: $0) }, validity: validity))
        default: return .double(FixedColumn(words.map { Double(bitPattern: $0) }, validity: validity))
        }
    }

    private func textColumn(_ slots: [UInt32]) -> Column {
        var strings = core.strings(slots)
        strings.validity = core.validity(slots)
        return types[0] == .string ? .string(strings) : .bytes(strings)
    }
}
