"""Limits and quotas as clients meet them: connections, their rate, sizes of groups, bytes a second; and what /metrics tells of it.

Limits of connections concern everybody, so each test has a server of its own: MARTLET_COMMAND as in test_restart.py.
"""

import contextlib
import os
import pathlib
import shlex
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from test_confluent import eventually
from test_versions import Client, subscribe
from test_wire import is_alive, is_closed

SERVER = os.environ.get("MARTLET_COMMAND", "")
FREE_OFFSET = pathlib.Path(__file__).parents[2] / "Scripts/free_offset.py"
pytestmark = pytest.mark.skipif(not SERVER, reason="MARTLET_COMMAND (a command with {data} and {offset}) is not set")


class Server:
    def __init__(self, folder, settings):
        offset = int(subprocess.run([sys.executable, FREE_OFFSET], capture_output=True, text=True, check=True).stdout)
        self.port, self.metrics_url = 9092 + offset, f"http://127.0.0.1:{8088 + offset}/metrics"
        self.bootstrap, self.log = f"127.0.0.1:{self.port}", folder / "log"
        command = shlex.split(SERVER.format(offset=offset, data=folder / "data"))
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        eventually(self.is_ready, "the server is ready")
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def is_ready(self):
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            urllib.request.urlopen(self.metrics_url, timeout=1).close()
            return True
        return False

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def set(self, **settings):
        entries = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()]
        resource = ConfigResource(ResourceType.BROKER, "1", incremental_configs=entries)
        self.admin.incremental_alter_configs([resource])[resource].result(30)

    def metric(self, name, **labels):
        """The value of a series; None if it is not there."""
        text = self.page()
        wanted = name + ("{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else "")
        found = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.rsplit(" ", 1)[0] == wanted]
        return float(found[0]) if found else None

    def page(self, accept="text/plain"):
        return urllib.request.urlopen(urllib.request.Request(self.metrics_url, headers={"Accept": accept}), timeout=10).read().decode()

    def open_connections(self):
        return int(self.metric("martlet_kafka_connections", listener=f"PLAINTEXT://127.0.0.1:{self.port}"))

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def serve(tmp_path):
    """serve(**settings) -> Server; dots of names as underscores."""
    made = []

    def start(**settings):
        made.append(Server(tmp_path, {name.replace("_", "."): value for name, value in settings.items()}))
        return made[-1]

    yield start
    for server in made:
        server.stop()


def test_connections_of_an_address(serve):
    server = serve()
    server.set(max_connections_per_ip="1000")
    open_now = server.open_connections()
    # The admin client may have one or two.
    server.set(max_connections_per_ip_overrides=f"10.1.2.3:0,127.0.0.1:{open_now + 2}")
    first, second, third = server.connect(), server.connect(), server.connect()
    assert is_alive(first) and is_alive(second) and is_closed(third)
    assert server.metric("martlet_kafka_connections_refused_total", limit="max.connections.per.ip") == 1
    first.close()
    eventually(lambda: server.open_connections() == open_now + 1, "the closed connection is counted out")
    assert is_alive(server.connect())
    with pytest.raises(KafkaException) as refused:
        server.set(max_connections_per_ip_overrides="10.1.2.3")
    assert refused.value.args[0].code() == KafkaError.INVALID_REQUEST


def test_new_connections_wait_for_their_turn(serve):
    server = serve(quota_window_num="2")
    server.set(max_connection_creation_rate="5")
    began = time.monotonic()
    opened = [server.connect() for _ in range(9)]
    assert all(is_alive(one) for one in opened)
    # Five at once and five a second.
    assert 0.5 < time.monotonic() - began < 5
    assert server.metric("martlet_kafka_connections_refused_total", limit="max.connection.creation.rate") == 0


