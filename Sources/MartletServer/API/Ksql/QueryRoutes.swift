import MartletColumns
import MartletCore
import MartletEngine
import NIOHTTP1

/// `POST /query`, `POST /query-stream` and `POST /close-query`: SELECT and PRINT.
extension KsqlAPI {
    var queryRoutes: [Route] {
        [
            Route(.POST, "/query", produces: [MediaType.ksql, MediaType.json, MediaType.delimited]) { request in
                let sql = try SQLRequest(request, textNames: ["ksql", "sql"], propertyNames: ["streamsProperties", "properties"])
                return try await run(sql, request.accepted == MediaType.delimited ? .delimited : .streamedRows, request)
            },
            Route(.POST, "/query-stream", produces: [MediaType.delimited, MediaType.json, MediaType.ksql, MediaType.protobuf]) { request in
                let sql = try SQLRequest(request, textNames: ["sql", "ksql"], propertyNames: ["properties", "streamsProperties"])
                let shape: QueryStreamEncoding.Shape =
                    switch request.accepted {
                    case MediaType.json: .array
                    case MediaType.ksql: .streamedRows
                    case MediaType.protobuf: .protobufRows
                    default: .delimited
                    }
                return try await run(sql, shape, request)
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

    private func run(_ sql: SQLRequest, _ shape: QueryStreamEncoding.Shape, _ request: HTTPRequest) async throws -> HTTPResponse {
        switch try await engine.query(sql.sql, properties: sql.properties, variables: sql.variables) {
        case .rows(let query): return try await rows(of: query, shape, request)
        case .lines(let print):
            if shape == .array || shape == .protobufRows {
                print.close()
                throw HTTPFailure(.notAcceptable, "PRINT answers with text lines", hint: "accept \(MediaType.delimited), or ask /query")
            }
            return lines(of: print, type: shape == .delimited ? MediaType.delimited : MediaType.text)
        }
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
                if query.endsSilently { _ = QueryStreamEncoding.cutSeparator(&text) }
                let isLimited = query.limit.map { sent >= Int($0) } ?? false
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
            } catch {
                try await writer.write(Array((JSONValue.object(ErrorResponse.ksqlBody(error)).description + "\n").utf8))
            }
        }
    }
}
