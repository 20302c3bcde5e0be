"""Client against scripted answers: statements, rows, frames, inserts, waiting, errors."""

import datetime
import decimal
import json
import time

import pytest

import martlet
from fake_server import Pause, cut


def header(**columns):
    return (json.dumps({"queryId": "q_1", "columnNames": list(columns), "columnTypes": list(columns.values())}) + "\n").encode()


def answer(*parts, sizes=(1 << 20,)):
    return lambda _: (200, cut(b"".join(parts), list(sizes)))


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


ERROR = {
    "@type": "statement_error",
    "error_code": 40001,
    "message": "line 1:8: Column 'X' cannot be resolved.",
    "entities": [{"a": 1}],
}


def test_execute_sends_properties_and_variables_and_adds_a_semicolon(serve):
    server = serve({("POST", "/ksql"): lambda _: (200, b'[{"@type": "streams", "streams": []}]')})
    client = martlet.connect(server.url)
    client.properties["a"] = "1"
    assert client.execute("SHOW STREAMS", {"b": 2}, {"v": 3}) == [{"@type": "streams", "streams": []}]
    assert server.requests[-1].json() == {
        "ksql": "SHOW STREAMS;",
        "streamsProperties": {"a": "1", "b": 2},
        "sessionVariables": {"v": "3"},
    }


def test_a_refused_statement(serve):
    server = serve({("POST", "/ksql"): lambda _: (400, json.dumps({**ERROR, "statementText": "SELECT X;"}).encode())})
    with pytest.raises(martlet.MartletError, match="40001: line 1:8: Column") as info:
        martlet.Client(server.url).execute("SELECT X")
    error = info.value
    assert (error.code, error.line, error.column, error.status) == (40001, 1, 8, 400)
    assert error.statement == "SELECT X;" and error.entities == [{"a": 1}]


def test_a_place_beside_the_message(serve):
    body = b'{"error_code": 40001, "message": "no such column", "line": 3, "column": 7}'
    server = serve({("POST", "/ksql"): lambda _: (400, body)})
    with pytest.raises(martlet.MartletError, match="40001: line 3:7: no such column"):
        martlet.Client(server.url).execute("SELECT X")


@pytest.mark.parametrize("status, hint", [(401, "secret='password'"), (404, "port 8088"), (500, None)])
def test_connecting_to_the_wrong_place_says_what_to_do(serve, status, hint):
    server = serve({("GET", "/info"): lambda _: (status, b'{"message": "no"}')})
    with pytest.raises(martlet.MartletError) as info:
        martlet.connect(server.url)
    assert (hint in str(info.value)) if hint else info.value.hint is None


def refused(serve, body, sql="SELECT 1"):
    server = serve({("POST", "/query-stream"): lambda _: (400, json.dumps({"error_code": 40001, **body}).encode())})
    with pytest.raises(martlet.MartletError) as info:
        martlet.Client(server.url).df(sql)
    return str(info.value)


def test_an_error_points_at_the_culprit(serve):
    said = {"message": "Line: 1, Col: 8: column 'FOO' cannot be resolved.", "line": 1, "column": 8, "hint": "columns are A, B"}
    assert refused(serve, {**said, "statementText": "SELECT foo FROM s;"}) == (
        "40001: line 1:8: column 'FOO' cannot be resolved.\n"
        "  SELECT foo FROM s;\n"
        "         ^^^  columns are A, B"
    )
    # The second line of a statement, a string, wide characters before it, a long hint on a line of its own, and a detail.
    text = "SELECT *\nFROM s WHERE '日本' = 'a b';"
    said = {"message": "cannot compare", "line": 2, "column": 21, "hint": "h" * 90, "detail": "because"}
    assert refused(serve, {**said, "statementText": text}) == (
        f"40001: line 2:21: cannot compare\n  FROM s WHERE '日本' = 'a b';\n  {' ' * 22}^^^^^\n  {'h' * 90}\n  because"
    )
    # What stands around a place in a long line.
    long = "SELECT " + "a, " * 200 + "foo" + ", b" * 200 + " FROM s;"
    shown = refused(serve, {"message": "no foo", "line": 1, "column": 608, "statementText": long}).splitlines()
    assert len(shown[1]) < 220 and shown[1].strip()[0] == shown[1][-1] == "…"
    assert shown[1][shown[2].index("^") :].startswith("foo") and shown[2].count("^") == 3


