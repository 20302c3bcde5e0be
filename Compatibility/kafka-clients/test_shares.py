"""Share consumers of confluent-kafka (librdkafka 2.16, KIP-932): many members on one partition, acknowledgement of both kinds, members that die."""

import signal
import threading
import time

import confluent_kafka
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

if not hasattr(confluent_kafka, "ShareConsumer"):
    pytest.skip("this confluent-kafka has no share consumer", allow_module_level=True)

from confluent_kafka import AcknowledgeType, ShareConsumer


@pytest.fixture
def share_group(admin, group_id):
    """A group that begins with the first record: share_group(**settings) -> id"""

    def make(**settings):
        wanted = {"share.auto.offset.reset": "earliest", **{name.replace("_", "."): value for name, value in settings.items()}}
        entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in wanted.items()]
        resource = ConfigResource(ResourceType.GROUP, group_id, incremental_configs=entries)
        admin.incremental_alter_configs([resource])[resource].result(30)
        return group_id

    return make


@pytest.fixture
def consumer(bootstrap):
    """consumer(group, topic, **settings) -> ShareConsumer that is subscribed"""
    made = []

    def make(group, topic, **settings):
        one = ShareConsumer(
            {"bootstrap.servers": bootstrap, "group.id": group, **{name.replace("_", "."): value for name, value in settings.items()}})
        one.subscribe([topic])
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def produce(bootstrap, topic, count, start=0, **settings):
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, **{name.replace("_", "."): value for name, value in settings.items()}})
    for i in range(start, start + count):
        producer.produce(topic, b"%d" % i)
        producer.poll(0)
    assert producer.flush(30) == 0


def take(consumer, count, seconds=30, settle=None):
    """Polls until there are so many messages; `settle` is done with each at once."""
    messages, end = [], time.monotonic() + seconds
    while len(messages) < count and time.monotonic() < end:
        for message in consumer.poll(0.5):
            assert message.error() is None, message.error()
            messages.append(message)
            if settle:
                settle(message)
    return messages


def commit(consumer):
    assert not any(consumer.commit_sync().values())


def test_everything_comes_once(bootstrap, make_topic, share_group, consumer):
    topic, group = make_topic(3), share_group()
    produce(bootstrap, topic, 5000)
    one = consumer(group, topic)
    values = sorted(int(message.value()) for message in take(one, 5000))
    assert values == list(range(5000))
    commit(one)
    assert take(one, 1, 2) == []
    produce(bootstrap, topic, 10, start=5000)
    assert len(take(one, 10)) == 10


def test_accept_release_reject(bootstrap, make_topic, share_group, consumer):
    topic, group = make_topic(), share_group()
    produce(bootstrap, topic, 30)
    one = consumer(group, topic, share_acknowledgement_mode="explicit")
    kinds = [AcknowledgeType.ACCEPT, AcknowledgeType.RELEASE, AcknowledgeType.REJECT]
    assert len(take(one, 30, settle=lambda message: one.acknowledge(message, kinds[message.offset() % 3]))) == 30
    commit(one)
    again = take(one, 10, settle=one.acknowledge)
    assert [message.offset() for message in again] == list(range(1, 30, 3))
    commit(one)
    assert take(one, 1, 2) == []


def test_members_share_a_partition(bootstrap, make_topic, share_group, consumer):
    topic, group = make_topic(), share_group()
    seen, lock, each, sent, is_all_sent = [], threading.Lock(), [0] * 4, 0, threading.Event()
    members = [consumer(group, topic) for _ in each]
    for member in members:
        member.poll(0.5)
    deadline = time.monotonic() + 60

    def work(number):
        while not (is_all_sent.is_set() and len(seen) >= sent) and time.monotonic() < deadline:
            offsets = [message.offset() for message in members[number].poll(0.2)]
            with lock:
                seen.extend(offsets)
                each[number] += len(offsets)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(each))]
    for thread in threads:
        thread.start()
    # Who asks first gets whole batches: there are more of them until a second member has had some.
    while sent < 20_000 or sum(n > 0 for n in each) < 2 and time.monotonic() < deadline:
        produce(bootstrap, topic, 1000, sent)
        sent += 1000
    is_all_sent.set()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(sent))
    assert sum(n > 0 for n in each) > 1, each


def test_what_a_killed_member_had_comes_again(bootstrap, make_topic, share_group, consumer, spawn_python):
    topic, group = make_topic(), share_group()
    produce(bootstrap, topic, 50)
    other = spawn_python(f"""
from confluent_kafka import ShareConsumer
one = ShareConsumer({{"bootstrap.servers": BOOTSTRAP, "group.id": {group!r}, "share.acknowledgement.mode": "explicit"}})
one.subscribe([{topic!r}])
count = 0
while count == 0:
    count += len(one.poll(1))
print(count)
while True:
    pass
""")
    assert int(other.stdout.readline()) > 0
    other.send_signal(signal.SIGKILL)
    # Long before the locks end.
    assert len(take(consumer(group, topic), 50, 15)) == 50


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches(bootstrap, make_topic, share_group, consumer, codec):
    topic, group = make_topic(), share_group()
    produce(bootstrap, topic, 2000, compression_type=codec)
    assert sorted(int(message.value()) for message in take(consumer(group, topic), 2000)) == list(range(2000))


def test_aborted_transactions_are_not_seen(bootstrap, make_topic, share_group, consumer):
    topic, group = make_topic(), share_group(share_isolation_level="read_committed")
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic})
    producer.init_transactions()
    for i in range(10):
        producer.begin_transaction()
        for _ in range(5):
            producer.produce(topic, b"%d" % i)
        producer.flush()
        producer.commit_transaction() if i % 2 == 0 else producer.abort_transaction()
    one = consumer(group, topic)
    values = [int(message.value()) for message in take(one, 25)]
    assert sorted(values) == [i for i in range(0, 10, 2) for _ in range(5)]
    assert take(one, 1, 1.5) == []
