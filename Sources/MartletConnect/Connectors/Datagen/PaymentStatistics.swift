/// What generated payments are shaped after: the "credit card fraud" data set of ULB and Worldline (Kaggle: mlg-ulb/creditcardfraud), 284,807
/// payments of two days of September 2013 of which 492 are frauds. V1...V28 are its principal components, hence uncorrelated.
///
/// Sources: "published" is the summary of the whole file that its Kaggle page and `DataFrame.describe()` show; "measured" was computed from all
/// 492 frauds and from a sample of 17,472 other payments spread over the two days. No row of the data is in here.
enum PaymentStatistics {
    static let componentCount = 28
    static let days = 2

    /// 492 of 284,807. Published.
    static let fraudShare = 492.0 / 284_807

    /// Standard deviations of V1...V28 of payments that are no frauds: published total variance less the frauds' part,
    /// s² = (t² − p·f² − p(1−p)(m−n)²) / (1−p), with p the share of frauds, m and f their mean and standard deviation below.
    static let standardDeviations: [Double] = [
        1.9298, 1.6361, 1.4594, 1.3993, 1.3569, 1.3299, 1.1787, 1.1612, 1.0894, 1.0442, 1.0031, 0.9459, 0.9951, 0.8970,
        0.9151, 0.8447, 0.7493, 0.8249, 0.8117, 0.7694, 0.7167, 0.7237, 0.6215, 0.6058, 0.5207, 0.4822, 0.3998, 0.3296,
    ]

    /// Width of the middle half of a component against that of a Gaussian of the same standard deviation, at most 1. Measured.
    /// The smaller, the heavier the tails: V28 is mostly within 0.1 of zero and sometimes beyond 3.
    static let cores: [Double] = [
        0.860, 0.617, 0.960, 0.846, 0.729, 0.657, 0.734, 0.356, 0.847, 0.692, 1.000, 0.790, 0.967, 0.749,
        0.994, 0.878, 0.889, 0.897, 0.832, 0.313, 0.451, 1.000, 0.376, 0.969, 0.958, 0.861, 0.310, 0.287,
    ]

    /// Means of the frauds. Measured.
    static let fraudMeans: [Double] = [
        -4.7719, 3.6238, -7.0333, 4.5420, -3.1512, -1.3977, -5.5687, 0.5706, -2.5811, -5.6769, 3.8002, -6.2594, -0.1093, -6.9717,
        -0.0929, -4.1399, -6.6658, -2.2463, 0.6807, 0.3723, 0.7136, 0.0140, -0.0403, -0.1051, 0.0414, 0.0516, 0.1706, 0.0757,
    ]

    /// Standard deviations of the frauds. Measured.
    static let fraudDeviations: [Double] = [
        6.7837, 4.2912, 7.1109, 2.8733, 5.3725, 1.8581, 7.2068, 6.7978, 2.5009, 4.8973, 2.6786, 4.6545, 1.1045, 4.2789,
        1.0499, 3.8650, 6.9706, 2.8994, 1.5399, 1.3466, 3.8693, 1.4946, 1.5796, 0.5156, 0.7972, 0.4717, 1.3768, 0.5473,
    ]

    /// Correlation of each component with the one factor that frauds share (how blatant a fraud is), by principal axis factoring of their
    /// correlation matrix. Measured. It makes some frauds look like any other payment, as in the data.
    static let fraudLoadings: [Double] = [
        0.773, -0.768, 0.875, -0.795, 0.832, 0.361, 0.872, -0.166, 0.853, 0.947, -0.752, 0.872, -0.225, 0.598,
        0.146, 0.874, 0.886, 0.868, -0.456, -0.319, 0.120, -0.200, -0.040, -0.151, 0.029, -0.050, 0.169, 0.219,
    ]

    /// Share of frauds whose components are like those of any other payment. Chosen so that an autoencoder finds generated frauds about as well
    /// as real ones: area under its ROC curve 0.96 for both.
    static let hiddenFraudShare = 0.08

    /// Amount of payments: log-normal with the published median 22 and mean 88.35; a share of 1,825 / 284,807 is zero; at most the published
    /// maximum.
    static let amount = Amounts(logMean: 3.0910, logDeviation: 1.6675, zeroShare: 1825.0 / 284_807, maximum: 25_691.16)

    /// Amount of frauds: mean and standard deviation of the logarithms, share of zeros and maximum. Measured.
    static let fraudAmount = Amounts(logMean: 2.6506, logDeviation: 2.5570, zeroShare: 27.0 / 492, maximum: 2_125.87)

    struct Amounts: Sendable {
        var logMean: Double
        var logDeviation: Double
        var zeroShare: Double
        var maximum: Double
    }

    /// Mean seconds from one payment to the next: 172,792 s and 284,807 payments. Published.
    static let meanGapSeconds = 172_792.0 / 284_807

    /// Payments an hour of the day, 1 on average: nights are quiet. Measured.
    static let hourlyRates: [Double] = [
        0.591, 0.325, 0.402, 0.395, 0.246, 0.325, 0.427, 0.816, 0.871, 1.281, 1.407, 1.320,
        1.329, 1.340, 1.314, 1.315, 1.336, 1.341, 1.381, 1.201, 1.341, 1.396, 1.340, 0.959,
    ]

    /// Who pays: the `users` table has the same people.
    static let users = [
        "Kai", "Hans", "Flo", "Dirk", "Anna", "Bernd", "Clara", "David", "Emma", "Felix", "Greta", "Heike", "Ines", "Jonas", "Katrin", "Lars",
        "Marie", "Nils", "Olga", "Paul", "Ruth", "Sven", "Tanja", "Uwe",
    ]
}
