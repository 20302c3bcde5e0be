"""kill -9 in the middle of the pipeline: every input row's result is there once, none is missing."""

import collections
import json
import os
import random
import threading
import time
import urllib.error

import pytest
from conftest import ROOT

confluent_kafka = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed: make bootstrap")

SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
KILLS = int(os.environ.get("KILLS", 10))
ROWS = int(os.environ.get("ROWS", 120_000))


def read_all(node, topic, isolation):
    return [value for _, value in read_pairs(node, topic, isolation)]


def read_pairs(node, topic, isolation):
    """Keys and values, each partition's in order."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": node.kafka,
            "group.id": "checker",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
        }
    )
    partitions = consumer.list_topics(topic, 30).topics[topic].partitions
    consumer.assign([confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING) for p in partitions])
    values, ended, limit = [], set(), time.monotonic() + 30
    while len(ended) < len(partitions):
        messages = consumer.consume(10_000, 0.2)
        if messages:
            limit = time.monotonic() + 30
        assert time.monotonic() < limit, f"{topic} stopped answering"
        for message in messages:
            if message.error():
                assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF, message.error()
                ended.add(message.partition())
            else:
                values.append((message.key(), message.value()))
    consumer.close()
    return values


def produce_and_kill(server, topic, line, key=lambda row: None, time_of=lambda row: 0):
    """Writes ROWS rows, as `line`, `key` and `time_of` make them, while the program dies KILLS times."""
    print(f"SEED={SEED}")
    chance = random.Random(SEED)
    done = threading.Event()
    failures = []

    def produce():
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": server.kafka,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": 300_000,
                "reconnect.backoff.max.ms": 200,
            }
        )

        def delivered(error, _):
            if error:
                failures.append(str(error))

        for row in range(ROWS):
            while True:
                try:
                    producer.produce(topic, line(row).encode(), key=key(row), timestamp=time_of(row), partition=row % 3, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.05)
            if row % 500 == 0:
                producer.poll(0)
                # About 25,000 rows a second, so that the kills fall into the middle.
                time.sleep(0.02)
        producer.flush(300)
        done.set()

    thread = threading.Thread(target=produce)
    thread.start()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.5))
        server.kill()
        server.start()
    thread.join(400)
    assert done.is_set() and not failures, failures[:3]


def survive_kills(server, topic, sink, expected, line, field):
    """Writes ROWS rows, row by row as `line` makes them, while the program dies KILLS times; then `sink` holds those of `expected`, once each.

    Returns the results by the number of their row, which is in `field`.
    """
    produce_and_kill(server, topic, line)
    deadline = time.monotonic() + 120
    while True:
        results = [json.loads(value) for value in read_all(server, sink, "read_committed")]
        if len(results) >= len(expected) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    counts = collections.Counter(result[field] for result in results)
    assert not [row for row in expected if counts[row] == 0][:10], "rows are missing"
    assert not [row for row, count in counts.items() if count > 1][:10], "rows are there twice"
    assert set(counts) == set(expected)
    return {result[field]: result for result in results}


def test_every_result_is_there_once_after_ten_kills(node):
    server = node("--threads", "2", "--commit-interval", "50")
    server.ksql(
        "CREATE STREAM payments (id BIGINT, amount DOUBLE, class VARCHAR) WITH (kafka_topic='payments', partitions=3, value_format='DELIMITED');"
        "CREATE STREAM known WITH (value_format='AVRO') AS SELECT id, amount, class FROM payments WHERE class IS NOT NULL;"
        "CREATE STREAM doubled WITH (value_format='JSON') AS SELECT id, amount * 2 AS twice FROM known;",
        **{"auto.offset.reset": "earliest"},
    )
    expected = [row for row in range(ROWS) if row % 20]
    results = survive_kills(
        server, "payments", "DOUBLED", expected, lambda row: f"{row},{row}.5,{'' if row % 20 == 0 else '0'}", "ID"
    )
    assert all(result["TWICE"] == 2 * (row + 0.5) for row, result in results.items())
    server.stop()


def test_every_row_is_joined_once_after_ten_kills(node):
    """The stream is keyed anew for the table, through a topic of its own; the table's state is read back after each kill."""
    server = node("--threads", "2", "--commit-interval", "50")
    server.ksql(
        "CREATE TABLE users (who VARCHAR PRIMARY KEY, city VARCHAR) WITH (kafka_topic='users', partitions=2, value_format='JSON');"
        "CREATE STREAM payments (id BIGINT, who VARCHAR) WITH (kafka_topic='payments', partitions=3, value_format='DELIMITED');"
        "CREATE STREAM placed WITH (value_format='JSON') AS SELECT p.who AS who, id, city FROM payments p JOIN users u ON p.who = u.who;"
        + "".join(f"INSERT INTO users (who, city) VALUES ('u{user}', '{old}{user}');" for old in ("Old", "City") for user in range(200)),
        **{"auto.offset.reset": "earliest"},
    )
    expected = [row for row in range(ROWS) if row % 300 < 200]
    results = survive_kills(server, "payments", "PLACED", expected, lambda row: f"{row},u{row % 300}", "ID")
    assert all(result["CITY"] == f"City{row % 300}" for row, result in results.items())
    server.stop()


