"""Go clients, Sarama and kafka-go: each case is one run of the driver in go/, against the suite's broker. Security: test_security.py."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

CASES = {
    "sarama": ["crash", "groups", "codecs", "versions", "many", "idempotence", "offsets", "static", "transactions", "zombie", "pipeline", "topics",
               "groupadmin", "refusals"],
    "kafkago": ["crash", "groups", "codecs", "offsets", "transactions", "administration"],
}


@pytest.fixture(scope="module")
def runs(request, bootstrap, go_drivers):
    """(client, case) → what came of it. Three run at a time: mostly they wait."""

    def run(client, case):
        return subprocess.run([os.path.join(go_drivers, client), bootstrap, case], capture_output=True, text=True, timeout=300)

    wanted = [tuple(item.callspec.params[name] for name in ("client", "case")) for item in request.session.items if item.module is request.module]
    with ThreadPoolExecutor(3) as pool:
        yield {one: pool.submit(run, *one) for one in wanted}


@pytest.mark.parametrize("client, case", [(client, case) for client, cases in CASES.items() for case in cases])
def test_go_client(runs, client, case):
    done = runs[client, case].result()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
