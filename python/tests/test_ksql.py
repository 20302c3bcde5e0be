"""The ksql module: the names, arguments and results of ksql-python."""

import inspect
import json
import socket

import pytest

import ksql.utils
from fake_server import Pause, cut
from ksql import KSQLAPI, SQLBuilder
from ksql.errors import (
    CreateError,
    FileTypeError,
    IllegalTableTypeError,
    IllegalValueFormatError,
    InvalidQueryError,
    KSQLError,
    SQLTypeNotImplementYetError,
)
from ksql.upload import FileUpload

OK = b'[{"@type": "currentStatus", "commandStatus": {"status": "SUCCESS", "message": "Stream created"}, "warnings": []}]'
HEADER = '{"header":{"queryId":"q","schema":"`ID` BIGINT, `V1` DOUBLE, `name` STRING"}}'
ROWS = ['{"row":{"columns":[1,0.5,"a,b"]}}', '{"row":{"columns":[2,null,"}\\n]"]}}']
FINAL = '{"finalMessage":"Limit Reached"}'
QUERY = ("[" + ",\n".join([HEADER, *ROWS, FINAL]) + "]\n").encode()


def client_of(server, **options):
    return KSQLAPI(server.url, **options)


def test_the_signatures_of_ksql_python():
    parameters = inspect.signature(KSQLAPI.query).parameters
    assert list(parameters)[1:] == [
        "query_string", "encoding", "chunk_size", "stream_properties", "idle_timeout", "use_http2", "return_objects", "columns",
    ]  # fmt: skip
    parameters = inspect.signature(KSQLAPI.create_stream_as).parameters
    assert list(parameters)[1:] == [
        "table_name", "select_columns", "src_table", "kafka_topic", "value_format", "conditions", "partition_by", "kwargs",
    ]  # fmt: skip
    assert parameters["value_format"].default == "JSON"


def test_version_url_timeout_and_credentials(serve):
    server = serve({})
    client = client_of(server, api_key="k", secret="s", timeout=7)
    assert client.get_ksql_version() == "0.29.0"
    assert client.get_url() == server.url and client.timeout == 7
    assert server.requests[0].headers["authorization"] == "Basic azpz"
    assert KSQLAPI("http://127.0.0.1:1", check_version=False).timeout == 15


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(KSQLError, match="cannot reach") as info:
        KSQLAPI(f"http://127.0.0.1:{port}")
    assert isinstance(info.value, ConnectionError)


def test_ksql_adds_the_semicolon_and_returns_the_entities(serve):
    server = serve({("POST", "/ksql"): lambda _: (200, b'[{"@type":"tables","tables":[]}]')})
    client = client_of(server)
    assert client.ksql("show tables") == [{"@type": "tables", "tables": []}]
    assert server.requests[-1].json() == {"ksql": "show tables;", "streamsProperties": {}}
    client.ksql("show tables;", stream_properties={"a": "b"})
    assert server.requests[-1].json() == {"ksql": "show tables;", "streamsProperties": {"a": "b"}}
    for nothing in ("", " ", ";", "-- only a comment"):
        with pytest.raises(InvalidQueryError):
            client.ksql(nothing)


def test_get_properties(serve):
    server = serve({("POST", "/ksql"): lambda _: (200, b'[{"@type":"properties","properties":[{"name":"a","value":"b"}]}]')})
    assert client_of(server).get_properties() == [{"name": "a", "value": "b"}]


def test_errors_have_message_code_and_place(serve):
    body = b'{"@type":"statement_error","error_code":40001,"message":"line 2:5: mismatched input","statementText":"x","entities":[]}'
    client = client_of(serve({("POST", "/ksql"): lambda _: (400, body), ("POST", "/query"): lambda _: (400, body)}))
    for call in (lambda: client.ksql("x y"), lambda: list(client.query("select x"))):
        with pytest.raises(KSQLError) as info:
            call()
        error = info.value
        assert (error.msg, error.error_code, error.line, error.column) == ("line 2:5: mismatched input", 40001, 2, 5)
        assert str(error) == "40001: line 2:5: mismatched input" and error.stackTrace is None


