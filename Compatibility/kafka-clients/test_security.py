"""TLS, SASL and access rules with the clients people use, against a node of the suite's own.

MARTLET_COMMAND begins with the program; without it the tests are skipped. Certificates are those of Tests/Fixtures/tls.
"""

import asyncio
import os
import pathlib
import shlex
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import aiokafka
import kafka
import pytest
from aiokafka.errors import KafkaError as AioKafkaError
from confluent_kafka import Consumer, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import (
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, NewTopic, ResourcePatternType, ResourceType, ScramCredentialInfo,
    ScramMechanism, UserScramCredentialDeletion, UserScramCredentialUpsertion)
from kafka.errors import SaslAuthenticationFailedError as AuthenticationFailedError

PROGRAM = (shlex.split(os.environ.get("MARTLET_COMMAND", "")) or [""])[0]
TLS = pathlib.Path(__file__).parents[2] / "Tests/Fixtures/tls"
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
pytestmark = pytest.mark.skipif(not PROGRAM, reason="MARTLET_COMMAND (the program first) is not set")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class SecuredNode:
    def __init__(self, data):
        self.data = data
        self.sasl_ssl, self.ssl, self.sasl, self.sql, self.schemas = free_ports(5)

    def user(self, *arguments, password=""):
        return subprocess.run(
            [PROGRAM, "user", *arguments, "--data", self.data], input=password, text=True, capture_output=True, timeout=30)

    def start(self):
        settings = {
            "listeners": f"SASL_SSL://127.0.0.1:{self.sasl_ssl},SSL://127.0.0.1:{self.ssl},SASL_PLAINTEXT://127.0.0.1:{self.sasl}",
            "ksql.listeners": f"https://127.0.0.1:{self.sql}", "schema.registry.listeners": f"https://127.0.0.1:{self.schemas}",
            "ssl.certificate.location": TLS / "server.pem", "ssl.key.location": TLS / "server.key", "ssl.ca.location": TLS / "ca.pem",
            "ssl.client.auth": "requested", "super.users": "User:root", "connections.max.reauth.ms": 3000}
        file = pathlib.Path(f"{self.data}.properties")
        file.write_text("# of the test\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
        self.process = subprocess.Popen(
            [PROGRAM, "dev", "--data", self.data, "--config", file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        line = self.process.stdout.readline()
        assert "is ready" in line, line

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=30)[0]

    def librdkafka(self, user="root", password=None, mechanism="PLAIN", **more):
        return {
            "bootstrap.servers": f"localhost:{self.sasl_ssl}", "security.protocol": "SASL_SSL", "ssl.ca.location": str(TLS / "ca.pem"),
            "sasl.mechanisms": mechanism, "sasl.username": user, "sasl.password": password or f"{user}-pw", "log_level": 0, **more}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    made = SecuredNode(str(tmp_path_factory.mktemp("secured") / "data"))
    for user in ["root", "alice"]:
        assert made.user("add", user, password=f"{user}-pw\n").returncode == 0
    made.start()
    admin = AdminClient(made.librdkafka())
    for made_topic in admin.create_topics([NewTopic("open", 1, 1), NewTopic("closed", 1, 1)]).values():
        made_topic.result(10)
    yield made
    output = made.stop()
    assert "authentication failed" in output and "-pw" not in output


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_kcat(node, mechanism):
    def kcat(password, *arguments, **more):
        return subprocess.run(
            ["kcat", "-b", f"localhost:{node.sasl_ssl}", "-X", "security.protocol=SASL_SSL", "-X", f"ssl.ca.location={TLS / 'ca.pem'}",
             "-X", f"sasl.mechanisms={mechanism}", "-X", "sasl.username=root", "-X", f"sasl.password={password}", *arguments],
            capture_output=True, text=True, timeout=30, **more)

    topic = f"kcat-{mechanism}"
    assert kcat("root-pw", "-t", topic, "-P", input="hello\n").returncode == 0
    read = kcat("root-pw", "-t", topic, "-C", "-e", "-o", "beginning")
    assert read.stdout == "hello\n", read.stderr
    refused = kcat("wrong", "-L", "-m", "1")
    assert refused.returncode != 0 and "Authentication failed" in refused.stderr


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_confluent(node, mechanism):
    topic = f"confluent-{mechanism}"
    producer = Producer(node.librdkafka(mechanism=mechanism, **{"enable.idempotence": True}))
    producer.produce(topic, b"value")
    assert producer.flush(10) == 0
    consumer = Consumer(node.librdkafka(mechanism=mechanism, **{"group.id": topic, "auto.offset.reset": "earliest"}))
    consumer.subscribe([topic])
    assert consumer.poll(20).value() == b"value"
    consumer.close()
    errors = []
    wrong = AdminClient({**node.librdkafka(mechanism=mechanism, password="wrong"), "error_cb": errors.append})
    with pytest.raises(KafkaException):
        wrong.list_topics(timeout=1)
    wrong.poll(1)
    assert any("authentication" in str(error).lower() for error in errors)


def run_go(node, go_drivers, client, case, *arguments):
    done = subprocess.run([f"{go_drivers}/{client}", f"localhost:{node.sasl_ssl}", case, TLS / "ca.pem", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.mark.parametrize("client", ["sarama", "kafkago"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_go(node, go_drivers, client, mechanism):
    run_go(node, go_drivers, client, "security", mechanism, "root", "root-pw")


@pytest.mark.parametrize("client", ["sarama", "kafkago"])
def test_go_access_rules(node, go_drivers, client):
    run_go(node, go_drivers, client, "rules", "root", "root-pw", "alice", "alice-pw")


def test_go_users(node, go_drivers):
    run_go(node, go_drivers, "sarama", "users", "root", "root-pw")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_kafka_python(node, mechanism):
    settings = dict(
        bootstrap_servers=f"localhost:{node.sasl_ssl}", security_protocol="SASL_SSL", ssl_cafile=str(TLS / "ca.pem"), sasl_mechanism=mechanism,
        sasl_plain_username="root")
    producer = kafka.KafkaProducer(**settings, sasl_plain_password="root-pw")
    sent = producer.send(f"kafka-python-{mechanism}", b"value").get(20)
    producer.close()
    consumer = kafka.KafkaConsumer(
        sent.topic, **settings, sasl_plain_password="root-pw", auto_offset_reset="earliest", consumer_timeout_ms=10_000)
    assert next(consumer).value == b"value"
    consumer.close()
    with pytest.raises((AuthenticationFailedError, kafka.errors.KafkaError)):
        kafka.KafkaProducer(**settings, sasl_plain_password="wrong", bootstrap_timeout_ms=2000, max_block_ms=2000).send("x", b"").get(3)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_aiokafka(node, mechanism):
    def settings(password):
        return dict(
            bootstrap_servers=f"localhost:{node.sasl_ssl}", security_protocol="SASL_SSL", ssl_context=ssl.create_default_context(cafile=TLS / "ca.pem"),
            sasl_mechanism=mechanism, sasl_plain_username="root", sasl_plain_password=password)

    async def run():
        topic = f"aiokafka-{mechanism}"
        async with aiokafka.AIOKafkaProducer(**settings("root-pw")) as producer:
            await producer.send_and_wait(topic, b"value")
        async with aiokafka.AIOKafkaConsumer(topic, **settings("root-pw"), auto_offset_reset="earliest", group_id=topic) as consumer:
            assert (await asyncio.wait_for(consumer.getone(), 20)).value == b"value"
        wrong = aiokafka.AIOKafkaProducer(**settings("wrong"))
        with pytest.raises(AioKafkaError):
            await wrong.start()
        await wrong.stop()

    asyncio.run(run())


def test_sessions_are_renewed_without_loss(node):
    """connections.max.reauth.ms is 3 s: a producer that works for 8 s has to log in again on its connection, several times."""
    producer = Producer(node.librdkafka(mechanism="SCRAM-SHA-512", **{"linger.ms": 5}))
    delivered, failed = [], []
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        producer.produce("renewed", b"x", on_delivery=lambda error, message: (failed if error else delivered).append(error or message.offset()))
        producer.poll(0.01)
    assert producer.flush(10) == 0
    assert not failed and sorted(delivered) == list(range(len(delivered)))


def test_certificates_of_clients(node):
    subject = "User:CN=client,O=Acme\\, Inc,C=CH"
    admin = AdminClient(node.librdkafka())
    rule = AclBinding(
        ResourceType.TOPIC, "open", ResourcePatternType.LITERAL, subject, "*", AclOperation.READ, AclPermissionType.ALLOW)
    admin.create_acls([rule])[rule].result(10)
    base = {"bootstrap.servers": f"localhost:{node.ssl}", "security.protocol": "SSL", "ssl.ca.location": str(TLS / "ca.pem"), "log_level": 0}
    client = {**base, "ssl.certificate.location": str(TLS / "client.pem"), "ssl.key.location": str(TLS / "client.key")}
    assert set(AdminClient(client).list_topics(timeout=10).topics) == {"open"}
    assert not AdminClient(base).list_topics(timeout=10).topics, "who has no certificate is ANONYMOUS"
    stranger = {**base, "ssl.certificate.location": str(TLS / "stranger.pem"), "ssl.key.location": str(TLS / "stranger.key")}
    assert not AdminClient(stranger).list_topics(timeout=10).topics, "librdkafka keeps back a certificate of an authority that the node did not name"
    forward = ssl.create_default_context(cafile=TLS / "ca.pem")
    forward.load_cert_chain(TLS / "stranger.pem", TLS / "stranger.key")
    with pytest.raises(ssl.SSLError, match="(?i)unknown ca"), socket.create_connection(("127.0.0.1", node.ssl), timeout=10) as plain:
        with forward.wrap_socket(plain, server_hostname="localhost") as secured:
            # With TLS 1.3 the refusal comes with the first answer.
            secured.recv(1)
    with pytest.raises(KafkaException):
        AdminClient({**base, "ssl.ca.location": str(TLS / "stranger.pem")}).list_topics(timeout=2)


def test_access_rules(node):
    admin, alice = AdminClient(node.librdkafka()), node.librdkafka("alice", mechanism="SCRAM-SHA-256")

    def allow(resource, name, operation, pattern=ResourcePatternType.LITERAL, permission=AclPermissionType.ALLOW):
        rule = AclBinding(resource, name, pattern, "User:alice", "*", operation, permission)
        admin.create_acls([rule])[rule].result(10)
        return rule

    def produce(topic):
        errors, producer = [], Producer({**alice, "message.timeout.ms": 5000})
        producer.produce(topic, b"value", on_delivery=lambda error, _: errors.append(error and error.name()))
        producer.flush(10)
        return errors[0]

    def consume(topic, group):
        consumer = Consumer({**alice, "group.id": group, "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        try:
            message = consumer.poll(15)
            return message.error().name() if message.error() else message.value()
        finally:
            consumer.close()

    assert not AdminClient(alice).list_topics(timeout=10).topics
    assert produce("open") == "TOPIC_AUTHORIZATION_FAILED"
    allow(ResourceType.TOPIC, "open", AclOperation.WRITE)
    assert produce("open") is None
    assert produce("closed") == "TOPIC_AUTHORIZATION_FAILED"
    assert set(AdminClient(alice).list_topics(timeout=10).topics) == {"open"}
    assert consume("open", "readers-1") == "GROUP_AUTHORIZATION_FAILED"
    allow(ResourceType.GROUP, "readers-", AclOperation.READ, ResourcePatternType.PREFIXED)
    assert consume("open", "readers-1") == "TOPIC_AUTHORIZATION_FAILED"
    rule = allow(ResourceType.TOPIC, "open", AclOperation.READ)
    assert consume("open", "readers-1") == b"value"
    allow(ResourceType.TOPIC, "op", AclOperation.READ, ResourcePatternType.PREFIXED, AclPermissionType.DENY)
    assert consume("open", "readers-2") == "TOPIC_AUTHORIZATION_FAILED"

    transactional = Producer({**alice, "transactional.id": "tx"})
    with pytest.raises(KafkaException) as refused:
        transactional.init_transactions(10)
    assert refused.value.args[0].name() == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"
    allow(ResourceType.TRANSACTIONAL_ID, "tx", AclOperation.WRITE)
    transactional = Producer({**alice, "transactional.id": "tx"})
    transactional.init_transactions(10)
    transactional.begin_transaction()
    transactional.produce("open", b"whole")
    transactional.commit_transaction(10)

    as_alice = AdminClient(alice)
    with pytest.raises(KafkaException) as refused:
        as_alice.create_topics([NewTopic("mine", 1, 1)])["mine"].result(10)
    assert refused.value.args[0].name() == "TOPIC_AUTHORIZATION_FAILED"
    with pytest.raises(KafkaException):
        as_alice.create_acls([rule])[rule].result(10)
    everything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, "User:alice", None, AclOperation.ANY, AclPermissionType.ANY)
    assert len(admin.describe_acls(everything).result(10)) == 5
    removed = admin.delete_acls([everything])[everything].result(10)
    assert len(removed) == 5 and not admin.describe_acls(everything).result(10)
    assert produce("open") == "TOPIC_AUTHORIZATION_FAILED"


def test_users_are_managed_by_admin_clients_and_by_the_program(node):
    admin = AdminClient(node.librdkafka())
    made = UserScramCredentialUpsertion("carol", ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 5000), b"carol-pw")
    admin.alter_user_scram_credentials([made])["carol"].result(10)
    described = admin.describe_user_scram_credentials(["carol"])["carol"].result(10)
    assert [(one.mechanism, one.iterations) for one in described.scram_credential_infos] == [(ScramMechanism.SCRAM_SHA_512, 5000)]
    AdminClient(node.librdkafka("carol", mechanism="SCRAM-SHA-512")).list_topics(timeout=10)
    with pytest.raises(KafkaException):
        AdminClient(node.librdkafka("carol", mechanism="SCRAM-SHA-256")).list_topics(timeout=1)
    assert "carol  SCRAM-SHA-512, PLAIN" in node.user("list").stdout
    admin.alter_user_scram_credentials([UserScramCredentialDeletion("carol", ScramMechanism.SCRAM_SHA_512)])["carol"].result(10)
    with pytest.raises(KafkaException):
        AdminClient(node.librdkafka("carol", mechanism="SCRAM-SHA-512")).list_topics(timeout=1)

    assert node.user("add", "dora", password="first\n").returncode == 0
    AdminClient(node.librdkafka("dora", "first")).list_topics(timeout=10)
    assert node.user("add", "dora", password="second\n").returncode == 0
    with pytest.raises(KafkaException):
        AdminClient(node.librdkafka("dora", "first")).list_topics(timeout=1)
    AdminClient(node.librdkafka("dora", "second", "SCRAM-SHA-256")).list_topics(timeout=10)
    assert node.user("remove", "dora").returncode == 0
    assert node.user("remove", "dora").returncode == 1
    assert node.user("add", "empty", password="\n").returncode == 1


def test_https(node):
    def status(port, path, user=None, trusted=TLS / "ca.pem"):
        request = urllib.request.Request(f"https://localhost:{port}{path}")
        if user:
            import base64
            request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
        try:
            return urllib.request.urlopen(request, timeout=10, context=ssl.create_default_context(cafile=trusted)).status
        except urllib.error.HTTPError as error:
            return error.code

    assert status(node.sql, "/info") == 401
    assert status(node.sql, "/info", "root:wrong") == 401
    assert status(node.sql, "/info", "root:root-pw") == 200
    assert status(node.sql, "/info", "alice:alice-pw") == 403
    assert status(node.schemas, "/subjects", "alice:alice-pw") == 200
    with pytest.raises(urllib.error.URLError):
        status(node.sql, "/info", "root:root-pw", TLS / "stranger.pem")


def test_other_addresses_than_loopback_need_security(tmp_path):
    kafka_port, sql, schemas = free_ports(3)
    settings = ["--set", f"listeners=PLAINTEXT://0.0.0.0:{kafka_port}", "--set", f"ksql.listeners=http://127.0.0.1:{sql}",
                "--set", f"schema.registry.listeners=http://127.0.0.1:{schemas}"]
    command = [PROGRAM, "dev", "--data", str(tmp_path / "data"), *settings]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert refused.returncode == 1 and refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1 and f"PLAINTEXT://0.0.0.0:{kafka_port} can be reached from other machines" in refused.stderr
    allowed = subprocess.Popen([*command, "--insecure"], stdout=subprocess.PIPE, text=True)
    assert "is ready" in allowed.stdout.readline()
    allowed.terminate()
    allowed.communicate(timeout=30)
