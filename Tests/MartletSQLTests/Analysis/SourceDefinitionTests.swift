import MartletColumns
import MartletCore
import Testing

@testable import MartletSQL

/// CREATE STREAM and CREATE TABLE: the rules of the WITH clause as a table, and what becomes of the columns.
@Suite struct SourceDefinitionTests {
    private static func bench() -> AnalysisBench {
        var bench = AnalysisBench()
        bench.topics = ["in": 4]
        bench.registered["in-value"] =
            #"{"type":"record","name":"R","fields":[{"name":"f1","type":["null","int"],"default":null},{"name":"F2","type":"string"}]}"#
        return bench
    }

    private static func source(_ sql: String) throws -> AnalyzedSource {
        var bench = bench()
        guard case .createSource(let source) = try bench.run(sql) else { throw MartletError(.badRequest, "no source: \(sql)") }
        return source
    }

    /// Columns, WITH clause, and what the error says (nil: accepted).
    static let rules: [(columns: String, with: String, error: String?)] = [
        ("(a int)", "kafka_topic='in', value_format='JSON'", nil),
        ("(a int)", "kafka_topic='in', format='JSON', wrap_single_value=false", nil),
        ("(a int)", "kafka_topic='in', value_format='JSON', partitions='4', replicas=1, retention_ms=1000", nil),
        ("(a int)", "kafka_topic='in', value_format='DELIMITED', value_delimiter='TAB'", nil),
        ("(a int, t varchar)", "kafka_topic='in', value_format='JSON', timestamp='t', timestamp_format='yyyy'", nil),
        ("(k int key, a int)", "kafka_topic='in', value_format='JSON', window_type='Tumbling', window_size='10 seconds'", nil),
        ("(a int)", "kafka_topic='in', value_format='AVRO', value_avro_schema_full_name='a.B'", nil),
        ("(a int)", "value_format='JSON'", "Missing required property \"KAFKA_TOPIC\" which has no default value."),
        ("(a int)", "kafka_topic='in'", "Statement is missing the 'VALUE_FORMAT' property"),
        ("(a int)", "kafka_topic='in', value_format='XML'", "Unknown format: XML"),
        ("(a int)", "kafka_topic='in', value_format='JSON', format='JSON'", "Cannot supply both 'VALUE_FORMAT' and 'FORMAT' properties"),
        ("(a int)", "kafka_topic='in', value_format='JSON', partitions='many'", "Invalid value many for property PARTITIONS: Not a number of type INT"),
        ("(a int)", "kafka_topic='in', value_format='JSON', partitions=0", "Invalid value 0 for property PARTITIONS"),
        ("(a int)", "kafka_topic='in', value_format='JSON', partitions=5", "A Kafka topic with the name 'in' already exists"),
        ("(a int)", "kafka_topic='new', value_format='JSON'", "Topic 'new' does not exist."),
        ("(a int)", "kafka_topic='in', value_format='JSON', replicas=99999", "Invalid value 99999 for property REPLICAS: Not a number of type SHORT"),
        ("(a int)", "kafka_topic='in', value_format='JSON', cleanup_policy='compact'", "Invalid config variable in the WITH clause: CLEANUP_POLICY"),
        ("(a int)", "kafka_topic='in', value_format='JSON', query_id='x'", "Invalid config variable(s) in the WITH clause: QUERY_ID"),
        ("(a int)", "kafka_topic='in', value_format='JSON', wrap_single_value='perhaps'", "Invalid value perhaps for property WRAP_SINGLE_VALUE"),
        ("(a int, b int)", "kafka_topic='in', value_format='JSON', wrap_single_value=true", "'WRAP_SINGLE_VALUE' is only valid for single-field value schemas"),
        ("(a int)", "kafka_topic='in', value_format='JSON', value_delimiter='|'", "JSON does not support the following configs: [delimiter]"),
        ("(a int)", "kafka_topic='in', value_format='DELIMITED', value_delimiter='||'", "Failed to prepare statement: Configuration VALUE_DELIMITER is invalid"),
        ("(a int)", "kafka_topic='in', value_format='JSON', timestamp='zz'", "The TIMESTAMP column set in the WITH clause does not exist in the schema: 'ZZ'"),
        ("(a int, t varchar)", "kafka_topic='in', value_format='JSON', timestamp='t'", "A String timestamp field has been specified without also specifying the timestamp_format"),
        ("(a int)", "kafka_topic='in', value_format='JSON', timestamp='a'", "Timestamp column, `A`, should be LONG(INT64), TIMESTAMP, or a String with a timestamp_format specified"),
        ("(k int key, a int)", "kafka_topic='in', value_format='JSON', window_type='tumbling'", "TUMBLING windows require 'WINDOW_SIZE' to be provided in the WITH clause."),
        ("(k int key, a int)", "kafka_topic='in', value_format='JSON', window_size='1 second'", "'WINDOW_SIZE' should not be set for SESSION windows."),
        ("(k int key, a int)", "kafka_topic='in', value_format='JSON', window_type='rolling'", "Invalid value rolling for property WINDOW_TYPE: String must be one of: SESSION, HOPPING, TUMBLING, null"),
        ("(a int)", "kafka_topic=5, value_format='JSON'", "Invalid value 5 for property KAFKA_TOPIC: Expected value to be a string, but it was a java.lang.Integer"),
        ("(a int)", "kafka_topic='in', value_format='JSON', partitions=true", "Invalid value true for property PARTITIONS: Expected value to be a 32-bit integer, but it was a java.lang.Boolean"),
        ("(a int)", "kafka_topic='in', value_format='JSON', value_protobuf_nullable_representation='WRAPPER'", "Property VALUE_PROTOBUF_NULLABLE_REPRESENTATION can only be enabled with protobuf format"),
        ("(a int, t varchar)", "kafka_topic='in', value_format='JSON', timestamp='t', timestamp_format='bad{'", "Invalid datetime format for config:TIMESTAMP_FORMAT, reason:"),
        ("(k int key, a int)", "kafka_topic='in', value_format='JSON', key='k'", "Invalid config variable(s) in the WITH clause: KEY"),
        ("(a int)", "kafka_topic='in', value_format='JSON', window_type='session'", "Windowed sources require a key column."),
        ("(a int primary key)", "kafka_topic='in', value_format='JSON'", "Failed to prepare statement: Line: 1, Col: 18: Column `A` is a 'PRIMARY KEY' column"),
        ("(ROWTIME bigint)", "kafka_topic='in', value_format='JSON'", "'ROWTIME' is a reserved column name."),
        ("(a int, a int)", "kafka_topic='in', value_format='JSON'", "Duplicate column names: `A`"),
        ("(a int, h int headers)", "kafka_topic='in', value_format='JSON'", "Line: 1, Col: 25: Invalid type for HEADERS column"),
        ("(k map<string, int> key, a int)", "kafka_topic='in', format='JSON'", "Map keys, including types that contain maps, are not supported"),
        ("(k boolean key, a int)", "kafka_topic='in', value_format='JSON'", "Key format does not support schema.\nformat: KAFKA\nschema: Persistence{columns=[`K` BOOLEAN KEY], features=[]}"),
        ("(a map<int, int>)", "kafka_topic='in', value_format='AVRO'", "Value format does not support schema.\nformat: AVRO\nschema: Persistence{columns=[`A` MAP<INTEGER, INTEGER>], features=[]}\nreason: Avro only supports MAPs with STRING keys"),
        ("", "kafka_topic='in', value_format='JSON'", "No columns supplied."),
        ("(a int)", "kafka_topic='in', value_format='AVRO', value_schema_id=1", "Table elements and VALUE_SCHEMA_ID cannot both exist"),
        ("", "kafka_topic='in', value_format='AVRO'", nil),
    ]

