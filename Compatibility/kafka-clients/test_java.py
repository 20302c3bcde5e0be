"""The Java client, where it is at hand: there is a javac, and KAFKA_CLIENTS_CLASSPATH names the jars of kafka-clients and slf4j-api, or
Scripts/bootstrap.sh clients has fetched them."""

import os
import pathlib
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

FOLDER = pathlib.Path(__file__).parent / "java"
FETCHED = FOLDER.parents[2] / ".build" / "java" / "kafka-clients.jar"


@pytest.fixture(scope="module")
def classpath():
    jars = os.environ.get("KAFKA_CLIENTS_CLASSPATH", "")
    if not jars and FETCHED.exists():
        jars = subprocess.run([FOLDER / "fetch.sh"], check=True, capture_output=True, text=True).stdout.strip()
    if not jars or shutil.which("javac") is None:
        pytest.skip("there is no javac, or no jar of kafka-clients: run Scripts/bootstrap.sh clients or set KAFKA_CLIENTS_CLASSPATH")
    return jars


@pytest.fixture(scope="module")
def runs(request, bootstrap, classpath, tmp_path_factory):
    """Driver → (what the compiler said, what its run said). They run at the same time: mostly they wait."""

    def run(driver, classes):
        built = subprocess.run(
            ["javac", "-nowarn", "-cp", classpath, "-sourcepath", FOLDER, "-d", classes, FOLDER / f"{driver}.java"], capture_output=True, text=True)
        if built.returncode != 0:
            return built, None
        return built, subprocess.run(
            ["java", "-cp", f"{classpath}:{classes}", driver, bootstrap], capture_output=True, text=True, timeout=600)

    wanted = [item.callspec.params["driver"] for item in request.session.items if item.module is request.module]
    with ThreadPoolExecutor() as pool:
        # The folders are made here: the factory is not for several threads.
        yield {driver: pool.submit(run, driver, tmp_path_factory.mktemp(driver)) for driver in wanted}


@pytest.mark.parametrize("driver", ["Clients", "Administration", "ShareAdministration", "Shares", "Streams", "Protocol", "Telemetry"])
def test_java_client(runs, driver):
    built, done = runs[driver].result()
    if built.returncode != 0 and driver != "Clients":
        pytest.skip("the client is older than 4, or than 4.2 for share groups and streams groups: what it has of administration is part of Clients")
    assert built.returncode == 0, built.stderr
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-4000:]
