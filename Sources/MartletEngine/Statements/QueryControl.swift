import MartletCore
import MartletSQL

/// TERMINATE, PAUSE, RESUME.
extension Engine {
    /// The persistent queries meant by an id, or all.
    func persistent(_ id: Identifier?, at span: SourceSpan) throws(MartletError) -> [RunningQuery] {
        guard let id else { return runningQueries }
        guard let query = queries[id.name] ?? queries[id.name.uppercased()] else { throw unknownQuery(id) }
        return [query]
    }

    func terminate(_ id: Identifier?, _ statement: Statement, _ session: Session) throws(MartletError) -> JSONObject {
        if let id, let key = transients.keys.first(where: { $0.uppercased() == id.name.uppercased() }) {
            let wasTerminated = closeQuery(key)
            return [
                "@type": "terminate_query", "statementText": .string(statement.text), "queryId": .string(key),
                "wasTerminated": .bool(wasTerminated), "warnings": [],
            ]
        }
        let found = try persistent(id, at: statement.span)
        let sequence = try logControl(statement, session)
        for query in found { stopQuery(query) }
        return entity(statement, commandID: commandID(statement), message: "Query terminated.", sequence: sequence)
    }

    func setPaused(_ id: Identifier?, _ isPaused: Bool, _ statement: Statement, _ session: Session) throws(MartletError) -> JSONObject {
        let found = try persistent(id, at: statement.span)
        let sequence = try logControl(statement, session)
        for query in found {
            if isPaused { query.pause() } else { query.resume() }
        }
        if !isPaused { for thread in threads { thread.wake() } }
        return entity(
            statement, commandID: commandID(statement), message: isPaused ? "Query paused." : "Query resumed.", sequence: sequence)
    }

    func logControl(_ statement: Statement, _ session: Session) throws(MartletError) -> Int64 {
        try commandLog.append(
            Command(statement: statement.text, properties: session.properties, number: nextQueryNumber, inferences: []))
    }
}
