"""kcat 1.7 on Debian's librdkafka 2.0.2: the client of people in a hurry."""

import itertools
import json
import shutil
import subprocess
import threading
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


def test_lists_one_topic_and_one_that_is_not_there(kcat, make_topic):
    topic = make_topic(partitions=2)
    mine, = json.loads(kcat("-L", "-J", "-t", topic))["topics"]
    assert (mine["topic"], len(mine["partitions"])) == (topic, 2)
    words = kcat("-L", "-t", topic).decode()
    assert f'topic "{topic}" with 2 partitions' in words and "partition 1, leader 1, replicas: 1, isrs: 1" in words
    unknown, = json.loads(kcat("-L", "-J", "-X", "allow.auto.create.topics=false", "-t", f"compat-none-{time.time_ns()}"))["topics"]
    assert "Unknown topic" in unknown["error"]


def test_asks_for_offsets_of_several_partitions(kcat, make_topic):
    topic = make_topic(partitions=2)
    kcat("-P", "-t", topic, "-p", "1", input=b"a\nb\nc")
    ends = kcat("-Q", "-t", f"{topic}:0:-1", "-t", f"{topic}:1:-1").decode().splitlines()
    assert sorted(ends) == [f"{topic} [0] offset 0", f"{topic} [1] offset 3"]
    assert kcat("-Q", "-t", f"{topic}:1:-2").decode() == f"{topic} [1] offset 0\n"


def test_reads_between_two_times(kcat, make_topic):
    topic = make_topic()
    times = []
    for value in [b"before", b"one", b"two", b"after"]:
        kcat("-P", "-t", topic, input=value)
        times.append(int(kcat("-C", "-t", topic, "-o", "-1", "-c", "1", "-q", "-f", "%T")))
        while time.time() * 1000 <= times[-1] + 1:
            time.sleep(0.001)
    assert kcat("-C", "-t", topic, "-o", f"s@{times[1]}", "-o", f"e@{times[3]}", "-q").split() == [b"one", b"two"]


def test_prints_what_a_format_asks_for(kcat, make_topic):
    topic = make_topic(partitions=2)
    kcat("-P", "-t", topic, "-p", "1", "-k", "key", "-H", "h=v", input=b"value")
    printed = kcat("-C", "-t", topic, "-p", "1", "-e", "-q", "-f", r"%t %p %o %k %K %s %S %h\n").decode()
    assert printed == f"{topic} 1 0 key 3 value 5 h=v\n"


def test_delimiters_files_and_lengths(kcat, make_topic, tmp_path):
    topic = make_topic()
    kcat("-P", "-t", topic, "-D", "|", input=b"one|two\nlines|three")
    (tmp_path / "whole").write_bytes(b"a file\nof two lines")
    (tmp_path / "lines").write_bytes(b"first\nsecond\n")
    kcat("-P", "-t", topic, str(tmp_path / "whole"))
    kcat("-P", "-t", topic, "-l", str(tmp_path / "lines"))
    read = kcat("-C", "-t", topic, "-e", "-q", "-f", r"%S:%s|").split(b"|")
    assert read == [b"3:one", b"9:two\nlines", b"5:three", b"19:a file\nof two lines", b"5:first", b"6:second", b""]
    assert kcat("-P", "-t", topic, "-T", input=b"seen\n") == b"seen"


def test_writes_in_a_transaction(kcat, make_topic):
    topic = make_topic()
    kcat("-P", "-t", topic, "-X", f"transactional.id={topic}", input=b"1\n2\n3")
    assert kcat("-C", "-t", topic, "-e", "-q", "-X", "isolation.level=read_committed").split() == [b"1", b"2", b"3"]


def test_goes_on_where_a_group_stopped_without_joining_it(kcat, make_topic, group_id):
    topic = make_topic()
    kcat("-P", "-t", topic, input=b"1\n2\n3")
    kcat("-G", group_id, "-X", "auto.offset.reset=earliest", "-c", "2", "-q", topic)
    read = kcat("-C", "-t", topic, "-X", f"group.id={group_id}", "-X", "topic.auto.offset.reset=earliest", "-o", "stored", "-e", "-q")
    assert read.split() == [b"3"]


def test_a_member_that_is_killed(bootstrap, kcat, make_topic, group_id):
    topic = make_topic(partitions=4)
    member = ["kcat", "-b", bootstrap, "-G", group_id, "-X", "auto.offset.reset=earliest", "-X", "partition.assignment.strategy=cooperative-sticky",
              "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=300", "-u", "-q", "-f", r"%p %s\n", topic]
    members = [subprocess.Popen(member, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
    try:
        heard = [[] for _ in members]

        def listen(index):
            for line in members[index].stdout:
                heard[index].append(line.split())

        for index in range(2):
            threading.Thread(target=listen, args=[index], daemon=True).start()
        # Both read: then each has two partitions.
        written = itertools.count()
        eventually(lambda: write(kcat, topic, written) or all(len({p for p, _ in lines[-8:]}) == 2 for lines in heard))
        members[0].kill()
        before = len(heard[1])
        eventually(lambda: write(kcat, topic, written) or {p for p, _ in heard[1][before:]} == set("0123"))
        last = next(written)
        eventually(lambda: {int(v) for lines in heard for _, v in lines} >= set(range(last)))
    finally:
        for one in members:
            one.kill()
            one.wait()


def write(kcat, topic, written):
    for partition in range(4):
        kcat("-P", "-t", topic, "-p", str(partition), input=b"%d" % next(written))


def eventually(is_so, seconds=40):
    deadline = time.time() + seconds
    while not is_so():
        assert time.time() < deadline
        time.sleep(0.05)
