"""The Java client, where it is at hand: there is a javac, and KAFKA_CLIENTS_CLASSPATH names the jars of kafka-clients and slf4j-api, or
java/fetch.sh has fetched them."""

import os
import pathlib
import shutil
import subprocess

import pytest

FOLDER = pathlib.Path(__file__).parent / "java"
FETCHED = FOLDER.parents[2] / ".build" / "java" / "kafka-clients.jar"


@pytest.fixture(scope="module")
def classpath(tmp_path_factory):
    jars = os.environ.get("KAFKA_CLIENTS_CLASSPATH", "")
    if not jars and FETCHED.exists():
        jars = subprocess.run([FOLDER / "fetch.sh"], check=True, capture_output=True, text=True).stdout.strip()
    if not jars or shutil.which("javac") is None:
        pytest.skip("there is no javac, or no jar of kafka-clients: run Compatibility/kafka-clients/java/fetch.sh or set KAFKA_CLIENTS_CLASSPATH")
    return jars, tmp_path_factory.mktemp("classes")


@pytest.mark.parametrize("driver", ["Clients", "Administration"])
def test_java_client(bootstrap, classpath, driver):
    jars, classes = classpath
    built = subprocess.run(
        ["javac", "-nowarn", "-cp", jars, "-d", classes, FOLDER / f"{driver}.java"], capture_output=True, text=True)
    if built.returncode != 0 and driver == "Administration":
        pytest.skip("the client is older than 4: its administration is part of Clients")
    assert built.returncode == 0, built.stderr
    done = subprocess.run(["java", "-cp", f"{jars}:{classes}", driver, bootstrap], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-4000:]
