"""Benchmarks of the running program, as clients see it: process.py NAME …  (latency ready idle memory throughput pull)

One line each on standard output: name, value and unit, reference, ratio (value over reference). Conditions go to standard error.
MARTLET_BIN names the program (default .build/release/martlet), TMPDIR the disk, ROWS the backlog of `memory`,
LATENCY_SECONDS the length of `latency`.
"""

import json
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = pathlib.Path(__file__).resolve().parents[1]
BINARY = pathlib.Path(os.environ.get("MARTLET_BIN", ROOT / ".build/release/martlet")).resolve()
# The node goes before its clients do: nothing to tell anybody.
QUIET = {"log_level": 0}
COMPONENTS = [f"V{i}" for i in range(1, 29)]
FEATURES = f"Time, {', '.join(COMPONENTS)}, Amount"
SOURCE = (
    f"CREATE STREAM creditcardfraud_source (Id bigint, Timestamp varchar, User varchar, Time int, "
    f"{', '.join(c + ' double' for c in COMPONENTS)}, Amount double, Class string) "
    f"WITH (kafka_topic='creditcardfraud_source', value_format='DELIMITED', partitions=3);"
)
PREPROCESS = (
    "CREATE STREAM creditcardfraud_preprocessed_avro WITH (VALUE_FORMAT='AVRO', KAFKA_TOPIC='creditcardfraud_preprocessed_avro') "
    f"AS SELECT {FEATURES}, Class FROM creditcardfraud_source WHERE Class IS NOT NULL;"
)
SCORE = (
    f"CREATE MODEL fraud_score WITH ('path'='{ROOT}/models/fraud_autoencoder.onnx');"
    "CREATE STREAM creditcardfraud_scored WITH (VALUE_FORMAT='AVRO') "
    f"AS SELECT Time, Amount, Class, FRAUD_SCORE({FEATURES}) AS Score FROM creditcardfraud_preprocessed_avro;"
)


def alerts(threshold):
    return f"CREATE STREAM fraud_alerts WITH (VALUE_FORMAT='JSON') AS SELECT * FROM creditcardfraud_scored WHERE Score > {threshold};"


def number(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"


def line(name, value, unit, *references):
    """references: (what it is, value in the same unit)"""
    text = f"{name}\t{number(value)} {unit}"
    for what, reference in references:
        text += f"\t{what} {number(reference)} {unit}\tratio {value / reference:.2f}"
    print(text, flush=True)


def note(text):
    print(f"    {text}", file=sys.stderr, flush=True)


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))]


def free_offset():
    for offset in range(16000 + os.getpid() % 1000, 50000, 29):
        try:
            for port in (8081, 8088, 9092):
                socket.create_server(("127.0.0.1", port + offset)).close()
        except OSError:
            continue
        return offset
    raise RuntimeError("no free ports")


class Node:
    """The program on a directory that outlives it."""

    def __init__(self, data, *options):
        self.data, self.options, self.offset = pathlib.Path(data), options, free_offset()
        self.kafka, self.url = f"127.0.0.1:{9092 + self.offset}", f"http://127.0.0.1:{8088 + self.offset}"

    def start(self):
        """Returns the seconds from exec to the first answer of /info."""
        command = [BINARY, "dev", "--data", str(self.data), "--port-offset", str(self.offset), *self.options]
        self.log = open(self.data.parent / "node.log", "ab")
        begin = time.monotonic()
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self.log, stderr=subprocess.STDOUT)
        while not self.answers():
            if self.process.poll() is not None:
                raise RuntimeError((self.data.parent / "node.log").read_text())
            if time.monotonic() - begin > 60:
                raise RuntimeError("the program does not answer")
            time.sleep(0.001)
        return time.monotonic() - begin

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", 8088 + self.offset), timeout=5) as connection:
                connection.sendall(b"GET /info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return connection.recv(65536).startswith(b"HTTP/1.1 200")
        except ConnectionRefusedError:
            return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)
        self.log.close()

    def ksql(self, sql):
        body = json.dumps({"ksql": sql, "streamsProperties": {"ksql.streams.auto.offset.reset": "earliest"}}).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.url}/ksql", body), timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()) from error

    def status(self):
        """VmRSS and the like, in MB."""
        fields = {}
        for file in ("status", "smaps_rollup"):
            for entry in pathlib.Path(f"/proc/{self.process.pid}/{file}").read_text().splitlines():
                words = entry.split()
                if len(words) == 3 and words[2] == "kB":
                    fields[words[0].rstrip(":")] = int(words[1]) / 1024
        return fields

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def topic(self, name, partitions):
        admin = AdminClient({**QUIET, "bootstrap.servers": self.kafka})
        for future in admin.create_topics([NewTopic(name, partitions, 1)]).values():
            future.result()

    def query_into(self, sink):
        for query in self.ksql("SHOW QUERIES;")[0]["queries"]:
            if sink.upper() in (name.upper() for name in query["sinks"]):
                return query["id"]
        raise RuntimeError(f"no query writes {sink}")


