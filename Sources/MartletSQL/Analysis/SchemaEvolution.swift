import MartletColumns
import MartletCore

/// Which changes CREATE OR REPLACE and ALTER may make: kind, key and existing columns stay, new columns come last (ksqlDB, "ALTER STREAM").
enum SchemaEvolution {
    static func check(from old: Source, to new: Source, at span: SourceSpan) throws(MartletError) {
        func refuse(_ reason: String) -> MartletError {
            MartletError(.badStatement, "Cannot upgrade data source: DataSource '\(SQLType.quoted(old.name))' \(reason)", at: span)
        }
        if old.isSource {
            let kind = old.kind.rawValue.lowercased()
            throw MartletError(
                .badStatement, "Cannot add \(kind) '\(old.name)': CREATE OR REPLACE is not supported on source \(kind)s.", at: span)
        }
        if old.kind != new.kind { throw refuse("has type = \(old.kind.rawValue) which is not upgradeable to \(new.kind.rawValue)") }
        if old.topic != new.topic { throw refuse("has topic = \(old.topic) which is not upgradeable to \(new.topic)") }
        if old.keyFormat.kind != new.keyFormat.kind {
            throw refuse("has key format = \(old.keyFormat.kind.rawValue) which is not upgradeable to \(new.keyFormat.kind.rawValue)")
        }
        if old.valueFormat.kind != new.valueFormat.kind {
            throw refuse("has value format = \(old.valueFormat.kind.rawValue) which is not upgradeable to \(new.valueFormat.kind.rawValue)")
        }
        let keysDiffer = old.schema.key != new.schema.key
        let changed = old.schema.value.enumerated().filter { $0.offset >= new.schema.value.count || new.schema.value[$0.offset] != $0.element }
        if keysDiffer || !changed.isEmpty {
            let columns = (keysDiffer ? old.schema.key : []) + changed.map(\.element)
            throw refuse(
                "has schema = \(old.schema) which is not upgradeable to \(new.schema). (The following columns are changed, missing or reordered: [\(columns.map { "\(SQLType.quoted($0.name)) \($0.type)" }.joined(separator: ", "))])"
            )
        }
    }
}
