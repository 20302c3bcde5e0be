import MartletCore

#if canImport(Glibc)
    import Glibc
#endif

/// Reads records of the registry's layout — magic 0, schema id (4 bytes, big-endian), Avro binary — into columns.
///
/// Unsafe pointers for the reason given at `DelimitedDecoder`; a field may read up to 10 bytes past the record into the padding, and the end is
/// compared after every field.
struct AvroDecoder: Sendable {
    private enum Known: Sendable {
        case plan(AvroReadPlan)
        case problem(String)
    }

    let request: DecodeRequest
    let unwrapped: Bool
    let schemas: (any SchemaSource)?
    private var known: [Int32: Known] = [:]

    init(request: DecodeRequest, unwrapped: Bool, schemas: (any SchemaSource)?) {
        self.request = request
        self.unwrapped = unwrapped
        self.schemas = schemas
    }

    private mutating func plan(_ id: Int32) -> Known {
        if let found = known[id] { return found }
        guard let schemas else { return .problem("there is no schema registry to ask for schema id \(id)") }
        do {
            let registered = try schemas.writerSchema(id: id)
            guard registered.type == "AVRO" else {
                let made = Known.problem("schema id \(id) is of type \(registered.type), not AVRO")
                known[id] = made
                return made
            }
            let made = Known.plan(
                try AvroReadPlan(
                    schema: try AvroSchema(parsing: registered.text, imports: try schemas.imports(of: registered)), request: request, unwrapped: unwrapped))
            known[id] = made
            return made
        } catch {
            let made = Known.problem("schema id \(id): \(error.message)")
            // A registry that cannot be reached now may be later; a schema that does not fit never will.
            if error.code == .schemaIncompatible || error.code == .schemaInvalid { known[id] = made }
            return made
        }
    }

    mutating func decode(_ slices: RecordSlices, errors: inout RowErrors) -> RecordDecoder.Decoded {
        let count = slices.count
        let appenders = request.fields.map { ColumnAppender($0.type, capacity: count) }
        let slots = appenders.map(\.slot)
        let nested = request.fields.indices.filter { request.fields[$0].type.isNested }
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
                guard length >= 5, start[0] == 0 else {
                    errors.add(row: row, column: "", length >= 5 ? "unknown magic byte, expected 0" : "expected at least 5 bytes, found \(length)")
                    row += 1
                    continue
                }
                let id = Self.id(start)
                switch plan(id) {
                case .problem(let reason):
                    errors.add(row: row, column: "", reason)
                    row += 1
                case .plan(let plan):
                    // A run of records of one schema: the plan is looked up once for all.
                    slots.withUnsafeBufferPointer { slots in
                        let reader = AvroReader(plan: plan, base: base, slots: slots, appenders: appenders, extra: extra)
                        while row < count {
                            let length = Int(slices.lengths[row]), start = base + Int(slices.starts[row])
                            if length < 5 || start[0] != 0 || Self.id(start) != id { break }
                            let out = selection.count
                            switch reader.read(start + 5, start + length, row: out) {
                            case .kept: selection.keep(row)
                            case .unwanted: reset(appenders, nested, out)
                            case .failed(let field, let reason):
                                reset(appenders, nested, out)
                                let name = field < 0 ? "" : request.fields[field].name
                                errors.add(row: row, column: name, field < 0 ? "\(reason)" : "column \(SQLType.quoted(name)): \(reason)")
                            }
                            row += 1
                        }
                    }
                }
            }
        }
        for appender in appenders where !appender.type.isNested { appender.count = selection.count }
        let joined = extra.joined(slices.buffer)
        return selection.decoded(request.output { appenders[$0].finish(joined) }, of: count)
    }

    private static func id(_ start: UnsafePointer<UInt8>) -> Int32 {
        Int32(bigEndian: UnsafeRawPointer(start + 1).loadUnaligned(as: Int32.self))
    }

    private func reset(_ appenders: [ColumnAppender], _ nested: [Int], _ row: Int) {
        for appender in appenders { appender.valid[row] = true }
        for field in nested { appenders[field].truncate(to: row) }
    }
}

/// Reads records of one plan. Top-level cells are stored by row; parts of nested values are appended.
struct AvroReader {
    enum Outcome {
        case kept, unwanted
        case failed(field: Int, StaticString)
    }

    let plan: AvroReadPlan
    let base: UnsafePointer<UInt8>
    let slots: UnsafeBufferPointer<ColumnAppender.Slot>
    let appenders: [ColumnAppender]
    let extra: ExtraBytes

