"""Every version of every API that the broker says it speaks, request by request: whatever version a client negotiates (franz-go's and the Java
client's newest are among them), the request is understood and its answer is read, to the last byte, by somebody else's decoder.

Encoder and decoder are kafka-python's, which are made from Kafka's descriptions of its messages.
"""

import itertools
import os
import socket
import struct
import uuid

import pytest
from kafka.protocol import admin, consumer, metadata, producer  # noqa: F401 (they define the messages)
from kafka.protocol.api_message import ApiMessage
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

# What Kafka 4.2 speaks to clients of a single broker, key: newest version. java/Protocol.java has it from the Java client's own tables.
KAFKA_4 = {
    0: 13, 1: 18, 2: 11, 3: 13, 8: 10, 9: 10, 10: 6, 11: 9, 12: 4, 13: 5, 14: 5, 15: 6, 16: 5, 17: 1, 18: 4, 19: 7, 20: 6, 21: 2, 22: 5, 23: 4, 24: 5, 25: 4,
    26: 5, 27: 2, 28: 5, 29: 3, 30: 3, 31: 3, 32: 4, 33: 2, 34: 2, 35: 4, 36: 2, 37: 3, 38: 3, 39: 2, 40: 2, 41: 3, 42: 2, 43: 2, 44: 1, 45: 1, 46: 0, 47: 0, 48: 1, 49: 1, 50: 0, 51: 0, 55: 2, 57: 2, 60: 2,
    61: 0, 64: 0, 65: 0, 66: 2, 68: 1, 69: 1, 71: 0, 72: 0, 74: 1, 75: 0, 76: 1, 77: 1, 78: 2, 79: 2,
    80: 1, 81: 0, 88: 0, 89: 0, 90: 1, 91: 0, 92: 0}


def messages(base=ApiMessage):
    for one in base.__subclasses__():
        yield one
        yield from messages(one)


REQUESTS = {one.__name__[:-len("Request")]: one for one in messages() if one.__name__.endswith("Request")}
RESPONSES = {one.__name__[:-len("Response")]: one for one in messages() if one.__name__.endswith("Response")}


def filled(kind, version, fields):
    """A message of dictionaries, without what the version does not have."""
    made = {}
    for name, value in fields.items():
        field = kind._struct.fields[name]
        if not field.for_version_q(version):
            continue
        if value is not None and field.is_struct_array():
            value = [filled(field.data_class, version, one) for one in value]
        elif value is not None and field.is_struct():
            value = filled(field.data_class, version, value)
        made[name] = value
    return kind(version=version, **made)


class Client:
    def __init__(self, bootstrap):
        host, port = bootstrap.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.numbers = itertools.count(1)
        answer = self.send("ApiVersions", 3, client_software_name="test", client_software_version="1")
        self.spoken = {one.api_key: (one.min_version, one.max_version) for one in answer.api_keys}

    def versions(self, api):
        oldest, newest = self.spoken[REQUESTS[api].API_KEY]
        known = range(oldest, min(newest, REQUESTS[api].max_version) + 1)
        assert len(known) > 0
        return known

    def send(self, api, version=None, **fields):
        """One request, in the newest version if none is given; a version beyond what is spoken means the nearest that is."""
        kind, answers = REQUESTS[api], RESPONSES[api]
        if hasattr(self, "spoken"):
            known = self.versions(api)
            version = known[-1] if version is None else min(max(version, known[0]), known[-1])
        number = next(self.numbers)
        request = filled(kind, version, fields)
        request.with_header(correlation_id=number, client_id="versions")
        self.socket.sendall(request.encode(version=version, header=True, framed=True))
        size, = struct.unpack(">i", self._read(4, api, version))
        body = self._read(size, api, version)
        assert struct.unpack(">i", body[:4])[0] == number
        start, flexible = 4, answers.flexible_version_q(version)
        if flexible and api != "ApiVersions":
            assert body[4] == 0, "no tags in the header"
            start = 5
        read = answers._struct.compiled_decode_from(version, compact=flexible, tagged=flexible, data_class=answers)
        decoded, end = read(memoryview(body), start)
        assert end == len(body), f"{api} {version}: {len(body) - end} bytes are left"
        return decoded

    def _read(self, count, api, version):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            assert more, f"{api} {version}: the broker closed the connection"
            data += more
        return data


SET, DELETE = 0, 1
BROKER_LOGGER, CLIENT_METRICS = 8, 16


