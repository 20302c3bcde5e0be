import MartletCore
import MartletEngine
import NIOHTTP1

/// `POST /inserts-stream`: rows in, one acknowledgement a row out, both while the other goes on.
///
/// The first line names the target, each further line is a row. Unlike ksqlDB this works over HTTP/1.1 too.
extension KsqlAPI {
    var insertRoutes: [Route] {
        [
            Route(.POST, "/inserts-stream", produces: [MediaType.delimited, MediaType.json], streamsBody: true) { request in
                var lines = BodyLines(request)
                guard let first = try await lines.next(max: 1)?.first else {
                    throw MartletError(.badRequest, "the first line of an inserts stream is an object with the 'target'")
                }
                guard let arguments = try JSONValue(parsing: first).objectValue, let target = arguments["target"]?.stringValue else {
                    throw MartletError(.badRequest, "the first line of an inserts stream is an object with the 'target'")
                }
                for (name, value) in try SQLRequest.texts(arguments["properties"], of: "properties") { _ = try Settings.checked(name, value) }
                // No rows yet: this refuses a target that takes none.
                try await engine.insert([], into: target)
                let rest = lines
                return .stream(type: request.accepted) { writer async throws(ClientGone) in
                    try await insert(rest, into: target, asArray: request.accepted == MediaType.json, isHTTP2: request.isHTTP2, writer)
                }
            }
        ]
    }

    private func insert(_ body: BodyLines, into target: String, asArray: Bool, isHTTP2: Bool, _ writer: ResponseWriter) async throws(ClientGone) {
        // Most HTTP/1.1 clients read nothing before they have sent everything.
        if !isHTTP2 { writer.setPendingBytesMax(256 << 20) }
        var lines = body, sequence = 0
        while let batch = try await lines.next(max: 1000) {
            let outcomes = await insert(batch, into: target)
            var text: [UInt8] = []
            for error in outcomes {
                if asArray { text.append(UInt8(ascii: sequence == 0 ? "[" : ",")) }
                Self.acknowledgement(sequence, error).write(to: &text)
                text.append(0x0a)
                sequence += 1
            }
            activity.count(inserted: outcomes.count { $0 == nil })
            try await writer.write(text)
        }
        if asArray { try await writer.write(Array((sequence == 0 ? "[]\n" : "]\n").utf8)) }
    }

    private static func acknowledgement(_ sequence: Int, _ error: MartletError?) -> JSONValue {
        guard let error else { return ["status": "ok", "seq": .int(sequence)] }
        var object: JSONObject = ["status": "error", "seq": .int(sequence)]
        for member in ErrorResponse.ksqlBody(error).members where member.name != "@type" { object[member.name] = member.value }
        return .object(object)
    }

    /// Inserts the rows with one durable write if all are good, else one by one. Per row: nil, or what was wrong with it.
    private func insert(_ lines: [[UInt8]], into target: String) async -> [MartletError?] {
        var outcomes: [MartletError?] = []
        var rows: [(index: Int, object: JSONObject)] = []
        for (index, line) in lines.enumerated() {
            do throws(MartletError) {
                guard let object = try JSONValue(parsing: line).objectValue else { throw MartletError(.badRequest, "a row is a JSON object") }
                rows.append((index, object))
                outcomes.append(nil)
            } catch {
                outcomes.append(error)
            }
        }
        do throws(MartletError) {
            try await engine.insert(rows.map(\.object), into: target)
        } catch {
            guard error.code.actor == .user, rows.count > 1 else {
                for row in rows { outcomes[row.index] = error }
                return outcomes
            }
            // A mistake in some row: nothing has been written. Say which.
            for row in rows {
                do throws(MartletError) {
                    try await engine.insert([row.object], into: target)
                } catch {
                    outcomes[row.index] = error
                }
            }
        }
        return outcomes
    }
}

/// The non-empty lines of a request's body.
struct BodyLines: Sendable {
    static let lineBytesMax = 64 << 20
    private let stream: RequestBody?
    private var pending: [UInt8]
    private var at = 0
    private var isAtEnd: Bool

    init(_ request: HTTPRequest) {
        stream = request.bodyStream
        pending = request.body
        isAtEnd = request.bodyStream == nil
    }

    /// The next lines, at least one and at most `max` of those that are there; nil at the end. The last one needs no newline.
    mutating func next(max: Int) async throws(ClientGone) -> [[UInt8]]? {
        var lines: [[UInt8]] = []
        while true {
            while lines.count < max, let end = pending[at...].firstIndex(of: 0x0a) {
                add(pending[at..<end], to: &lines)
                at = end + 1
            }
            if !lines.isEmpty { return lines }
            if isAtEnd {
                if at < pending.count { add(pending[at...], to: &lines) }
                pending = []
                at = 0
                return lines.isEmpty ? nil : lines
            }
            if at > 0 {
                pending.removeFirst(at)
                at = 0
            }
            if pending.count > Self.lineBytesMax { throw ClientGone() }
            if let more = try await stream?.next() { pending += more } else { isAtEnd = true }
        }
    }

    private func add(_ line: ArraySlice<UInt8>, to lines: inout [[UInt8]]) {
        if line.contains(where: { $0 != 0x20 && $0 != 0x0d && $0 != 0x09 }) { lines.append(Array(line)) }
    }
}
