import MartletCore
import Testing

@testable import MartletColumns

@Suite struct ProtobufSchemaTests {
    static let rich = """
        // A comment.
        syntax = "proto3";
        package com.acme;
        import "google/protobuf/timestamp.proto"; /* another */ import public "google/type/date.proto";
        option java_package = "com.acme.proto"; option java_multiple_files = true;
        message Order {
          reserved 4, 10 to 12, 20 to max; reserved "old";
          option deprecated = true;
          string id = 1 [(confluent.field_meta) = { doc: "the id", params: [{key: "a", value: "b"}] }, deprecated = false];
          map<string, Item> items = 2;
          optional int32 count = 3;
          google.protobuf.Timestamp at = 5;
          oneof payment { string card = 6; Order.Item gift = 7; }
          message Item { .com.acme.Kind kind = 1; repeated double prices = 2 [packed = false]; }
        }
        enum Kind { option allow_alias = true; NONE = 0; ALSO = 0; OTHER = -1; }
        service Shop { rpc Buy (Order) returns (stream Order); rpc Ask (stream Order) returns (Order) { option deprecated = true; } }
        """

    @Test func theTextHasOneLayout() throws {
        let text = try ProtobufSchema.canonicalText(of: Self.rich)
        #expect(
            text == """
                syntax = "proto3";
                package com.acme;

                import "google/protobuf/timestamp.proto";
                import public "google/type/date.proto";

                option java_package = "com.acme.proto";
                option java_multiple_files = true;

                message Order {
                  reserved 4, 10 to 12, 20 to max;
                  reserved "old";

                  option deprecated = true;

                  string id = 1 [
                    (confluent.field_meta) = {
                      doc: "the id",
                      params: [
                        {
                          key: "a",
                          value: "b"
                        }
                      ]
                    },
                    deprecated = false
                  ];
                  map<string, Item> items = 2;
                  optional int32 count = 3;
                  google.protobuf.Timestamp at = 5;

                  oneof payment {
                    string card = 6;
                    Order.Item gift = 7;
                  }

                  message Item {
                    .com.acme.Kind kind = 1;
                    repeated double prices = 2 [packed = false];
                  }
                }
                enum Kind {
                  option allow_alias = true;
                  NONE = 0;
                  ALSO = 0;
                  OTHER = -1;
                }

                service Shop {
                  rpc Buy (Order) returns (stream Order);
                  rpc Ask (stream Order) returns (Order) {
                    option deprecated = true;
                  };
                }

                """)
        #expect(try ProtobufSchema.canonicalText(of: text) == text)
    }

    @Test func namesAreResolvedFromTheInsideOut() throws {
        let schema = try ProtobufSchema(parsing: Self.rich)
        let order = try schema.message(named: nil)
        #expect(order.fullName == "com.acme.Order")
        #expect(order.fields.map(\.number) == [1, 2, 3, 5, 6, 7])
        #expect(order.fields[1].kind == .message("com.acme.Order.ItemsEntry") && schema.messages["com.acme.Order.ItemsEntry"]?.isMapEntry == true)
        #expect(order.fields[5].kind == .message("com.acme.Order.Item") && order.fields[5].oneof == 0)
        #expect(schema.messages["com.acme.Order.Item"]?.fields[0].kind == .enumeration("com.acme.Kind"))
        #expect(schema.messages["com.acme.Order.Item"]?.fields[1].isPacked == false)
        #expect(schema.indexes(of: "com.acme.Order.Item") == [0, 0] && schema.message(at: [0, 0])?.fullName == "com.acme.Order.Item")
        let nearest = try ProtobufSchema(parsing: "syntax = \"proto3\"; message A { message B { C c = 1; message C { } } message C { } } message C { }")
        #expect(nearest.messages["A.B"]?.fields[0].kind == .message("A.B.C"))
    }

    @Test func referencesAreImports() throws {
        let text = "syntax = \"proto3\"; import \"shop/item.proto\"; message Cart { shop.Item item = 1; }"
        #expect(throws: MartletError.self) { try ProtobufSchema(parsing: text) }
        let imports = [
            SchemaImport(name: "shop/price.proto", text: "syntax = \"proto3\"; package shop; message Price { int64 cents = 1; }"),
            SchemaImport(name: "shop/item.proto", text: "syntax = \"proto3\"; package shop; import \"shop/price.proto\"; message Item { Price price = 1; }"),
        ]
        let fields = try SchemaTranslation.fields(fromSchemaText: text, spec: FormatSpec(.protobuf), side: .value, imports: imports)
        #expect(fields == [Field("ITEM", .structure([Field("PRICE", .structure([Field("CENTS", .bigint)]))]))])
    }

    @Test func schemasBecomeColumns() throws {
        let fields = try SchemaTranslation.fields(fromSchemaText: Self.rich, spec: FormatSpec(.protobuf), side: .value)
        let item: SQLType = .structure([Field("KIND", .string), Field("PRICES", .array(.double))])
        #expect(
            fields == [
                Field("PAYMENT_0", .structure([Field("CARD", .string), Field("GIFT", item)])), Field("ID", .string), Field("ITEMS", .map(key: .string, value: item)),
                Field("COUNT", .integer), Field("AT", .timestamp),
            ])
        let named = FormatSpec(.protobuf, properties: ["fullSchemaName": "com.acme.Order.Item"])
        #expect(try SchemaTranslation.fields(fromSchemaText: Self.rich, spec: named, side: .value, keepsCase: true) == [Field("kind", .string), Field("prices", .array(.double))])
        for recursive in ["message A { A a = 1; }", "message A { B b = 1; message B { repeated A a = 1; } }", "message A { map<string, A> a = 1; }", "import \"google/protobuf/struct.proto\"; message A { google.protobuf.Struct s = 1; }"] {
            let error = #expect(throws: MartletError.self) { try SchemaTranslation.fields(fromSchemaText: "syntax = \"proto3\"; " + recursive, spec: FormatSpec(.protobuf), side: .value) }
            #expect(error?.code == .notSupported && error?.message.contains("contains itself") == true, "\(recursive): \(String(describing: error))")
        }
    }

    @Test func columnsBecomeSchemas() throws {
        func text(_ fields: [Field], _ properties: [String: String] = [:]) throws -> String {
            try SchemaTranslation.schemaText(for: fields, spec: FormatSpec(.protobuf, properties: properties), side: .value)
        }
        let struct_ = Field("s", .structure([Field("x", .integer), Field("m", .map(key: .string, value: .structure([Field("y", .date)])))]))
        #expect(
            try text([Field("A", .array(.decimal(precision: 4, scale: 2))), struct_, Field("T", .structure([Field("z", .string)]))]) == """
                syntax = "proto3";

                import "confluent/type/decimal.proto";
                import "google/type/date.proto";

                message ConnectDefault1 {
                  repeated confluent.type.Decimal A = 1 [(confluent.field_meta) = {
                    params: [
                      {
                        value: "4",
                        key: "precision"
                      },
                      {
                        value: "2",
                        key: "scale"
                      }
                    ]
                  }];
                  ConnectDefault2 s = 2;
                  ConnectDefault5 T = 3;

                  message ConnectDefault2 {
                    int32 x = 1;
                    repeated ConnectDefault3Entry m = 2;
                  \u{20}
                    message ConnectDefault3Entry {
                      string key = 1;
                      ConnectDefault4 value = 2;
                    \u{20}
                      message ConnectDefault4 {
                        google.type.Date y = 1;
                      }
                    }
                  }
                  message ConnectDefault5 {
                    string z = 1;
                  }
                }

                """.replacing("\u{20}\n", with: "\n"))
        #expect(try text([Field("I", .integer)], ["fullSchemaName": "a.b.C"]) == "syntax = \"proto3\";\npackage a.b;\n\nmessage C {\n  int32 I = 1;\n}\n")
        #expect(try text([Field("I", .integer)], ["nullableRepresentation": "optional"]).contains("  optional int32 I = 1;"))
        #expect(try text([Field("I", .integer)], ["nullableRepresentation": "wrapper"]).contains("import \"google/protobuf/wrappers.proto\";\n\nmessage ConnectDefault1 {\n  google.protobuf.Int32Value I = 1;"))
        for bad in [Field("a-b", .integer), Field("A", .array(.array(.integer))), Field("A", .array(.map(key: .string, value: .integer))), Field("M", .map(key: .string, value: .array(.integer))), Field("M", .map(key: .integer, value: .integer))] {
            #expect(throws: MartletError.self, "\(bad)") { try text([bad]) }
        }
    }

    static let mistakes = [
        "message", "message A {", "message A { int32 a = ; }", "message A { int32 a = 1 }", "message A { int32 a = 0; }", "message A { int32 a = 19000; }", "message A { int32 a = 1; int64 b = 1; }",
        "message A { int32 a = 1; int64 a = 2; }", "message A { Nobody a = 1; }", "message A { map<float, int32> a = 1; }", "message A { repeated map<string, int32> a = 1; }", "message A { required int32 a = 1; }",
        "message A { oneof x { } }", "enum E { }", "enum E { A = 1; }", "message A { } message A { }", "import \"nowhere.proto\"; message A { }", "syntax = \"proto9\";", "message A { string s = 1 [default = \"x; }", "/* message A { }",
        "message A { group G = 1 { } }", "edition = \"2023\";", "option = 1;", "message 1A { }",
    ]

    @Test(arguments: mistakes) func mistakesAreRefused(_ body: String) {
        #expect(throws: MartletError.self) { try ProtobufSchema(parsing: "syntax = \"proto3\";\n" + body) }
    }

    // Any cut of a text is read or refused.
    @Test func everyCutIsSurvived() {
        let text = Array(Self.rich.utf8)
        for end in text.indices { _ = try? ProtobufSchema(parsing: String(decoding: text[..<end], as: UTF8.self)) }
    }
}
