"""confluent-kafka (librdkafka 2.x): producers, consumers, groups, administration."""

import collections
import threading
import time

import pytest
from confluent_kafka import (OFFSET_BEGINNING, Consumer, ConsumerGroupState, ConsumerGroupTopicPartitions, IsolationLevel, KafkaError,
                             KafkaException, Producer, TopicPartition)
from confluent_kafka.admin import (AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType)

from conftest import CODECS, records


def produce(bootstrap, topic, pairs, partition=None, **settings):
    failures = []

    def delivered(error, _):
        if error is not None:
            failures.append(error)

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000, **settings})
    for key, value in pairs:
        extra = {} if partition is None else {"partition": partition}
        while True:
            try:
                producer.produce(topic, value=value, key=key, on_delivery=delivered, **extra)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0
    assert failures == []


def consume(consumer, count, timeout=60):
    """Exactly `count` messages, and no more within a moment."""
    read, deadline = [], time.time() + timeout
    while len(read) < count:
        assert time.time() < deadline, f"{len(read)} of {count} messages came"
        for message in consumer.consume(min(10_000, count - len(read)), timeout=1):
            assert message.error() is None, message.error()
            read.append(message)
    assert consumer.consume(1, timeout=0.2) == []
    return read


def assigned(bootstrap, topic, partitions, **settings):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, **settings})
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    return consumer


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("acks", [1, "all"])
def test_round_trip(bootstrap, make_topic, codec, acks):
    topic, sent = make_topic(partitions=3), records(20_000, seed=92)
    produce(bootstrap, topic, sent, **{"compression.type": codec, "acks": acks})
    consumer = assigned(bootstrap, topic, 3)
    read = consume(consumer, len(sent))
    consumer.close()
    assert sorted((m.key() or b"", m.value()) for m in read) == sorted((k or b"", v) for k, v in sent)
    offsets = collections.defaultdict(list)
    for message in read:
        offsets[message.partition()].append(message.offset())
    assert all(seen == list(range(len(seen))) for seen in offsets.values())


def test_a_hundred_thousand_messages_in_order(bootstrap, make_topic):
    topic, sent = make_topic(), records(100_000, seed=7)
    produce(bootstrap, topic, sent, **{"enable.idempotence": True})
    consumer = assigned(bootstrap, topic, 1)
    read = consume(consumer, len(sent))
    consumer.close()
    assert [(m.key(), m.value()) for m in read] == sent


def test_large_messages(bootstrap, make_topic):
    topic = make_topic(settings={"max.message.bytes": "20000000"})
    sent = [(None, bytes([i]) * size) for i, size in enumerate([0, 1, 1 << 20, 10 << 20])]
    produce(bootstrap, topic, sent, **{"message.max.bytes": 20_000_000})
    consumer = assigned(bootstrap, topic, 1, **{"fetch.message.max.bytes": 1000})
    assert [m.value() for m in consume(consumer, len(sent))] == [v for _, v in sent]
    consumer.close()


def test_a_message_beyond_the_topics_limit_is_refused(bootstrap, make_topic):
    topic, errors = make_topic(settings={"max.message.bytes": "1000"}), []
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, b"x" * 5000, on_delivery=lambda error, _: errors.append(error))
    producer.flush(30)
    assert [e.code() for e in errors] == [KafkaError.MSG_SIZE_TOO_LARGE]


def test_timestamps_headers_and_log_append_time(bootstrap, make_topic):
    topic = make_topic(settings={"retention.ms": "-1"})  # records of the past are else too old
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, b"v", headers=[("a", b"1"), ("a", b"2"), ("n", None)], timestamp=1_600_000_000_123)
    producer.flush(30)
    consumer = assigned(bootstrap, topic, 1)
    message = consume(consumer, 1)[0]
    consumer.close()
    assert message.timestamp() == (1, 1_600_000_000_123)
    assert message.headers() == [("a", b"1"), ("a", b"2"), ("n", None)]

    stamped = make_topic(settings={"message.timestamp.type": "LogAppendTime"})
    producer.produce(stamped, b"v", timestamp=5)
    producer.flush(30)
    consumer = assigned(bootstrap, stamped, 1)
    kind, at = consume(consumer, 1)[0].timestamp()
    consumer.close()
    assert kind == 2 and abs(at - time.time() * 1000) < 60_000


