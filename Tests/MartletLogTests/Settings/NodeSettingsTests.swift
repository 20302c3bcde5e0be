import Logging
import MartletCore
import Testing

@testable import MartletLog

@Suite struct NodeSettingsTests {
    private func opened(_ system: SimulatedFileSystem, _ change: (inout LogConfig) -> Void = { _ in }) throws -> EmbeddedLog {
        try openLog(system) {
            $0.worksInBackground = false
            change(&$0)
        }
    }

    private func set(_ log: EmbeddedLog, _ owner: NodeSettings.Owner, _ values: [String: String?]) throws(KafkaError) {
        try log.changeSettings(of: owner) { before in
            before.merging(values.compactMapValues { $0 }) { $1 }.filter { values[$0.key] != .some(nil) }
        }
    }

    /// Node before cluster before start before default, for the log and for topics that have no value of their own; over a restart.
    @Test func theNearestValueHolds() throws {
        let system = SimulatedFileSystem()
        do {
            let log = try opened(system) { $0.topics.retentionMs = 77 }
            try log.createTopic("a", partitions: 2)
            try log.createTopic("b", partitions: 1, settings: ["retention.ms": "5"])
            func retention(_ topic: String) -> Int64? { log.partitions(of: topic).last?.settings.retentionMs }
            #expect(retention("a") == 77 && retention("b") == 5)
            try set(log, .cluster, ["log.retention.ms": "78"])
            #expect(retention("a") == 78 && retention("b") == 5)
            try set(log, .node, ["log.retention.ms": "79"])
            try set(log, .cluster, ["log.retention.ms": "80"])
            #expect(retention("a") == 79 && retention("b") == 5)
            let setting = try #require(BrokerSetting.named("log.retention.ms"))
            #expect(log.settings.values(of: setting).map(\.text) == ["79", "80", "77", "604800000"])
            #expect(log.settings.values(of: setting).map(\.source) == [.dynamicBroker, .dynamicDefaultBroker, .staticBroker, .default])
            try log.createTopic("c", partitions: 1)
            #expect(retention("c") == 79)
            log.close()
        }
        let log = try opened(system)
        #expect(log.partitions(of: "a")[0].settings.retentionMs == 79)
        try set(log, .node, ["log.retention.ms": nil])
        #expect(log.partitions(of: "a")[0].settings.retentionMs == 80)
        try set(log, .cluster, ["log.retention.ms": nil])
        #expect(log.partitions(of: "a")[0].settings.retentionMs == 604_800_000)
        #expect(log.settings.values(of: .node).isEmpty)
        log.close()
    }

    @Test func whatCannotBeIsRefusedAndChangesNothing() throws {
        let system = SimulatedFileSystem()
        let log = try opened(system)
        let wrong: [(NodeSettings.Owner, String, String, KafkaErrorCode)] = [
            (.node, "num.partitions", "3", .invalidRequest), (.node, "no.such.setting", "3", .invalidRequest), (.node, "node.id", "1", .invalidRequest),
            (.node, "max.connections", "0", .invalidRequest), (.cluster, "max.connections", "many", .invalidRequest),
            (.node, "log.cleanup.policy", "burn", .invalidRequest), (.node, "background.threads", "some", .invalidRequest),
            (.cluster, "sasl.kerberos.min.time.before.relogin", "1", .invalidRequest),
            (.group("g"), "consumer.session.timeout.ms", "44999", .invalidConfig), (.group("g"), "consumer.session.timeout.ms", "60001", .invalidConfig),
            (.group("g"), "consumer.heartbeat.interval.ms", "soon", .invalidConfig), (.group("g"), "max.connections", "1", .invalidConfig),
            (.group(""), "consumer.session.timeout.ms", "50000", .invalidRequest),
        ]
        for (owner, name, value, code) in wrong {
            let error = #expect(throws: KafkaError.self, "\(name)=\(value)") { try set(log, owner, [name: value]) }
            #expect(error?.code == code && (owner == .group("") || error?.message.contains(name) == true), "\(error?.message ?? "")")
            #expect(log.settings.values(of: owner).isEmpty)
        }
        #expect(!system.exists("/data/settings.json"))
        // What is there already, whoever wrote it, is in nobody's way.
        try log.changeSettings(of: .node, keeps: false) { _ in ["max.connections": "3"] }
        #expect(log.settings.values(of: .node).isEmpty && log.settings.broker.connectionsMax == 10_000)
        try set(log, .node, ["max.connections": "3", "sasl.kerberos.min.time.before.relogin": "58000"])
        #expect(log.settings.broker.connectionsMax == 3)
        log.close()
    }

    @Test func aGroupHasItsOwnTimes() throws {
        let log = try opened(SimulatedFileSystem())
        #expect(log.settings.consumerTimes(ofGroup: "g") == (5_000, 45_000))
        try set(log, .group("g"), ["consumer.session.timeout.ms": "50000", "consumer.heartbeat.interval.ms": "7000"])
        #expect(log.settings.consumerTimes(ofGroup: "g") == (7_000, 50_000))
        #expect(log.settings.consumerTimes(ofGroup: "h") == (5_000, 45_000))
        try set(log, .group("g"), ["consumer.session.timeout.ms": nil])
        #expect(log.settings.consumerTimes(ofGroup: "g") == (7_000, 45_000))
        log.close()
    }

