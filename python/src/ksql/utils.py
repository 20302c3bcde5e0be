"""What programs for ksql-python use beside `KSQLAPI`: rows of a query's answer, and dropping streams with their queries."""

from __future__ import annotations

import json
import socket

from ksql.errors import KSQLError
from martlet.types import parse_schema
from martlet.wire import split_objects


def check_kafka_available(bootstrap_servers):
    """True if somebody listens at "host:port" (the first of a comma-separated list)."""
    host, _, port = bootstrap_servers.split(",")[0].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, ValueError):
        return False
    return True


def get_all_streams(api_client, prefix=None):
    """Returns the names of the streams, or of those that begin with ``prefix`` (in upper case)."""
    streams = api_client.ksql("SHOW STREAMS;")[0]["streams"]
    names = [stream["name"] for stream in streams if stream.get("type") == "STREAM"]
    return [name for name in names if not prefix or name.startswith(prefix.upper())]


def get_stream_info(api_client, stream_name):
    """Returns the description of a stream, or None if there is none of that name."""
    try:
        return api_client.ksql(f"DESCRIBE {stream_name} EXTENDED;")[0]["sourceDescription"]
    except KSQLError as error:
        if error.error_code == 40001:
            return None
        raise


def get_dependent_queries(api_client, stream_name):
    """Returns the ids of the queries that read a stream, and of those that write it."""
    info = get_stream_info(api_client, stream_name) or {}
    return tuple([query["id"] for query in info.get(which) or []] for which in ("readQueries", "writeQueries"))


def drop_stream(api_client, stream_name):
    """Terminates the queries of a stream, then drops it."""
    readers, writers = get_dependent_queries(api_client, stream_name)
    for query in readers + writers:
        api_client.ksql(f"TERMINATE {query};")
    api_client.ksql(f"DROP STREAM IF EXISTS {stream_name};")


def drop_all_streams(api_client, prefix=None):
    for stream in get_all_streams(api_client, prefix=prefix):
        drop_stream(api_client, stream)


def parse_columns(columns_str):
    """Returns [{"name", "type"}, ...] of a query's header: its JSON text, or the schema in it."""
    schema = columns_str
    for _, message in split_objects(columns_str):
        if message is not None:
            schema = message["header"]["schema"]
    return [{"name": name, "type": repr(type)} for name, type in parse_schema(schema)]


def process_row(row, column_names):
    """Returns the dict of one row's JSON text, or None for the final message."""
    for _, message in split_objects(row):
        if message is None:
            break
        if "row" not in message:
            return None
        return dict(zip([column["name"] for column in column_names], message["row"]["columns"]))
    raise ValueError(f"not a row: {row!r}")


def process_query_result(results, return_objects=None, columns=None):
    """Passes on the items of a query, or with ``return_objects`` the rows as dicts."""
    if not return_objects:
        yield from results
        return
    header = None
    for item in results:
        if header is None and '"header"' in item and "header" in json.loads(item):
            header = [{"name": name} for name in columns] if columns else parse_columns(item)
            continue
        row = process_row(item, header or [])
        if row is None:
            return
        yield row
