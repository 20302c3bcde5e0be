/// Changes to which features are in force (KIP-584). Ours have one level each, the one in force.
struct UpdateFeaturesRequest: WireRequest {
    typealias Response = UpdateFeaturesResponse
    static let api = APIKey.updateFeatures

    struct Update: WireMessage {
        var name = ""
        /// Below 1: the feature is to be switched off.
        var level: Int16 = 0
        var allowsDowngrade = false
        /// 1 upgrade, 2 safe downgrade, 3 unsafe downgrade.
        var type: Int8 = 1

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&level)
            try wire.field(&allowsDowngrade, to: 0)
            try wire.field(&type, from: 1)
            try wire.tags()
        }
    }

    var timeoutMs: Int32 = 60_000
    var updates: [Update] = []
    var validatesOnly = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&timeoutMs)
        try wire.field(&updates)
        try wire.field(&validatesOnly, from: 1)
        try wire.tags()
    }
}

struct UpdateFeaturesResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?
    /// Up to version 1; later the first error stands for all.
    var results: [NamedOutcome] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&results, to: 1)
        try wire.tags()
    }
}

extension RequestRouter {
    /// All updates are taken or none.
    func updateFeatures(_ request: UpdateFeaturesRequest, _ context: RequestContext) -> Answer<UpdateFeaturesResponse> {
        let problems = request.updates.map { update in (update.name, Self.problem(update)) }
        guard let (name, reason) = problems.first(where: { $0.1 != nil }) else {
            return .now(UpdateFeaturesResponse(results: request.updates.map { .init(name: $0.name) }))
        }
        let message = "Invalid update version \(request.updates.first { $0.name == name }?.level ?? 0) for feature \(name). \(reason ?? "")"
        if context.version >= 2 { return .now(UpdateFeaturesResponse(error: .invalidUpdateVersion, errorMessage: message)) }
        return .now(
            UpdateFeaturesResponse(
                results: problems.map { name, reason in
                    reason == nil ? .init(name: name, error: .featureUpdateFailed, errorMessage: "another update of the request is refused")
                        : .init(name: name, error: .invalidUpdateVersion, errorMessage: reason)
                }))
    }

    /// Why a feature cannot be at this level; nil: it is.
    private static func problem(_ update: UpdateFeaturesRequest.Update) -> String? {
        guard let feature = features.first(where: { $0.name == update.name }) else {
            return "Its features are \(features.map(\.name).joined(separator: ", "))."
        }
        return update.level == feature.level ? nil : "Its only level is \(feature.level)."
    }
}
