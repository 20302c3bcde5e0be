/// A unit of time in a duration: `10 SECONDS`.
enum TimeUnit: String, CaseIterable {
    case days = "DAYS", hours = "HOURS", minutes = "MINUTES", seconds = "SECONDS", milliseconds = "MILLISECONDS"

    /// Singular or plural, upper-cased.
    static func named(_ word: String) -> TimeUnit? { TimeUnit(rawValue: word) ?? TimeUnit(rawValue: word + "S") }

    var milliseconds: Int64 {
        switch self {
        case .days: 86_400_000
        case .hours: 3_600_000
        case .minutes: 60_000
        case .seconds: 1000
        case .milliseconds: 1
        }
    }

    /// `ms` in the largest unit that divides it: `90000` → `90 SECONDS`.
    static func text(_ ms: Int64) -> String {
        let unit = ms == 0 ? TimeUnit.milliseconds : allCases.first { ms % $0.milliseconds == 0 } ?? .milliseconds
        return "\(ms / unit.milliseconds) \(unit.rawValue)"
    }
}