def test_create_stream_of_the_article(serve):
    server = serve({("POST", "/ksql"): lambda _: (200, OK)})
    client = client_of(server)
    created = client.create_stream(
        table_name="creditcardfraud_source",
        columns_type=["Id bigint", "Timestamp varchar", "Class string"],
        topic="creditcardfraud_source",
        value_format="DELIMITED",
    )
    assert created is True
    expected = (
        "CREATE stream creditcardfraud_source (Id bigint, Timestamp varchar, Class string) "
        "WITH (kafka_topic='creditcardfraud_source', value_format='DELIMITED');"
    )
    assert server.requests[-1].json()["ksql"] == expected
    columns = {"Id": "bigint", "Timestamp": "varchar", "Class": "string"}
    assert client.create_stream("creditcardfraud_source", columns, "creditcardfraud_source", "DELIMITED")
    assert server.requests[-1].json()["ksql"] == expected


def test_create_table_has_a_key(serve):
    server = serve({("POST", "/ksql"): lambda _: (200, OK)})
    client = client_of(server)
    assert client.create_table("users", ["userid varchar"], "users", "AVRO", "userid")
    assert server.requests[-1].json()["ksql"] == (
        "CREATE table users (userid varchar) WITH (kafka_topic='users', value_format='AVRO', key='userid');"
    )
    with pytest.raises(ValueError, match="key is required"):
        client.create_table("users", ["userid varchar"], "users", "AVRO", None)


def test_create_stream_as(serve):
    server = serve({("POST", "/ksql"): lambda _: (200, OK)})
    client = client_of(server)
    assert client.create_stream_as(
        table_name="pre", select_columns=["Time", "V1"], src_table="src", kafka_topic="t", value_format="AVRO",
        conditions="Class IS NOT NULL", partition_by="Time", timestamp="Time", partitions=3,
    )  # fmt: skip
    assert server.requests[-1].json()["ksql"] == (
        "CREATE stream pre WITH (kafka_topic='t', value_format='AVRO', timestamp='Time', partitions=3) "
        "AS SELECT Time, V1 FROM src where Class IS NOT NULL PARTITION BY Time;"
    )
    client.create_stream_as("pre", ["*"], "src", conditions=['a = "x"', "b > 1"])
    assert server.requests[-1].json()["ksql"] == (
        "CREATE stream pre WITH (kafka_topic='pre', value_format='JSON') AS SELECT * FROM src where (a = 'x') AND (b > 1);"
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"@type":"statement_error","error_code":40001,"message":"line 1:3: exists","statementText":"s","entities":[]}'),
        (200, b'[{"@type":"currentStatus","statementText":"s","commandStatus":{"status":"ERROR","message":"line 1:3: exists"}}]'),
    ],
)
def test_what_cannot_be_created(serve, status, body):
    client = client_of(serve({("POST", "/ksql"): lambda _: (status, body)}))
    for create in (
        lambda: client.create_stream("a", ["x int"], "t"),
        lambda: client.create_table("a", ["x int"], "t", "JSON", "x"),
        lambda: client.create_stream_as("a", ["x"], "b"),
    ):
        with pytest.raises(CreateError, match="exists") as info:
            create()
        assert (info.value.line, info.value.column, info.value.statement) == (1, 3, "s")


def test_builder_refuses_what_it_does_not_know():
    with pytest.raises(SQLTypeNotImplementYetError):
        SQLBuilder.build("drop", table_type="stream")
    with pytest.raises(IllegalTableTypeError):
        SQLBuilder.build("create", table_type="view", table_name="v", columns_type=[], topic="t")
    with pytest.raises(IllegalValueFormatError):
        SQLBuilder.build("create", table_type="stream", table_name="v", columns_type=[], topic="t", value_format="XML")


def test_builder_quotes_strings():
    text = SQLBuilder.build("create", table_type="stream", table_name="v", columns_type=["a int"], topic="it's")
    assert text == "CREATE stream v (a int) WITH (kafka_topic='it''s', value_format='JSON');"


