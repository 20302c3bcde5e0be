/// Bounds of what share groups may take, the same for all (Kafka documentation, "Broker Configs").
public struct ShareConfig: Sendable {
    /// Sessions of all members; more are refused (group.share.max.share.sessions).
    public var sessionsMax = 2000
    /// A record that was handed out so often is not handed out again (group.share.delivery.count.limit).
    public var deliveriesMax: Int32 = 5
    /// Records of a partition from the first that is not done with to the last that was handed out
    /// (group.share.partition.max.record.locks); a batch may exceed it.
    public var recordLocksMax: Int32 = 2000
    /// How long a member may take over a record (group.share.record.lock.duration.ms); groups may have their own.
    public var lockMs: Int64 = 30_000

    public init() {}
}

/// What holds for one share group.
struct ShareGroupSettings: Sendable, Equatable {
    var lockMs: Int64 = 30_000
    var deliveriesMax: Int32 = 5
    var recordLocksMax: Int32 = 2000
    var start = ShareStart.latest
    var isolation = Isolation.readUncommitted
}

/// Where a share group begins in a partition that it has not read before (share.auto.offset.reset).
enum ShareStart: Sendable, Hashable {
    case latest
    case earliest
    /// With the first record that is not older than so many milliseconds.
    case byDuration(ms: Int64)

    /// Nil for what is none of `latest`, `earliest` and `by_duration:PnDTnHnMn.nS` (ISO 8601; not negative, weeks and larger units are not known).
    init?(_ text: String) {
        switch text.lowercased() {
        case "latest": self = .latest
        case "earliest": self = .earliest
        default:
            let words = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard words.count == 2, words[0].lowercased() == "by_duration", let ms = Self.milliseconds(words[1]) else { return nil }
            self = .byDuration(ms: ms)
        }
    }

    private static func milliseconds(_ text: Substring) -> Int64? {
        guard text.first == "P" || text.first == "p" else { return nil }
        var total = 0.0, number = "", isTime = false, last = -1
        for character in text.dropFirst().uppercased() {
            if character == "T" {
                guard !isTime, number.isEmpty else { return nil }
                (isTime, last) = (true, 0)
                continue
            }
            if character.isASCII && character.isNumber || character == "." {
                number.append(character)
                continue
            }
            let unit: (rank: Int, ms: Double)? =
                switch (character, isTime) {
                case ("D", false): (0, 86_400_000)
                case ("H", true): (1, 3_600_000)
                case ("M", true): (2, 60_000)
                case ("S", true): (3, 1000)
                default: nil
                }
            // Units once, the larger first; a fraction only of seconds.
            guard let unit, unit.rank > last || unit.rank == 0 && last == -1, character == "S" || !number.contains("."), let amount = Double(number)
            else { return nil }
            total += amount * unit.ms
            (number, last) = ("", unit.rank)
        }
        guard number.isEmpty, last > 0 || last == 0 && !isTime, total < 9e15 else { return nil }
        return Int64(total)
    }
}

extension NodeSettings {
    /// The group's own settings over those of the broker.
    func shareSettings(ofGroup id: String) -> ShareGroupSettings {
        let own = values(of: .group(id)), shares = broker.shares
        return ShareGroupSettings(
            lockMs: own["share.record.lock.duration.ms"].flatMap { Int64($0) } ?? shares.lockMs, deliveriesMax: shares.deliveriesMax,
            recordLocksMax: shares.recordLocksMax, start: own["share.auto.offset.reset"].flatMap { ShareStart($0) } ?? .latest,
            isolation: own["share.isolation.level"] == "read_committed" ? .readCommitted : .readUncommitted)
    }
}
