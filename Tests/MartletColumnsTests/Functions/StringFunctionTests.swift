import MartletCore
import Testing

@testable import MartletColumns

struct StringFunctionTests {
    @Test func letters() throws {
        try expect("UCASE", ["straße"], "STRASSE")
        try expect("UCASE", ["abc1"], "ABC1")
        try expect("LCASE", ["ÀBC"], "àbc")
        try expect("INITCAP", ["the   Quick br0wn fOx"], "The   Quick Br0wn Fox")
        try expect("INITCAP", ["some_string"], "Some_string")
        try expect("INITCAP", [" \t leading"], "Leading")
        try expect("INITCAP", ["\u{10428}x é"], "\u{10428}x É")
        try expect("TRIM", [" \t a b\n"], "a b")
        try expect("UCASE", [nil], types: [.string], nil)
    }

    @Test func lengthsCountUTF16Units() throws {
        try expect("LEN", ["ABC"], 3)
        try expect("LEN", [""], 0)
        try expect("LEN", ["é好😀"], 4)
        try expect("LEN", [.bytes([1, 2, 255])], 3)
        try expect("LEN", [nil], types: [.string], nil)
    }

    @Test func substrings() throws {
        for (position, length, wanted) in [
            (6, nil, "string"), (1, 4, "some"), (0, 2, "so"), (-3, nil, "ing"), (-20, 4, "some"), (12, nil, ""), (3, 0, ""), (3, -1, ""),
            (10, 100, "ng"),
        ] as [(Int32, Int32?, String)] {
            try expect("SUBSTRING", ["some_string", .integer(position)] + (length.map { [.integer($0)] } ?? []), .string(wanted))
            try expect("SUBSTRING", [.bytes("some_string"), .integer(position)] + (length.map { [.integer($0)] } ?? []), .bytes(wanted))
        }
        try expect("SUBSTRING", ["a😀b", 2, 2], "😀")
        try expect("SUBSTRING", ["abc", nil], nil)
    }

    @Test func positions() throws {
        try expect("INSTR", ["corporate floor", "or"], 2)
        try expect("INSTR", ["corporate floor", "or", 4], 5)
        try expect("INSTR", ["corporate floor", "or", 4, 2], 14)
        try expect("INSTR", ["corporate floor", "or", -1], 14)
        try expect("INSTR", ["corporate floor", "or", -3], 5)
        try expect("INSTR", ["corporate floor", "or", -2], 5)
        try expect("INSTR", ["corporate floor", ""], 1)
        try expect("INSTR", [nil, "or"], types: [.string, .string], 0)
        try expect("INSTR", ["abc", "x"], 0)
        try expect("INSTR", ["", "x", 3], 0)
        try expect("FIELD", ["hello", nil, "hello"], 2)
        try expect("FIELD", [nil, "a"], types: [.string, .string], 0)
        try expect("ELT", [2, "a", "b"], "b")
        try expect("ELT", [0, "a"], nil)
        try expect("ELT", [2, "a"], nil)
    }

    @Test func concatenationSkipsNulls() throws {
        try expect("CONCAT", ["a", nil, "c"], "ac")
        try expect("CONCAT", [nil, nil], types: [.string, .string], "")
        try expect("CONCAT", [.bytes("a"), .bytes("b")], .bytes("ab"))
        try expect("CONCAT_WS", ["SEP", "foo", nil, "baz"], "fooSEPbaz")
        try expect("CONCAT_WS", [nil, "foo"], types: [.string, .string], nil)
        try expect("CONCAT_WS", [",", nil, nil], types: [.string, .string, .string], "")
    }

    @Test func replacing() throws {
        try expect("REPLACE", ["anaconda", "a", "o"], "onocondo")
        try expect("REPLACE", ["aaa", "aa", ""], "a")
        try expect("REPLACE", ["aé😀", "", "x"], "xaxéx😀x")
        try expect("REPLACE", ["popcorn", "x", "y"], "popcorn")
    }

    @Test func padding() throws {
        try expect("LPAD", ["foo", 7, "Bar"], "BarBfoo")
        try expect("LPAD", ["foo", 2, "Bar"], "fo")
        try expect("RPAD", ["foo", 7, "Bar"], "fooBarB")
        try expect("RPAD", ["foo", -1, "Bar"], nil)
        try expect("RPAD", ["foo", 7, ""], nil)
        try expect("LPAD", [.bytes("yes"), 8, .bytes("no")], .bytes("nononyes"))
    }

