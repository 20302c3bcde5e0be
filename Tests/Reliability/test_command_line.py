"""What the program says and does when it is called wrongly, in the wrong place, or told to end."""

import os
import shutil
import signal
import subprocess
import tempfile
import urllib.request

import pytest
from conftest import BINARY, ROOT, Node, free_offset


def run(*arguments, cwd=ROOT, stdin="", **environment):
    return subprocess.run(
        [BINARY, *map(str, arguments)], cwd=cwd, input=stdin, capture_output=True, text=True, timeout=30, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["bogus"], "Unexpected argument 'bogus'"),
        (["dev", "--bogus"], "Unknown option '--bogus'"),
        (["dev", "--port-offset", "99999"], "--port-offset is between -1024 and 50000"),
        (["dev", "--durability", "paper"], "--durability is fsync or os, not 'paper'"),
        (["dev", "--set", "no.such=1"], "there is no property 'no.such'"),
        (["dev", "--set", "auto.offset.reset=sometimes"], "Invalid value sometimes for configuration auto.offset.reset: String must be one of: latest, earliest"),
        (["dev", "--set", "commit.interval.ms=soon"], "Invalid value soon for configuration commit.interval.ms"),
        (["dev", "--data", "x", "--ephemeral"], "--data and --ephemeral exclude each other"),
        (["datagen"], "say what to generate: quickstart=creditcard"),
        (["datagen", "quickstart=creditcard", "rate=fast"], "rate=fast is not a whole number between 1 and 100000000"),
        (["test"], "Missing expected argument '<paths> ...'"),
        (["test", "--kind", "other", "x"], "--kind is qtt or rest, not 'other'"),
    ],
)
def test_a_wrong_call_is_told_with_the_commands_own_usage(arguments, says):
    result = run(*arguments)
    assert result.returncode == 64 and result.stdout == ""
    assert says in result.stderr
    command = f"martlet {arguments[0]}" if arguments[0] != "bogus" else "martlet"
    assert f"Usage: {command} " in result.stderr


def test_what_cannot_be_used_is_named_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("ksql")
    for arguments, says in [
        (["dev", "--data", tmp_path / "file"], "Not a directory"),
        (["dev", "--config", tmp_path / "none"], f"cannot read {tmp_path}/none: no such file or directory"),
        (["dev", "--config", tmp_path], f"cannot read {tmp_path}: is a directory"),
        (["dev", "--config", tmp_path / "file"], "line 1: a setting is name=value"),
        (["sql", "-f", tmp_path], f"cannot read {tmp_path}: is a directory"),
        (["sql", "http://127.0.0.1:1", "-e", "SHOW STREAMS;"], "start a server with: martlet dev"),
        (["test", tmp_path / "none"], f"cannot read {tmp_path}/none"),
        (["datagen", "quickstart=creditcard", "csv=none"], "cannot open none"),
        (["demo", "--model", "none.onnx", "--port-offset", free_offset()], "cannot read none.onnx: no such file or directory"),
        (["demo", "--model", BINARY, "--csv", "none.csv", "--port-offset", free_offset()], "cannot read none.csv: no such file or directory"),
        (["user", "list", "--data", tmp_path / "none"], f"cannot use the data directory {tmp_path}/none"),
        (["user", "remove", "alice", "--data", tmp_path / "none"], f"cannot use the data directory {tmp_path}/none"),
        (["user", "remove", "alice", "--data", tmp_path], "there is no user alice"),
    ]:
        result = run(*arguments, cwd=tmp_path)
        assert result.returncode == 1 and result.stdout == "", (arguments, result)
        assert says in result.stderr, (arguments, result.stderr)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"], "nothing was made where nothing could be done"


def test_a_server_elsewhere_is_not_started_here(tmp_path):
    result = run("sql", "no-such-host.invalid", "-e", "SHOW STREAMS;")
    assert result.returncode == 1 and "no-such-host.invalid" in result.stderr and "martlet dev" not in result.stderr


def test_users_come_and_go(tmp_path):
    data = ["--data", tmp_path]
    assert "there are no users" in run("user", "list", *data).stderr
    assert run("user", "add", "alice", *data, MARTLET_PASSWORD="secret").returncode == 0
    assert run("user", "list", *data).stdout.startswith("alice  ")
    assert run("user", "remove", "alice", *data).returncode == 0
    assert "secret" not in "".join(path.read_text() for path in (tmp_path / "security").iterdir() if path.is_file())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_node_and_clients_are_told(tmp_path, number):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    offset = free_offset()
    command = [BINARY, "dev", "--ephemeral", "--port-offset", str(offset)]
    node = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)})
    url = f"http://127.0.0.1:{8088 + offset}"
    assert "is ready on 127.0.0.1" in node.stdout.readline()
    assert len(list(temporary.iterdir())) == 1
    create = "CREATE STREAM s (id INT KEY) WITH (kafka_topic='s', partitions=1, value_format='JSON');"
    assert run("sql", url, "-e", create).returncode == 0
    client = subprocess.Popen(
        [BINARY, "sql", url, "-e", "SELECT * FROM s EMIT CHANGES;"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    answer = urllib.request.urlopen(f"{url}/query-stream", data=b'{"sql":"SELECT * FROM s EMIT CHANGES;"}', timeout=20)
    assert b"queryId" in answer.readline()
    assert client.stdout.readline()  # The head of its table: the query runs.
    node.send_signal(number)
    assert node.wait(20) == 0
    assert b'"error_code":50303' in answer.readline()
    out, errors = client.communicate(timeout=20)
    assert client.returncode == 1 and "50303: The server is shutting down" in errors and "Query Completed" not in out
    assert not list(temporary.iterdir()), "an ephemeral node leaves nothing"


def test_nohup_keeps_a_node_alive(tmp_path):
    offset = free_offset()
    command = [BINARY, "dev", "--data", str(tmp_path), "--port-offset", str(offset)]
    ignoring = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    node = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=ignoring)
    assert "is ready" in node.stdout.readline()
    node.send_signal(signal.SIGHUP)
    with urllib.request.urlopen(f"http://127.0.0.1:{8088 + offset}/info", timeout=20) as answer:
        assert answer.status == 200
    node.send_signal(signal.SIGTERM)
    assert node.wait(20) == 0


def test_ports_and_directories_in_use_are_named(tmp_path):
    node = Node(tmp_path / "data").start()
    try:
        same_data = run("dev", "--data", node.data, "--port-offset", free_offset())
        assert same_data.returncode == 1 and f"data directory {node.data} is in use by another process" in same_data.stderr
        same_port = run("dev", "--data", tmp_path / "other", "--port-offset", node.offset)
        assert same_port.returncode == 1 and f"port {9092 + node.offset} on 127.0.0.1 is in use" in same_port.stderr
    finally:
        node.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_directory_of_somebody_else():
    """Not in tmp_path, which only its owner may enter."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        program = shutil.copy(BINARY, folder)
        command = [program, "dev", "--data", f"{folder}/data", "--port-offset", str(free_offset())]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, user=65534, cwd=folder)
        assert result.returncode == 1 and "Permission denied" in result.stderr and f"{folder}/data" in result.stderr


def test_a_reader_that_goes_ends_the_program_quietly(tmp_path):
    """`martlet sql … | head -1`"""
    node = Node(tmp_path / "data").start()
    try:
        client = subprocess.Popen([BINARY, "sql", node.url, "-e", "SHOW FUNCTIONS;" * 50], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        client.stdout.readline()
        client.stdout.close()
        assert client.wait(20) != 0
        assert "Fatal" not in client.stderr.read()
    finally:
        node.kill()