def test_seek_by_timestamp(bootstrap, make_topic):
    topic = make_topic(settings={"retention.ms": "-1"})  # records of the past are else too old
    producer = Producer({"bootstrap.servers": bootstrap})
    for i in range(1000):
        producer.produce(topic, b"%d" % i, timestamp=1_000_000 + i * 10)
        if i % 37 == 0:
            producer.flush(30)
    producer.flush(30)
    consumer = assigned(bootstrap, topic, 1)
    for wanted, expected in [(0, 0), (1_000_000, 0), (1_000_001, 1), (1_005_000, 500), (1_009_990, 999)]:
        assert consumer.offsets_for_times([TopicPartition(topic, 0, wanted)], timeout=10)[0].offset == expected
    assert consumer.offsets_for_times([TopicPartition(topic, 0, 2_000_000)], timeout=10)[0].offset in (-1, 1000)  # none: the end
    consumer.assign(consumer.offsets_for_times([TopicPartition(topic, 0, 1_005_000)], timeout=10))
    assert consume(consumer, 500)[0].value() == b"500"
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (0, 1000)
    consumer.close()


def test_an_offset_out_of_range_resets(bootstrap, make_topic):
    topic = make_topic()
    produce(bootstrap, topic, [(None, b"a"), (None, b"b")])
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, 0, 500)])
    assert [m.value() for m in consume(consumer, 2)] == [b"a", b"b"]
    consumer.close()


class Member:
    """A consumer on a thread of its own, in a group."""

    def __init__(self, bootstrap, topic, group, **settings):
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest", "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 300, "enable.auto.commit": False, **settings})
        self.assigned, self.read, self.stopping = set(), [], False
        self.consumer.subscribe([topic], on_assign=self.on_assign, on_revoke=self.on_revoke, on_lost=self.on_revoke)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def on_assign(self, _, partitions):
        self.assigned |= {p.partition for p in partitions}

    def on_revoke(self, _, partitions):
        self.assigned -= {p.partition for p in partitions}

    def run(self):
        while not self.stopping:
            message = self.consumer.poll(0.1)
            if message is not None and message.error() is None:
                self.read.append(message)
                try:
                    self.consumer.commit(message, asynchronous=False)
                except KafkaException as error:  # a rebalance came in between: with cooperative assignment reading goes on meanwhile
                    assert error.args[0].code() in (KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS), error
        self.consumer.close()

    def stop(self):
        self.stopping = True
        self.thread.join(30)
        assert not self.thread.is_alive()


def eventually(condition, what, timeout=40):
    deadline = time.time() + timeout
    while not condition():
        assert time.time() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_a_group_shares_partitions_as_members_come_and_go(bootstrap, make_topic, group_id, strategy):
    topic = make_topic(partitions=6)
    settings = {"partition.assignment.strategy": strategy}
    produce(bootstrap, topic, records(600, seed=1))
    members = [Member(bootstrap, topic, group_id, **settings)]
    eventually(lambda: members[0].assigned == set(range(6)), "the first member gets everything")
    members += [Member(bootstrap, topic, group_id, **settings) for _ in range(2)]
    eventually(lambda: sorted(len(m.assigned) for m in members) == [2, 2, 2], "three members get two each")
    produce(bootstrap, topic, records(600, seed=2))
    eventually(lambda: sum(len(m.read) for m in members) >= 1200, "everything is read")
    members.pop().stop()
    eventually(lambda: sorted(len(m.assigned) for m in members) == [3, 3], "two members get three each")
    produce(bootstrap, topic, records(600, seed=3))
    eventually(lambda: sum(len(m.read) for m in members) >= 600, "the rest is read")
    for member in members:
        member.stop()


def test_a_crashed_member_is_replaced(bootstrap, make_topic, group_id, spawn_python):
    topic = make_topic(partitions=4)
    crashing = spawn_python(f"""
from confluent_kafka import Consumer
c = Consumer({{"bootstrap.servers": BOOTSTRAP, "group.id": {group_id!r}, "session.timeout.ms": 6000, "heartbeat.interval.ms": 300,
              "auto.offset.reset": "earliest", "enable.auto.commit": False}})
c.subscribe([{topic!r}], on_assign=lambda _, p: print(len(p)))
while True: c.poll(0.1)
""")
    assert crashing.stdout.readline().strip() == "4"
    survivor = Member(bootstrap, topic, group_id)
    eventually(lambda: len(survivor.assigned) == 2, "both share")
    crashing.kill()
    eventually(lambda: len(survivor.assigned) == 4, "the survivor gets everything after the session timeout")
    produce(bootstrap, topic, records(100, seed=4))
    eventually(lambda: len(survivor.read) == 100, "and reads everything")
    survivor.stop()


