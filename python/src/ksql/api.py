"""Requests and answers behind `KSQLAPI`."""

from __future__ import annotations

import json
import logging
import socket
import time

from ksql.builder import SQLBuilder
from ksql.errors import CreateError, InvalidQueryError, KSQLConnectionError, KSQLError
from martlet import statements
from martlet.errors import error_from_body
from martlet.wire import DELIMITED, LineSplitter, Wire, split_objects

log = logging.getLogger("ksql")


class SimplifiedAPI:
    """One server. Options: ``timeout`` (seconds, 15), ``max_retries`` and ``delay`` (while nobody listens there),
    ``api_key`` and ``secret`` (basic authentication)."""

    def __init__(self, url, **kwargs):
        self.url = url
        self.timeout = kwargs.get("timeout", 15)
        self.max_retries = kwargs.get("max_retries", 3)
        self.delay = kwargs.get("delay", 0)
        self.api_key = kwargs.get("api_key")
        self.secret = kwargs.get("secret")
        self.wire = Wire(
            url,
            timeout=self.timeout,
            api_key=self.api_key,
            secret=self.secret,
            error=KSQLError,
            connect_error=KSQLConnectionError,
            retries=max(0, (self.max_retries or 1) - 1),
            delay=self.delay,
        )

    def get_timout(self):
        return self.timeout

    def ksql(self, ksql_string, stream_properties=None):
        """Carries out statements other than queries; returns the list of results."""
        entities = self.wire.post("/ksql", {"ksql": self._text(ksql_string), "streamsProperties": stream_properties or {}})
        for entity in entities or []:
            status = entity.get("commandStatus") or {}
            if status.get("status") == "ERROR":
                raise KSQLError(status.get("message", "the statement failed"), statement=entity.get("statementText"), entities=entities)
        return entities

    def query(self, query_string, encoding="utf-8", chunk_size=128, stream_properties=None, idle_timeout=None):
        """Yields the messages of /query, each one as whole JSON text: the header, then a row each, then the final message.

        - ``idle_timeout``: ends when no row has come for so many seconds.
        - ``chunk_size``: taken for compatibility; items do not depend on it.
        - PRINT yields its lines. Raises `KSQLError`, also for an error after the first rows.
        """
        sql = self._text(query_string)
        is_print = statements.kind(sql) == "print"
        body = {"ksql": sql, "streamsProperties": stream_properties or {}}
        for line in self._lines("/query", body, "application/vnd.ksql.v1+json", encoding, idle_timeout):
            if is_print and not line.startswith(('{"@type"', '[{"@type"')):
                yield line
                continue
            for text, message in split_objects(line):
                if message is not None:
                    if message.get("errorMessage"):
                        raise error_from_body(KSQLError, message["errorMessage"])
                    if "@type" in message and "message" in message:
                        raise error_from_body(KSQLError, message)
                yield text

    def query2(self, query_string, encoding="utf-8", chunk_size=128, stream_properties=None, idle_timeout=None):
        """Yields the lines of /query-stream: the header (queryId, columnNames, columnTypes), then each row as an array."""
        body = {"sql": self._text(query_string), "properties": stream_properties or {}}
        first = True
        for line in self._lines("/query-stream", body, DELIMITED, encoding, idle_timeout):
            if line.startswith("{"):
                message = json.loads(line)
                if not first or "columnNames" not in message:
                    raise error_from_body(KSQLError, message)
            first = False
            yield line

    def close_query(self, query_id):
        """Ends a running query; False if the server knows none of that id."""
        try:
            self.wire.post("/close-query", {"queryId": query_id})
        except KSQLError as error:
            if error.status != 400:
                raise
            log.debug("query %s was not closed: %s", query_id, error)
            return False
        return True

    def inserts_stream(self, stream_name, rows):
        """Inserts ``rows`` (dicts); returns the acknowledgement of each, a list of dicts with ``status`` and ``seq``."""
        lines = [json.dumps({"target": stream_name, "properties": {}})] + [json.dumps(row) for row in rows]
        body = ("\n".join(lines) + "\n").encode()
        splitter = LineSplitter()
        found = []
        with self.wire.stream("/inserts-stream", body, DELIMITED, DELIMITED) as answer:
            found = splitter.feed(answer.read_all()) + splitter.finish()
        return [json.loads(line) for line in found]

    def create_stream(self, table_name, columns_type, topic, value_format="JSON", **kwargs):
        return self._create("stream", table_name, columns_type, topic, value_format, **kwargs)

    def create_table(self, table_name, columns_type, topic, value_format, key, **kwargs):
        if not key:
            raise ValueError("key is required for creating a table.")
        return self._create("table", table_name, columns_type, topic, value_format, key=key, **kwargs)

    def create_stream_as(
        self,
        table_name,
        select_columns,
        src_table,
        kafka_topic=None,
        value_format="JSON",
        conditions=(),
        partition_by=None,
        **kwargs,
    ):
        return self._created(
            SQLBuilder.build(
                "create_as",
                table_type="stream",
                table_name=table_name,
                select_columns=select_columns,
                src_table=src_table,
                kafka_topic=kafka_topic,
                value_format=value_format,
                conditions=conditions,
                partition_by=partition_by,
                **kwargs,
            )
        )

    def _create(self, table_type, table_name, columns_type, topic, value_format, key=None, **kwargs):
        return self._created(
            SQLBuilder.build(
                "create",
                table_type=table_type,
                table_name=table_name,
                columns_type=columns_type,
                topic=topic,
                value_format=value_format,
                key=key,
                **kwargs,
            )
        )

    def _created(self, sql):
        log.debug("statement built: %s", sql)
        try:
            self.ksql(sql)
        except KSQLConnectionError:
            raise
        except KSQLError as error:
            raise CreateError(
                error.message,
                error.code,
                error.stackTrace,
                line=error.line,
                column=error.column,
                statement=error.statement or sql,
                entities=error.entities,
                status=error.status,
            ) from error
        return True

    @staticmethod
    def _text(sql):
        if not statements.words(sql):
            raise InvalidQueryError(sql)
        return statements.terminated(sql)

    def _lines(self, path, body, accept, encoding, idle_timeout):
        splitter = LineSplitter()
        last = time.monotonic()
        with self.wire.stream(path, body, accept) as answer:
            while True:
                remaining = None
                if idle_timeout:
                    remaining = last + idle_timeout - time.monotonic()
                    if remaining <= 0:
                        return
                try:
                    data = answer.read(remaining)
                except socket.timeout:
                    return
                for line in splitter.feed(data) if data else splitter.finish():
                    yield line.decode(encoding)
                    last = time.monotonic()
                if not data:
                    return
