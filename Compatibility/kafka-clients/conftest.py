"""Other people's Kafka clients against a running broker.

MARTLET_BOOTSTRAP names it (host:port), e.g. 127.0.0.1:9092 of `martlet dev`. Without it every test is skipped. The suite makes topics and
groups with names of its own and removes the topics afterwards; it leaves everything else alone.
"""

import os
import pathlib
import random
import subprocess
import sys
import time
import uuid

import pytest

BOOTSTRAP = os.environ.get("MARTLET_BOOTSTRAP", "")
GO = pathlib.Path(__file__).parent / "go"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def pytest_collection_modifyitems(items):
    if BOOTSTRAP:
        return
    for item in items:
        item.add_marker(pytest.mark.skip(reason="MARTLET_BOOTSTRAP (host:port of a running broker) is not set"))


@pytest.fixture(scope="session")
def bootstrap():
    return BOOTSTRAP


@pytest.fixture(scope="session")
def admin(bootstrap):
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": bootstrap})


@pytest.fixture
def make_topic(admin):
    """make_topic(partitions=1, **settings) -> name"""
    from confluent_kafka.admin import NewTopic

    made = []

    def make(partitions=1, settings=None):
        name = f"compat-{uuid.uuid4().hex[:12]}"
        admin.create_topics([NewTopic(name, partitions, 1, config=settings or {})])[name].result(30)
        made.append(name)
        return name

    yield make
    if made:
        for future in admin.delete_topics(made).values():
            try:
                future.result(30)
            except Exception as error:  # a test may have deleted it itself
                if "UNKNOWN_TOPIC" not in str(error):
                    raise


def poll_until(members, settled, commits=False, timeout=90):
    """Polls all members until `settled` says yes to their assignments, lists of partition numbers; the values that were read meanwhile, and the assignments."""
    read, deadline = [], time.time() + timeout
    while True:
        for each in members:
            message = each.poll(0.05)
            if message is not None:
                assert message.error() is None, message.error()
                read.append(message.value())
                if commits:
                    each.commit(message=message, asynchronous=True)
        assignments = [sorted(p.partition for p in each.assignment()) for each in members]
        if settled(assignments):
            return read, assignments
        assert time.time() < deadline, assignments


@pytest.fixture
def group_id():
    return f"compat-group-{uuid.uuid4().hex[:12]}"


def records(count, seed, value_bytes=(0, 200)):
    """Repeatable (key, value) pairs; every tenth key is None, values are half compressible."""
    rng = random.Random(seed)
    made = []
    for index in range(count):
        key = None if index % 10 == 9 else f"key-{rng.randrange(1000)}".encode()
        size = rng.randrange(*value_bytes)
        value = b"%d|" % index + rng.randbytes(size // 2) + b"x" * (size - size // 2)
        made.append((key, value))
    return made


@pytest.fixture(scope="session")
def go_drivers():
    """The folder with the Go clients' drivers, built once; skips where what they are made of was not fetched, or is another by now than they were written for."""
    fetched = GO.parents[2] / ".build" / "go" / os.environ.get("GO_CLIENTS_SUITE", "sid")
    if not fetched.is_dir():
        pytest.skip("there are no Go clients: run Scripts/bootstrap.sh clients")
    built = subprocess.run([GO / "build.sh"], capture_output=True, text=True)
    if built.returncode:
        pytest.skip(f"the drivers do not build with the Go clients that Debian has now: {built.stderr.strip()[-400:]}")
    return built.stdout.strip()


@pytest.fixture
def kcat(bootstrap):
    """kcat(*arguments, input=b"") -> stdout bytes; fails with kcat's own words."""

    def run(*arguments, input=None, timeout=60):
        done = subprocess.run(["kcat", "-b", bootstrap, *arguments], input=input, capture_output=True, timeout=timeout)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return run


@pytest.fixture
def spawn_python(bootstrap):
    """spawn_python(source) -> Popen of a Python process that can be killed; BOOTSTRAP is defined in it."""
    running = []

    def spawn(source):
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", f"BOOTSTRAP={bootstrap!r}\n{source}"], stdout=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield spawn
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
