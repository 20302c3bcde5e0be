/// Whether a text is a pattern for dates and times, for settings that hold one.
public enum PatternCheck {
    /// What is wrong with the pattern; nil: it can be used.
    public static func problem(_ pattern: String) -> String? {
        do throws(KernelFailure) {
            _ = try DateTimePattern(pattern)
            return nil
        } catch {
            return error.reason
        }
    }
}
