import MartletCore
import NIOHTTP1

/// One endpoint.
struct Route: Sendable {
    typealias Handler = @Sendable (HTTPRequest) async throws -> HTTPResponse

    var method: HTTPMethod
    /// `:name` segments stand for anything.
    var pattern: [Substring]
    /// Media types that the answer can have, the default first; empty: the handler decides.
    var produces: [String]
    /// The body goes to the handler as it arrives.
    var streamsBody: Bool
    /// Answered to everybody.
    var needsNoUser = false
    /// Answered to whoever may describe the cluster, also where the port is for those who may alter it.
    var onlyDescribes = false
    /// Tried first, on the event loop, so it neither waits nor takes long; nil: the handler is to do it.
    var immediate: (@Sendable (HTTPRequest) -> HTTPResponse?)?
    var handler: Handler

    init(
        _ method: HTTPMethod, _ pattern: String, produces: [String] = [], streamsBody: Bool = false, needsNoUser: Bool = false, onlyDescribes: Bool = false,
        immediate: (@Sendable (HTTPRequest) -> HTTPResponse?)? = nil, _ handler: @escaping Handler
    ) {
        self.method = method
        self.pattern = pattern.split(separator: "/")
        self.produces = produces
        self.streamsBody = streamsBody
        self.needsNoUser = needsNoUser
        self.onlyDescribes = onlyDescribes
        self.immediate = immediate
        self.handler = handler
    }

    /// The values of the pattern's names; nil if the path is another.
    func match(_ segments: [String]) -> [String: String]? {
        guard segments.count == pattern.count else { return nil }
        var parameters: [String: String] = [:]
        for (expected, actual) in zip(pattern, segments) {
            if expected.first == ":" {
                parameters[String(expected.dropFirst())] = actual
            } else if expected != actual {
                return nil
            }
        }
        return parameters
    }
}

/// Finds the route of a request, chooses the answer's media type and turns every error into the API's own body.
struct Router: Sendable {
    var routes: [Route]
    /// Asked before anything else, if there is one.
    var authentication: BasicAuthentication?
    var errorResponse: @Sendable (any Error) -> HTTPResponse

    /// HEAD is GET without the body.
    private func route(_ method: HTTPMethod, _ segments: [String]) -> (Route, [String: String])? {
        let wanted: HTTPMethod = method == .HEAD ? .GET : method
        for route in routes where route.method == wanted {
            if let parameters = route.match(segments) { return (route, parameters) }
        }
        return nil
    }

    func streamsBody(_ method: HTTPMethod, _ segments: [String]) -> Bool { route(method, segments)?.0.streamsBody ?? false }

    /// The response, if it can be given here and now.
    func immediately(_ request: HTTPRequest) -> HTTPResponse? {
        guard request.method == .POST, let (route, parameters) = route(.POST, request.segments), let immediate = route.immediate,
            authentication?.remembers(request) ?? true, mayHoldJSON(request),
            let accepted = MediaType.choose(accept: request.headers["accept"], offered: route.produces)
        else { return nil }
        var request = request
        request.parameters = parameters
        request.accepted = accepted
        return immediate(request)
    }

    private func mayHoldJSON(_ request: HTTPRequest) -> Bool {
        request.headers.first(name: "content-type").map { MediaType.mayHoldJSON($0) } ?? true
    }

    func respond(to request: HTTPRequest) async -> HTTPResponse {
        var request = request
        do {
            let asked = route(request.method, request.segments)?.0
            if asked?.needsNoUser != true { try await authentication?.check(request, onlyDescribes: asked?.onlyDescribes ?? false) }
            guard let (route, parameters) = route(request.method, request.segments) else {
                let others = Set(routes.filter { $0.match(request.segments) != nil }.map(\.method.rawValue)).sorted()
                if others.isEmpty { throw HTTPFailure(.notFound, "Not Found") }
                var response = errorResponse(HTTPFailure(.methodNotAllowed, "Method Not Allowed"))
                response.headers.replaceOrAdd(name: "allow", value: others.joined(separator: ", "))
                return response
            }
            request.parameters = parameters
            guard let accepted = MediaType.choose(accept: request.headers["accept"], offered: route.produces) else {
                throw HTTPFailure(.notAcceptable, "Not Acceptable", hint: "this endpoint answers with \(route.produces.joined(separator: ", "))")
            }
            request.accepted = accepted
            if route.method == .POST || route.method == .PUT, !mayHoldJSON(request) {
                throw HTTPFailure(.unsupportedMediaType, "Unsupported Media Type", hint: "send \(MediaType.json)")
            }
            return try await route.handler(request)
        } catch {
            var response = errorResponse(error)
            if response.status == .unauthorized { response.headers.replaceOrAdd(name: "www-authenticate", value: "Basic realm=\"martlet\"") }
            return response
        }
    }
}
