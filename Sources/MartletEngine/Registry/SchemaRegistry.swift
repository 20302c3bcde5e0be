import MartletColumns
import MartletCore
import MartletLog
import Synchronization

/// Subjects, versions and ids of schemas: what serializers of every client ask a Schema Registry for.
///
/// Durable in the compacted topic `_schemas`, whose records have the shape that Confluent's Schema Registry gives them, so that a topic
/// copied from there is read as well. Ids are given out once and mean the same schema for ever; equal schemas share an id.
/// Writes block until they are durable: call them from threads that may.
public final class SchemaRegistry: Sendable, SchemaSource {
    public enum Compatibility: String, Sendable, CaseIterable {
        case none = "NONE", backward = "BACKWARD", forward = "FORWARD", full = "FULL"
        case backwardTransitive = "BACKWARD_TRANSITIVE", forwardTransitive = "FORWARD_TRANSITIVE", fullTransitive = "FULL_TRANSITIVE"

        var checksBackward: Bool { self == .backward || self == .full || self == .backwardTransitive || self == .fullTransitive }
        var checksForward: Bool { self == .forward || self == .full || self == .forwardTransitive || self == .fullTransitive }
        var isTransitive: Bool { self == .backwardTransitive || self == .forwardTransitive || self == .fullTransitive }
    }

    /// What may be done to a subject (Confluent, "Schema Registry API Reference", modes).
    public enum Mode: String, Sendable, CaseIterable {
        case readWrite = "READWRITE", readOnly = "READONLY", readOnlyOverride = "READONLY_OVERRIDE"
        /// Schemas come with the ids they had elsewhere, and are not compared with others.
        case importing = "IMPORT"
    }

    public struct Version: Sendable {
        public var subject: String
        /// From 1.
        public var version: Int
        public var id: Int32
        public var schema: RegisteredSchema
        public var isDeleted: Bool
    }

    private struct State {
        var subjects: [String: [Version]] = [:]
        var schemas: [Int32: RegisteredSchema] = [:]
        var ids: [RegisteredSchema: Int32] = [:]
        var global = Compatibility.backward
        var levels: [String: Compatibility] = [:]
        var globalMode = Mode.readWrite
        var modes: [String: Mode] = [:]
        var nextID: Int32 = 1
    }

    private let state = Mutex(State())
    /// Held by a writer from its check to its durable record.
    private let writing = Mutex(())
    /// Nil: nothing is kept beyond this object.
    private let partition: PartitionLog?
    private let time: TimeSource

    public static let topic = "_schemas"

    public init(log: EmbeddedLog, time: TimeSource) throws(MartletError) {
        if log.topic(Self.topic) == nil {
            try log.createTopic(Self.topic, partitions: 1, settings: ["cleanup.policy": "compact"])
        }
        guard let partition = log.partition(TopicPartition(Self.topic, 0)) else {
            throw MartletError(.internalError, "topic \(Self.topic) has no partition 0")
        }
        self.partition = partition
        self.time = time
        try replay(partition)
    }

    /// A registry that forgets everything with its end: for runs that leave nothing behind.
    public init(inMemory time: TimeSource) {
        partition = nil
        self.time = time
    }

    // MARK: - Looking up

    public func schema(id: Int32) -> RegisteredSchema? { state.withLock { $0.schemas[id] } }

    public func writerSchema(id: Int32) throws(MartletError) -> RegisteredSchema {
        guard let schema = schema(id: id) else { throw MartletError(.notFound, "Schema \(id) not found") }
        return schema
    }

    public func referencedSchema(_ reference: RegisteredSchema.Reference) throws(MartletError) -> RegisteredSchema {
        guard let found = versions(of: reference.subject, includingDeleted: true).first(where: { $0.version == reference.version }) else {
            throw MartletError(.schemaInvalid, "reference '\(reference.name)' names version \(reference.version) of subject '\(reference.subject)', which does not exist")
        }
        return found.schema
    }

    public func subjects(includingDeleted: Bool = false) -> [String] {
        state.withLock { state in
            state.subjects.filter { $0.value.contains { includingDeleted || !$0.isDeleted } }.keys.sorted()
        }
    }

    public func versions(of subject: String, includingDeleted: Bool = false) -> [Version] {
        state.withLock { ($0.subjects[subject] ?? []).filter { includingDeleted || !$0.isDeleted } }
    }

