import MartletColumns
import MartletCore

/// JOIN clauses: which sources join on what, how rows find each other, and what the key of the result is (ksqlDB, "Join collections").
struct JoinAnalysis {
    var from: FromAnalysis
    var context: AnalysisContext

    struct Side {
        var from: FromClause
        /// The source that messages name: the one that the condition refers to.
        var name: String
        /// It is a source or a subquery, not the result of a join.
        var isSource: Bool
        /// In FROM order.
        var leaves: [JoinTree.Leaf]
    }

    func analyze(_ relation: Relation) throws(MartletError) -> FromClause {
        try plan(try JoinTreeBuilder(from: from).build(relation), depth: 0)
    }

    /// - `depth`: how many joins lie above this one; steps inside are named `L_…`.
    private func plan(_ tree: JoinTree, depth: Int) throws(MartletError) -> FromClause {
        switch tree {
        case .leaf(let leaf): return leaf.from
        case .join(let node):
            let left = try side(node.left, node.equalities[0].left, depth), right = try side(node.right, node.equalities[0].right, depth)
            try checkKinds(node.join, left, right)
            try checkWindows(left, right, node.join.span)
            var planner = try JoinPlanner(analysis: self, node: node, left: left, right: right, depth: depth)
            return try planner.plan()
        }
    }

    private func side(_ tree: JoinTree, _ expression: Expression, _ depth: Int) throws(MartletError) -> Side {
        let alias = expression.referencedSources.first
        let leaves = tree.leaves
        let named = leaves.first { $0.alias == alias }?.name ?? ""
        return Side(from: try plan(tree, depth: depth + 1), name: named, isSource: !tree.isJoin, leaves: leaves)
    }

    static func text(_ kind: Join.Kind) -> String {
        switch kind {
        case .inner: "[INNER] JOIN"
        case .left: "LEFT [OUTER] JOIN"
        case .right: "RIGHT [OUTER] JOIN"
        case .full: "[FULL] OUTER JOIN"
        }
    }

    private func checkKinds(_ join: Join, _ left: Side, _ right: Side) throws(MartletError) {
        if right.from.isEnded || left.from.isEnded && right.from.kind == .stream {
            throw MartletError(
                .badStatement,
                "A subquery with DISTINCT, ORDER BY or LIMIT gives its rows when all others have been read: it can only be the left side of a join with a table.",
                at: join.span)
        }
        let text = "\(left.name) \(Self.text(join.kind)) \(right.name)"
        switch (left.from.kind, right.from.kind) {
        case (.table, .stream):
            throw MartletError(
                .badStatement, "Invalid join order: table-stream joins are not supported; only stream-table joins. Got \(text).", at: join.span)
        case (.stream, .table):
            if join.kind == .full {
                throw MartletError(
                    .badStatement, "Invalid join type: full-outer join not supported for stream-table join. Got \(text).", at: join.span)
            }
            if join.kind == .right {
                throw MartletError(
                    .badStatement, "Invalid join type encountered: \(Self.text(join.kind))", at: join.span,
                    hint: "every row of a stream finds its row of the table, not the other way round")
            }
        case (.stream, .stream):
            guard join.within == nil else { return }
            throw MartletError(
                .badStatement,
                "Stream-Stream joins must have a WITHIN clause specified. None was provided. To learn about how to specify a WITHIN clause with a stream-stream join, please visit: https://docs.confluent.io/current/ksql/docs/syntax-reference.html#create-stream-as-select",
                at: join.span)
        case (.table, .table): break
        }
        if join.within != nil {
            let isTables = left.from.kind == .table
            throw MartletError(
                .badStatement,
                "A window definition was provided for a \(isTables ? "Table-Table" : "Stream-Table") join. These joins are not windowed. Please drop the window definition (\(isTables ? "i.e." : "ie.") the WITHIN clause) and try to execute your \(isTables ? "Table-Table " : "")join again.",
                at: join.span, hint: "remove WITHIN")
        }
    }

    private func checkWindows(_ left: Side, _ right: Side, _ span: SourceSpan) throws(MartletError) {
        func text(_ leaf: JoinTree.Leaf) -> String {
            "\(SQLType.quoted(leaf.name)) is \(leaf.from.window.map { "\($0.kind.rawValue) windowed" } ?? "not windowed")"
        }
        guard let l = left.leaves.last, let r = right.leaves.first else { return }
        if (l.from.window == nil) != (r.from.window == nil) {
            throw MartletError(.badStatement, "Can not join windowed source to non-windowed source.\n\(text(l))\n\(text(r))", at: span)
        }
        guard let a = l.from.window, let b = r.from.window, (a.kind == .session) != (b.kind == .session) else { return }
        throw MartletError(
            .badStatement,
            "Incompatible windowed sources.\nLeft source: \(a.kind.rawValue)\nRight source: \(b.kind.rawValue)\nSession windowed sources can only be joined to other session windowed sources, and may still not result in expected behaviour as session bounds must be an exact match for the join to work\nHopping and tumbling windowed sources can only be joined to other hopping and tumbling windowed sources",
            at: span)
    }
}

extension FormatSpec {
    func isSameKeyFormat(as other: FormatSpec) -> Bool { kind == other.kind && properties["delimiter"] == other.properties["delimiter"] }
}
