import MartletCore

/// Whether data of one schema can be read with another (Avro specification, "Schema Resolution").
public enum AvroCompatibility {
    /// The problems a reader with schema `reader` has with data written with `writer`; empty: it can read all of them.
    ///
    /// Each problem is a path and a reason, e.g. `/AMOUNT: the reader's int cannot read the writer's string`. A text that is no schema is a
    /// problem too.
    public static func check(reader: String, writer: String, readerImports: [SchemaImport] = [], writerImports: [SchemaImport] = []) -> [String] {
        let readerSchema: AvroSchema, writerSchema: AvroSchema
        do {
            readerSchema = try AvroSchema(parsing: reader, imports: readerImports)
        } catch {
            return ["the reader's schema: \(error.message)"]
        }
        do {
            writerSchema = try AvroSchema(parsing: writer, imports: writerImports)
        } catch {
            return ["the writer's schema: \(error.message)"]
        }
        return check(reader: readerSchema, writer: writerSchema)
    }

    public static func check(reader: AvroSchema, writer: AvroSchema) -> [String] {
        var checker = Checker(reader: reader, writer: writer)
        checker.check(reader.root, writer.root, path: "")
        return checker.problems
    }

    private struct Checker {
        let reader: AvroSchema
        let writer: AvroSchema
        var problems: [String] = []
        /// Pairs of records under way or done: recursion ends at them.
        var seen: Set<String> = []

        mutating func check(_ readerType: AvroType, _ writerType: AvroType, path: String) {
            let r = reader.resolved(readerType), w = writer.resolved(writerType)
            func problem(_ reason: String) { problems.append("\(path.isEmpty ? "/" : path): \(reason)") }
            switch (r, w) {
            case (_, .union(let branches)):
                for branch in branches { check(r, branch, path: path) }
            case (.union(let branches), _):
                for branch in branches {
                    var trial = self
                    trial.problems = []
                    trial.check(branch, w, path: path)
                    if trial.problems.isEmpty {
                        seen = trial.seen
                        return
                    }
                }
                problem("no branch of the reader's union reads the writer's \(w.name)")
            case (.null, .null), (.boolean, .boolean), (.int, .int), (.long, .long), (.float, .float), (.double, .double), (.string, .string),
                (.long, .int), (.float, .int), (.float, .long), (.double, .int), (.double, .long), (.double, .float), (.string, .bytes):
                return
            case (.bytes(let a), .bytes(let b)):
                if case .decimal? = a, case .decimal? = b, a != b { problem("the decimals differ in precision or scale") }
            case (.bytes, .string): return
            case (.array(let a), .array(let b)): check(a, b, path: path + "/items")
            case (.map(let a), .map(let b)): check(a, b, path: path + "/values")
            case (.fixed(let a, let size, _), .fixed(let b, let other, _)):
                if base(a) != base(b) { problem("the reader's fixed is called \(a), the writer's \(b)") }
                if size != other { problem("the reader's fixed has \(size) bytes, the writer's \(other)") }
            case (.enumeration(let a, let symbols, let standard), .enumeration(let b, let others, _)):
                if base(a) != base(b) { problem("the reader's enum is called \(a), the writer's \(b)") }
                let missing = others.filter { !symbols.contains($0) }
                if !missing.isEmpty, standard == nil { problem("the reader's enum lacks \(missing.joined(separator: ", "))") }
            case (.record(let a), .record(let b)):
                if base(a.name) != base(b.name) { problem("the reader's record is called \(a.name), the writer's \(b.name)") }
                if !seen.insert("\(a.name) \(b.name)").inserted { return }
                for field in a.fields {
                    let at = "\(path)/\(field.name)"
                    if let other = b.fields.first(where: { $0.name == field.name }) {
                        check(field.type, other.type, path: at)
                    } else if field.defaultValue == nil {
                        problems.append("\(at): the reader's field has no default and the writer does not write it")
                    }
                }
            default: problem("the reader's \(r.name) cannot read the writer's \(w.name)")
            }
        }

        // Names are compared without namespace, as the specification asks.
        private func base(_ name: String) -> Substring { name[(name.lastIndex(of: ".").map { name.index(after: $0) } ?? name.startIndex)...] }
    }
}
