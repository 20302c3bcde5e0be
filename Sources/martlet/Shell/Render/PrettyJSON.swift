import MartletCore

extension JSONValue {
    /// The document over several lines, two blanks a level; arrays of plain values stay on one line.
    func pretty(indent: Int = 0) -> String {
        let inner = String(repeating: " ", count: indent + 2), outer = String(repeating: " ", count: indent)
        switch self {
        case .array(let values) where values.contains(where: \.isNested):
            return "[\n" + values.map { inner + $0.pretty(indent: indent + 2) }.joined(separator: ",\n") + "\n\(outer)]"
        case .array(let values): return "[" + values.map(\.description).joined(separator: ", ") + "]"
        case .object(let object) where !object.members.isEmpty:
            return "{\n"
                + object.members.map { inner + JSONValue.string($0.name).description + ": " + $0.value.pretty(indent: indent + 2) }.joined(separator: ",\n")
                + "\n\(outer)}"
        default: return description
        }
    }

    private var isNested: Bool {
        switch self {
        case .array, .object: true
        default: false
        }
    }
}