class Bench:
    """A directory, and nodes in it that end with it."""

    def __enter__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="martlet-bench-"))
        self.nodes = []
        return self

    def node(self, *options, data="data"):
        self.nodes.append(Node(self.root / data, *options))
        return self.nodes[-1]

    def __exit__(self, *_):
        for node in self.nodes:
            if hasattr(node, "process") and node.process.poll() is None:
                node.process.kill()
                node.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)


def payment(generator, row):
    """A line of the source topic whose Time says which one it is."""
    values = ",".join(f"{generator.gauss(0, 1):.6f}" for _ in COMPONENTS)
    return f"{row},2024-01-01 00:00:00,user{row % 1000},{row},{values},{generator.random() * 200:.2f},0".encode()


def fdatasync_ms(directory, rounds=100):
    """What an append of a row and its fdatasync cost on this disk now: a floor for anything durable."""
    path = os.path.join(directory, "probe")
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    times = []
    for _ in range(rounds):
        os.write(file, b"x" * 600)
        begin = time.perf_counter()
        os.fdatasync(file)
        times.append((time.perf_counter() - begin) * 1e3)
        time.sleep(0.002)
    os.close(file)
    os.unlink(path)
    return times


# MARK: latency


def listen(kafka, rows, ready, out):
    """In a process of its own, so that it does not wait for the producer's interpreter lock."""
    consumer = Consumer(
        {
            **QUIET, "bootstrap.servers": kafka, "group.id": "bench-alerts", "isolation.level": "read_committed", "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50, "fetch.min.bytes": 1, "enable.auto.commit": False, "socket.nagle.disable": True,
        }
    )
    consumer.assign([TopicPartition("FRAUD_ALERTS", p, 0) for p in range(3)])
    seen, limit = [], time.monotonic() + rows / 1000 + 60
    ready.set()
    while len(seen) < rows and time.monotonic() < limit:
        for message in consumer.consume(1 if len(seen) < rows else 0, 0.1):
            if message.error() is None:
                seen.append((time.monotonic(), message.value()))
    consumer.close()
    out.send([(moment, json.loads(value)["TIME"]) for moment, value in seen])


