/// What the broker decides about share groups (group.share.…), with bounds of what a group may set for itself. Times are milliseconds.
public struct ShareGroupConfig: Sendable {
    public var sessionTimeoutMs: Int64 = 45_000
    public var sessionTimeoutMinMs: Int64 = 45_000
    public var sessionTimeoutMaxMs: Int64 = 60_000
    public var heartbeatIntervalMs: Int32 = 5_000
    public var heartbeatIntervalMinMs: Int32 = 5_000
    public var heartbeatIntervalMaxMs: Int32 = 15_000
    /// Members of one group.
    public var membersMax = 200
    public var recordLockDurationMs: Int64 = 30_000
    public var recordLockDurationMinMs: Int64 = 15_000
    public var recordLockDurationMaxMs: Int64 = 60_000
    public var deliveryCountLimit: Int64 = 5
    public var deliveryCountLimitMin: Int64 = 2
    public var deliveryCountLimitMax: Int64 = 10
    /// Of one partition of one group.
    public var partitionRecordLocks: Int64 = 2_000
    public var partitionRecordLocksMin: Int64 = 100
    public var partitionRecordLocksMax: Int64 = 4_000
    /// Clients of this broker that may read as members of share groups.
    public var sessionsMax = 2_000

    public init() {}
}

/// Where a partition that is new to a share group begins.
enum ShareOffsetReset: Sendable, Hashable {
    case latest
    case earliest
    /// With records that are no older than this, in milliseconds.
    case byDuration(Int64)

    private static let byDurationPrefix = "by_duration:"

    /// Nil if it is none of them; names may be in capitals.
    init?(_ text: String) {
        switch text.lowercased() {
        case "latest": self = .latest
        case "earliest": self = .earliest
        case let text where text.hasPrefix(Self.byDurationPrefix):
            guard let ms = Self.milliseconds(text.dropFirst(Self.byDurationPrefix.utf8.count)) else { return nil }
            self = .byDuration(ms)
        default: return nil
        }
    }

    var text: String {
        switch self {
        case .latest: "latest"
        case .earliest: "earliest"
        case .byDuration(let ms): "\(Self.byDurationPrefix)PT\(ms / 1000).\(String(ms % 1000 + 1000).dropFirst())S"
        }
    }

    /// Of an ISO 8601 duration as PnDTnHnMn.nS, in small letters; nil if it is none, negative, or longer than can be said.
    private static func milliseconds(_ text: Substring) -> Int64? {
        guard text.first == "p" else { return nil }
        let parts = text.dropFirst().split(separator: "t", maxSplits: 1, omittingEmptySubsequences: false)
        var total: Int64 = 0
        var isEmpty = true
        func add(_ part: Substring, _ units: [(Character, Int64)]) -> Bool {
            var rest = part
            for (unit, ms) in units {
                guard let end = rest.firstIndex(of: unit) else { continue }
                guard let amount = amount(rest[..<end], ms, hasFraction: unit == "s") else { return false }
                let (sum, isTooLong) = total.addingReportingOverflow(amount)
                if isTooLong { return false }
                total = sum
                isEmpty = false
                rest = rest[rest.index(after: end)...]
            }
            return rest.isEmpty
        }
        guard let days = parts.first, add(days, [("d", 86_400_000)]) else { return nil }
        if parts.count == 2, parts[1].isEmpty || !add(parts[1], [("h", 3_600_000), ("m", 60_000), ("s", 1000)]) { return nil }
        return isEmpty ? nil : total
    }

    private static func amount(_ text: Substring, _ unitMs: Int64, hasFraction: Bool) -> Int64? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        func isNumber(_ digits: Substring) -> Bool { !digits.isEmpty && digits.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } }
        guard let whole = parts.first, isNumber(whole), let number = Int64(whole) else { return nil }
        let (ms, isTooLong) = number.multipliedReportingOverflow(by: unitMs)
        guard !isTooLong else { return nil }
        guard parts.count == 2 else { return ms }
        guard hasFraction, parts[1].isEmpty || isNumber(parts[1]), parts[1].count <= 9 else { return nil }
        let fraction = Int64((parts[1] + "000").prefix(3)) ?? 0
        let (sum, isTooLongInAll) = ms.addingReportingOverflow(fraction)
        return isTooLongInAll ? nil : sum
    }
}

enum ShareIsolationLevel: String, Sendable, CaseIterable {
    case readUncommitted = "read_uncommitted"
    case readCommitted = "read_committed"
}

/// What one share group goes by: its own settings, else the broker's.
struct ShareGroupSettings: Sendable {
    var sessionTimeoutMs: Int64
    var heartbeatIntervalMs: Int32
    var membersMax: Int
    var recordLockDurationMs: Int64
    var deliveryCountLimit: Int64
    var partitionRecordLocksMax: Int64
    var offsetReset: ShareOffsetReset
    var isolationLevel: ShareIsolationLevel
    var allowsRenewal: Bool

    init(own: [String: String], broker: ShareGroupConfig) {
        func number(_ name: String) -> Int64? { own[name].flatMap { Int64($0) } }
        sessionTimeoutMs = number(GroupSetting.shareSessionTimeout) ?? broker.sessionTimeoutMs
        heartbeatIntervalMs = number(GroupSetting.shareHeartbeatInterval).map { Int32(clamping: $0) } ?? broker.heartbeatIntervalMs
        membersMax = broker.membersMax
        recordLockDurationMs = number(GroupSetting.shareRecordLockDuration) ?? broker.recordLockDurationMs
        deliveryCountLimit = number(GroupSetting.shareDeliveryCountLimit) ?? broker.deliveryCountLimit
        partitionRecordLocksMax = number(GroupSetting.sharePartitionRecordLocksMax) ?? broker.partitionRecordLocks
        offsetReset = own[GroupSetting.shareOffsetReset].flatMap { ShareOffsetReset($0) } ?? .latest
        isolationLevel = own[GroupSetting.shareIsolationLevel].flatMap(ShareIsolationLevel.init(rawValue:)) ?? .readUncommitted
        allowsRenewal = own[GroupSetting.shareRenewAcknowledge] != "false"
    }
}