@pytest.mark.parametrize("size", [*range(1, 30), 1000])
def test_each_item_of_a_query_is_whole_however_it_is_cut(serve, size):
    server = serve({("POST", "/query"): lambda _: (200, cut(QUERY, [size]))})
    client = client_of(server)
    assert list(client.query("SELECT * FROM s LIMIT 2")) == [HEADER, *ROWS, FINAL]
    assert server.requests[-1].json() == {"ksql": "SELECT * FROM s LIMIT 2;", "streamsProperties": {}}
    assert list(client.query("SELECT * FROM s", return_objects=True)) == [
        {"ID": 1, "V1": 0.5, "name": "a,b"},
        {"ID": 2, "V1": None, "name": "}\n]"},
    ]


def test_query_with_names_of_ones_own(serve):
    client = client_of(serve({("POST", "/query"): lambda _: (200, [QUERY])}))
    assert next(client.query("SELECT * FROM s", return_objects=True, columns=["a", "b", "c"])) == {"a": 1, "b": 0.5, "c": "a,b"}


def test_query_is_lazy_and_a_generator(serve):
    server = serve({("POST", "/query"): lambda _: (200, [QUERY])})
    client = client_of(server)
    query = client.query("SELECT 1")
    assert inspect.isgenerator(query) and len(server.requests) == 1
    assert next(query) == HEADER


def test_an_error_in_the_middle_of_a_query(serve):
    body = (HEADER + ",\n" + ROWS[0] + ',\n{"errorMessage":{"@type":"generic_error","error_code":50000,"message":"it broke"}}]').encode()
    client = client_of(serve({("POST", "/query"): lambda _: (200, cut(b"[" + body, [9]))}))
    query = client.query("SELECT * FROM s")
    assert [next(query), next(query)] == [HEADER, ROWS[0]]
    with pytest.raises(KSQLError, match="it broke"):
        next(query)


def test_rows_of_old_servers_with_an_empty_error_message(serve):
    old = b'{"row":{"columns":[1]},"errorMessage":null}\n\n'
    client = client_of(serve({("POST", "/query"): lambda _: (200, [old, b"\n", old])}))
    assert list(client.query("SELECT * FROM s")) == ['{"row":{"columns":[1]},"errorMessage":null}'] * 2


def test_idle_timeout_ends_a_silent_query_though_newlines_come(serve):
    script = [b"[" + HEADER.encode() + b",\n", *[b"\n", Pause(0.05)] * 100]
    server = serve({("POST", "/query"): lambda _: (200, script)})
    assert list(client_of(server).query("SELECT * FROM s EMIT CHANGES", idle_timeout=0.3)) == [HEADER]


def test_closing_the_generator_hangs_up(serve):
    script = [b"[" + HEADER.encode() + b",\n", Pause(30)]
    server = serve({("POST", "/query"): lambda _: (200, script)})
    query = client_of(server).query("SELECT * FROM s EMIT CHANGES")
    next(query)
    query.close()
    assert server.hung_up.wait(10)


@pytest.mark.parametrize("size", [1, 10, 1000])
def test_query_stream(serve, size):
    lines = ['{"queryId":"q","columnNames":["A"],"columnTypes":["STRING"]}', '["a\\n]"]', "[null]"]
    server = serve({("POST", "/query-stream"): lambda _: (200, cut(("\n".join(lines) + "\n").encode(), [size]))})
    client = client_of(server)
    assert list(client.query("SELECT * FROM s EMIT CHANGES", use_http2=True, stream_properties={"p": "v"})) == lines
    assert server.requests[-1].json() == {"sql": "SELECT * FROM s EMIT CHANGES;", "properties": {"p": "v"}}


def test_error_at_the_end_of_a_query_stream(serve):
    lines = [
        '{"columnNames":["A"],"columnTypes":["STRING"]}',
        '["a"]',
        '{"@type":"generic_error","error_code":50000,"message":"broke"}',
    ]
    client = client_of(serve({("POST", "/query-stream"): lambda _: (200, ["\n".join(lines).encode()])}))
    query = client.query("SELECT * FROM s", use_http2=True)
    assert [next(query), next(query)] == lines[:2]
    with pytest.raises(KSQLError, match="broke"):
        next(query)


