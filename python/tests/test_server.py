"""Against Martlet itself: the article's statements, types there and back, errors with their places."""

import datetime
import decimal
import json
import uuid

import pytest

import martlet
from conftest import ROOT
from ksql import KSQLAPI
from ksql.errors import CreateError, KSQLError

pytestmark = pytest.mark.server

EARLIEST = {"auto.offset.reset": "earliest"}
COMPONENTS = [f"V{index}" for index in range(1, 29)]


@pytest.fixture
def client(server_url):
    return martlet.connect(server_url)


@pytest.fixture
def api(server_url):
    return KSQLAPI(server_url)


def fresh(prefix):
    return f"{prefix}_{uuid.uuid4().hex[:8]}"


def test_info_and_properties(api, client):
    assert api.get_ksql_version() == client.info()["version"]
    assert all({"name", "value"} <= property.keys() for property in api.get_properties())


def test_the_articles_statements(api, client):
    source, target = fresh("creditcardfraud_source"), fresh("creditcardfraud_preprocessed_avro")
    client.execute(f"CREATE STREAM {source}_topic (x STRING) WITH (kafka_topic='{source}', value_format='JSON', partitions=3);")
    assert api.create_stream(
        table_name=source,
        columns_type=["Id bigint", "Timestamp varchar", "User varchar", "Time int"]
        + [f"{name} double" for name in COMPONENTS]
        + ["Amount double", "Class string"],
        topic=source,
        value_format="DELIMITED",
    )
    assert api.create_stream_as(
        table_name=target,
        select_columns=["Time", *COMPONENTS, "Amount", "Class"],
        src_table=source,
        kafka_topic=target,
        value_format="AVRO",
        conditions="Class IS NOT NULL",
    )
    values = {name: index + 0.25 for index, name in enumerate(COMPONENTS)}
    rows = [
        {"Id": number, "Timestamp": "2018-12-18T12:00:00Z", "User": "Hans", "Time": number, **values, "Amount": 149.62, "Class": judged}
        for number, judged in enumerate(["0", "1", None, "0"])
    ]
    assert client.insert(source, rows) == 4
    found = client.wait_for(f"SELECT * FROM {target.upper()}", rows=3)
    assert sorted((row["TIME"], row["V28"], row["AMOUNT"], row["CLASS"]) for row in found) == [
        (0, 27.25, 149.62, "0"),
        (1, 27.25, 149.62, "1"),
        (3, 27.25, 149.62, "0"),
    ]
    masked = list(client.rows(f"SELECT Id, MASK_LEFT(User, 2) AS m, IFNULL(Class, '-1') AS c FROM {source}"))
    assert {row["M"] for row in masked} == {"Xxns"}
    assert sorted(row["C"] for row in masked) == ["-1", "0", "0", "1"]

    items = list(api.query(f"SELECT Time FROM {target} EMIT CHANGES LIMIT 2", stream_properties=EARLIEST))
    messages = [json.loads(item) for item in items]
    assert "header" in messages[0] and [len(message["row"]["columns"]) for message in messages[1:3]] == [1, 1]
    assert messages[3:] == [{"finalMessage": "Limit Reached"}]
    assert len(list(api.query(f"SELECT * FROM {target}", return_objects=True))) == 3
    lines = list(api.query(f"SELECT Time FROM {target} EMIT CHANGES LIMIT 2", use_http2=True, stream_properties=EARLIEST))
    assert json.loads(lines[0])["columnNames"] == ["TIME"] and len(lines) == 3
    assert source.upper() in [stream["name"] for stream in api.ksql("SHOW STREAMS")[0]["streams"]]


