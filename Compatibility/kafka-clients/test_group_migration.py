"""Consumers of both group protocols in one group (group.consumer.migration.policy=bidirectional, the default): over to KIP-848 and back."""

import time

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, ConsumerGroupType

from test_confluent import produce

from conftest import poll_until, records


def member(bootstrap, group_id, protocol, **settings):
    if protocol == "classic":
        settings = {"session.timeout.ms": 10000, "heartbeat.interval.ms": 500, **settings}
    return Consumer(
        {"bootstrap.servers": bootstrap, "group.id": group_id, "group.protocol": protocol, "auto.offset.reset": "earliest",
         "enable.auto.commit": False, **settings})


def settle(members, partitions):
    """Polls until all members together have every partition once, evenly; returns the values read meanwhile."""

    def settled(shares):
        sizes = [len(share) for share in shares]
        return sorted(p for share in shares for p in share) == list(range(partitions)) and max(sizes) - min(sizes) <= 1

    return poll_until(members, settled, commits=True)[0]


def kind(admin, group_id):
    return admin.describe_consumer_groups([group_id])[group_id].result(30).type


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_over_and_back_one_by_one(bootstrap, admin, make_topic, group_id, strategy):
    """A rolling upgrade, then a rolling downgrade: each step replaces one member. Nothing is lost, everybody is served throughout."""
    topic, sent = make_topic(partitions=6), records(600, seed=71)
    classic = {"partition.assignment.strategy": strategy}
    members = [member(bootstrap, group_id, "classic", **classic) for _ in range(3)]
    for each in members:
        each.subscribe([topic])
    settle(members, 6)
    assert kind(admin, group_id) == ConsumerGroupType.CLASSIC
    read, part = [], 0
    for protocol in ("consumer", "classic"):
        for place in range(3):
            produce(bootstrap, topic, sent[part * 100:(part + 1) * 100])
            part += 1
            read += settle(members, 6)
            members[place].close()
            members[place] = member(bootstrap, group_id, protocol, **(classic if protocol == "classic" else {}))
            members[place].subscribe([topic])
            read += settle(members, 6)
            expected = ConsumerGroupType.CLASSIC if (protocol, place) == ("classic", 2) else ConsumerGroupType.CONSUMER
            assert kind(admin, group_id) == expected
        described = admin.describe_consumer_groups([group_id])[group_id].result(30)
        assert len(described.members) == 3
    deadline = time.time() + 60
    while not {value for _, value in sent} <= set(read):
        assert time.time() < deadline, len(set(read))
        read += settle(members, 6)
    for each in members:
        each.close()


def test_mixed_members_share_and_take_over(bootstrap, admin, make_topic, group_id):
    topic = make_topic(partitions=4)
    old, new = member(bootstrap, group_id, "classic"), member(bootstrap, group_id, "consumer")
    old.subscribe([topic])
    settle([old], 4)
    new.subscribe([topic])
    settle([old, new], 4)
    described = admin.describe_consumer_groups([group_id])[group_id].result(30)
    assert described.type == ConsumerGroupType.CONSUMER and described.state == ConsumerGroupState.STABLE and len(described.members) == 2
    more = member(bootstrap, group_id, "classic")
    more.subscribe([topic])
    settle([old, new, more], 4)
    old.close()
    settle([new, more], 4)
    new.close()
    settle([more], 4)
    assert kind(admin, group_id) == ConsumerGroupType.CLASSIC
    more.close()