def alter(bootstrap, kind, name, *changes):
    """The error code of the changes (setting, operation, value): by the wire, as librdkafka's admin client does not know these kinds of resources."""
    client = Client(bootstrap)
    answer = client.send("IncrementalAlterConfigs", validate_only=False, resources=[{"resource_type": kind, "resource_name": name, "configs": [
        {"name": setting, "config_operation": operation, "value": value} for setting, operation, value in changes]}])
    client.socket.close()
    return answer.responses[0].error_code


def subscribe(bootstrap, name, **settings):
    """To metrics of clients (KIP-714)."""
    assert alter(bootstrap, CLIENT_METRICS, name, *((key.replace("_", "."), SET, value) for key, value in settings.items())) == 0


def unsubscribe(bootstrap, name):
    assert alter(bootstrap, CLIENT_METRICS, name, *((key, DELETE, None) for key in ("metrics", "interval.ms", "match"))) == 0


@pytest.fixture(scope="module")
def client(bootstrap):
    # Without a subscription clients are not told that they could report.
    subscribe(bootstrap, "versions", metrics="no.such.metric")
    made = Client(bootstrap)
    yield made
    made.socket.close()
    unsubscribe(bootstrap, "versions")


def identity(client, name):
    return client.send("Metadata", topics=[{"name": name}], allow_auto_topic_creation=False).topics[0].topic_id


def batch(*values):
    builder = MemoryRecordsBuilder(2, 0, 1 << 20)
    for number, value in enumerate(values):
        builder.append(1_700_000_000_000 + number, b"k", value)
    builder.close()
    return bytes(builder.buffer())


def values(data):
    found, records = [], MemoryRecords(bytes(data))
    while records.has_next():
        found += [record.value for record in records.next_batch()]
    return found


def produce(client, name, *given, version=None):
    topic = {"name": name, "topic_id": identity(client, name), "partition_data": [{"index": 0, "records": batch(*given)}]}
    answer = client.send("Produce", version, acks=-1, timeout_ms=10_000, topic_data=[topic])
    partition, = answer.responses[0].partition_responses
    assert partition.error_code == 0
    return partition.base_offset


def test_what_kafka_speaks(client):
    missing = {key: (client.spoken.get(key), newest) for key, newest in KAFKA_4.items()
               if key not in client.spoken or client.spoken[key][1] < newest}
    assert not missing, f"key: (spoken, wanted): {missing}"
    for version in client.versions("ApiVersions"):
        answer = client.send("ApiVersions", version, client_software_name="test", client_software_version="1")
        assert answer.error_code == 0 and len(answer.api_keys) == len(client.spoken)



def test_produce_and_fetch(client, make_topic):
    name = make_topic(settings={"retention.ms": "-1"})
    written = []
    for version in client.versions("Produce"):
        if version < 3:
            continue  # messages of before 0.11: test_kafka_python writes them
        written.append(b"by %d" % version)
        assert produce(client, name, written[-1], version=version) == len(written) - 1
    for version in client.versions("Fetch"):
        partition = {"partition": 0, "current_leader_epoch": -1, "fetch_offset": 0, "last_fetched_epoch": -1, "log_start_offset": -1,
                     "partition_max_bytes": 1 << 20}
        answer = client.send(
            "Fetch", version, replica_id=-1, max_wait_ms=100, min_bytes=1, max_bytes=1 << 20, isolation_level=0, session_id=0, session_epoch=-1,
            topics=[{"topic": name, "topic_id": identity(client, name), "partitions": [partition]}], forgotten_topics_data=[], rack_id="")
        partition, = answer.responses[0].partitions
        assert (partition.error_code, partition.high_watermark) == (0, len(written)), version
        assert values(partition.records) == written, version


