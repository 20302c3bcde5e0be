/// Whether records of one Protobuf schema can be read with another (Confluent, "Schema Evolution and Compatibility"; Protocol Buffers, "Updating
/// a Message Type").
public enum ProtobufCompatibility {
    /// The problems a reader with schema `reader` has with records of `writer`; empty: it can read all of them.
    ///
    /// Each is a place and a reason, e.g. `FIELD_SCALAR_KIND_CHANGED #/Order/2: int32 became string`.
    public static func check(reader: ProtobufSchema, writer: ProtobufSchema) -> [String] {
        var checker = Checker(reader: reader, writer: writer)
        checker.check(reader.file.messages, writer.file.messages, reader.file.package, writer.file.package, path: "#")
        return checker.problems
    }

    private struct Checker {
        let reader: ProtobufSchema
        let writer: ProtobufSchema
        var problems: [String] = []
        var seen: Set<String> = []

        mutating func check(
            _ readers: [ProtobufFile.Message], _ writers: [ProtobufFile.Message], _ readerScope: String, _ writerScope: String, path: String
        ) {
            func joined(_ scope: String, _ name: String) -> String { scope.isEmpty ? name : "\(scope).\(name)" }
            for old in writers {
                let at = "\(path)/\(old.name)"
                guard let new = readers.first(where: { $0.name == old.name }) else {
                    problems.append("MESSAGE_REMOVED \(at): the message is not there any more")
                    continue
                }
                let newName = joined(readerScope, new.name), oldName = joined(writerScope, old.name)
                if let a = reader.messages[newName], let b = writer.messages[oldName] { check(a, b, path: at) }
                check(new.messages, old.messages, newName, oldName, path: at)
            }
        }

        mutating func check(_ new: ProtobufMessage, _ old: ProtobufMessage, path: String) {
            if !seen.insert("\(new.fullName) \(old.fullName)").inserted { return }
            for field in old.fields {
                let at = "\(path)/\(field.number)"
                guard let other = new.fields.first(where: { $0.number == field.number }) else {
                    if field.isRequired { problems.append("REQUIRED_FIELD_REMOVED \(at): \(field.name) was required") }
                    if let oneof = field.oneof, new.oneofs.contains(old.oneofs[oneof]) {
                        problems.append("ONEOF_FIELD_REMOVED \(at): \(field.name) was part of oneof \(old.oneofs[oneof])")
                    }
                    continue
                }
                check(other, field, path: at)
                if field.oneof == nil, let oneof = other.oneof, old.oneofs.contains(new.oneofs[oneof]) {
                    problems.append("FIELD_MOVED_TO_EXISTING_ONEOF \(at): \(field.name) is part of oneof \(new.oneofs[oneof]) now")
                }
            }
            for field in new.fields where field.isRequired && !old.fields.contains(where: { $0.number == field.number }) {
                problems.append("REQUIRED_FIELD_ADDED \(path)/\(field.number): \(field.name) is required and older records do not have it")
            }
            for (index, oneof) in new.oneofs.enumerated() where !old.oneofs.contains(oneof) {
                let moved = new.fields.filter { field in field.oneof == index && old.fields.contains { $0.number == field.number && $0.oneof == nil } }
                if moved.count > 1 {
                    problems.append("MULTIPLE_FIELDS_MOVED_TO_ONEOF \(path)/\(oneof): \(moved.map(\.name).joined(separator: ", ")) could be there together")
                }
            }
        }

        private enum Group { case number, zigzag, bits32, bits64, float, double, text }

        private func group(_ kind: ProtobufField.Kind) -> Group? {
            switch kind {
            case .scalar(let scalar):
                switch scalar {
                case .int32, .int64, .uint32, .uint64, .bool: .number
                case .sint32, .sint64: .zigzag
                case .fixed32, .sfixed32: .bits32
                case .fixed64, .sfixed64: .bits64
                case .float: .float
                case .double: .double
                case .string, .bytes: .text
                }
            case .enumeration: .number
            case .message: nil
            }
        }

        private func name(_ kind: ProtobufField.Kind) -> String {
            switch kind {
            case .scalar(let scalar): scalar.rawValue
            case .message(let name), .enumeration(let name): name
            }
        }

        private mutating func check(_ new: ProtobufField, _ old: ProtobufField, path: String) {
            let change = "\(name(old.kind)) became \(name(new.kind))"
            switch (group(new.kind), group(old.kind)) {
            case (let a?, let b?):
                if a != b {
                    problems.append("FIELD_SCALAR_KIND_CHANGED \(path): \(change)")
                } else if new.isRepeated != old.isRepeated, a != .text {
                    problems.append("FIELD_NUMERIC_LABEL_CHANGED \(path): repeated and single numbers are written differently")
                }
            case (nil, nil):
                guard case .message(let a) = new.kind, case .message(let b) = old.kind, let newType = reader.messages[a], let oldType = writer.messages[b] else { return }
                if newType.isMapEntry != oldType.isMapEntry {
                    problems.append("FIELD_KIND_CHANGED \(path): \(change)")
                } else if !newType.isMapEntry, a.dropFirst(reader.file.package.count) != b.dropFirst(writer.file.package.count) {
                    problems.append("FIELD_NAMED_TYPE_CHANGED \(path): \(change)")
                } else {
                    check(newType, oldType, path: path)
                }
            default: problems.append("FIELD_KIND_CHANGED \(path): \(change)")
            }
        }
    }
}