def measure_latency(bench, durability, rate, seconds):
    node = bench.node("--durability", durability, data=durability)
    node.start()
    node.topic("creditcardfraud_source", 3)
    # Every score is over this threshold, so every payment becomes an alert: the longest way a payment can go, and dense statistics.
    node.ksql(SOURCE + PREPROCESS + SCORE + alerts("-1.0"))
    warmup = rate  # the first second is not counted
    rows = rate * seconds + warmup
    generator = random.Random(1)
    lines = [payment(generator, row) for row in range(rows)]
    context = multiprocessing.get_context("fork")
    ready, (there, here) = context.Event(), context.Pipe()
    listener = context.Process(target=listen, args=(node.kafka, rows, ready, here))
    listener.start()
    ready.wait()
    failures = []
    producer = Producer(
        {
            **QUIET, "bootstrap.servers": node.kafka, "acks": "all", "linger.ms": 0, "socket.nagle.disable": True, "enable.idempotence": True,
        }
    )
    sent, acknowledged = [0.0] * rows, [0.0] * rows

    def delivered(row):
        def record(error, _):
            acknowledged[row] = time.monotonic()
            if error:
                failures.append(error)
        return record

    begin = time.monotonic()
    cpu = node.cpu_seconds()
    for row in range(rows):
        due = begin + row / rate
        while (now := time.monotonic()) < due:
            # Acknowledgements are seen in poll, so their times are known to 0.2 ms.
            producer.poll(0)
            time.sleep(min(due - now, 0.0002))
        sent[row] = time.monotonic()
        producer.produce("creditcardfraud_source", lines[row], partition=row % 3, on_delivery=delivered(row))
        producer.poll(0)
    producer.flush(30)
    cpu = node.cpu_seconds() - cpu
    took = time.monotonic() - begin
    seen = there.recv()
    listener.join()
    rows_seen = {row for _, row in seen}
    if failures or len(rows_seen) != rows or len(seen) != rows:
        raise RuntimeError(f"{len(failures)} failed sends, {len(seen)} alerts of {len(rows_seen)} payments out of {rows}")
    latencies = [(moment - sent[row]) * 1e3 for moment, row in seen if row >= warmup]
    acks = [(a - s) * 1e3 for s, a in zip(sent, acknowledged)][warmup:]
    syncs = fdatasync_ms(bench.root)
    line(f"latency/{durability}/p50", percentile(latencies, 50), "ms", ("Kafka Streams, exactly once", 61), ("aim", 2))
    line(f"latency/{durability}/p99", percentile(latencies, 99), "ms", ("Kafka Streams, exactly once", 125), ("aim", 10))
    note(
        f"{len(latencies)} payments, {rate}/s, {seconds} s; max {max(latencies):.1f} ms; produce to ack p50 {percentile(acks, 50):.2f} "
        f"p99 {percentile(acks, 99):.2f} ms; fdatasync of a row on this disk p50 {percentile(syncs, 50):.2f} p99 {percentile(syncs, 99):.2f} ms; "
        f"the program used {cpu / took:.0%} of a core; load {os.getloadavg()[0]:.1f}"
    )
    node.stop()


def latency():
    """From produce() of a Kafka client to the alert in the hands of another, through three queries and a model."""
    with Bench() as bench:
        for durability in ("fsync", "os"):
            measure_latency(bench, durability, 1000, int(os.environ.get("LATENCY_SECONDS", 20)))


# MARK: start and rest


def ready():
    """From exec to the first answer of /info."""
    runs = 15
    with Bench() as bench:
        times = []
        for run in range(runs):
            node = bench.node(data=f"empty-{run}")
            times.append(node.start())
            node.stop()
        line("ready/empty", statistics.median(times), "s", ("aim", 0.15))
        note(f"{runs} starts: {min(times):.3f} to {max(times):.3f} s; load {os.getloadavg()[0]:.1f}")
        node = bench.node()
        node.start()
        node.ksql(SOURCE + PREPROCESS + SCORE + alerts("7.5"))
        times = []
        for _ in range(runs):
            node.stop()
            times.append(node.start())
        node.stop()
        line("ready/pipeline", statistics.median(times), "s", ("aim", 0.15))
        note(f"{runs} starts: {min(times):.3f} to {max(times):.3f} s; load {os.getloadavg()[0]:.1f}")


def idle():
    """Memory and processor use with the pipeline defined, its model loaded, and nothing to do."""
    with Bench() as bench:
        for name, restart in (("defined", False), ("restarted", True)):
            node = bench.node()
            node.start()
            if restart is False:
                node.ksql(SOURCE + PREPROCESS + SCORE + alerts("7.5"))
            time.sleep(5)
            before, begin = node.cpu_seconds(), time.monotonic()
            time.sleep(10)
            cpu = (node.cpu_seconds() - before) / (time.monotonic() - begin)
            status = node.status()
            line(f"idle/{name}/rss", status["VmRSS"], "MB", ("aim", 50))
            line(f"idle/{name}/pss", status["Pss"], "MB", ("aim", 50))
            line(f"idle/{name}/cpu", cpu * 100, "% of a core")
            note(f"anonymous {status['RssAnon']:.1f} MB, files {status['RssFile']:.1f} MB (libraries and program, shared with others)")
            node.stop()


