import MartletCore

/// What the server says of itself.
public struct ServerInfo: Sendable {
    /// The version in `/info`. Clients compare it to decide what they may send, so it is that of the ksqlDB release whose API this is, with a
    /// suffix that tells the products apart.
    public var version: String
    public var kafkaClusterID: String
    public var serviceID: String

    public static let compatibleVersion = "7.9.0-martlet"

    /// - `kafkaClusterID`: the log's (`EmbeddedLog.clusterID`).
    /// - `serviceID`: `ksql.service.id`.
    public init(version: String = ServerInfo.compatibleVersion, kafkaClusterID: String, serviceID: String) {
        self.version = version
        self.kafkaClusterID = kafkaClusterID
        self.serviceID = serviceID
    }
}
