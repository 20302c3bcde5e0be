import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The functions of RocksDB's C interface that are used here, found in the shared library when it is first needed.
///
/// The library is what `MARTLET_ROCKSDB` names, or `librocksdb` of the dynamic linker's own paths (Debian: package `librocksdb7.8`). Objects of
/// the library are opaque pointers; functions that can fail write a message into their last argument, to be given back to `free`.
/// Source: the C interface as documented in RocksDB's public header, version 7.8.
struct RocksLibrary: @unchecked Sendable {  // Pointers to code, never changed.
    typealias Object = OpaquePointer
    typealias Bytes = UnsafePointer<CChar>
    typealias Failure = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    typealias Make = @convention(c) () -> Object?
    typealias Destroy = @convention(c) (Object) -> Void
    typealias SetSize = @convention(c) (Object, Int) -> Void
    typealias SetInt = @convention(c) (Object, CInt) -> Void
    typealias SetFlag = @convention(c) (Object, UInt8) -> Void
    typealias SetObject = @convention(c) (Object, Object) -> Void
    typealias Part = @convention(c) (Object, UnsafeMutablePointer<Int>) -> Bytes?

    typealias BatchedGet =
        @convention(c) (
            Object, Object, Object, Int, UnsafePointer<Bytes?>, UnsafePointer<Int>, UnsafeMutablePointer<Object?>,
            UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, Bool
        ) -> Void

    static let variable = "MARTLET_ROCKSDB"

    let optionsCreate: Make
    let optionsDestroy: Destroy
    let setCreateIfMissing: SetFlag
    let setWriteBufferSize: SetSize
    let setWriteBufferCount: SetInt
    let setArenaBlockSize: SetSize
    let setMaxOpenFiles: SetInt
    let setInfoLogLevel: SetInt
    let setLogFileCount: SetSize
    let setLogFileSize: SetSize
    let setStatisticsPeriod: @convention(c) (Object, CUnsignedInt) -> Void
    let setDynamicLevels: SetFlag
    let setEnvironment: SetObject
    let setTableFactory: SetObject
    let tableOptionsCreate: Make
    let tableOptionsDestroy: Destroy
    let setBlockCache: SetObject
    let setFilterPolicy: SetObject
    let setCachesIndexAndFilter: SetFlag
    let bloomFilter: @convention(c) (Double) -> Object?
    let cacheCreate: @convention(c) (Int) -> Object?
    let cacheDestroy: Destroy
    let environmentCreate: Make
    let environmentDestroy: Destroy
    let setBackgroundThreads: SetInt
    let open:
        @convention(c) (
            Object, Bytes, CInt, UnsafePointer<Bytes?>, UnsafePointer<Object?>, UnsafeMutablePointer<Object?>, Failure
        ) -> Object?
    let familyDestroy: Destroy
    let close: Destroy
    let writeOptionsCreate: Make
    let writeOptionsDestroy: Destroy
    let disableWAL: SetInt
    let readOptionsCreate: Make
    let readOptionsDestroy: Destroy
    let setFillCache: SetFlag
    let flushOptionsCreate: Make
    let flushOptionsDestroy: Destroy
    let flush: @convention(c) (Object, Object, Failure) -> Void
    let batchCreate: Make
    let batchDestroy: Destroy
    let batchPut: @convention(c) (Object, Bytes, Int, Bytes, Int) -> Void
    let batchDelete: @convention(c) (Object, Bytes, Int) -> Void
    let write: @convention(c) (Object, Object, Object, Failure) -> Void
    let multiGet:
        @convention(c) (
            Object, Object, Int, UnsafePointer<Bytes?>, UnsafePointer<Int>, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>,
            UnsafeMutablePointer<Int>, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
        ) -> Void
    /// The same where keys are looked up together: filters and blocks once for all of them. Last: whether keys are in their order. Since version 7.1;
    /// nil: older.
    let batchedGet: BatchedGet?
    let pinnedValue: Part
    let pinnedDestroy: Destroy
    let iteratorCreate: @convention(c) (Object, Object) -> Object?
    let iteratorDestroy: Destroy
    let seek: @convention(c) (Object, Bytes, Int) -> Void
    let seekToFirst: Destroy
    let seekToLast: Destroy
    let next: Destroy
    let previous: Destroy
    let isValid: @convention(c) (Object) -> UInt8
    let key: Part
    let value: Part
    let iteratorError: @convention(c) (Object, Failure) -> Void
    let number: @convention(c) (Object, Bytes, UnsafeMutablePointer<UInt64>) -> CInt
    let free: @convention(c) (UnsafeMutableRawPointer?) -> Void