def test_a_static_member_keeps_its_partitions_over_a_restart(bootstrap, make_topic, group_id, admin):
    topic = make_topic(partitions=4)
    one = Member(bootstrap, topic, group_id, **{"group.instance.id": "one"})
    two = Member(bootstrap, topic, group_id, **{"group.instance.id": "two"})
    eventually(lambda: len(one.assigned) == 2 and len(two.assigned) == 2, "both share")
    before = set(one.assigned)
    one.stop()  # a static member does not leave
    again = Member(bootstrap, topic, group_id, **{"group.instance.id": "one"})
    eventually(lambda: again.assigned == before, "it gets what it had")
    assert len(two.assigned) == 2
    again.stop()
    two.stop()


def test_commits_survive_and_can_be_read_by_others(bootstrap, make_topic, group_id, admin):
    topic = make_topic(partitions=2)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group_id, "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(topic, 0, 5, "note"), TopicPartition(topic, 1, 7)], asynchronous=False)
    read = consumer.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], timeout=10)
    consumer.close()
    assert [(p.offset, p.metadata) for p in read] == [(5, "note"), (7, None)] or [p.offset for p in read] == [5, 7]
    listed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group_id)])[group_id].result(30)
    assert {(p.partition, p.offset) for p in listed.topic_partitions if p.topic == topic} == {(0, 5), (1, 7)}


def test_groups_are_listed_described_and_deleted(bootstrap, make_topic, group_id, admin):
    topic = make_topic(partitions=2)
    produce(bootstrap, topic, records(10, seed=5))
    member = Member(bootstrap, topic, group_id)
    eventually(lambda: len(member.read) == 10, "everything is read")
    assert group_id in [g.group_id for g in admin.list_consumer_groups().result(30).valid]
    described = admin.describe_consumer_groups([group_id])[group_id].result(30)
    assert described.state == ConsumerGroupState.STABLE
    assert [len(m.assignment.topic_partitions) for m in described.members] == [2]
    with pytest.raises(KafkaException) as refused:
        admin.delete_consumer_groups([group_id])[group_id].result(30)
    assert refused.value.args[0].code() == KafkaError.NON_EMPTY_GROUP
    member.stop()
    admin.delete_consumer_groups([group_id])[group_id].result(30)
    assert group_id not in [g.group_id for g in admin.list_consumer_groups().result(30).valid]


def test_an_idempotent_producer_is_never_reordered(bootstrap, make_topic):
    topic = make_topic(partitions=2)
    for partition in range(2):
        produce(bootstrap, topic, [(None, b"%d" % i) for i in range(20_000)], partition=partition,
                **{"enable.idempotence": True, "batch.num.messages": 50, "linger.ms": 0})
    consumer = assigned(bootstrap, topic, 2)
    values = {0: [], 1: []}
    for message in consume(consumer, 40_000):
        values[message.partition()].append(int(message.value()))
    consumer.close()
    assert values == {0: list(range(20_000)), 1: list(range(20_000))}


def test_many_clients_at_once(bootstrap, make_topic):
    topic, clients, each = make_topic(partitions=4), 8, 5_000
    threads = [
        threading.Thread(target=produce, args=(bootstrap, topic, [(b"%d" % c, b"%d:%d" % (c, i)) for i in range(each)]),
                         kwargs={"compression.type": CODECS[c % len(CODECS)]})
        for c in range(clients)]
    consumers = [assigned(bootstrap, topic, 4) for _ in range(3)]
    for thread in threads:
        thread.start()
    reads = [consume(consumer, clients * each, timeout=120) for consumer in consumers]
    for thread in threads:
        thread.join()
    for consumer in consumers:
        consumer.close()
    for read in reads:
        by_client = collections.defaultdict(list)
        for message in read:
            client, index = message.value().split(b":")
            by_client[int(client)].append(int(index))
        assert by_client == {c: list(range(each)) for c in range(clients)}  # one key, one partition: in order


