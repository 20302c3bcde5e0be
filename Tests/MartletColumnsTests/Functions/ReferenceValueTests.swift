import MartletCore
import Testing

@testable import MartletColumns

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What a JDK answers (`Tests/Fixtures/java/Reference.java` writes the files), against what we do.
@Suite struct ReferenceValueTests {
    /// The lines of a fixture as fields; nil for `\0`.
    private func rows(_ name: String, _ path: String = #filePath) throws -> [[String?]] {
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        let file = try #require(fopen("\(folder)/Fixtures/java/\(name).tsv", "rb"), "Tests/Fixtures/java/\(name).tsv")
        defer { fclose(file) }
        var bytes: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
        return bytes.split(separator: 0x0a).map { line in
            line.split(separator: 0x09, omittingEmptySubsequences: false).map { field in
                if field.elementsEqual("\\0".utf8) { return nil }
                var out: [UInt8] = [], isEscaped = false
                for byte in field {
                    if isEscaped {
                        out.append(byte == UInt8(ascii: "t") ? 0x09 : byte == UInt8(ascii: "n") ? 0x0a : byte == UInt8(ascii: "r") ? 0x0d : byte)
                        isEscaped = false
                    } else if byte == UInt8(ascii: "\\") {
                        isEscaped = true
                    } else {
                        out.append(byte)
                    }
                }
                return String(decoding: out, as: UTF8.self)
            }
        }
    }

    @Test func regularExpressions() throws {
        var checked = 0
        for row in try rows("regular_expressions") {
            let pattern = row[0]!, text = Array(row[1]!.utf8), expected = row[2]!
            var found: [String] = []
            do throws(KernelFailure) {
                let expression = try RegularExpression(pattern)
                var matcher = RegexMatcher(expression.program), from = 0
                while try matcher.find(text.span, &from, end: text.count) {
                    found.append(
                        (0...expression.groupCount).map { group in matcher.range(group).map { "\($0.lowerBound)-\($0.upperBound)" } ?? "-" }.joined(separator: ","))
                }
            } catch {
                found = ["!"]
            }
            // The JDK leaves groups as they were in ways that it has given up again, where these stand.
            func shown(_ matches: String) -> String {
                let isLoose = ["(?!", "(?>", "*+", "?+", "++", "}+", "{0,}"].contains { pattern.contains($0) }
                return isLoose ? matches.split(separator: ";").map { String($0.prefix { $0 != "," }) }.joined(separator: ";") : matches
            }
            #expect(shown(found.joined(separator: ";")) == shown(expected), "\(pattern) in \(row[1]!)")
            checked += 1
        }
        #expect(checked > 2000)
    }

    private func value(_ name: String, _ arguments: [SQLValue], _ types: [SQLType?]? = nil) throws -> SQLValue { try call(name, arguments, types: types) }

    @Test func formattedDates() throws {
        for row in try rows("date_formats") {
            let pattern = row[1]!, number = Int64(row[3]!)!
            let found =
                switch row[0]! {
                case "timestamp": try value("FORMAT_TIMESTAMP", [.timestamp(number), .string(pattern), .string(row[2]!)])
                case "date": try value("FORMAT_DATE", [.date(Int32(number)), .string(pattern)])
                default: try value("FORMAT_TIME", [.time(Int32(number)), .string(pattern)])
                }
            #expect(found == (row[4].map { .string($0) } ?? .null), "\(row[0]!) \(number) as '\(pattern)' in \(row[2]!)")
        }
    }

    @Test func parsedDates() throws {
        for row in try rows("date_parses") {
            let pattern = row[1]!, text = row[3]!
            let found: SQLValue
            let expected: SQLValue
            switch row[0]! {
            case "timestamp":
                found = try value("PARSE_TIMESTAMP", [.string(text), .string(pattern), .string(row[2]!)])
                expected = row[4].map { .timestamp(Int64($0)!) } ?? .null
            case "time":
                found = try value("PARSE_TIME", [.string(text), .string(pattern)])
                expected = row[4].map { .time(Int32($0)!) } ?? .null
            default:
                found = try value("STRINGTODATE", [.string(text), .string(pattern)])
                expected = row[4].map { .integer(Int32(clamping: Int64($0)!)) } ?? .null
            }
            #expect(found == expected, "\(row[0]!) '\(text)' by '\(pattern)' in \(row[2]!)")
        }
    }

    /// PARSE_DATE reads as `SimpleDateFormat` does: leniently, and it lets text follow.
    @Test func lenientDates() throws {
        let time = TimeSource(wallMs: { 1_767_225_600_000 }, monotonicNs: { 0 })
        for row in try rows("simple_dates") {
            let found = try call("PARSE_DATE", [.string(row[1]!), .string(row[0]!)], time: time)
            #expect(found == (row[2].map { .date(Int32($0)!) } ?? .null), "'\(row[1]!)' by '\(row[0]!)'")
        }
    }

    @Test func urls() throws {
        for row in try rows("urls") {
            let url = SQLValue.string(row[0]!)
            for (i, part) in ["PROTOCOL", "HOST", "PORT", "PATH", "QUERY", "FRAGMENT"].enumerated() {
                let found = try value("URL_EXTRACT_\(part)", [url])
                let expected: SQLValue = row[i + 1].map { part == "PORT" ? .integer(Int32($0)!) : .string($0) } ?? .null
                #expect(found == expected, "\(part) of '\(row[0]!)'")
            }
        }
        for row in try rows("url_parameters") {
            #expect(try value("URL_ENCODE_PARAM", [.string(row[0]!)]) == .string(row[1]!))
            #expect(try value("URL_DECODE_PARAM", [.string(row[0]!)]) == (row[2].map { .string($0) } ?? .null), "'\(row[0]!)'")
        }
    }

    @Test func roundedNumbers() throws {
        for row in try rows("numbers") {
            let number = Double(row[0]!)!
            #expect(try value("ROUND", [.double(number)]) == .bigint(Int64(row[1]!)!), "ROUND(\(row[0]!))")
            for (i, text) in row.dropFirst(2).enumerated() {
                let found = try value("ROUND", [.double(number), .integer(Int32(i - 2))])
                #expect(found == .double(Double(text!)!), "ROUND(\(row[0]!), \(i - 2))")
            }
        }
    }
}