def test_a_fetch_session(client, make_topic):
    """As franz-go reads: topics by id, one session, only what changed is named, what is done with is forgotten."""
    names = [make_topic(settings={"retention.ms": "-1"}) for _ in range(2)]
    ids = [identity(client, name) for name in names]

    def fetch(session, epoch, wanted=(), forgotten=()):
        return client.send(
            "Fetch", replica_id=-1, max_wait_ms=200, min_bytes=1, max_bytes=1 << 20, isolation_level=1, session_id=session, session_epoch=epoch, rack_id="",
            topics=[{"topic_id": one, "partitions": [{
                "partition": 0, "current_leader_epoch": -1, "fetch_offset": offset, "last_fetched_epoch": -1, "log_start_offset": -1,
                "partition_max_bytes": 1 << 20}]} for one, offset in wanted],
            forgotten_topics_data=[{"topic_id": one, "partitions": [0]} for one in forgotten])

    opened = fetch(0, 0, [(ids[0], 0), (ids[1], 0)])
    assert opened.error_code == 0 and opened.session_id != 0 and len(opened.responses) == 2
    for name in names:
        produce(client, name, b"a", b"b")
    changed = fetch(opened.session_id, 1)
    assert {one.topic_id for one in changed.responses} == set(ids) and all(values(one.partitions[0].records) == [b"a", b"b"] for one in changed.responses)
    again = fetch(opened.session_id, 2, [(ids[0], 2)], forgotten=[ids[1]])
    assert again.error_code == 0 and again.responses == []
    assert fetch(opened.session_id, 9).error_code == 71, "INVALID_FETCH_SESSION_EPOCH"
    assert fetch(opened.session_id + 1, 3).error_code == 70, "FETCH_SESSION_ID_NOT_FOUND"
    unknown = fetch(0, -1, [(uuid.uuid4(), 0)])
    assert unknown.responses[0].partitions[0].error_code == 100, "UNKNOWN_TOPIC_ID"
    assert fetch(opened.session_id, -1).error_code == 0


def test_offsets(client, make_topic):
    name = make_topic(settings={"retention.ms": "-1"})
    for value in [b"a", b"b", b"c"]:
        produce(client, name, value)
    for version in client.versions("ListOffsets"):
        # Places have no version of their own before the one that introduced them; there is no tiered storage.
        for timestamp, offset in [(-1, 3), (-2, 0), *((place, expected) for place, since, expected in [(-4, 8, 0), (-5, 9, -1), (-6, 11, -1)] if version >= since)]:
            answer = client.send(
                "ListOffsets", version, replica_id=-1, isolation_level=0, timeout_ms=1000, topics=[{"name": name, "partitions": [
                    {"partition_index": 0, "current_leader_epoch": -1, "timestamp": timestamp}]}])
            partition, = answer.topics[0].partitions
            assert (partition.error_code, partition.offset) == (0, offset), version
    for version in client.versions("OffsetForLeaderEpoch"):
        answer = client.send("OffsetForLeaderEpoch", version, replica_id=-1, topics=[{"topic": name, "partitions": [
            {"partition": 0, "current_leader_epoch": -1, "leader_epoch": 100}]}])
        partition, = answer.topics[0].partitions
        assert (partition.error_code, partition.end_offset) == (0, -1), version
    for version in client.versions("DeleteRecords"):
        answer = client.send("DeleteRecords", version, timeout_ms=1000, topics=[{"name": name, "partitions": [{"partition_index": 0, "offset": version}]}])
        partition, = answer.topics[0].partitions
        assert (partition.error_code, partition.low_watermark) == (0, version)


def test_the_cluster(client, make_topic):
    name = make_topic(3)
    for version in client.versions("Metadata"):
        answer = client.send("Metadata", version, topics=[{"name": name}], allow_auto_topic_creation=False)
        topic, = answer.topics
        assert (topic.error_code, topic.name, len(topic.partitions), len(answer.brokers)) == (0, name, 3, 1), version
        if version >= 1:
            assert len(client.send("Metadata", version, topics=None, allow_auto_topic_creation=False).topics) >= 1
        absent = client.send("Metadata", version, topics=[{"name": f"no-{uuid.uuid4().hex}"}], allow_auto_topic_creation=False) if version >= 4 else None
        assert absent is None or absent.topics[0].error_code == 3
    for version in client.versions("DescribeCluster"):
        answer = client.send("DescribeCluster", version, endpoint_type=1)
        assert answer.error_code == 0 and len(answer.brokers) == 1 and answer.cluster_id
    for version in client.versions("DescribeTopicPartitions"):
        answer = client.send("DescribeTopicPartitions", version, topics=[{"name": name}], response_partition_limit=2)
        assert len(answer.topics[0].partitions) == 2 and answer.next_cursor.partition_index == 2
        answer = client.send(
            "DescribeTopicPartitions", version, topics=[{"name": name}], response_partition_limit=2, cursor={"topic_name": name, "partition_index": 2})
        assert [one.partition_index for one in answer.topics[0].partitions] == [2] and answer.next_cursor is None
    for version in client.versions("FindCoordinator"):
        for key_type in [0, 1]:
            answer = client.send("FindCoordinator", version, key="x", key_type=key_type, coordinator_keys=["x", "y"])
            found = answer.coordinators if version >= 4 else [answer]
            assert [one.error_code for one in found] == [0] * (2 if version >= 4 else 1), version
            if key_type == 1 and version == 0:
                break
    share = f"group:{uuid.uuid4().hex[:22]}:0"
    found = client.send("FindCoordinator", 6, key="", key_type=2, coordinator_keys=[share, "group"]).coordinators
    assert [one.error_code for one in found] == [0, 42], "a share's key has three parts"


