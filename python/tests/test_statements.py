"""Cutting text into statements."""

import pytest

from martlet import statements


def test_split_keeps_semicolons_in_strings_names_and_comments():
    text = """
        -- first; really
        SELECT 'a;''b' FROM `x;y`; /* ; */
        ; CREATE STREAM "q;" (a INT)
    """
    assert statements.split(text) == ["-- first; really\n        SELECT 'a;''b' FROM `x;y`;", 'CREATE STREAM "q;" (a INT)']


@pytest.mark.parametrize("text", ["", "  \n", ";", "-- nothing", "/* open", "' '"])
def test_split_of_nothing(text):
    assert statements.split(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SHOW STREAMS", "SHOW STREAMS;"),
        ("SHOW STREAMS;\n", "SHOW STREAMS;"),
        ("SELECT ';'", "SELECT ';';"),
        ("SHOW STREAMS -- all", "SHOW STREAMS -- all\n;"),
        ("SHOW STREAMS; -- all", "SHOW STREAMS; -- all"),
        ("A; B", "A; B;"),
    ],
)
def test_terminated(text, expected):
    assert statements.terminated(text) == expected


def test_kind_and_unbounded():
    assert statements.kind("/* x */ select 1") == "query"
    assert statements.kind("print 'T'") == "print"
    assert statements.kind("INSERT INTO a SELECT 1") == "statement"
    assert statements.is_unbounded("SELECT * FROM a EMIT CHANGES;")
    assert not statements.is_unbounded("SELECT * FROM a EMIT CHANGES LIMIT 1;")
    assert not statements.is_unbounded("SELECT 'emit changes' FROM a")
