import NIOCore

@testable import MartletLog

extension MessageSample {
    /// Of the node itself, its voters, its settings and the metrics of its clients.
    static let ofNodes: [MessageSample] = [
        .init(DescribeQuorumRequest(topics: [.init(name: "__cluster_metadata", partitions: [.init(index: 0)])]), .describeQuorum),
        .init(
            DescribeQuorumResponse(
                errorMessage: "m",
                topics: [
                    .init(
                        name: "t",
                        partitions: [
                            .init(
                                errorMessage: "m", leaderID: 1, leaderEpoch: 4, highWatermark: 9,
                                voters: [.init(nodeID: 1, directoryID: UUIDBytes(high: 1, low: 2), endOffset: 9, fetchedMs: 3, caughtUpMs: 4)],
                                observers: [.init(nodeID: 2)])
                        ])
                ], nodes: [.init(id: 1, listeners: [.init(name: "PLAINTEXT", host: "h", port: 65_535)])]), .describeQuorum),
        .init(
            AddRaftVoterRequest(
                clusterID: "c", timeoutMs: 5, voterID: 2, directoryID: UUIDBytes(high: 1, low: 2), listeners: [.init(name: "l", host: "h", port: 9092)]),
            .addRaftVoter),
        .init(RaftVoterResponse(throttleTimeMs: 1, error: .duplicateVoter, errorMessage: "m"), .addRaftVoter),
        .init(RemoveRaftVoterRequest(voterID: 2, directoryID: UUIDBytes(high: 1, low: 2)), .removeRaftVoter),
        .init(RaftVoterResponse(error: .voterNotFound), .removeRaftVoter),
        .init(UnregisterBrokerRequest(brokerID: 7), .unregisterBroker),
        .init(RaftVoterResponse(error: .brokerIDNotRegistered, errorMessage: "m"), .unregisterBroker),
        .init(ListConfigResourcesRequest(types: [2, 16]), .listConfigResources),
        .init(ListConfigResourcesResponse(throttleTimeMs: 1, resources: [.init(name: "s"), .init(name: "t", type: 2)]), .listConfigResources),
        .init(GetTelemetrySubscriptionsRequest(instanceID: UUIDBytes(high: 1, low: 2)), .getTelemetrySubscriptions),
        .init(
            GetTelemetrySubscriptionsResponse(
                instanceID: UUIDBytes(high: 1, low: 2), subscriptionID: -3, compressions: [4, 3], intervalMs: 5, bytesMax: 6, wantsDeltas: true,
                metrics: ["", "org."]), .getTelemetrySubscriptions),
        .init(
            PushTelemetryRequest(
                instanceID: UUIDBytes(high: 1, low: 2), subscriptionID: 3, isTerminating: true, compression: 0,
                metrics: ByteBuffer(bytes: MetricsWriter.gauge("a.b", 1.5, ["k": "v"]))), .pushTelemetry),
        .init(PushTelemetryResponse(error: .telemetryTooLarge), .pushTelemetry),
    ]
}
