/// The .proto files that every Protobuf installation, and Confluent's registry, knows without being given them: the messages that data uses.
///
/// Field numbers are those of the published files (protobuf.dev "Well-Known Types", googleapis "google/type", Confluent "Protobuf Schema Serializer").
enum ProtobufWellKnown {
    static func file(_ path: String) -> String? {
        guard let (package, body) = files[path] else { return nil }
        return "syntax = \"proto3\"; package \(package); \(body)"
    }

    private static let files: [String: (String, String)] = [
        "google/protobuf/timestamp.proto": (google, "message Timestamp { int64 seconds = 1; int32 nanos = 2; }"),
        "google/protobuf/duration.proto": (google, "message Duration { int64 seconds = 1; int32 nanos = 2; }"),
        "google/protobuf/any.proto": (google, "message Any { string type_url = 1; bytes value = 2; }"),
        "google/protobuf/empty.proto": (google, "message Empty { }"),
        "google/protobuf/field_mask.proto": (google, "message FieldMask { repeated string paths = 1; }"),
        "google/protobuf/source_context.proto": (google, "message SourceContext { string file_name = 1; }"),
        "google/protobuf/struct.proto": (
            google,
            """
            message Struct { map<string, Value> fields = 1; }
            message Value { oneof kind { NullValue null_value = 1; double number_value = 2; string string_value = 3; bool bool_value = 4;
              Struct struct_value = 5; ListValue list_value = 6; } }
            message ListValue { repeated Value values = 1; }
            enum NullValue { NULL_VALUE = 0; }
            """
        ),
        "google/protobuf/wrappers.proto": (
            google,
            wrappers.map { "message \($0.name) { \($0.scalar.rawValue) value = 1; }" }.joined(separator: "\n")
        ),
        // Custom options extend its messages; extensions are kept as text.
        "google/protobuf/descriptor.proto": (google, ""),
        "google/type/date.proto": (type, "message Date { int32 year = 1; int32 month = 2; int32 day = 3; }"),
        "google/type/timeofday.proto": (type, "message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }"),
        "google/type/latlng.proto": (type, "message LatLng { double latitude = 1; double longitude = 2; }"),
        "google/type/money.proto": (type, "message Money { string currency_code = 1; int64 units = 2; int32 nanos = 3; }"),
        "confluent/type/decimal.proto": ("confluent.type", "message Decimal { bytes value = 1; int32 precision = 2; int32 scale = 3; }"),
        "confluent/meta.proto": ("confluent", "message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }"),
    ]

    private static let google = "google.protobuf"
    private static let type = "google.type"

    /// Messages that hold one scalar, so that it can be absent.
    static let wrappers: [(name: String, scalar: ProtobufScalar)] = [
        ("DoubleValue", .double), ("FloatValue", .float), ("Int64Value", .int64), ("UInt64Value", .uint64), ("Int32Value", .int32),
        ("UInt32Value", .uint32), ("BoolValue", .bool), ("StringValue", .string), ("BytesValue", .bytes),
    ]

    /// What a message of one of these full names holds in SQL's terms.
    enum Meaning: Sendable, Hashable { case timestamp, date, timeOfDay, decimal, wrapper(ProtobufScalar) }

    static func meaning(_ fullName: String) -> Meaning? {
        switch fullName {
        case "google.protobuf.Timestamp": return .timestamp
        case "google.type.Date": return .date
        case "google.type.TimeOfDay": return .timeOfDay
        case "confluent.type.Decimal": return .decimal
        default:
            guard fullName.hasPrefix("google.protobuf.") else { return nil }
            let name = fullName.dropFirst("google.protobuf.".utf8.count)
            return wrappers.first { $0.name == name }.map { .wrapper($0.scalar) }
        }
    }
}
