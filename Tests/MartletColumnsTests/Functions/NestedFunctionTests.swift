import MartletCore
import Testing

@testable import MartletColumns

struct NestedFunctionTests {
    @Test func sets() throws {
        try expect("ARRAY_DISTINCT", [[0, nil, 1, 0, nil]], [0, nil, 1])
        try expect("ARRAY_UNION", [[0, 1, 0], [1, -2]], [0, 1, -2])
        try expect("ARRAY_EXCEPT", [[0, 0, 1, -1], [1, -2]], [0, -1])
        try expect("ARRAY_INTERSECT", [[1, 2, 2, 3], [2, 3, 4]], [2, 3])
        try expect("ARRAY_UNION", [nil, [1]], nil)
        try expect("ARRAY_CONCAT", [[0, 1], [1]], [0, 1, 1])
        try expect("ARRAY_CONCAT", [nil, [1]], [1])
        try expect("ARRAY_CONCAT", [nil, nil], types: [.array(.integer), .array(.integer)], nil)
        try expect("ARRAY_REMOVE", [["foo", "bar", "foo"], "foo"], ["bar"])
        try expect("ARRAY_REMOVE", [[1, nil], nil], [1])
        try expect(
            "ARRAY_DISTINCT", [[.map(["a": 1, "b": 2]), .map(["b": 2, "a": 1])]], [.map(["a": 1, "b": 2])])
    }

    @Test func orders() throws {
        try expect("ARRAY_SORT", [["foo", "fo", "Food", nil, "F"]], ["F", "Food", "fo", "foo", nil])
        try expect("ARRAY_SORT", [[1, nil, 3], "desc"], [3, 1, nil])
        try expect("ARRAY_SORT", [[1, 3], "sideways"], nil)
        try expect("ARRAY_MAX", [[false, true]], true)
        try expect("ARRAY_MAX", [[.decimal("-9.9"), .decimal("9.0")]], .decimal("9.0"))
        try expect("ARRAY_MIN", [[nil, 3, 2]], 2)
        try expect("ARRAY_MIN", [[]], types: [.array(.integer)], nil)
    }

    @Test func parts() throws {
        try expect("ARRAY_LENGTH", [[1, nil]], 2)
        try expect("ARRAY_LENGTH", [nil], types: [.array(.string)], nil)
        try expect("ARRAY_CONTAINS", [["Pink", nil], "Pink"], true)
        try expect("ARRAY_CONTAINS", [[1, 2], 3], false)
        try expect("ARRAY_CONTAINS", [[.bigint(1)], 1], true)
        try expect("SLICE", [[1, 2, 3, 4], 2, 3], [2, 3])
        try expect("SLICE", [[1, 2, 3, 4], nil, 2], [1, 2])
        try expect("SLICE", [[1, 2, 3, 4], 3, 4], [3, 4])
        try expect("SLICE", [[1, 2, 3, 4], 3, 2], [])
        for (from, to) in [(3, 9), (0, 2), (4, 2), (-1, 2)] as [(Int32, Int32)] { try expect("SLICE", [[1, 2, 3, 4], .integer(from), .integer(to)], nil) }
        try expect("ARRAY_JOIN", [[true, nil, false], "|"], "true|null|false")
        try expect("ARRAY_JOIN", [[1.23, -23.42, 0.0], nil], "1.23-23.420.0")
        try expect("ARRAY_JOIN", [["a", "b"]], "a,b")
        try expect("GENERATE_SERIES", [0, 3], [0, 1, 2, 3])
        try expect("GENERATE_SERIES", [4, 0], [4, 3, 2, 1, 0])
        try expect("GENERATE_SERIES", [0, 7, 3], [0, 3, 6])
        try expect("GENERATE_SERIES", [0, 7, -3], nil)
        try expect("GENERATE_SERIES", [0, 7, 0], nil)
        try expect("GENERATE_SERIES", [.bigint(0), .bigint(.max), 1], nil)
    }

