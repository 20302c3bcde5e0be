import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension FunctionTable {
    static func other(_ t: inout FunctionTable) {
        t.function("AS_VALUE", .other, "The argument itself: copies a key column into the value.", shown: "AS_VALUE")
        t.columns("(T key) -> T") { $0.arguments[0].column }

        t.function("GEO_DISTANCE", .other, "The great-circle distance of two points given in degrees, in kilometres ('KM', the default) or miles ('MI').")
        t.columns("(DOUBLE lat1, DOUBLE lon1, DOUBLE lat2, DOUBLE lon2) -> DOUBLE") { distance(&$0) }
        t.columns("(DOUBLE lat1, DOUBLE lon1, DOUBLE lat2, DOUBLE lon2, VARCHAR units) -> DOUBLE") { distance(&$0) }

        t.function("MD5", .string, "The MD5 digest of a text's UTF-8, as hexadecimal digits.")
        t.columns("(VARCHAR str) -> VARCHAR") { call in
            let texts = BytesArgument(call.arguments[0])
            var scratch: [UInt8] = []
            return StringKernels.texts(&call) { (row, out) throws(KernelFailure) in
                guard let text = texts.slice(row) else { return false }
                MD5.appendHex(text, scratch: &scratch, to: &out)
                return true
            }
        }

        t.function("UUID", .string, "A random UUID, another one for each row; or 16 bytes written as a UUID.")
        t.columns("() -> VARCHAR", deterministic: false) { call in
            let count = call.count
            let values = call.environment.random { random in (0..<count).map { _ in (random.next(), random.next()) } }
            return StringKernels.texts(&call) { (row, out) throws(KernelFailure) in
                // RFC 9562: version 4 in the seventh byte, variant 2 in the ninth.
                appendUUID(values[row].0 & ~0xf000 | 0x4000, values[row].1 & ~(3 << 62) | 2 << 62, to: &out)
                return true
            }
        }
        t.columns("(BYTES bytes) -> VARCHAR") { call in
            let bytes = BytesArgument(call.arguments[0])
            return StringKernels.texts(&call) { (row, out) throws(KernelFailure) in
                guard let value = bytes.slice(row), value.count == 16 else { return false }
                appendUUID(value.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }, value.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }, to: &out)
                return true
            }
        }
    }

    private static func appendUUID(_ high: UInt64, _ low: UInt64, to out: inout [UInt8]) {
        for i in 0..<32 {
            if i == 8 || i == 12 || i == 16 || i == 20 { out.append(UInt8(ascii: "-")) }
            let digit = UInt8(truncatingIfNeeded: (i < 16 ? high : low) >> UInt64(60 - 4 * (i & 15))) & 15
            out.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }
    }

    private static func radius(_ units: String) throws(KernelFailure) -> Double {
        switch units.trimmingBlanks().uppercased() {
        case "", "KM", "KILOMETER", "KILOMETERS", "KILOMETRE", "KILOMETRES": return 6371
        case "MI", "MILE", "MILES": return 3959
        default: throw KernelFailure("the units of a distance are KM or MI")
        }
    }

    /// The haversine formula on a sphere of 6371 km or 3959 miles.
    private static func distance(_ call: inout KernelCall) -> Column {
        let points = (0..<4).map { ArgumentColumn<Double>(call.arguments[$0]) }
        var radii = call.arguments.count > 4 ? MadeOfText(call.arguments[4]) { (units) throws(KernelFailure) in try radius(units) } : nil
        return call.rows { row -> Double? in
            guard let lat1 = points[0][row], let lon1 = points[1][row], let lat2 = points[2][row], let lon2 = points[3][row] else { return nil }
            guard abs(lat1) <= 90, abs(lat2) <= 90, abs(lon1) <= 180, abs(lon2) <= 180 else {
                throw KernelFailure("latitudes lie between -90 and 90 degrees, longitudes between -180 and 180")
            }
            var radius = 6371.0
            if radii != nil { radius = try radii!.with(row) { $0 } ?? 6371 }
            let degree = Double.pi / 180
            let a = sin((lat2 - lat1) * degree / 2), b = sin((lon2 - lon1) * degree / 2)
            let h = a * a + b * b * cos(lat1 * degree) * cos(lat2 * degree)
            return 2 * radius * asin(h.squareRoot())
        }
    }
}
