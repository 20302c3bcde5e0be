"""kcat 1.7 on Debian's librdkafka 2.0.2: the client of people in a hurry."""

import json
import shutil
import time

import pytest

from conftest import CODECS

pytestmark = pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")


def test_lists_the_cluster_and_its_topics(kcat, make_topic):
    topic = make_topic(partitions=3)
    listing = json.loads(kcat("-L", "-J"))
    assert [broker["id"] for broker in listing["brokers"]] == [1]
    mine = next(t for t in listing["topics"] if t["topic"] == topic)
    assert [(p["partition"], p["leader"]) for p in mine["partitions"]] == [(0, 1), (1, 1), (2, 1)]


@pytest.mark.parametrize("codec", CODECS)
def test_produces_and_consumes(kcat, make_topic, codec):
    topic = make_topic()
    lines = [f"k{i}:value number {i} {'x' * (i % 50)}" for i in range(2000)]
    kcat("-P", "-t", topic, "-K:", "-z", codec, input="\n".join(lines).encode())
    read = kcat("-C", "-t", topic, "-K:", "-o", "beginning", "-e", "-q").decode().splitlines()
    assert read == lines


def test_creates_a_topic_on_first_use(kcat, admin):
    topic = f"compat-auto-{time.time_ns()}"
    kcat("-P", "-t", topic, input=b"hello")
    assert kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q") == b"hello\n"
    admin.delete_topics([topic])[topic].result(30)


def test_null_values_and_headers(kcat, make_topic):
    topic = make_topic()
    kcat("-P", "-t", topic, "-K:", "-Z", "-H", "a=1", "-H", "b=two", input=b"gone:\nkept:v")
    read = [json.loads(line) for line in kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J").splitlines()]
    assert [(r["key"], r["payload"]) for r in read] == [("gone", None), ("kept", "v")]
    assert read[0]["headers"] == ["a", "1", "b", "two"]


def test_offsets_from_the_end_and_by_time(kcat, make_topic):
    topic = make_topic()
    kcat("-P", "-t", topic, input=b"\n".join(b"%d" % i for i in range(100)))
    assert kcat("-C", "-t", topic, "-o", "-3", "-e", "-q").split() == [b"97", b"98", b"99"]
    assert kcat("-C", "-t", topic, "-o", "42", "-c", "1", "-q").split() == [b"42"]
    time.sleep(0.02)  # so that the next record has a later timestamp
    then = int(time.time() * 1000)
    kcat("-P", "-t", topic, input=b"late")
    assert kcat("-C", "-t", topic, "-o", f"s@{then}", "-e", "-q") == b"late\n"
    assert kcat("-Q", "-t", f"{topic}:0:{then}").split()[-1] == b"100"


def test_consumes_in_a_group_and_resumes(kcat, make_topic, group_id):
    topic = make_topic(partitions=2)
    kcat("-P", "-t", topic, "-p", "0", input=b"a\nb")
    kcat("-P", "-t", topic, "-p", "1", input=b"c")
    first = kcat("-G", group_id, "-X", "auto.offset.reset=earliest", "-c", "3", "-q", topic)
    assert sorted(first.split()) == [b"a", b"b", b"c"]
    kcat("-P", "-t", topic, "-p", "1", input=b"d")
    assert kcat("-G", group_id, "-X", "auto.offset.reset=earliest", "-c", "1", "-q", topic) == b"d\n"


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_every_kind_of_acknowledgement(kcat, make_topic, acks):
    topic = make_topic()
    kcat("-P", "-t", topic, "-X", f"acks={acks}", input=b"1\n2\n3")
    deadline = time.time() + 10
    while (read := kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q").split()) != [b"1", b"2", b"3"]:
        assert time.time() < deadline, read


def test_idempotent_producer(kcat, make_topic):
    topic = make_topic()
    lines = b"\n".join(b"%d" % i for i in range(5000))
    kcat("-P", "-t", topic, "-X", "enable.idempotence=true", "-X", "linger.ms=1", input=lines)
    assert kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q").strip() == lines
