import MartletCore
import Testing

@testable import MartletLog

@Suite struct CompressionTests {
    static let codecs = CompressionCodec.allCases.filter { $0 != .none }

    func compress(_ input: [UInt8], _ codec: CompressionCodec) -> [UInt8] {
        var out: [UInt8] = [9]
        input.withUnsafeBytes { Compression.compress($0, codec, onto: &out) }
        #expect(out[0] == 9)
        return Array(out.dropFirst())
    }

    func decompress(_ input: [UInt8], _ codec: CompressionCodec) -> [UInt8]? {
        var out: [UInt8] = [9]
        return input.withUnsafeBytes { Compression.decompress($0, codec, onto: &out) } ? Array(out.dropFirst()) : nil
    }

    @Test(arguments: codecs) func roundTrip(codec: CompressionCodec) {
        withSeeds(12) { seed, random in
            let size = [0, 1, 100, 32 << 10, (32 << 10) + 1, 300_000].randomElement(using: &random) ?? 0
            let mask: UInt8 = Bool.random(using: &random) ? 255 : 3
            let input = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) & mask }
            #expect(decompress(compress(input, codec), codec) == input, "seed \(seed) size \(size)")
        }
    }

    /// Cut off or changed input gives an error or some bytes, never a trap or an endless loop; cut off input never passes as whole.
    @Test(arguments: codecs) func damagedInput(codec: CompressionCodec) {
        let input = (0..<5000).map { UInt8($0 % 251) }
        let good = compress(input, codec)
        withSeeds(200) { seed, random in
            let cut = Array(good.prefix(Int.random(in: 0..<good.count, using: &random)))
            let result = decompress(cut, codec)
            // Xerial's blocks end nowhere: a cut between two of them cannot be seen here, but by the record count.
            #expect(result == nil || (codec == .snappy && cut.count <= 16), "seed \(seed)")
            var changed = good
            changed[Int.random(in: 0..<good.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            _ = decompress(changed, codec)
        }
    }

    /// Python: gzip.compress(b"martlet", mtime=0) and the same through the C libraries' command line tools.
    @Test func readsWhatOthersWrote() throws {
        let gzip: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff, 0xcb, 0x4d, 0x2c, 0x2a, 0xc9, 0x49, 0x2d, 1, 0]
        // deflate of "martlet" above is followed by its CRC-32 and length
        let raw: [UInt8] = [7, 24, 109, 97, 114, 116, 108, 101, 116]  // raw snappy: length 7, literal of 7
        #expect(decompress(raw, .snappy) == Array("martlet".utf8))
        #expect(decompress(gzip, .gzip) == nil)  // without its trailer it is cut off
        let two = compress(Array("ab".utf8), .gzip) + compress(Array("cd".utf8), .gzip)
        #expect(decompress(two, .gzip) == Array("abcd".utf8))
    }

    @Test func aClaimOfGigabytesIsRefused() {
        // Raw snappy whose length says 1 GiB.
        #expect(decompress([0x80, 0x80, 0x80, 0x80, 4, 0, 65], .snappy) == nil)
    }
}
