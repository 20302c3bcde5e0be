import MartletCore

#if canImport(Glibc)
    import Glibc
#endif

/// Reads messages of one plan. Top-level cells of flat columns are stored by row, on top of zeros; parts of nested values are appended.
///
/// Fields may come in any order and more than once: the last value counts, elements gather, messages merge (Protocol Buffers, "Encoding").
struct ProtobufReader {
    enum Outcome {
        case kept, unwanted
        case failed(field: Int, StaticString)
    }

    private let plan: ProtobufReadPlan
    private var base: UnsafePointer<UInt8>
    /// What `base` is in the buffer of the columns.
    private var offset: Int
    private let appenders: [ColumnAppender]
    private let slots: [ColumnAppender.Slot]
    private let extra: ExtraBytes
    private let enumTexts: EnumTexts
    /// Columns without which a row is not wanted.
    private let required: [Int]

    private static let early: StaticString = "the record ends early"

    init(plan: ProtobufReadPlan, base: UnsafePointer<UInt8>, offset: Int, appenders: [ColumnAppender], extra: ExtraBytes) {
        self.plan = plan
        self.base = base
        self.offset = offset
        self.appenders = appenders
        self.extra = extra
        slots = appenders.map(\.plainSlot)
        enumTexts = EnumTexts(plan.enums)
        required = plan.required
    }

    // MARK: records

    func read(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, row: Int) -> Outcome {
        for field in plan.nullFields { slots[field].valid[row] = false }
        for standard in plan.standards { store(standard, row) }
        var outcome = Outcome.kept
        var merged: [Int] = []
        var p = start
        plan.operations.withUnsafeBufferPointer { operations in
            slots.withUnsafeBufferPointer { slots in
                while p < end {
                    let tag = VarintScan.unsigned(&p)
                    let wire = UInt8(truncatingIfNeeded: tag & 7)
                    let number = Int(truncatingIfNeeded: tag >> 3)
                    let index = tag > 0xffff_ffff ? -1 : plan.root.member(number)
                    if index < 0 {
                        if let problem = Self.skip(wire, &p, end, depth: 0) { return outcome = .failed(field: -1, problem) }
                        continue
                    }
                    let operation = operations[index]
                    let field = Int(operation.field)
                    guard operation.code != .general, operation.wire == wire else {
                        var after = p
                        if let problem = Self.skip(wire, &after, end, depth: 0) { return outcome = .failed(field: field, problem) }
                        if let problem = general(index, wire, &p, after, row, start, end, number, &merged) {
                            if case .kept = outcome { outcome = .failed(field: field, problem) }
                            // Without a required column nobody asks for the others.
                            if required.isEmpty { return }
                        }
                        p = after
                        continue
                    }
                    let slot = slots[field]
                    slot.valid[row] = true
                    switch operation.code {
                    case .int32: slot.store(Int32(truncatingIfNeeded: VarintScan.unsigned(&p)), row)
                    case .int64: slot.store(Int64(bitPattern: VarintScan.unsigned(&p)), row)
                    case .uint32: slot.store(Int64(UInt32(truncatingIfNeeded: VarintScan.unsigned(&p))), row)
                    case .sint32: slot.store(Int32(truncatingIfNeeded: VarintScan.unfolded(VarintScan.unsigned(&p))), row)
                    case .sint64: slot.store(VarintScan.unfolded(VarintScan.unsigned(&p)), row)
                    case .boolean: slot.store(VarintScan.unsigned(&p) != 0, row)
                    case .double:
                        slot.store(Double(bitPattern: UInt64(littleEndian: UnsafeRawPointer(p).loadUnaligned(as: UInt64.self))), row)
                        p += 8
                    case .float:
                        slot.store(Double(Float(bitPattern: UInt32(littleEndian: UnsafeRawPointer(p).loadUnaligned(as: UInt32.self)))), row)
                        p += 4
                    case .text, .bytes:
                        let length = VarintScan.unsigned(&p)
                        if p > end || length > UInt64(end - p) { return outcome = .failed(field: field, Self.early) }
                        let text = UnsafeBufferPointer(start: p, count: Int(length))
                        if operation.code == .text, !UTF8Check.isValid(text) {
                            let repaired = UTF8Check.repaired(text)
                            slot.store(start: extra.keep(repaired), length: repaired.count, row)
                        } else {
                            slot.store(start: p - base, length: Int(length), row)
                        }
                        p += Int(length)
                    case .general: break
                    }
                    if p > end { return outcome = .failed(field: field, Self.early) }
                }
            }
        }
        if case .failed = outcome, required.isEmpty || p < end { return outcome }
        for (field, absent) in plan.nested { close(appenders[field], absent, at: row) }
        for field in required where !(appenders[field].valid[row]) { return .unwanted }
        return outcome
    }