def test_topics_are_created_changed_and_deleted(admin, bootstrap):
    name = f"compat-admin-{time.time_ns()}"

    def code(future):
        with pytest.raises(KafkaException) as raised:
            future.result(30)
        return raised.value.args[0].code()

    admin.create_topics([NewTopic(name, 2, 1, config={"retention.ms": "3600000"})])[name].result(30)
    assert code(admin.create_topics([NewTopic(name, 1, 1)])[name]) == KafkaError.TOPIC_ALREADY_EXISTS
    assert code(admin.create_topics([NewTopic(name + "x", 0, 1)])[name + "x"]) == KafkaError.INVALID_PARTITIONS
    assert code(admin.create_topics([NewTopic(name + "x", 1, 3)])[name + "x"]) == KafkaError.INVALID_REPLICATION_FACTOR
    assert code(admin.create_topics([NewTopic("no spaces", 1, 1)])["no spaces"]) == KafkaError.TOPIC_EXCEPTION
    assert code(admin.create_topics([NewTopic(name + "x", 1, 1, config={"no.such": "1"})])[name + "x"]) == KafkaError.INVALID_CONFIG
    admin.create_topics([NewTopic(name + "x", 1, 1)], validate_only=True)[name + "x"].result(30)
    assert name + "x" not in admin.list_topics(timeout=10).topics

    admin.create_partitions([NewPartitions(name, 5)])[name].result(30)
    assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 5
    assert code(admin.create_partitions([NewPartitions(name, 3)])[name]) == KafkaError.INVALID_PARTITIONS

    resource = ConfigResource(ResourceType.TOPIC, name)
    settings = admin.describe_configs([resource])[resource].result(30)
    assert settings["retention.ms"].value == "3600000" and not settings["retention.ms"].is_default
    assert settings["cleanup.policy"].value == "delete" and settings["cleanup.policy"].is_default
    change = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[
        ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET),
        ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE)])
    admin.incremental_alter_configs([change])[change].result(30)
    settings = admin.describe_configs([resource])[resource].result(30)
    assert settings["cleanup.policy"].value == "compact" and settings["retention.ms"].is_default

    admin.delete_topics([name])[name].result(30)
    assert code(admin.delete_topics([name])[name]) == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert name not in admin.list_topics(timeout=10).topics


def test_cluster_broker_settings_offsets_and_deleted_records(admin, bootstrap, make_topic):
    cluster = admin.describe_cluster(request_timeout=10).result(10)
    assert cluster.cluster_id and [n.id for n in cluster.nodes] == [1] and cluster.controller.id == 1
    broker = ConfigResource(ResourceType.BROKER, "1")
    assert admin.describe_configs([broker])[broker].result(30)["node.id"].value == "1"

    topic = make_topic(settings={"retention.ms": "-1"})  # records of the past are else too old
    producer = Producer({"bootstrap.servers": bootstrap})
    for i in range(100):
        producer.produce(topic, b"v", timestamp=1_000 + (i * 7) % 100)
    producer.flush(30)
    partition = TopicPartition(topic, 0)

    def offset(spec):
        return admin.list_offsets({partition: spec}, isolation_level=IsolationLevel.READ_COMMITTED)[partition].result(30).offset

    assert (offset(OffsetSpec.earliest()), offset(OffsetSpec.latest())) == (0, 100)
    assert offset(OffsetSpec.max_timestamp()) == next(i for i in range(100) if (i * 7) % 100 == 99)
    assert offset(OffsetSpec.for_timestamp(1_050)) == next(i for i in range(100) if (i * 7) % 100 >= 50)
    admin.delete_records([TopicPartition(topic, 0, 40)])[partition].result(30)
    assert offset(OffsetSpec.earliest()) == 40
    consumer = assigned(bootstrap, topic, 1)
    assert consume(consumer, 60)[0].offset() == 40
    consumer.close()


def test_a_waiting_consumer_sees_a_record_at_once(bootstrap, make_topic):
    topic = make_topic()
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "fetch.wait.max.ms": 10_000})
    consumer.assign([TopicPartition(topic, 0, 0)])
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    consumer.poll(0.5)  # the long poll stands
    waits = []
    for i in range(50):
        start = time.perf_counter()
        producer.produce(topic, b"%d" % i)
        producer.poll(0)
        message = consumer.poll(10)
        waits.append(time.perf_counter() - start)
        assert message.value() == b"%d" % i
    consumer.close()
    waits.sort()
    print(f"produce to poll: median {waits[25] * 1000:.2f} ms, worst {waits[-1] * 1000:.2f} ms")
    assert waits[25] < 0.1