    @Test(arguments: rules.indices)
    func rule(_ index: Int) {
        let (columns, with, message) = Self.rules[index]
        do {
            _ = try Self.source("CREATE STREAM n \(columns) WITH (\(with));")
            #expect(message == nil)
        } catch {
            let error = error as? MartletError
            #expect(message != nil && error?.message.hasPrefix(message ?? "") == true, "\(String(describing: error?.message))")
            #expect(error?.span != nil)
        }
    }

    @Test func inferredColumns() throws {
        let source = try Self.source("CREATE STREAM n (k int KEY) WITH (kafka_topic='in', value_format='AVRO');").source
        #expect(source.schema.description == "`K` INTEGER KEY, `F1` INTEGER, `F2` STRING")
    }

    /// The article's statements are older than key columns.
    @Test func legacyKeyProperty() throws {
        let stream = try Self.source("CREATE STREAM n (id bigint, a int) WITH (kafka_topic='in', value_format='JSON', KEY='Id');")
        #expect(stream.source.schema.key.isEmpty && stream.warnings.count == 1)
        let table = try Self.source("CREATE TABLE n (userid varchar, a int) WITH (kafka_topic='in', value_format='JSON', key='userid');")
        #expect(table.source.schema.description == "`USERID` STRING KEY, `A` INTEGER" && table.warnings.count == 1)
        #expect(throws: MartletError.self) { try Self.source("CREATE TABLE n (a int) WITH (kafka_topic='in', value_format='JSON', key='b');") }
    }

