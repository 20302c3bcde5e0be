"""HTTP/1.1 to the server with the standard library alone: one request a connection, answers as whole messages."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import time
from urllib.parse import urlsplit

from .errors import ConnectError, MartletError, error_from_body

KSQL_JSON = "application/vnd.ksql.v1+json"
DELIMITED = "application/vnd.ksqlapi.delimited.v1"
READ_BYTES_MAX = 1 << 18


class Wire:
    """Sends requests to one server. Holds no connection, so threads may share it.

    - ``timeout``: seconds for connecting and for the head of an answer; a running query may be silent for longer.
    - ``retries``: further tries when nobody listens at the address yet (nothing was sent, so nothing is done twice).
    """

    def __init__(self, url, timeout=15.0, api_key=None, secret=None, retries=0, delay=0.2, error=MartletError, connect_error=ConnectError):
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not a server address: {url!r}; expected e.g. http://127.0.0.1:8088")
        self.url = url
        self.secure = parts.scheme == "https"
        self.host = parts.hostname
        self.port = parts.port or (443 if self.secure else 80)
        self.prefix = parts.path.rstrip("/")
        self.timeout = timeout
        self.retries = retries
        self.delay = delay
        self.error = error
        self.connect_error = connect_error
        self.headers = {}
        if parts.username and not api_key:
            api_key, secret = parts.username, parts.password
        if api_key:
            token = base64.b64encode(f"{api_key}:{secret or ''}".encode()).decode("ascii")
            self.headers["Authorization"] = f"Basic {token}"

    def get(self, path):
        """Returns the decoded JSON of a GET; raises for anything but 2xx."""
        return self._json("GET", path, None, {"Accept": "application/json"})

    def post(self, path, body, accept=KSQL_JSON, content_type=KSQL_JSON):
        """Returns the decoded JSON of a POST of ``body`` (an object); None for an empty answer."""
        return self._json("POST", path, json.dumps(body).encode(), {"Accept": accept, "Content-Type": content_type})

    def stream(self, path, body, accept, content_type=KSQL_JSON):
        """Starts a POST and returns its ``Answer`` as soon as the status is known; ``body`` is an object or bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._open("POST", path, data, {"Accept": accept, "Content-Type": content_type})

    def _json(self, method, path, data, headers):
        with self._open(method, path, data, headers) as answer:
            text = answer.read_all()
        if not text.strip():
            return None
        try:
            return json.loads(text)
        except ValueError:
            raise self.error(f"{method} {path} answered with something other than JSON: {text[:200]!r}") from None

    def _open(self, method, path, data, headers):
        connection = self._connect()
        try:
            connection.request(method, self.prefix + path, body=data, headers={**self.headers, **headers})
            response = connection.getresponse()
            if response.status < 200 or response.status > 299:
                raise error_from_body(self.error, response.read(), response.status)
        except (OSError, http.client.HTTPException) as failure:
            connection.close()
            if isinstance(failure, (self.error, MartletError)):
                raise
            raise self.connect_error(f"no answer from {self.url} to {method} {path}: {_reason(failure)}") from failure
        except BaseException:
            connection.close()
            raise
        return Answer(connection, response, self)

    def _connect(self):
        for attempt in range(self.retries + 1):
            if self.secure:
                connection = http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=ssl.create_default_context())
            else:
                connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
            try:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
            except OSError as failure:
                connection.close()
                if attempt == self.retries or isinstance(failure, ssl.SSLError):
                    raise self.connect_error(f"cannot reach {self.url}: {_reason(failure)}") from failure
                time.sleep(self.delay)
        raise AssertionError("unreachable: the last attempt returns or raises")


def _reason(failure):
    if isinstance(failure, socket.timeout):
        return "timed out"
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"{failure.verify_message}; the environment variable SSL_CERT_FILE names the certificate of an authority of your own"
    return getattr(failure, "strerror", None) or str(failure) or type(failure).__name__


class Answer:
    """The body of one answer as it arrives. Closing it early ends the query on the server."""

    def __init__(self, connection, response, wire):
        self._connection = connection
        self._response = response
        self._wire = wire
        # getresponse() lets go of connection.sock when the server says `Connection: close`; timeouts need it still.
        self._socket = connection.sock
        if self._socket is None:
            raw = getattr(response.fp, "raw", None)
            self._socket = getattr(raw, "_sock", None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._response.close()
        self._connection.close()

    def read(self, timeout=None):
        """Returns the bytes there are, waiting for some; b"" at the end. Raises socket.timeout after ``timeout`` seconds."""
        if self._socket is not None:
            self._socket.settimeout(timeout)
        try:
            return self._response.read1(READ_BYTES_MAX)
        except socket.timeout:
            raise
        except (OSError, http.client.HTTPException) as failure:
            raise self._wire.connect_error(
                f"the connection to {self._wire.url} broke in the middle of an answer: {_reason(failure)}"
            ) from failure

    def read_all(self):
        pieces = []
        while True:
            try:
                piece = self.read(None)
            except socket.timeout:
                raise self._wire.connect_error(f"no answer from {self._wire.url}: timed out") from None
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)


class LineSplitter:
    """Cuts a stream of bytes into whole messages, one a line, wherever the chunks begin and end.

    A message is handed out when its newline has come, or before that when what is there is a complete JSON value: so a
    server that writes the separator only in front of the next row delays nothing.
    """

    def __init__(self):
        self._pending = b""

    def feed(self, data):
        """Returns the whole lines that ``data`` completes, without surrounding blanks; empty ones are left out."""
        lines = (self._pending + data).split(b"\n")
        self._pending = lines.pop()
        lines = [line for line in map(bytes.strip, lines) if line]
        tail = self._pending.strip()
        if tail[-1:] in (b"}", b"]") and _is_whole(tail):
            lines.append(tail)
            self._pending = b""
        return lines

    def finish(self):
        """Returns what is left when the answer has ended."""
        rest, self._pending = self._pending.strip(), b""
        return [rest] if rest else []


def _is_whole(tail):
    if tail[:2] == b"[{" and tail[-1:] == b"}":
        tail = tail[1:]
    elif tail[:1] == b",":
        tail = tail[1:]
    try:
        json.loads(tail)
    except ValueError:
        return False
    return True


_DECODER = json.JSONDecoder()


def split_objects(line):
    """Yields (text, object) for each JSON object in ``line``: a line of an array of objects, whose brackets and commas
    may stand on either side, and which may hold several. Yields (text, None) for a line that is not of that kind."""
    text = line.strip()
    position = 0
    length = len(text)
    while position < length:
        if text[position] in "[], \t\r":
            position += 1
            continue
        try:
            value, end = _DECODER.raw_decode(text, position)
        except ValueError:
            value, end = None, length
        if not isinstance(value, dict):
            yield text, None
            return
        yield text[position:end], value
        position = end
