"""The Java client, where it is at hand: KAFKA_CLIENTS_CLASSPATH names its jar and that of slf4j-api, and there is a javac."""

import os
import pathlib
import shutil
import subprocess

import pytest

CLASSPATH = os.environ.get("KAFKA_CLIENTS_CLASSPATH", "")
SOURCE = pathlib.Path(__file__).parent / "java" / "Clients.java"


def test_producers_groups_transactions_and_administration(bootstrap, tmp_path):
    if not CLASSPATH or shutil.which("javac") is None:
        pytest.skip("KAFKA_CLIENTS_CLASSPATH (kafka-clients and slf4j-api) is not set, or there is no javac")
    subprocess.run(["javac", "-nowarn", "-cp", CLASSPATH, "-d", tmp_path, SOURCE], check=True, capture_output=True, text=True)
    done = subprocess.run(
        ["java", "-cp", f"{CLASSPATH}:{tmp_path}", "Clients", bootstrap], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
