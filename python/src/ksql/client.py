"""`KSQLAPI`, the class programs use."""

from __future__ import annotations

from ksql.api import SimplifiedAPI
from ksql.utils import process_query_result


class KSQLAPI:
    """A client for the server at ``url``, with the methods and results of ksql-python.

    - ``max_retries``: tries while nobody listens at the address.
    - ``check_version``: ask for the version at once, so that a wrong address fails here.
    - ``api_key``, ``secret``: basic authentication; ``timeout``: seconds for the start of each answer (15).
    """

    def __init__(self, url, max_retries=3, check_version=True, **kwargs):
        self.url = url
        self.sa = SimplifiedAPI(url, max_retries=max_retries, **kwargs)
        if check_version is True:
            self.get_ksql_version()

    def __repr__(self):
        return f"KSQLAPI({self.url!r})"

    def get_url(self):
        return self.url

    @property
    def timeout(self):
        return self.sa.get_timout()

    def get_ksql_version(self):
        return self.sa.wire.get("/info")["KsqlServerInfo"]["version"]

    def get_properties(self):
        """Returns the server's properties: a list of {"name", "value", "scope", ...}."""
        return self.sa.ksql("SHOW PROPERTIES;")[0]["properties"]

    def ksql(self, ksql_string, stream_properties=None):
        """Carries out statements other than queries and returns the list of results. A final semicolon is not needed."""
        return self.sa.ksql(ksql_string, stream_properties=stream_properties)

    def query(
        self,
        query_string,
        encoding="utf-8",
        chunk_size=128,
        stream_properties=None,
        idle_timeout=None,
        use_http2=None,
        return_objects=None,
        columns=None,
    ):
        """Runs a query; a generator of its results, each whole. Closing it ends the query.

        - default: JSON text, the header, each row, the final message;
        - ``return_objects=True``: a dict for each row; ``columns``: names to use instead of the header's;
        - ``use_http2=True``: the lines of /query-stream, header then rows. (Carried over HTTP/1.1, with the same results.)
        - ``idle_timeout``: ends when nothing has come for so many seconds.
        """
        arguments = {
            "query_string": query_string,
            "encoding": encoding,
            "chunk_size": chunk_size,
            "stream_properties": stream_properties,
            "idle_timeout": idle_timeout,
        }
        if use_http2:
            yield from self.sa.query2(**arguments)
        else:
            yield from process_query_result(self.sa.query(**arguments), return_objects, columns)

    def close_query(self, query_id):
        return self.sa.close_query(query_id)

    def inserts_stream(self, stream_name, rows):
        return self.sa.inserts_stream(stream_name, rows)

    def create_stream(self, table_name, columns_type, topic, value_format="JSON", **kwargs):
        """Creates a stream over a topic; True, or raises `CreateError`."""
        return self.sa.create_stream(table_name=table_name, columns_type=columns_type, topic=topic, value_format=value_format, **kwargs)

    def create_table(self, table_name, columns_type, topic, value_format, key, **kwargs):
        """Creates a table over a topic, ``key`` its primary key; True, or raises `CreateError`."""
        return self.sa.create_table(
            table_name=table_name, columns_type=columns_type, topic=topic, value_format=value_format, key=key, **kwargs
        )

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
        """Creates a stream from a query over ``src_table``; True, or raises `CreateError`.

        ``kafka_topic`` is the name of the stream unless given; ``conditions``, the text after WHERE;
        ``kwargs``, more properties, e.g. ``timestamp="logtime"``, ``partitions=3``.
        """
        return self.sa.create_stream_as(
            table_name=table_name,
            select_columns=select_columns,
            src_table=src_table,
            kafka_topic=kafka_topic,
            value_format=value_format,
            conditions=conditions,
            partition_by=partition_by,
            **kwargs,
        )
