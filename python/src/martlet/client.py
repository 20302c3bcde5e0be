"""The client: statements, queries as rows or DataFrames, inserts, models."""

from __future__ import annotations

import decimal
import json
import socket
import time

from . import statements
from .errors import MartletError, error_from_body
from .types import converter, encode, parse_type
from .wire import DELIMITED, LineSplitter, Wire

INSERT_ROWS_MAX = 5000
BATCH_BYTES = 1 << 20


def connect(url="http://127.0.0.1:8088", *, timeout=15.0, api_key=None, secret=None, retries=0):
    """Returns a `Client` for the server at ``url`` after asking whether it answers.

    - ``timeout``: seconds for connecting and for the start of each answer.
    - ``retries``: further tries, 0.2 s apart, while nobody listens there yet.
    - Raises `martlet.ConnectError` if the server cannot be reached.
    """
    client = Client(url, timeout=timeout, api_key=api_key, secret=secret, retries=retries)
    client.info()
    return client


class Client:
    """Talks to one server; holds no connection between calls, so threads may share it."""

    def __init__(self, url="http://127.0.0.1:8088", *, timeout=15.0, api_key=None, secret=None, retries=0):
        self.url = url
        self.properties = {}
        self.variables = {}
        self._wire = Wire(url, timeout=timeout, api_key=api_key, secret=secret, retries=retries)

    def __repr__(self):
        return f"martlet.Client({self.url!r})"

    def info(self):
        """Returns the server's own description: version, kafkaClusterId, ksqlServiceId, serverStatus."""
        try:
            return self._wire.get("/info")["KsqlServerInfo"]
        except MartletError as refusal:
            if refusal.status == 401:
                refusal.hint = "pass api_key='user', secret='password', or write them into the address: http://user:password@host:8088"
            elif refusal.status == 404:
                refusal.hint = "is this the address of a SQL server? martlet dev has it on port 8088"
            raise

    def execute(self, sql, properties=None, variables=None):
        """Carries out one or several statements and returns the list of their results, as the REST API shapes them.

        - ``properties``: e.g. ``{"auto.offset.reset": "earliest"}``, over those in ``client.properties``.
        - ``variables``: values for ``${name}`` in the statements, over those in ``client.variables``.
        - Raises `MartletError`; its ``entities`` are the results of the statements before the refused one.
        """
        body = {"ksql": statements.terminated(sql), "streamsProperties": {**self.properties, **(properties or {})}}
        body.update(self._session_variables(variables))
        try:
            entities = self._wire.post("/ksql", body) or []
        except MartletError as refusal:
            if refusal.code == 40002:
                refusal.hint = "df() and rows() run a query, lines() runs PRINT"
            raise
        for entity in entities:
            status = entity.get("commandStatus") or {}
            if status.get("status") == "ERROR":
                raise MartletError(status.get("message", "the statement failed"), statement=entity.get("statementText"), entities=entities)
        return entities

    def _session_variables(self, more=None):
        variables = {**self.variables, **(more or {})}
        return {"sessionVariables": {key: str(value) for key, value in variables.items()}} if variables else {}

    def rows(self, sql, properties=None, timeout=None):
        """Yields each row of a query as a dict with Python values (see `martlet.types`).

        - ``timeout``: ends the iteration after so many seconds; without it, a query with EMIT CHANGES and no LIMIT goes
          on until the iterator is closed, which ends the query on the server too.
        """
        result = self.query(sql, properties, timeout)
        with result:
            names = result.names
            converters = [converter(type) for type in result.types]
            plain = not any(converters)
            for batch in result.batches(low_latency=True):
                for row in batch:
                    if plain:
                        yield dict(zip(names, row))
                    else:
                        yield {name: value if convert is None else convert(value) for name, value, convert in zip(names, row, converters)}

    def df(self, sql, properties=None, timeout=None):
        """Returns the rows of a query as a pandas DataFrame with the declared types (see `martlet.frames`).

        A query that would never end (EMIT CHANGES without LIMIT) needs ``timeout``: what came in that time is returned.
        """
        from .frames import FrameBuilder

        if timeout is None and statements.is_unbounded(sql):
            raise ValueError("a query with EMIT CHANGES and no LIMIT never ends: add LIMIT n, or pass timeout=seconds")
        with self.query(sql, properties, timeout) as result:
            builder = FrameBuilder(result.names, result.types)
            for batch in result.batches():
                builder.append(batch)
        return builder.frame()

    def query(self, sql, properties=None, timeout=None):
        """Starts a query and returns its `QueryResult`: names, types, then batches of plain rows."""
        body = {"sql": statements.terminated(sql), "properties": {**self.properties, **(properties or {})}, **self._session_variables()}
        try:
            return QueryResult(self._wire.stream("/query-stream", body, DELIMITED), timeout)
        except MartletError as refusal:
            if "not supported for this resource" in refusal.message:
                refusal.hint = "execute() carries it out"
            raise

    def lines(self, sql, properties=None, timeout=None):
        """Yields the lines of a PRINT statement."""
        body = {"sql": statements.terminated(sql), "properties": {**self.properties, **(properties or {})}, **self._session_variables()}
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._wire.stream("/query-stream", body, DELIMITED) as answer:
            for line in _lines(answer, deadline):
                if line.startswith(b'{"@type"'):
                    raise error_from_body(MartletError, line)
                yield line.decode("utf-8", "replace")

    def close_query(self, query_id):
        """Ends a running query of another connection; raises `MartletError` if there is none of that id."""
        self._wire.post("/close-query", {"queryId": query_id})

    def insert(self, stream, rows):
        """Inserts ``rows`` (dicts, or a DataFrame) into a stream and returns how many.

        Sent in requests of 5,000 rows. A refused row raises `MartletError` that names its place, counted from 0, after the
        other rows of its request were tried.
        """
        if hasattr(rows, "to_dict"):
            rows = rows.to_dict("records")
        if isinstance(rows, (dict, str)):
            raise TypeError(f"rows are a list of dicts or a DataFrame, not a {type(rows).__name__}; a single row is [row]")
        total = 0
        batch = []
        for row in rows:
            batch.append(row)
            if len(batch) == INSERT_ROWS_MAX:
                total += self._insert(stream, batch, total)
                batch = []
        if batch:
            total += self._insert(stream, batch, total)
        return total

    def _insert(self, stream, rows, first):
        lines = [json.dumps({"target": stream, "properties": self.properties})]
        lines += [json.dumps(encode(row)) for row in rows]
        acknowledged = 0
        failure = None
        body = ("\n".join(lines) + "\n").encode()
        with self._wire.stream("/inserts-stream", body, DELIMITED, DELIMITED) as answer:
            for line in _lines(answer, None):
                acknowledgement = json.loads(line)
                if acknowledgement.get("status") == "ok":
                    acknowledged += 1
                elif failure is None:
                    failure = error_from_body(MartletError, acknowledgement)
                    place = acknowledgement.get("seq")
                    if place is not None:
                        failure.message = f"row {first + place} of {stream}: {failure.message}"
        if failure is not None:
            raise failure
        if acknowledged != len(rows):
            raise MartletError(f"the server acknowledged {acknowledged} of {len(rows)} rows for {stream}")
        return acknowledged

    def models(self):
        """Returns the models known to the server, a list of dicts, as SHOW MODELS tells them."""
        for entity in self.execute("SHOW MODELS;"):
            if "models" in entity:
                return entity["models"]
        return []

    def wait_for(self, what, rows=1, timeout=30.0, every=0.1):
        """Waits until something is so, and returns it; raises TimeoutError after ``timeout`` seconds.

        - ``what``: a query, waited for until it gives at least ``rows`` rows (then the list of the first ``rows``), asked
          again ``every`` seconds unless it is a push query; or a function, waited for until it returns a true value.
        """
        deadline = time.monotonic() + timeout
        while True:
            if callable(what):
                found = what()
                if found:
                    return found
                seen = f"{what!r} last returned {found!r}"
            else:
                found = []
                remaining = max(deadline - time.monotonic(), 0.05)
                for row in self.rows(what, {"auto.offset.reset": "earliest"}, timeout=remaining):
                    found.append(row)
                    if len(found) >= rows:
                        return found
                seen = f"saw {len(found)} of {rows} rows of {what!r}"
            if time.monotonic() + every > deadline:
                raise TimeoutError(f"waited {timeout:g} s: {seen}")
            time.sleep(every)

    def wait_ready(self, timeout=30.0):
        """Waits until the server answers and says that it is running; returns `info()`."""

        def ready():
            try:
                info = self.info()
            except MartletError:
                return None
            return info if info.get("serverStatus", "RUNNING") == "RUNNING" else None

        return self.wait_for(ready, timeout=timeout, every=0.05)