    /// The library of this process, loaded by whoever asks first; or why there is none.
    static let shared: Result<RocksLibrary, MartletError> = load()

    private static func load() -> Result<RocksLibrary, MartletError> {
        let named = getenv(variable).map { String(cString: $0) } ?? ""
        #if canImport(Glibc)
        let names = named.isEmpty ? ["librocksdb.so.7.8", "librocksdb.so"] : [named]
        #else
        let names = named.isEmpty ? ["librocksdb.dylib"] : [named]
        #endif
        var failures: [String] = []
        for name in names {
            guard let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
                failures.append(dlerror().map { String(cString: $0) } ?? name)
                continue
            }
            do throws(MartletError) {
                return .success(try RocksLibrary(handle))
            } catch {
                failures.append("\(name): \(error.message)")
                dlclose(handle)
            }
        }
        return .failure(MartletError(.io, "RocksDB cannot be loaded", detail: failures.joined(separator: "; "), hint: "apt-get install librocksdb7.8"))
    }

    private init(_ handle: UnsafeMutableRawPointer) throws(MartletError) {
        func find<T>(_ name: String, _: T.Type = T.self) throws(MartletError) -> T {
            guard let symbol = dlsym(handle, "rocksdb_" + name) else { throw MartletError(.io, "there is no rocksdb_\(name)") }
            return unsafeBitCast(symbol, to: T.self)
        }
        optionsCreate = try find("options_create")
        optionsDestroy = try find("options_destroy")
        setCreateIfMissing = try find("options_set_create_if_missing")
        setWriteBufferSize = try find("options_set_write_buffer_size")
        setWriteBufferCount = try find("options_set_max_write_buffer_number")
        setArenaBlockSize = try find("options_set_arena_block_size")
        setMaxOpenFiles = try find("options_set_max_open_files")
        setInfoLogLevel = try find("options_set_info_log_level")
        setLogFileCount = try find("options_set_keep_log_file_num")
        setLogFileSize = try find("options_set_max_log_file_size")
        setStatisticsPeriod = try find("options_set_stats_dump_period_sec")
        setDynamicLevels = try find("options_set_level_compaction_dynamic_level_bytes")
        setEnvironment = try find("options_set_env")
        setTableFactory = try find("options_set_block_based_table_factory")
        tableOptionsCreate = try find("block_based_options_create")
        tableOptionsDestroy = try find("block_based_options_destroy")
        setBlockCache = try find("block_based_options_set_block_cache")
        setFilterPolicy = try find("block_based_options_set_filter_policy")
        setCachesIndexAndFilter = try find("block_based_options_set_cache_index_and_filter_blocks")
        bloomFilter = try find("filterpolicy_create_bloom_full")
        cacheCreate = try find("cache_create_lru")
        cacheDestroy = try find("cache_destroy")
        environmentCreate = try find("create_default_env")
        environmentDestroy = try find("env_destroy")
        setBackgroundThreads = try find("env_set_background_threads")
        open = try find("open_column_families")
        familyDestroy = try find("column_family_handle_destroy")
        close = try find("close")
        writeOptionsCreate = try find("writeoptions_create")
        writeOptionsDestroy = try find("writeoptions_destroy")
        disableWAL = try find("writeoptions_disable_WAL")
        readOptionsCreate = try find("readoptions_create")
        readOptionsDestroy = try find("readoptions_destroy")
        setFillCache = try find("readoptions_set_fill_cache")
        flushOptionsCreate = try find("flushoptions_create")
        flushOptionsDestroy = try find("flushoptions_destroy")
        flush = try find("flush")
        batchCreate = try find("writebatch_create")
        batchDestroy = try find("writebatch_destroy")
        batchPut = try find("writebatch_put")
        batchDelete = try find("writebatch_delete")
        write = try find("write")
        multiGet = try find("multi_get")
        batchedGet = dlsym(handle, "rocksdb_batched_multi_get_cf").map { unsafeBitCast($0, to: BatchedGet.self) }
        pinnedValue = try find("pinnableslice_value")
        pinnedDestroy = try find("pinnableslice_destroy")
        iteratorCreate = try find("create_iterator")
        iteratorDestroy = try find("iter_destroy")
        seek = try find("iter_seek")
        seekToFirst = try find("iter_seek_to_first")
        seekToLast = try find("iter_seek_to_last")
        next = try find("iter_next")
        previous = try find("iter_prev")
        isValid = try find("iter_valid")
        key = try find("iter_key")
        value = try find("iter_value")
        iteratorError = try find("iter_get_error")
        number = try find("property_int")
        free = try find("free")
    }
}
