"""aiokafka: asyncio producers and consumers."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from conftest import CODECS, records


@pytest.mark.parametrize("codec", CODECS)
def test_round_trip(bootstrap, make_topic, codec):
    topic, sent = make_topic(), records(5_000, seed=21)

    async def run():
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type=None if codec == "none" else codec,
                                    enable_idempotence=True)
        await producer.start()
        for future in [await producer.send(topic, value, key=key) for key, value in sent]:
            await future
        await producer.stop()
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        read = [await asyncio.wait_for(consumer.getone(), 30) for _ in sent]
        await consumer.stop()
        return [(r.key, r.value) for r in read]

    assert asyncio.run(run()) == sent


def test_two_members_share_a_topic(bootstrap, make_topic, group_id):
    topic = make_topic(partitions=4)

    async def run():
        members = [
            AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group_id, auto_offset_reset="earliest",
                             session_timeout_ms=6000, heartbeat_interval_ms=300)
            for _ in range(2)]
        for member in members:
            await member.start()

        async def poll_until_shared():
            while sorted(len(m.assignment()) for m in members) != [2, 2]:
                for member in members:
                    await member.getmany(timeout_ms=100)

        await asyncio.wait_for(poll_until_shared(), 40)
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
        await producer.start()
        for index in range(400):
            await producer.send(topic, b"%d" % index, partition=index % 4)
        await producer.stop()
        seen = []

        async def read_all():
            while len(seen) < 400:
                for member in members:
                    for batch in (await member.getmany(timeout_ms=100)).values():
                        seen.extend(int(r.value) for r in batch)

        await asyncio.wait_for(read_all(), 40)
        for member in members:
            await member.stop()
        return seen

    assert sorted(asyncio.run(run())) == list(range(400))
