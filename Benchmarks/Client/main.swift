// One producer or one consumer on librdkafka, for the benchmark `peer`: it costs a third of what the Python client costs, so that brokers are told apart.
//
//     martlet-bench-client LIBRARY produce BROKERS TOPIC COUNT SIZE ACKS
//     martlet-bench-client LIBRARY consume BROKERS TOPIC COUNT
//     martlet-bench-client ideal
//
// The last is the broker of IdealBroker.swift; it prints its port. The others print two numbers: seconds, from the first produce() to the last
// acknowledgement or from assign() to the last record, and seconds of this process's processor time meanwhile. Exit status 1 with a line on standard
// error if a record is missing.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct Failure: Error {
    var reason: String
}

/// What is needed of librdkafka's C API, from a library that is there already (the confluent-kafka wheel brings one).
struct Library {
    typealias Handle = OpaquePointer
    private let handle: UnsafeMutableRawPointer

    init(_ path: String) throws {
        guard let handle = dlopen(path, RTLD_NOW) else { throw Failure(reason: dlerror().map { String(cString: $0) } ?? path) }
        self.handle = handle
    }

    func function<Function>(_ name: String, as type: Function.Type) throws -> Function {
        guard let symbol = dlsym(handle, name) else { throw Failure(reason: "no \(name) in librdkafka") }
        return unsafeBitCast(symbol, to: type)
    }
}

/// rd_kafka_message_t
struct Message {
    var error: Int32 = 0
    var topic: OpaquePointer?
    var partition: Int32 = 0
    var payload: UnsafeMutableRawPointer?
    var byteCount = 0
    var key: UnsafeMutableRawPointer?
    var keyByteCount = 0
    var offset: Int64 = 0
    var owner: UnsafeMutableRawPointer?
}

/// Seconds on the clock and of the processor.
func now() -> (wall: Double, cpu: Double) {
    func read(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
    return (read(CLOCK_MONOTONIC), read(CLOCK_PROCESS_CPUTIME_ID))
}

func client(_ library: Library, consumes: Bool, _ settings: [(String, String)]) throws -> Library.Handle {
    let newConf = try library.function("rd_kafka_conf_new", as: (@convention(c) () -> OpaquePointer).self)
    let set = try library.function(
        "rd_kafka_conf_set",
        as: (@convention(c) (OpaquePointer, UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeMutablePointer<CChar>, Int) -> Int32).self)
    let new = try library.function("rd_kafka_new", as: (@convention(c) (Int32, OpaquePointer, UnsafeMutablePointer<CChar>, Int) -> OpaquePointer?).self)
    let conf = newConf()
    var reason = [CChar](repeating: 0, count: 512)
    func told() -> String { String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) }
    for (name, value) in settings where set(conf, name, value, &reason, reason.count) != 0 { throw Failure(reason: told()) }
    guard let client = new(consumes ? 1 : 0, conf, &reason, reason.count) else { throw Failure(reason: told()) }
    return client
}

func produce(_ library: Library, _ brokers: String, _ topicName: String, count: Int, size: Int, acks: String) throws {
    let newTopic = try library.function("rd_kafka_topic_new", as: (@convention(c) (OpaquePointer, UnsafePointer<CChar>, OpaquePointer?) -> OpaquePointer?).self)
    let batch = try library.function(
        "rd_kafka_produce_batch", as: (@convention(c) (OpaquePointer, Int32, Int32, UnsafeMutableRawPointer, Int32) -> Int32).self)
    let flush = try library.function("rd_kafka_flush", as: (@convention(c) (OpaquePointer, Int32) -> Int32).self)
    let producer = try client(
        library, consumes: false,
        [
            ("bootstrap.servers", brokers), ("acks", acks), ("linger.ms", "5"), ("batch.size", "1000000"), ("log_level", "0"),
            ("queue.buffering.max.messages", "\(count + 1)"), ("queue.buffering.max.kbytes", "2000000"),
        ])
    guard let topic = newTopic(producer, topicName, nil) else { throw Failure(reason: "no topic \(topicName)") }
    let value = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
    value.initializeMemory(as: UInt8.self, repeating: UInt8(ascii: "x"), count: size)
    var messages = [Message](repeating: Message(payload: value, byteCount: size), count: 10_000)
    let copiesPayload: Int32 = 2  // RD_KAFKA_MSG_F_COPY
    let begin = now()
    for start in stride(from: 0, to: count, by: messages.count) {
        let many = Int32(min(messages.count, count - start))
        guard batch(topic, 0, copiesPayload, &messages, many) == many else { throw Failure(reason: "the queue is full") }
    }
    guard flush(producer, 300_000) == 0 else { throw Failure(reason: "records were not acknowledged") }
    report(since: begin)
}

