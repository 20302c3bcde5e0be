import MartletCore

/// A name as the user wrote it: upper-cased unless quoted.
public struct Identifier: Sendable, Hashable {
    /// The name that counts: `foo` → `FOO`, `` `foo` `` → `foo`.
    public var name: String
    public var isQuoted: Bool
    public var span: SourceSpan

    public init(_ name: String, isQuoted: Bool = false, span: SourceSpan = .none) {
        self.name = name
        self.isQuoted = isQuoted
        self.span = span
    }

    // Two identifiers are the same name wherever they stand.
    public static func == (a: Identifier, b: Identifier) -> Bool { a.name == b.name }
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }
}