    private func general(
        _ index: Int, _ wire: UInt8, _ p: inout UnsafePointer<UInt8>, _ after: UnsafePointer<UInt8>, _ row: Int, _ start: UnsafePointer<UInt8>,
        _ end: UnsafePointer<UInt8>, _ number: Int, _ merged: inout [Int]
    ) -> StaticString? {
        let member = plan.root.members[index]
        let appender = appenders[member.child]
        if !appender.type.isNested { appender.count = row }
        return read(member, wire, &p, after, appender, at: row, start, end, number, &merged, depth: 0)
    }

    /// A flat column's value for a field that may not be there.
    private func store(_ standard: (field: Int, member: Int, bytes: [UInt8]), _ row: Int) {
        let appender = appenders[standard.field]
        appender.count = row
        _ = readForeign(standard.bytes) { reader, p, end in reader.value(plan.root.members[standard.member].node, &p, end, appender, depth: 0) }
    }

    /// Reads bytes that are not in the block: kept with the columns, so that text may point into them.
    private func readForeign(_ bytes: [UInt8], _ body: (ProtobufReader, inout UnsafePointer<UInt8>, UnsafePointer<UInt8>) -> StaticString?)
        -> StaticString?
    {
        let kept = extra.keep(bytes)
        return (bytes + [UInt8](repeating: 0, count: RecordBlock.paddingBytes)).withUnsafeBufferPointer { copy in
            guard let first = copy.baseAddress else { return nil }
            var reader = self
            reader.base = first
            reader.offset = kept
            var p = first
            return body(reader, &p, first + bytes.count)
        }
    }

    // MARK: members

    /// Reads one occurrence of a field; `p` is after its tag, `end` after its value.
    private func read(
        _ member: ProtobufReadPlan.Member, _ wire: UInt8, _ p: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ appender: ColumnAppender,
        at row: Int, _ messageStart: UnsafePointer<UInt8>, _ messageEnd: UnsafePointer<UInt8>, _ number: Int, _ merged: inout [Int], depth: Int
    ) -> StaticString? {
        if depth > 100 { return "the value is nested deeper than 100 levels" }
        let expected = Self.wire(member.node)
        if member.isRepeated {
            if case .map = appender.type {
                guard wire == ProtobufWire.delimited.rawValue, case .message(let index) = member.node else { return nil }
                guard let range = Self.payload(&p, end) else { return Self.early }
                return message(index, range.start, range.end, appender.children, at: appender.children[0].count, depth: depth)
            }
            let elements = appender.children[0]
            if wire == ProtobufWire.delimited.rawValue, expected != wire {
                // Packed.
                guard let range = Self.payload(&p, end) else { return Self.early }
                var q = range.start
                while q < range.end {
                    if let problem = value(member.node, &q, range.end, elements, depth: depth) { return problem }
                    if q > range.end { return Self.early }
                }
                return nil
            }
            // A value of another kind is a field nobody knows.
            if wire != expected { return nil }
            return value(member.node, &p, end, elements, depth: depth)
        }
        if wire != expected { return nil }
        if let branch = member.branch {
            appender.truncate(to: row)
            for (i, child) in appender.children.enumerated() where i != branch { child.appendNull() }
            if let problem = value(member.node, &p, end, appender.children[branch], depth: depth) { return problem }
            appender.appendNested()
            return nil
        }
        if appender.type.isNested, appender.count > row {
            if merged.contains(number) { return nil }
            merged.append(number)
            appender.truncate(to: row)
            return merge(member.node, number, messageStart, messageEnd, appender, depth: depth)
        }
        if appender.count > row { appender.truncate(to: row) }
        return value(member.node, &p, end, appender, depth: depth)
    }

    /// A message in several pieces is what the pieces say one after another.
    private func merge(
        _ node: ProtobufReadPlan.Node, _ number: Int, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ appender: ColumnAppender, depth: Int
    ) -> StaticString? {
        guard case .message(let index) = node else { return nil }
        var pieces: [UInt8] = [], p = start
        while p < end {
            let tag = VarintScan.unsigned(&p), wire = UInt8(truncatingIfNeeded: tag & 7)
            if Int(truncatingIfNeeded: tag >> 3) == number, wire == ProtobufWire.delimited.rawValue {
                guard let range = Self.payload(&p, end) else { return Self.early }
                pieces += UnsafeBufferPointer(start: range.start, count: range.end - range.start)
            } else if let problem = Self.skip(wire, &p, end, depth: 0) {
                return problem
            }
        }
        return readForeign(pieces) { reader, p, end in
            if let problem = reader.message(index, p, end, appender.children, at: appender.count, depth: depth) { return problem }
            appender.appendNested()
            return nil
        }
    }

    /// Reads a message into one appender a field, each of which has `row` elements before.
    private func message(
        _ index: Int, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ children: [ColumnAppender], at row: Int, depth: Int
    ) -> StaticString? {
        let message = plan.messages[index]
        var p = start, merged: [Int] = []
        while p < end {
            let tag = VarintScan.unsigned(&p), wire = UInt8(truncatingIfNeeded: tag & 7), number = Int(truncatingIfNeeded: tag >> 3)
            var after = p
            if let problem = Self.skip(wire, &after, end, depth: 0) { return problem }
            let found = tag > 0xffff_ffff ? -1 : message.member(number)
            if found >= 0 {
                let member = message.members[found]
                if let problem = read(
                    member, wire, &p, after, children[member.child], at: row, start, end, number, &merged, depth: depth + 1)
                {
                    return problem
                }
            }
            p = after
        }
        for (i, child) in children.enumerated() {
            if child.type.isNested { close(child, message.absent[i], at: row) } else if child.count == row {
                switch message.absent[i] {
                case .null, .list: child.appendNull()
                case .zero: child.appendZero()
                case .written(let bytes):
                    guard let member = message.members.first(where: { $0.child == i }) else { child.appendNull(); continue }
                    if let problem = readForeign(bytes, { reader, p, end in reader.value(member.node, &p, end, child, depth: depth + 1) }) { return problem }
                }
            }
        }
        return nil
    }

    /// Ends a nested value of a row: elements were appended, or there were none.
    private func close(_ appender: ColumnAppender, _ absent: ProtobufReadPlan.Absent, at row: Int) {
        if appender.count > row { return }
        if case .list = absent { appender.appendNested() } else { appender.appendNull() }
    }

    // MARK: values

    private static func wire(_ node: ProtobufReadPlan.Node) -> UInt8 {
        switch node {
        case .scalar(let scalar): scalar.wire.rawValue
        case .enumeration: ProtobufWire.varint.rawValue
        default: ProtobufWire.delimited.rawValue
        }
    }

