import MartletCore
import Testing

@testable import MartletConnect

#if canImport(Glibc)
import Glibc
#endif

@Suite struct CreditCardFileTests {
    private static let header = "Time,V1,V2,V3,V4,V5,V6,V7,V8,V9,V10,V11,V12,V13,V14,V15,V16,V17,V18,V19,V20,V21,V22,V23,V24,V25,V26,V27,V28,Amount,Class"
    private static let components = (1...28).map { "\($0).5" }.joined(separator: ",")

    private static func file(_ text: String) throws -> CreditCardFile {
        var template = Array("/tmp/martlet-payments-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        let bytes = Array(text.utf8)
        var done = 0
        while done < bytes.count { done += bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, $0.count - done) } }
        close(descriptor)
        // The reader holds the file open, so its name can go at once.
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(path) }
        return try CreditCardFile(path: path, seed: 1)
    }

    private static func all(_ file: CreditCardFile) throws(MartletError) -> (lines: [String], truths: [CreditCardGenerator.Truth]) {
        var lines: [String] = [], truths: [CreditCardGenerator.Truth] = []
        while true {
            var bytes: [UInt8] = []
            guard let truth = try file.appendRow(to: &bytes) else { return (lines, truths) }
            truths.append(truth)
            lines.append(String(decoding: bytes, as: UTF8.self))
        }
    }

    private static func failure(_ text: String) throws -> MartletError? {
        let file = try file(text)
        do throws(MartletError) {
            _ = try all(file)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [true, false], ["\n", "\r\n"]) func kagglesFileGetsItsFirstThreeColumns(hasHeader: Bool, end: String) throws {
        let text = (hasHeader ? "\"Time\"" + Self.header.dropFirst(4) + end : "")
            + "0,\(Self.components),149.62,\"0\"" + end + "1e+05,\(Self.components),2,1" + end + end + "7,\(Self.components),0.5,"
        let (lines, truths) = try Self.all(Self.file(text))
        try #require(lines.count == 3)
        let fields = lines.map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
        #expect(fields.allSatisfy { $0.count == 34 && PaymentStatistics.users.contains(String($0[2].dropFirst().dropLast())) })
        #expect(fields.map { $0[0] } == ["1", "2", "3"] && fields.map { $0[3] } == ["0", "100000", "7"])
        #expect(fields.map { $0[1] } == ["\"2018-12-18T12:00:00Z\"", "\"2018-12-19T15:46:40Z\"", "\"2018-12-18T12:00:07Z\""])
        #expect(fields.map { $0[32] } == ["149.62", "2", "0.5"] && fields.map { $0[33] } == ["\"0\"", "\"1\"", ""])
        #expect(fields[0][4...31].joined(separator: ",") == Self.components)
        #expect(truths.map(\.isFraud) == [false, true, false] && truths.map(\.hasClass) == [true, true, false])
    }

    @Test func thirtyFourColumnsPassAsTheyAre() throws {
        let rows = ["9,\"2018-12-18T12:00:00Z\",\"Kai, the second\",0,\(Self.components),149.62,\"1\"", "10,\"t\",\"Flo\",3,\(Self.components),2.69,"]
        let names = "\u{feff}Id,Timestamp,User," + Self.header
        let (lines, truths) = try Self.all(Self.file(([names] + rows).joined(separator: "\r\n")))
        #expect(lines == rows)
        #expect(truths.map(\.id) == [9, 10] && truths.map(\.isFraud) == [true, false] && truths.map(\.hasClass) == [true, false])
    }

    /// What the generator writes is a file that the reader takes, over many buffers.
    @Test func generatedPaymentsSurvive() throws {
        var generator = CreditCardGenerator(seed: 11, fraudShare: 0.1)
        var bytes: [UInt8] = [], expected: [CreditCardGenerator.Truth] = []
        for _ in 0..<5000 {
            expected.append(generator.appendRow(to: &bytes))
            bytes.append(UInt8(ascii: "\n"))
        }
        let text = String(decoding: bytes, as: UTF8.self)
        let (lines, truths) = try Self.all(Self.file(text))
        #expect(lines.joined(separator: "\n") + "\n" == text)
        #expect(truths.map(\.id) == expected.map(\.id) && truths.map(\.hasClass) == expected.map(\.hasClass))
        #expect(truths.map(\.timestampMs) == expected.map(\.timestampMs))
    }

    @Test(arguments: [
        ("1,2,3\n", "line 1", "has 3 columns, 31 or 34 are expected"),
        ("0,\(components),1,0\n0,\(components),1\n", "line 2", "has 30 columns, 31 are expected"),
        ("0,\(components),1,0\n\n0,\(components),abc,0\n", "line 3", "Amount is not a number"),
        ("0,\(components),1,2\n", "line 1", "Class is not 0, 1 or empty"),
        ("-5,\(components),1,0\n", "line 1", "Time is not a number of seconds"),
        ("0,\(components),1,\"0\n", "line 1", "has a quotation mark that is not closed"),
        (header.replacing("V2,", with: "W2,") + "\n", "line 1", "column 3 of the header is W2, V2 is expected"),
        ("x1,t,Kai,0,\(components),1,0\n", "line 1", "column 1 of the header is x1, Id is expected"),
        ("1,t,Kai,0.5,\(components),1,0\n", "line 1", "Time is not a whole number of seconds"),
        ("1,t,Kai,5,\(components.replacing("3.5,4.5", with: "3.5,4.5e")),1,0\n", "line 1", "V4 is not a number"),
    ])
    func aWrongLineIsNamed(text: String, line: String, reason: String) throws {
        let error = try Self.failure(text)
        #expect(error?.code == .incompatibleFormat)
        #expect(error?.message.hasPrefix("\(line) of /tmp/martlet-payments-") == true && error?.message.hasSuffix(": \(reason)") == true, "\(error?.message ?? "none")")
    }

    @Test func aWrongLineDoesNotEndTheFile() throws {
        let file = try Self.file("0,\(Self.components),1,0\nbad\n5,\(Self.components),1,1\n")
        var bytes: [UInt8] = []
        #expect(try file.appendRow(to: &bytes)?.id == 1)
        #expect(throws: MartletError.self) { try file.appendRow(to: &bytes) }
        #expect(try file.appendRow(to: &bytes)?.isFraud == true)
        #expect(try file.appendRow(to: &bytes) == nil && file.lineNumber == 3)
    }

    @Test func anEmptyOrAbsentFile() throws {
        #expect(try Self.all(Self.file("")).lines.isEmpty)
        #expect(throws: MartletError.self) { try CreditCardFile(path: "/nowhere/payments.csv") }
    }

    /// The real files, where they are at hand: every row is taken.
    @Test func theSampleOfTheSourceTopicIsTaken() throws {
        let shared = getenv("MARTLET_SHARED").map { String(cString: $0) } ?? "../shared"
        guard access("\(shared)/data/creditcard_extended.csv", R_OK) == 0 else {
            print("skipped: \(shared)/data/creditcard_extended.csv is not there")
            return
        }
        let (lines, truths) = try Self.all(CreditCardFile(path: "\(shared)/data/creditcard_extended.csv"))
        #expect(lines.count == 10 && truths.filter { !$0.hasClass }.count == 1 && truths.filter(\.isFraud).count == 2)
    }
}
