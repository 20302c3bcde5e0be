/// The one error type that crosses module seams: good enough to show a person.
///
/// `message` is one factual sentence that says what is allowed; where ksqlDB's wording is public behaviour it uses those words.
public struct MartletError: Error, Sendable, Hashable {
    public var code: ErrorCode
    public var message: String
    /// Further lines for a person: the path, the offending value's place, what was tried.
    public var detail: String?
    /// What to do instead.
    public var hint: String?
    /// Where in `statement`; nil if the mistake has no place in a text.
    public var span: SourceSpan?
    /// The statement at fault, as the user wrote it.
    public var statement: String?
    private var causeBox: [MartletError]

    public init(
        _ code: ErrorCode, _ message: String, at span: SourceSpan? = nil, detail: String? = nil, hint: String? = nil,
        statement: String? = nil, cause: MartletError? = nil
    ) {
        self.code = code
        self.message = message
        self.span = span
        self.detail = detail
        self.hint = hint
        self.statement = statement
        self.causeBox = cause.map { [$0] } ?? []
    }

    /// The first error, of which this one is the consequence.
    public var cause: MartletError? { causeBox.first }

    /// The same error with the statement it happened in, unless it already has one.
    public func inStatement(_ text: String) -> MartletError {
        var copy = self
        if copy.statement == nil { copy.statement = text }
        return copy
    }
}

extension MartletError: CustomStringConvertible {
    public var description: String { "\(code.rawValue): \(message)" + (hint.map { " (\($0))" } ?? "") }
}