@pytest.mark.parametrize("place", [{}, {"line": 0, "column": 1}, {"line": 9, "column": 1}, {"line": 1, "column": 999}, {"line": 1}])
def test_a_place_that_is_none_is_not_shown(serve, place):
    shown = refused(serve, {"message": "bad", "statementText": "SELECT 1;", **place})
    assert shown.startswith("40001: ") and "bad" in shown.splitlines()[0] and ("^" not in shown or shown.endswith("         ^"))


def test_a_statement_for_another_call_names_that_call(serve):
    assert "execute()" in refused(serve, {"message": "Statement type `LIST' not supported for this resource", "hint": "send it to /ksql"}, "SHOW STREAMS")
    server = serve({("POST", "/ksql"): lambda _: (400, b'{"error_code": 40002, "message": "SELECT is a query"}')})
    with pytest.raises(martlet.MartletError, match=r"df\(\) and rows\(\)"):
        martlet.Client(server.url).execute("SELECT 1")


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b'"text"', b'{"other": 1}', b"\xff\xfe"])
def test_error_bodies_of_no_known_form(serve, body):
    server = serve({("POST", "/ksql"): lambda _: (502, body)})
    with pytest.raises(martlet.MartletError) as info:
        martlet.Client(server.url).execute("SHOW STREAMS")
    assert info.value.status == 502 and info.value.message


def test_a_command_that_failed_later(serve):
    body = b'[{"@type": "currentStatus", "commandStatus": {"status": "ERROR", "message": "it broke"}}]'
    server = serve({("POST", "/ksql"): lambda _: (200, body)})
    with pytest.raises(martlet.MartletError, match="it broke"):
        martlet.Client(server.url).execute("CREATE STREAM a AS SELECT 1")


ALL = header(
    B="BOOLEAN",
    I="INTEGER",
    L="BIGINT",
    D="DOUBLE",
    S="STRING",
    N="DECIMAL(4, 2)",
    T="TIMESTAMP",
    DT="DATE",
    TM="TIME",
    Y="BYTES",
    A="ARRAY<INTEGER>",
    M="MAP<STRING, DECIMAL(3, 1)>",
    R="STRUCT<`X` TIMESTAMP>",
)
# As text, because Python would shorten 1.50.
ALL_ROWS = (
    b'[true,1,9007199254740993,0.1,"a",1.50,"2018-12-18T12:00:00.123","2018-12-18","12:00","AA==",[1],{"k":1.0},'
    b'{"X":"2018-12-18T12:00:00.000"}]\n' + lines([None] * 13)
)


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_rows_of_all_types(serve, size):
    server = serve({("POST", "/query-stream"): answer(ALL, ALL_ROWS, sizes=[size])})
    first, second = martlet.Client(server.url).rows("SELECT * FROM t")
    moment = datetime.datetime(2018, 12, 18, 12)
    assert first == {
        "B": True,
        "I": 1,
        "L": 9007199254740993,
        "D": 0.1,
        "S": "a",
        "N": decimal.Decimal("1.50"),
        "T": moment.replace(microsecond=123000),
        "DT": moment.date(),
        "TM": moment.time(),
        "Y": b"\0",
        "A": [1],
        "M": {"k": decimal.Decimal("1.0")},
        "R": {"X": moment},
    }
    assert isinstance(first["D"], float) and str(first["N"]) == "1.50"
    assert set(second.values()) == {None}
    assert server.requests[-1].json() == {"sql": "SELECT * FROM t;", "properties": {}}