    func read(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, row: Int) -> Outcome {
        var p = start
        let outcome = plan.operations.withUnsafeBufferPointer { operations -> Outcome in
            for i in 0..<operations.count {
                let operation = operations[i]
                if operation.nullByte != 0xff {
                    let branch = p.pointee
                    p += 1
                    if branch == operation.nullByte {
                        if p > end { return .failed(field: operation.field, "the record ends early") }
                        if operation.isRequired { return .unwanted }
                        if operation.field >= 0 { setNull(operation.field, row) }
                        continue
                    }
                    if branch != operation.valueByte { return .failed(field: operation.field, "unknown branch of a union") }
                }
                switch operation.code {
                case .double:
                    slots[operation.field].store(
                        Double(bitPattern: UInt64(littleEndian: UnsafeRawPointer(p).loadUnaligned(as: UInt64.self))), row)
                    p += 8
                case .float:
                    let bits = UInt32(littleEndian: UnsafeRawPointer(p).loadUnaligned(as: UInt32.self))
                    slots[operation.field].store(Double(Float(bitPattern: bits)), row)
                    p += 4
                case .int32:
                    guard let value = Int32(exactly: VarintScan.signed(&p)) else { return .failed(field: operation.field, "the int is too large") }
                    slots[operation.field].store(value, row)
                case .int32ToInt64, .int64: slots[operation.field].store(VarintScan.signed(&p), row)
                case .boolean:
                    slots[operation.field].store(p.pointee != 0, row)
                    p += 1
                case .text, .bytes:
                    let length = VarintScan.signed(&p)
                    if p > end || length < 0 || length > end - p { return .failed(field: operation.field, "the record ends early") }
                    let text = UnsafeBufferPointer(start: p, count: Int(length))
                    if operation.code == .text, !UTF8Check.isValid(text) {
                        let repaired = UTF8Check.repaired(text)
                        slots[operation.field].store(start: extra.keep(repaired), length: repaired.count, row)
                    } else {
                        slots[operation.field].store(start: p - base, length: Int(length), row)
                    }
                    p += Int(length)
                case .skipVarint: _ = VarintScan.signed(&p)
                case .skip1: p += 1
                case .skip4: p += 4
                case .skip8: p += 8
                case .skipBytes:
                    let length = VarintScan.signed(&p)
                    if p > end || length < 0 || length > end - p { return .failed(field: operation.field, "the record ends early") }
                    p += Int(length)
                case .general:
                    let appender = operation.field < 0 ? nil : appenders[operation.field]
                    if let appender {
                        appender.truncate(to: row)
                        appender.count = row
                    }
                    if let problem = general(plan.nodes[operation.node], &p, end, appender, depth: 0) {
                        return .failed(field: operation.field, problem)
                    }
                    if operation.isRequired, let appender, !appender.valid[row] { return .unwanted }
                }
                if p > end { return .failed(field: operation.field, "the record ends early") }
            }
            return .kept
        }
        guard case .kept = outcome else { return outcome }
        for field in plan.missing {
            setNull(field, row)
        }
        return .kept
    }

    @inline(__always)
    private func setNull(_ field: Int, _ row: Int) {
        let appender = appenders[field]
        appender.appendNull(at: row)
    }

