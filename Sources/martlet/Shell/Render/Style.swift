/// Colours, if the place where the text goes has them.
public struct Style: Sendable {
    public var isColoured: Bool
    public init(isColoured: Bool) { self.isColoured = isColoured }

    public enum Colour: String, Sendable { case red = "31", green = "32", yellow = "33", bold = "1", faint = "2" }

    public func paint(_ colour: Colour, _ text: String) -> String { isColoured ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text }

    /// `text` without colours. Values never hold an escape character: `CellText.printable` sees to that.
    static func plain(_ text: String) -> String {
        guard text.utf8.contains(0x1B) else { return text }
        var out: [UInt8] = []
        var isCode = false
        for byte in text.utf8 {
            if byte == 0x1B { isCode = true }
            if !isCode { out.append(byte) }
            if isCode, byte == UInt8(ascii: "m") { isCode = false }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