def test_frame_of_all_types(serve):
    pandas = pytest.importorskip("pandas")
    server = serve({("POST", "/query-stream"): answer(ALL, ALL_ROWS, ALL_ROWS)})
    frame = martlet.Client(server.url).df("SELECT * FROM t")
    assert len(frame) == 4
    assert [str(type) for type in frame.dtypes[:5]] == ["boolean", "Int32", "Int64", "float64", "string"]
    assert str(frame["T"].dtype) == "datetime64[ns]"
    assert frame["L"][2] == 9007199254740993 and frame["L"][3] is pandas.NA
    assert frame["T"][0] == pandas.Timestamp("2018-12-18T12:00:00.123") and frame["T"][1] is pandas.NaT
    assert frame["N"].tolist() == [decimal.Decimal("1.50"), None] * 2
    assert frame["A"].tolist() == [[1], None] * 2
    assert frame["S"].isna().tolist() == [False, True] * 2
    assert frame["D"].isna().tolist() == [False, True] * 2


def test_frame_of_no_rows_keeps_the_types(serve):
    pytest.importorskip("pandas")
    server = serve({("POST", "/query-stream"): answer(ALL)})
    frame = martlet.Client(server.url).df("SELECT * FROM t")
    assert len(frame) == 0 and list(frame.columns)[:2] == ["B", "I"]
    assert [str(type) for type in frame.dtypes[:5]] == ["boolean", "Int32", "Int64", "float64", "string"]


def test_frame_with_doubled_names_numbers_that_are_none_and_far_years(serve):
    pytest.importorskip("pandas")
    rows = lines(["NaN", 1, "9999-12-31T00:00:00.000"], ["Infinity", 2, "1970-01-01T00:00:00.000"])
    head = lines({"columnNames": ["X", "X", "T"], "columnTypes": ["DOUBLE", "INTEGER", "TIMESTAMP"]})
    server = serve({("POST", "/query-stream"): answer(head, rows)})
    frame = martlet.Client(server.url).df("SELECT * FROM t")
    assert list(frame.columns) == ["X", "X", "T"]
    assert str(frame.iloc[:, 0].tolist()) == "[nan, inf]"
    assert frame["T"].dt.year.tolist() == [9999, 1970]


@pytest.mark.parametrize("size", [5, 1 << 20])
def test_an_error_after_rows_comes_after_them(serve, size):
    server = serve({("POST", "/query-stream"): answer(header(A="INTEGER"), lines([1], [2], ERROR), sizes=[size])})
    rows = martlet.Client(server.url).rows("SELECT A FROM t")
    assert [next(rows), next(rows)] == [{"A": 1}, {"A": 2}]
    with pytest.raises(martlet.MartletError, match="cannot be resolved") as info:
        next(rows)
    assert info.value.column == 8


def test_an_error_instead_of_a_header_and_no_header_at_all(serve):
    server = serve({("POST", "/query-stream"): answer(lines(ERROR))})
    with pytest.raises(martlet.MartletError, match="cannot be resolved"):
        list(martlet.Client(server.url).rows("SELECT X FROM t"))
    server = serve({("POST", "/query-stream"): answer()})
    with pytest.raises(martlet.MartletError, match="before its header"):
        list(martlet.Client(server.url).rows("SELECT X FROM t"))


def test_rows_come_at_once_and_closing_hangs_up(serve):
    script = [header(A="INTEGER"), b"[1]\n", Pause(30), b"[2]\n"]
    server = serve({("POST", "/query-stream"): lambda _: (200, script)})
    rows = martlet.Client(server.url).rows("SELECT A FROM t EMIT CHANGES")
    begun = time.monotonic()
    assert next(rows) == {"A": 1}
    rows.close()
    assert time.monotonic() - begun < 10
    assert server.hung_up.wait(10)


def test_timeout_ends_a_push_query_with_what_came(serve):
    pytest.importorskip("pandas")
    script = [header(A="INTEGER"), b"[1]\n", b"\n", b"[2]\n[3", Pause(30)]
    server = serve({("POST", "/query-stream"): lambda _: (200, script)})
    client = martlet.Client(server.url)
    assert client.df("SELECT A FROM t EMIT CHANGES", timeout=0.3)["A"].tolist() == [1, 2]
    with pytest.raises(ValueError, match="never ends"):
        client.df("SELECT A FROM t EMIT CHANGES")


