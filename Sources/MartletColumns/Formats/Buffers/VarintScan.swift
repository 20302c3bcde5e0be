/// Reads the numbers of Avro and Protobuf: 7 bits a byte, the lowest first.
enum VarintScan {
    /// A varint of up to 10 bytes; reads no further even if the bytes never end.
    @inline(__always)
    static func unsigned(_ p: inout UnsafePointer<UInt8>) -> UInt64 {
        var byte = p.pointee
        p += 1
        var value = UInt64(byte & 0x7f)
        var shift: UInt64 = 7
        while byte & 0x80 != 0, shift < 70 {
            byte = p.pointee
            p += 1
            value |= UInt64(byte & 0x7f) &<< shift
            shift &+= 7
        }
        return value
    }

    /// The signed number that zigzag folded into `value`: 0, 1, 2, 3 … stand for 0, −1, 1, −2 …
    @inline(__always)
    static func unfolded(_ value: UInt64) -> Int64 { Int64(bitPattern: value &>> 1) ^ (0 &- Int64(bitPattern: value & 1)) }

    /// A zigzag varint.
    @inline(__always)
    static func signed(_ p: inout UnsafePointer<UInt8>) -> Int64 { unfolded(unsigned(&p)) }
}
