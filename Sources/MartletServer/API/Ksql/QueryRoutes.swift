import MartletColumns
import MartletCore
import MartletEngine
import MartletSQL
import NIOHTTP1
import NIOPosix

/// `POST /query`, `POST /query-stream` and `POST /close-query`: SELECT and PRINT.
extension KsqlAPI {
    var queryRoutes: [Route] {
        [
            Route(
                .POST, "/query", produces: [MediaType.ksql, MediaType.json, MediaType.delimited, MediaType.protobuf],
                immediate: { request in lookUp(request, Self.oldNames, Self.shape(request.accepted, isOld: true)) }
            ) { request in
                try await run(try SQLRequest(request, Self.oldNames), Self.shape(request.accepted, isOld: true), request)
            },
            Route(
                .POST, "/query-stream", produces: [MediaType.delimited, MediaType.json, MediaType.ksql, MediaType.protobuf],
                immediate: { request in lookUp(request, Self.newNames, Self.shape(request.accepted, isOld: false)) }
            ) { request in
                try await run(try SQLRequest(request, Self.newNames), Self.shape(request.accepted, isOld: false), request)
            },
            Route(.POST, "/close-query") { request in
                guard let id = try request.jsonObject()["queryId"]?.stringValue else {
                    throw MartletError(.badRequest, "Missing required property 'queryId' in the request's body")
                }
                guard await engine.closeQuery(id) else { throw MartletError(.unknownQuery, "No query with id \(id)") }
                return HTTPResponse()
            },
        ]
    }

    static let oldNames = SQLRequest.Names(text: ["ksql", "sql"], properties: ["streamsProperties", "properties"])
    static let newNames = SQLRequest.Names(text: ["sql", "ksql"], properties: ["properties", "streamsProperties"])

    private static func shape(_ accepted: String, isOld: Bool) -> QueryStreamEncoding.Shape {
        switch accepted {
        case MediaType.json: isOld ? .streamedRows : .array
        case MediaType.ksql: .streamedRows
        case MediaType.protobuf: .protobufRows
        default: .delimited
        }
    }

    /// Answers on the event loop what was asked before in another request; nil: it has to go the whole way.
    private func lookUp(_ request: HTTPRequest, _ names: SQLRequest.Names, _ shape: QueryStreamEncoding.Shape) -> HTTPResponse? {
        // What goes wrong is told where the statement is looked at whole.
        guard let sql = try? SQLRequest(request, names), let (known, literals) = lookups.known(sql, shape),
            let answer = try? known.answer(literals, mayWait: false)
        else { return nil }
        return found(answer, request)
    }

    private func found(_ answer: LookupAnswer.Answer, _ request: HTTPRequest) -> HTTPResponse {
        activity.answered(rows: answer.rows)
        return HTTPResponse(headers: ["content-type": request.accepted], body: .bytes(answer.body))
    }

    private func run(_ sql: SQLRequest, _ shape: QueryStreamEncoding.Shape, _ request: HTTPRequest) async throws -> HTTPResponse {
        // A table that is being read by somebody else is waited for, but not analysed again.
        if let (known, literals) = lookups.known(sql, shape), let answer = try? await patiently(known, literals) { return found(answer, request) }
        let result = try await engine.query(
            sql.sql, properties: sql.properties, variables: sql.variables, preparesLookups: shape != .protobufRows)
        switch result {
        case .lookup(let lookup):
            let answer: LookupAnswer.Answer
            do throws(MartletError) {
                let prepared = try LookupAnswer(lookup, shape)
                lookups.add(prepared, to: sql, shape)
                answer = try await patiently(prepared, nil)
            } catch {
                throw error.inStatement(lookup.statement)
            }
            return found(answer, request)
        case .rows(let query): return try await rows(of: query, shape, request)
        case .lines(let print):
            if shape == .array || shape == .protobufRows {
                print.close()
                throw HTTPFailure(.notAcceptable, "PRINT answers with text lines", hint: "accept \(MediaType.delimited), or ask /query")
            }
            return lines(of: print, type: shape == .delimited ? MediaType.delimited : MediaType.text)
        }
    }

