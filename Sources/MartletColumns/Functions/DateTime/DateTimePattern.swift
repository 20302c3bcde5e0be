import MartletCore

/// A pattern of Java's `DateTimeFormatter` (English texts, weeks as in the United States), for formatting and parsing.
///
/// | letters | meaning | | letters | meaning |
/// |---|---|---|---|---|
/// | G | era | | a, B | AM or PM, part of the day |
/// | u, y | year, year of era | | h, K | hour 1–12, 0–11 |
/// | Y, w, W | week-based year, week of year, of month | | k, H | hour 1–24, 0–23 |
/// | D | day of year | | m, s, S | minute, second, fraction |
/// | M, L | month as number (1, 2 letters) or text | | A, n, N | millisecond of day, nanosecond of second, of day |
/// | d | day of month | | V, z | zone id (VV), zone name |
/// | Q, q | quarter | | O, X, x, Z | offset |
/// | E, e, c | day of week as text or number | | `'…'`, `''`, `[…]` | literal text, a quote, optional section |
///
/// Zone names (`z`) are the tz database's abbreviations, with four letters too.
struct DateTimePattern: Sendable {
    indirect enum Element: Sendable {
        case literal([UInt8])
        /// A letter and how often it stands there; `reserved` digits are needed by the numbers right behind: `yyyyMMdd` leaves four for month and day.
        case field(UInt8, count: Int, reserved: Int)
        case optional([Element])
    }

    let elements: [Element]

    /// - Throws: for a letter or count that Java refuses too, quotes or brackets without an end, and `p`, which is not supported.
    init(_ pattern: String) throws(KernelFailure) {
        var stack: [[Element]] = [[]]
        let scalars = Array(pattern.unicodeScalars)
        var at = 0
        func literal(_ scalar: Unicode.Scalar) { stack[stack.count - 1].append(.literal(Array(String(scalar).utf8))) }
        while at < scalars.count {
            let scalar = scalars[at]
            switch scalar {
            case "A"..."Z", "a"..."z":
                var count = 1
                while at + count < scalars.count, scalars[at + count] == scalar { count += 1 }
                guard Self.allows(scalar, count: count) else {
                    throw KernelFailure("pattern \(pattern) has an unknown letter or count: \(String(repeating: String(scalar), count: count))")
                }
                stack[stack.count - 1].append(.field(UInt8(truncatingIfNeeded: scalar.value), count: count, reserved: 0))
                at += count - 1
            case "'":
                guard let (text, end) = quotedText(scalars, at) else { throw KernelFailure("pattern \(pattern) has a quote without an end") }
                stack[stack.count - 1].append(.literal(text))
                at = end
            case "[":
                // Patterns may come from data and must not exhaust the thread's stack.
                if stack.count > 100 { throw KernelFailure("a pattern has too many [ in each other") }
                stack.append([])
            case "]":
                guard stack.count > 1, let inner = stack.popLast() else { throw KernelFailure("pattern \(pattern) has a ] without a [") }
                stack[stack.count - 1].append(.optional(inner))
            case "{", "}", "#": throw KernelFailure("pattern \(pattern) includes a reserved character: \(scalar)")
            default: literal(scalar)
            }
            at += 1
        }
        // Java closes what is open at the end.
        while stack.count > 1, let inner = stack.popLast() { stack[stack.count - 1].append(.optional(inner)) }
        elements = Self.reserving(stack[0])
    }

    /// The elements with the digits that each leaves to those behind it.
    private static func reserving(_ elements: [Element]) -> [Element] {
        elements.indices.map { i in
            switch elements[i] {
            case .field(let letter, let count, _): .field(letter, count: count, reserved: reservedDigits(elements[(i + 1)...]))
            case .optional(let inner): .optional(reserving(inner))
            case .literal: elements[i]
            }
        }
    }

    private static func reservedDigits(_ elements: ArraySlice<Element>) -> Int {
        var total = 0
        for element in elements {
            guard case .field(let letter, let count, _) = element else { break }
            switch Unicode.Scalar(letter) {
            case "S": total += count
            case "M", "L", "Q", "q", "e", "c":
                guard count == 2 else { return total }
                total += 2
            case "d", "h", "K", "k", "H", "m", "s", "w", "D":
                guard count > 1 else { return total }
                total += count
            default: return total
            }
        }
        return total
    }

    private static func allows(_ letter: Unicode.Scalar, count: Int) -> Bool {
        guard let most = countMax[letter], count <= most else { return false }
        switch letter {
        case "V": return count == 2
        case "O": return count == 1 || count == 4
        case "B": return count != 2 && count != 3
        default: return true
        }
    }

    private static let countMax: [Unicode.Scalar: Int] = [
        "G": 5, "u": 19, "y": 19, "Y": 19, "D": 3, "M": 5, "L": 5, "d": 2, "Q": 5, "q": 5, "w": 2, "W": 1, "E": 5, "e": 5, "c": 5, "a": 1,
        "h": 2, "K": 2, "k": 2, "H": 2, "m": 2, "s": 2, "S": 9, "A": 19, "n": 19, "N": 19, "V": 2, "z": 4, "O": 4, "X": 5, "x": 5, "Z": 5, "B": 5,
    ]

    static let months: [[UInt8]] = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ].map { Array($0.utf8) }
    /// Monday first.
    static let weekdays: [[UInt8]] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"].map { Array($0.utf8) }

    /// Which parts a value has: formatting a DATE with `HH` is an error.
    enum Parts { case date, time, timestamp }

    /// Week-based year and week, with Sunday the first day and 1 January in week 1.
    static func week(days: Int) -> (year: Int, week: Int) {
        let year = CivilDate.civil(days: days).year
        let next = firstWeek(year + 1)
        return days >= next ? (year + 1, 1) : (year, (days - firstWeek(year)) / 7 + 1)
    }

    /// The Sunday on or before 1 January.
    static func firstWeek(_ year: Int) -> Int {
        let first = CivilDate.days(year: year, month: 1, day: 1)
        return first - CivilDate.weekday(days: first) % 7
    }
}

/// The text of a pattern in quotes, the first of which is at `start`, and where the last one is; two in a row are one of the text, and alone the
/// whole of it. Nil: there is no last one.
func quotedText(_ scalars: [Unicode.Scalar], _ start: Int) -> (text: [UInt8], end: Int)? {
    var end = start + 1, text: [UInt8] = []
    while end < scalars.count {
        if scalars[end] == "'" {
            guard end + 1 < scalars.count, scalars[end + 1] == "'" else { break }
            end += 1
        }
        text += Array(String(scalars[end]).utf8)
        end += 1
    }
    return end < scalars.count ? (text.isEmpty ? [0x27] : text, end) : nil
}
