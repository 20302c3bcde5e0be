import Logging
import MartletCore

struct InitProducerIDRequest: WireRequest {
    typealias Response = InitProducerIDResponse
    static let api = APIKey.initProducerID

    var transactionalID: String?
    var transactionTimeoutMs: Int32 = 60_000
    var producerID: Int64 = -1
    var producerEpoch: Int16 = -1

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&transactionalID)
        try wire.field(&transactionTimeoutMs)
        try wire.field(&producerID, from: 3)
        try wire.field(&producerEpoch, from: 3)
        try wire.tags()
    }
}

struct InitProducerIDResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var producerID: Int64 = -1
    var producerEpoch: Int16 = -1

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&producerID)
        try wire.field(&producerEpoch)
        try wire.tags()
    }
}

extension RequestRouter {
    /// A producer that says which id and epoch it has (KIP-360) gets the next epoch only if nobody took over in between.
    /// An idempotent producer gets a fresh id each time; one with a transactional id keeps its id and gets the next epoch, which fences
    /// whoever had it before.
    func initProducerID(_ request: InitProducerIDRequest, _ context: RequestContext) -> Answer<InitProducerIDResponse> {
        offload(context) {
            do throws(KafkaError) {
                if let transactionalID = request.transactionalID {
                    let (id, epoch) = try self.log.transactions.initProducerID(
                        transactionalID: transactionalID, timeoutMs: request.transactionTimeoutMs,
                        expecting: request.producerID >= 0 ? (request.producerID, request.producerEpoch) : nil)
                    return InitProducerIDResponse(producerID: id, producerEpoch: epoch)
                }
                do throws(MartletError) {
                    let (id, epoch) = try self.log.makeProducerID()
                    return InitProducerIDResponse(producerID: id, producerEpoch: epoch)
                } catch {
                    throw KafkaError(self.code(error), error.message)
                }
            } catch {
                return InitProducerIDResponse(error: self.told(error, context))
            }
        }
    }
}