    @Test func subscriptionsToClientMetricsOutliveARestart() throws {
        let system = SimulatedFileSystem()
        do {
            let log = try opened(system)
            try set(log, .clientMetrics("b"), ["metrics": "x", "match": "client_id=a.*"])
            try set(log, .clientMetrics("a"), ["interval.ms": "100"])
            for (name, values) in [("", ["metrics": "x"]), ("c", ["interval.ms": "99"]), ("c", ["match": "client_id=["]), ("c", ["other": "1"])] {
                #expect(throws: KafkaError.self, "\(values)") { try set(log, .clientMetrics(name), values) }
            }
            #expect(log.settings.telemetrySubscriptions.map(\.name) == ["a", "b"])
            log.close()
        }
        let log = try opened(system)
        #expect(log.settings.telemetrySubscriptions.map(\.name) == ["a", "b"] && log.settings.telemetrySubscriptions[1].metrics == ["x"])
        #expect(log.settings.telemetrySubscriptions[0].intervalMs == 100 && log.settings.values(of: .clientMetrics("b"))["match"] == "client_id=a.*")
        try set(log, .clientMetrics("b"), ["metrics": nil, "match": nil])
        #expect(log.settings.telemetrySubscriptions.map(\.name) == ["a"])
        log.close()
        // Written by a later Martlet: kept, and not obeyed.
        try system.replace("/data/settings.json", with: Array(#"{"version":1,"clientMetrics":{"a":{"of.the.future":"1"},"b":{"metrics":"*"}}}"#.utf8), durably: true)
        let again = try opened(system)
        #expect(again.settings.telemetrySubscriptions.map(\.name) == ["b"])
        try set(again, .clientMetrics("c"), ["metrics": "z"])
        #expect(again.settings.values(of: .clientMetrics("a")) == ["of.the.future": "1"])
        again.close()
    }

    /// Whatever is on disk when the machine goes down: the settings of before the change or of after it, and after it if that was acknowledged.
    @Test(arguments: [0, 1, 2, 3]) func aCrashLeavesTheOldOrTheNew(kind: Int) throws {
        withSeeds(60) { seed, random in
            let system = SimulatedFileSystem()
            let log = try opened(system)
            system.crash(LogCrashTests.crashes[kind], afterOperations: Int.random(in: 0..<60, using: &random), seed: seed)
            var acknowledged: [NodeSettings.Owner: [String: String]] = [:], pending = acknowledged
            for _ in 0..<100 where system.afterCrash == nil {
                let owner: NodeSettings.Owner = [.node, .cluster, .group("g")][Int.random(in: 0..<3, using: &random)]
                let values: [String: String] =
                    Bool.random(using: &random)
                    ? [:]
                    : owner == .group("g")
                        ? ["consumer.session.timeout.ms": "\(Int.random(in: 45_000...60_000, using: &random))"]
                        : ["max.connections": "\(Int.random(in: 1...9999, using: &random))"]
                pending = acknowledged
                pending[owner] = values.isEmpty ? nil : values
                do throws(KafkaError) {
                    try log.changeSettings(of: owner) { _ in values }
                } catch {
                    #expect(error.code == .kafkaStorageError)
                }
                if system.afterCrash == nil { acknowledged = pending }
            }
            guard let after = system.afterCrash else { return }
            let again = try opened(after)
            var found: [NodeSettings.Owner: [String: String]] = [:]
            for owner in [NodeSettings.Owner.node, .cluster, .group("g")] {
                let values = again.settings.values(of: owner)
                if !values.isEmpty { found[owner] = values }
            }
            #expect(found == acknowledged || found == pending, "seed \(seed)")
            again.close()
        }
    }

    @Test func aFileThatIsDamagedOrNewerIsTold() throws {
        for (text, code) in [("{", ErrorCode.corruptRecord), (#"{"version":2}"#, .incompatibleFormat), (#"{"version":1,"node":{"max.connections":5}}"#, .corruptRecord)] {
            let system = SimulatedFileSystem()
            try opened(system).close()
            try system.replace("/data/settings.json", with: Array(text.utf8), durably: true)
            let error = #expect(throws: MartletError.self) { try opened(system) }
            #expect(error?.code == code && error?.message.contains("settings.json") == true)
        }
        // A setting that an older Martlet does not know is kept, and not obeyed.
        let system = SimulatedFileSystem()
        try opened(system).close()
        try system.replace("/data/settings.json", with: Array(#"{"version":1,"node":{"of.the.future":"1","max.connections":"7"}}"#.utf8), durably: true)
        let log = try opened(system)
        #expect(log.settings.broker.connectionsMax == 7)
        try set(log, .node, ["max.connections": "8"])
        #expect(log.settings.values(of: .node) == ["of.the.future": "1", "max.connections": "8"])
        log.close()
    }
}
