import MartletCore

/// Small files that are replaced whole: JSON objects that say which version of their layout they have.
enum VersionedJSON {
    /// - Throws: `.corruptRecord` naming the file, `.incompatibleFormat` if a newer Martlet wrote it.
    static func parse(_ bytes: [UInt8], path: String) throws(MartletError) -> JSONValue {
        let json: JSONValue
        do throws(MartletError) {
            json = try JSONValue(parsing: bytes)
        } catch {
            throw MartletError(.corruptRecord, "\(path) is damaged", cause: error)
        }
        guard json["version"]?.intValue == 1 else {
            throw MartletError(.incompatibleFormat, "\(path) was written by a newer version of Martlet")
        }
        return json
    }
}