    @Test func formatsOfASource() throws {
        let source = try Self.source(
            "CREATE STREAM n (k int key, a int) WITH (kafka_topic='in', format='JSON', wrap_single_value=false, partitions=4);").source
        #expect(source.keyFormat == FormatSpec(.json, unwrapSingle: true) && source.valueFormat == FormatSpec(.json, unwrapSingle: true))
        #expect(source.wrapSingleValue == false)
        let delimited = try Self.source("CREATE STREAM n (a int) WITH (kafka_topic='in', value_format='DELIMITED', value_delimiter='TAB');").source
        #expect(delimited.valueFormat.properties == ["delimiter": "\t"])
    }

    @Test func replacingKeepsTheOldColumns() throws {
        var bench = Self.bench()
        try bench.run("CREATE STREAM n (k int key, a int) WITH (kafka_topic='in', value_format='JSON');")
        try bench.run("CREATE OR REPLACE STREAM n (k int key, a int, b int) WITH (kafka_topic='in', value_format='JSON');")
        let lost = bench.error("CREATE OR REPLACE STREAM n (k int key, b int) WITH (kafka_topic='in', value_format='JSON');")
        #expect(lost.contains("(The following columns are changed, missing or reordered: [`A` INTEGER, `B` INTEGER])"))
        guard case .nothingToDo(let text) = try bench.run("CREATE STREAM IF NOT EXISTS n (z int) WITH (kafka_topic='in', value_format='JSON');")
        else {
            Issue.record("IF NOT EXISTS leaves the stream alone")
            return
        }
        #expect(text == "Cannot add stream `N`: A stream with the same name already exists.")
    }

    @Test func customTypes() throws {
        var bench = Self.bench()
        try bench.run("CREATE TYPE address AS STRUCT<street STRING, town STRING>; CREATE TYPE people AS ARRAY<address>;")
        guard case .createSource(let created) = try bench.run("CREATE STREAM n (p people) WITH (kafka_topic='in', value_format='JSON');") else {
            Issue.record("no source")
            return
        }
        #expect(created.source.schema.description == "`P` ARRAY<STRUCT<`STREET` STRING, `TOWN` STRING>>")
        try bench.run("DROP TYPE people;")
        #expect(bench.catalog.types.keys.sorted() == ["ADDRESS"])
    }
}
