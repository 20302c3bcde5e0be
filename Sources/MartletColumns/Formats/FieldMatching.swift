/// How decoders find the columns that a record's fields fill.
enum FieldMatching {
    /// For each of `names` the target it fills: equal names first, then by ignoring case, each target once.
    static func match(_ names: [String], with targets: [String]) -> [Int?] {
        var out = [Int?](repeating: nil, count: names.count), taken: Set<Int> = []
        for (i, name) in names.enumerated() {
            if let target = targets.firstIndex(of: name), taken.insert(target).inserted { out[i] = target }
        }
        for (i, name) in names.enumerated() where out[i] == nil {
            let upper = name.uppercased()
            if let target = targets.indices.first(where: { !taken.contains($0) && targets[$0].uppercased() == upper }) {
                taken.insert(target)
                out[i] = target
            }
        }
        return out
    }
}