def test_topics(client):
    for version in client.versions("CreateTopics"):
        name = f"compat-versions-{uuid.uuid4().hex[:12]}"
        topic = {"name": name, "num_partitions": 1, "replication_factor": 1, "assignments": [], "configs": [{"name": "retention.ms", "value": "-1"}]}
        answer = client.send("CreateTopics", version, topics=[topic], timeout_ms=10_000, validate_only=False)
        assert answer.topics[0].error_code == 0, version
        assert version < 5 or answer.topics[0].num_partitions == 1 and len(answer.topics[0].configs) > 5
        again = client.send("CreateTopics", version, topics=[topic], timeout_ms=10_000, validate_only=False)
        assert again.topics[0].error_code == 36, "TOPIC_ALREADY_EXISTS"
        partitions = client.send("CreatePartitions", version, topics=[{"name": name, "count": 4, "assignments": None}], timeout_ms=10_000, validate_only=False)
        assert partitions.results[0].error_code == 0
        deleted = client.send("DeleteTopics", version, topics=[{"name": name}], topic_names=[name], timeout_ms=10_000)
        assert deleted.responses[0].error_code == 0


def test_settings(client, make_topic):
    name = make_topic()
    for version in client.versions("DescribeConfigs"):
        answer = client.send("DescribeConfigs", version, resources=[{"resource_type": 2, "resource_name": name, "configuration_keys": None}],
                             include_synonyms=True, include_documentation=True)
        assert answer.results[0].error_code == 0 and len(answer.results[0].configs) > 10, version
    for version in client.versions("AlterConfigs"):
        answer = client.send("AlterConfigs", version, validate_only=False, resources=[
            {"resource_type": 2, "resource_name": name, "configs": [{"name": "retention.ms", "value": str(1_000_000 + version)}]}])
        assert answer.responses[0].error_code == 0
    for version in client.versions("IncrementalAlterConfigs"):
        answer = client.send("IncrementalAlterConfigs", version, validate_only=False, resources=[
            {"resource_type": 2, "resource_name": name, "configs": [{"name": "segment.bytes", "config_operation": 0, "value": str(2_000_000 + version)}]}])
        assert answer.responses[0].error_code == 0
    found = client.send("DescribeConfigs", resources=[{"resource_type": 2, "resource_name": name, "configuration_keys": ["retention.ms", "segment.bytes"]}])
    assert {one.name: one.value for one in found.results[0].configs} == {"retention.ms": "1000002", "segment.bytes": "2000001"}
    for version in client.versions("DescribeLogDirs"):
        answer = client.send("DescribeLogDirs", version, topics=[{"topic": name, "partitions": [0]}])
        assert answer.results[0].error_code == 0 and answer.results[0].topics[0].partitions[0].partition_index == 0, version


