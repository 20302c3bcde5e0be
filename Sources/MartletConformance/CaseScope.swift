import MartletCore
import MartletSQL

/// Which cases this release can be asked to pass.
enum CaseScope {
    /// Functions that only ksqlDB's own test tree has.
    static let testFunctions: Set<String> = [
        "TEST_UDAF", "MID_VAR_ARG", "VAR_ARG", "GENERIC_VAR_ARG", "OBJ_COL_ARG", "MULTI_ARG", "FOUR_ARG", "FIVE_ARG", "TEST_UDF", "TOSTRUCT",
        "TOSTRING", "TOMAP", "TOLIST", "MULTIPLY", "BAD_UDF", "TEST_UDTF", "THROWING_UDTF", "WHENCONDITION", "WHENRESULT",
    ]

    /// What ksqlDB refuses, in its words, and is possible here.
    private static let possible = [
        "joins on multiple conditions are not yet supported", "self joins are not yet supported", "Pull queries don't support JOIN clauses",
        "Pull queries don't support aggregate functions",
    ]

    /// Why a case does not apply: ksqlDB refuses what is possible here, or its statements use what is not; nil if it does.
    static func reasonNotApplicable(_ one: ConformanceCase) -> String? {
        if let refusal = one.expectedException?.message, possible.contains(where: { refusal.contains($0) }) { return "possible here: \(refusal)" }
        if one.expectedException == nil { return nil }
        for text in one.statements {
            // What does not parse uses nothing: such a case is about the parser.
            for statement in (try? Parser.parse(text)) ?? [] {
                switch statement.node {
                case .createAs(let create): if let reason = reason(create.query.from) { return reason }
                case .insertInto(_, _, let query): if let reason = reason(query.from) { return reason }
                default: break
                }
            }
        }
        return nil
    }

    private static func reason(_ relation: Relation) -> String? {
        switch relation {
        case .source: nil
        case .subquery: "possible here: subqueries"
        case .join(let join): reason(join.left) ?? reason(join.right)
        }
    }
}
