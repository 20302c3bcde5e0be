"""Go clients, Sarama and kafka-go: each case is one run of the driver in go/, against the suite's broker. Security: test_security.py."""

import os
import subprocess

import pytest

CASES = {
    "sarama": ["codecs", "versions", "many", "idempotence", "offsets", "groups", "static", "crash", "transactions", "zombie", "pipeline", "topics",
               "groupadmin", "refusals"],
    "kafkago": ["codecs", "offsets", "groups", "crash", "transactions", "administration"],
}


@pytest.mark.parametrize("client, case", [(client, case) for client, cases in CASES.items() for case in cases])
def test_go_client(bootstrap, go_drivers, client, case):
    done = subprocess.run([os.path.join(go_drivers, client), bootstrap, case], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
