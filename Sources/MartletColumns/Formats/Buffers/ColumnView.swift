import MartletCore

/// Plain pointers into one column (or nested part) for a loop over rows that touches many columns.
struct ColumnView {
    enum Kind: UInt8 { case boolean, integer, bigint, double, decimal, string, bytes, date, time, timestamp, array, map, structure }

    var kind: Kind
    var precision = 0
    var scale = 0
    /// Fixed width: elements. Strings: the buffer. Lists and maps: offsets (`Int32`, n + 1).
    var values: UnsafeRawPointer
    var starts: UnsafePointer<UInt32>?
    var lengths: UnsafePointer<UInt32>?
    /// Nil: no nulls.
    var valid: UnsafePointer<Bool>?
    /// Views lie in preorder: the first child is the next view, and this is the one after the whole subtree.
    var next = 0

    /// Views that a column of this type takes.
    static func count(_ type: SQLType) -> Int {
        switch type {
        case .array(let element): 1 + count(element)
        case .map(let key, let value): 1 + count(key) + count(value)
        case .structure(let fields): fields.reduce(1) { $0 + count($1.type) }
        default: 1
        }
    }

    @inline(__always)
    func isValid(_ row: Int) -> Bool { if let valid { valid[row] } else { true } }

    @inline(__always)
    func value<T: BitwiseCopyable>(_: T.Type, _ row: Int) -> T { values.assumingMemoryBound(to: T.self)[row] }

    @inline(__always)
    func text(_ row: Int) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(
            start: values.assumingMemoryBound(to: UInt8.self) + Int(starts.unsafelyUnwrapped[row]),
            count: Int(lengths.unsafelyUnwrapped[row]))
    }

    @inline(__always)
    func range(_ row: Int) -> Range<Int> {
        let offsets = values.assumingMemoryBound(to: Int32.self)
        return Int(offsets[row])..<Int(offsets[row + 1])
    }

    /// Calls `body` with the views of all columns, nested parts included, in preorder; `roots[i]` is the index of column i's view.
    ///
    /// The views hold as long as `body` runs: each array's pointer comes from a closure, nested one in another.
    static func withViews(of columns: [Column], _ body: (_ views: UnsafePointer<ColumnView>, _ roots: [Int]) -> Void) {
        var parts: [Column] = [], roots: [Int] = [], next: [Int] = []
        func flatten(_ column: Column) {
            let index = parts.count
            parts.append(column)
            next.append(0)
            switch column {
            case .array(let c): flatten(c.elements)
            case .map(let c):
                flatten(c.keys)
                flatten(c.values)
            case .structure(let c): for field in c.fields { flatten(field) }
            default: break
            }
            next[index] = parts.count
        }
        for column in columns {
            roots.append(parts.count)
            flatten(column)
        }
        var views: [ColumnView] = []
        views.reserveCapacity(parts.count)

        func open(_ index: Int) {
            guard index < parts.count else {
                views.withUnsafeBufferPointer { body($0.baseAddress ?? Self.nothing, roots) }
                return
            }
            func flags(_ validity: Validity, _ view: ColumnView) {
                var view = view
                view.next = next[index]
                if let flags = validity.flags {
                    flags.withUnsafeBufferPointer {
                        view.valid = $0.baseAddress
                        views.append(view)
                        open(index + 1)
                    }
                } else {
                    views.append(view)
                    open(index + 1)
                }
            }
            func array<T>(_ values: [T], _ kind: Kind, _ validity: Validity, precision: Int = 0, scale: Int = 0) {
                values.withUnsafeBufferPointer {
                    flags(
                        validity,
                        ColumnView(kind: kind, precision: precision, scale: scale, values: UnsafeRawPointer($0.baseAddress) ?? Self.zeros))
                }
            }
            func bytes(_ column: BytesColumn, _ kind: Kind) {
                column.buffer.withUnsafeBufferPointer { buffer in
                    column.starts.withUnsafeBufferPointer { starts in
                        column.lengths.withUnsafeBufferPointer { lengths in
                            flags(
                                column.validity,
                                ColumnView(
                                    kind: kind, values: UnsafeRawPointer(buffer.baseAddress) ?? Self.zeros, starts: starts.baseAddress,
                                    lengths: lengths.baseAddress))
                        }
                    }
                }
            }
            switch parts[index] {
            case .boolean(let c): array(c.values, .boolean, c.validity)
            case .integer(let c): array(c.values, .integer, c.validity)
            case .bigint(let c): array(c.values, .bigint, c.validity)
            case .double(let c): array(c.values, .double, c.validity)
            case .decimal(let c, let precision, let scale): array(c.values, .decimal, c.validity, precision: precision, scale: scale)
            case .string(let c): bytes(c, .string)
            case .bytes(let c): bytes(c, .bytes)
            case .date(let c): array(c.values, .date, c.validity)
            case .time(let c): array(c.values, .time, c.validity)
            case .timestamp(let c): array(c.values, .timestamp, c.validity)
            case .array(let c): array(c.offsets, .array, c.validity)
            case .map(let c): array(c.offsets, .map, c.validity)
            case .structure(let c): flags(c.validity, ColumnView(kind: .structure, values: Self.zeros))
            }
        }
        open(0)
    }

    // Stand in for the addresses of empty arrays. Immutable after creation, so sharing them is safe.
    nonisolated(unsafe) private static let zeros: UnsafeRawPointer = {
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 16)
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
        return UnsafeRawPointer(bytes)
    }()
    nonisolated(unsafe) private static let nothing: UnsafePointer<ColumnView> = {
        let view = UnsafeMutablePointer<ColumnView>.allocate(capacity: 1)
        view.initialize(to: ColumnView(kind: .boolean, values: zeros))
        return UnsafePointer(view)
    }()
}
