import MartletCore

/// A LIKE pattern: `%` any run of characters but line breaks, `_` one character but a line break, anything else itself; no escape unless
/// one is given. Matches the whole string (ksqlDB, "LIKE").
struct LikePattern: Sendable {
    private enum Token: Sendable, Equatable {
        case bytes([UInt8])
        case one
        case any
    }

    private let tokens: [Token]

    init(_ pattern: String, escape: String?) throws(MartletError) {
        var tokens: [Token] = [], literal: [UInt8] = []
        func flush(_ tokens: inout [Token], _ literal: inout [UInt8]) {
            if !literal.isEmpty { tokens.append(.bytes(literal)) }
            literal = []
        }
        let mark = escape?.unicodeScalars.first
        var escaped = false
        for scalar in pattern.unicodeScalars {
            if escaped {
                literal += Array(String(scalar).utf8)
                escaped = false
            } else if scalar == mark {
                escaped = true
            } else if scalar == "%" {
                flush(&tokens, &literal)
                if tokens.last != .any { tokens.append(.any) }
            } else if scalar == "_" {
                flush(&tokens, &literal)
                tokens.append(.one)
            } else {
                literal += Array(String(scalar).utf8)
            }
        }
        if escaped { throw MartletError(.badStatement, "LIKE pattern must not end with escape character") }
        flush(&tokens, &literal)
        self.tokens = tokens
    }

    func matches(_ text: ArraySlice<UInt8>) -> Bool {
        // The common shapes: no wildcard, prefix%, %suffix, %infix%.
        switch tokens.count {
        case 0: return text.isEmpty
        case 1:
            if case .bytes(let bytes) = tokens[0] { return text.elementsEqual(bytes) }
        case 2:
            if case .bytes(let bytes) = tokens[0], tokens[1] == .any { return text.starts(with: bytes) && !hasLineBreak(text.dropFirst(bytes.count)) }
        default: break
        }
        // Greedy with one point of return: the last % seen.
        var at = text.startIndex, token = 0
        var retryToken = -1, retryAt = 0
        while true {
            var failed = false
            if token == tokens.count {
                if at == text.endIndex { return true }
                failed = true
            } else {
                switch tokens[token] {
                case .any:
                    retryToken = token + 1
                    retryAt = at
                    token += 1
                case .one:
                    if at < text.endIndex, let width = characterWidth(text, at) {
                        at += width
                        token += 1
                    } else {
                        failed = true
                    }
                case .bytes(let bytes):
                    if text[at...].starts(with: bytes) {
                        at += bytes.count
                        token += 1
                    } else {
                        failed = true
                    }
                }
            }
            if failed {
                guard retryToken >= 0, retryAt < text.endIndex, let width = characterWidth(text, retryAt) else { return false }
                retryAt += width
                at = retryAt
                token = retryToken
            }
        }
    }

    private func hasLineBreak(_ text: ArraySlice<UInt8>) -> Bool {
        text.withUnsafeBufferPointer { bytes in
            for (i, byte) in bytes.enumerated() where byte <= 0x0d || byte == 0xc2 || byte == 0xe2 {
                if byte == 0x0a || byte == 0x0d || characterWidth(text, text.startIndex + i) == nil { return true }
            }
            return false
        }
    }

    /// Bytes of the character at `at`; nil if it is a line break (LF, CR, NEL, U+2028, U+2029).
    @inline(__always)
    private func characterWidth(_ text: ArraySlice<UInt8>, _ at: Int) -> Int? {
        let byte = text[at]
        if byte < 0x80 { return byte == 0x0a || byte == 0x0d ? nil : 1 }
        let width = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
        if byte == 0xc2, at + 1 < text.endIndex, text[at + 1] == 0x85 { return nil }
        if byte == 0xe2, at + 2 < text.endIndex, text[at + 1] == 0x80, text[at + 2] == 0xa8 || text[at + 2] == 0xa9 { return nil }
        return min(width, text.endIndex - at)
    }

    static func match(
        _ text: Value, _ compiled: LikePattern?, _ pattern: Value, escape: String?, count: Int, _ failures: inout RowFailures
    ) -> Column {
        guard case .string(let texts) = text.column, case .string(let patterns) = pattern.column else {
            preconditionFailure("LIKE compares strings")
        }
        var out = [Bool](repeating: false, count: count)
        for row in 0..<count {
            let i = text.index(row), j = pattern.index(row)
            guard texts.validity.isValid(i), patterns.validity.isValid(j) else { continue }
            if let compiled {
                out[row] = compiled.matches(texts.slice(i))
            } else {
                do {
                    out[row] = try LikePattern(patterns.string(j), escape: escape).matches(texts.slice(i))
                } catch {
                    failures.add(row, error.message, isFatal: true)
                }
            }
        }
        return .boolean(FixedColumn(out))
    }
}
