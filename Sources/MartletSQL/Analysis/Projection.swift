import MartletColumns
import MartletCore

/// One column of a SELECT: its name and what it is.
struct ProjectionItem {
    var name: String
    /// Qualified.
    var expression: Expression
    /// Place of the item, for messages.
    var span: SourceSpan
    /// Whether the name is the user's: `e AS name`.
    var isAliased: Bool
}

/// Names for columns that have none: `KSQL_COL_0`…, and for struct fields `F`, `F_1`… (ksqlDB, "Column names").
struct AliasGenerator {
    /// Names of the sources' columns, which are not given again.
    private var used: Set<String>
    private var nextColumn = 0
    private var nextField: [String: Int] = [:]

    init(_ scope: Scope) { used = Set(scope.columns.map(\.name)) }

    mutating func name(for expression: Expression) -> String {
        if case .field(_, let field) = expression.node { return name(forField: field.name) }
        while true {
            defer { nextColumn += 1 }
            let name = "KSQL_COL_\(nextColumn)"
            if !used.contains(name) { return name }
        }
    }

    private mutating func name(forField field: String) -> String {
        while true {
            let n = nextField[field, default: 0]
            nextField[field] = n + 1
            let name = n == 0 ? field : "\(field)_\(n)"
            if !used.contains(name) { return name }
        }
    }
}

/// Expands and names the items of a SELECT.
struct Projection {
    var scope: Scope
    /// Type of a qualified expression, to expand `e->*`.
    var type: (Expression) throws(MartletError) -> SQLType?
    /// Qualifies against the columns of the FROM clause.
    var qualifier: Qualifier
    /// A transient query's `*` shows the window bounds of a windowed source.
    var showsWindowBounds: Bool

    func expand(_ items: [SelectItem], aliases: inout AliasGenerator) throws(MartletError) -> [ProjectionItem] {
        var out: [ProjectionItem] = []
        for item in items {
            switch item {
            case .star(let source, let span):
                if let source, !scope.sources.contains(source.name) {
                    throw MartletError(
                        .unknownSource, "'\(source.name)' is not a valid stream/table name or alias.", at: source.span,
                        hint: "sources are \(scope.sources.joined(separator: ", "))")
                }
                out += star(source?.name, span)
            case .structStar(let base, let span):
                let qualified = try qualifier.qualify(base)
                guard case .structure(let fields)? = try type(qualified) else {
                    throw MartletError(.typeMismatch, "->* needs a STRUCT, which \(ExpressionText()(qualified)) is not.", at: span)
                }
                for field in fields {
                    let expression = Expression(.field(qualified, Identifier(field.name, span: span)), span: span)
                    out.append(ProjectionItem(name: aliases.name(for: expression), expression: expression, span: span, isAliased: false))
                }
            case .expression(let expression, let alias):
                let qualified = try qualifier.qualify(expression)
                if let alias {
                    if PseudoColumns.reserved.contains(alias.name) {
                        throw MartletError(
                            .badStatement, "\(SQLType.quoted(alias.name)) is a reserved column name. You cannot use it as an alias for a column.",
                            at: alias.span)
                    }
                    out.append(ProjectionItem(name: alias.name, expression: qualified, span: expression.span, isAliased: true))
                } else {
                    out.append(
                        ProjectionItem(
                            name: Self.name(of: qualified, scope, &aliases), expression: qualified, span: expression.span, isAliased: false))
                }
            }
        }
        return out
    }

    /// What a selected expression without an alias is called.
    static func name(of expression: Expression, _ scope: Scope, _ aliases: inout AliasGenerator) -> String {
        guard case .column(let source, let name) = expression.node else { return aliases.name(for: expression) }
        let clashes = scope.columns.filter { $0.name == name.name && $0.source != nil }.count > 1
        if clashes, let source { return "\(source.name)_\(name.name)" }
        return name.name
    }

    private func star(_ source: String?, _ span: SourceSpan) -> [ProjectionItem] {
        var columns = scope.columns.filter { column in
            if column.role == .pseudo { return false }
            if column.source == nil, column.role == .key { return source == nil || !scope.syntheticKeys.contains(column.name) }
            return source == nil || column.source == source
        }
        if showsWindowBounds || scope.isJoin {
            // Behind the key columns of their source.
            for alias in scope.sources where source == nil || alias == source {
                let bounds = scope.columns.filter { PseudoColumns.isWindowBound($0.name) && $0.role == .pseudo && $0.source == alias }
                columns.insert(contentsOf: bounds, at: columns.lastIndex { $0.role == .key && $0.source == alias }.map { $0 + 1 } ?? 0)
            }
        }
        return columns.map { column in
            ProjectionItem(
                name: scope.internalName(column),
                expression: Expression(.column(source: column.source.map { Identifier($0, span: span) }, Identifier(column.name, span: span)), span: span),
                span: span, isAliased: false)
        }
    }
}
