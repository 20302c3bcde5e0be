/// A .proto file as it is written: what it declares, not yet what its names mean (Protocol Buffers, "Language Guide").
///
/// Services and extensions are kept for the text only.
public struct ProtobufFile: Sendable, Hashable {
    public enum Syntax: String, Sendable, Hashable { case proto2, proto3 }

    /// Nil: not said, which means proto2.
    public var syntax: Syntax?
    /// Empty: none.
    public var package: String
    public var imports: [Import]
    public var options: [Option]
    public var messages: [Message]
    public var enums: [Enumeration]
    /// `extend` and `service` blocks, in one fixed layout.
    public var others: [String]

    public init(
        syntax: Syntax? = .proto3, package: String = "", imports: [Import] = [], options: [Option] = [], messages: [Message] = [],
        enums: [Enumeration] = [], others: [String] = []
    ) {
        self.syntax = syntax
        self.package = package
        self.imports = imports
        self.options = options
        self.messages = messages
        self.enums = enums
        self.others = others
    }

    public struct Import: Sendable, Hashable {
        public enum Kind: String, Sendable, Hashable { case plain = "", publicly = "public", weak = "weak" }
        public var path: String
        public var kind: Kind

        public init(_ path: String, _ kind: Kind = .plain) {
            self.path = path
            self.kind = kind
        }
    }

    public struct Option: Sendable, Hashable {
        /// As written, custom ones in parentheses: `packed`, `(confluent.field_meta)`.
        public var name: String
        public var value: Value

        public init(_ name: String, _ value: Value) {
            self.name = name
            self.value = value
        }

        public indirect enum Value: Sendable, Hashable {
            case text(String)
            /// A number, `true`, `false` or a constant's name.
            case word(String)
            case message([Option])
            case list([Value])

            public var text: String {
                switch self {
                case .text(let text), .word(let text): text
                case .message, .list: ""
                }
            }

            /// The first member of this name.
            public subscript(name: String) -> Value? {
                if case .message(let members) = self { members.first { $0.name == name }?.value } else { nil }
            }
        }
    }

    public struct Message: Sendable, Hashable {
        public var name: String
        /// Fields outside of oneofs, in order.
        public var fields: [FieldDeclaration]
        public var oneofs: [Oneof]
        public var messages: [Message]
        public var enums: [Enumeration]
        public var options: [Option]
        /// `reserved …;` and `extensions …;` lines, and nested `extend` blocks, in one fixed layout.
        public var reserved: [String]
        public var extensions: [String]
        public var others: [String]

        public init(_ name: String, fields: [FieldDeclaration] = [], messages: [Message] = []) {
            self.name = name
            self.fields = fields
            self.messages = messages
            oneofs = []
            enums = []
            options = []
            reserved = []
            extensions = []
            others = []
        }
    }

    public struct FieldDeclaration: Sendable, Hashable {
        public enum Label: String, Sendable, Hashable { case none = "", optional, required, repeated }

        public var label: Label
        /// A scalar's word, or the name of a message or enum as written; of a map, its values' type.
        public var type: String
        /// Nil: no map.
        public var mapKey: String?
        public var name: String
        public var number: Int
        public var options: [Option]

        public init(_ label: Label = .none, _ type: String, mapKey: String? = nil, _ name: String, _ number: Int, options: [Option] = []) {
            self.label = label
            self.type = type
            self.mapKey = mapKey
            self.name = name
            self.number = number
            self.options = options
        }

        public func option(_ name: String) -> Option.Value? { options.first { $0.name == name }?.value }
    }

    public struct Oneof: Sendable, Hashable {
        public var name: String
        public var fields: [FieldDeclaration]
        public var options: [Option]
    }

    public struct Enumeration: Sendable, Hashable {
        public struct Constant: Sendable, Hashable {
            public var name: String
            public var number: Int
            public var options: [Option]
        }

        public var name: String
        public var constants: [Constant]
        public var options: [Option]
        public var reserved: [String]
    }
}
