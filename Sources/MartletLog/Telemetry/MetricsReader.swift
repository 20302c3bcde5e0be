/// What a client pushed cannot be read as OTLP metrics.
struct MalformedMetrics: Error {
    var reason: String
}

/// One number of a metric, as a client reported it.
struct ReportedPoint: Sendable, Hashable {
    var name: String
    var unit: String
    /// Only grows, but for a restart of the client.
    var isCounter: Bool
    /// Of a counter: what was added since the report before, not the whole.
    var isDelta: Bool
    var value: Double
    /// When it was taken, in milliseconds since 1970; 0 if not said.
    var timestampMs: Int64
    var attributes: [String: String]
}

/// Reads OpenTelemetry's `MetricsData` (opentelemetry-proto 1.x, metrics.proto), of which KIP-714 uses gauges and sums of numbers. Other kinds of
/// metrics, and fields that are not known, are passed over. Nothing is allocated that the bytes do not hold.
struct MetricsReader {
    /// More points than this of one push are not kept.
    static let pointsMax = 50_000
    /// A name, unit or attribute is cut to this many characters.
    private static let textMax = 256
    private static let attributesMax = 32

    private(set) var points: [ReportedPoint] = []

    static func points(_ bytes: [UInt8]) throws(MalformedMetrics) -> [ReportedPoint] {
        var reader = MetricsReader()
        var message = ProtobufFields(bytes[...])
        while let field = try message.next() {
            if field.number == 1, case .bytes(let resource) = field.value { try reader.resource(resource) }
        }
        return reader.points
    }

    /// `ResourceMetrics`: what holds for all of its metrics, and they.
    private mutating func resource(_ bytes: ArraySlice<UInt8>) throws(MalformedMetrics) {
        var shared: [String: String] = [:], scopes: [ArraySlice<UInt8>] = []
        var message = ProtobufFields(bytes)
        while let field = try message.next() {
            guard case .bytes(let inner) = field.value else { continue }
            if field.number == 1 {
                var resource = ProtobufFields(inner)
                while let attribute = try resource.next() {
                    if attribute.number == 1, case .bytes(let pair) = attribute.value { try Self.attribute(pair, into: &shared) }
                }
            } else if field.number == 2 {
                scopes.append(inner)
            }
        }
        for scope in scopes {
            var message = ProtobufFields(scope)
            while let field = try message.next() {
                if field.number == 2, case .bytes(let metric) = field.value { try self.metric(metric, shared) }
            }
        }
    }

    private mutating func metric(_ bytes: ArraySlice<UInt8>, _ shared: [String: String]) throws(MalformedMetrics) {
        var name = "", unit = "", data: [(isSum: Bool, bytes: ArraySlice<UInt8>)] = []
        var message = ProtobufFields(bytes)
        while let field = try message.next() {
            guard case .bytes(let inner) = field.value else { continue }
            switch field.number {
            case 1: name = Self.text(inner)
            case 3: unit = Self.text(inner)
            case 5: data.append((false, inner))
            case 7: data.append((true, inner))
            default: break
            }
        }
        for (isSum, inner) in data {
            var temporality: UInt64 = 0, isMonotonic = false, points: [ArraySlice<UInt8>] = []
            var message = ProtobufFields(inner)
            while let field = try message.next() {
                switch (field.number, field.value) {
                case (1, .bytes(let point)): points.append(point)
                case (2, .number(let value)) where isSum: temporality = value
                case (3, .number(let value)) where isSum: isMonotonic = value != 0
                default: break
                }
            }
            for point in points {
                try number(
                    point, ReportedPoint(name: name, unit: unit, isCounter: isMonotonic, isDelta: temporality == 1, value: 0, timestampMs: 0, attributes: shared))
            }
        }
    }

    /// `NumberDataPoint`
    private mutating func number(_ bytes: ArraySlice<UInt8>, _ metric: ReportedPoint) throws(MalformedMetrics) {
        guard points.count < Self.pointsMax, !metric.name.isEmpty else { return }
        var point = metric, hasValue = false
        var message = ProtobufFields(bytes)
        while let field = try message.next() {
            switch (field.number, field.value) {
            case (3, .fixed64(let nanoseconds)): point.timestampMs = Int64(clamping: nanoseconds / 1_000_000)
            case (4, .fixed64(let bits)): (point.value, hasValue) = (Double(bitPattern: bits), true)
            case (6, .fixed64(let bits)): (point.value, hasValue) = (Double(Int64(bitPattern: bits)), true)
            case (7, .bytes(let pair)): try Self.attribute(pair, into: &point.attributes)
            default: break
            }
        }
        if hasValue { points.append(point) }
    }

    /// `KeyValue`; values that are lists or maps have no place in a label and are passed over.
    private static func attribute(_ bytes: ArraySlice<UInt8>, into attributes: inout [String: String]) throws(MalformedMetrics) {
        var key = "", value: String?
        var message = ProtobufFields(bytes)
        while let field = try message.next() {
            guard case .bytes(let inner) = field.value else { continue }
            if field.number == 1 { key = text(inner) }
            guard field.number == 2 else { continue }
            var any = ProtobufFields(inner)
            while let field = try any.next() {
                switch (field.number, field.value) {
                case (1, .bytes(let text)): value = Self.text(text)
                case (2, .number(let bool)): value = bool == 0 ? "false" : "true"
                case (3, .number(let number)): value = "\(Int64(bitPattern: number))"
                case (4, .fixed64(let bits)): value = "\(Double(bitPattern: bits))"
                default: break
                }
            }
        }
        guard !key.isEmpty, let value, attributes.count < attributesMax || attributes[key] != nil else { return }
        attributes[key] = value
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes.prefix(textMax * 4), as: UTF8.self).prefix(textMax).description }
}

/// The fields of one Protobuf message, one after the other (protobuf.dev, "Encoding").
struct ProtobufFields {
    enum Value {
        case number(UInt64)
        case fixed64(UInt64)
        case fixed32(UInt32)
        /// A string, bytes, a message, or packed numbers.
        case bytes(ArraySlice<UInt8>)
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// Nil at the end.
    mutating func next() throws(MalformedMetrics) -> (number: UInt64, value: Value)? {
        guard !rest.isEmpty else { return nil }
        let tag = try varint()
        let number = tag >> 3
        guard number > 0 else { throw MalformedMetrics(reason: "a field has number 0") }
        switch tag & 7 {
        case 0: return (number, .number(try varint()))
        case 1: return (number, .fixed64(try fixed(8)))
        case 2:
            let count = try varint()
            guard count <= UInt64(rest.count) else { throw MalformedMetrics(reason: "a field of \(count) bytes in \(rest.count)") }
            return (number, .bytes(take(Int(count))))
        case 5: return (number, .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
        default: throw MalformedMetrics(reason: "wire type \(tag & 7)")
        }
    }

    private mutating func take(_ count: Int) -> ArraySlice<UInt8> {
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    /// Little-endian.
    private mutating func fixed(_ count: Int) throws(MalformedMetrics) -> UInt64 {
        guard rest.count >= count else { throw MalformedMetrics(reason: "ends inside a number") }
        return take(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private mutating func varint() throws(MalformedMetrics) -> UInt64 {
        var value: UInt64 = 0, shift: UInt64 = 0
        while let byte = rest.popFirst() {
            guard shift < 63 || byte < 2 else { throw MalformedMetrics(reason: "a number of more than 64 bits") }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
            guard shift < 70 else { throw MalformedMetrics(reason: "a number of more than 64 bits") }
        }
        throw MalformedMetrics(reason: "ends inside a number")
    }
}
