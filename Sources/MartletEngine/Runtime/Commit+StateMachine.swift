/// Names one transaction of a stream thread: what was handed over when it was prepared is told by it that it has committed.
struct CommitToken: Hashable, Comparable, Sendable {
    var number: UInt64

    static func < (a: CommitToken, b: CommitToken) -> Bool { a.number < b.number }
}

/// When the transactions of one stream thread begin, commit and are given up. Event in, actions out; no I/O, no clock.
///
/// ```
///            work        drained: prepare, commit            ended well
///   (none) ──────► N is filled ──────────────────► N commits ─────────► committed
///                       │   due: prepare, commit in the background
///                       └──► N commits, N+1 is filled ──► …
/// ```
///
/// (1) Transactions are decided in their order: one commits at a time, and the next begins to commit only after it has ended well.
/// (2) If one fails, the one that is filled meanwhile is given up too, since it begins where the failed one ends; both are done again.
/// (3) A drained input commits at once, on the thread itself. Under load the commit runs in the background and the next transaction is filled.
/// (4) What is not committed is bounded: at `bytesMax`, or where it takes more memory than there is for it, a transaction commits before its time, or
/// waits for the one before it.
struct CommitStateMachine: Sendable {
    struct Limits: Sendable {
        /// Under load a transaction is this long.
        var intervalNs: Int64
        /// Bytes of output of one transaction, about.
        var bytesMax = 64 << 20
    }

    /// What the tasks of the thread have done with the open transaction.
    struct Progress: Sendable {
        /// A task found something to do in this round.
        var isBusy: Bool
        /// There is something to commit.
        var hasWork: Bool
        /// Bytes of output since the transaction began.
        var bytes: Int
        /// State has outgrown its memory, and can give nothing up before a commit.
        var isMemoryShort = false
        var nowNs: Int64
    }

    enum Event: Sendable {
        /// Tasks are about to process.
        case roundBegins
        case roundEnded(Progress)
        /// Also if it could not be prepared.
        case commitEnded(CommitToken, succeeded: Bool)
        /// A task failed while it processed.
        case failed
        /// All must be settled: a query leaves the thread, or the thread ends. Comes again until nothing is to be done.
        case mustSettle(hasWork: Bool)
    }

    enum Action: Equatable, Sendable {
        case begin(CommitToken)
        /// Tasks hand over outputs, changes of their state, and offsets.
        case prepare(CommitToken)
        /// On this thread; tell `commitEnded`.
        case commit(CommitToken)
        /// On another; tell `commitEnded` when it is over.
        case commitInBackground(CommitToken)
        /// Wait for the end of this commit.
        case awaitCommit(CommitToken)
        /// Tell tasks that what they handed over counts now.
        case tellCommitted(CommitToken)
        /// Abort these, the older first, and make all tasks anew from what is committed.
        case abort([CommitToken])
        /// Until there is something to read or a command, or a commit in the background has ended.
        case sleep
    }

    private struct Filling {
        var token: CommitToken
        /// When there was something to commit first.
        var sinceNs: Int64?
    }

    let limits: Limits
    private var next: UInt64 = 0
    private var filling: Filling?
    /// The transaction that commits now, or is prepared for it.
    private(set) var committing: CommitToken?
    /// `filling` is given up once `committing` has ended.
    private var isDoomed = false

    init(_ limits: Limits) { self.limits = limits }

    /// The transaction that is filled now.
    var open: CommitToken? { filling?.token }

    mutating func receive(_ event: Event) -> [Action] {
        switch event {
        case .roundBegins:
            if filling != nil { return [] }
            let token = CommitToken(number: next)
            next += 1
            filling = Filling(token: token)
            return [.begin(token)]
        case .roundEnded(let progress): return roundEnded(progress)
        case .commitEnded(let token, let succeeded):
            precondition(token == committing, "commits end in their order, once")
            committing = nil
            if succeeded { return [.tellCommitted(token)] + (isDoomed ? giveUp([]) : []) }
            return giveUp([token])  // (2)
        case .failed:
            isDoomed = true
            return committing.map { [.awaitCommit($0)] } ?? giveUp([])
        case .mustSettle(let hasWork):
            if let committing { return [.awaitCommit(committing)] }
            guard let token = filling?.token else { return [] }
            filling = nil
            guard hasWork else { return [] }
            committing = token
            return [.prepare(token), .commit(token)]
        }
    }

    private mutating func roundEnded(_ progress: Progress) -> [Action] {
        guard progress.hasWork, let filling else { return progress.isBusy ? [] : [.sleep] }
        if filling.sinceNs == nil { self.filling?.sinceNs = progress.nowNs }
        let isFull = progress.bytes >= limits.bytesMax || progress.isMemoryShort
        let isDue = isFull || progress.nowNs - (filling.sinceNs ?? progress.nowNs) >= limits.intervalNs
        guard !progress.isBusy || isDue else { return [] }
        if let committing { return progress.isBusy && !isFull ? [] : [.awaitCommit(committing)] }  // (1), (4)
        self.filling = nil
        committing = filling.token
        return [.prepare(filling.token), progress.isBusy ? .commitInBackground(filling.token) : .commit(filling.token)]  // (3)
    }

    private mutating func giveUp(_ failed: [CommitToken]) -> [Action] {
        var tokens = failed
        if let token = filling?.token { tokens.append(token) }
        filling = nil
        isDoomed = false
        return [.abort(tokens)]
    }
}
