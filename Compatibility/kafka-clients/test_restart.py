"""Clients that live through kills of the server.

MARTLET_COMMAND is a command with {data} and {offset} in it, "martlet dev --data {data} --port-offset {offset}"; the test starts and kills it
itself. Without it the test is skipped.
"""

import itertools
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from test_confluent import assigned, consume, eventually
from test_java import FOLDER as JAVA
from test_java import classpath  # noqa: F401, a fixture

SERVER = os.environ.get("MARTLET_COMMAND", "")
FREE_OFFSET = pathlib.Path(__file__).parents[2] / "Scripts/free_offset.py"
pytestmark = pytest.mark.skipif(not SERVER, reason="MARTLET_COMMAND (a command with {data} and {offset}) is not set")


@pytest.fixture
def server(tmp_path):
    # All its ports are free, and none is of those that outgoing connections get.
    offset = int(subprocess.run([sys.executable, FREE_OFFSET], capture_output=True, text=True, check=True).stdout)
    port = 9092 + offset

    class Server:
        bootstrap = f"127.0.0.1:{port}"

        def start(self):
            with open(tmp_path / "log", "ab") as log:
                self.process = subprocess.Popen(
                    shlex.split(SERVER.format(offset=offset, data=tmp_path / "data")), stdout=log, stderr=subprocess.STDOUT)
            eventually(self.is_listening, "the server listens")

        def is_listening(self):
            assert self.process.poll() is None, (tmp_path / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return True
            except OSError:
                return False

        def kill(self):
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    made = Server()
    made.start()
    yield made
    made.kill()


def test_an_idempotent_producer_and_a_group_live_through_kills(server):
    count, topic = 100_000, "restarted"
    admin = AdminClient({"bootstrap.servers": server.bootstrap})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(30)
    failures, seen, stopping = [], set(), threading.Event()
    quiet = {"log_level": 0, "reconnect.backoff.max.ms": 200, "bootstrap.servers": server.bootstrap}

    def produce():
        producer = Producer({**quiet, "enable.idempotence": True, "linger.ms": 2})
        for i in range(count):
            while True:
                try:
                    producer.produce(topic, b"%d" % i, partition=i % 2, on_delivery=lambda e, _: failures.append(e) if e else None)
                    break
                except BufferError:
                    producer.poll(0.1)
            if i % 100 == 0:
                producer.poll(0.004)
        assert producer.flush(60) == 0

    def read():
        consumer = Consumer({**quiet, "group.id": "g", "auto.offset.reset": "earliest", "session.timeout.ms": 6000,
                             "heartbeat.interval.ms": 300, "auto.commit.interval.ms": 100})
        consumer.subscribe([topic])
        while not stopping.is_set():
            seen.update(int(m.value()) for m in consumer.consume(1000, 0.2) if not m.error())
        consumer.close()

    producing, reading = threading.Thread(target=produce), threading.Thread(target=read)
    producing.start()
    reading.start()
    for _ in range(3):
        time.sleep(1)  # the kill comes at some moment of the work, whichever
        server.kill()
        server.start()
    producing.join(120)
    assert not producing.is_alive() and failures == []
    eventually(lambda: len(seen) == count, "the group reads everything")
    stopping.set()
    reading.join(30)
    consumer = assigned(server.bootstrap, topic, 2)
    values = {0: [], 1: []}
    for message in consume(consumer, count):
        values[message.partition()].append(int(message.value()))
    consumer.close()
    assert values == {0: list(range(0, count, 2)), 1: list(range(1, count, 2))}, "nothing lost, nothing twice, in order"


def test_what_was_committed_is_there_after_a_kill(server):
    topic = "committed"
    admin = AdminClient({"bootstrap.servers": server.bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1, config={"retention.ms": "123456"})])[topic].result(30)
    producer = Producer({"bootstrap.servers": server.bootstrap, "transactional.id": "t", "log_level": 0})
    producer.init_transactions(30)
    for value in (b"a", b"b"):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.commit_transaction(30)
    producer.begin_transaction()
    producer.produce(topic, b"open")
    producer.flush(30)
    server.kill()
    server.start()
    again = Producer({"bootstrap.servers": server.bootstrap, "transactional.id": "t", "log_level": 0})
    again.init_transactions(30)
    with pytest.raises(KafkaException):
        producer.commit_transaction(30)
    consumer = assigned(server.bootstrap, topic, 1, **{"isolation.level": "read_committed"})
    assert [m.value() for m in consume(consumer, 2)] == [b"a", b"b"]
    consumer.close()


def test_what_a_share_consumer_acknowledged_outlives_a_kill(server, classpath, tmp_path):  # noqa: F811
    built = subprocess.run(["javac", "-nowarn", "-cp", classpath, "-d", tmp_path, JAVA / "Shares.java"], capture_output=True, text=True)
    if built.returncode:
        pytest.skip("the Java client is older than 4.2: it has no share consumer, or less of one")

    def share(task, count):
        command = ["java", "-cp", f"{classpath}:{tmp_path}", "Shares", server.bootstrap, task, "shared", "workers", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        return done.stdout.split()

    admin = AdminClient({"bootstrap.servers": server.bootstrap})
    admin.create_topics([NewTopic("shared", 1, 1)])["shared"].result(30)
    producer = Producer({"bootstrap.servers": server.bootstrap})
    for i in range(100):
        producer.produce("shared", b"%d" % i)
    assert producer.flush(30) == 0
    assert share("accept", 100) == ["accepted", "100"]
    server.kill()
    server.start()
    # Each with how often it was handed out: the first time is known.
    assert share("rest", 50) == ["rest", *[f"{i}/2" for i in range(1, 100, 2)]]


def test_an_application_of_kafka_streams_outlives_a_kill(server, classpath, tmp_path):  # noqa: F811
    """Its members hear UNKNOWN_MEMBER_ID and come again, with the topology that the broker no longer knows."""
    built = subprocess.run(["javac", "-nowarn", "-cp", classpath, "-d", tmp_path, JAVA / "Streams.java"], capture_output=True, text=True)
    if built.returncode:
        pytest.skip("the Java client is older than 4.2: it knows no streams groups, or other ones")
    command = ["java", "-cp", f"{classpath}:{tmp_path}", "Streams", server.bootstrap, "outlive"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        said = list(itertools.takewhile(lambda line: line != "ready\n", running.stdout))
        assert running.poll() is None, said
        server.kill()
        server.start()
        rest, _ = running.communicate("on\n", timeout=180)
        assert running.returncode == 0, rest
