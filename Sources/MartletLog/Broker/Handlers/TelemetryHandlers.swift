import Logging
import NIOCore

/// A client asks which of its metrics are wanted (KIP-714).
struct GetTelemetrySubscriptionsRequest: WireRequest {
    typealias Response = GetTelemetrySubscriptionsResponse
    static let api = APIKey.getTelemetrySubscriptions

    /// Zero: the client wants one.
    var instanceID = UUIDBytes.zero

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&instanceID)
        try wire.tags()
    }
}

struct GetTelemetrySubscriptionsResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var instanceID = UUIDBytes.zero
    var subscriptionID: Int32 = 0
    var compressions: [Int8] = []
    var intervalMs: Int32 = 0
    var bytesMax: Int32 = 0
    /// Whether counters are to be told as what was added since the last push.
    var wantsDeltas = false
    /// Prefixes; an empty one stands for all, none at all for nothing.
    var metrics: [String] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&instanceID)
        try wire.field(&subscriptionID)
        try wire.field(&compressions)
        try wire.field(&intervalMs)
        try wire.field(&bytesMax)
        try wire.field(&wantsDeltas)
        try wire.field(&metrics)
        try wire.tags()
    }
}

/// A client reports its metrics, as OpenTelemetry's `MetricsData` (KIP-714).
struct PushTelemetryRequest: WireRequest {
    typealias Response = PushTelemetryResponse
    static let api = APIKey.pushTelemetry

    var instanceID = UUIDBytes.zero
    var subscriptionID: Int32 = 0
    var isTerminating = false
    var compression: Int8 = 0
    var metrics: ByteBuffer? = ByteBuffer()

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&instanceID)
        try wire.field(&subscriptionID)
        try wire.field(&isTerminating)
        try wire.field(&compression)
        try wire.field(&metrics)
        try wire.tags()
    }
}

struct PushTelemetryResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.tags()
    }
}

extension RequestRouter {
    func getTelemetrySubscriptions(_ request: GetTelemetrySubscriptionsRequest, _ context: RequestContext) -> Answer<GetTelemetrySubscriptionsResponse> {
        let id = request.instanceID == .zero ? UUIDBytes.random() : request.instanceID
        var response = GetTelemetrySubscriptionsResponse(instanceID: id)
        guard let wanted = telemetry.subscribe(id, context.telemetryClient, log.settings.telemetrySubscriptions) else {
            response.error = .throttlingQuotaExceeded
            return .now(response)
        }
        response.subscriptionID = wanted.subscriptionID
        response.compressions = TelemetryStore.compressions.map { Int8(bitPattern: $0.rawValue) }
        response.intervalMs = wanted.intervalMs
        response.bytesMax = Int32(clamping: config.telemetryBytesMax)
        response.metrics = wanted.metrics
        return .now(response)
    }

    func pushTelemetry(_ request: PushTelemetryRequest, _ context: RequestContext) -> Answer<PushTelemetryResponse> {
        offload(context) {
            var push = TelemetryStore.Push(instance: request.instanceID, subscriptionID: request.subscriptionID)
            push.isTerminating = request.isTerminating
            push.compression = request.compression
            push.metrics = request.metrics.map { Array($0.readableBytesView) } ?? []
            do throws(KafkaError) {
                try self.telemetry.receive(
                    push, context.telemetryClient, self.log.settings.telemetrySubscriptions, bytesMax: self.config.telemetryBytesMax)
                return PushTelemetryResponse()
            } catch {
                self.logger.debug(
                    "metrics of a client are refused", metadata: ["client": "\(context.clientHost)", "instance": "\(push.instance.text)", "reason": "\(error.message)"])
                return PushTelemetryResponse(error: error.code)
            }
        }
    }
}

extension RequestContext {
    var telemetryClient: TelemetryClient {
        let software = session.software
        return TelemetryClient(
            clientID: clientID, softwareName: software.name, softwareVersion: software.version, address: String(clientHost.dropFirst()), port: clientPort)
    }
}