# MARK: volume


def memory():
    """A backlog through the preprocessing: does memory stay flat?"""
    rows = int(os.environ.get("ROWS", 10_000_000))
    needed = rows * 950
    with Bench() as bench:
        free = shutil.disk_usage(bench.root).free
        if free < needed + (5 << 30):
            raise RuntimeError(f"{rows} rows need {needed >> 30} GB of disk and 5 GB to spare, there are {free >> 30} GB: ROWS=… makes it less")
        node = bench.node()
        node.start()
        begin = time.monotonic()
        subprocess.run(
            [BINARY, "datagen", "quickstart=creditcard", "topic=creditcardfraud_source", f"bootstrap={node.kafka}", f"iterations={rows}",
             "partitions=3"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        line("memory/generate", rows / (time.monotonic() - begin), "rows/s")
        line("memory/generate/peak-rss", node.status()["VmHWM"], "MB", ("limit", 300))
        node.stop()
        node.start()  # its peak is now that of the query alone
        begin = time.monotonic()
        node.ksql(SOURCE + PREPROCESS)
        group = f"_confluent-ksql-default_query_{node.query_into('creditcardfraud_preprocessed_avro')}"
        admin = AdminClient({**QUIET, "bootstrap.servers": node.kafka})
        partitions = [TopicPartition("creditcardfraud_source", p) for p in range(3)]
        curve, done = [], 0
        while done < rows:
            time.sleep(0.05)
            future = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, partitions)])[group]
            done = sum(max(p.offset, 0) for p in future.result().topic_partitions)
            curve.append((done, node.status()["VmRSS"]))
            if time.monotonic() - begin > 60 + rows / 10_000:
                raise RuntimeError(f"{done} of {rows} rows")
        took = time.monotonic() - begin
        # 95 % of the payments have a class; each batch of the sink ends with a marker. A query that skipped its backlog would look fast.
        reader = Consumer({**QUIET, "bootstrap.servers": node.kafka, "group.id": "count"})
        written = sum(reader.get_watermark_offsets(TopicPartition("creditcardfraud_preprocessed_avro", p))[1] for p in range(3))
        reader.close()
        if not 0.94 * rows < written < 0.96 * rows + 10_000:
            raise RuntimeError(f"{written} records in the sink of {rows} rows")
        line("memory/preprocess", rows / took, "rows/s")
        line("memory/preprocess/peak-rss", node.status()["VmHWM"], "MB", ("limit", 300))
        tenths = [next(rss for done, rss in curve if done >= rows * tenth / 10) for tenth in range(1, 11)]
        note("RSS after each tenth, MB: " + " ".join(f"{rss:.0f}" for rss in tenths))
        node.stop()


