import NIOCore

/// Addresses of clients as limits name them.
enum PeerAddress {
    /// One way to write each address: IPv4 also where it came as IPv6 (`::ffff:10.0.0.1`). Nil for what is no address.
    static func canonical(_ text: String) -> String? {
        guard let address = try? SocketAddress(ipAddress: text, port: 0).ipAddress else { return nil }
        let mapped = "::ffff:"
        guard address.hasPrefix(mapped), address.contains(".") else { return address }
        return String(address.dropFirst(mapped.count))
    }

    /// Of a connection.
    static func of(_ channel: any Channel) -> String { channel.remoteAddress?.ipAddress.flatMap(canonical) ?? "?" }
}

/// `max.connections.per.ip.overrides`: `10.0.0.1:20,::1:5`.
enum ConnectionOverrides {
    /// Nil if the text is none.
    static func parse(_ text: String) -> [String: Int]? {
        var limits: [String: Int] = [:]
        for item in text.split(separator: ",") {
            let item = item.filter { $0 != " " }
            guard let colon = item.lastIndex(of: ":"), let address = PeerAddress.canonical(String(item[..<colon])),
                let count = Int32(item[item.index(after: colon)...]), count >= 0
            else { return nil }
            limits[address] = Int(count)
        }
        return limits
    }

    static func text(_ limits: [String: Int]) -> String { limits.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }.joined(separator: ",") }
}