    /// Newest version that is not deleted.
    public func latest(subject: String) -> Version? { versions(of: subject).last }

    /// Subjects and versions that use an id.
    public func uses(ofID id: Int32, includingDeleted: Bool = false) -> [Version] {
        state.withLock { state in
            state.subjects.values.flatMap { $0 }.filter { $0.id == id && (includingDeleted || !$0.isDeleted) }
                .sorted { ($0.subject, $0.version) < ($1.subject, $1.version) }
        }
    }

    /// The last id given out.
    public var greatestID: Int32 { state.withLock { $0.nextID - 1 } }

    /// The version of `subject` that has exactly this schema, or with `normalizes` one that declares the same in another order.
    public func lookup(_ schema: RegisteredSchema, subject: String, includingDeleted: Bool = false, normalizes: Bool = false) throws(MartletError)
        -> Version?
    {
        let wanted = try canonical(schema, normalizes: normalizes)
        for version in versions(of: subject, includingDeleted: includingDeleted) {
            if version.schema == wanted { return version }
            if normalizes, version.schema.type == wanted.type, try canonical(version.schema, normalizes: true) == wanted { return version }
        }
        return nil
    }

    public func level(of subject: String?) -> Compatibility? {
        state.withLock { state in subject.map { state.levels[$0] } ?? state.global }
    }

    // MARK: - Changing

    /// Registers a schema under a subject, or finds it there.
    ///
    /// - `id`: the id it must get (import); nil: the next free one, or that of the same schema elsewhere.
    /// - `version`: the number it must get, with an id; nil: the next one.
    /// - `normalizes`: the schema is kept, and found, in an order of its own.
    /// - Throws: `.schemaInvalid`, `.schemaIncompatible` with the reasons, `.schemaReadOnly`, `.io`.
    public func register(
        subject: String, schema: RegisteredSchema, id: Int32? = nil, version: Int? = nil, normalizes: Bool = false
    ) throws(MartletError) -> Int32 {
        let wanted = try canonical(schema, normalizes: normalizes)
        if let known = try lookup(wanted, subject: subject, normalizes: normalizes), id == nil || id == known.id { return known.id }
        return try write { () throws(MartletError) in
            if let known = try lookup(wanted, subject: subject, normalizes: normalizes), id == nil || id == known.id { return known.id }
            try checkWritable(subject)
            let problems = mode(appliedTo: subject) == .importing ? [] : try problems(wanted, subject: subject)
            if !problems.isEmpty {
                throw MartletError(
                    .schemaIncompatible, "Schema being registered is incompatible with an earlier schema for subject \"\(subject)\"",
                    detail: problems.joined(separator: "; "))
            }
            let (newID, number) = state.withLock { state in
                (id ?? state.ids[wanted] ?? state.nextID, (id == nil ? nil : version) ?? (state.subjects[subject]?.last?.version ?? 0) + 1)
            }
            if let id, let other = self.schema(id: id), other != wanted {
                throw MartletError(.schemaInvalid, "Overwrite new schema with id \(id) is not permitted.")
            }
            let version = Version(subject: subject, version: number, id: newID, schema: wanted, isDeleted: false)
            try append(version)
            return newID
        }
    }

    /// Deletes a subject's versions, softly or for good.
    /// - Returns: the versions deleted.
    @discardableResult
    public func deleteSubject(_ subject: String, permanently: Bool) -> [Int] {
        let found = versions(of: subject, includingDeleted: permanently)
        return found.compactMap { deleteVersion($0, permanently: permanently) ? $0.version : nil }
    }

    /// - Returns: false if the deletion could not be made durable.
    public func deleteVersion(_ version: Version, permanently: Bool) -> Bool {
        do {
            try write { () throws(MartletError) in
                var deleted = version
                deleted.isDeleted = true
                if permanently {
                    // Records written with the schema may live on: its id keeps its meaning and is never given out again.
                    var kept: JSONObject = [
                        "id": .int(version.id), "schema": .string(version.schema.text), "schemaType": .string(version.schema.type),
                    ]
                    if let references = Self.references(version.schema) { kept["references"] = references }
                    try append(key: ["keytype": "ID", "id": .int(version.id), "magic": 0], value: .object(kept))
                    try append(key: Self.key(version), value: nil)
                    remove(version)
                } else {
                    try append(deleted)
                }
            }
            return true
        } catch {
            return false
        }
    }

