"""Transactions of librdkafka's producer: all or nothing, fenced, with the offsets of what was read."""

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from test_confluent import assigned, consume, eventually


def transactional(bootstrap, name, **settings):
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name, **settings})
    producer.init_transactions(30)
    return producer


def values(bootstrap, topic, partitions, count, isolation):
    consumer = assigned(bootstrap, topic, partitions, **{"isolation.level": isolation})
    read = sorted(m.value() for m in consume(consumer, count))
    consumer.close()
    return read


def test_committed_is_seen_and_aborted_is_not(bootstrap, make_topic, group_id):
    topic = make_topic(partitions=2)
    producer = transactional(bootstrap, group_id)
    for round_number, outcome in enumerate(["commit", "abort", "commit"]):
        producer.begin_transaction()
        for partition in range(2):
            for i in range(100):
                producer.produce(topic, b"%d-%d-%03d" % (round_number, partition, i), partition=partition)
        producer.flush(30)
        getattr(producer, f"{outcome}_transaction")(30)
    wanted = sorted(b"%d-%d-%03d" % (r, p, i) for r in (0, 2) for p in range(2) for i in range(100))
    assert values(bootstrap, topic, 2, 400, "read_committed") == wanted
    assert len(values(bootstrap, topic, 2, 600, "read_uncommitted")) == 600


def test_an_open_transaction_holds_readers_back(bootstrap, make_topic, group_id):
    topic = make_topic()
    producer = transactional(bootstrap, group_id)
    producer.begin_transaction()
    producer.produce(topic, b"open")
    producer.flush(30)
    plain = Producer({"bootstrap.servers": bootstrap})
    plain.produce(topic, b"behind")
    plain.flush(30)
    assert values(bootstrap, topic, 1, 0, "read_committed") == []
    assert values(bootstrap, topic, 1, 2, "read_uncommitted") == [b"behind", b"open"]
    producer.commit_transaction(30)
    assert values(bootstrap, topic, 1, 2, "read_committed") == [b"behind", b"open"]


def test_a_second_producer_fences_the_first(bootstrap, make_topic, group_id):
    topic = make_topic()
    first = transactional(bootstrap, group_id)
    first.begin_transaction()
    first.produce(topic, b"lost")
    first.flush(30)
    second = transactional(bootstrap, group_id)
    second.begin_transaction()
    second.produce(topic, b"kept")
    second.commit_transaction(30)
    with pytest.raises(KafkaException) as refused:
        first.commit_transaction(30)
    assert refused.value.args[0].code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)
    assert values(bootstrap, topic, 1, 1, "read_committed") == [b"kept"]


def test_read_process_write_moves_offsets_with_the_output(bootstrap, make_topic, group_id):
    source, sink = make_topic(), make_topic()
    plain = Producer({"bootstrap.servers": bootstrap})
    for i in range(300):
        plain.produce(source, b"%03d" % i)
    plain.flush(30)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group_id, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False, "isolation.level": "read_committed"})
    consumer.subscribe([source])
    producer = transactional(bootstrap, group_id + "-txn")
    done, attempt = 0, 0
    while done < 300:
        batch = consumer.consume(50, timeout=5)
        assert batch, "records come again after an abort"
        attempt += 1
        producer.begin_transaction()
        for message in batch:
            producer.produce(sink, message.value() + b"!")
        position = consumer.position(consumer.assignment())
        producer.send_offsets_to_transaction(position, consumer.consumer_group_metadata(), 30)
        if attempt % 3 == 2:  # every third attempt fails
            producer.abort_transaction(30)
            committed = consumer.committed(consumer.assignment(), timeout=30)
            assert committed[0].offset == done
            consumer.seek(TopicPartition(source, 0, done))
            continue
        producer.commit_transaction(30)
        done += len(batch)
        assert consumer.committed(consumer.assignment(), timeout=30)[0].offset == done
    consumer.close()
    assert values(bootstrap, sink, 1, 300, "read_committed") == [b"%03d!" % i for i in range(300)]


def test_a_transaction_nobody_ends_times_out(bootstrap, make_topic, group_id, spawn_python):
    topic = make_topic()
    crashing = spawn_python(f"""
from confluent_kafka import Producer
p = Producer({{"bootstrap.servers": BOOTSTRAP, "transactional.id": {group_id!r}, "transaction.timeout.ms": 3000}})
p.init_transactions(30); p.begin_transaction(); p.produce({topic!r}, b"never"); p.flush(30); print("ready")
while True: p.poll(1)
""")
    assert crashing.stdout.readline().strip() == "ready"
    crashing.kill()
    plain = Producer({"bootstrap.servers": bootstrap})
    plain.produce(topic, b"behind")
    plain.flush(30)
    consumer = assigned(bootstrap, topic, 1, **{"isolation.level": "read_committed"})
    seen = []
    eventually(lambda: seen.extend(m.value() for m in consumer.consume(10, timeout=0.1)) or seen, "the open transaction is aborted")
    assert seen == [b"behind"]
    consumer.close()
