import MartletCore
import Testing

@testable import MartletColumns

struct FunctionRegistryTests {
    let registry = FunctionRegistry.builtin

    private func message(_ name: String, _ arguments: [ArgumentType]) -> String {
        do {
            _ = try registry.resolve(name, arguments: arguments)
            return ""
        } catch {
            return error.message
        }
    }

    @Test func everyFunctionIsThere() {
        #expect(registry.scalars.count == 129)
        #expect(registry.aggregates.count == 18)
        #expect(registry.tables.count == 2)
        for function in registry.scalars + registry.aggregates + registry.tables {
            #expect(!function.description.isEmpty && !function.signatures.isEmpty)
            if function.kind == .scalar { #expect(function.signatures.allSatisfy { $0.kernel != nil }, "\(function.name)") }
        }
        #expect(registry.function(named: "substring")?.signatures.first?.description == "SUBSTRING(VARCHAR str, INT pos)")
    }

    @Test func exactMatchesComeFirst() throws {
        #expect(try registry.resolve("ABS", arguments: [.type(.integer)]).returnType == .integer)
        #expect(try registry.resolve("ABS", arguments: [.type(.decimal(precision: 5, scale: 2))]).returnType == .decimal(precision: 5, scale: 2))
        #expect(try registry.resolve("LEAST", arguments: [.type(.bigint), .null]).returnType == .bigint)
        let geo = try registry.resolve("geo_distance", arguments: [.type(.double), .type(.double), .type(.integer), .type(.decimal(precision: 3, scale: 1))])
        #expect(geo.parameterTypes == [.double, .double, .double, .double])
    }

    @Test func messages() {
        #expect(message("FOO", []) == "Can't find any functions with the name 'FOO'")
        #expect(message("GREATEST", []).hasPrefix("Function 'greatest' does not accept parameters ().\nValid alternatives are:\nGREATEST(INT first, INT... others)"))
        #expect(message("COALESCE", []).hasPrefix("Function 'COALESCE' does not accept parameters ()"))
        #expect(message("LEAST", [.type(.string), .type(.integer)]).hasPrefix("Function 'least' does not accept parameters (STRING, INTEGER)."))
        #expect(message("LEAST", [.type(.integer), .type(.bigint)]).hasPrefix("Function 'least' cannot be resolved due to ambiguous method parameters (INTEGER, BIGINT)."))
        #expect(message("LEAST", [.null, .null]).contains("ambiguous method parameters (null, null)"))
        #expect(message("DATESUB", [.type(.date), .type(.integer), .type(.date)]).hasPrefix("Function 'datesub' does not accept parameters (DATE, INTEGER, DATE)."))
    }

    /// A number literal beside text is text, as before ksqlDB typed strictly: the fraud article says IFNULL(Class, -1).
    @Test func literalsBesideText() throws {
        for name in ["IFNULL", "COALESCE", "NULLIF"] {
            let resolved = try registry.resolve(name, arguments: [.type(.string), .literal(.integer)])
            #expect(resolved.returnType == .string && resolved.parameterTypes == [.string, .string])
        }
        #expect(message("IFNULL", [.type(.string), .type(.integer)]) != "")
        #expect(message("CONCAT", [.type(.string), .literal(.integer)]) != "")
        let value = try evaluate(
            .call("IFNULL", [.literal(nil, .string), .cast(.literal(-1, .integer), .string)], .string)
        ).values[0]
        #expect(value == "-1")
    }

    @Test func variablesBind() throws {
        #expect(try registry.resolve("COALESCE", arguments: [.type(.bigint), .literal(.integer)]).parameterTypes == [.bigint, .bigint])
        #expect(try registry.resolve("ARRAY_CONTAINS", arguments: [.type(.array(.bigint)), .type(.integer)]).parameterTypes == [.array(.bigint), .bigint])
        #expect(message("ARRAY_CONTAINS", [.type(.array(.bigint)), .type(.string)]) != "")
        #expect(try registry.resolve("IFNULL", arguments: [.type(.decimal(precision: 4, scale: 2)), .type(.decimal(precision: 5, scale: 1))]).returnType == .decimal(precision: 6, scale: 2))
        #expect(try registry.resolve("ENTRIES", arguments: [.type(.map(key: .string, value: .integer)), .type(.boolean)]).returnType
            == .array(.structure([Field("K", .string), Field("V", .integer)])))
    }

    @Test func lambdas() throws {
        let transform = try registry.resolve("TRANSFORM", arguments: [.type(.array(.integer)), .lambda(parameterCount: 1)])
        #expect(transform.lambdaParameters == [nil, [.integer]] && transform.returnType == nil)
        #expect(try transform.returnType(lambdaResults: [.string]) == .array(.string))
        let reduce = try registry.resolve("REDUCE", arguments: [.type(.map(key: .string, value: .double)), .type(.integer), .lambda(parameterCount: 3)])
        #expect(reduce.lambdaParameters[2] == [.integer, .string, .double])
        #expect(throws: MartletError.self) { try reduce.returnType(lambdaResults: [.double]) }
        #expect(message("FILTER", [.type(.array(.integer)), .lambda(parameterCount: 2)]).contains("(ARRAY<INTEGER>, LAMBDA)"))
        let map = try registry.resolve("TRANSFORM", arguments: [.type(.map(key: .string, value: .integer)), .lambda(parameterCount: 2), .lambda(parameterCount: 2)])
        #expect(try map.returnType(lambdaResults: [.integer, .string]) == .map(key: .integer, value: .string))
    }

    @Test func aggregates() throws {
        #expect(try registry.resolve("COUNT", arguments: []).returnType == .bigint)
        #expect(try registry.resolve("SUM", arguments: [.type(.decimal(precision: 9, scale: 2))]).returnType == .decimal(precision: 9, scale: 2))
        #expect(try registry.resolve("LATEST_BY_OFFSET", arguments: [.type(.string), .literal(.integer)]).returnType == .array(.string))
        #expect(try registry.resolve("TOPK", arguments: [.type(.integer), .type(.string), .literal(.integer)]).returnType
            == .array(.structure([Field("sort_col", .integer), Field("col0", .string)])))
        #expect(registry.isAggregate("sum") && registry.isTableFunction("explode") && !registry.isAggregate("abs"))
        #expect(throws: MartletError.self) { try ExpressionProgram([.call("SUM", [.literal(1, .integer)], .integer)]) }
    }
}
