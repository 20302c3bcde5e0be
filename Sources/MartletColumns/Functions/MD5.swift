/// RFC 1321; for the function of that name, never for security.
enum MD5 {
    private static let shifts = (
        SIMD4<UInt32>(7, 12, 17, 22), SIMD4<UInt32>(5, 9, 14, 20), SIMD4<UInt32>(4, 11, 16, 23), SIMD4<UInt32>(6, 10, 15, 21)
    )
    /// ⌊2³² · |sin(i + 1)|⌋, in fixed point so that no library's rounding matters.
    private static let constants: [UInt32] = [
        0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501, 0x6980_98d8, 0x8b44_f7af,
        0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821, 0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa,
        0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8, 0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8,
        0x676f_02d9, 0x8d2a_4c8a, 0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
        0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665, 0xf429_2244, 0x432a_ff97,
        0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1, 0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1,
        0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
    ]

    /// Appends the digest as 32 lower-case hexadecimal digits. `scratch` is memory that serves again for the next message.
    static func appendHex(_ message: ArraySlice<UInt8>, scratch bytes: inout [UInt8], to out: inout [UInt8]) {
        bytes.removeAll(keepingCapacity: true)
        bytes += message
        let bits = UInt64(bytes.count) * 8
        bytes.append(0x80)
        while bytes.count % 64 != 56 { bytes.append(0) }
        for i in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: bits >> UInt64(8 * i))) }
        var (a0, b0, c0, d0) = (0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476) as (UInt32, UInt32, UInt32, UInt32)
        bytes.withUnsafeBytes { bytes in
            constants.withUnsafeBufferPointer { constants in
                for block in stride(from: 0, to: bytes.count, by: 64) {
                    var (a, b, c, d) = (a0, b0, c0, d0)
                    @inline(__always) func step(_ f: UInt32, _ i: Int, _ word: Int, _ shift: UInt32) {
                        let sum = f &+ a &+ constants[i] &+ UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: block &+ 4 &* word, as: UInt32.self))
                        (a, d, c, b) = (d, c, b, b &+ (sum &<< shift | sum &>> (32 &- shift)))
                    }
                    for i in 0..<16 { step((b & c) | (~b & d), i, i, shifts.0[i & 3]) }
                    for i in 16..<32 { step((d & b) | (~d & c), i, (5 &* i &+ 1) & 15, shifts.1[i & 3]) }
                    for i in 32..<48 { step(b ^ c ^ d, i, (3 &* i &+ 5) & 15, shifts.2[i & 3]) }
                    for i in 48..<64 { step(c ^ (b | ~d), i, (7 &* i) & 15, shifts.3[i & 3]) }
                    (a0, b0, c0, d0) = (a0 &+ a, b0 &+ b, c0 &+ c, d0 &+ d)
                }
            }
        }
        for word in [a0, b0, c0, d0] {
            for i in 0..<8 {
                // Bytes from the lowest on, of each the high digit first.
                let digit = UInt8(truncatingIfNeeded: word >> UInt32(4 * (i ^ 1))) & 15
                out.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
            }
        }
    }
}