@pytest.mark.parametrize("options", [[], ["--set", "state.memory.bytes=65536"]], ids=["in memory", "on disk"])
def test_groups_and_windows_are_exact_after_ten_kills(node, options):
    """Counts and sums per user, and per user and minute; the state is there again after each kill, and no row counts twice.

    Once with memory for all groups, once with so little that most of them are on disk alone.
    """
    server = node("--threads", "2", "--commit-interval", "50", *options)
    server.ksql(
        "CREATE STREAM payments (id BIGINT, who VARCHAR) WITH (kafka_topic='payments', partitions=3, value_format='DELIMITED');"
        "CREATE TABLE per_user WITH (value_format='JSON') AS SELECT who, COUNT(*) AS n, SUM(id) AS total FROM payments GROUP BY who;"
        "CREATE TABLE per_minute WITH (value_format='JSON') AS SELECT who, COUNT(*) AS n, SUM(id) AS total FROM payments"
        " WINDOW TUMBLING (SIZE 1 MINUTE, GRACE PERIOD 1 DAY) GROUP BY who;",
        **{"auto.offset.reset": "earliest"},
    )
    # Ten milliseconds a row: twenty minutes in all.
    start = 1_700_000_040_000
    produce_and_kill(server, "payments", lambda row: f"{row},u{row % 300}", time_of=lambda row: start + row * 10)
    users, minutes = collections.defaultdict(lambda: [0, 0]), collections.defaultdict(lambda: [0, 0])
    for row in range(ROWS):
        minute = (start + row * 10) // 60_000 * 60_000
        for group in (users[f"u{row % 300}".encode()], minutes[f"u{row % 300}".encode() + minute.to_bytes(8, "big")]):
            group[0] += 1
            group[1] += row
    for topic, expected in (("PER_USER", users), ("PER_MINUTE", minutes)):
        deadline = time.monotonic() + 120
        while True:
            newest = {key: json.loads(value) for key, value in read_pairs(server, topic, "read_committed")}
            found = {key: [value["N"], value["TOTAL"]] for key, value in newest.items()}
            if found == expected or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        assert sum(n for n, _ in found.values()) == ROWS
        assert found == expected
    server.stop()


