"""Starts the program on free ports and a directory that survives its death."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("MARTLET_BIN", ROOT / ".build/release/martlet"))


def free_offset():
    for offset in range(14000 + os.getpid() % 1000, 50000, 23):
        try:
            for port in (8081, 8088, 9092):
                socket.create_server(("127.0.0.1", port + offset)).close()
        except OSError:
            continue
        return offset
    raise RuntimeError("no free ports")


class Node:
    def __init__(self, data, *options):
        self.data, self.options = data, options
        self.offset = free_offset()
        self.process = None

    @property
    def kafka(self):
        return f"127.0.0.1:{9092 + self.offset}"

    @property
    def url(self):
        return f"http://127.0.0.1:{8088 + self.offset}"

    def start(self):
        command = [BINARY, "dev", "--data", str(self.data), "--port-offset", str(self.offset), *self.options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the program ended: {self.process.stdout.read()}")
            try:
                with urllib.request.urlopen(f"{self.url}/info", timeout=1):
                    return self
            except OSError:
                time.sleep(0.01)
        raise RuntimeError("the program does not answer")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)
        output = self.process.stdout.read()
        self.process.stdout.close()
        return output

    def ksql(self, sql, **properties):
        body = json.dumps({"ksql": sql, "streamsProperties": properties}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/ksql", body), timeout=30) as response:
            return json.load(response)


@pytest.fixture
def node(tmp_path):
    if not BINARY.exists():
        pytest.skip(f"no program at {BINARY}: make release")
    running = []

    def make(*options):
        running.append(Node(tmp_path / "data", *options))
        return running[-1].start()

    yield make
    for one in running:
        if one.process and one.process.poll() is None:
            one.kill()
