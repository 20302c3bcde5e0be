"""Whole messages, wherever the bytes are cut; connections that fail."""

import json
import random
import socket

import pytest

import martlet
from fake_server import Break, cut
from martlet.wire import LineSplitter, Wire, split_objects


def messages(pieces):
    splitter = LineSplitter()
    found = []
    for piece in pieces:
        found += splitter.feed(piece)
    return found + splitter.finish()


ROWS = [{"header": {"schema": "`A` STRING"}}] + [
    {"row": {"columns": [text, [1, {"}": "]"}]]}} for text in ["", "a,\\n]", '"}]"', "\u20ac\U0001f600", "}\n,{", "[" * 9]
]
ARRAY = ("[" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "]\n").encode()
LINES = "".join(json.dumps(list(row.items()), ensure_ascii=False) + "\n" for row in ROWS).encode()


@pytest.mark.parametrize("size", range(1, 40))
def test_pieces_of_every_size_give_the_same_messages(size):
    decoded = [json.loads(line) for line in messages(cut(LINES, [size]))]
    assert decoded == [[list(item) for item in row.items()] for row in ROWS]
    found = [value for line in messages(cut(ARRAY, [size])) for _, value in split_objects(line.decode())]
    assert found == ROWS


@pytest.mark.parametrize("seed", range(20))
def test_random_cuts(seed):
    rng = random.Random(seed)
    pieces = cut(ARRAY * 3, [rng.randint(1, 60) for _ in range(100)])
    found = [value for line in messages(pieces) for _, value in split_objects(line.decode())]
    assert found == ROWS * 3


def test_a_whole_row_is_given_before_its_newline():
    splitter = LineSplitter()
    assert splitter.feed(b'[1,"a') == []
    assert splitter.feed(b"b]") == []
    assert splitter.feed(b'"]') == [b'[1,"ab]"]']
    assert splitter.feed(b"\n") == splitter.finish() == []
    splitter = LineSplitter()
    assert splitter.feed(b'[{"row":{"columns":[1]}}') == [b'[{"row":{"columns":[1]}}']
    assert splitter.feed(b',\n{"row":{"columns":[2]}}') == [b",", b'{"row":{"columns":[2]}}']


def test_several_objects_on_a_line_and_text_that_is_none():
    assert [text for text, _ in split_objects('[{"a":1},{"b":"},{"},')] == ['{"a":1}', '{"b":"},{"}']
    assert list(split_objects("rowtime: 1, value: x")) == [("rowtime: 1, value: x", None)]
    assert list(split_objects("]")) == []


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(martlet.ConnectError, match=f"cannot reach http://127.0.0.1:{port}: Connection refused") as info:
        martlet.connect(f"http://127.0.0.1:{port}")
    assert isinstance(info.value, ConnectionError) and isinstance(info.value, martlet.MartletError)


def test_a_server_that_says_nothing_times_out():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(martlet.ConnectError, match="timed out"):
            martlet.connect(url, timeout=0.05)


def test_a_connection_that_breaks_in_the_middle(serve):
    server = serve({("POST", "/query-stream"): lambda _: (200, [b'{"columnNames":["A"],"columnTypes":["INTEGER"]}\n[1]\n[2', Break()])})
    rows = martlet.Client(server.url).rows("SELECT * FROM t")
    assert next(rows) == {"A": 1}
    with pytest.raises(martlet.ConnectError, match="broke in the middle"):
        next(rows)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "", "http://h:port"])
def test_not_an_address(url):
    with pytest.raises(ValueError):
        Wire(url)


def test_credentials_and_a_path_before_the_endpoints(serve):
    server = serve({("GET", "/base/info"): lambda _: (200, b'{"KsqlServerInfo": {"version": "1"}}')})
    client = martlet.connect(server.url + "/base/", api_key="k", secret="s")
    assert client.info() == {"version": "1"}
    assert server.requests[0].headers["authorization"] == "Basic azpz"
    martlet.connect(server.url.replace("//", "//k:s@") + "/base")
    assert server.requests[-1].headers["authorization"] == "Basic azpz"
