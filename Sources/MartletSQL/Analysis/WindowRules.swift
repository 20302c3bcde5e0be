import MartletCore

/// Sizes, grace and retention of windows (ksqlDB, "Time and windows").
enum WindowRules {
    private static let day: Int64 = 86_400_000

    /// The window with its defaults: rows may be late until a day after the window's start; of results that are only given once, not at all;
    /// in queries that end, which read one partition after another, without limit.
    ///
    /// - Throws: sizes that make no windows, or a retention that ends before late rows may come.
    static func window(_ clause: WindowClause, isFinal: Bool, isPull: Bool = false) throws(MartletError) -> PhysicalOperator.Window {
        let size: Int64, kind: PhysicalOperator.Window.Kind
        switch clause.kind {
        case .tumbling(let sizeMs):
            size = sizeMs
            kind = .tumbling(sizeMs: sizeMs)
        case .hopping(let sizeMs, let advanceMs):
            guard advanceMs > 0, advanceMs <= sizeMs || sizeMs <= 0 else {
                throw MartletError(
                    .badStatement,
                    "Window advancement interval should be more than zero and less than window duration which is \(sizeMs) ms, but given advancement interval is: \(advanceMs) ms",
                    at: clause.span)
            }
            size = sizeMs
            kind = .hopping(sizeMs: sizeMs, advanceMs: advanceMs)
        case .session(let gapMs):
            size = gapMs
            kind = .session(gapMs: gapMs)
        }
        var isSession = false
        if case .session = clause.kind { isSession = true }
        guard size > 0 else {
            throw MartletError(
                .badStatement, isSession ? "Gap time (gapMs) cannot be zero or negative." : "Window size (sizeMs) must be larger than zero.", at: clause.span)
        }
        let grace = clause.graceMs ?? (isPull ? Int64.max / 4 : isFinal ? 0 : max(day - size, 0))
        let (needed, overflow) = size.addingReportingOverflow(grace)
        guard !overflow else { throw MartletError(.badStatement, "Size and grace period of a window are more than 2^63 milliseconds.", at: clause.span) }
        if let retention = clause.retentionMs, retention < needed {
            throw MartletError(
                .badStatement,
                isSession
                    ? "The retention period of the session store Aggregate-Aggregate-Materialize must be no smaller than the session inactivity gap plus the grace period. Got gap=[\(size)], grace=[\(grace)], retention=[\(retention)]"
                    : "The retention period of the window store Aggregate-Aggregate-Materialize must be no smaller than its window size plus the grace period. Got size=[\(size)], grace=[\(grace)], retention=[\(retention)]",
                at: clause.span, hint: clause.graceMs == nil ? "without GRACE PERIOD rows may be a day late" : nil)
        }
        return PhysicalOperator.Window(kind: kind, graceMs: grace, retentionMs: clause.retentionMs ?? needed)
    }

    /// How the keys of the result are windowed.
    static func sourceWindow(_ clause: WindowClause) -> Source.SourceWindow {
        switch clause.kind {
        case .tumbling(let size): Source.SourceWindow(kind: .tumbling, sizeMs: size)
        case .hopping(let size, _): Source.SourceWindow(kind: .hopping, sizeMs: size)
        case .session: Source.SourceWindow(kind: .session, sizeMs: nil)
        }
    }
}
