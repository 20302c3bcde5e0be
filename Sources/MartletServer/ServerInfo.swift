import MartletCore

/// What the server says of itself.
public struct ServerInfo: Sendable {
    /// The version in `/info`. Clients compare it to decide what they may send, so it is that of the ksqlDB release whose API this is, with a
    /// suffix that tells the products apart.
    public var version: String
    public var clusterID: String
    public var serviceID: String

    public static let compatibleVersion = "7.9.0-martlet"

    /// - `clusterID`: the log's (`EmbeddedLog.clusterID`).
    /// - `serviceID`: `ksql.service.id`.
    public init(version: String = ServerInfo.compatibleVersion, clusterID: String, serviceID: String) {
        self.version = version
        self.clusterID = clusterID
        self.serviceID = serviceID
    }
}