def throughput():
    """Records of 100 bytes through librdkafka and its Python binding, for orientation."""
    count = 1_000_000
    with Bench() as bench:
        node = bench.node()
        node.start()
        node.topic("records", 3)
        producer = Producer(
            {**QUIET, "bootstrap.servers": node.kafka, "acks": "all", "linger.ms": 5, "queue.buffering.max.messages": count, "batch.size": 1 << 19})
        payload = b"x" * 100
        begin = time.monotonic()
        for i in range(0, count, 10_000):
            producer.produce_batch("records", [{"value": payload}] * 10_000, partition=i // 10_000 % 3)
            producer.poll(0)
        if producer.flush(60):
            raise RuntimeError("records were not delivered")
        line("throughput/produce-100B", count / (time.monotonic() - begin), "records/s")
        consumer = Consumer({**QUIET, "bootstrap.servers": node.kafka, "group.id": "bench", "auto.offset.reset": "earliest", "enable.auto.commit": False})
        consumer.assign([TopicPartition("records", p, 0) for p in range(3)])
        seen, begin = 0, time.monotonic()
        while seen < count:
            messages = consumer.consume(10_000, 5)
            if not messages:
                raise RuntimeError(f"{seen} of {count} records")
            seen += len(messages)
        line("throughput/consume-100B", count / (time.monotonic() - begin), "records/s")
        consumer.close()
        node.stop()


# MARK: pull queries

# Each thread makes its requests before it sends the first, so that wrk costs as little as it can. `done` tells the result as one line of JSON.
WRK_SCRIPT = """
local requests, at = {{}}, 0
function init()
   math.randomseed(7)
   for i = 1, 2000 do
      local sql = string.format("{sql}", math.random(0, {keys} - 1))
      requests[i] = wrk.format("POST", "/query-stream", {{["Content-Type"] = "application/json"}}, '{{"sql":"' .. sql .. '"}}')
   end
end
function request()
   at = at % #requests + 1
   return requests[at]
end
function done(summary, latency)
   local e = summary.errors
   io.write(string.format('{{"requests":%d,"us":%d,"p50":%d,"p99":%d,"failed":%d}}\\n', summary.requests, summary.duration,
      latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def wrk(bench, node, sql, keys, connections, seconds):
    path = bench.root / "pull.lua"
    path.write_text(WRK_SCRIPT.format(sql=sql, keys=keys))
    output = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", path, node.url], check=True, capture_output=True, text=True).stdout
    return json.loads(next(row for row in output.splitlines() if row.startswith("{")))


def pull():
    """Rows of a table by their keys, over HTTP/1.1 connections that stay open: each request another key."""
    if shutil.which("wrk") is None:
        raise RuntimeError("no wrk: apt-get install wrk")
    keys, connections, seconds = 10_000, 16, int(os.environ.get("PULL_SECONDS", 10))
    with Bench() as bench:
        node = bench.node()
        node.start()
        node.topic("visits", 3)
        producer = Producer({**QUIET, "bootstrap.servers": node.kafka})
        for i in range(3 * keys):
            producer.produce("visits", json.dumps({"page": f"/{i % 97}", "ms": i % 1000}).encode(), key=f"user{i % keys}".encode())
            producer.poll(0)
        if producer.flush(60):
            raise RuntimeError("records were not delivered")
        node.ksql(
            "CREATE STREAM visits (who VARCHAR KEY, page VARCHAR, ms INT) WITH (kafka_topic='visits', value_format='JSON');"
            "CREATE TABLE totals AS SELECT who, COUNT(*) AS n, SUM(ms) AS ms, LATEST_BY_OFFSET(page) AS page FROM visits GROUP BY who;")
        limit = time.monotonic() + 60

        def rows():
            body = json.dumps({"sql": "SELECT who FROM totals WHERE n = 3;"}).encode()
            with urllib.request.urlopen(urllib.request.Request(f"{node.url}/query-stream", body), timeout=60) as response:
                return len(response.read().splitlines()) - 1

        while rows() < keys:
            if time.monotonic() > limit:
                raise RuntimeError(f"{rows()} of {keys} rows")
            time.sleep(0.05)
        sql = "SELECT * FROM totals WHERE who = 'user%d';"
        wrk(bench, node, sql, keys, connections, 1)
        before, begin = node.cpu_seconds(), time.monotonic()
        result = wrk(bench, node, sql, keys, connections, seconds)
        cpu = node.cpu_seconds() - before
        if result["failed"]:
            raise RuntimeError(f"{result['failed']} of {result['requests']} requests failed")
        line("pull/key", result["requests"] / result["us"] * 1e6, "requests/s", ("aim", 30_000))
        line("pull/key/p99", result["p99"] / 1000, "ms", ("aim", 3))
        line("pull/key/cpu", cpu / result["requests"] * 1e6, "µs a request")
        note(
            f"{connections} connections, {time.monotonic() - begin:.0f} s, {keys} keys; p50 {result['p50'] / 1000:.2f} ms; the program used "
            f"{cpu / result['us'] * 1e6:.0%} of a core; load {os.getloadavg()[0]:.1f}")
        node.stop()


ALL = {"latency": latency, "ready": ready, "idle": idle, "memory": memory, "throughput": throughput, "pull": pull}

if __name__ == "__main__":
    if not BINARY.exists():
        sys.exit(f"no program at {BINARY}: make release")
    for name in sys.argv[1:] or ALL:
        if name not in ALL:
            sys.exit(f"no benchmark '{name}'; there are {' '.join(ALL)}")
        ALL[name]()
