"""What concerns the whole node, so each test has one of its own (MARTLET_COMMAND, as in test_restart.py): levels of its loggers, what it wants to know of clients."""

import socket
import struct

from test_restart import pytestmark, server  # noqa: F401
from test_versions import BROKER_LOGGER, CLIENT_METRICS, DELETE, SET, Client, alter


def describe(server, kind, name):  # noqa: F811
    client = Client(server.bootstrap)
    answer = client.send("DescribeConfigs", resources=[{"resource_type": kind, "resource_name": name, "configuration_keys": None}])
    client.socket.close()
    return {one.name: one.value for one in answer.results[0].configs}


def provoke(server):  # noqa: F811
    """A frame of negative size: the node ends the connection, and warns of it before."""
    host, port = server.bootstrap.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(struct.pack(">i", -5))
        assert connection.recv(1) == b""


def test_levels_of_loggers_are_in_force_at_once_and_until_the_end(server, tmp_path):  # noqa: F811
    def warnings():
        return [line for line in (tmp_path / "log").read_text().splitlines() if "connection closed" in line]

    before = len(warnings())
    provoke(server)
    assert len(warnings()) == before + 1 and "martlet.kafka" in warnings()[-1]
    levels = describe(server, BROKER_LOGGER, "1")
    assert set(levels.values()) == {"WARN"} and {"root", "martlet", "martlet.log", "martlet.kafka", "martlet.groups", "martlet.engine", "martlet.http"} <= set(levels)
    assert alter(server.bootstrap, BROKER_LOGGER, "1", ("martlet.kafka", SET, "ERROR")) == 0
    provoke(server)
    assert len(warnings()) == before + 1
    assert alter(server.bootstrap, BROKER_LOGGER, "1", ("root", SET, "ERROR"), ("martlet.kafka", SET, "WARN")) == 0
    provoke(server)
    assert len(warnings()) == before + 2
    assert alter(server.bootstrap, BROKER_LOGGER, "1", ("martlet.kafka", DELETE, None)) == 0
    provoke(server)
    assert len(warnings()) == before + 2 and describe(server, BROKER_LOGGER, "1")["martlet.kafka"] == "ERROR"
    assert alter(server.bootstrap, BROKER_LOGGER, "1", ("no.such.logger", SET, "INFO")) == 40, "INVALID_CONFIG"
    server.kill()
    server.start()
    assert set(describe(server, BROKER_LOGGER, "1").values()) == {"WARN"}


def test_subscriptions_to_client_metrics_live_through_a_kill(server):  # noqa: F811
    def listed():
        client = Client(server.bootstrap)
        answer = client.send("ListConfigResources", resource_types=[CLIENT_METRICS])
        client.socket.close()
        return [one.resource_name for one in answer.config_resources]

    assert alter(server.bootstrap, CLIENT_METRICS, "one", ("metrics", SET, "org.apache.kafka."), ("interval.ms", SET, "5000")) == 0
    assert alter(server.bootstrap, CLIENT_METRICS, "two", ("match", SET, "client_id=a.*")) == 0
    assert alter(server.bootstrap, CLIENT_METRICS, "two", ("interval.ms", SET, "1")) == 40, "INVALID_CONFIG"
    server.kill()
    server.start()
    assert listed() == ["one", "two"]
    assert describe(server, CLIENT_METRICS, "one") == {"interval.ms": "5000", "match": "", "metrics": "org.apache.kafka."}
    assert alter(server.bootstrap, CLIENT_METRICS, "two", ("match", DELETE, None)) == 0
    assert listed() == ["one"]


def test_nobody_is_asked_for_metrics_without_a_subscription(server):  # noqa: F811
    def asks():
        client = Client(server.bootstrap)
        client.socket.close()
        return {71, 72} <= client.spoken.keys()

    assert not asks()
    assert alter(server.bootstrap, CLIENT_METRICS, "all", ("metrics", SET, "*")) == 0
    assert asks()
    assert alter(server.bootstrap, CLIENT_METRICS, "all", ("metrics", DELETE, None)) == 0
    assert not asks()
