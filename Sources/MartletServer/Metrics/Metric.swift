/// What a node says of itself at `/metrics`: the one table of names, from which docs/reference/metrics.md is made. In the order of the page.
enum Metric: String, CaseIterable, Sendable {
    enum Kind: String, Sendable { case counter, gauge, histogram }

    case buildInfo = "martlet_build_info"
    case uptime = "martlet_uptime_seconds"
    case leftOut = "martlet_metrics_left_out_series"

    case cpu = "process_cpu_seconds_total"
    case resident = "process_resident_memory_bytes"
    case virtual = "process_virtual_memory_bytes"
    case openFiles = "process_open_fds"
    case openFilesMax = "process_max_fds"
    case threads = "process_threads"
    case start = "process_start_time_seconds"

    case connections = "martlet_kafka_connections"
    case connectionsAccepted = "martlet_kafka_connections_accepted_total"
    case connectionsRefused = "martlet_kafka_connections_refused_total"
    case connectionsEnded = "martlet_kafka_connections_ended_total"
    case requests = "martlet_kafka_request_seconds"
    case requestErrors = "martlet_kafka_request_errors_total"
    case throttled = "martlet_kafka_throttled_total"
    case throttleSeconds = "martlet_kafka_throttle_seconds_total"
    case delayedFetches = "martlet_kafka_delayed_fetches"
    case fetchSessions = "martlet_kafka_fetch_sessions"
    case unsentBytes = "martlet_kafka_unsent_bytes"
    case reportingClients = "martlet_kafka_reporting_clients"
    case reportsLeftOut = "martlet_kafka_reported_numbers_left_out_total"

    case topics = "martlet_topics"
    case topicInBytes = "martlet_topic_in_bytes_total"
    case topicInRecords = "martlet_topic_in_records_total"
    case topicOutBytes = "martlet_topic_out_bytes_total"
    case topicOutRecords = "martlet_topic_out_records_total"

    case partitions = "martlet_partitions"
    case partitionsFailed = "martlet_partitions_failed"
    case partitionsDamaged = "martlet_partitions_damaged"
    case partitionStart = "martlet_partition_start_offset"
    case partitionEnd = "martlet_partition_end_offset"
    case partitionHighWatermark = "martlet_partition_high_watermark"
    case partitionStable = "martlet_partition_last_stable_offset"
    case partitionSize = "martlet_partition_size_bytes"
    case partitionSegments = "martlet_partition_segments"

    case syncSeconds = "martlet_log_sync_seconds"
    case syncRecords = "martlet_log_sync_records"
    case logSize = "martlet_log_size_bytes"
    case diskSize = "martlet_disk_size_bytes"
    case diskFree = "martlet_disk_free_bytes"

    case groups = "martlet_groups"
    case groupMembers = "martlet_group_members"
    case groupRebalances = "martlet_group_rebalances_total"
    case groupCommitted = "martlet_group_committed_offset"
    case groupLag = "martlet_group_lag_records"
    case groupStableLag = "martlet_group_stable_lag_records"
    case shareStart = "martlet_share_group_start_offset"
    case shareLag = "martlet_share_group_lag_records"

    case producerIDs = "martlet_producer_ids"
    case transactionalIDs = "martlet_transactional_ids"
    case transactionsOpen = "martlet_transactions_open"
    case transactionOldest = "martlet_transactions_oldest_open_seconds"
    case transactionsEnded = "martlet_transactions_ended_total"
    case transactionsTimedOut = "martlet_transactions_timed_out_total"

    case queries = "martlet_queries"
    case queryRowsRead = "martlet_query_rows_read_total"
    case queryBytesRead = "martlet_query_bytes_read_total"
    case queryRowsWritten = "martlet_query_rows_written_total"
    case queryRowsFailed = "martlet_query_rows_failed_total"
    case queryCommits = "martlet_query_commits_total"
    case queryLag = "martlet_query_lag_records"
    case stateBytes = "martlet_state_memory_bytes"
    case stateBytesMax = "martlet_state_memory_limit_bytes"
    case stateEvictions = "martlet_state_evictions_total"
    case stateEvictedBytes = "martlet_state_evicted_bytes_total"

    case httpRequests = "martlet_http_requests_total"
    case httpFailures = "martlet_http_failures_total"
    case clientQueriesStarted = "martlet_client_queries_total"
    case clientQueries = "martlet_client_queries_running"
    case clientQueryRows = "martlet_client_query_rows_total"
    case insertedRows = "martlet_inserted_rows_total"

    /// Rises for as long as the node runs (`counter`), or goes up and down.
    var kind: Kind {
        switch self {
        case .requests, .syncSeconds, .syncRecords: .histogram
        default: rawValue.hasSuffix("_total") ? .counter : .gauge
        }
    }

    var labels: [String] { row.labels }
    /// A sentence.
    var help: String { row.help }

