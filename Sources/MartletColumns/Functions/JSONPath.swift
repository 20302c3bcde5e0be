import MartletCore

/// A path into a JSON document as EXTRACTJSONFIELD takes it: `$.a.b[0]`, `$['a']`; `$` alone is the document. What a step means is for the value
/// to say: `.0` is an array's first element, `[0]` an object's member "0".
struct JSONPath {
    enum Step {
        case member(String)
        case element(Int)
    }

    private(set) var steps: [Step] = []

    init(_ text: String) throws(KernelFailure) {
        let bytes = Array(text.utf8)
        func fail() -> KernelFailure { KernelFailure("a JSON path looks like $.name.name[0]") }
        guard bytes.first == UInt8(ascii: "$") else { throw fail() }
        var at = 1
        while at < bytes.count {
            if bytes[at] == UInt8(ascii: ".") {
                let end = bytes[(at + 1)...].firstIndex { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "[") } ?? bytes.count
                if end == at + 1 { throw fail() }
                steps.append(.member(String(decoding: bytes[(at + 1)..<end], as: UTF8.self)))
                at = end
            } else if bytes[at] == UInt8(ascii: "[") {
                guard let end = bytes[at...].firstIndex(of: UInt8(ascii: "]")) else { throw fail() }
                let inside = String(decoding: bytes[(at + 1)..<end], as: UTF8.self)
                if let index = Int(inside) {
                    steps.append(.element(index))
                } else if !inside.isEmpty, inside.utf8.allSatisfy({ ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7a) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x5f }) {
                    steps.append(.member(inside))
                } else if inside.utf8.count > 1, let quote = inside.utf8.first, quote == 0x22 || quote == 0x27, inside.utf8.last == quote {
                    steps.append(.member(String(inside.dropFirst().dropLast())))
                } else {
                    throw fail()
                }
                at = end + 1
            } else {
                throw fail()
            }
        }
    }

    func find(in document: JSONValue) -> JSONValue? {
        var current = document
        for step in steps {
            switch step {
            case .member(let name):
                if let array = current.arrayValue {
                    guard let index = Int(name), array.indices.contains(index) else { return nil }
                    current = array[index]
                } else {
                    guard let next = current[name] else { return nil }
                    current = next
                }
            case .element(let index):
                if let array = current.arrayValue {
                    guard array.indices.contains(index) else { return nil }
                    current = array[index]
                } else {
                    guard let next = current[String(index)] else { return nil }
                    current = next
                }
            }
        }
        return current
    }
}