def test_the_rate_of_an_address(serve):
    server = serve(quota_window_num="2")
    client = Client(server.bootstrap)

    def alter(name, rate):
        entry = {"entity": [{"entity_type": "ip", "entity_name": name}], "ops": [{"key": "connection_creation_rate", "value": rate, "remove": False}]}
        return client.send("AlterClientQuotas", 1, entries=[entry], validate_only=False).entries[0].error_code

    assert alter("127.0.0.1", 2.0) == 0 and alter(None, 100.0) == 0
    assert alter("no.address", 2.0) == 42, "INVALID_REQUEST"
    opened = [server.connect() for _ in range(2)]
    assert all(is_alive(one) for one in opened)
    began = time.monotonic()
    assert is_closed(server.connect()) and time.monotonic() - began > 0.3, "whoever is refused is to come back later"
    assert is_alive(server.connect())
    described = client.send(
        "DescribeClientQuotas", 1, components=[{"entity_type": "ip", "match_type": 0, "match": "127.0.0.1"}], strict=True)
    assert [(one.key, one.value) for one in described.entries[0].values] == [("connection_creation_rate", 2.0)]
    assert server.metric("martlet_kafka_connections_refused_total", limit="connection_creation_rate") == 1


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_is_full(serve, protocol):
    server = serve(group_max_size="1", group_consumer_max_size="1")
    server.admin.create_topics([NewTopic("t", 2, 1)])["t"].result(30)

    def consumer():
        errors = []
        made = Consumer({
            "bootstrap.servers": server.bootstrap, "group.id": "g", "group.protocol": protocol, "error_cb": errors.append, "log_level": 0})
        made.subscribe(["t"])
        return made, errors

    first, _ = consumer()
    eventually(lambda: first.poll(0.1) is None and len(first.assignment()) == 2, "the first member reads both partitions")
    second, errors = consumer()

    def is_refused():
        first.poll(0.05)
        message = second.poll(0.05)
        # In the newer protocol the client calls it fatal, and the broker's error its reason.
        told = errors + ([message.error()] if message is not None and message.error() else [])
        return any("group has reached maximum size" in one.str() for one in told)

    eventually(is_refused, "the second member hears that the group is full")
    assert len(first.assignment()) == 2 and second.assignment() == []
    assert server.metric("martlet_group_members", group="g", type=protocol) == 1
    api = "JoinGroup" if protocol == "classic" else "ConsumerGroupHeartbeat"
    assert server.metric("martlet_kafka_request_errors_total", api=api, error="GROUP_MAX_SIZE_REACHED") >= 1
    first.close()
    second.close()


def test_a_producer_is_slowed_down(serve):
    server = serve(quota_window_num="2")
    client = Client(server.bootstrap)
    entry = {"entity": [{"entity_type": "client-id", "entity_name": "slow"}], "ops": [{"key": "producer_byte_rate", "value": 50_000.0, "remove": False}]}
    assert client.send("AlterClientQuotas", 1, entries=[entry], validate_only=False).entries[0].error_code == 0
    throttled = []
    producer = Producer({"bootstrap.servers": server.bootstrap, "client.id": "slow", "throttle_cb": throttled.append, "linger.ms": 0})
    began = time.monotonic()
    for _ in range(15):
        producer.produce("t", os.urandom(10_000))
        producer.flush(30)
    assert time.monotonic() - began > 1, "150 kB at 50 kB a second, 50 kB of which at once"
    assert max(event.throttle_time for event in throttled) > 0
    assert server.metric("martlet_kafka_throttled_total", quota="producer_byte_rate") >= 1
    assert server.metric("martlet_kafka_throttle_seconds_total", quota="producer_byte_rate") > 0.5


def test_metrics_tell_what_was_done(serve):
    server = serve()
    server.admin.create_topics([NewTopic("t", 1, 1)])["t"].result(30)
    producer = Producer({"bootstrap.servers": server.bootstrap})
    for i in range(1000):
        producer.produce("t", b"%d" % i)
    assert producer.flush(30) == 0
    reader = Consumer({"bootstrap.servers": server.bootstrap, "group.id": "g", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    reader.subscribe(["t"])
    seen = []
    while len(seen) < 400:
        seen += reader.consume(400 - len(seen), 10)
    reader.commit(seen[-1], asynchronous=False)
    assert server.metric("martlet_topic_in_records_total", topic="t") == 1000
    assert server.metric("martlet_topic_out_records_total", topic="t") >= 400
    assert server.metric("martlet_group_lag_records", group="g", topic="t", partition="0") == 600
    assert server.metric("martlet_groups", type="classic", state="Stable") == 1
    assert server.metric("martlet_kafka_request_seconds_count", api="OffsetCommit") == 1
    assert server.metric("martlet_partition_high_watermark", topic="t", partition="0") == 1000
    assert server.metric("martlet_log_sync_records_sum") >= 1000
    reader.close()
    eventually(lambda: server.metric("martlet_group_members", group="g", type="classic") == 0, "the member has left")


def test_what_clients_report_is_there(serve):
    """KIP-714: librdkafka pushes what a subscription asks for, and the page with it is still one that Prometheus reads."""
    server = serve()
    subscribe(server.bootstrap, "all", metrics="*", interval_ms="200")
    producer = Producer({"bootstrap.servers": server.bootstrap, "client.id": "a \"reporter\""})
    producer.produce("t", b"x")
    assert producer.flush(30) == 0
    label = r'client_id="a \"reporter\""'

    def reported():
        producer.poll(0.05)
        return [line for line in server.page().splitlines() if line.startswith("kafka_client_") and label in line]

    eventually(lambda: reported(), "the producer's metrics are there")
    for accept in ["text/plain", "application/openmetrics-text"]:
        lines = server.page(accept).splitlines()
        types = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
        assert sorted(types) == sorted(set(types)), "a family is named once"
        series = [line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")]
        assert len(series) == len(set(series)), "a series is told once"
        assert (lines[-1] == "# EOF") == (accept != "text/plain")
