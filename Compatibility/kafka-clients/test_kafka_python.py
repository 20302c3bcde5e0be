"""kafka-python: a client written from the protocol alone."""

import time

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from conftest import CODECS, records


@pytest.mark.parametrize("codec", CODECS)
def test_round_trip(bootstrap, make_topic, codec):
    topic, sent = make_topic(), records(5_000, seed=11)
    producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type=None if codec == "none" else codec, linger_ms=5, acks="all")
    futures = [producer.send(topic, key=key, value=value) for key, value in sent]
    producer.flush(60)
    assert [f.get(10).offset for f in futures] == list(range(len(sent)))
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=1500)
    consumer.assign([TopicPartition(topic, 0)])
    assert [(r.key, r.value) for r in consumer] == sent
    consumer.close()


def test_group_commits_and_resumes(bootstrap, make_topic, group_id):
    topic, sent = make_topic(partitions=3), records(300, seed=12)
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for index, (key, value) in enumerate(sent):
        producer.send(topic, key=key, value=value, partition=index % 3)
    producer.flush(60)

    def read(count):
        consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group_id, auto_offset_reset="earliest",
                                 enable_auto_commit=False, consumer_timeout_ms=15_000)
        values = []
        for record in consumer:
            values.append(record.value)
            if len(values) == count:
                break
        consumer.commit()
        consumer.close()
        return values

    assert sorted(read(300)) == sorted(v for _, v in sent)
    producer.send(topic, b"after", partition=0)
    producer.flush(60)
    producer.close()
    assert read(1) == [b"after"]


def test_seek_by_timestamp(bootstrap, make_topic):
    topic = make_topic(settings={"retention.ms": "-1"})  # records of the past are else too old
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for i in range(100):
        producer.send(topic, b"%d" % i, timestamp_ms=5_000 + i)
    producer.flush(30)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    found = consumer.offsets_for_times({partition: 5_042})[partition]
    assert (found.offset, found.timestamp) == (42, 5_042)
    assert consumer.offsets_for_times({partition: 9_000})[partition] is None
    assert consumer.beginning_offsets([partition]) == {partition: 0} and consumer.end_offsets([partition]) == {partition: 100}
    consumer.close()


def test_administration(bootstrap):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    name = f"compat-kp-{time.time_ns()}"
    admin.create_topics([NewTopic(name=name, num_partitions=2, replication_factor=1)])
    assert name in admin.list_topics()
    admin.delete_topics([name])
    assert name not in admin.list_topics()
    admin.close()
