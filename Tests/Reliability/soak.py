"""Clients of all kinds against one node that is killed every minute, and then: is everything there that was acknowledged, once, in order?

    soak.py --minutes 10 [--kill-every 60] [--rate 300]

Producers: confluent-kafka, kafka-python, aiokafka, each idempotent, into "plain", every few seconds with another codec. Two transactional workers
copy "plain" to "copy", record by record exactly once, aborting now and then; one of them is a member by KIP-848. Two groups read "plain" and rebalance all
the time: one of the classic protocol with members of all three clients, one of KIP-848. Where there are a JDK and the Java client, a share group works on
"plain" too: its members accept, release, leave and are killed. "table" is compacted. At the end "plain", "copy", "table", what the groups have read and what the share group has accepted are compared with what was acknowledged. Exits with 1 if anything is
lost, doubled or out of order, or if the node's memory has grown.
"""

import argparse
import asyncio
import collections
import faulthandler
import logging
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import aiokafka
import aiokafka.codec
import confluent_kafka
import kafka
import kafka.codec
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from conftest import BINARY, ROOT, Node

PARTITIONS = 3
GROUPS = ("readers", "members")
# Those that every client can read here.
CODECS = ["none"] + [
    codec for codec in ("gzip", "snappy", "lz4", "zstd") if all(getattr(module, f"has_{codec}")() for module in (kafka.codec, aiokafka.codec))]


