import MartletCore

#if canImport(Glibc)
    import Glibc
#endif

/// Reads Protobuf records into columns: of the registry's layout — magic 0, schema id (4 bytes, big-endian), the message's place in its file,
/// the message — or, without a registry, of the message that the columns themselves describe.
///
/// Unsafe pointers for the reason given at `DelimitedDecoder`; a field may read up to 10 bytes past the record into the padding, and the end is
/// compared after every field.
struct ProtobufDecoder: Sendable {
    /// The plan of one writer, or why there is none.
    private enum Known: Sendable {
        case plan(ProtobufReadPlan)
        case problem(String)
    }

    private struct Writer: Hashable {
        var id: Int32
        var indexes: [Int]
    }

    let request: DecodeRequest
    let unwrapped: Bool
    let schemas: (any SchemaSource)?
    private var parsed: [Int32: ProtobufSchema] = [:]
    private var known: [Writer: Known] = [:]
    /// Of records without a header; nil: they have one.
    private var own: ProtobufReadPlan?

    init(request: DecodeRequest, spec: FormatSpec, schemas: (any SchemaSource)?) throws(MartletError) {
        self.request = request
        self.unwrapped = spec.unwrapSingle && request.fields.count == 1
        self.schemas = schemas
        if spec.kind == .protobufNoSR {
            let schema = try ProtobufSchema(file: try ProtobufTranslation.file(for: request.fields, spec: spec))
            own = try ProtobufReadPlan(schema: schema, message: try schema.message(named: nil), request: request, unwrapped: unwrapped)
        }
    }

    private mutating func plan(_ writer: Writer) -> Known {
        if let found = known[writer] { return found }
        let made: Known, isFinal: Bool
        do {
            made = .plan(try compile(writer))
            isFinal = true
        } catch {
            made = .problem("schema id \(writer.id): \(error.message)")
            // A registry that cannot be reached now may be later; a schema that does not fit never will.
            isFinal = error.code == .schemaIncompatible || error.code == .schemaInvalid
        }
        if isFinal { known[writer] = made }
        return made
    }

    private mutating func compile(_ writer: Writer) throws(MartletError) -> ProtobufReadPlan {
        if parsed[writer.id] == nil {
            guard let schemas else { throw MartletError(.notFound, "there is no schema registry to ask") }
            let registered = try schemas.writerSchema(id: writer.id)
            guard registered.type == "PROTOBUF" else {
                throw MartletError(.schemaIncompatible, "it is of type \(registered.type), not PROTOBUF")
            }
            parsed[writer.id] = try ProtobufSchema(parsing: registered.text, imports: try schemas.imports(of: registered))
        }
        guard let schema = parsed[writer.id], let message = schema.message(at: writer.indexes) else {
            throw MartletError(.schemaIncompatible, "it has no message at \(writer.indexes)")
        }
        return try ProtobufReadPlan(schema: schema, message: message, request: request, unwrapped: unwrapped)
    }

    mutating func decode(_ slices: RecordSlices, errors: inout RowErrors) -> RecordDecoder.Decoded {
        let count = slices.count
        let appenders = request.fields.map { ColumnAppender($0.type, capacity: count) }
        for appender in appenders { appender.storeZeros() }
        let extra = ExtraBytes(after: slices.buffer.count)
        var selection = RowSelection(capacity: count)

        slices.buffer.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            var row = 0
            while row < count {
                let length = Int(slices.lengths[row]), start = base + Int(slices.starts[row])
                if length < 0 {
                    if request.notNull.isEmpty {
                        for appender in appenders {
                            appender.appendNull(at: selection.count)
                        }
                        selection.keep(row, isNull: true)
                    }
                    row += 1
                    continue
                }
                if let own {
                    let reader = ProtobufReader(plan: own, base: base, offset: 0, appenders: appenders, extra: extra)
                    while row < count, slices.lengths[row] >= 0 {
                        let start = base + Int(slices.starts[row])
                        take(reader.read(start, start + Int(slices.lengths[row]), row: selection.count), row, appenders, &selection, &errors)
                        row += 1
                    }
                    continue
                }
                let header: Int
                let known: Known
                switch Self.writer(start, length) {
                case .success(let found):
                    header = found.length
                    known = plan(found.writer)
                case .failure(let problem):
                    errors.add(row: row, column: "", problem.reason)
                    row += 1
                    continue
                }
                switch known {
                case .problem(let reason):
                    errors.add(row: row, column: "", reason)
                    row += 1
                case .plan(let plan):
                    // A run of records of one message: the plan is looked up once for all.
                    let reader = ProtobufReader(plan: plan, base: base, offset: 0, appenders: appenders, extra: extra)
                    let like = start
                    while row < count {
                        let length = Int(slices.lengths[row]), start = base + Int(slices.starts[row])
                        if length < header || memcmp(start, like, header) != 0 { break }
                        take(reader.read(start + header, start + length, row: selection.count), row, appenders, &selection, &errors)
                        row += 1
                    }
                }
            }
        }
        for appender in appenders where !appender.type.isNested { appender.count = selection.count }
        let joined = extra.joined(slices.buffer)
        return selection.decoded(request.output { appenders[$0].finish(joined) }, of: count)
    }

    private func take(
        _ outcome: ProtobufReader.Outcome, _ row: Int, _ appenders: [ColumnAppender], _ selection: inout RowSelection, _ errors: inout RowErrors
    ) {
        switch outcome {
        case .kept:
            selection.keep(row)
            return
        case .unwanted: break
        case .failed(let field, let reason):
            let name = field < 0 ? "" : request.fields[field].name
            errors.add(row: row, column: name, field < 0 ? "\(reason)" : "column \(SQLType.quoted(name)): \(reason)")
        }
        let at = selection.count
        for appender in appenders {
            if appender.type.isNested { appender.truncate(to: at) } else { appender.storeZero(at) }
        }
    }

    private struct BadHeader: Error { var reason: String }

    /// Who wrote a record. The place is a count and as many indexes, all zigzag varints; a single 0 stands for the first message.
    private static func writer(_ start: UnsafePointer<UInt8>, _ length: Int) -> Result<(writer: Writer, length: Int), BadHeader> {
        guard length >= 6 else {
            return .failure(BadHeader(reason: length == 5 && start[0] == 0 ? "the record ends early" : "expected at least 6 bytes, found \(length)"))
        }
        guard start[0] == 0 else { return .failure(BadHeader(reason: "unknown magic byte, expected 0")) }
        let id = Int32(bigEndian: UnsafeRawPointer(start + 1).loadUnaligned(as: Int32.self))
        var p = start + 5, indexes: [Int] = []
        let end = start + length
        let count = VarintScan.signed(&p)
        if count == 0 { return .success((Writer(id: id, indexes: [0]), 6)) }
        guard count > 0, count <= 64 else { return .failure(BadHeader(reason: "impossible place of a message")) }
        for _ in 0..<count {
            if p >= end { return .failure(BadHeader(reason: "the record ends early")) }
            indexes.append(Int(truncatingIfNeeded: VarintScan.signed(&p)))
        }
        if p > end { return .failure(BadHeader(reason: "the record ends early")) }
        return .success((Writer(id: id, indexes: indexes), p - start))
    }
}
