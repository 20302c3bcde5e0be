import MartletCore
import Testing

@testable import MartletLog

@Suite struct ConnectionGateTests {
    private let free = ConnectionGate.Limits(connections: 1_000_000, perAddress: 1_000_000, ofAddresses: [:])

    /// Whatever comes and goes, no limit is passed, nobody is refused without one, and nothing is left when all have gone.
    @Test func limitsHoldWhateverComesAndGoes() {
        withSeeds(50) { seed, random in
            let limits = ConnectionGate.Limits(
                connections: Int.random(in: 0...8, using: &random), perAddress: Int.random(in: 0...4, using: &random),
                ofAddresses: ["b": Int.random(in: 0...6, using: &random)])
            var gate = ConnectionGate(burstSeconds: 10), open: [String] = []
            for _ in 0..<200 {
                if Bool.random(using: &random), let place = open.indices.randomElement(using: &random) {
                    gate.leave(from: open.remove(at: place))
                    continue
                }
                let address = ["a", "b", "c"].randomElement(using: &random) ?? "a"
                let most = address == "b" ? limits.ofAddresses["b"] ?? 0 : limits.perAddress, from = open.count { $0 == address }
                let verdict = gate.enter(from: address, limits, nowNs: 0) { 0 }
                switch verdict.refusal {
                case nil:
                    #expect(open.count < limits.connections && from < most && verdict.waitMs == 0, "seed \(seed)")
                    open.append(address)
                case .total: #expect(open.count >= limits.connections, "seed \(seed)")
                case .address: #expect(from >= most, "seed \(seed)")
                case .addressRate, .rate: Issue.record("no rate is limited: seed \(seed)")
                }
                #expect(gate.count == open.count)
            }
            for address in open { gate.leave(from: address) }
            #expect(gate.count == 0 && gate.count(from: "a") == 0)
        }
    }

    /// After what may come at once, one after the other is let in at the rate; who would have to wait too long does not count.
    @Test func newOnesComeInAtTheRate() {
        var limits = free
        limits.perSecond = 2
        var gate = ConnectionGate(burstSeconds: 10)
        var waits: [Int64] = [], refused = 0
        for _ in 0..<100 {
            let verdict = gate.enter(from: "a", limits, nowNs: 0) { 0 }
            if verdict.refusal == nil { waits.append(verdict.waitMs) } else { refused += verdict.refusal == .rate ? 1 : 0 }
        }
        #expect(waits == Array(repeating: 0, count: 20) + (1...20).map { $0 * 500 } && refused == 60)
        #expect(gate.count == 40)
        // A second later there is room for two more.
        let later = (0..<3).map { _ in gate.enter(from: "a", limits, nowNs: 1_000_000_000) { 0 } }
        #expect(later.map(\.refusal) == [nil, nil, .rate] && later.map(\.waitMs) == [9500, 10_000, 0])
    }

    /// Its sender hears nothing until it may come again, and has taken nobody's place.
    @Test func aConnectionThatIsTooEarlyForItsAddressWaitsToBeClosed() {
        var limits = free
        limits.perSecond = 1
        var gate = ConnectionGate(burstSeconds: 1)
        #expect(gate.enter(from: "a", limits, nowNs: 0) { 700 } == .init(refusal: .addressRate, waitMs: 700))
        #expect(gate.enter(from: "a", limits, nowNs: 0) { 1 << 40 }.waitMs == ConnectionGate.waitMsMax)
        #expect(gate.enter(from: "b", limits, nowNs: 0) { 0 } == .init())
        #expect(gate.count == 1)
    }

    /// What waits to be closed is bounded too.
    @Test func whoIsRefusedDoesNotPileUp() {
        var gate = ConnectionGate(burstSeconds: 1)
        func refuse() -> Int64 { gate.enter(from: "a", free, nowNs: 0) { 500 }.waitMs }
        for _ in 0..<ConnectionGate.refusedMax { #expect(refuse() == 500) }
        #expect(refuse() == 0)
        gate.leaveRefused()
        #expect([refuse(), refuse()] == [500, 0] && gate.count == 0)
    }

    /// The other limits are looked at first: a refused connection costs its address nothing.
    @Test func whoIsRefusedAnywayIsNotCounted() {
        var limits = free
        limits.connections = 0
        var gate = ConnectionGate(burstSeconds: 1), asked = 0
        _ = gate.enter(from: "a", limits, nowNs: 0) {
            asked += 1
            return 0
        }
        #expect(asked == 0)
    }

    @Test func anAddressIsWrittenInOneWay() {
        #expect(PeerAddress.canonical("::ffff:10.0.0.7") == "10.0.0.7")
        #expect(PeerAddress.canonical("0:0:0:0:0:0:0:1") == "::1")
        #expect(PeerAddress.canonical("10.0.0.7") == "10.0.0.7")
        for text in ["", "localhost", "10.0.0", "10.0.0.7:1", "::g"] { #expect(PeerAddress.canonical(text) == nil, "\(text)") }
    }

    @Test func overridesAreAList() {
        #expect(ConnectionOverrides.parse("") == [:])
        #expect(ConnectionOverrides.parse("10.0.0.7:100, ::1:20,0:0:0:0:0:0:0:2:0") == ["10.0.0.7": 100, "::1": 20, "::2": 0])
        for text in ["10.0.0.7", "10.0.0.7:", "10.0.0.7:-1", "10.0.0.7:x", "host:3", "10.0.0.7:99999999999"] {
            #expect(ConnectionOverrides.parse(text) == nil, "\(text)")
        }
        #expect(ConnectionOverrides.text(["b": 2, "a": 1]) == "a:1,b:2")
    }
}
