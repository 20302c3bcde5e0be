"""Types as text, and values of each."""

import datetime
import decimal
import random

import pytest

from martlet.types import converter, encode, parse_schema, parse_type

D = decimal.Decimal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("STRING", "STRING"),
        ("varchar", "STRING"),
        ("VARCHAR(10)", "STRING"),
        ("DECIMAL(4, 2)", "DECIMAL(4, 2)"),
        ("ARRAY<MAP<STRING, INT>>", "ARRAY<MAP<STRING, INTEGER>>"),
        (
            "STRUCT<`a` BIGINT, B ARRAY<DECIMAL(38,10)>, `c``d` STRUCT<>>",
            "STRUCT<`a` BIGINT, `B` ARRAY<DECIMAL(38, 10)>, `c`d` STRUCT<>>",
        ),
    ],
)
def test_parse(text, expected):
    assert repr(parse_type(text)) == expected


@pytest.mark.parametrize("text", ["", "ARRAY", "ARRAY<", "ARRAY<INT", "MAP<STRING>", "STRUCT<`a`>", "INT INT", "DECIMAL(", "%", "`INT`"])
def test_what_is_not_a_type_is_refused(text):
    with pytest.raises(ValueError, match="not a SQL type"):
        parse_type(text)


def test_schema_of_a_header():
    found = parse_schema("`ID` BIGINT KEY, `V1` DOUBLE, `s` STRUCT<`A, B` INTEGER, `M` MAP<STRING, DOUBLE>>")
    assert [name for name, _ in found] == ["ID", "V1", "s"]
    assert [repr(type) for _, type in found][2] == "STRUCT<`A, B` INTEGER, `M` MAP<STRING, DOUBLE>>"
    assert parse_schema("") == []


VALUES = [
    ("BIGINT", 2**63 - 1, 2**63 - 1),
    ("DOUBLE", 1, 1.0),
    ("DOUBLE", "-Infinity", float("-inf")),
    ("DECIMAL(6, 2)", 2, D("2.00")),
    ("DECIMAL(6, 2)", D("1.5"), D("1.50")),
    ("DECIMAL(38, 0)", D("99999999999999999999999999999999999999"), D("99999999999999999999999999999999999999")),
    ("BYTES", "AAH/", b"\x00\x01\xff"),
    ("TIMESTAMP", "2018-12-18T12:00:00.123", datetime.datetime(2018, 12, 18, 12, 0, 0, 123000)),
    ("TIMESTAMP", -1, datetime.datetime(1969, 12, 31, 23, 59, 59, 999000)),
    ("DATE", "2018-12-18", datetime.date(2018, 12, 18)),
    ("TIME", "12:30", datetime.time(12, 30)),
    ("TIME", "12:30:01.500", datetime.time(12, 30, 1, 500000)),
    ("ARRAY<BYTES>", ["AA==", None], [b"\0", None]),
    ("MAP<STRING, DATE>", {"k": "2018-12-18"}, {"k": datetime.date(2018, 12, 18)}),
    ("STRUCT<`A` DECIMAL(3, 1), `B` STRING>", {"A": 1, "B": "x"}, {"A": D("1.0"), "B": "x"}),
    ("ARRAY<INTEGER>", [1, None], [1, None]),
]


@pytest.mark.parametrize(("text", "value", "expected"), VALUES)
def test_values(text, value, expected):
    convert = converter(parse_type(text)) or (lambda value: value)
    assert convert(value) == expected
    assert type(convert(value)) is type(expected)
    assert convert(None) is None


def test_encode_is_the_inverse_for_random_timestamps_and_bytes():
    rng = random.Random(92)
    timestamp, data = converter(parse_type("TIMESTAMP")), converter(parse_type("BYTES"))
    for _ in range(200):
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=rng.randint(-(10**13), 10**14))
        assert timestamp(encode(moment)) == moment
        value = rng.getrandbits(64).to_bytes(8, "big")[: rng.randint(0, 8)]
        assert data(encode(value)) == value


def test_encode():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    assert encode(datetime.datetime(2020, 1, 1, 2, tzinfo=zone)) == "2020-01-01T00:00:00.000"
    assert encode({"a": [float("nan"), D("1.10"), datetime.date(2020, 1, 2)]}) == {"a": [None, "1.10", "2020-01-02"]}
    with pytest.raises(TypeError, match="no SQL type for a object"):
        encode(object())


def test_encode_numpy_and_pandas():
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    assert encode({"i": numpy.int64(5), "f": numpy.float32(0.5), "b": numpy.bool_(True), "a": numpy.arange(2)}) == {
        "i": 5,
        "f": 0.5,
        "b": True,
        "a": [0, 1],
    }
    moments = [pandas.NA, pandas.NaT, pandas.Timestamp("2020-01-01"), numpy.datetime64("2020-01-01", "ns"), numpy.datetime64("NaT")]
    assert encode(moments) == [None, None, "2020-01-01T00:00:00.000", "2020-01-01T00:00:00.000", None]