def test_insert_in_several_requests(serve):
    def insert(request):
        target, *rows = request.body.decode().splitlines()
        assert json.loads(target)["target"] == "orders"
        return 200, [b"".join(b'{"status":"ok","seq":%d}\n' % index for index in range(len(rows)))]

    server = serve({("POST", "/inserts-stream"): insert})
    client = martlet.Client(server.url)
    moment = datetime.datetime(2020, 1, 1)
    assert client.insert("orders", ({"id": index, "at": moment} for index in range(12000))) == 12000
    assert [len(request.body.splitlines()) - 1 for request in server.requests] == [5000, 5000, 2000]
    assert server.requests[0].body.splitlines()[1] == b'{"id": 0, "at": "2020-01-01T00:00:00.000"}'
    assert client.insert("orders", []) == 0


def test_insert_of_a_frame(serve):
    pandas = pytest.importorskip("pandas")
    server = serve({("POST", "/inserts-stream"): lambda _: (200, [b'{"status":"ok","seq":0}\n{"status":"ok","seq":1}\n'])})
    frame = pandas.DataFrame({"I": pandas.array([1, None], dtype="Int64"), "D": [0.5, float("nan")]})
    assert martlet.Client(server.url).insert("t", frame) == 2
    assert server.requests[-1].body.splitlines()[1:] == [b'{"I": 1, "D": 0.5}', b'{"I": null, "D": null}']


def test_insert_with_a_refused_or_lost_row(serve):
    body = b'{"status":"ok","seq":0}\n{"status":"error","seq":1,"error_code":40001,"message":"no column Q"}\n{"status":"ok","seq":2}\n'
    server = serve({("POST", "/inserts-stream"): lambda _: (200, [body])})
    with pytest.raises(martlet.MartletError, match="row 1 of t: no column Q") as info:
        martlet.Client(server.url).insert("t", [{}, {"Q": 1}, {}])
    assert info.value.code == 40001
    with pytest.raises(martlet.MartletError, match="row 1 of t"):
        martlet.Client(server.url).insert("t", [{}] * 3)
    server = serve({("POST", "/inserts-stream"): lambda _: (200, [b'{"status":"ok","seq":0}\n'])})
    with pytest.raises(martlet.MartletError, match="acknowledged 1 of 2"):
        martlet.Client(server.url).insert("t", [{}] * 2)


@pytest.mark.parametrize("rows", [{"A": 1}, '{"A": 1}'])
def test_rows_to_insert_are_a_list(rows):
    with pytest.raises(TypeError, match=r"a list of dicts or a DataFrame.*\[row\]"):
        martlet.Client("http://127.0.0.1:1").insert("s", rows)


def test_models(serve):
    body = b'[{"@type": "models", "models": [{"name": "FRAUD_SCORE"}]}]'
    server = serve({("POST", "/ksql"): lambda _: (200, body)})
    assert martlet.Client(server.url).models() == [{"name": "FRAUD_SCORE"}]


def test_wait_for_rows_and_functions(serve):
    counts = iter([0, 1, 3, 3])

    def query(_):
        return 200, [header(A="INTEGER"), lines(*[[index] for index in range(next(counts))])]

    client = martlet.Client(serve({("POST", "/query-stream"): query}).url)
    assert client.wait_for("SELECT A FROM t", rows=2, every=0.01) == [{"A": 0}, {"A": 1}]
    calls = iter([0, None, "yes"])
    assert client.wait_for(lambda: next(calls), every=0.01) == "yes"
    with pytest.raises(TimeoutError, match="saw 3 of 4 rows"):
        client.wait_for("SELECT A FROM t", rows=4, timeout=0.05, every=0.06)


def test_close_query(serve):
    def close(request):
        if request.json()["queryId"] == "q":
            return 200, b""
        return 400, b'{"@type": "generic_error", "error_code": 40000, "message": "No query with id x"}'

    client = martlet.Client(serve({("POST", "/close-query"): close}).url)
    assert client.close_query("q") is None
    with pytest.raises(martlet.MartletError, match="No query with id"):
        client.close_query("x")


def test_lines_of_print(serve):
    server = serve({("POST", "/query-stream"): answer(b"rowtime: 1, key: <null>, value: 1,a,[x], partition: 0\n" * 2, sizes=[11])})
    found = list(martlet.Client(server.url).lines("PRINT 't' LIMIT 2"))
    assert found == ["rowtime: 1, key: <null>, value: 1,a,[x], partition: 0"] * 2