def _lines(answer, deadline):
    splitter = LineSplitter()
    while True:
        remaining = None
        if deadline is not None:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
        try:
            data = answer.read(remaining)
        except socket.timeout:
            return
        if not data:
            yield from splitter.finish()
            return
        yield from splitter.feed(data)


class QueryResult:
    """A running query: ``id`` (None unless the server names one), ``names`` and ``types`` of its columns, then its rows.

    Use it in a ``with``; leaving that ends the query.
    """

    def __init__(self, answer, timeout=None):
        self._answer = answer
        self._splitter = LineSplitter()
        self._ready = []
        self._ended = False
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self.id = None
        self.names, self.types = [], []
        self.timed_out = False
        try:
            self._read_header()
        except BaseException:
            answer.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._answer.close()

    def _read_header(self):
        while not self._ready:
            if not self._fill():
                if self.timed_out:
                    return
                raise MartletError("the answer to the query ended before its header")
        first = self._ready.pop(0)
        header = json.loads(first)
        if not isinstance(header, dict) or "columnNames" not in header:
            raise error_from_body(MartletError, header)
        self.id = header.get("queryId")
        self.names = header["columnNames"]
        self.types = [parse_type(text) for text in header["columnTypes"]]

    def _fill(self):
        """Reads on; False at the end of the answer or of the time."""
        if self._ended:
            return False
        remaining = None
        if self._deadline is not None:
            remaining = self._deadline - time.monotonic()
        try:
            data = b"" if remaining is not None and remaining <= 0 else self._answer.read(remaining)
            self.timed_out = remaining is not None and remaining <= 0
        except socket.timeout:
            data = b""
            self.timed_out = True
        if data:
            self._ready += self._splitter.feed(data)
            return True
        self._ended = True
        if not self.timed_out:
            self._ready += self._splitter.finish()
        return bool(self._ready)

    def batches(self, low_latency=False):
        """Yields lists of rows, each a list of JSON values in column order. ``low_latency`` hands out what has come
        at once; otherwise rows are collected to about 1 MB, which decodes faster."""
        decimals = any(type.has("DECIMAL") for type in self.types)
        parse_float = decimal.Decimal if decimals else None
        batch, size = [], 0
        while True:
            batch += self._ready
            size += sum(map(len, self._ready))
            self._ready = []
            if batch and (low_latency or size >= BATCH_BYTES or self._ended):
                failure = self._failure(batch)
                if batch:
                    yield self._decode(batch, parse_float)
                if failure is not None:
                    raise failure
                batch, size = [], 0
            if not self._fill() and not batch:
                return

    @staticmethod
    def _failure(lines):
        """Takes an error, the last thing in an answer, off ``lines`` and makes the exception of it."""
        if lines[-1][:1] != b"{":
            return None
        return error_from_body(MartletError, lines.pop())

    @staticmethod
    def _decode(lines, parse_float):
        try:
            return json.loads(b"[" + b",".join(lines) + b"]", parse_float=parse_float)
        except ValueError as failure:
            raise MartletError(f"a row of the answer is not JSON: {failure}") from None
