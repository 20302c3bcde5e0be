"""Consumer groups of KIP-848 (group.protocol=consumer), and what tools ask about groups, topics and transactions."""

import uuid

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, ConsumerGroupType, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import ConfigResource, OffsetSpec, ResourceType

from test_confluent import consume, produce

from conftest import poll_until, records


def member(bootstrap, group_id, **settings):
    return Consumer(
        {"bootstrap.servers": bootstrap, "group.id": group_id, "group.protocol": "consumer", "auto.offset.reset": "earliest",
         "enable.auto.commit": False, **settings})


@pytest.mark.parametrize("assignor", ["uniform", "range"])
def test_members_share_and_take_over(bootstrap, admin, make_topic, group_id, assignor):
    topic, sent = make_topic(partitions=6), records(600, seed=31)
    for partition in range(6):
        produce(bootstrap, topic, sent[partition * 100:(partition + 1) * 100], partition=partition)
    one = member(bootstrap, group_id, **{"group.remote.assignor": assignor})
    one.subscribe([topic])
    read, _ = poll_until([one], lambda a: len(a[0]) == 6)
    two = member(bootstrap, group_id, **{"group.remote.assignor": assignor})
    two.subscribe([topic])
    more, assignments = poll_until([one, two], lambda a: len(a[0]) == 3 and len(a[1]) == 3)
    assert sorted(assignments[0] + assignments[1]) == list(range(6))
    described = admin.describe_consumer_groups([group_id])[group_id].result(30)
    assert described.state == ConsumerGroupState.STABLE and described.type == ConsumerGroupType.CONSUMER
    assert len(described.members) == 2 and described.partition_assignor == assignor
    listed = admin.list_consumer_groups(types={ConsumerGroupType.CONSUMER}).result(30)
    assert group_id in [group.group_id for group in listed.valid]
    classic = admin.list_consumer_groups(types={ConsumerGroupType.CLASSIC}).result(30)
    assert group_id not in [group.group_id for group in classic.valid]
    one.close()
    rest, _ = poll_until([two], lambda a: len(a[0]) == 6)
    two.close()


def test_offsets_are_committed_and_resumed(bootstrap, make_topic, group_id):
    topic, sent = make_topic(), records(50, seed=32)
    produce(bootstrap, topic, sent)
    for start, count in ((0, 20), (20, 30)):
        consumer = member(bootstrap, group_id)
        consumer.subscribe([topic])
        read = []
        while len(read) < count:
            message = consumer.poll(20)
            assert message is not None and message.error() is None
            read.append(message.value())
            consumer.commit(message=message, asynchronous=False)
        assert read == [value for _, value in sent[start:start + count]]
        consumer.close()


def test_a_static_member_comes_back(bootstrap, make_topic, group_id):
    topic = make_topic(partitions=4)
    one, two = member(bootstrap, group_id, **{"group.instance.id": "one"}), member(bootstrap, group_id, **{"group.instance.id": "two"})
    for each in (one, two):
        each.subscribe([topic])
    _, before = poll_until([one, two], lambda a: len(a[0]) == 2 and len(a[1]) == 2)
    one.close()
    again = member(bootstrap, group_id, **{"group.instance.id": "one"})
    again.subscribe([topic])
    _, after = poll_until([again, two], lambda a: len(a[0]) == 2)
    assert after == before
    again.close()
    two.close()


def test_a_pattern_finds_topics_that_come_later(bootstrap, admin, make_topic, group_id):
    first = make_topic()
    prefix = first.rsplit("-", 1)[0]
    consumer = member(bootstrap, group_id, **{"topic.metadata.refresh.interval.ms": 1000})
    consumer.subscribe([f"^{first}.*"])
    poll_until([consumer], lambda a: len(a[0]) == 1)
    assert prefix
    from confluent_kafka.admin import NewTopic

    second = first + "-more"
    admin.create_topics([NewTopic(second, 2, 1)])[second].result(30)
    try:
        poll_until([consumer], lambda a: len(a[0]) == 3)
    finally:
        consumer.close()
        admin.delete_topics([second])[second].result(30)