    /// - `subject`: nil for the global mode; `mode`: nil for the default, which for a subject is the global one.
    /// - Throws: `.schemaReadOnly` if schemas are to be imported where there are others, unless forced.
    public func setMode(_ mode: Mode?, of subject: String?, forced: Bool = false) throws(MartletError) {
        try write { () throws(MartletError) in
            let others = subject.map { [$0].filter { !versions(of: $0).isEmpty } } ?? subjects()
            if mode == .importing, !forced, !others.isEmpty {
                throw MartletError(.schemaReadOnly, "Cannot import since found existing subjects")
            }
            try append(
                key: ["keytype": "MODE", "subject": subject.map { .string($0) } ?? .null, "magic": 0],
                value: mode.map { ["subject": subject.map { .string($0) } ?? .null, "mode": .string($0.rawValue)] })
            state.withLock { state in
                if let subject { state.modes[subject] = mode } else { state.globalMode = mode ?? .readWrite }
            }
        }
    }

    /// The mode set for a subject, or the global one.
    public func mode(of subject: String?) -> Mode? { state.withLock { state in subject.map { state.modes[$0] } ?? state.globalMode } }

    /// The mode that counts for a subject: one that overrides, its own, the global one.
    public func mode(appliedTo subject: String) -> Mode {
        state.withLock { $0.globalMode == .readOnlyOverride ? .readOnlyOverride : $0.modes[subject] ?? $0.globalMode }
    }

    /// - Throws: `.schemaReadOnly`.
    public func checkWritable(_ subject: String) throws(MartletError) {
        switch mode(appliedTo: subject) {
        case .readOnly, .readOnlyOverride: throw MartletError(.schemaReadOnly, "Subject \(subject) is in read-only mode")
        case .readWrite, .importing: break
        }
    }

    /// Versions that refer to one.
    public func users(of version: Version) -> [Version] {
        state.withLock { state in
            state.subjects.values.flatMap { $0 }.filter { user in
                !user.isDeleted && user.schema.references.contains { $0.subject == version.subject && $0.version == version.version }
            }.sorted { ($0.subject, $0.version) < ($1.subject, $1.version) }
        }
    }

    /// - Throws: `.schemaReferenced` if other schemas need this one.
    public func checkUnreferenced(_ version: Version) throws(MartletError) {
        if users(of: version).isEmpty { return }
        throw MartletError(
            .schemaReferenced,
            "One or more references exist to the schema {magic=1,keytype=SCHEMA,subject=\(version.subject),version=\(version.version)}.")
    }

    /// - `subject`: nil for the global level.
    public func setLevel(_ level: Compatibility?, of subject: String?) throws(MartletError) {
        try write { () throws(MartletError) in
            try append(
                key: ["keytype": "CONFIG", "subject": subject.map { .string($0) } ?? .null, "magic": 0],
                value: level.map { ["subject": subject.map { .string($0) } ?? .null, "compatibilityLevel": .string($0.rawValue)] })
            state.withLock { state in
                if let subject { state.levels[subject] = level } else { state.global = level ?? .backward }
            }
        }
    }

    // MARK: - Records

