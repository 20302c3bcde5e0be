/// A key as a terminal sends it.
public enum Key: Sendable, Hashable {
    /// What is typed, one grapheme cluster at a time is not promised: a combining mark may come alone.
    case text(String)
    /// Text pasted in one go (bracketed paste), line breaks included.
    case paste(String)
    case enter, tab, escape, backspace, delete
    case left, right, up, down, home, end, wordLeft, wordRight
    /// Ctrl with a letter, e.g. `.control("R")`.
    case control(Character)
    case killWordLeft, killWordRight
    case unknown
}

/// Turns the bytes of a terminal into keys, whatever pieces they come in.
///
/// Escape sequences are those of xterm and the Linux console: `ESC [ … letter`, `ESC [ n ~`, `ESC O letter`, `ESC letter` for Alt.
public struct KeyDecoder: Sendable {
    private var pending: [UInt8] = []
    private var pasted: [UInt8]?

    private static let pasteEnd: [UInt8] = Array("\u{1B}[201~".utf8)

    public init() {}

    /// Whether bytes of an unfinished key wait; after a lone ESC `flush` tells that nothing follows.
    public var isWaiting: Bool { !pending.isEmpty }

    public mutating func feed(_ bytes: some Sequence<UInt8>) -> [Key] {
        var keys: [Key] = []
        pending += bytes
        while let key = take() { keys.append(key) }
        return keys
    }

    /// No more bytes came for a while: a waiting ESC is the key itself, other halves are dropped.
    public mutating func flush() -> [Key] {
        guard pasted == nil, !pending.isEmpty else { return [] }
        let isEscape = pending == [0x1B]
        pending = []
        return [isEscape ? .escape : .unknown]
    }

    /// The first key of `pending`, nil if it is not complete.
    private mutating func take() -> Key? {
        if pasted != nil { return takePaste() }
        guard let first = pending.first else { return nil }
        switch first {
        case 0x1B: return takeEscape()
        case 0x0D, 0x0A: return drop(1, .enter)
        case 0x09: return drop(1, .tab)
        case 0x08, 0x7F: return drop(1, .backspace)
        case 0x00..<0x20: return drop(1, first == 0 ? .unknown : .control(Character(Unicode.Scalar(first + 0x40))))
        default: return takeText()
        }
    }

    private mutating func drop(_ count: Int, _ key: Key) -> Key {
        pending.removeFirst(count)
        return key
    }

    /// All printable bytes up to the next control byte, as far as they are whole characters.
    private mutating func takeText() -> Key? {
        var end = 0
        while end < pending.count, pending[end] >= 0x20, pending[end] != 0x7F {
            let byte = pending[end]
            let length = byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
            if end + length > pending.count { break }
            end += length
        }
        if end == 0 { return nil }
        let text = String(decoding: pending[..<end], as: UTF8.self)
        return drop(end, .text(text))
    }

    private mutating func takePaste() -> Key? {
        let marker = Self.pasteEnd
        while !pending.isEmpty {
            if pending.starts(with: marker) {
                pending.removeFirst(marker.count)
                let text = String(decoding: pasted ?? [], as: UTF8.self)
                pasted = nil
                return .paste(text)
            }
            if pending.count < marker.count, marker.starts(with: pending) { return nil }
            pasted?.append(pending.removeFirst())
        }
        return nil
    }

    private mutating func takeEscape() -> Key? {
        guard pending.count > 1 else { return nil }
        switch pending[1] {
        case UInt8(ascii: "["): return takeSequence()
        case UInt8(ascii: "O"):
            guard pending.count > 2 else { return nil }
            return drop(3, Self.letterKey(pending[2], isWord: false))
        case UInt8(ascii: "b"): return drop(2, .wordLeft)
        case UInt8(ascii: "f"): return drop(2, .wordRight)
        case UInt8(ascii: "d"): return drop(2, .killWordRight)
        case 0x08, 0x7F: return drop(2, .killWordLeft)
        case 0x1B: return drop(1, .escape)
        default: return drop(2, .unknown)
        }
    }

    /// `ESC [ parameters final`, e.g. `ESC [ 1 ; 5 D` for Ctrl-Left.
    private mutating func takeSequence() -> Key? {
        var end = 2
        while end < pending.count, pending[end] >= 0x20, pending[end] < 0x40 { end += 1 }
        guard end < pending.count else { return pending.count > 32 ? drop(pending.count, .unknown) : nil }
        let parameters = String(decoding: pending[2..<end], as: UTF8.self).split(separator: ";").map(String.init)
        let final = pending[end]
        guard final == UInt8(ascii: "~") else {
            // A second parameter is 1 + the modifiers: 3 Alt, 5 Ctrl.
            return drop(end + 1, Self.letterKey(final, isWord: parameters.count > 1 && ["3", "5", "7"].contains(parameters[1])))
        }
        switch parameters.first {
        case "1", "7": return drop(end + 1, .home)
        case "4", "8": return drop(end + 1, .end)
        case "3": return drop(end + 1, .delete)
        case "200":
            pending.removeFirst(end + 1)
            pasted = []
            return take()
        default: return drop(end + 1, .unknown)
        }
    }

    private static func letterKey(_ byte: UInt8, isWord: Bool) -> Key {
        switch byte {
        case UInt8(ascii: "A"): .up
        case UInt8(ascii: "B"): .down
        case UInt8(ascii: "C"): isWord ? .wordRight : .right
        case UInt8(ascii: "D"): isWord ? .wordLeft : .left
        case UInt8(ascii: "H"): .home
        case UInt8(ascii: "F"): .end
        default: .unknown
        }
    }
}
