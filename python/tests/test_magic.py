"""%sql, %%sql and %martlet in a notebook's shell."""

import json

import pytest

from martlet.magic import Table, run, table_of


def test_table_as_text_and_html():
    table = Table(["A", "LONG"], [[1, None], ["<b>", {"k": [1, 2]}]], ["a note"])
    assert repr(table) == "A   | LONG\n----+--------\n1   | NULL\n<b> | k: 1, 2\na note"
    shown = table._repr_html_()
    assert "<td>&lt;b&gt;</td>" in shown and "<td>NULL</td>" in shown and "a note" in shown
    assert "61 rows" not in shown and "61 rows, the first 60 shown" in Table(["A"], [[1]] * 61)._repr_html_()


def test_table_of_entities():
    created = {"commandStatus": {"status": "SUCCESS", "message": "Stream created"}, "warnings": [{"message": "KEY is gone"}]}
    assert repr(table_of(created)) == "message\n--------------\nStream created\nwarning: KEY is gone"
    streams = {"@type": "streams", "streams": [{"name": "A", "topic": "a"}, {"name": "B"}]}
    assert table_of(streams).rows == [["A", "a"], ["B", None]]
    fields = [{"name": "X", "schema": {"type": "BIGINT", "fields": None, "memberSchema": None}}]
    assert table_of({"sourceDescription": {"name": "A", "fields": fields}}).rows == [["X", "BIGINT"]]
    assert table_of({"@type": "t", "statementText": "s", "a": 1}).rows == [["a", 1]]


def test_cells(serve):
    pandas = pytest.importorskip("pandas")
    shell_module = pytest.importorskip("IPython.core.interactiveshell")

    def statement(request):
        return 200, json.dumps([{"commandStatus": {"message": "done: " + request.json()["ksql"]}}]).encode()

    server = serve(
        {
            ("POST", "/ksql"): statement,
            ("POST", "/query-stream"): lambda _: (200, [b'{"columnNames":["A"],"columnTypes":["BIGINT"]}\n[1]\n']),
        }
    )
    shell = shell_module.InteractiveShell.instance()
    shell.run_line_magic("load_ext", "martlet")
    assert shell.run_line_magic("martlet", server.url).rows == [[server.url, "0.29.0"]]
    assert shell.run_line_magic("sql", "DROP STREAM x").rows == [["done: DROP STREAM x;"]]
    shell.run_cell_magic("sql", "found", "DROP STREAM y;\nSELECT A FROM t;")
    found = shell.user_ns["found"]
    assert isinstance(found, pandas.DataFrame) and found["A"].tolist() == [1]
    with pytest.raises(ValueError, match="name of a variable"):
        shell.run_cell_magic("sql", "not a name", "SELECT A FROM t;")


def test_a_refused_cell_shows_the_error_and_no_frames(serve, capsys):
    shell_module = pytest.importorskip("IPython.core.interactiveshell")
    body = {"error_code": 40001, "message": "Unknown statement 'SELEC'", "line": 1, "column": 1, "statementText": "SELEC 1;"}
    server = serve({("GET", "/info"): lambda _: (200, b'{"KsqlServerInfo": {}}'), ("POST", "/ksql"): lambda _: (400, json.dumps(body).encode())})
    shell = shell_module.InteractiveShell.instance()
    shell.run_line_magic("load_ext", "martlet")
    shell.run_line_magic("martlet", server.url)
    capsys.readouterr()
    assert not shell.run_cell("%%sql\nSELEC 1;").success
    shown = capsys.readouterr()
    shown = (shown.out + shown.err).strip()
    assert shown == "MartletError: 40001: line 1:1: Unknown statement 'SELEC'\n  SELEC 1;\n  ^^^^^"


def test_SET_and_DEFINE_hold_for_what_follows(serve):
    pytest.importorskip("pandas")
    import martlet

    asked = []

    def statement(request):
        asked.append(request.json())
        return 200, b"[]"

    def query(request):
        asked.append(request.json())
        return 200, [b'{"columnNames":["A"],"columnTypes":["BIGINT"]}\n']

    client = martlet.Client(serve({("POST", "/ksql"): statement, ("POST", "/query-stream"): query}).url)
    run(client, "-- first\nSET 'auto.offset.reset' = 'earliest'; DEFINE city = 'Köln''s'; SELECT A FROM t WHERE c = '${city}';")
    assert asked[-1]["properties"] == {"auto.offset.reset": "earliest"} and asked[-1]["sessionVariables"] == {"city": "Köln's"}
    run(client, "unset 'auto.offset.reset'; UNDEFINE city; SELECT A FROM t;")
    assert asked[-1]["properties"] == {} and "sessionVariables" not in asked[-1]
    assert len(asked) == 6, "the server could refuse each"


def test_an_explanation_shows_the_plan():
    plan = " > [ SINK ]\n   > [ SOURCE ]"
    fields = [{"name": "A", "schema": {"type": "INTEGER", "fields": None, "memberSchema": None}}]
    table = table_of({"queryDescription": {"id": "Q_1", "fields": fields, "sources": ["S", "T"], "executionPlan": plan, "sinks": []}})
    assert table.rows == [["id", "Q_1"], ["fields", "A INTEGER"], ["sources", "S, T"], ["executionPlan", plan]]
    assert repr(table).splitlines()[-2:] == ["executionPlan |  > [ SINK ]", "              |    > [ SOURCE ]"]
    assert "white-space: pre" in table._repr_html_() and table._repr_html_().count("white-space") == 1


def test_a_query_may_begin_with_WITH():
    from martlet import statements

    assert [statements.kind(text) for text in ("WITH a AS (SELECT 1) SELECT * FROM a", "-- c\nselect 1", "PRINT t", "DROP STREAM s")] == [
        "query", "query", "print", "statement",
    ]


def test_an_endless_query_is_stopped(serve):
    pytest.importorskip("pandas")
    import martlet
    from fake_server import Pause

    script = [b'{"columnNames":["A"],"columnTypes":["BIGINT"]}\n[1]\n', Pause(30)]
    client = martlet.Client(serve({("POST", "/query-stream"): lambda _: (200, script)}).url)
    (frame,) = run(client, "SELECT A FROM t EMIT CHANGES;", limit_seconds=0.2)
    assert frame["A"].tolist() == [1]