def test_every_row_of_a_backlog_is_there_once_though_commits_overlap(node):
    """Under load a thread fills a transaction while the one before it commits; the kills come while a backlog is worked off."""
    rows = ROWS * 8
    server = node("--threads", "1", "--commit-interval", "5")
    producer = confluent_kafka.Producer({"bootstrap.servers": server.kafka, "linger.ms": 5, "queue.buffering.max.messages": rows})
    server.ksql("CREATE STREAM numbers (id BIGINT, text VARCHAR) WITH (kafka_topic='numbers', partitions=2, value_format='DELIMITED');")
    text = "x" * 80
    for begin in range(0, rows, 10_000):
        batch = [{"value": f"{row},{text}".encode()} for row in range(begin, min(begin + 10_000, rows))]
        producer.produce_batch("numbers", batch, partition=begin // 10_000 % 2)
        producer.poll(0)
    assert producer.flush(300) == 0
    server.ksql(
        "CREATE STREAM copied WITH (value_format='DELIMITED') AS SELECT id, text FROM numbers;", **{"auto.offset.reset": "earliest"}
    )
    print(f"SEED={SEED}")
    chance = random.Random(SEED)
    kills = 0
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.005, 0.06))
        probe = confluent_kafka.Consumer({"bootstrap.servers": server.kafka, "group.id": "probe"})
        written = sum(probe.get_watermark_offsets(confluent_kafka.TopicPartition("COPIED", p), 30)[1] for p in range(2))
        probe.close()
        kills += written < rows
        server.kill()
        server.start()
    # Else they came too late to show anything.
    assert kills > 0
    deadline = time.monotonic() + 120
    while True:
        committed = read_all(server, "COPIED", "read_committed")
        if len(committed) >= rows or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    numbers = sorted(int(value.split(b",", 1)[0]) for value in committed)
    assert numbers == list(range(rows))
    server.stop()


def test_every_row_is_scored_once_after_ten_kills(node):
    server = node("--threads", "2", "--commit-interval", "50")
    model = ROOT / "Tests/Fixtures/models/linear.onnx"
    try:
        server.ksql(f"CREATE MODEL linear WITH ('path'='{model}');")
    except urllib.error.HTTPError as error:
        pytest.skip(f"no models here: {json.load(error)['message']}")
    server.ksql(
        "CREATE STREAM payments (id BIGINT, a DOUBLE, b DOUBLE, c DOUBLE) WITH (kafka_topic='payments', partitions=3, value_format='DELIMITED');"
        "CREATE STREAM scored WITH (value_format='JSON') AS SELECT id, linear(a, b, c) AS score FROM payments;",
        **{"auto.offset.reset": "earliest"},
    )
    results = survive_kills(server, "payments", "SCORED", list(range(ROWS)), lambda row: f"{row},{row % 7},{row % 5},{row % 3}", "ID")
    assert all(result["SCORE"] == row % 7 + 2 * (row % 5) + 3 * (row % 3) + 0.5 for row, result in results.items())
    server.stop()


def test_a_malformed_line_is_reported_with_its_place_and_the_query_goes_on(node):
    server = node()
    server.ksql(
        "CREATE STREAM t (a INT, b INT) WITH (kafka_topic='t', partitions=1, value_format='DELIMITED');"
        "CREATE STREAM o WITH (value_format='JSON') AS SELECT a, b FROM t;",
        **{"auto.offset.reset": "earliest"},
    )
    producer = confluent_kafka.Producer({"bootstrap.servers": server.kafka})
    for line in ("1,1", "not a number,2", "3,3"):
        producer.produce("t", line.encode())
    producer.flush(30)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        reports = [json.loads(value) for value in read_all(server, "default_ksql_processing_log", "read_committed")]
        results = [json.loads(value) for value in read_all(server, "O", "read_committed")]
        if reports and len(results) == 2:
            break
    error = reports[0]["message"]["deserializationError"]
    assert (error["topic"], error["partition"], error["offset"]) == ("t", 0, 1)
    assert error["errorMessage"]
    assert [result["A"] for result in results] == [1, 3]
    server.stop()


def test_a_directory_in_use_and_a_taken_port_are_one_clear_line(node, tmp_path):
    import subprocess

    from conftest import BINARY

    server = node()
    second = subprocess.run(
        [BINARY, "dev", "--data", str(server.data), "--port-offset", str(server.offset + 1)], capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1 and str(server.data) in second.stderr and len(second.stderr.strip().splitlines()) <= 3
    third = subprocess.run(
        [BINARY, "dev", "--data", str(tmp_path / "other"), "--port-offset", str(server.offset)], capture_output=True, text=True, timeout=60
    )
    assert third.returncode == 1 and str(9092 + server.offset) in third.stderr and len(third.stderr.strip().splitlines()) <= 3
    server.stop()