    /// Reads one value of any type into `appender`, or over it; the problem if there is one.
    private func general(
        _ node: AvroReadPlan.Node, _ p: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ appender: ColumnAppender?, depth: Int
    ) -> StaticString? {
        let early: StaticString = "the record ends early"
        if p > end { return early }
        if depth > 200 { return "the value is nested deeper than 200 levels" }
        switch node {
        case .null: appender?.appendNull()
        case .boolean:
            let value = p.pointee != 0
            p += 1
            if let appender {
                if appender.type == .string { appendText(value ? "true" : "false", appender) } else { appender.append(value) }
            }
        case .int, .long:
            let value = VarintScan.signed(&p)
            guard let appender else { break }
            switch appender.type {
            case .integer, .date, .time:
                guard let small = Int32(exactly: value) else { return "the int is too large" }
                appender.append(small)
            case .string: appendText(String(value), appender)
            default: appender.append(value)
            }
        case .micros:
            let value = VarintScan.signed(&p)
            guard let appender else { break }
            let millis = value >= 0 ? value / 1000 : -((-(value + 1)) / 1000) - 1
            if appender.type == .time { appender.append(Int32(truncatingIfNeeded: millis)) } else { appender.append(millis) }
        case .float:
            let value = Float(bitPattern: UInt32(littleEndian: UnsafeRawPointer(p).loadUnaligned(as: UInt32.self)))
            p += 4
            guard let appender else { break }
            if appender.type == .string { appendText(Double("\(value)")?.javaDescription ?? "\(value)", appender) } else { appender.append(Double(value)) }
        case .double:
            let value = Double(bitPattern: UInt64(littleEndian: UnsafeRawPointer(p).loadUnaligned(as: UInt64.self)))
            p += 8
            guard let appender else { break }
            if appender.type == .string { appendText(value.javaDescription, appender) } else { appender.append(value) }
        case .bytes:
            let length = VarintScan.signed(&p)
            if p > end || length < 0 || length > end - p { return early }
            if let appender {
                let text = UnsafeBufferPointer(start: p, count: Int(length))
                if appender.type == .string, !UTF8Check.isValid(text) {
                    let repaired = UTF8Check.repaired(text)
                    appender.appendSlice(start: extra.keep(repaired), length: repaired.count)
                } else {
                    appender.appendSlice(start: p - base, length: Int(length))
                }
            }
            p += Int(length)
        case .fixed(let size):
            if size > end - p { return early }
            appender?.appendSlice(start: p - base, length: size)
            p += size
        case .enumeration(let symbols):
            let index = VarintScan.signed(&p)
            if index < 0 || index >= symbols.count { return "unknown symbol of an enum" }
            appender?.appendSlice(start: extra.keep(symbols[Int(index)]), length: symbols[Int(index)].count)
        case .decimal(let size, let scale):
            let length = size.map { Int64($0) } ?? VarintScan.signed(&p)
            if p > end || length < 0 || length > end - p { return early }
            if let appender, case .decimal(let precision, let wanted) = appender.type {
                guard let value = Self.integer(UnsafeBufferPointer(start: p, count: Int(length))),
                    let fitted = NumberScan.unscaled(
                        .init(negative: value < 0, unscaled: value.magnitude, exponent: -scale), precision: precision, scale: wanted)
                else { return "the decimal does not fit the column without rounding" }
                appender.append(fitted)
            }
            p += Int(length)
        case .array(let items):
            return blocks(&p, end, appender) { p in general(items, &p, end, appender?.children[0], depth: depth + 1) }
        case .entries(let key, let value):
            return blocks(&p, end, appender) { p in
                if let problem = general(key, &p, end, appender?.children[0], depth: depth + 1) { return problem }
                return general(value, &p, end, appender?.children[1], depth: depth + 1)
            }
        case .map(let values):
            return blocks(&p, end, appender) { p in
                if let problem = general(.bytes, &p, end, appender?.children[0], depth: depth + 1) { return problem }
                return general(values, &p, end, appender?.children[1], depth: depth + 1)
            }
        case .record(let members, let missing):
            for member in members {
                let child = member.child.flatMap { appender?.children[$0] }
                if let problem = general(member.node, &p, end, child, depth: depth + 1) { return problem }
            }
            if let appender {
                for child in missing { appender.children[child].appendNull() }
                appender.appendNested()
            }
        case .union(let branches):
            let branch = VarintScan.signed(&p)
            if branch < 0 || branch >= branches.count { return "unknown branch of a union" }
            return general(branches[Int(branch)], &p, end, appender, depth: depth + 1)
        case .choice(let members):
            let branch = VarintScan.signed(&p)
            if branch < 0 || branch >= members.count { return "unknown branch of a union" }
            guard let member = members[Int(branch)] else {
                appender?.appendNull()
                break
            }
            let child = member.child.flatMap { appender?.children[$0] }
            if let problem = general(member.node, &p, end, child, depth: depth + 1) { return problem }
            if let appender {
                for (i, other) in appender.children.enumerated() where i != member.child { other.appendNull() }
                appender.appendNested()
            }
        case .skipped(let name):
            guard let node = plan.skipped[name] else { return "unknown record type" }
            return general(node, &p, end, nil, depth: depth + 1)
        }
        return p > end ? early : nil
    }

    /// Reads the blocks of an array or map: a count (if negative, its magnitude, and the block's size follows), the items; a count of 0 ends.
    private func blocks(
        _ p: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ appender: ColumnAppender?,
        _ item: (inout UnsafePointer<UInt8>) -> StaticString?
    ) -> StaticString? {
        while true {
            if p >= end { return "the record ends early" }
            var count = VarintScan.signed(&p)
            if count == 0 { break }
            if count < 0 {
                if count == .min { return "impossible count of items" }
                count = -count
                _ = VarintScan.signed(&p)
            }
            // Items of no bytes (null) exist; a million of them in a record does not.
            if count > max(Int64(end - p), 1 << 16) { return "impossible count of items" }
            for _ in 0..<count {
                if let problem = item(&p) { return problem }
            }
        }
        appender?.appendNested()
        return p > end ? "the record ends early" : nil
    }

    private func appendText(_ text: String, _ appender: ColumnAppender) {
        let bytes = Array(text.utf8)
        appender.appendSlice(start: extra.keep(bytes), length: bytes.count)
    }

    /// Two's complement, big-endian; nil beyond 16 bytes that matter.
    static func integer(_ bytes: UnsafeBufferPointer<UInt8>) -> Int128? {
        guard let first = bytes.first else { return 0 }
        let sign: UInt8 = first & 0x80 != 0 ? 0xff : 0
        var value: Int128 = sign == 0 ? 0 : -1
        for (i, byte) in bytes.enumerated() {
            if bytes.count - i > 16 {
                if byte != sign { return nil }
                continue
            }
            value = value << 8 | Int128(byte)
        }
        if bytes.count > 16, (value < 0) != (sign != 0) { return nil }
        return value
    }
}