    private func write<R>(_ body: () throws(MartletError) -> R) throws(MartletError) -> R {
        let result: Result<R, MartletError> = writing.withLock { _ in
            do throws(MartletError) {
                return .success(try body())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private static func key(_ version: Version) -> JSONValue {
        ["keytype": "SCHEMA", "subject": .string(version.subject), "version": .int(version.version), "magic": 1]
    }

    private func append(_ version: Version) throws(MartletError) {
        var value: JSONObject = [
            "subject": .string(version.subject), "version": .int(version.version), "id": .int(version.id),
            "schema": .string(version.schema.text), "deleted": .bool(version.isDeleted),
        ]
        if version.schema.type != "AVRO" { value["schemaType"] = .string(version.schema.type) }
        if let references = Self.references(version.schema) { value["references"] = references }
        try append(key: Self.key(version), value: .object(value))
        enter(version)
    }

    private static func references(_ schema: RegisteredSchema) -> JSONValue? {
        if schema.references.isEmpty { return nil }
        return .array(schema.references.map { ["name": .string($0.name), "subject": .string($0.subject), "version": .int($0.version)] })
    }

    private static func references(_ value: JSONValue?) -> [RegisteredSchema.Reference] {
        (value?["references"]?.arrayValue ?? []).map {
            RegisteredSchema.Reference(
                name: $0["name"]?.stringValue ?? "", subject: $0["subject"]?.stringValue ?? "", version: $0["version"]?.intValue ?? 0)
        }
    }

    private func append(key: JSONValue, value: JSONValue?) throws(MartletError) {
        guard let partition else { return }
        var keyBytes: [UInt8] = [], valueBytes: [UInt8] = []
        key.write(to: &keyBytes)
        value?.write(to: &valueBytes)
        var builder = RecordBatchBuilder()
        keyBytes.withUnsafeBytes { key in
            valueBytes.withUnsafeBytes { bytes in
                builder.append(timestamp: time.wallMs, key: key, value: value == nil ? nil : bytes, headers: nil)
            }
        }
        _ = try partition.appendDurably(&builder)
    }

    private func enter(_ version: Version) {
        state.withLock { state in
            var versions = state.subjects[version.subject] ?? []
            if let i = versions.firstIndex(where: { $0.version == version.version }) {
                versions[i] = version
            } else {
                versions.append(version)
                versions.sort { $0.version < $1.version }
            }
            state.subjects[version.subject] = versions
            state.schemas[version.id] = version.schema
            state.ids[version.schema] = version.id
            state.nextID = max(state.nextID, version.id + 1)
        }
    }

    private func remove(_ version: Version) {
        state.withLock { $0.subjects[version.subject]?.removeAll { $0.version == version.version } }
    }

    private func replay(_ partition: PartitionLog) throws(MartletError) {
        var position = partition.startOffset
        var reused: RecordBlock?
        while position < partition.highWatermark {
            let block = try partition.readBlock(from: position, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &reused)
            if block.nextOffset == position { break }
            for row in 0..<block.count {
                guard let keyBytes = block.key(row) else { continue }
                let key = try JSONValue(parsing: Array(keyBytes))
                let value = try block.value(row).map { bytes throws(MartletError) in try JSONValue(parsing: Array(bytes)) }
                replay(key, value)
            }
            position = block.nextOffset
        }
    }

    private func replay(_ key: JSONValue, _ value: JSONValue?) {
        let subject = key["subject"]?.stringValue
        switch key["keytype"]?.stringValue {
        case "SCHEMA":
            guard let subject, let number = key["version"]?.intValue else { return }
            guard let value, let id = value["id"]?.intValue, let text = value["schema"]?.stringValue else {
                state.withLock { $0.subjects[subject]?.removeAll { $0.version == number } }
                return
            }
            enter(
                Version(
                    subject: subject, version: number, id: Int32(id),
                    schema: RegisteredSchema(type: value["schemaType"]?.stringValue ?? "AVRO", text: text, references: Self.references(value)),
                    isDeleted: value["deleted"]?.boolValue ?? false))
        case "ID":
            guard let id = value?["id"]?.intValue, let text = value?["schema"]?.stringValue else { return }
            let schema = RegisteredSchema(type: value?["schemaType"]?.stringValue ?? "AVRO", text: text, references: Self.references(value))
            state.withLock { state in
                state.schemas[Int32(id)] = schema
                if state.ids[schema] == nil { state.ids[schema] = Int32(id) }
                state.nextID = max(state.nextID, Int32(id) + 1)
            }
        case "CONFIG":
            let level = value?["compatibilityLevel"]?.stringValue.flatMap { Compatibility(rawValue: $0) }
            state.withLock { state in
                if let subject { state.levels[subject] = level } else { state.global = level ?? .backward }
            }
        case "MODE":
            let mode = value?["mode"]?.stringValue.flatMap { Mode(rawValue: $0) }
            state.withLock { state in
                if let subject { state.modes[subject] = mode } else { state.globalMode = mode ?? .readWrite }
            }
        default: break
        }
    }
}

extension RegisteredSchema {
    /// The registry's name of a format's schemas: AVRO, JSON, PROTOBUF.
    public init(kind: FormatKind, text: String) { self.init(type: kind == .jsonSR ? "JSON" : kind.rawValue, text: text) }

    public var kind: FormatKind {
        switch type {
        case "JSON": .jsonSR
        case "PROTOBUF": .protobuf
        default: .avro
        }
    }
}