@pytest.mark.parametrize("version", range(0, 11))
def test_a_group(client, make_topic, group_id, version):
    """The requests of a member, all of one generation of clients."""
    name = make_topic()
    join = dict(group_id=group_id, session_timeout_ms=30_000, rebalance_timeout_ms=30_000, protocol_type="consumer",
                protocols=[{"name": "range", "metadata": b"\0\0\0\0\0\0\0\0\0\0"}], reason="as the test wants")
    joined = client.send("JoinGroup", version, member_id="", **join)
    if version >= 4:
        assert joined.error_code == 79, "MEMBER_ID_REQUIRED"
        joined = client.send("JoinGroup", version, member_id=joined.member_id, **join)
    assert (joined.error_code, joined.leader, len(joined.members)) == (0, joined.member_id, 1)
    me = dict(group_id=group_id, generation_id=joined.generation_id, member_id=joined.member_id)
    synced = client.send("SyncGroup", version, **me, protocol_type="consumer", protocol_name="range",
                         assignments=[{"member_id": joined.member_id, "assignment": b"mine"}])
    assert (synced.error_code, bytes(synced.assignment)) == (0, b"mine")
    assert client.send("Heartbeat", version, **me).error_code == 0
    partition = {"partition_index": 0, "committed_offset": 7, "committed_leader_epoch": 0, "committed_metadata": "m"}
    topic_id = identity(client, name)
    committed = client.send(
        "OffsetCommit", version, group_id=group_id, generation_id_or_member_epoch=joined.generation_id, member_id=joined.member_id,
        retention_time_ms=-1, topics=[{"name": name, "topic_id": topic_id, "partitions": [partition]}])
    assert committed.topics[0].partitions[0].error_code == 0
    wanted = [{"name": name, "topic_id": topic_id, "partition_indexes": [0]}]
    fetched = client.send("OffsetFetch", version, **(
        {"groups": [{"group_id": group_id, "topics": wanted}], "require_stable": True} if version >= 8
        else {"group_id": group_id, "topics": [{"name": name, "partition_indexes": [0]}], "require_stable": True}))
    found = (fetched.groups[0] if version >= 8 else fetched).topics[0].partitions[0]
    assert (found.error_code, found.committed_offset, found.metadata) == (0, 7, "m")
    described = client.send("DescribeGroups", version, groups=[group_id]).groups[0]
    assert (described.error_code, described.group_state, described.protocol_data, len(described.members)) == (0, "Stable", "range", 1)
    listed = client.send("ListGroups", version, states_filter=["Stable"], types_filter=["classic"])
    assert group_id in [one.group_id for one in listed.groups]
    assert client.send("DeleteGroups", version, groups_names=[group_id]).results[0].error_code == 68, "NON_EMPTY_GROUP"
    left = client.send("LeaveGroup", version, group_id=group_id, member_id=joined.member_id, members=[{"member_id": joined.member_id, "reason": "done"}])
    assert left.error_code == 0
    assert client.send("Heartbeat", version, **me).error_code == 25, "UNKNOWN_MEMBER_ID"
    forgotten = client.send("OffsetDelete", version, group_id=group_id, topics=[{"name": name, "partitions": [{"partition_index": 0}]}])
    assert (forgotten.error_code, forgotten.topics[0].partitions[0].error_code) == (0, 0)
    # With its last offset an empty group is gone too.
    assert client.send("DeleteGroups", version, groups_names=[group_id]).results[0].error_code in (0, 69)


@pytest.mark.parametrize("version", range(0, 6))
def test_a_transaction(client, make_topic, group_id, version):
    name, transactional_id = make_topic(), f"compat-{uuid.uuid4().hex[:12]}"
    begun = client.send("InitProducerId", version, transactional_id=transactional_id, transaction_timeout_ms=20_000, producer_id=-1, producer_epoch=-1)
    assert (begun.error_code, begun.producer_epoch) == (0, 0)
    me = dict(transactional_id=transactional_id, producer_id=begun.producer_id, producer_epoch=begun.producer_epoch)
    topics = [{"name": name, "partitions": [0]}]
    added = client.send("AddPartitionsToTxn", version, **({"transactions": [{**me, "verify_only": False, "topics": topics}]} if version >= 4 else {
        "v3_and_below_transactional_id": transactional_id, "v3_and_below_producer_id": begun.producer_id, "v3_and_below_producer_epoch": 0,
        "v3_and_below_topics": topics}))
    results = added.results_by_transaction[0].topic_results if version >= 4 else added.results_by_topic_v3_and_below
    assert results[0].results_by_partition[0].partition_error_code == 0
    assert client.send("AddOffsetsToTxn", version, **me, group_id=group_id).error_code == 0
    committed = client.send("TxnOffsetCommit", version, **me, group_id=group_id, generation_id=-1, member_id="", topics=[
        {"name": name, "partitions": [{"partition_index": 0, "committed_offset": 5, "committed_leader_epoch": -1, "committed_metadata": ""}]}])
    assert committed.topics[0].partitions[0].error_code == 0
    listed = client.send("ListTransactions", version, state_filters=["Ongoing"], producer_id_filters=[begun.producer_id], duration_filter=-1)
    assert [one.transactional_id for one in listed.transaction_states] == [transactional_id]
    described, = client.send("DescribeTransactions", version, transactional_ids=[transactional_id]).transaction_states
    assert (described.error_code, described.transaction_state) == (0, "Ongoing")
    assert client.send("DescribeProducers", version, topics=[{"name": name, "partition_indexes": [0]}]).topics[0].partitions[0].error_code == 0
    ended = client.send("EndTxn", version, **me, committed=True)
    assert ended.error_code == 0
    assert version < 5 or (ended.producer_id, ended.producer_epoch) == (begun.producer_id, begun.producer_epoch + 1)
    offset = client.send("OffsetFetch", 7, group_id=group_id, topics=[{"name": name, "partition_indexes": [0]}], require_stable=True)
    assert offset.topics[0].partitions[0].committed_offset == 5


