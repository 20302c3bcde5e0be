"""Bytes on a socket: what a client that is broken, hostile or from the future gets, and that others do not notice."""

import os
import socket
import struct

import pytest


@pytest.fixture
def connect(bootstrap):
    host, port = bootstrap.rsplit(":", 1)
    opened = []

    def open_one():
        made = socket.create_connection((host, int(port)), timeout=10)
        opened.append(made)
        return made

    yield open_one
    for made in opened:
        made.close()


def request(api, version, correlation, body=b"", client=b"test"):
    payload = struct.pack(">hhih", api, version, correlation, len(client)) + client + body
    return struct.pack(">i", len(payload)) + payload


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def response(connection):
    size, = struct.unpack(">i", read_exactly(connection, 4))
    payload = read_exactly(connection, size)
    return struct.unpack(">i", payload[:4])[0], payload[4:]


def is_alive(connection):
    connection.sendall(request(18, 0, 99))
    return response(connection)[0] == 99


def is_closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_version_of_the_future_is_told_what_we_speak(connect):
    connection = connect()
    connection.sendall(request(18, 77, 5, os.urandom(20)))
    correlation, body = response(connection)
    error, count = struct.unpack(">hi", body[:6])
    assert (correlation, error) == (5, 35) and count > 20 and len(body) == 6 + count * 6
    assert is_alive(connection)


@pytest.mark.parametrize("frame", [
    request(3, 999, 1), request(999, 0, 1), request(-1, 0, 1), struct.pack(">i", -5), struct.pack(">i", 3) + b"abc",
    struct.pack(">i", 2_000_000_000), request(3, 1, 1, struct.pack(">i", 1_000_000_000)),
    request(0, 9, 1, b"\xff" * 20), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", request(1, 4, 1, b"\0")])
def test_a_malformed_frame_closes_its_connection_and_no_other(connect, frame):
    good, bad = connect(), connect()
    assert is_alive(good)
    bad.sendall(frame)
    assert is_closed(bad)
    assert is_alive(good)


def test_random_bytes_in_every_api(connect):
    for api in range(0, 95):
        for version in (0, 4, 9):
            connection = connect()
            connection.sendall(request(api, version, 1, os.urandom(64)))
            connection.settimeout(0.02)
            try:
                connection.recv(100)
            except (TimeoutError, ConnectionResetError):
                pass
            connection.close()
    assert is_alive(connect())


def test_pipelined_requests_are_answered_in_order(connect):
    connection = connect()
    connection.sendall(b"".join(request(18, 0, i) if i % 2 else request(3, 1, i, struct.pack(">i", -1)) for i in range(500)))
    assert [response(connection)[0] for _ in range(500)] == list(range(500))


def test_a_request_byte_by_byte(connect):
    connection = connect()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in request(18, 0, 3):
        connection.sendall(bytes([byte]))
    assert response(connection)[0] == 3


def test_a_client_that_never_reads_does_not_fill_the_broker(connect, bootstrap):
    deaf = connect()
    deaf.setblocking(False)
    sent = 0
    try:
        for i in range(200_000):
            sent += deaf.send(request(3, 1, i, struct.pack(">i", -1)))
    except BlockingIOError:
        pass
    assert sent < 50_000_000, "the broker stopped reading"
    assert is_alive(connect())
