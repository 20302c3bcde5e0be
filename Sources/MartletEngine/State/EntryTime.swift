import MartletColumns
import MartletCore

/// Entries of a store that an index also finds by a time, which is part of their key.
///
/// The index lists them itself from what it applies: nothing of it is in the changelog.
enum EntryTime: Sendable {
    /// All, by the end of the window that their keys end with.
    case windowEnd
    /// Rows of a stream-stream join that wait for their outer result, by their own time (`JoinWindow`).
    case waiting

    static let timeBytes = 8

    /// The time of an entry, as bytes in the order of times.
    func time(of key: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        switch self {
        case .windowEnd: key.suffix(8)
        case .waiting: key.suffix(17).prefix(8)
        }
    }

    /// Whether an entry with this value is listed.
    func isListed(_ value: ArraySlice<UInt8>) -> Bool {
        switch self {
        case .windowEnd: true
        case .waiting: JoinWindow.waits(value)
        }
    }

    /// Keys of entries are longer than those of what an operator keeps beside them.
    func isEntry(_ key: ArraySlice<UInt8>) -> Bool { key.count > 17 }

    /// Where an entry is listed: its time, then its key.
    func place(of key: ArraySlice<UInt8>) -> [UInt8] { Array(time(of: key)) + key }

    static func time(ofPlace place: ArraySlice<UInt8>) -> Int64 {
        Int64(bitPattern: place.prefix(timeBytes).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } ^ 1 << 63)
    }
}

/// How far the entries that are listed by time have been taken into memory: all that are listed before `next` are there, or of no interest any more.
struct TimeCursor {
    /// As many are taken at once, so that the index is not asked each time the clock moves on.
    private static let countAtOnce = 1024

    private var next: [UInt8]?
    /// The time of the first that may not be in memory; `Int64.max`: there is none.
    private(set) var time = Int64.max

    /// Anything may be in the index only.
    mutating func toBeginning() { (next, time) = ([], .min) }

    /// This entry is in the index only.
    mutating func lower(to place: [UInt8]) {
        if let next, !place.lexicographicallyPrecedes(next) { return }
        (next, time) = (place, EntryTime.time(ofPlace: place[...]))
    }

    /// The next entries, with their values; the cursor is behind them then.
    mutating func take(from index: any StateIndex) throws(MartletError) -> RecordBlock {
        let keys = try index.keys(byTimeFrom: next ?? [], limit: Self.countAtOnce)
        if let last = keys.last, keys.count == Self.countAtOnce {
            (next, time) = (last + [0], EntryTime.time(ofPlace: last[...]))
        } else {
            (next, time) = (nil, .max)
        }
        var wanted = BytesColumn()
        for place in keys { wanted.append(place[EntryTime.timeBytes...]) }
        return try index.find(wanted)
    }
}