    private func value(
        _ node: ProtobufReadPlan.Node, _ p: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ appender: ColumnAppender, depth: Int
    ) -> StaticString? {
        switch node {
        case .scalar(let scalar): return self.scalar(scalar, &p, end, appender)
        case .enumeration(let index):
            let slice = enumTexts.slice(index, Int(Int32(truncatingIfNeeded: VarintScan.unsigned(&p))), extra)
            appender.appendSlice(start: slice.start, length: slice.length)
            return nil
        default: break
        }
        guard let range = Self.payload(&p, end) else { return Self.early }
        switch node {
        case .message(let index):
            if let problem = message(index, range.start, range.end, appender.children, at: appender.count, depth: depth) { return problem }
            appender.appendNested()
        case .wrapper(let scalar):
            var q = range.start, place: UnsafePointer<UInt8>?
            while q < range.end {
                let tag = VarintScan.unsigned(&q)
                if tag == UInt64(8 | scalar.wire.rawValue) { place = q }
                if let problem = Self.skip(UInt8(truncatingIfNeeded: tag & 7), &q, range.end, depth: 0) { return problem }
            }
            guard var place else {
                if appender.type == .string, scalar != .string { append(text: Self.zeroText(scalar), appender) } else { appender.appendZero() }
                return nil
            }
            return self.scalar(scalar, &place, range.end, appender)
        case .timestamp:
            guard let parts = Self.numbers(range) else { return Self.early }
            let (millis, over) = parts[1].multipliedReportingOverflow(by: 1000)
            let (sum, over2) = millis.addingReportingOverflow(Int64(CivilDate.floorDiv(Int(parts[2]), 1_000_000)))
            if over || over2 { return "the timestamp is out of range" }
            append(whole: sum, appender)
        case .date:
            guard let parts = Self.numbers(range) else { return Self.early }
            guard (1...9999).contains(parts[1]), (1...12).contains(parts[2]), parts[3] >= 1,
                parts[3] <= CivilDate.daysInMonth(Int(parts[1]), Int(parts[2]))
            else { return "the message is no date" }
            append(whole: Int64(CivilDate.days(year: Int(parts[1]), month: Int(parts[2]), day: Int(parts[3]))), appender)
        case .timeOfDay:
            guard let parts = Self.numbers(range) else { return Self.early }
            guard (0...23).contains(parts[1]), (0...59).contains(parts[2]), (0...59).contains(parts[3]), (0...999_999_999).contains(parts[4])
            else { return "the message is no time of day" }
            append(whole: ((parts[1] * 60 + parts[2]) * 60 + parts[3]) * 1000 + parts[4] / 1_000_000, appender)
        case .decimal: return decimal(range, appender)
        case .scalar, .enumeration: break
        }
        return nil
    }

    private func scalar(_ scalar: ProtobufScalar, _ p: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ appender: ColumnAppender)
        -> StaticString?
    {
        func integer(_ value: Int64) -> StaticString? {
            append(whole: value, appender)
            return p > end ? Self.early : nil
        }
        switch scalar {
        case .int32: return integer(Int64(Int32(truncatingIfNeeded: VarintScan.unsigned(&p))))
        case .uint32: return integer(Int64(UInt32(truncatingIfNeeded: VarintScan.unsigned(&p))))
        case .int64, .uint64: return integer(Int64(bitPattern: VarintScan.unsigned(&p)))
        case .sint32: return integer(Int64(Int32(truncatingIfNeeded: VarintScan.unfolded(VarintScan.unsigned(&p)))))
        case .sint64: return integer(VarintScan.unfolded(VarintScan.unsigned(&p)))
        case .fixed32, .sfixed32, .float:
            let bits = UInt32(littleEndian: UnsafeRawPointer(p).loadUnaligned(as: UInt32.self))
            p += 4
            if scalar == .fixed32 { return integer(Int64(bits)) }
            if scalar == .sfixed32 { return integer(Int64(Int32(bitPattern: bits))) }
            let value = Float(bitPattern: bits)
            if appender.type == .string { append(text: Double("\(value)")?.javaDescription ?? "\(value)", appender) } else { appender.append(Double(value)) }
        case .fixed64, .sfixed64, .double:
            let bits = UInt64(littleEndian: UnsafeRawPointer(p).loadUnaligned(as: UInt64.self))
            p += 8
            if scalar != .double { return integer(Int64(bitPattern: bits)) }
            let value = Double(bitPattern: bits)
            if appender.type == .string { append(text: value.javaDescription, appender) } else { appender.append(value) }
        case .bool:
            let value = VarintScan.unsigned(&p) != 0
            if appender.type == .string { append(text: value ? "true" : "false", appender) } else { appender.append(value) }
        case .string, .bytes:
            guard let range = Self.payload(&p, end) else { return Self.early }
            let text = UnsafeBufferPointer(start: range.start, count: range.end - range.start)
            if scalar == .string, !UTF8Check.isValid(text) {
                let repaired = UTF8Check.repaired(text)
                appender.appendSlice(start: extra.keep(repaired), length: repaired.count)
            } else {
                appender.appendSlice(start: range.start - base + offset, length: text.count)
            }
        }
        return p > end ? Self.early : nil
    }

    private static func zeroText(_ scalar: ProtobufScalar) -> String {
        switch scalar {
        case .bool: "false"
        case .double, .float: "0.0"
        case .string, .bytes: ""
        default: "0"
        }
    }

    /// A whole number, date or time into a column that `ProtobufReadPlan.fits` it.
    private func append(whole value: Int64, _ appender: ColumnAppender) {
        switch appender.type {
        case .integer, .date, .time: appender.append(Int32(truncatingIfNeeded: value))
        case .string: append(text: String(value), appender)
        default: appender.append(value)
        }
    }

