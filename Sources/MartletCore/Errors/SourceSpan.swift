/// A half-open range of UTF-8 byte offsets in the text of a statement, with the line and column of its start (both from 1).
///
/// Columns count characters (Unicode scalars), as an editor does.
public struct SourceSpan: Sendable, Hashable, Codable {
    public var start: Int
    public var end: Int
    public var line: Int
    public var column: Int

    public init(start: Int, end: Int, line: Int, column: Int) {
        precondition(start <= end, "a span may not end before it starts")
        self.start = start
        self.end = end
        self.line = line
        self.column = column
    }

    /// Span of a node that no text stands for, e.g. an expanded `*`.
    public static let none = SourceSpan(start: 0, end: 0, line: 0, column: 0)

    /// The smallest span that covers both.
    public func union(_ other: SourceSpan) -> SourceSpan {
        if self == .none { return other }
        if other == .none { return self }
        let first = start <= other.start ? self : other
        return SourceSpan(start: first.start, end: max(end, other.end), line: first.line, column: first.column)
    }
}
