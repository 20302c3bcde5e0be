import MartletCore
import Testing

@testable import MartletLog

/// An idempotent producer of one partition: numbers its values, sends a batch again until it is acknowledged.
struct SimulatedProducer {
    let name: String
    let partition: Int32
    private var id: Int64 = -1
    private var sequence: Int32 = 0
    /// Values that were acknowledged, and those that were sent.
    private(set) var acknowledged = 0
    private(set) var sent = 0

    init(name: String, partition: Int32) {
        self.name = name
        self.partition = partition
    }

    private func value(_ number: Int) -> String { "\(name).\(number)" }

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        do {
            if id < 0 {
                let made = try node.log.makeProducerID().id
                if node.hasCrashed { return }
                id = made
            }
            if sent == acknowledged { sent += Int.random(in: 1...3, using: &random) }
            let log = try node.partition("events", partition)
            let codec: CompressionCodec = Int.random(in: 0..<10, using: &random) == 0 ? .lz4 : .none
            try log.append(
                client: clientBatch((acknowledged..<sent).map(value), producerID: id, epoch: 0, sequence: sequence, codec: codec))
            try log.flush()
            if node.hasCrashed { return }
            sequence += Int32(sent - acknowledged)
            acknowledged = sent
        } catch where isDiskFailure(error) || node.hasCrashed {
        }
    }

    /// Its values are there from the first on without a gap, in order, once each, and none is missing that was acknowledged.
    func check(_ values: [String], _ note: String) {
        let mine = values.filter { $0.hasPrefix("\(name).") }
        #expect(mine == (0..<mine.count).map(value), "\(note): values of \(name) are lost, doubled or out of order")
        #expect(mine.count >= acknowledged && mine.count <= sent, "\(note): \(mine.count) values of \(name), \(acknowledged) acknowledged of \(sent)")
    }
}

/// Writes the latest value of each of a few keys to a compacted topic.
struct SimulatedTable {
    private var acknowledged: [String: Int] = [:]
    private var sent: [String: Int] = [:]

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        let key = "k\(Int.random(in: 0..<5, using: &random))"
        let number = (sent[key] ?? 0) + 1
        sent[key] = number
        do {
            let log = try node.partition("table", 0)
            try log.append(["\(number)" + String(repeating: "x", count: Int.random(in: 0..<100, using: &random))], keys: [key])
            try log.flush()
            if !node.hasCrashed { acknowledged[key] = number }
        } catch where isDiskFailure(error) || node.hasCrashed {
        }
    }

    func check(_ node: SimulatedNode, _ note: String) throws {
        var latest: [String: Int] = [:]
        for row in try node.partition("table", 0).rows() {
            let number = Int(row.value?.prefix { $0 != "x" } ?? "") ?? -1
            guard let key = row.key else { continue }
            #expect(number > latest[key] ?? 0, "\(note): \(key) goes back to \(number)")
            latest[key] = number
        }
        for (key, number) in acknowledged { #expect(latest[key] ?? 0 >= number, "\(note): the latest value of \(key) is lost") }
    }
}
