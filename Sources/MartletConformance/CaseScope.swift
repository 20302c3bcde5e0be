import MartletCore
import MartletSQL

/// Which cases this release can be asked to pass.
enum CaseScope {
    /// Functions that only ksqlDB's own test tree has.
    static let testFunctions: Set<String> = [
        "TEST_UDAF", "MID_VAR_ARG", "VAR_ARG", "GENERIC_VAR_ARG", "OBJ_COL_ARG", "MULTI_ARG", "FOUR_ARG", "FIVE_ARG", "TEST_UDF", "TOSTRUCT",
        "TOSTRING", "TOMAP", "TOLIST", "MULTIPLY", "BAD_UDF", "TEST_UDTF", "THROWING_UDTF", "WHENCONDITION", "WHENRESULT",
    ]

    /// Why a case does not apply, by what its statements use; nil if it does.
    static func reasonNotApplicable(_ one: ConformanceCase) -> String? {
        let statements = one.statements.flatMap { text -> [Statement] in
            // What does not parse uses nothing: such a case is about the parser.
            (try? Parser.parse(text)) ?? []
        }
        // Names of tables: a stream may join them.
        var tables: Set<String> = []
        for statement in statements {
            switch statement.node {
            case .createSource(let create):
                if create.kind == .table { tables.insert(create.name.name) }
            case .createAs(let create):
                if let reason = reason(create.query, tables: tables) { return reason }
                if create.kind == .table { tables.insert(create.name.name) }
            case .insertInto(_, _, let query):
                if let reason = reason(query, tables: tables) { return reason }
            default: break
            }
        }
        return nil
    }

    private static func reason(_ query: Query, tables: Set<String>) -> String? {
        switch query.from {
        case .source: return nil
        case .subquery: return "subqueries come later"
        case .join(let join):
            guard case .source(let left, _) = join.left, case .source(let right, _) = join.right, !tables.contains(left.name),
                tables.contains(right.name), join.kind == .inner || join.kind == .left
            else { return "joins other than of a stream with a table come later" }
            return nil
        }
    }
}
