import ArgumentParser
import MartletColumns
import MartletConnect
import MartletCore
import MartletEngine
import MartletServer
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Starts a node and runs the fraud pipeline on it: payments, SQL, a model, alerts.",
        discussion: "A backlog of payments first, then a steady stream, until Ctrl-C. Without --data everything is kept in a temporary directory.")

    @OptionGroup var options: NodeOptions

    @Option(help: ArgumentHelp("Payments of your own: Kaggle's creditcard.csv (31 columns), or the 34 columns of the topic.", valueName: "file"))
    var csv: String?

    @Option(help: ArgumentHelp("The model, an ONNX file.", valueName: "file"))
    var model = "models/fraud_autoencoder.onnx"

    @Option(help: ArgumentHelp("Generated payments before the steady stream.", valueName: "rows"))
    var backlog: Int64 = 300_000

    @Option(help: ArgumentHelp("Payments a second of the steady stream.", valueName: "rows"))
    var rate: Double = 1000

    @Option(help: ArgumentHelp("Ends by itself after so many seconds of the steady stream.", valueName: "s"))
    var seconds: Int?

    func validate() throws {
        if let setting = options.assignments.first(where: { ServerSetting.isKnown($0.name) }) {
            throw ValidationError("--set: the demo serves its own machine; \(setting.name) is for martlet dev")
        }
    }

    func run() async throws {
        Interruption.block()
        var options = options
        if options.data == nil { options.ephemeral = true }
        do throws(MartletError) {
            // Before anything is started.
            try Self.requireReadable(model, hint: "run it in Martlet's own folder, or name a model with --model")
            if let csv { try Self.requireReadable(csv, hint: nil) }
            try await run(options)
        } catch {
            throw failure(error)
        }
    }

    private static func requireReadable(_ path: String, hint: String?) throws(MartletError) {
        guard access(path, R_OK) == 0 else {
            var error = FileBytes.unreadable(path)
            error.hint = hint
            throw error
        }
    }

    private func run(_ options: NodeOptions) async throws(MartletError) {
        let directory = try options.directory()
        let time = TimeSource.system, started = time.monotonicNs
        let node: Node
        do throws(MartletError) {
            node = try await Node.start(options.config(directory: directory), logger: options.logger)
        } catch {
            options.cleanUp(directory)
            throw error
        }
        let ready = Double(time.monotonicNs - started) * 1e-6
        Output.line("Martlet is ready after \(NumberText.fixed(ready, 0)) ms: Kafka \(node.ports.kafka), SQL \(node.ports.ksql), schemas \(node.ports.registry), data in \(directory)")
        let stop = Stop()
        Task {
            await Interruption.wait()
            stop.request()
        }
        do throws(MartletError) {
            try await pipeline(on: node, stop, time)
        } catch {
            await node.stop()
            options.cleanUp(directory)
            throw error
        }
        farewell(node)
        await node.stop()
        options.cleanUp(directory)
    }

    private func pipeline(on node: Node, _ stop: Stop, _ time: TimeSource) async throws(MartletError) {
        let bootstrap = "127.0.0.1:\(node.ports.kafka)"
        let feed = try PaymentFeed(csv.map { .file($0) } ?? .generated(seed: 314), bootstrap: bootstrap, topic: FraudPipeline.sourceTopic)
        let pipeline = try await FraudPipeline.start(on: node, model: model)
        for statement in pipeline.statements { Output.line("  " + statement) }
        Output.line("")
        let dashboard = Dashboard(pipeline: pipeline, time: time)
        let mailbox = FeedState()
        let wanted = csv == nil ? backlog : nil
        let (rate, isFile) = (rate, csv != nil)
        let feeding = FeedThread(feed: feed, state: mailbox, stop: stop, backlog: wanted, rate: isFile ? nil : rate)
        feeding.start()
        try await dashboard.run(until: stop, feed: mailbox, backlog: wanted, seconds: seconds)
        stop.request()
        feeding.join()
        if let error = mailbox.error { throw error }
    }

    private func farewell(_ node: Node) {
        let ports = node.ports
        Output.line(
            """

            Look further (start it again with --data DIR to keep everything):
              curl:    curl -s localhost:\(ports.ksql)/ksql -d '{"ksql":"SHOW QUERIES;"}'
              kcat:    kcat -b localhost:\(ports.kafka) -t FRAUD_ALERTS -C -o beginning -e -c 3
              shell:   martlet sql http://localhost:\(ports.ksql)
              Python:  import martlet; martlet.connect("http://localhost:\(ports.ksql)").df("SELECT * FROM FRAUD_ALERTS LIMIT 10;")
              story:   notebooks/fraud_detection.ipynb (make notebooks runs it)
            """)
    }
}

/// What the feeding thread has done so far.
final class FeedState: Sendable {
    private struct Values {
        var progress = PaymentFeed.Progress()
        var backlogDone = false
        var ended = false
        var error: MartletError?
    }
    private let values = Mutex(Values())

    var progress: PaymentFeed.Progress { values.withLock { $0.progress } }
    var backlogDone: Bool { values.withLock { $0.backlogDone } }
    var ended: Bool { values.withLock { $0.ended } }
    var error: MartletError? { values.withLock { $0.error } }

    func set(_ progress: PaymentFeed.Progress) { values.withLock { $0.progress = progress } }
    func finishBacklog() { values.withLock { $0.backlogDone = true } }
    func finish(_ error: MartletError?) {
        values.withLock {
            $0.error = error
            $0.backlogDone = true
            $0.ended = true
        }
    }
}

/// Feeds payments from a thread of its own.
final class FeedThread: @unchecked Sendable {
    // `feed` is used by the thread alone once `start` was called; `handle` by the starter.
    private let feed: PaymentFeed
    private let state: FeedState
    private let stop: Stop
    private let backlog: Int64?
    private let rate: Double?
    private var handle = pthread_t()

    init(feed: PaymentFeed, state: FeedState, stop: Stop, backlog: Int64?, rate: Double?) {
        self.feed = feed
        self.state = state
        self.stop = stop
        self.backlog = backlog
        self.rate = rate
    }

    func start() {
        pthread_create(
            &handle, nil,
            { argument in
                Unmanaged<FeedThread>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
    }

    func join() { pthread_join(handle, nil) }

    private func run() {
        do throws(MartletError) {
            let report: (PaymentFeed.Progress) -> Bool = { [state, stop] progress in
                state.set(progress)
                return !stop.isRequested
            }
            _ = try feed.run(count: backlog, rowsPerSecond: nil, progress: report)
            state.finishBacklog()
            if let rate, !stop.isRequested { _ = try feed.run(count: nil, rowsPerSecond: rate, progress: report) }
            state.finish(nil)
        } catch {
            state.finish(error)
        }
    }
}
