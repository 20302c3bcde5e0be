"""A server for one test: answers each request with bytes, cut into HTTP chunks where the test wants them."""

from __future__ import annotations

import json
import socket
import threading
import time


class Pause:
    """In a list of chunks: waits, with the connection open."""

    def __init__(self, seconds):
        self.seconds = seconds


class Break:
    """In a list of chunks: closes the connection without ending the answer."""


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    def json(self):
        return json.loads(self.body)


class FakeServer:
    """``routes``: (method, path) -> function from Request to (status, chunks) or (status, chunks, headers); chunks is a list
    of bytes, Pause and Break, or one bytes for an answer with Content-Length."""

    def __init__(self, routes):
        self.routes = {("GET", "/info"): lambda _: (200, b'{"KsqlServerInfo": {"version": "0.29.0", "serverStatus": "RUNNING"}}')}
        self.routes.update(routes)
        self.requests = []
        self.hung_up = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = self._read(connection)
            if request is None:
                return
            self.requests.append(request)
            route = self.routes.get((request.method, request.path))
            answer = route(request) if route else (404, b'{"@type": "generic_error", "error_code": 40400, "message": "Not Found"}')
            status, content, headers = answer if len(answer) == 3 else (*answer, {})
            head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            try:
                if isinstance(content, bytes):
                    connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
                    return
                connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
                for chunk in content:
                    if isinstance(chunk, Pause):
                        self._wait(connection, chunk.seconds)
                    elif isinstance(chunk, Break):
                        return
                    else:
                        connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                        time.sleep(0.0005)  # so that chunks arrive one by one
                connection.sendall(b"0\r\n\r\n")
            except OSError:
                self.hung_up.set()

    def _wait(self, connection, seconds):
        """Waits, and notices when the client hangs up."""
        connection.settimeout(seconds)
        try:
            if connection.recv(1) == b"":
                self.hung_up.set()
        except socket.timeout:
            pass
        except OSError:
            self.hung_up.set()
        connection.settimeout(None)

    @staticmethod
    def _read(connection):
        file = connection.makefile("rb")
        line = file.readline().decode().split()
        if len(line) < 2:
            return None
        headers = {}
        while True:
            field = file.readline().decode().strip()
            if not field:
                break
            name, _, value = field.partition(":")
            headers[name.lower()] = value.strip()
        return Request(line[0], line[1], headers, file.read(int(headers.get("content-length", 0))))


def cut(data, sizes):
    """Cuts ``data`` into pieces of the given sizes, over and over."""
    pieces, position, index = [], 0, 0
    while position < len(data):
        size = sizes[index % len(sizes)]
        pieces.append(data[position : position + size])
        position += size
        index += 1
    return pieces
