import MartletColumns
import MartletCore
import MartletEngine
import NIOHTTP1
import NIOWebSocket

/// `GET /ws/query?request=…`: SELECT and PRINT through a websocket, as ksqlDB has it for browsers and its own command line.
///
/// `request` is the body of `/query` as JSON. The first text frame is the result's schema as an array of fields, each further one a row, or a line of
/// PRINT; the connection is closed with 1000 at the end. What is wrong with the request is told by the closing frame: 1003 and the reason,
/// or 1011 where the query failed.
extension KsqlAPI {
    var webSocketRoutes: [Route] {
        [
            Route(.GET, "/ws/query") { request in
                guard request.isWebSocketUpgrade else {
                    throw MartletError(.badRequest, "Can \"Upgrade\" only to \"WebSocket\".", hint: "ask /query without a websocket")
                }
                let text = request.query["request"]
                return HTTPResponse(body: .webSocket { socket in await serve(text, socket) })
            }
        ]
    }

    private func serve(_ text: String?, _ socket: WebSocketConnection) async {
        do {
            let sql: SQLRequest
            do throws(MartletError) {
                guard let text else { throw MartletError(.badRequest, "missing request parameter") }
                guard let body = try JSONValue(parsing: text).objectValue else {
                    throw MartletError(.badRequest, "the request parameter is a JSON object")
                }
                sql = try SQLRequest(body, Self.oldNames)
            } catch {
                return await socket.close(.unacceptableData, "Error parsing request: \(error.message)")
            }
            switch try await engine.query(sql.sql, properties: sql.properties, variables: sql.variables) {
            case .rows(let query): try await send(query, socket)
            case .lines(let print): try await send(print, socket)
            case .lookup: await socket.close(.unexpectedServerError, "a lookup that nobody asked for")
            }
        } catch let error as MartletError {
            if error.code == .shuttingDown { return await socket.close(.goingAway, error.message) }
            activity.countFailure()
            await socket.close(error.code.actor == .user ? .unacceptableData : .unexpectedServerError, error.message)
        } catch {
            await socket.close(.unexpectedServerError, "\(error)")
        }
    }

    private func send(_ query: TransientQuery, _ socket: WebSocketConnection) async throws {
        socket.onClose { query.close() }
        let running = activity.queryBegan { query.close() }
        defer {
            query.close()
            activity.queryEnded(running)
        }
        let writer = JSONRowWriter(query.fields)
        var schema: [UInt8] = []
        Engine.fieldShapes(query.fields, keyFlags: query.endsSilently ? query.keyFlags : []).write(to: &schema)
        try await socket.send([schema])
        var sent = 0
        while let batch = try await query.rows.next() {
            var frames: [[UInt8]] = []
            for row in 0..<batch.count {
                var frame = Array("{\"row\":{\"columns\":".utf8)
                writer.appendRow(batch.columns, row: row, to: &frame)
                frame += (batch.tombstones?[row] == true ? ",\"tombstone\":true}}" : "}}").utf8
                frames.append(frame)
            }
            activity.count(rows: frames.count)
            sent += frames.count
            try await socket.send(frames)
        }
        if activity.isStopping, query.rows.isCancelled, query.limit.map({ sent < Int($0) }) ?? true { throw ServerActivity.isShuttingDown }
    }

    private func send(_ print: PrintQuery, _ socket: WebSocketConnection) async throws {
        socket.onClose { print.close() }
        let running = activity.queryBegan { print.close() }
        defer {
            print.close()
            activity.queryEnded(running)
        }
        while let lines = try await print.lines.next() { try await socket.send(lines.map { Array($0.utf8) }) }
        if activity.isStopping && print.lines.isCancelled { throw ServerActivity.isShuttingDown }
    }
}