    private func append(text: String, _ appender: ColumnAppender) {
        let bytes = Array(text.utf8)
        appender.appendSlice(start: extra.keep(bytes), length: bytes.count)
    }

    /// confluent.type.Decimal: two's complement big-endian, precision, scale.
    private func decimal(_ range: (start: UnsafePointer<UInt8>, end: UnsafePointer<UInt8>), _ appender: ColumnAppender) -> StaticString? {
        guard case .decimal(let precision, let wanted) = appender.type else { return nil }
        var q = range.start, unscaled: Int128? = 0, scale = 0
        while q < range.end {
            let tag = VarintScan.unsigned(&q)
            var after = q
            if let problem = Self.skip(UInt8(truncatingIfNeeded: tag & 7), &after, range.end, depth: 0) { return problem }
            if tag == 0x0a, let bytes = Self.payload(&q, range.end) {
                unscaled = AvroReader.integer(UnsafeBufferPointer(start: bytes.start, count: bytes.end - bytes.start))
            } else if tag == 0x18 {
                scale = Int(Int32(truncatingIfNeeded: VarintScan.unsigned(&q)))
            }
            q = after
        }
        guard let unscaled, abs(scale) < 1000,
            let fitted = NumberScan.unscaled(
                .init(negative: unscaled < 0, unscaled: unscaled.magnitude, exponent: -scale), precision: precision, scale: wanted)
        else { return "the decimal does not fit the column without rounding" }
        appender.append(fitted)
        return nil
    }

    // MARK: wire

    /// Varints of fields 1 to 4, zero where they are not there; nil if the message is cut.
    private static func numbers(_ range: (start: UnsafePointer<UInt8>, end: UnsafePointer<UInt8>)) -> [Int64]? {
        var out: [Int64] = [0, 0, 0, 0, 0], q = range.start
        while q < range.end {
            let tag = VarintScan.unsigned(&q)
            if tag & 7 == 0, (1...4).contains(tag >> 3) {
                out[Int(tag >> 3)] = Int64(bitPattern: VarintScan.unsigned(&q))
                if q > range.end { return nil }
            } else if skip(UInt8(truncatingIfNeeded: tag & 7), &q, range.end, depth: 0) != nil {
                return nil
            }
        }
        return out
    }

    /// The bytes after a length; nil if there are not as many.
    @inline(__always)
    static func payload(_ p: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> (start: UnsafePointer<UInt8>, end: UnsafePointer<UInt8>)? {
        let length = VarintScan.unsigned(&p)
        if p > end || length > UInt64(end - p) { return nil }
        let start = p
        p += Int(length)
        return (start, p)
    }

    static func skip(_ wire: UInt8, _ p: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, depth: Int) -> StaticString? {
        switch ProtobufWire(rawValue: wire) {
        case .varint: _ = VarintScan.unsigned(&p)
        case .fixed64: p += 8
        case .fixed32: p += 4
        case .delimited: if payload(&p, end) == nil { return early }
        case .startGroup:
            if depth > 100 { return "the value is nested deeper than 100 levels" }
            while true {
                if p >= end { return early }
                let tag = VarintScan.unsigned(&p), inner = UInt8(truncatingIfNeeded: tag & 7)
                if inner == ProtobufWire.endGroup.rawValue { break }
                if let problem = skip(inner, &p, end, depth: depth + 1) { return problem }
            }
        case .endGroup, nil: return "unknown kind of field"
        }
        return p > end ? early : nil
    }
}

/// Names of enum constants, each kept once a batch.
private final class EnumTexts {
    private let enums: [ProtobufEnum]
    private var slices: [[Int: (start: Int, length: Int)]]

    init(_ enums: [ProtobufEnum]) {
        self.enums = enums
        slices = enums.map { _ in [:] }
    }

    func slice(_ index: Int, _ number: Int, _ extra: ExtraBytes) -> (start: Int, length: Int) {
        if let known = slices[index][number] { return known }
        let bytes = Array(enums[index].name(of: number).utf8)
        let made = (start: extra.keep(bytes), length: bytes.count)
        slices[index][number] = made
        return made
    }
}
