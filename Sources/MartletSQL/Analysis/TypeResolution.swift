import MartletCore

extension TypeName {
    /// The type with custom types replaced by what they stand for.
    ///
    /// - Throws: `.unknownType` with the type's place.
    public func resolved(in types: [String: SQLType]) throws(MartletError) -> SQLType {
        switch node {
        case .primitive(let type):
            return type
        case .array(let element):
            return .array(try element.resolved(in: types))
        case .map(let key, let value):
            return .map(key: try key.resolved(in: types), value: try value.resolved(in: types))
        case .structure(let members):
            var fields: [Field] = []
            for member in members {
                if fields.contains(where: { $0.name == member.name.name }) {
                    throw MartletError(.badStatement, "Duplicate field names found in STRUCT: \(SQLType.quoted(member.name.name))", at: member.name.span)
                }
                fields.append(Field(member.name.name, try member.type.resolved(in: types)))
            }
            return .structure(fields)
        case .custom(let name):
            if let type = types[name.name] { return type }
            throw MartletError(
                .unknownType, "Cannot resolve unknown type: \(name.name)", at: name.span,
                hint: types.isEmpty ? nil : "registered types are \(types.keys.sorted().joined(separator: ", "))")
        }
    }
}
