"""Fixtures: a fake server for one test, and a real one for those marked `server`."""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import socket
import subprocess
import tempfile
import time

import pytest

from fake_server import FakeServer

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORTS = (8081, 8088, 9092)

# What must be there, e.g. MARTLET_REQUIRE=server,training: its tests fail instead of being skipped.
REQUIRED = os.environ.get("MARTLET_REQUIRE", "").split(",")


def skip(need, reason):
    """Skips for lack of ``need`` ("server" or "training"), or fails if MARTLET_REQUIRE names it."""
    if need in REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def import_or_skip(module, need):
    try:
        return importlib.import_module(module)
    except ImportError as failure:
        skip(need, f"{need} needs {module} (Scripts/bootstrap.sh full): {failure}")


@pytest.fixture
def serve():
    """A function that starts a `FakeServer` with the given routes."""
    servers = []

    def start(routes):
        servers.append(FakeServer(routes))
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


def free_offset():
    """An offset at which all of Martlet's ports are free."""
    for offset in range(10000 + os.getpid() % 1000, 50000, 17):
        try:
            for port in PORTS:
                socket.create_server(("127.0.0.1", port + offset)).close()
        except OSError:
            continue
        return offset
    raise RuntimeError("no free ports")


class Node:
    """A node of its own: ``url`` (SQL), ``kafka`` (host:port) and ``registry``, from the program ``binary``."""

    def __init__(self, binary, offset):
        self.binary = str(binary)
        self.url = f"http://127.0.0.1:{8088 + offset}"
        self.kafka = f"127.0.0.1:{9092 + offset}"
        self.registry = f"http://127.0.0.1:{8081 + offset}"


@contextlib.contextmanager
def running_node():
    """Starts the built program on free ports with nothing in it, and stops it; skips when there is none to start."""
    binary = pathlib.Path(os.environ.get("MARTLET_BIN", ROOT / ".build" / "release" / "martlet"))
    if not binary.exists():
        skip("server", f"no server: build {binary}, or set MARTLET_BIN")
    offset = free_offset()
    node = Node(binary, offset)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [node.binary, "dev", "--ephemeral", "--port-offset", str(offset)], stdout=log, stderr=subprocess.STDOUT, cwd=ROOT
        )
        try:
            wait_until_up(process, node.url, log)
            yield node
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def server_url():
    """The address of a running Martlet: the one at MARTLET_SERVER, or one started for the tests."""
    import martlet

    given = os.environ.get("MARTLET_SERVER")
    if given:
        martlet.connect(given, retries=10)
        yield given
        return
    with running_node() as node:
        yield node.url


def wait_until_up(process, url, log):
    import martlet

    deadline = time.monotonic() + 30
    while True:
        try:
            martlet.connect(url)
            return
        except martlet.MartletError:
            if process.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                pytest.fail(f"martlet dev did not come up at {url}:\n{log.read().decode(errors='replace')}")
            time.sleep(0.05)
