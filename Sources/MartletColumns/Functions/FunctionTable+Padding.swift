import MartletCore

extension FunctionTable {
    /// LPAD and RPAD on strings (UTF-16 positions) and BYTES.
    static func stringPadding(_ t: inout FunctionTable) {
        for (name, left) in [("LPAD", true), ("RPAD", false)] {
            t.function(
                name, .string,
                "Pads \(left ? "the beginning" : "the end") with repetitions of a padding up to a length, or cuts to that length. NULL for a negative length or an empty padding. Works on BYTES too.")
            t.columns("(VARCHAR str, INT length, VARCHAR padding) -> VARCHAR") { StringKernels.pad(&$0, left: left, isText: true) }
            t.columns("(BYTES bytes, INT length, BYTES padding) -> BYTES") { StringKernels.pad(&$0, left: left, isText: false) }
        }
    }
}
