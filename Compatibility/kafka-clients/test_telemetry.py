"""librdkafka reports its metrics (KIP-714) once somebody subscribes to them, and they are on the page of the SQL port (MARTLET_SERVER)."""

import os
import re
import time
import urllib.request
import uuid

import pytest
from confluent_kafka import Consumer, Producer

from test_versions import Client, subscribe, unsubscribe

SERVER = os.environ.get("MARTLET_SERVER")


def samples(family):
    """[(labels, value)] of the metrics page."""
    with urllib.request.urlopen(f"{SERVER}/metrics", timeout=20) as answer:
        page = answer.read().decode()
    return [(dict(re.findall(r'(\w+)="([^"]*)"', line)), float(line.rsplit(" ", 1)[1])) for line in page.splitlines() if line.startswith(family + "{")]


@pytest.fixture
def subscription(bootstrap):
    name = f"compat-{uuid.uuid4().hex[:12]}"
    yield lambda **settings: subscribe(bootstrap, name, **settings)
    unsubscribe(bootstrap, name)


@pytest.mark.skipif(SERVER is None, reason="MARTLET_SERVER (the address of the SQL port) is not set")
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_a_producer_and_a_consumer_report(bootstrap, make_topic, subscription, codec):
    name = f"compat-{uuid.uuid4().hex[:12]}"
    subscription(metrics="org.apache.kafka.producer.,org.apache.kafka.consumer.", interval_ms="300", match=f"client_id={name}.*,client_software_name=.*")
    topic = make_topic()
    producer = Producer({"bootstrap.servers": bootstrap, "client.id": f"{name}-producer", "enable.metrics.push": True, "compression.type": codec})
    consumer = Consumer({"bootstrap.servers": bootstrap, "client.id": f"{name}-consumer", "group.id": name, "enable.metrics.push": True})
    consumer.subscribe([topic])
    wanted = {f"{name}-producer": "kafka_client_org_apache_kafka_producer_connection_creation_total",
              f"{name}-consumer": "kafka_client_org_apache_kafka_consumer_connection_creation_total"}
    found, deadline = {}, time.time() + 60
    while wanted.keys() != found.keys():
        assert time.time() < deadline, found
        producer.produce(topic, b"v")
        producer.poll(0.1)
        consumer.poll(0.1)
        for client, family in wanted.items():
            found.update({client: labels for labels, value in samples(family) if labels["client_id"] == client and value >= 1})
    assert all(labels["client_software_name"].startswith("confluent-kafka") or labels["client_software_name"] == "librdkafka" for labels in found.values()), found
    assert len({labels["client_instance_id"] for labels in found.values()}) == 2
    producer.flush(30)
    consumer.close()


@pytest.mark.skipif(SERVER is None, reason="MARTLET_SERVER (the address of the SQL port) is not set")
def test_who_is_not_asked_says_nothing(bootstrap, make_topic, subscription):
    name = f"compat-{uuid.uuid4().hex[:12]}"
    subscription(metrics="*", interval_ms="200", match=f"client_id={name}")
    topic = make_topic()
    asked, other = (Producer({"bootstrap.servers": bootstrap, "client.id": client, "enable.metrics.push": True}) for client in (name, f"{name}-other"))
    family, deadline = "kafka_client_org_apache_kafka_producer_connection_creation_total", time.time() + 60
    while name not in (seen := {labels["client_id"] for labels, _ in samples(family)}):
        assert time.time() < deadline, seen
        for each in (asked, other):
            each.produce(topic, b"v")
            each.poll(0.1)
    assert f"{name}-other" not in seen
    for each in (asked, other):
        each.flush(30)
