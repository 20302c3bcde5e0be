import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The user's own payments, line by line, as 34-column DELIMITED: `make run CSV=creditcard.csv`.
///
/// Two layouts, told apart by the first line, with or without a header:
/// - 31 columns `Time,V1…V28,Amount,Class`, Kaggle's file. Id runs from 1, Timestamp is the start plus Time, User is drawn from the generator's
///   list; Time is written as a whole number (the file has `1e+05`), Class in quotes.
/// - 34 columns `Id,Timestamp,User`, then the 31: passed on as they are.
///
/// Lines end in LF or CRLF; empty ones are skipped. Every number is checked. Memory: one buffer of 256 KiB, or the longest line.
public final class CreditCardFile {
    public typealias Truth = CreditCardGenerator.Truth

    public let path: String
    /// Of the line read last, from 1.
    public private(set) var lineNumber = 0

    private let descriptor: Int32
    private let startSecond: Int64
    private var random: SeededRandom
    private var nextID: Int64 = 1
    private var columnCount = 0
    private var instant = InstantText()
    private var buffer: [UInt8] = []
    private var position = 0
    private var isAtEnd = false
    /// Of the current line, quotes included.
    private var fields: [Range<Int>] = []

    private static let chunk = 256 * 1024
    private static let lineBytesMax = 1 << 20
    private static let names: [String] = ["id", "timestamp", "user", "time"] + (1...28).map { "v\($0)" } + ["amount", "class"]