def test_types_there_and_back(client):
    name = fresh("types")
    client.execute(
        f"CREATE STREAM {name} (b BOOLEAN, i INTEGER, l BIGINT, d DOUBLE, s STRING, n DECIMAL(6, 2), t TIMESTAMP, dt DATE, tm TIME, "
        f"y BYTES, a ARRAY<INTEGER>, m MAP<STRING, DOUBLE>, r STRUCT<x BIGINT, z STRING>) "
        f"WITH (kafka_topic='{name}', value_format='JSON', partitions=1);"
    )
    row = {
        "B": True,
        "I": -5,
        "L": 2**62 + 1,
        "D": 0.1,
        "S": 'quotes ", commas, \n lines, \u20ac',
        "N": decimal.Decimal("12.50"),
        "T": datetime.datetime(2018, 12, 18, 12, 0, 0, 123000),
        "DT": datetime.date(2018, 12, 18),
        "TM": datetime.time(12, 30),
        "Y": b"\x00\xff",
        "A": [1, None, 3],
        "M": {"k": 1.5},
        "R": {"X": 7, "Z": "z"},
    }
    nothing = dict.fromkeys(row)
    assert client.insert(name, [row, nothing]) == 2
    assert client.wait_for(f"SELECT * FROM {name}", rows=2) == [row, nothing]
    pandas = pytest.importorskip("pandas")
    frame = client.df(f"SELECT * FROM {name}")
    assert [str(type) for type in frame.dtypes[:5]] == ["boolean", "Int32", "Int64", "float64", "string"]
    assert frame["L"][0] == 2**62 + 1 and frame["T"][0] == pandas.Timestamp("2018-12-18T12:00:00.123")
    assert frame.isna().iloc[1].all()


def test_errors_say_what_and_where(api, client):
    with pytest.raises(KSQLError) as info:
        api.ksql("CREATE STREAM a (x INTEGER\n) WIHT (kafka_topic='a')")
    assert info.value.error_code == 40001 and info.value.line == 2
    with pytest.raises(CreateError):
        api.create_stream(fresh("s"), ["x NOSUCHTYPE"], "t")
    with pytest.raises(KSQLError) as info:
        list(api.query("SELECT * FROM no_such_stream"))
    assert "no_such_stream" in info.value.msg.lower()
    with pytest.raises(martlet.MartletError):
        list(client.rows("SELECT * FROM no_such_stream"))


def test_a_push_query_gives_rows_as_they_come_and_can_be_closed(api, client):
    name = fresh("live")
    client.execute(f"CREATE STREAM {name} (x INTEGER) WITH (kafka_topic='{name}', value_format='JSON', partitions=1);")
    with client.query(f"SELECT x FROM {name} EMIT CHANGES", EARLIEST, timeout=30) as result:
        batches = result.batches(low_latency=True)
        for number in range(3):
            client.insert(name, [{"x": number}])
            assert next(batches) == [[number]]
        assert result.id and api.close_query(result.id) is True
        assert list(batches) == [] and not result.timed_out
    assert api.close_query("no_such_query") is False


def test_inserts_stream_acknowledges_each_row(api, client):
    name = fresh("inserted")
    client.execute(f"CREATE STREAM {name} (x INTEGER) WITH (kafka_topic='{name}', value_format='JSON', partitions=1);")
    found = api.inserts_stream(name, [{"X": 1}, {"X": "not a number"}, {"X": 3}])
    assert [(each["seq"], each["status"]) for each in found] == [(0, "ok"), (1, "error"), (2, "ok")]
    assert sorted(row["X"] for row in client.wait_for(f"SELECT x FROM {name}", rows=2)) == [1, 3]


def test_a_model_scores_in_sql(client):
    onnxruntime = pytest.importorskip("onnxruntime")
    numpy = pytest.importorskip("numpy")
    path = ROOT / "models" / "fraud_autoencoder.onnx"
    model, name = fresh("score"), fresh("payments")
    features = ["Time", *COMPONENTS, "Amount"]
    client.execute(f"CREATE MODEL {model} WITH ('path'='{path}');")
    assert model.upper() in [each["name"].upper() for each in client.models()]
    columns = ", ".join(f"{each} DOUBLE" for each in features)
    client.execute(f"CREATE STREAM {name} ({columns}) WITH (kafka_topic='{name}', value_format='JSON', partitions=1);")
    rng = numpy.random.default_rng(3)
    values = rng.normal(0, 2, (50, 30))
    client.insert(name, [dict(zip(features, row)) for row in values.tolist()])
    client.wait_for(f"SELECT Time FROM {name}", rows=50)
    found = [row["S"] for row in client.rows(f"SELECT {model}({', '.join(features)}) AS s FROM {name}")]
    expected = onnxruntime.InferenceSession(str(path)).run(None, {"features": values})[0]
    numpy.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(martlet.MartletError, match="no_such_file"):
        client.execute(f"CREATE MODEL {fresh('m')} WITH ('path'='/no_such_file.onnx');")
    client.execute(f"DROP MODEL {model};")
