import MartletColumns
import MartletCore

/// The joins of a FROM clause with their conditions resolved: everything that can be said before it is known how rows are keyed.
indirect enum JoinTree {
    case leaf(Leaf)
    case join(Node)

    /// A source, or a subquery.
    struct Leaf {
        var from: FromClause
        var alias: String
        /// What messages call it: the source's name, the subquery's alias.
        var name: String
    }

    struct Node {
        var join: Join
        var left: JoinTree
        var right: JoinTree
        /// `left = right` conditions, the first is the one that messages name.
        var equalities: [Equality]
        /// What else has to hold of a pair of rows; qualified.
        var residual: [Expression]
        /// The whole condition; qualified.
        var condition: Expression
    }

    /// One equality of a condition; both sides are qualified.
    struct Equality {
        /// Refers to sources of the left side only.
        var left: Expression
        /// Refers to sources of the right side only.
        var right: Expression
        /// The right side was written first.
        var isFlipped: Bool

        var written: (Expression, Expression) { isFlipped ? (right, left) : (left, right) }
        /// `A.X = B.Y` as it was written.
        var text: String {
            let text = ExpressionText(columns: .qualified)
            return "\(text(written.0)) = \(text(written.1))"
        }
    }

    /// In FROM order.
    var leaves: [Leaf] {
        switch self {
        case .leaf(let leaf): [leaf]
        case .join(let node): node.left.leaves + node.right.leaves
        }
    }

    var isJoin: Bool { if case .join = self { true } else { false } }
}

/// Resolves the conditions of joins (ksqlDB, "Join collections").
///
/// ksqlDB takes one equality of expressions. Here a condition may have several, each between the two sides, and further conditions on a pair of
/// rows, all joined by AND; and a source may be joined with itself under another name.
struct JoinTreeBuilder {
    var from: FromAnalysis

    func build(_ relation: Relation) throws(MartletError) -> JoinTree {
        switch relation {
        case .source(let name, let alias):
            let source = try from.source(name), alias = alias?.name ?? name.name
            return .leaf(JoinTree.Leaf(from: from.single(source, alias: alias), alias: alias, name: source.name))
        case .subquery(let query, let alias):
            guard let alias else { throw MartletError(.badStatement, "A subquery that is joined needs a name.", at: query.span, hint: "(SELECT …) AS name") }
            // Tables are read from their topics: their rows are changes, also in queries that end.
            var inner = from
            inner.readsChanges = true
            return .leaf(JoinTree.Leaf(from: try SubqueryAnalysis(from: inner).analyze(query, alias: alias), alias: alias.name, name: alias.name))
        case .join(let join):
            let left = try build(join.left), right = try build(join.right)
            return .join(try node(join, left, right))
        }
    }

    private func node(_ join: Join, _ left: JoinTree, _ right: JoinTree) throws(MartletError) -> JoinTree.Node {
        var scope = Scope(sources: [], columns: [])
        for leaf in left.leaves + right.leaves {
            scope.sources.append(leaf.alias)
            scope.columns += leaf.from.scope.columns
        }
        let condition = try Qualifier(scope: scope, clause: .joinOn, functions: from.context.functions).qualify(join.on)
        let leftNames = Set(left.leaves.map(\.alias)), rightNames = Set(right.leaves.map(\.alias))
        let parts = condition.conjuncts
        var node = JoinTree.Node(join: join, left: left, right: right, equalities: [], residual: [], condition: condition)
        if parts.count == 1 {
            node.equalities = [try equality(condition, leftNames, rightNames)]
            return node
        }
        for part in parts {
            if let found = crossing(part, leftNames, rightNames) { node.equalities.append(found) } else { node.residual.append(part) }
        }
        if node.equalities.isEmpty { throw unsupported(condition) }
        return node
    }

    /// The equality between the two sides that `expression` is; nil if it is something else.
    private func crossing(_ expression: Expression, _ left: Set<String>, _ right: Set<String>) -> JoinTree.Equality? {
        guard case .compare(.equal, let a, let b) = expression.node else { return nil }
        let (x, y) = (a.referencedSources, b.referencedSources)
        if x.isEmpty || y.isEmpty { return nil }
        if x.isSubset(of: left), y.isSubset(of: right) { return JoinTree.Equality(left: a, right: b, isFlipped: false) }
        if y.isSubset(of: left), x.isSubset(of: right) { return JoinTree.Equality(left: b, right: a, isFlipped: true) }
        return nil
    }

    /// A condition that is one comparison, with ksqlDB's refusals.
    private func equality(_ condition: Expression, _ left: Set<String>, _ right: Set<String>) throws(MartletError) -> JoinTree.Equality {
        if let found = crossing(condition, left, right) { return found }
        guard case .compare(let op, let a, let b) = condition.node else { throw unsupported(condition) }
        guard op == .equal else {
            throw MartletError(
                .badStatement, "Only equality join criteria is supported.", at: condition.span,
                hint: "further conditions may follow an equality: ON a.x = b.x AND a.y < b.y")
        }
        let text = ExpressionText(columns: .qualified)
        let used = [a.referencedSources, b.referencedSources]
        for (expression, sources) in zip([a, b], used) where sources.count != 1 {
            throw MartletError(
                .badStatement,
                "Invalid comparison expression '\(text(expression))' in join '\(text(condition))'. Each side of the join comparision must contain references from exactly one source.",
                at: expression.span)
        }
        let names = used.map { SQLType.quoted($0.first ?? "") }
        guard names[0] == names[1] else {
            throw MartletError(
                .badStatement,
                "A join criteria is expected to reference the source (\(right.sorted().map { SQLType.quoted($0) }.joined(separator: ", "))) in the FROM clause, instead the right source references \(names[1]) and the left source references \(names[0])",
                at: condition.span)
        }
        throw MartletError(
            .badStatement,
            "Each side of the join must reference exactly one source and not the same source. Left side references \(names[0]) and right references \(names[1])",
            at: condition.span)
    }

    private func unsupported(_ condition: Expression) -> MartletError {
        MartletError(
            .badStatement, "Unsupported join expression: \(ExpressionText(columns: .qualified)(condition))", at: condition.span,
            hint: "joins are ON left = right, and further conditions with AND")
    }
}
