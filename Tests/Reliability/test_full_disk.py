"""A disk without room: writers get errors, queries wait, nothing acknowledged is lost, and all goes on when there is room."""

import json
import os
import random
import subprocess
import time

import pytest
from conftest import Node
from test_crashes import read_all

confluent_kafka = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed: make bootstrap")


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.name != "posix" or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here: needs root")
    server = Node(disk / "data")
    yield disk, server
    if server.process and server.process.poll() is None:
        server.kill()
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_loses_nothing_and_is_waited_for(small_disk):
    disk, server = small_disk
    server.start()
    server.ksql("CREATE STREAM a (id BIGINT, v VARCHAR) WITH (kafka_topic='a', partitions=1, value_format='JSON');")
    acknowledged = []
    producer = confluent_kafka.Producer({"bootstrap.servers": server.kafka, "message.timeout.ms": 3000, "linger.ms": 20})

    def write(rows, bytes_each):
        for row in rows:
            value = json.dumps({"id": row, "v": random.randbytes(bytes_each // 2).hex()})
            producer.produce("a", value, on_delivery=lambda error, _, row=row: error or acknowledged.append(row))
        return producer.flush(30)

    write(range(600), 16_000)
    assert len(acknowledged) == 600
    # Three times as many bytes as it reads: there is no room for its results.
    server.ksql("CREATE STREAM b AS SELECT id, v + v AS w, v AS x FROM a;", **{"auto.offset.reset": "earliest"})
    time.sleep(2)
    write(range(600, 2000), 16_000)
    assert 600 <= len(acknowledged) < 2000, "the disk was never full"
    with pytest.raises(OSError):
        server.ksql("INSERT INTO a (id, v) VALUES (-1, '" + "x" * 500_000 + "');")
    states = {query["id"]: query["state"] for query in server.ksql("SHOW QUERIES;")[0]["queries"]}
    assert set(states.values()) == {"RUNNING"}

    subprocess.run(["mount", "-o", "remount,size=400m", disk], check=True)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        results = [json.loads(value)["ID"] for value in read_all(server, "B", "read_committed")]
        if len(results) >= len(acknowledged):
            break
        time.sleep(0.2)
    held = [json.loads(value)["id"] for value in read_all(server, "a", "read_committed")]
    assert set(acknowledged) <= set(held), "acknowledged rows are lost"
    assert sorted(results) == sorted(held)
    said = server.stop().splitlines()
    assert any("No space left on device" in line for line in said)
    assert len(said) < 20, "the log repeats itself"
