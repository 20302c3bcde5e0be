/// Media types of both APIs, and the choice among them (RFC 9110 §12.5.1).
enum MediaType {
    static let ksql = "application/vnd.ksql.v1+json"
    static let delimited = "application/vnd.ksqlapi.delimited.v1"
    static let json = "application/json"
    static let protobuf = "application/vnd.ksql.v1+protobuf"
    static let registry = "application/vnd.schemaregistry.v1+json"
    static let registryUnversioned = "application/vnd.schemaregistry+json"
    static let text = "text/plain; charset=utf-8"
    static let prometheus = "text/plain; version=0.0.4; charset=utf-8"

    /// The type of a header value without its parameters, in lower case.
    static func bare(_ value: some StringProtocol) -> String {
        let end = value.firstIndex(of: ";") ?? value.endIndex
        return trimmed(value[..<end]).lowercased()
    }

    /// The offered type that the client likes best; the first one if it has no preference, nil if it takes none of them.
    ///
    /// - `accept`: the values of the request's Accept headers.
    /// - `offered`: types without parameters in the server's order of preference; empty = whatever the answer is.
    static func choose(accept: [String], offered: [String]) -> String? {
        guard let first = offered.first else { return "" }
        if accept.isEmpty { return first }
        if accept.count == 1, let only = offered.first(where: { $0 == accept[0] }) { return only }
        var wishes: [(type: String, quality: Double)] = []
        for value in accept {
            for item in value.split(separator: ",") {
                let parts = item.split(separator: ";").map { trimmed($0) }
                guard let type = parts.first, !type.isEmpty else { continue }
                let quality = parts.dropFirst().first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) } ?? 1
                wishes.append((type.lowercased(), quality))
            }
        }
        if wishes.isEmpty { return first }
        var best: (type: String, quality: Double)?
        for wish in wishes where wish.quality > (best?.quality ?? 0) {
            if let match = offered.first(where: { matches(wish.type, bare($0)) }) { best = (match, wish.quality) }
        }
        return best?.type
    }

    private static func matches(_ pattern: String, _ type: String) -> Bool {
        if pattern == type || pattern == "*/*" || pattern == "*" { return true }
        return pattern.hasSuffix("/*") && type.hasPrefix(pattern.dropLast(1))
    }

    /// Whether a body said to be of this type may hold JSON text. `curl -d` says form data, which ksqlDB's own examples rely on.
    static func mayHoldJSON(_ contentType: String) -> Bool {
        let type = bare(contentType)
        return type.isEmpty || type.hasSuffix("json") || type == "*/*"
            || [ksql, delimited, registry, "application/octet-stream", "application/x-www-form-urlencoded", "text/plain"].contains(type)
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        var slice = text[...]
        while slice.first == " " || slice.first == "\t" { slice = slice.dropFirst() }
        while slice.last == " " || slice.last == "\t" { slice = slice.dropLast() }
        return String(slice)
    }
}
