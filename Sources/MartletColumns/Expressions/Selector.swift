import MartletCore

/// Finds the rows for which a condition holds. Conjuncts are taken from left to right; once few rows are left, a costly one sees only those.
struct Selector {
    let evaluator: Evaluator
    let frame: Frame

    func select(_ node: Int) -> (rows: [UInt32], failures: RowFailures?) {
        var conjuncts: [Int] = []
        func split(_ node: Int) {
            if case .and = evaluator.nodes[node].operation {
                for child in evaluator.nodes[node].children { split(child) }
            } else {
                conjuncts.append(node)
            }
        }
        split(node)

        var rows: [UInt32]? = nil
        var failures = RowFailures()
        for conjunct in conjuncts {
            if let current = rows, current.isEmpty { break }
            let narrowed = rows.flatMap { rows in !evaluator.nodes[conjunct].isTrivial || rows.count < frame.count / 4 ? rows : nil }
            let value = evaluator.evaluate(conjunct, narrowed.map { Frame(frame, rows: $0) } ?? frame)
            let truth = LogicKernels.truth(value.column)
            var found: [UInt32]
            if value.isConstant {
                found = truth[0] ? rows ?? Array(0..<UInt32(frame.count)) : []
            } else if let narrowed {
                found = LogicKernels.selected(truth).map { narrowed[Int($0)] }
            } else if let rows {
                found = rows.filter { truth[Int($0)] }
            } else {
                found = LogicKernels.selected(truth)
            }
            if let failed = value.expanded(narrowed?.count ?? frame.count).failures {
                var reached: RowFailures?
                if let narrowed {
                    reached = failed.filtered({ _ in true }, rename: { Int(narrowed[$0]) })
                } else if let rows {
                    let before = Set(rows)
                    reached = failed.filtered { before.contains(UInt32($0)) }
                } else {
                    reached = failed
                }
                failures.add(reached)
                let fatal = Set((reached?.filtered { _ in true }).map { r in r.rows.indices.filter { r.fatal[$0] }.map { r.rows[$0] } } ?? [])
                if !fatal.isEmpty { found = found.filter { !fatal.contains($0) } }
            }
            rows = found
        }
        return (rows ?? Array(0..<UInt32(frame.count)), failures.isEmpty ? nil : failures)
    }
}