def test_what_else_is_asked(client, make_topic):
    """Rules, users, quotas and replicas of a node that has none."""
    name = make_topic()
    anything = dict(resource_type_filter=1, resource_name_filter=None, pattern_type_filter=1, principal_filter=None, host_filter=None, operation=1,
                    permission_type=1)
    rule = dict(resource_type=2, resource_name=name, resource_pattern_type=3, principal="User:a", host="*", operation=3, permission_type=3)
    for version in client.versions("DescribeAcls"):
        assert client.send("DescribeAcls", version, **anything).error_code == 54, "SECURITY_DISABLED"
        assert client.send("CreateAcls", version, creations=[rule]).results[0].error_code == 54
        assert client.send("DeleteAcls", version, filters=[anything]).filter_results[0].error_code == 54
    for version in client.versions("ElectLeaders"):
        answer = client.send("ElectLeaders", version, election_type=0, topic_partitions=[{"topic": name, "partitions": [0]}], timeout_ms=1000)
        assert answer.replica_election_results[0].partition_result[0].error_code == 84, "ELECTION_NOT_NEEDED"
    for version in client.versions("ListPartitionReassignments"):
        assert client.send("ListPartitionReassignments", version, timeout_ms=1000, topics=None).error_code == 0
    for version in client.versions("AlterPartitionReassignments"):
        answer = client.send("AlterPartitionReassignments", version, timeout_ms=1000, topics=[
            {"name": name, "partitions": [{"partition_index": 0, "replicas": None}]}])
        assert answer.responses[0].partitions[0].error_code == 85, "NO_REASSIGNMENT_IN_PROGRESS"
    for version in client.versions("DescribeClientQuotas"):
        answer = client.send("DescribeClientQuotas", version, components=[{"entity_type": "user", "match_type": 2, "match": None}], strict=False)
        assert (answer.error_code, answer.entries) == (0, [])
    for version in client.versions("DescribeUserScramCredentials"):
        answer = client.send("DescribeUserScramCredentials", version, users=[{"name": os.urandom(4).hex()}])
        assert (answer.error_code, answer.results[0].error_code) == (0, 91), "RESOURCE_NOT_FOUND"
    for version in client.versions("AlterReplicaLogDirs"):
        answer = client.send("AlterReplicaLogDirs", version, dirs=[{"path": "/elsewhere", "topics": [{"name": name, "partitions": [0]}]}])
        assert answer.results[0].partitions[0].error_code == 57, "LOG_DIR_NOT_FOUND"
    for version in client.versions("UpdateFeatures"):
        answer = client.send("UpdateFeatures", version, timeout_ms=1000, validate_only=True, feature_updates=[
            {"feature": "no.such.feature", "max_version_level": 1, "upgrade_type": 1}])
        assert 95 in [answer.error_code, *(one.error_code for one in answer.results)], "INVALID_UPDATE_VERSION"
    for version in client.versions("DescribeQuorum"):
        answer = client.send("DescribeQuorum", version, topics=[{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}])
        partition, = answer.topics[0].partitions
        assert (answer.error_code, partition.error_code, partition.leader_id, len(partition.current_voters)) == (0, 0, 1, 1), version
    for version in client.versions("ListConfigResources"):
        answer = client.send("ListConfigResources", version, resource_types=[2])
        assert answer.error_code == 0 and (version == 0 or name in [one.resource_name for one in answer.config_resources])
    for version in client.versions("WriteTxnMarkers"):
        answer = client.send("WriteTxnMarkers", version, markers=[
            {"producer_id": 1_000_000, "producer_epoch": 0, "transaction_result": False, "coordinator_epoch": 0, "topics": [{"name": name, "partition_indexes": [7]}]}])
        assert answer.markers[0].topics[0].partitions[0].error_code == 3, "UNKNOWN_TOPIC_OR_PARTITION"
