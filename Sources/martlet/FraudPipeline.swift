import MartletColumns
import MartletCore
import MartletEngine
import MartletModels
import MartletSQL
import MartletServer

/// The fraud pipeline in SQL: preprocess, score, alert.
struct FraudPipeline {
    static let sourceTopic = "creditcardfraud_source"
    static let components = (1...28).map { "V\($0)" }

    let engine: Engine
    let threshold: Double
    /// One line a stage, for people.
    let statements: [String]
    let preprocess: RunningQuery
    let score: RunningQuery
    let alert: RunningQuery

    static func start(on node: Node, model: String) async throws(MartletError) -> FraudPipeline {
        let engine = node.engine
        let features = "Time, \(components.joined(separator: ", ")), Amount"
        func run(_ sql: String) async throws(MartletError) {
            do throws(StatementFailure) {
                _ = try await engine.execute(sql, properties: ["auto.offset.reset": "earliest"])
            } catch {
                throw error.error
            }
        }
        try await run(
            """
            CREATE STREAM IF NOT EXISTS creditcardfraud_source (Id bigint, Timestamp varchar, User varchar, Time int, \
            \(components.map { "\($0) double" }.joined(separator: ", ")), Amount double, Class string) \
            WITH (kafka_topic='\(sourceTopic)', value_format='DELIMITED');
            """)
        try await run(
            """
            CREATE STREAM IF NOT EXISTS creditcardfraud_preprocessed_avro WITH (VALUE_FORMAT='AVRO', KAFKA_TOPIC='creditcardfraud_preprocessed_avro') \
            AS SELECT \(features), Class FROM creditcardfraud_source WHERE Class IS NOT NULL;
            """)
        try await run("CREATE MODEL IF NOT EXISTS fraud_score WITH ('path'='\(model.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''"))');")
        let threshold = try node.models.describe(name: "FRAUD_SCORE").metadata["threshold"].flatMap { Double($0) } ?? 7.5
        try await run(
            """
            CREATE STREAM IF NOT EXISTS creditcardfraud_scored WITH (VALUE_FORMAT='AVRO') \
            AS SELECT Time, Amount, Class, FRAUD_SCORE(\(features)) AS Score FROM creditcardfraud_preprocessed_avro;
            """)
        try await run(
            """
            CREATE STREAM IF NOT EXISTS fraud_alerts WITH (VALUE_FORMAT='JSON') \
            AS SELECT * FROM creditcardfraud_scored WHERE Score > \(threshold.javaDescription);
            """)
        let queries = await engine.runningQueries
        func query(into sink: String) throws(MartletError) -> RunningQuery {
            guard let query = queries.first(where: { $0.sink.name == sink }) else {
                throw MartletError(.unknownSource, "\(sink) is not written by a query of this pipeline", hint: "start with another --data directory")
            }
            if let error = query.error { throw error }
            return query
        }
        return FraudPipeline(
            engine: engine, threshold: threshold,
            statements: [
                "CREATE STREAM creditcardfraud_source (Id bigint, Timestamp varchar, User varchar, Time int, V1 double, …, Class string) …DELIMITED",
                "CREATE STREAM creditcardfraud_preprocessed_avro … AS SELECT Time, V1, …, Amount, Class FROM … WHERE Class IS NOT NULL",
                "CREATE MODEL fraud_score WITH ('path'='\(model)')",
                "CREATE STREAM creditcardfraud_scored … AS SELECT …, FRAUD_SCORE(Time, V1, …, Amount) AS Score FROM creditcardfraud_preprocessed_avro",
                "CREATE STREAM fraud_alerts … AS SELECT * FROM creditcardfraud_scored WHERE Score > \(NumberText.fixed(threshold, 3))",
            ],
            preprocess: try query(into: "CREDITCARDFRAUD_PREPROCESSED_AVRO"), score: try query(into: "CREDITCARDFRAUD_SCORED"),
            alert: try query(into: "FRAUD_ALERTS"))
    }
}
