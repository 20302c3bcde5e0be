import MartletCore
import MartletEngine
import NIOHTTP1

/// A refusal that only HTTP has: wrong path, method, media type, size.
struct HTTPFailure: Error {
    var status: HTTPResponseStatus
    var message: String
    var hint: String?

    init(_ status: HTTPResponseStatus, _ message: String, hint: String? = nil) {
        self.status = status
        self.message = message
        self.hint = hint
    }
}

/// An error with a code of the Schema Registry's own (Confluent, "Schema Registry API Reference").
struct RegistryFailure: Error {
    var code: Int
    var message: String

    /// 40401 belongs to status 404; 409 is a status itself.
    var status: HTTPResponseStatus { HTTPResponseStatus(statusCode: code < 1000 ? code : code / 100) }

    init(_ code: Int, _ message: String) {
        self.code = code
        self.message = message
    }
}

/// Every error as the JSON of the API it leaves by: the one place.
enum ErrorResponse {
    // MARK: - ksqlDB

    /// `{"@type": "generic_error" | "statement_error", "error_code": n, "message": …}`.
    ///
    /// Beyond ksqlDB's members: `line` and `column` (from 1) of the mistake, `hint` and `detail`, each where there is one.
    static func ksqlBody(_ error: MartletError, entities: [JSONObject] = []) -> JSONObject {
        let isStatement = error.statement != nil && error.code.actor == .user
        var body: JSONObject = [
            "@type": isStatement ? "statement_error" : "generic_error", "error_code": .int(error.code.restCode), "message": .string(error.message),
        ]
        if isStatement, let statement = error.statement {
            body["statementText"] = .string(statement)
            body["entities"] = .array(entities.map { .object($0) })
        }
        if let span = error.span, span != .none {
            body["line"] = .int(span.line)
            body["column"] = .int(span.column)
        }
        body["hint"] = error.hint.map { .string($0) }
        body["detail"] = error.detail.map { .string($0) }
        return body
    }

    /// The error as an element of a response that has begun.
    static func ksqlElement(_ error: any Error) -> JSONObject {
        switch error {
        case let failure as StatementFailure: ksqlBody(failure.error, entities: failure.entities)
        case let error as MartletError: ksqlBody(error)
        default: ksqlBody(MartletError(.internalError, "\(error)"))
        }
    }

    static func ksql(_ error: any Error) -> HTTPResponse {
        if let failure = error as? HTTPFailure {
            var body: JSONObject = [
                "@type": "generic_error", "error_code": .int(failure.status.code * 100), "message": .string(failure.message),
            ]
            body["hint"] = failure.hint.map { .string($0) }
            return .json(.object(body), status: failure.status, type: MediaType.json)
        }
        let body = ksqlElement(error)
        let status = HTTPResponseStatus(statusCode: (body["error_code"]?.intValue ?? 50000) / 100)
        return .json(.object(body), status: status, type: MediaType.json)
    }

    // MARK: - Schema Registry

    static func registry(_ error: any Error) -> HTTPResponse {
        let (code, message): (Int, String) =
            switch error {
            case let failure as RegistryFailure: (failure.code, failure.message)
            case let failure as HTTPFailure:
                (Int(failure.status.code), failure.hint.map { "HTTP \(failure.status.code) \(failure.message): \($0)" } ?? "HTTP \(failure.status.code) \(failure.message)")
            case let error as MartletError: (registryCode(error), registryMessage(error))
            default: (50001, "\(error)")
            }
        return .json(
            ["error_code": .int(code), "message": .string(message)], status: RegistryFailure(code, message).status, type: MediaType.registry)
    }

    private static func registryCode(_ error: MartletError) -> Int {
        switch error.code {
        case .schemaInvalid, .schemaReadOnly, .schemaReferenced: error.code.restCode
        case .schemaIncompatible: 409
        case .notFound: 40403
        case .badRequest: 400
        case .shuttingDown: 50302
        default: error.code.actor == .user ? 42201 : 50001
        }
    }

    private static func registryMessage(_ error: MartletError) -> String {
        var message = error.message
        if let detail = error.detail { message += ": \(detail)" }
        if let hint = error.hint { message += " (\(hint))" }
        return message
    }
}