def test_the_protocol_can_be_changed_without_members(bootstrap, make_topic, group_id):
    topic, sent = make_topic(), records(30, seed=33)
    produce(bootstrap, topic, sent)
    for position, protocol in ((0, "classic"), (10, "consumer"), (20, "classic")):
        settings = {"group.protocol": protocol}
        if protocol == "classic":
            settings["session.timeout.ms"] = 10_000
        consumer = member(bootstrap, group_id, **settings)
        consumer.subscribe([topic])
        for expected in range(position, position + 10):
            message = consumer.poll(30)
            assert message is not None and message.error() is None and message.offset() == expected
            consumer.commit(message=message, asynchronous=False)
        consumer.close()


def test_offsets_by_place_and_time(bootstrap, admin, make_topic):
    topic = make_topic(settings={"retention.ms": "-1"})
    producer = Producer({"bootstrap.servers": bootstrap})
    for timestamp in (100, 300, 200):
        producer.produce(topic, b"v", partition=0, timestamp=timestamp)
    producer.flush(30)
    partition = TopicPartition(topic, 0)

    def find(spec):
        return admin.list_offsets({partition: spec})[partition].result(30)

    assert find(OffsetSpec.earliest()).offset == 0
    assert find(OffsetSpec.latest()).offset == 3
    newest = find(OffsetSpec.max_timestamp())
    assert (newest.offset, newest.timestamp) == (1, 300)
    assert find(OffsetSpec.for_timestamp(150)).offset == 1


def test_topics_and_settings_are_described(admin, make_topic):
    topic = make_topic(partitions=3, settings={"retention.ms": "777000"})
    from confluent_kafka import TopicCollection

    described = admin.describe_topics(TopicCollection([topic]))[topic].result(30)
    assert len(described.partitions) == 3 and described.topic_id is not None and not described.is_internal
    resource = ConfigResource(ResourceType.TOPIC, topic)
    settings = admin.describe_configs([resource])[resource].result(30)
    assert settings["retention.ms"].value == "777000" and not settings["retention.ms"].is_default
    assert [s.name for s in settings["retention.ms"].synonyms.values()] == ["retention.ms", "log.retention.ms"]
    cluster = admin.describe_cluster().result(30)
    assert len(cluster.nodes) == 1 and cluster.cluster_id


def test_incremental_sessions_keep_up_with_many_partitions(bootstrap, make_topic):
    """One consumer of 60 partitions in one connection: librdkafka opens a fetch session and hears of what is new."""
    topic = make_topic(partitions=60)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"compat-{uuid.uuid4().hex}", "enable.auto.commit": False,
                         "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(60)])
    for round_number in range(4):
        sent = [(None, b"%d-%d" % (round_number, p)) for p in range(60)]
        for partition, pair in enumerate(sent):
            if partition % 7 == round_number:
                produce(bootstrap, topic, [pair], partition=partition)
        expected = [value for p, (_, value) in enumerate(sent) if p % 7 == round_number]
        assert sorted(m.value() for m in consume(consumer, len(expected))) == sorted(expected)
    consumer.close()


def test_hanging_transactions_are_found(bootstrap, make_topic):
    """kafka-python's admin client lists and describes transactions, if it can."""
    from kafka.admin import KafkaAdminClient

    client = KafkaAdminClient(bootstrap_servers=bootstrap)
    if not hasattr(client, "list_transactions"):
        client.close()
        pytest.skip("this kafka-python has no list_transactions")
    topic, name = make_topic(), f"compat-tx-{uuid.uuid4().hex[:8]}"
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"v")
    producer.flush(30)
    listed = str(client.list_transactions())
    assert name in listed and "Ongoing" in listed
    described = str(client.describe_transactions([name]))
    assert topic in described
    producer.abort_transaction(30)
    client.close()


def test_unknown_members_and_groups_are_errors(bootstrap, admin):
    missing = f"compat-none-{uuid.uuid4().hex}"
    with pytest.raises(Exception) as raised:
        admin.delete_consumer_groups([missing])[missing].result(30)
    assert raised.value.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND
