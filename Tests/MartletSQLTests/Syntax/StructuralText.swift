@testable import MartletSQL

/// A tree as text without what two spellings of the same statement may differ in: spans, source texts and quotes.
func structure(_ value: Any) -> String {
    if let identifier = value as? Identifier { return "<\(identifier.name)>" }
    let mirror = Mirror(reflecting: value)
    if mirror.children.isEmpty || value is String || value is Int128 { return String(reflecting: value) }
    if mirror.displayStyle == .optional, let some = mirror.children.first { return structure(some.value) }
    let parts = mirror.children.compactMap { child -> String? in
        if child.label == "span" || child.label == "text" || child.value is SourceSpanType { return nil }
        let label = child.label.map { $0.hasPrefix(".") ? "" : "\($0):" } ?? ""
        return label + structure(child.value)
    }
    let name = mirror.displayStyle == .collection || mirror.displayStyle == .tuple ? "" : "\(mirror.subjectType)"
    return "\(name)(\(parts.joined(separator: " ")))"
}

import MartletCore

typealias SourceSpanType = SourceSpan

func structure(of statements: [Statement]) -> String { statements.map { structure($0.node) }.joined(separator: "\n") }
