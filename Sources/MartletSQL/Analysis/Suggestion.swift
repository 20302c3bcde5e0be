/// The known name a misspelt one probably means: for hints.
enum Suggestion {
    /// `did you mean X?`; nil if nothing is near.
    static func nearest(_ name: String, among known: [String]) -> String? {
        let upper = name.uppercased()
        let nearest = known.map { ($0, distance(upper, $0.uppercased())) }.min { $0.1 < $1.1 }
        guard let nearest, nearest.1 <= max(1, name.utf8.count / 4) else { return nil }
        return "did you mean \(nearest.0)?"
    }

    /// `did you mean X?`, or `<what> are A, B, …` if nothing is near.
    static func hint(_ name: String, among known: [String], _ what: String) -> String? {
        if known.isEmpty { return nil }
        if let nearest = nearest(name, among: known) { return nearest }
        return "\(what) are \(known.prefix(40).joined(separator: ", "))\(known.count > 40 ? ", …" : "")"
    }

    /// Least number of bytes to insert, remove or replace.
    private static func distance(_ a: String, _ b: String) -> Int {
        let a = Array(a.utf8), b = Array(b.utf8)
        var row = Array(0...b.count)
        for i in a.indices {
            var diagonal = row[0]
            row[0] = i + 1
            for j in b.indices {
                let replaced = diagonal + (a[i] == b[j] ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, min(row[j], diagonal) + 1)
            }
        }
        return row[b.count]
    }
}