    @Test func maps() throws {
        try expect("MAP_KEYS", [.map(["foo": 10, "bar": nil])], ["foo", "bar"])
        try expect("MAP_VALUES", [.map(["foo": 10, "bar": nil])], [10, nil])
        try expect("MAP_VALUES", [nil], types: [.map(key: .string, value: .integer)], nil)
        try expect("MAP_UNION", [.map(["foo": 10, "bar": 20]), .map(["foo": 99, "x": 1])], .map(["foo": 99, "bar": 20, "x": 1]))
        try expect("MAP_UNION", [nil, .map(["foo": 99])], .map(["foo": 99]))
        try expect("AS_MAP", [["a", "b"], [1, 2]], .map(["a": 1, "b": 2]))
        try expect(
            "ENTRIES", [.map(["b": 1, "a": 2]), true],
            [.structure([.init("K", "a"), .init("V", 2)]), .structure([.init("K", "b"), .init("V", 1)])])
    }

    @Test func json() throws {
        let document: SQLValue = #"{"log":{"name":"x","list":[{"v":1.23450},null]},"n":null,"a b":true}"#
        for (path, wanted) in [
            ("$.log.name", "x"), ("$.log.list[0].v", "1.23450"), ("$.log.list[0]", #"{"v":1.23450}"#), ("$.log.list[7]", nil), ("$.log.list[-1]", nil),
            ("$.missing", nil), ("$.n", "null"), ("$.n.deeper", nil), ("$['a b']", "true"), ("$.log.name.deeper", nil),
        ] as [(String, String?)] {
            try expect("EXTRACTJSONFIELD", [document, .string(path)], wanted.map { .string($0) } ?? nil)
        }
        try expect("EXTRACTJSONFIELD", [document, "log"], nil)
        try expect("EXTRACTJSONFIELD", ["{broken", "$.a"], nil)
        try expect("IS_JSON_STRING", ["[1,2]"], true)
        try expect("IS_JSON_STRING", ["[1,2"], false)
        try expect("IS_JSON_STRING", [nil], types: [.string], false)
        try expect("JSON_ARRAY_LENGTH", ["[1, 2, 3]"], 3)
        try expect("JSON_ARRAY_LENGTH", ["{}"], nil)
        try expect("JSON_ARRAY_LENGTH", [""], nil)
        try expect("JSON_ARRAY_CONTAINS", [#"["Pink", null]"#, "Pink"], true)
        try expect("JSON_ARRAY_CONTAINS", ["[1, 2.5]", 1], true)
        try expect("JSON_ARRAY_CONTAINS", ["[1, 2.5]", 2.5], true)
        try expect("JSON_ARRAY_CONTAINS", ["[1]", "1"], false)
        try expect("JSON_KEYS", [#"{"a":1,"b":2}"#], ["a", "b"])
        try expect("JSON_ITEMS", [#"[{"a":1}, 2]"#], [#"{"a":1}"#, "2"])
        try expect("JSON_RECORDS", [#"{"White":"Seven","Pink":8}"#], .map(["White": "Seven", "Pink": "8"]))
        try expect("JSON_CONCAT", [#"{"a":{"5":6}}"#, #"{"a":{"3":4},"b":1}"#], #"{"a":{"3":4},"b":1}"#)
        try expect("JSON_CONCAT", ["[1, 2]", #"{"a": 1}"#, "4"], #"[1,2,{"a":1},4]"#)
        try expect("JSON_CONCAT", ["null", "null"], "[null,null]")
        try expect("JSON_CONCAT", [#"{"a": 1}"#, "[ ]", #"{"a": [ 1 ]}"#], #"[{"a":1},{"a":[1]}]"#)
        let many = (0..<70).map { "\"m\($0)\":\($0)" }.joined(separator: ",")
        try expect("JSON_CONCAT", [.string("{\(many)}"), #"{"m3":true}"#], .string("{\(many.replacing("\"m3\":3,", with: "\"m3\":true,"))}"))
        try expect("JSON_RECORDS", [#"{"a":null,"b":[ 1]}"#], .map(["a": "null", "b": "[1]"]))
        try expect("TO_JSON_STRING", [.structure([.init("B", 1), .init("A", .structure([.init("z", nil), .init("Z", 2)]))])], types: [.structure([Field("B", .integer), Field("A", .structure([Field("z", .integer), Field("Z", .integer)]))])], #"{"A":{"Z":2,"z":null},"B":1}"#)
        try expect("TO_JSON_STRING", [.structure([.init("ID", 1), .init("NAME", "Al\"ice")])], #"{"ID":1,"NAME":"Al\"ice"}"#)
        try expect("TO_JSON_STRING", [nil], types: [.integer], "null")
        try expect("TO_JSON_STRING", [.time(60_220_000)], "\"16:43:40\"")
        try expect("TO_JSON_STRING", [.date(1000)], "\"1972-09-27\"")
        try expect("TO_JSON_STRING", [.bytes([0x21])], "\"IQ==\"")
    }

    @Test func regularExpressions() throws {
        try expect("REGEXP_EXTRACT", ["test.", "some_test_string"], "test_")
        try expect("REGEXP_EXTRACT", ["test.", "anothertest"], nil)
        try expect("REGEXP_EXTRACT", ["(.*) (.*)", "steven zhang", 2], "zhang")
        try expect("REGEXP_EXTRACT", ["(.*) (.*)", "steven zhang", 3], nil)
        try expect("REGEXP_EXTRACT_ALL", ["(\\w+) (\\w*)", "apurva mehta agavra ", 2], ["mehta", ""])
        try expect("REGEXP_EXTRACT_ALL", ["x", "abc"], [])
        try expect("REGEXP_EXTRACT", ["(", "abc"], nil)
        try expect("REGEXP_REPLACE", ["baabbabaa", "(ab)+", "cat"], "bacatbcataa")
        try expect("REGEXP_REPLACE", ["a1b22", "([a-z])(\\d+)", "$2\\$$1"], "1$a22$b")
        try expect("REGEXP_REPLACE", ["abc", "b", nil], nil)
        try expect("REGEXP_SPLIT_TO_ARRAY", ["aabcda", "(ab|cd)"], ["a", "", "a"])
        try expect("REGEXP_SPLIT_TO_ARRAY", ["abc", ""], ["a", "b", "c"])
        try expect("REGEXP_SPLIT_TO_ARRAY", ["xay", "[xy]"], ["", "a", ""])
    }

    @Test func urls() throws {
        try expect("URL_ENCODE_PARAM", ["?foo $bar"], "%3Ffoo+%24bar")
        try expect("URL_DECODE_PARAM", ["%3Ffoo+%24bar"], "?foo $bar")
        try expect("URL_DECODE_PARAM", ["%3"], nil)
        for (url, host, port, path, query, fragment, scheme) in [
            ("http://www.test.com?query#fragment", "www.test.com", nil, "", "query", "fragment", "http"),
            ("http://test@confluent.io:8080/nested/path?q=2&jobs", "confluent.io", 8080, "/nested/path", "q=2&jobs", nil, "http"),
            ("www.confluent.io", nil, nil, "www.confluent.io", nil, nil, nil),
            ("https://[::1]:9/a%20b", "[::1]", 9, "/a b", nil, nil, "https"),
        ] as [(String, String?, Int32?, String, String?, String?, String?)] {
            func text(_ value: String?) -> SQLValue { value.map { .string($0) } ?? nil }
            try expect("URL_EXTRACT_HOST", [.string(url)], text(host))
            try expect("URL_EXTRACT_PORT", [.string(url)], port.map { .integer($0) } ?? nil)
            try expect("URL_EXTRACT_PATH", [.string(url)], .string(path))
            try expect("URL_EXTRACT_QUERY", [.string(url)], text(query))
            try expect("URL_EXTRACT_FRAGMENT", [.string(url)], text(fragment))
            try expect("URL_EXTRACT_PROTOCOL", [.string(url)], text(scheme))
        }
        try expect("URL_EXTRACT_PARAMETER", ["http://a/?one=a&two=url%20encoded&three", "two"], "url encoded")
        try expect("URL_EXTRACT_PARAMETER", ["http://a/?one=a", "two"], nil)
        try expect("URL_EXTRACT_HOST", ["http://a b/"], nil)
        try expect("URL_EXTRACT_PORT", ["http://a:x/"], nil)
    }

    @Test func conditionals() throws {
        try expect("COALESCE", [nil, nil, 3, 4], 3)
        try expect("COALESCE", [nil, [1, 2]], [1, 2])
        try expect("IFNULL", ["a", "b"], "a")
        try expect("IFNULL", [nil, "b"], types: [.string, .string], "b")
        try expect("NULLIF", [1, 1], nil)
        try expect("NULLIF", [1, 2], 1)
        try expect("NULLIF", [[1, 2], [1, 2]], nil)
        try expect("NULLIF", [nil, 2], types: [.integer, .integer], nil)
        try expect("AS_VALUE", ["k"], "k")
    }
}
