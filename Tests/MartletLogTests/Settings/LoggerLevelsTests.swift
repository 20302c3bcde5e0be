import Logging
import Testing

@testable import MartletLog

@Suite struct LoggerLevelsTests {
    private func set(_ levels: LoggerLevels, _ values: [String: String?], keeps: Bool = true) throws(KafkaError) {
        try levels.change(keeps: keeps) { before in before.merging(values.compactMapValues { $0 }) { $1 }.filter { values[$0.key] != .some(nil) } }
    }

    @Test func aLevelHoldsAtOnceForLoggersThatAreThere() throws {
        let lines = LogLines(), levels = LoggerLevels(lines.logger)
        try set(levels, ["root": "WARN"])
        let one = levels.logger("one"), two = levels.logger("two"), again = two.named("one")
        func say(_ text: String) {
            for logger in [one, two, again] { logger.info("\(text)") }
        }
        say("first")
        #expect(lines.containing("first").isEmpty && one.logLevel == .warning)
        try set(levels, ["one": "DEBUG"])
        say("second")
        #expect(lines.containing("second").count == 2 && two.logLevel == .warning && again.logLevel == .debug)
        try set(levels, ["root": "trace"])
        #expect(two.logLevel == .trace && one.logLevel == .debug)
        try set(levels, ["one": nil])
        #expect(one.logLevel == .trace)
        #expect(levels.inForce.map(\.name) == ["root", "one", "two"])
        #expect(levels.logger("three").logLevel == .trace)
    }

    @Test func whatCannotBeChangesNothing() throws {
        let levels = LoggerLevels(LogLines().logger)
        let logger = levels.logger("one")
        for (values, code) in [(["one": "LOUD"], .invalidConfig), (["two": "INFO"], .invalidConfig), (["root": nil], .invalidRequest)] as [([String: String?], KafkaErrorCode)] {
            do throws(KafkaError) {
                try set(levels, values)
                Issue.record("\(values) is taken")
            } catch {
                #expect(error.code == code)
            }
        }
        try set(levels, ["one": "ERROR"], keeps: false)
        #expect(logger.logLevel == .debug)
    }

    @Test func aCopyMayHaveALevelOfItsOwn() throws {
        let levels = LoggerLevels(LogLines().logger)
        var mine = levels.logger("one")
        mine.logLevel = .critical
        try set(levels, ["root": "INFO"])
        #expect(mine.logLevel == .critical && levels.logger("one").logLevel == .info)
    }

    @Test func namesAreLog4jsOrSwifts() throws {
        let levels = LoggerLevels(LogLines().logger), logger = levels.logger("one")
        for level in Logger.Level.allCases {
            for text in [LoggerLevels.text(level), level.rawValue, level.rawValue.uppercased()] {
                try set(levels, ["one": text])
                #expect(logger.logLevel == level)
            }
        }
        #expect(Logger.Level.allCases.map(LoggerLevels.text) == ["TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "FATAL"])
    }
}