    /// - Throws: `.io` if the file cannot be opened.
    public init(path: String, seed: UInt64 = 0, startTimestampMs: Int64 = CreditCardGenerator.defaultStartMs) throws(MartletError) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw MartletError(.io, "cannot open \(path): \(String(cString: strerror(errno)))") }
        self.path = path
        startSecond = startTimestampMs / 1000
        random = SeededRandom(seed: seed)
    }

    deinit { close(descriptor) }

    /// Appends the next payment, without a line end; nil at the end of the file.
    ///
    /// - Throws: `.incompatibleFormat` with the number of the line and what was expected, after which the next call goes on with the next line;
    ///   `.io`.
    public func appendRow(to out: inout [UInt8]) throws(MartletError) -> Truth? {
        while let line = try nextLine() {
            if line.isEmpty { continue }
            try split(line)
            if columnCount == 0 {
                guard fields.count == 31 || fields.count == 34 else { throw wrong("has \(fields.count) columns, 31 or 34 are expected") }
                columnCount = fields.count
                if try isHeader() { continue }
            }
            guard fields.count == columnCount else { throw wrong("has \(fields.count) columns, \(columnCount) are expected") }
            return columnCount == 31 ? try appendKaggle(to: &out) : try appendExtended(line, to: &out)
        }
        return nil
    }

    // MARK: Layouts

    private func appendKaggle(to out: inout [UInt8]) throws(MartletError) -> Truth {
        guard let time = Double(text(0)), time >= 0, time < 1e12 else { throw wrong("Time is not a number of seconds") }
        try checkNumbers(from: 1, to: 30, mayBeEmpty: false)
        let isFraud = try fraudFlag(30)
        let id = nextID, second = startSecond + Int64(time)
        nextID += 1
        instant.set(second: second)
        let user = PaymentStatistics.users.randomElement(using: &random) ?? ""
        out.append(contentsOf: "\(id),\"".utf8)
        out.append(contentsOf: instant.bytes)
        out.append(contentsOf: "\",\"\(user)\",\(Int64(time)),".utf8)
        for i in 1..<30 {
            out.append(contentsOf: buffer[unquoted(i)])
            out.append(UInt8(ascii: ","))
        }
        if let isFraud { out.append(contentsOf: isFraud ? "\"1\"".utf8 : "\"0\"".utf8) }
        return Truth(id: id, isFraud: isFraud ?? false, hasClass: isFraud != nil, timestampMs: second * 1000)
    }

    private func appendExtended(_ line: Range<Int>, to out: inout [UInt8]) throws(MartletError) -> Truth {
        guard let id = Int64(text(0)) else { throw wrong("Id is not a whole number") }
        let time = unquoted(3)
        guard time.isEmpty || Int32(text(3)) != nil else { throw wrong("Time is not a whole number of seconds") }
        try checkNumbers(from: 4, to: 33, mayBeEmpty: true)
        let isFraud = try fraudFlag(33)
        out.append(contentsOf: buffer[line])
        return Truth(
            id: id, isFraud: isFraud ?? false, hasClass: isFraud != nil, timestampMs: (startSecond + (Int64(text(3)) ?? 0)) * 1000)
    }

    private func fraudFlag(_ column: Int) throws(MartletError) -> Bool? {
        switch text(column) {
        case "": return nil
        case "0": return false
        case "1": return true
        default: throw wrong("Class is not 0, 1 or empty")
        }
    }

    /// Columns `from..<to` are numbers, as DELIMITED reads them.
    private func checkNumbers(from: Int, to: Int, mayBeEmpty: Bool) throws(MartletError) {
        for i in from..<to {
            let range = unquoted(i)
            if mayBeEmpty, range.isEmpty { continue }
            guard Self.isNumber(buffer[range]) else { throw wrong("\(name(i)) is not a number") }
        }
    }

    /// `-12.5e+3`; digits before or after the point.
    private static func isNumber(_ bytes: ArraySlice<UInt8>) -> Bool {
        var i = bytes.startIndex, digits = 0
        func isDigit(_ i: Int) -> Bool { i < bytes.endIndex && bytes[i] &- UInt8(ascii: "0") < 10 }
        func isSign(_ i: Int) -> Bool { i < bytes.endIndex && (bytes[i] == UInt8(ascii: "-") || bytes[i] == UInt8(ascii: "+")) }
        if isSign(i) { i += 1 }
        while isDigit(i) { (i, digits) = (i + 1, digits + 1) }
        if i < bytes.endIndex, bytes[i] == UInt8(ascii: ".") {
            i += 1
            while isDigit(i) { (i, digits) = (i + 1, digits + 1) }
        }
        guard digits > 0 else { return false }
        if i < bytes.endIndex, bytes[i] | 0x20 == UInt8(ascii: "e") {
            i += 1
            if isSign(i) { i += 1 }
            guard isDigit(i) else { return false }
            while isDigit(i) { i += 1 }
        }
        return i == bytes.endIndex
    }

    /// Whether the first line holds names; they have to be the right ones.
    private func isHeader() throws(MartletError) -> Bool {
        guard let first = buffer[unquoted(0)].first, first | 0x20 >= UInt8(ascii: "a"), first | 0x20 <= UInt8(ascii: "z") else { return false }
        for i in 0..<columnCount where text(i).lowercased() != name(i).lowercased() {
            throw wrong("column \(i + 1) of the header is \(text(i)), \(name(i)) is expected")
        }
        return true
    }

    private func name(_ column: Int) -> String {
        let name = Self.names[column + 34 - columnCount]
        return name.prefix(1).uppercased() + name.dropFirst()
    }

    // MARK: Lines and fields

    /// The next line without its end; nil at the end of the file.
    private func nextLine() throws(MartletError) -> Range<Int>? {
        var searched = position
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                let start = position
                position = end + 1
                return line(start, end)
            }
            if isAtEnd {
                guard position < buffer.count else { return nil }
                let start = position
                position = buffer.count
                return line(start, buffer.count)
            }
            guard buffer.count - position < Self.lineBytesMax else { throw MartletError(.incompatibleFormat, "\(path) has a line of more than 1 MiB") }
            buffer.removeFirst(position)
            position = 0
            searched = buffer.count
            try fill()
        }
    }

    private func line(_ start: Int, _ end: Int) -> Range<Int> {
        lineNumber += 1
        var start = start
        // A byte order mark, as some editors leave it.
        if lineNumber == 1, buffer[start..<end].starts(with: [0xef, 0xbb, 0xbf]) { start += 3 }
        return start..<(end > start && buffer[end - 1] == UInt8(ascii: "\r") ? end - 1 : end)
    }

    private func fill() throws(MartletError) {
        let old = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: Self.chunk))
        var n = -1
        repeat { n = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + old, Self.chunk) } } while n < 0 && errno == EINTR
        let reason = n < 0 ? String(cString: strerror(errno)) : ""
        buffer.removeLast(Self.chunk - max(n, 0))
        if n < 0 { throw MartletError(.io, "cannot read \(path): \(reason)") }
        isAtEnd = n == 0
    }

    /// Cuts a line at its commas, except those between quotes.
    private func split(_ line: Range<Int>) throws(MartletError) {
        fields.removeAll(keepingCapacity: true)
        var start = line.lowerBound, isQuoted = false
        for i in line {
            switch buffer[i] {
            case UInt8(ascii: "\""): isQuoted.toggle()
            case UInt8(ascii: ",") where !isQuoted:
                fields.append(start..<i)
                start = i + 1
            default: break
            }
        }
        fields.append(start..<line.upperBound)
        if isQuoted { throw wrong("has a quotation mark that is not closed") }
    }

    private func unquoted(_ column: Int) -> Range<Int> {
        let range = fields[column], quote = UInt8(ascii: "\"")
        return range.count >= 2 && buffer[range.lowerBound] == quote && buffer[range.upperBound - 1] == quote
            ? range.lowerBound + 1..<range.upperBound - 1 : range
    }

    private func text(_ column: Int) -> String { String(decoding: buffer[unquoted(column)], as: UTF8.self) }

    private func wrong(_ what: String) -> MartletError { MartletError(.incompatibleFormat, "line \(lineNumber) of \(path): \(what)") }
}