    /// The first question may have to read the table's topic.
    private func patiently(_ prepared: LookupAnswer, _ literals: [StatementShape.Literal]?) async throws(MartletError) -> LookupAnswer.Answer {
        if let answer = try prepared.answer(literals, mayWait: false) { return answer }
        let result: Result<LookupAnswer.Answer?, MartletError>
        do {
            result = try await reading.runIfActive {
                do throws(MartletError) { return .success(try prepared.answer(literals, mayWait: true)) } catch { return .failure(error) }
            }
        } catch {
            throw ServerActivity.isShuttingDown
        }
        guard let answer = try result.get() else { throw MartletError(.internalError, "a question that may wait was not answered") }
        return answer
    }

    /// A push query's header goes out at once. A pull query waits for its first rows, so that what fails before them is an HTTP error.
    private func rows(of query: TransientQuery, _ shape: QueryStreamEncoding.Shape, _ request: HTTPRequest) async throws -> HTTPResponse {
        request.client?.onClose { query.close() }
        let running = activity.queryBegan { query.close() }
        var first: ResultBatch?
        if !query.isPush {
            do throws(MartletError) {
                first = try await query.rows.next()
            } catch {
                activity.queryEnded(running)
                throw error.inStatement(query.statement)
            }
        }
        let firstBatch = first
        let header: [UInt8], prepared: QueryStreamEncoding
        do throws(MartletError) {
            prepared = try QueryStreamEncoding(shape, fields: query.fields)
            header = try QueryStreamEncoding.header(shape, id: query.id, isPush: query.isPush, fields: query.fields,
                keyFlags: query.endsSilently ? query.keyFlags : [])
        } catch {
            query.close()
            activity.queryEnded(running)
            throw error.inStatement(query.statement)
        }
        return .stream(type: request.accepted) { [activity] writer async throws(ClientGone) in
            defer {
                query.close()
                activity.queryEnded(running)
            }
            var encoding = prepared, text = header
            var batch = firstBatch, sent = 0
            if query.isPush {
                try await writer.write(text)
                text = []
            }
            do throws(MartletError) {
                if query.isPush { batch = try await query.rows.next() }
                while let rows = batch {
                    text += encoding.rows(rows)
                    sent += rows.count
                    activity.count(rows: rows.count)
                    // What may be the last row has no separator behind it.
                    let held = query.endsSilently ? QueryStreamEncoding.cutSeparator(&text) : []
                    let chunk = text
                    text = held
                    do throws(ClientGone) { try await writer.write(chunk) } catch { return }
                    batch = try await query.rows.next()
                }
                let isLimited = query.limit.map { sent >= Int($0) } ?? false
                // Rows may be missing: an answer that looks whole would be a lie.
                if activity.isStopping && query.rows.isCancelled && !isLimited { throw ServerActivity.isShuttingDown }
                if query.endsSilently { _ = QueryStreamEncoding.cutSeparator(&text) }
                text += QueryStreamEncoding.end(shape, query.endsSilently ? .silent : isLimited ? .limitReached : .completed)
            } catch {
                text += QueryStreamEncoding.failure(shape, error)
            }
            try await writer.write(text)
        }
    }

    private func lines(of print: PrintQuery, type: String) -> HTTPResponse {
        let running = activity.queryBegan { print.close() }
        return .stream(type: type) { [activity] writer async throws(ClientGone) in
            defer {
                print.close()
                activity.queryEnded(running)
            }
            writer.onClose { print.close() }
            do throws(MartletError) {
                while let lines = try await print.lines.next() {
                    let text = Array((lines.joined(separator: "\n") + "\n").utf8)
                    do throws(ClientGone) { try await writer.write(text) } catch { return }
                }
                if activity.isStopping && print.lines.isCancelled { throw ServerActivity.isShuttingDown }
            } catch {
                try await writer.write(Array((JSONValue.object(ErrorResponse.ksqlBody(error)).description + "\n").utf8))
            }
        }
    }
}
