import MartletCore

/// What each format can hold (ksqlDB, "Serialization formats"), and its settings.
public enum FormatSupport {
    /// Whether records of this format can hold these columns.
    ///
    /// - Throws: `.notSupported` in ksqlDB's words, e.g. "The 'DELIMITED' format does not support type 'ARRAY', column: `A`".
    public static func check(spec: FormatSpec, fields: [Field]) throws(MartletError) {
        switch spec.kind {
        case .none:
            if let first = fields.first {
                throw MartletError(.notSupported, "The 'NONE' format can only be used when no columns are defined. Got: \(first.name)")
            }
        case .kafka:
            if fields.count > 1 {
                throw MartletError(
                    .notSupported,
                    "The 'KAFKA' format only supports a single field. Got: [\(fields.map { "\(SQLType.quoted($0.name)) \($0.type)" }.joined(separator: ", "))]"
                )
            }
            for field in fields {
                switch field.type {
                case .integer, .bigint, .double, .string, .bytes: break
                default: throw unsupported(field, in: spec.kind)
                }
            }
        case .delimited:
            for field in fields where field.type.isNested { throw unsupported(field, in: spec.kind) }
        case .json:
            for field in fields { try checkMapKeys(field.type, "JSON only supports MAP types with STRING keys") }
        case .avro:
            for field in fields { try checkMapKeys(field.type, "Avro only supports MAPs with STRING keys") }
        case .jsonSR:
            for field in fields { try checkMapKeys(field.type, "JSON_SR maps with other than STRING keys are not supported yet") }
        case .protobuf, .protobufNoSR:
            for field in fields { try checkMapKeys(field.type, "PROTOBUF format only supports MAP types with STRING keys") }
        }
        if spec.unwrapSingle, fields.count > 1 {
            throw MartletError(.badStatement, "unwrapping is only possible for a single column, there are \(fields.count)")
        }
    }

    private static func unsupported(_ field: Field, in kind: FormatKind) -> MartletError {
        MartletError(
            .notSupported,
            "The '\(kind.rawValue)' format does not support type '\(field.type.baseName)', column: \(SQLType.quoted(field.name))")
    }

    private static func checkMapKeys(_ type: SQLType, _ message: String) throws(MartletError) {
        switch type {
        case .array(let element): try checkMapKeys(element, message)
        case .map(let key, let value):
            if key != .string { throw MartletError(.notSupported, message) }
            try checkMapKeys(value, message)
        case .structure(let fields): for field in fields { try checkMapKeys(field.type, message) }
        default: break
        }
    }

    /// The byte between fields of a DELIMITED line.
    static func delimiter(of spec: FormatSpec) throws(MartletError) -> UInt8 {
        guard let text = spec.properties["delimiter"] else { return UInt8(ascii: ",") }
        switch text.uppercased() {
        case "TAB": return 0x09
        case "SPACE": return 0x20
        default: break
        }
        guard text.utf8.count == 1, let byte = text.utf8.first else {
            throw MartletError(
                .notSupported, "Invalid delimiter value: '\(text)'. Delimiter must be a single character or TAB,SPACE",
                hint: "a delimiter is one ASCII character")
        }
        return byte
    }
}