class Soak:
    def __init__(self, node, rate):
        self.node, self.rate = node, rate
        self.writing, self.running = True, True
        self.acknowledged = collections.defaultdict(set)
        self.sent = collections.Counter()
        # By group and partition.
        self.read = collections.defaultdict(lambda: collections.defaultdict(set))
        self.notes = collections.Counter()
        self.table, self.table_sent = {}, {}
        # How often the acceptance of a value was answered to a member of the share group.
        self.accepted = collections.Counter()
        # Acceptances whose answer nobody heard: they may be in force.
        self.accepting = collections.Counter()
        self.classpath = None
        self.threads = []

    def start(self, name, work):
        """Runs `work(name)` again and again until it says that it is done; an error is counted, and the client made anew."""

        def run():
            while self.running:
                try:
                    if work(name):
                        return
                except Exception as error:
                    self.notes[f"{name.split('-')[0]}: {type(error).__name__}"] += 1
                    if os.environ.get("SOAK_DEBUG"):
                        traceback.print_exc()
                    time.sleep(0.2)

        self.threads.append(threading.Thread(target=run, name=name, daemon=True))
        self.threads[-1].start()

    def numbers(self, name):
        """The next values of a producer, at the rate that was asked for, for some seconds: the next producer has another codec."""
        began, done = time.monotonic(), 0
        until = began + random.uniform(5, 20)
        while self.writing and time.monotonic() < until:
            if done > (time.monotonic() - began) * self.rate:
                time.sleep(0.005)
                yield None
                continue
            number = self.sent[name]
            self.sent[name] += 1
            done += 1
            yield number

    # Producers

    def librdkafka(self, **more):
        # librdkafka 2.16 with its "rebootstrap" forgets the only broker when it is down, and then waits for ever to send it TxnOffsetCommit.
        return {
            "bootstrap.servers": self.node.kafka, "log_level": 0, "reconnect.backoff.max.ms": 500, "metadata.recovery.strategy": "none", **more}

    def confluent_producer(self, name):
        producer = confluent_kafka.Producer(self.librdkafka(**{
            "enable.idempotence": True, "linger.ms": 5, "compression.type": random.choice(CODECS)}))
        for number in self.numbers(name):
            if number is None:
                producer.poll(0)
                continue

            def delivered(error, _, number=number):
                if error is None:
                    self.acknowledged[name].add(number)
                else:
                    self.notes[f"confluent delivery: {error.name()}"] += 1

            while True:
                try:
                    producer.produce("plain", f"{name}:{number}", partition=number % PARTITIONS, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
        # Else those of the next producer might come before.
        while producer.flush(10):
            pass
        return not self.writing

    def kafka_python_producer(self, name):
        codec = random.choice(CODECS)
        producer = kafka.KafkaProducer(
            bootstrap_servers=self.node.kafka, enable_idempotence=True, linger_ms=5, compression_type=None if codec == "none" else codec)
        try:
            for number in self.numbers(name):
                if number is None:
                    continue
                sent = producer.send("plain", f"{name}:{number}".encode(), partition=number % PARTITIONS)
                sent.add_callback(lambda _, number=number: self.acknowledged[name].add(number))
                sent.add_errback(lambda error: self.notes.update([f"kafka-python delivery: {type(error).__name__}"]))
            producer.flush(60)
            return not self.writing
        finally:
            producer.close(timeout=10)

    def aiokafka_producer(self, name):
        async def run():
            codec = random.choice(CODECS)
            producer = aiokafka.AIOKafkaProducer(
                bootstrap_servers=self.node.kafka, enable_idempotence=True, linger_ms=5, request_timeout_ms=20_000,
                compression_type=None if codec == "none" else codec)
            await producer.start()
            try:
                waiting = []
                for number in self.numbers(name):
                    if number is None:
                        await asyncio.sleep(0.005)
                        continue
                    future = await producer.send("plain", f"{name}:{number}".encode(), partition=number % PARTITIONS)
                    waiting.append((number, future))
                    while waiting and (waiting[0][1].done() or len(waiting) > 2000):
                        first, future = waiting.pop(0)
                        await future
                        self.acknowledged[name].add(first)
                for number, future in waiting:
                    await future
                    self.acknowledged[name].add(number)
            finally:
                await producer.stop()

        asyncio.run(run())
        return not self.writing

    def table_writer(self, name):
        producer = confluent_kafka.Producer(self.librdkafka(**{"enable.idempotence": True, "linger.ms": 5, "compression.type": random.choice(CODECS)}))
        for number in self.numbers(name):
            if number is None or number % 5:
                producer.poll(0)
                continue
            key = f"k{random.randrange(100)}"
            self.table_sent[key] = number

            def delivered(error, _, key=key, number=number):
                if error is None:
                    self.table[key] = max(number, self.table.get(key, -1))

            producer.produce("table", str(number).encode() + b"x" * 200, key=key, on_delivery=delivered)
        while producer.flush(10):
            pass
        return not self.writing

    # Readers

    def worker(self, name):
        """Copies "plain" to "copy", exactly once, until it has caught up with the writers."""
        # Members of both protocols in one group: it goes over to KIP-848 and back while they come and go.
        session = {"group.protocol": "consumer"} if name == "worker-1" else {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}
        consumer = confluent_kafka.Consumer(self.librdkafka(**{
            "group.id": "workers", "auto.offset.reset": "earliest", "enable.auto.commit": False, "isolation.level": "read_committed", **session}))
        producer = confluent_kafka.Producer(self.librdkafka(**{"transactional.id": name, "transaction.timeout.ms": 20_000, "linger.ms": 2}))
        try:
            producer.init_transactions(30)
            consumer.subscribe(["plain"])
            idle = 0
            while self.running:
                messages = [message for message in consumer.consume(200, 0.5) if not message.error()]
                if not messages:
                    idle += 1
                    if not self.writing and idle > 20 and self.is_copied(consumer):
                        return True
                    continue
                idle = 0
                producer.begin_transaction()
                positions = {}
                for message in messages:
                    producer.produce("copy", message.value(), partition=message.partition())
                    positions[message.partition()] = message.offset() + 1
                producer.send_offsets_to_transaction(
                    [confluent_kafka.TopicPartition("plain", partition, offset) for partition, offset in positions.items()],
                    consumer.consumer_group_metadata(), 20)
                if random.random() < 0.02:
                    producer.abort_transaction(20)
                    self.notes["transactions aborted"] += 1
                    return False  # begins anew from what is committed
                producer.commit_transaction(20)
                self.notes["transactions committed"] += 1
        finally:
            consumer.close()

    def is_copied(self, consumer):
        partitions = [confluent_kafka.TopicPartition("plain", partition) for partition in range(PARTITIONS)]
        for committed in consumer.committed(partitions, 10):
            if committed.offset < consumer.get_watermark_offsets(committed, 10)[1]:
                return False
        return True

    def confluent_reader(self, name):
        self.confluent_read("readers", {"partition.assignment.strategy": "range", "session.timeout.ms": 6000, "heartbeat.interval.ms": 500})

    def member_reader(self, name):
        """KIP-848: the node assigns."""
        self.confluent_read("members", {"group.protocol": "consumer"})

    def confluent_read(self, group, more):
        consumer = confluent_kafka.Consumer(self.librdkafka(**{
            "group.id": group, "auto.offset.reset": "earliest", "auto.commit.interval.ms": 500, **more}))
        try:
            consumer.subscribe(["plain"])
            until = time.monotonic() + random.uniform(10, 40)
            while self.running and time.monotonic() < until:
                for message in consumer.consume(500, 0.5):
                    if not message.error():
                        self.read[group][message.partition()].add(message.value())
        finally:
            consumer.close()

    def kafka_python_reader(self, name):
        consumer = kafka.KafkaConsumer(
            "plain", bootstrap_servers=self.node.kafka, group_id="readers", auto_offset_reset="earliest", auto_commit_interval_ms=500,
            session_timeout_ms=6000, heartbeat_interval_ms=500, partition_assignment_strategy=[kafka.coordinator.assignors.range.RangePartitionAssignor])
        try:
            until = time.monotonic() + random.uniform(10, 40)
            while self.running and time.monotonic() < until:
                for partition, messages in consumer.poll(500).items():
                    self.read["readers"][partition.partition].update(message.value for message in messages)
        finally:
            consumer.close()

    def aiokafka_reader(self, name):
        async def run():
            from aiokafka.coordinator.assignors.range import RangePartitionAssignor

            consumer = aiokafka.AIOKafkaConsumer(
                "plain", bootstrap_servers=self.node.kafka, group_id="readers", auto_offset_reset="earliest", auto_commit_interval_ms=500,
                session_timeout_ms=6000, heartbeat_interval_ms=500, partition_assignment_strategy=(RangePartitionAssignor,))
            await consumer.start()
            try:
                until = time.monotonic() + random.uniform(10, 40)
                while self.running and time.monotonic() < until:
                    for partition, messages in (await consumer.getmany(timeout_ms=500)).items():
                        self.read["readers"][partition.partition].update(message.value for message in messages)
            finally:
                await consumer.stop()

        asyncio.run(run())

    # A share group

    def prepare_sharers(self, directory):
        """Whether there is what it needs."""
        fetch = ROOT / "Compatibility/kafka-clients/java/fetch.sh"
        if shutil.which("javac") is None:
            return False
        fetched = subprocess.run([fetch], capture_output=True, text=True)
        if fetched.returncode:
            return False
        jars = fetched.stdout.strip()
        subprocess.run(["javac", "-nowarn", "-cp", jars, "-d", directory, pathlib.Path(__file__).with_name("ShareWorker.java")], check=True)
        self.classpath = f"{jars}:{directory}"
        admin = AdminClient(self.librdkafka())
        changes = [("share.auto.offset.reset", "earliest"), ("share.delivery.count.limit", "10"), ("share.record.lock.duration.ms", "15000")]
        resource = ConfigResource(ConfigResource.Type.GROUP, "sharers", incremental_configs=[
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in changes])
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(30)
        return True

    def sharer(self, name):
        """A process that may be killed with what it was handed."""
        seconds = random.randrange(10, 30)
        process = subprocess.Popen(
            ["java", "-Xmx64m", "-cp", self.classpath, "ShareWorker", self.node.kafka, "sharers", "plain", str(seconds)], stdout=subprocess.PIPE, text=True)
        killer = threading.Timer(random.uniform(5, seconds), process.kill)
        if random.random() < 0.5:
            killer.start()
        try:
            for line in process.stdout:
                word, _, value = line.strip().partition(" ")
                # A line that is cut off, of one that was killed, is no answer that anybody has.
                if not line.endswith("\n"):
                    continue
                if word == "accepting":
                    self.accepting[value.encode()] += 1
                elif word in ("accepted", "refused"):
                    self.accepting[value.encode()] -= 1
                    self.accepted[value.encode()] += word == "accepted"
                elif word == "error":
                    self.notes[f"sharer: {value}"] += 1
                if not self.running:
                    break
        finally:
            killer.cancel()
            process.kill()
            process.wait()

    def is_taken(self, value):
        return self.accepted[value] > 0 or self.accepting[value] > 0

    # The end

    def all_values(self, topic):
        """Everything that a read_committed reader sees, by partition."""
        consumer = confluent_kafka.Consumer(self.librdkafka(**{
            "group.id": "checker", "enable.auto.commit": False, "isolation.level": "read_committed", "enable.partition.eof": True}))
        partitions = range(PARTITIONS) if topic != "table" else range(1)
        consumer.assign([confluent_kafka.TopicPartition(topic, partition, 0) for partition in partitions])
        found, ended = {partition: [] for partition in partitions}, set()
        while len(ended) < len(found):
            for message in consumer.consume(10_000, 1):
                if not message.error():
                    found[message.partition()].append((message.key(), message.value()))
                elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
                else:
                    raise confluent_kafka.KafkaException(message.error())
        consumer.close()
        return found

    def check(self):
        wrong = []
        plain, copy = self.all_values("plain"), self.all_values("copy")
        for partition, records in plain.items():
            values = [value for _, value in records]
            if len(set(values)) != len(values):
                wrong.append(f"plain-{partition}: {len(values) - len(set(values))} values are doubled")
            latest = {}
            for value in values:
                name, number = value.decode().split(":")
                if int(number) <= latest.get(name, -1):
                    wrong.append(f"plain-{partition}: {value} after {latest[name]}")
                    break
                latest[name] = int(number)
            copied = collections.Counter(value for _, value in copy[partition])
            if copied != collections.Counter(values):
                missing, extra = collections.Counter(values) - copied, copied - collections.Counter(values)
                wrong.append(f"copy-{partition}: {missing.total()} missing, {extra.total()} too many, e.g. {list(missing)[:3]} {list(extra)[:3]}")
            for group in GROUPS:
                unread = set(values) - self.read[group][partition]
                if unread:
                    wrong.append(f"the group {group} never read {len(unread)} values of plain-{partition}, e.g. {sorted(unread)[:3]}")
            if self.classpath:
                missing = [value for value in values if not self.is_taken(value)]
                twice = [value for value in values if self.accepted[value] > 1]
                if missing:
                    wrong.append(f"the share group never accepted {len(missing)} values of plain-{partition}, e.g. {sorted(missing)[:3]}")
                if twice:
                    wrong.append(f"the share group accepted {len(twice)} values of plain-{partition} more than once, e.g. {sorted(twice)[:3]}")
        held = {value.decode() for records in plain.values() for _, value in records}
        for name, numbers in self.acknowledged.items():
            lost = [number for number in numbers if f"{name}:{number}" not in held]
            if lost:
                wrong.append(f"{name}: {len(lost)} acknowledged values are lost, e.g. {sorted(lost)[:3]}")
        table = {}
        for key, value in self.all_values("table")[0]:
            table[key.decode()] = int(value.rstrip(b"x"))
        for key, number in self.table.items():
            if not number <= table.get(key, -1) <= self.table_sent[key]:
                wrong.append(f"table: {key} is {table.get(key)}, acknowledged was {number}")
        return wrong, {topic: sum(map(len, found.values())) for topic, found in [("plain", plain), ("copy", copy)]}


def memory_mb(process):
    try:
        with open(f"/proc/{process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0


def main():
    faulthandler.register(signal.SIGUSR1)  # kill -USR1: where every client stands
    logging.disable(logging.ERROR)  # the clients' own complaints about kills
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--minutes", type=float, default=10)
    arguments.add_argument("--kill-every", type=float, default=60)
    arguments.add_argument("--rate", type=float, default=300)
    options = arguments.parse_args()
    if not BINARY.exists():
        sys.exit(f"no program at {BINARY}: make release")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="martlet-soak-"))
    node = Node(directory / "data")
    node.start()
    admin = AdminClient({"bootstrap.servers": node.kafka, "log_level": 0})
    small = {"segment.bytes": "1000000"}
    for future in admin.create_topics([
        NewTopic("plain", PARTITIONS, 1, config=small), NewTopic("copy", PARTITIONS, 1, config=small),
        NewTopic("table", 1, 1, config={"cleanup.policy": "compact", "segment.bytes": "100000", "min.cleanable.dirty.ratio": "0.1"})]).values():
        future.result(30)
    soak = Soak(node, options.rate)
    soak.start("confluent", soak.confluent_producer)
    soak.start("kafkapython", soak.kafka_python_producer)
    soak.start("aiokafka", soak.aiokafka_producer)
    soak.start("table", soak.table_writer)
    for i in range(2):
        soak.start(f"worker-{i}", soak.worker)
    soak.start("reader-confluent", soak.confluent_reader)
    soak.start("reader-kafkapython", soak.kafka_python_reader)
    soak.start("reader-aiokafka", soak.aiokafka_reader)
    for i in range(2):
        soak.start(f"reader-member-{i}", soak.member_reader)
    if soak.prepare_sharers(directory):
        for i in range(2):
            soak.start(f"reader-sharer-{i}", soak.sharer)
    else:
        print("no share group: there is no JDK, or no Java client", flush=True)

    began, kills, peaks, peak = time.monotonic(), 0, [], 0
    next_kill, end = began + options.kill_every, began + options.minutes * 60
    while time.monotonic() < end:
        time.sleep(0.5)
        peak = max(peak, memory_mb(node.process))
        if time.monotonic() >= next_kill and time.monotonic() + 15 < end:
            node.kill()
            stopped = time.monotonic()
            node.start()
            kills += 1
            peaks.append(peak)
            print(
                f"{time.monotonic() - began:5.0f} s: killed, back after {time.monotonic() - stopped:.2f} s; memory was {peak:.0f} MB; acknowledged "
                f"{sum(map(len, soak.acknowledged.values()))}, {dict(soak.notes)}", flush=True)
            peak, next_kill = 0, next_kill + options.kill_every
    peaks.append(peak)
    soak.writing = False
    print("writers stop; workers and readers catch up", flush=True)
    deadline = time.monotonic() + 180
    for thread in soak.threads:
        if not thread.name.startswith("reader"):
            thread.join(max(0, deadline - time.monotonic()))
    late = [thread.name for thread in soak.threads if not thread.name.startswith("reader") and thread.is_alive()]
    while time.monotonic() < deadline:
        values = {value for records in soak.all_values("plain").values() for _, value in records}
        unread = sum(len(values - set().union(*soak.read[group].values())) for group in GROUPS)
        if soak.classpath:
            unread += sum(not soak.is_taken(value) for value in values)
        if not unread:
            break
        print(f"{unread} values are not read yet", flush=True)
        time.sleep(5)
    soak.running = False
    wrong, counts = soak.check()
    if late:
        wrong.append(f"did not finish: {late}")
    # The first life is warmed up after half of it; later ones should need no more than it did.
    if len(peaks) > 2 and max(peaks[1:]) > 1.5 * peaks[0] + 20:
        wrong.append(f"memory grew: {[round(one) for one in peaks]} MB")
    print(
        f"{options.minutes:g} minutes, {kills} kills; acknowledged {sum(map(len, soak.acknowledged.values()))} of {sum(count for name, count in soak.sent.items() if name != 'table')} sent; "
        f"records {counts}; accepted by sharers {soak.accepted.total()}, in doubt {sum(count > 0 for count in soak.accepting.values())}; {dict(soak.notes)}; memory of each life {[round(one) for one in peaks]} MB")
    node.stop()
    for line in wrong:
        print("WRONG", line)
    if wrong:
        print(f"data is kept in {directory}")
        sys.exit(1)
    shutil.rmtree(directory)
    print("nothing lost, nothing doubled, all in order")


main()