def test_print_yields_lines(serve):
    text = b'Key format: KAFKA_STRING\nrowtime: 1, key: k, value: [{"a":1}], partition: 0\n'
    client = client_of(serve({("POST", "/query"): lambda _: (200, cut(text, [13]))}))
    assert list(client.query("PRINT 't' FROM BEGINNING LIMIT 1")) == text.decode().splitlines()


def test_close_query(serve):
    def close(request):
        known = request.json() == {"queryId": "q"}
        return (200, b"") if known else (400, b'{"error_code":40000,"message":"No query with id"}')

    client = client_of(serve({("POST", "/close-query"): close}))
    assert client.close_query("q") is True
    assert client.close_query("x") is False
    client = client_of(serve({("POST", "/close-query"): lambda _: (500, b'{"error_code":50000,"message":"oh"}')}))
    with pytest.raises(KSQLError, match="oh"):
        client.close_query("q")


def test_inserts_stream(serve):
    answer = b'{"status":"ok","seq":0}\n{"status":"error","seq":1,"error_code":40001,"message":"m"}\n'
    server = serve({("POST", "/inserts-stream"): lambda _: (200, cut(answer, [7]))})
    found = client_of(server).inserts_stream("s", [{"A": 1}, {"A": "x"}])
    assert [each["status"] for each in found] == ["ok", "error"]
    assert [json.loads(line) for line in server.requests[-1].body.splitlines()] == [
        {"target": "s", "properties": {}},
        {"A": 1},
        {"A": "x"},
    ]


def test_upload(serve, tmp_path):
    server = serve({("POST", "/ksql"): lambda _: (200, OK)})
    file = tmp_path / "rules.KSQL"
    file.write_text("-- one;\nCREATE STREAM a (x STRING)\n  WITH (kafka_topic=';', value_format='JSON'); DROP STREAM b;\n\n-- end\n")
    pointer = FileUpload(server.url)
    assert pointer.upload(str(file)) == [json.loads(OK)] * 2
    assert server.requests[-1].json()["ksql"] == "DROP STREAM b;"
    file.write_text("DROP STREAM a; DROP STREAM b")
    count = len(server.requests)
    with pytest.raises(InvalidQueryError):
        pointer.upload(str(file))
    assert len(server.requests) == count
    with pytest.raises(FileTypeError, match=r"\.sql"):
        pointer.upload("rules.sql")


def test_utils(serve):
    statements = []

    def answer(request):
        sql = request.json()["ksql"]
        statements.append(sql)
        if sql.startswith("SHOW"):
            return 200, b'[{"streams":[{"type":"STREAM","name":"AB"},{"type":"STREAM","name":"B"},{"type":"TABLE","name":"AC"}]}]'
        if sql.startswith("DESCRIBE X"):
            return 400, b'{"@type":"statement_error","error_code":40001,"message":"Could not find"}'
        if sql.startswith("DESCRIBE"):
            return 200, b'[{"sourceDescription":{"readQueries":[{"id":"R"}],"writeQueries":[{"id":"W"}]}}]'
        return 200, OK

    client = client_of(serve({("POST", "/ksql"): answer}))
    assert ksql.utils.get_all_streams(client) == ["AB", "B"]
    assert ksql.utils.get_stream_info(client, "X") is None
    assert ksql.utils.get_dependent_queries(client, "AB") == (["R"], ["W"])
    statements.clear()
    ksql.utils.drop_all_streams(client, prefix="a")
    assert statements[1:] == ["DESCRIBE AB EXTENDED;", "TERMINATE R;", "TERMINATE W;", "DROP STREAM IF EXISTS AB;"]
    assert ksql.utils.parse_columns(HEADER)[1] == {"name": "V1", "type": "DOUBLE"}
    assert ksql.utils.process_row(ROWS[0] + ",\n", [{"name": "A"}, {"name": "B"}, {"name": "C"}]) == {
        "A": 1,
        "B": 0.5,
        "C": "a,b",
    }
    assert ksql.utils.process_row(FINAL + "]\n", []) is None


def test_kafka_available():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert ksql.utils.check_kafka_available(address)
    assert not ksql.utils.check_kafka_available(address)
    assert not ksql.utils.check_kafka_available("nonsense")