func consume(_ library: Library, _ brokers: String, _ topicName: String, count: Int) throws {
    let newList = try library.function("rd_kafka_topic_partition_list_new", as: (@convention(c) (Int32) -> OpaquePointer).self)
    let add = try library.function(
        "rd_kafka_topic_partition_list_add", as: (@convention(c) (OpaquePointer, UnsafePointer<CChar>, Int32) -> OpaquePointer).self)
    let setOffset = try library.function(
        "rd_kafka_topic_partition_list_set_offset", as: (@convention(c) (OpaquePointer, UnsafePointer<CChar>, Int32, Int64) -> Int32).self)
    let assign = try library.function("rd_kafka_assign", as: (@convention(c) (OpaquePointer, OpaquePointer) -> Int32).self)
    let queueOf = try library.function("rd_kafka_queue_get_consumer", as: (@convention(c) (OpaquePointer) -> OpaquePointer).self)
    let take = try library.function(
        "rd_kafka_consume_batch_queue", as: (@convention(c) (OpaquePointer, Int32, UnsafeMutablePointer<UnsafeMutableRawPointer?>, Int) -> Int).self)
    let destroy = try library.function("rd_kafka_message_destroy", as: (@convention(c) (UnsafeMutableRawPointer) -> Void).self)
    // A consumer that is told to wait a second when its queue is full (the default) measures that second.
    let consumer = try client(
        library, consumes: true,
        [("bootstrap.servers", brokers), ("group.id", "bench"), ("enable.auto.commit", "false"), ("log_level", "0"), ("fetch.queue.backoff.ms", "1")])
    let list = newList(1)
    _ = add(list, topicName, 0)
    _ = setOffset(list, topicName, 0, 0)
    let queue = queueOf(consumer)
    var messages = [UnsafeMutableRawPointer?](repeating: nil, count: 10_000)
    let begin = now()
    guard assign(consumer, list) == 0 else { throw Failure(reason: "no partition 0 of \(topicName)") }
    var seen = 0
    while seen < count {
        let many = take(queue, 1000, &messages, messages.count)
        guard many >= 0, now().wall - begin.wall < 300 else { throw Failure(reason: "\(seen) of \(count) records") }
        for message in messages.prefix(many) {
            guard let message else { continue }
            let record = message.load(as: Message.self)
            guard record.error == 0 else { throw Failure(reason: "librdkafka's error \(record.error) after \(seen) records") }
            guard record.offset == Int64(seen) else { throw Failure(reason: "offset \(record.offset) where \(seen) is due") }
            seen += 1
            destroy(message)
        }
    }
    report(since: begin)
}

func report(since begin: (wall: Double, cpu: Double)) {
    let end = now()
    print(end.wall - begin.wall, end.cpu - begin.cpu)
}

let arguments = CommandLine.arguments
do {
    if arguments.count == 2, arguments[1] == "ideal" {
        var broker = try IdealBroker()
        try broker.run()
    }
    guard arguments.count >= 6, let count = Int(arguments[5]) else {
        throw Failure(reason: "usage: martlet-bench-client LIBRARY produce BROKERS TOPIC COUNT SIZE ACKS | consume BROKERS TOPIC COUNT, or ideal")
    }
    let library = try Library(arguments[1])
    if arguments[2] == "produce", arguments.count == 8, let size = Int(arguments[6]) {
        try produce(library, arguments[3], arguments[4], count: count, size: size, acks: arguments[7])
    } else if arguments[2] == "consume" {
        try consume(library, arguments[3], arguments[4], count: count)
    } else {
        throw Failure(reason: "neither produce nor consume: \(arguments[2])")
    }
} catch {
    let text = Array("error: \((error as? Failure)?.reason ?? "\(error)")\n".utf8)
    _ = write(STDERR_FILENO, text, text.count)
    exit(1)
}