    @Test func splitting() throws {
        try expect("SPLIT", ["..a..", "."], ["", "", "a", "", ""])
        try expect("SPLIT", ["", "."], [""])
        try expect("SPLIT", ["aéb", ""], ["a", "é", "b"])
        try expect("SPLIT", ["a$$b", "$$"], ["a", "b"])
        try expect("SPLIT_TO_MAP", ["a:1//b:2//c:3/", "/", ":"], .map(["a": "1", "b": "2", "c": "3"]))
        try expect("SPLIT_TO_MAP", ["a:1/b:2", "&&", ":"], .map(["a": "1/b"]))
        try expect("SPLIT_TO_MAP", ["a:1", "/", "="], .map([:]))
        try expect("SPLIT_TO_MAP", ["a:1", "", ":"], nil)
    }

    @Test func characters() throws {
        try expect("CHR", [75], "K")
        try expect("CHR", [99000], .string("\u{182b8}"))
        try expect("CHR", [-1], nil)
        try expect("CHR", [0xd800], nil)
        try expect("CHR", ["\\u004b"], "K")
        try expect("CHR", ["\\ud820\\udeb8"], .string("\u{182b8}"))
        try expect("CHR", ["75"], nil)
        try expect("CHR", ["\\u00zz"], nil)
    }

    @Test func masks() throws {
        try expect("MASK", ["My Test $123"], "Xx-Xxxx--nnn")
        try expect("MASK", ["My Test $123", "*", "*", "*", "*"], "************")
        try expect("MASK", ["My Test $123", nil, "*", "1", nil], "M* T*** $111")
        try expect("MASK_LEFT", ["Hans", 2], "Xxns")
        try expect("MASK_LEFT", ["Hans", 0], "Hans")
        try expect("MASK_LEFT", ["Hans", 9], "Xxxx")
        try expect("MASK_RIGHT", ["Hans1", 2], "Hanxn")
        try expect("MASK_KEEP_LEFT", ["Hans1", 2], "Haxxn")
        try expect("MASK_KEEP_RIGHT", ["Hans1", 2], "Xxxs1")
        try expect("MASK_KEEP_RIGHT", ["Hans1", 9], "Hans1")
        try expect("MASK_LEFT", ["Ärger", 2], "Xxger")
        try expect("MASK_LEFT", [nil, 2], types: [.string, .integer], nil)
        // A negative count fails, and says so.
        let (values, errors) = try evaluate(.call("MASK_LEFT", [.literal("Hans", .string), .literal(-1, .integer)], .string))
        #expect(values == [nil] && errors.count == 1)
    }

    @Test func encodings() throws {
        for text in ["4578616d706C6521", "0x4578616d706C6521", "X'4578616d706C6521'"] {
            try expect("ENCODE", [.string(text), "hex", "utf8"], "Example!")
        }
        try expect("ENCODE", ["0x578616d706C6521", "hex", "base64"], "BXhhbXBsZSE=")
        for text in ["0x", "X''", ""] { try expect("ENCODE", [.string(text), "hex", "utf8"], "") }
        for text in ["0x0x", "X'", "x'4578616d706C6521", "x'578'", "578", "zz"] { try expect("ENCODE", [.string(text), "hex", "utf8"], nil) }
        try expect("ENCODE", ["c39c6265726d656e736368", "hex", "ascii"], .string("\u{fffd}\u{fffd}bermensch"))
        try expect("ENCODE", ["Ελλάδα", "ascii", "hex"], "3f3f3f3f3f3f")
        try expect("ENCODE", ["Example!", "utf8", "base64"], "RXhhbXBsZSE=")
        try expect("ENCODE", ["Example!", "utf8", "latin1"], nil)
        try expect("TO_BYTES", ["IQ==", "base64"], .bytes([0x21]))
        try expect("FROM_BYTES", [.bytes([0x21]), "utf8"], "!")
        try expect("INT_FROM_BYTES", [.bytes([0, 0, 7, 0xe5])], 2021)
        try expect("INT_FROM_BYTES", [.bytes([0xe5, 7, 0, 0]), "LITTLE_ENDIAN"], 2021)
        try expect("BIGINT_FROM_BYTES", [.bytes([0, 0, 0, 1, 0x2a, 5, 0xf2, 0])], .bigint(5_000_000_000))
        try expect("DOUBLE_FROM_BYTES", [.bytes([0x40, 0x80, 0xa6, 0xfd, 0x9b, 0xc9, 0xf5, 0x82])], 532.8738323)
        try expect("INT_FROM_BYTES", [.bytes([1])], nil)
    }

    @Test func digests() throws {
        try expect("MD5", ["r1"], "7c92cf1eee8d99cc85f8355a3d6e4b86")
        try expect("MD5", [""], "d41d8cd98f00b204e9800998ecf8427e")
        try expect("MD5", [.string(String(repeating: "a", count: 64))], "014842d480b571495a4a0363793f7367")
        let uuid = try call("UUID", [.bytes((0..<16).map { UInt8($0) })])
        #expect(uuid == "00010203-0405-0607-0809-0a0b0c0d0e0f")
    }
}
