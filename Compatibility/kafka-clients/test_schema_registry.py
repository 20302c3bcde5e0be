"""confluent-kafka's serializers of the Schema Registry: Avro, JSON Schema and Protobuf records that they write, they and SQL read, and back.

MARTLET_REGISTRY and MARTLET_SERVER name the schema registry and the SQL server beside MARTLET_BOOTSTRAP.
"""

import json
import os
import urllib.error
import urllib.request
import uuid

import pytest

REGISTRY = os.environ.get("MARTLET_REGISTRY", "")
SERVER = os.environ.get("MARTLET_SERVER", "")
pytestmark = pytest.mark.skipif(not (REGISTRY and SERVER), reason="MARTLET_REGISTRY and MARTLET_SERVER are not set")

schema_registry = pytest.importorskip("confluent_kafka.schema_registry")


@pytest.fixture
def registry():
    return schema_registry.SchemaRegistryClient({"url": REGISTRY})


def sql(text):
    request = urllib.request.Request(
        f"{SERVER}/ksql", json.dumps({"ksql": text}).encode(), {"Content-Type": "application/vnd.ksql.v1+json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{text}: {error.read().decode()}") from None


def produce(bootstrap, topic, values):
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce(topic, value=value)
    assert producer.flush(30) == 0


def consume(bootstrap, topic, count):
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    out = []
    try:
        while len(out) < count:
            for message in consumer.consume(count, 10):
                assert message.error() is None
                out.append(message.value())
    finally:
        consumer.close()
    return out


def context(topic):
    from confluent_kafka.serialization import MessageField, SerializationContext

    return SerializationContext(topic, MessageField.VALUE)


@pytest.fixture
def through_sql(bootstrap, make_topic):
    """Writes values, lets SQL read them by inferred columns, and gives what SQL wrote to a topic of the same format."""
    made = []

    def run(format, values, select, properties=""):
        topic = make_topic()
        produce(bootstrap, topic, values(topic))
        source, sink = f"S{uuid.uuid4().hex[:8]}".upper(), f"O{uuid.uuid4().hex[:8]}".upper()
        sql(f"CREATE STREAM {source} WITH (kafka_topic='{topic}', value_format='{format}'{properties});")
        made.append(source)
        sql(f"SET 'auto.offset.reset'='earliest'; CREATE STREAM {sink} AS SELECT {select} FROM {source};")
        made.append(sink)
        return topic, sink, consume(bootstrap, sink, 2)

    yield run
    if made:
        sql("TERMINATE ALL;")
        for name in reversed(made):
            sql(f"DROP STREAM {name}{' DELETE TOPIC' if name.startswith('O') else ''};")


def test_avro(bootstrap, through_sql, registry):
    pytest.importorskip("fastavro")
    from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer

    schema = json.dumps({"type": "record", "name": "Order", "namespace": "shop", "fields": [
        {"name": "id", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "tags", "type": {"type": "array", "items": "string"}}]})
    orders = [{"id": 1, "note": "first", "tags": ["a", "b"]}, {"id": 2, "note": None, "tags": []}]
    serializer = AvroSerializer(registry, schema)
    topic, sink, written = through_sql(
        "AVRO", lambda topic: [serializer(order, context(topic)) for order in orders], "ID, NOTE, TAGS")
    deserializer = AvroDeserializer(registry)
    assert [deserializer(value, context(topic)) for value in consume(bootstrap, topic, 2)] == orders
    assert [deserializer(value, context(sink)) for value in written] == [
        {key.upper(): value for key, value in order.items()} for order in orders]


def test_json_schema(bootstrap, through_sql, registry):
    pytest.importorskip("jsonschema")
    from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer

    schema = json.dumps({
        "$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "type": "object", "required": ["id"], "additionalProperties": False,
        "properties": {"id": {"type": "integer"}, "price": {"type": "number"}, "city_of": {"$ref": "#/definitions/place"}},
        "definitions": {"place": {"type": "object", "properties": {"city": {"type": "string"}}}}})
    orders = [{"id": 1, "price": 2.5, "city_of": {"city": "Bern"}}, {"id": 2, "price": 0.1}]
    serializer = JSONSerializer(schema, registry)
    topic, sink, written = through_sql(
        "JSON_SR", lambda topic: [serializer(order, context(topic)) for order in orders], "ID, PRICE, CITY_OF->CITY AS CITY")
    deserializer = JSONDeserializer(schema, schema_registry_client=registry)
    assert [deserializer(value, context(topic)) for value in consume(bootstrap, topic, 2)] == orders
    sink_schema = registry.get_latest_version(f"{sink}-value").schema
    assert sink_schema.schema_type == "JSON"
    sink_deserializer = JSONDeserializer(sink_schema.schema_str, schema_registry_client=registry)
    assert [sink_deserializer(value, context(sink)) for value in written] == [
        {"ID": 1, "PRICE": 2.5, "CITY": "Bern"}, {"ID": 2, "PRICE": 0.1, "CITY": None}]


def message_class():
    """A message `shop.Order` with a nested type, a map, an enum, a oneof and an import, made at run time: no protoc."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    name = f"shop_{uuid.uuid4().hex[:8]}.proto"
    file = descriptor_pb2.FileDescriptorProto(name=name, package="shop", syntax="proto3", dependency=["google/protobuf/timestamp.proto"])
    kind = file.enum_type.add(name="Kind")
    kind.value.add(name="NONE", number=0)
    kind.value.add(name="GIFT", number=1)
    file.message_type.add(name="Unused")
    order = file.message_type.add(name="Order")
    field = descriptor_pb2.FieldDescriptorProto
    order.field.add(name="id", number=1, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
    order.field.add(name="note", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    order.field.add(name="kind", number=3, type=field.TYPE_ENUM, type_name=".shop.Kind", label=field.LABEL_OPTIONAL)
    order.field.add(name="placed", number=4, type=field.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp", label=field.LABEL_OPTIONAL)
    order.field.add(name="items", number=5, type=field.TYPE_MESSAGE, type_name=".shop.Order.Item", label=field.LABEL_REPEATED)
    order.field.add(name="counts", number=6, type=field.TYPE_MESSAGE, type_name=".shop.Order.CountsEntry", label=field.LABEL_REPEATED)
    order.field.add(name="card", number=7, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL, oneof_index=0)
    order.field.add(name="cash", number=8, type=field.TYPE_BOOL, label=field.LABEL_OPTIONAL, oneof_index=0)
    order.oneof_decl.add(name="payment")
    item = order.nested_type.add(name="Item")
    item.field.add(name="price", number=1, type=field.TYPE_DOUBLE, label=field.LABEL_OPTIONAL)
    entry = order.nested_type.add(name="CountsEntry")
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=field.TYPE_SINT32, label=field.LABEL_OPTIONAL)
    entry.options.map_entry = True
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))


def test_protobuf(bootstrap, through_sql, registry):
    pytest.importorskip("google.protobuf")
    from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer

    Order = message_class()
    first = Order(id=1, note="first", kind=1, card="4711")
    first.placed.FromMilliseconds(1_600_000_000_123)
    first.items.add(price=2.5)
    first.items.add(price=0)
    first.counts["a"] = -3
    orders = [first, Order(id=2, cash=False)]
    serializer = ProtobufSerializer(Order, registry, {"use.deprecated.format": False})
    values = []

    def serialized(topic):
        values.extend(serializer(order, context(topic)) for order in orders)
        return values

    topic, sink, written = through_sql(
        "PROTOBUF", serialized,
        "ID, NOTE, KIND, PLACED, ITEMS, COUNTS, PAYMENT_0->CARD AS CARD, PAYMENT_0->CASH AS CASH", ", value_schema_full_name='shop.Order'")
    deserializer = ProtobufDeserializer(Order, {"use.deprecated.format": False}, registry)
    assert [deserializer(value, context(topic)) for value in values] == orders
    # The second message of its file: a place of one index, 1.
    assert values[0][5:7] == b"\x02\x02"
    text = registry.get_latest_version(f"{topic}-value").schema.schema_str
    assert "message Order {" in text and "map<string, sint32> counts = 6;" in text and "oneof payment {" in text
    # What SQL wrote, read with the descriptor that the registry gives.
    Written = class_of(registry, sink, "shop.Order")
    read = [ProtobufDeserializer(Written, {"use.deprecated.format": False}, registry)(value, context(sink)) for value in written]
    assert [(one.ID, one.NOTE, one.KIND, one.CARD, one.CASH) for one in read] == [(1, "first", "GIFT", "4711", False), (2, "", "NONE", "", False)]
    assert read[0].PLACED.ToMilliseconds() == 1_600_000_000_123 and not read[1].HasField("PLACED")
    assert [item.PRICE for item in read[0].ITEMS] == [2.5, 0] and [(entry.key, entry.value) for entry in read[0].COUNTS] == [("a", -3)]


def class_of(registry, topic, name):
    import base64

    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

    version = registry.get_version(f"{topic}-value", "latest", fmt="serialized")
    file = descriptor_pb2.FileDescriptorProto.FromString(base64.standard_b64decode(version.schema.schema_str))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def test_subjects_levels_and_modes(registry):
    subject = f"compat-{uuid.uuid4().hex[:12]}-value"
    Schema = schema_registry.Schema
    old = Schema('syntax = "proto3"; message A { int32 a = 1; }', "PROTOBUF")
    new = Schema('syntax = "proto3"; message A { string a = 1; }', "PROTOBUF")
    id = registry.register_schema(subject, old)
    try:
        assert registry.register_schema(subject, old, normalize_schemas=True) == id
        registry.set_compatibility(subject, "FULL_TRANSITIVE")
        assert registry.get_compatibility(subject) == "FULL_TRANSITIVE"
        assert not registry.test_compatibility(subject, new)
        assert registry.get_latest_version(subject).version == 1
        assert registry.lookup_schema(subject, old).schema_id == id
        with pytest.raises(schema_registry.error.SchemaRegistryError) as refused:
            registry.register_schema(subject, new)
        assert refused.value.http_status_code == 409
        registry.set_compatibility(subject, "NONE")
        assert registry.register_schema(subject, new) != id
        assert registry.get_versions(subject) == [1, 2]
        registry.update_mode(subject, "READONLY")
        assert registry.get_mode(subject) == "READONLY"
        with pytest.raises(schema_registry.error.SchemaRegistryError) as refused:
            registry.delete_subject(subject)
        assert refused.value.error_code == 42205
        registry.update_mode(subject, "READWRITE")
        assert registry.delete_version(subject, 1) == 1
    finally:
        assert registry.delete_subject(subject)
        assert registry.delete_subject(subject, permanent=True)
