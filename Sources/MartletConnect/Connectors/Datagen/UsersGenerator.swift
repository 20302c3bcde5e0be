import MartletCore

/// The people who make the generated payments, for the table `users`: one row a name, a third of them in a city whose name begins with `Premium`.
public struct UsersGenerator: Sendable {
    public static let fields = [
        Field("USERID", .string), Field("REGISTERTIME", .bigint), Field("REGIONID", .string), Field("CITY", .string),
    ]

    private static let cities = [
        "Premium Berlin", "Hamburg", "Köln", "Premium München", "Leipzig", "Bremen", "Premium Stuttgart", "Dresden", "Essen",
    ]

    /// One row for each user, in the order of `fields`. The same seed gives the same rows.
    ///
    /// - `beforeMs`: everybody registered within three years before this time; milliseconds since the epoch.
    public static func rows(seed: UInt64, beforeMs: Int64 = CreditCardGenerator.defaultStartMs) -> [[SQLValue]] {
        var random = SeededRandom(seed: seed)
        let threeYearsMs: Int64 = 3 * 365 * 86_400_000
        return PaymentStatistics.users.enumerated().map { index, name in
            let registered = beforeMs - Int64.random(in: 1...threeYearsMs, using: &random)
            let region = Int.random(in: 1...9, using: &random)
            return [.string(name), .bigint(registered), .string("Region_\(region)"), .string(cities[index % cities.count])]
        }
    }
}
