import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// COUNT_DISTINCT: exact up to 128 values, from there HyperLogLog with 4096 registers (standard error 1.6 %); nulls do not count.
///
/// A value is known by 64 bits of hash over its `KeyEncoding`, the same on every machine, so that states can be kept and merged.
struct DistinctCountKernel: SlotKernel {
    static let exactMax = 128
    private static let bits = 12
    private static let registerCount = 1 << bits

    private enum Sketch {
        case exact([UInt64])
        case registers(Registers)
    }

    private struct Registers {
        var ranks = [UInt8](repeating: 0, count: registerCount)
        /// The sum of 2^(51 − rank) over all registers: in integers, so that it does not depend on the order of additions.
        var sum = UInt64(registerCount) << 51
        var zeros = registerCount

        mutating func raise(_ index: Int, to rank: UInt8) {
            let old = ranks[index]
            if rank <= old { return }
            if old == 0 { zeros -= 1 }
            sum = sum &- (1 << UInt64(51 - old)) &+ (1 << UInt64(51 - rank))
            ranks[index] = rank
        }

        mutating func add(_ hash: UInt64) {
            raise(Int(hash >> UInt64(64 - bits)), to: UInt8(min(51, (hash << UInt64(bits)).leadingZeroBitCount + 1)))
        }

        var estimate: Int64 {
            let m = Double(registerCount)
            let raw = 0.7213 / (1 + 1.079 / m) * m * m / (Double(sum) / Double(1 << 51))
            // Few values leave registers empty, and how many says more than their ranks.
            if raw <= 2.5 * m, zeros > 0 { return Int64((m * log(m / Double(zeros))).rounded()) }
            return Int64(raw.rounded())
        }
    }

    private var sketches: [Sketch] = []
    private var hashes: [UInt64] = []

    func input(_ columns: [Column]) -> Validity { columns[0].validity }
    mutating func begin(_ columns: [Column], removed: [Column]?) { hashes = Self.hashes(columns[0]) }
    mutating func grow(to count: Int) { sketches.lengthen(to: count, .exact([])) }

    /// FNV-1a over the encoded value, its bits mixed so that the high ones are as good as the low ones.
    private static func hashes(_ column: Column) -> [UInt64] {
        let keys = KeyEncoding.encode([column])
        return keys.buffer.withUnsafeBufferPointer { buffer in
            (0..<keys.count).map { row in
                var hash: UInt64 = 0xcbf2_9ce4_8422_2325
                let start = Int(keys.starts[row])
                for at in start..<(start + Int(keys.lengths[row])) { hash = (hash ^ UInt64(buffer[at])) &* 0x100_0000_01b3 }
                hash = (hash ^ (hash >> 30)) &* 0xbf58_476d_1ce4_e5b9
                hash = (hash ^ (hash >> 27)) &* 0x94d0_49bb_1331_11eb
                return hash ^ (hash >> 31)
            }
        }
    }

    private mutating func take(_ slot: Int, _ hash: UInt64) {
        // The slot lets go of its sketch while it changes, so that it changes in place.
        switch exchange(slot, .exact([])) {
        case .exact(var known):
            if !known.contains(hash) {
                known.append(hash)
                if known.count > Self.exactMax {
                    var registers = Registers()
                    for hash in known { registers.add(hash) }
                    sketches[slot] = .registers(registers)
                    return
                }
            }
            sketches[slot] = .exact(known)
        case .registers(var registers):
            registers.add(hash)
            sketches[slot] = .registers(registers)
        }
    }

    private mutating func exchange(_ slot: Int, _ sketch: Sketch) -> Sketch {
        let old = sketches[slot]
        sketches[slot] = sketch
        return old
    }

    mutating func add(_ slot: Int, _ input: Validity, _ row: Int) { if input.isValid(row) { take(slot, hashes[row]) } }

    mutating func merge(_ slot: Int, from other: Int) {
        switch (sketches[slot], sketches[other]) {
        case (_, .exact(let more)): for hash in more { take(slot, hash) }
        case (.exact(let mine), .registers):
            sketches[slot] = sketches[other]
            for hash in mine { take(slot, hash) }
        case (.registers(var mine), .registers(let more)):
            for i in more.ranks.indices { mine.raise(i, to: more.ranks[i]) }
            sketches[slot] = .registers(mine)
        }
    }

    mutating func clear(_ slot: Int) { sketches[slot] = .exact([]) }

    func output(capacity: Int) -> FixedOutput<Int64> { FixedOutput(capacity: capacity) { .bigint($0) } }
    func append(_ slot: Int, to output: inout FixedOutput<Int64>) {
        switch sketches[slot] {
        case .exact(let known): output.append(Int64(known.count))
        case .registers(let registers): output.append(registers.estimate)
        }
    }

    /// Hashes of 8 bytes each, most significant byte first; or the registers, one byte each, which are more bytes than hashes ever are.
    var storedType: SQLType { .bytes }
    func stored(_ slots: [UInt32]) -> Column {
        var out = BytesColumn()
        for slot in slots {
            switch sketches[Int(slot)] {
            case .exact(let known):
                var bytes: [UInt8] = []
                bytes.reserveCapacity(known.count * 8)
                for hash in known { for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: hash >> UInt64(shift))) } }
                out.append(bytes)
            case .registers(let registers): out.append(registers.ranks)
            }
        }
        return .bytes(out)
    }

    mutating func restore(_ stored: Column, into slots: [UInt32]) {
        let column = stored.byteStrings
        for i in slots.indices {
            let bytes = Array(column.slice(i))
            if bytes.count == Self.registerCount {
                var registers = Registers()
                for k in bytes.indices { registers.raise(k, to: min(51, bytes[k])) }
                sketches[Int(slots[i])] = .registers(registers)
            } else {
                sketches[Int(slots[i])] = .exact(
                    stride(from: 0, to: bytes.count / 8 * 8, by: 8).map { at in bytes[at..<(at + 8)].reduce(0) { $0 << 8 | UInt64($1) } })
            }
        }
    }
}

final class DistinctCountState: SlotAggregate { var kernel = DistinctCountKernel() }