    private var row: (labels: [String], help: String) {
        switch self {
        case .buildInfo: (["version"], "Always 1; the release that runs.")
        case .uptime: ([], "Time since the HTTP server was made.")
        case .leftOut: (["metric"], "Series that a metric has and this page has not, because they are more than metrics.series.max.")

        case .cpu: ([], "User and system time of the process.")
        case .resident: ([], "Memory of the process in RAM, pages of files included.")
        case .virtual: ([], "Addresses that the process has mapped.")
        case .openFiles: ([], "Files and sockets that are open.")
        case .openFilesMax: ([], "Files and sockets that may be open.")
        case .threads: ([], "Threads of the process.")
        case .start: ([], "When the process began, since 1970.")

        case .connections: (["listener"], "Connections of Kafka clients that are open.")
        case .connectionsAccepted: (["listener"], "Connections of Kafka clients that were let in.")
        case .connectionsRefused: (["limit"], "Connections of Kafka clients that were not let in, by the limit that was reached.")
        case .connectionsEnded:
            (["reason"], "Connections that the node ended: idle, malformed (what came is no request), authentication, failed. Clients end the others.")
        case .requests:
            (["api"], "Requests of Kafka clients, from the moment when they were read until their answers could be sent; Fetch may wait for records.")
        case .requestErrors: (["api", "error"], "Errors that answers to Kafka clients told; one answer may tell several.")
        case .throttled: (["quota"], "How often a client was told to wait because of a quota.")
        case .throttleSeconds: (["quota"], "For how long clients were told to wait because of quotas.")
        case .delayedFetches: (["api"], "Requests that wait for records: Fetch, ShareFetch.")
        case .fetchSessions: ([], "Clients whose partitions are remembered between their fetches.")
        case .unsentBytes: ([], "Bytes of answers that Kafka clients have not taken yet.")
        case .reportingClients: ([], "Kafka clients that ask what they are to report of themselves, or report it.")
        case .reportsLeftOut: ([], "Numbers that Kafka clients reported and for which there was no room.")

        case .topics: ([], "Topics, internal ones included.")
        case .topicInBytes: (["topic"], "Bytes of record batches appended, by whomever, as they are on disk.")
        case .topicInRecords: (["topic"], "Records appended, by whomever.")
        case .topicOutBytes: (["topic"], "Bytes of record batches sent to Kafka clients.")
        case .topicOutRecords: (["topic"], "Records in batches sent to Kafka clients.")

        case .partitions: ([], "Partitions, of internal topics included.")
        case .partitionsFailed: ([], "Partitions that take no more records until the node is started again, because a sync to disk failed.")
        case .partitionsDamaged: ([], "Partitions of which some records were found damaged when the node was started.")
        case .partitionStart: (["topic", "partition"], "The first offset that is kept.")
        case .partitionEnd: (["topic", "partition"], "The offset that the next record gets.")
        case .partitionHighWatermark: (["topic", "partition"], "Everything below is durable and can be read.")
        case .partitionStable: (["topic", "partition"], "No transaction is open below.")
        case .partitionSize: (["topic", "partition"], "Bytes of its segments.")
        case .partitionSegments: (["topic", "partition"], "Segments, each a file.")

        case .syncSeconds: ([], "Syncs of partitions to disk.")
        case .syncRecords: ([], "Records that one sync of a partition made durable: group commit.")
        case .logSize: ([], "Bytes of all segments of all partitions.")
        case .diskSize: ([], "The file system that holds the data directory.")
        case .diskFree: ([], "What may still be written to that file system.")

        case .groups: (["type", "state"], "Groups, by protocol and state.")
        case .groupMembers: (["group", "type"], "Members of a group.")
        case .groupRebalances: (["type"], "How often groups began to divide their partitions anew.")
        case .groupCommitted: (["group", "topic", "partition"], "The offset that a group has committed: it reads on there.")
        case .groupLag: (["group", "topic", "partition"], "From the committed offset to the high watermark. Markers of transactions count.")
        case .groupStableLag: (["group", "topic", "partition"], "From the committed offset to the last stable offset, for readers of committed records.")
        case .shareStart: (["group", "topic", "partition"], "The offset below which a share group is done with everything.")
        case .shareLag: (["group", "topic", "partition"], "Records up to the high watermark that a share group is not done with.")

        case .producerIDs: ([], "Producers that partitions remember, for each partition.")
        case .transactionalIDs: ([], "Transactional ids that are known.")
        case .transactionsOpen: ([], "Transactions that are open, those of queries included.")
        case .transactionOldest: ([], "How long the oldest of them is open; 0 without any.")
        case .transactionsEnded: (["outcome"], "Transactions that were committed or aborted, those of queries included.")
        case .transactionsTimedOut: ([], "Transactions that were aborted because they took too long.")

        case .queries: (["state"], "Persistent queries.")
        case .queryRowsRead: (["query"], "Records that a persistent query has read.")
        case .queryBytesRead: (["query"], "Bytes that a persistent query has read.")
        case .queryRowsWritten: (["query"], "Records that a persistent query has written.")
        case .queryRowsFailed: (["query"], "Records that a persistent query could not process.")
        case .queryCommits: (["query"], "Commits of a persistent query that had something in them.")
        case .queryLag: (["query"], "Committed records of its topics that a persistent query has not processed and committed yet.")
        case .stateBytes: ([], "Memory that the state of queries takes, about.")
        case .stateBytesMax: ([], "Memory that the state of queries may take: state.memory.bytes.")
        case .stateEvictions: ([], "How often a store of state gave entries up for want of memory; they are read from disk when they are needed.")
        case .stateEvictedBytes: ([], "Bytes of the entries that were given up.")

        case .httpRequests: ([], "HTTP requests of both APIs.")
        case .httpFailures: ([], "Requests that were answered with an error.")
        case .clientQueriesStarted: ([], "Queries that clients began.")
        case .clientQueries: ([], "Queries of clients that run now.")
        case .clientQueryRows: ([], "Rows sent to clients.")
        case .insertedRows: ([], "Rows inserted through /inserts-stream.")
        }
    }
}
