"""The article's statements, word for word, from Python, REST and the shell, each with the result that a ksqlDB user expects.

One node of its own for the module, filled in the order of the article: the topics, then users, then payments, then the queries. What the
queries must give is worked out from the lines of the source topic as PRINT shows them.
"""

import collections
import csv
import json
import re
import shutil
import subprocess
import urllib.request

import pytest

import martlet
from conftest import running_node
from ksql import KSQLAPI
from ksql.errors import CreateError, KSQLError

pytestmark = pytest.mark.server

EARLIEST = {"ksql.streams.auto.offset.reset": "earliest"}
PAYMENTS = 3000
V = [f"V{index}" for index in range(1, 29)]
SOURCE_COLUMNS = [
    "Id bigint",
    "Timestamp varchar",
    "User varchar",
    "Time int",
    *(f"{v} double" for v in V),
    "Amount double",
    "Class string",
]
SOURCE_TYPES = ["BIGINT", "STRING", "STRING", "INTEGER", *["DOUBLE"] * 29, "STRING"]

CREATE_SOURCE = (
    f"CREATE STREAM creditcardfraud_source ({', '.join(SOURCE_COLUMNS)}) "
    "WITH (kafka_topic='creditcardfraud_source', value_format='DELIMITED')"
)
CREATE_PREPROCESSED = (
    "CREATE STREAM creditcardfraud_preprocessed_avro WITH (VALUE_FORMAT='AVRO', KAFKA_TOPIC='creditcardfraud_preprocessed_avro') AS "
    f"SELECT Time, {', '.join(V)}, Amount, Class FROM creditcardfraud_source WHERE Class IS NOT NULL;"
)
CREATE_USERS = (
    "CREATE TABLE users (userid varchar, name varchar, city varchar) WITH (kafka_topic='users', value_format='AVRO', key='userid')"
)
CREATE_PER_USER = (
    "CREATE STREAM creditcardfraud_per_user WITH (VALUE_FORMAT='AVRO', KAFKA_TOPIC='creditcardfraud_per_user') AS "
    f"SELECT Time, {', '.join(V)}, Amount, Class FROM creditcardfraud_source c INNER JOIN USERS u ON c.user = u.userid "
    "WHERE V1 > 5 AND V2 IS NOT NULL AND u.CITY LIKE 'Premium%';"
)
USERS = {"Hans": "Premium Berlin", "Anna": "Premium", "Kai": "Munich", "Maria": "Not Premium"}


class Article:
    """The node, its clients, and what was sent to it."""

    def __init__(self, node):
        self.node = node
        self.api = KSQLAPI(node.url)
        self.client = martlet.connect(node.url)
        self.answers = {}

    def curl(self, path, body, *options):
        """POSTs with curl; returns (status, HTTP version, text)."""
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed")
        command = [
            "curl",
            "-sS",
            "-m",
            "30",
            "-w",
            "\n%{http_code} %{http_version}",
            *options,
            self.node.url + path,
            "-d",
            json.dumps(body),
        ]
        text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        text, _, last = text.rpartition("\n")
        status, version = last.split()
        return int(status), version, text

    def ksql(self, sql, properties=None):
        """POSTs to /ksql with curl; returns the entities."""
        status, _, text = self.curl(
            "/ksql", {"ksql": sql, "streamsProperties": properties or {}}, "-H", "Content-Type: application/vnd.ksql.v1+json"
        )
        assert status == 200, text
        return json.loads(text)

    def query(self, sql, properties=None):
        """POSTs to /query with curl; returns (schema, rows, final message)."""
        status, _, text = self.curl("/query", {"ksql": sql, "streamsProperties": properties or {}})
        assert status == 200, text
        messages = json.loads(text)
        assert all(len(message) == 1 for message in messages)
        return messages[0]["header"]["schema"], [message["row"]["columns"] for message in messages[1:-1]], messages[-1]["finalMessage"]

    def shell(self, *arguments):
        """Runs `martlet sql` on the node; returns (status, standard output, standard error)."""
        command = [self.node.binary, "sql", self.node.url, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    def registry(self, path):
        with urllib.request.urlopen(self.node.registry + path, timeout=10) as answer:
            return json.load(answer)

    def topic(self, name):
        """Makes a topic of three partitions."""
        helper = f"make_{name}"
        self.client.execute(f"CREATE STREAM {helper} (x STRING) WITH (kafka_topic='{name}', value_format='JSON', partitions=3);")
        self.client.execute(f"DROP STREAM {helper};")


def value(text):
    return None if text == "" else float(text)


@pytest.fixture(scope="module")
def article():
    with running_node() as node:
        it = Article(node)
        it.topic("creditcardfraud_source")
        it.topic("users")
        it.answers["source"] = it.api.ksql(CREATE_SOURCE)
        it.answers["users"] = it.api.ksql(CREATE_USERS)
        for user, city in USERS.items():
            it.api.ksql(f"INSERT INTO users (userid, name, city) VALUES ('{user}', '{user} X', '{city}')")
        it.answers["preprocessed"] = it.ksql(CREATE_PREPROCESSED)
        it.answers["per_user"] = it.client.execute(CREATE_PER_USER)
        settings = ["topic=creditcardfraud_source", f"bootstrap={node.kafka}", f"iterations={PAYMENTS}", "seed=7"]
        subprocess.run([node.binary, "datagen", "quickstart=creditcard", *settings], check=True, capture_output=True, timeout=60)
        plain = {"Timestamp": "2018-12-18T12:00:00Z", "Time": 7, "Amount": 149.62, **dict.fromkeys(V, 0.25)}
        special = [
            {"Id": -1, "User": "Hans", "Class": "0", "V1": 5.5},
            {"Id": -2, "User": "Hans", "Class": None, "V1": 6.5},
            {"Id": -3, "User": "Hans", "Class": "1", "V1": 5.0},
            {"Id": -4, "User": "Hans", "Class": "1", "V1": 7.5, "V2": None},
            {"Id": -5, "User": "Maria", "Class": "1", "V1": 8.5},
            {"Id": -6, "User": "Nobody", "Class": "1", "V1": 9.5},
            {"Id": -7, "User": None, "Class": "1", "V1": 10.5},
            {"Id": -8, "User": "Anna", "Class": "1", "V1": 11.5},
        ]
        assert it.client.insert("creditcardfraud_source", [{**plain, **each} for each in special]) == len(special)
        total = PAYMENTS + len(special)
        printed = list(it.api.query(f"PRINT creditcardfraud_source FROM BEGINNING LIMIT {total}"))
        found = [re.fullmatch(r"rowtime: .*?, key: <null>, value: (.*), partition: [012]", line) for line in printed]
        it.payments = [next(csv.reader([match[1]])) for match in found if match]
        assert len(it.payments) == total and all(len(payment) == 34 for payment in it.payments)
        it.judged = [payment for payment in it.payments if payment[33] != ""]
        assert 0.9 < len(it.judged) / total < 1
        it.client.wait_for("SELECT Time FROM creditcardfraud_preprocessed_avro", rows=len(it.judged))
        yield it


def test_the_source_stream_has_34_columns(article):
    status = article.answers["source"][0]
    assert status["@type"] == "currentStatus" and status["commandId"] == "stream/`CREDITCARDFRAUD_SOURCE`/create"
    assert status["commandStatus"] == {"status": "SUCCESS", "message": "Stream created", "queryId": None} and status["warnings"] == []
    described = article.api.ksql("DESCRIBE creditcardfraud_source")[0]["sourceDescription"]
    assert [field["name"] for field in described["fields"]] == [column.split()[0].upper() for column in SOURCE_COLUMNS]
    assert [field["schema"]["type"] for field in described["fields"]] == SOURCE_TYPES
    assert not any(field.get("type") for field in described["fields"])  # no key column
    assert (described["type"], described["topic"], described["valueFormat"]) == ("STREAM", "creditcardfraud_source", "DELIMITED")
    with pytest.raises(CreateError, match="already exists"):
        article.api.create_stream("creditcardfraud_source", SOURCE_COLUMNS, "creditcardfraud_source", "DELIMITED")


def test_create_stream_of_the_python_api_makes_the_same_stream(article):
    assert article.api.create_stream("by_api", SOURCE_COLUMNS, "creditcardfraud_source", "DELIMITED") is True
    fields = [article.api.ksql(f"DESCRIBE {name}")[0]["sourceDescription"]["fields"] for name in ("by_api", "creditcardfraud_source")]
    assert fields[0] == fields[1]
    article.api.ksql("DROP STREAM by_api")
    with pytest.raises(CreateError, match="does not exist") as info:
        article.api.create_stream("no_topic", ["Id bigint"], "no_such_topic", "DELIMITED")
    assert "PARTITIONS" in info.value.msg


@pytest.mark.parametrize("surface", ["ksql", "martlet", "rest", "shell"])
def test_key_is_accepted_with_a_warning(article, surface):
    name = f"with_key_{surface}"
    sql = CREATE_SOURCE.replace("creditcardfraud_source (", f"{name} (", 1).replace("value_format=", "KEY='Id', value_format=")
    carry_out = {
        "ksql": article.api.ksql,
        "martlet": article.client.execute,
        "rest": lambda sql: article.ksql(sql + ";"),
        "shell": lambda sql: json.loads(article.shell("--output", "json", "-e", sql)[1]),
    }[surface]
    status = carry_out(sql)[0]
    assert status["commandStatus"]["status"] == "SUCCESS"
    assert len(status["warnings"]) == 1 and "KEY" in status["warnings"][0]["message"] and "Id" in status["warnings"][0]["message"]
    assert sum(1 for _ in article.client.rows(f"SELECT Id FROM {name}")) == len(article.payments)
    article.client.execute(f"DROP STREAM {name};")


def test_preprocessing_drops_columns_and_unjudged_payments(article):
    status = article.answers["preprocessed"][0]["commandStatus"]
    assert status["status"] == "SUCCESS" and status["message"] == f"Created query with ID {status['queryId']}"
    expected = collections.Counter((int(line[3]), *map(value, line[4:33]), line[33]) for line in article.judged)
    found = collections.Counter(tuple(row.values()) for row in article.client.rows("SELECT * FROM CREDITCARDFRAUD_PREPROCESSED_AVRO"))
    assert found == expected
    names = ["TIME", *V, "AMOUNT", "CLASS"]
    schema = json.loads(article.registry("/subjects/creditcardfraud_preprocessed_avro-value/versions/latest")["schema"])
    assert [field["name"] for field in schema["fields"]] == names
    topics = {topic["name"]: topic["replicaInfo"] for topic in article.api.ksql("SHOW TOPICS")[0]["topics"]}
    assert topics["creditcardfraud_preprocessed_avro"] == [1, 1, 1]


def test_preprocessing_by_the_python_api(article):
    assert article.api.create_stream_as(
        table_name="preprocessed_by_api",
        select_columns=["Time", *V, "Amount", "Class"],
        src_table="creditcardfraud_source",
        kafka_topic="preprocessed_by_api",
        value_format="AVRO",
        conditions="Class IS NOT NULL",
    )
    query = next(q for q in article.api.ksql("SHOW QUERIES")[0]["queries"] if q["sinks"] == ["PREPROCESSED_BY_API"])
    assert query["sinkKafkaTopics"] == ["preprocessed_by_api"] and query["state"] == "RUNNING"
    article.client.execute("DROP STREAM preprocessed_by_api DELETE TOPIC;")
    assert not any(q["id"] == query["id"] for q in article.api.ksql("SHOW QUERIES")[0]["queries"])
    assert "preprocessed_by_api-value" not in article.registry("/subjects")


SELECT_ONE = "SELECT * FROM CREDITCARDFRAUD_PREPROCESSED_AVRO LIMIT 1"


def test_a_select_without_emit_changes_reads_to_the_present_end_and_finishes(article):
    whole = "SELECT Time, Class FROM CREDITCARDFRAUD_PREPROCESSED_AVRO"
    header, row, final = map(json.loads, article.api.query(SELECT_ONE))
    assert header["header"]["schema"].startswith("`TIME` INTEGER, `V1` DOUBLE, ") and header["header"]["schema"].endswith("`CLASS` STRING")
    assert len(row["row"]["columns"]) == 31 and final == {"finalMessage": "Limit Reached"}
    assert len(list(article.client.rows(SELECT_ONE))) == 1
    schema, rows, final = article.query(SELECT_ONE + ";")
    assert schema == header["header"]["schema"] and rows == [row["row"]["columns"]] and final == "Limit Reached"
    # More than there is: the end comes first.
    _, rows, final = article.query(f"{whole} LIMIT {len(article.judged) + 1};")
    assert len(rows) == len(article.judged) and final == "Query Completed"
    assert article.query(f"{whole} LIMIT 0;")[1:] == ([], "Limit Reached")
    assert json.loads(list(article.api.query(whole))[-1]) == {"finalMessage": "Query Completed"}
    assert len(list(article.api.query(whole, return_objects=True))) == len(article.judged)
    # Where a push query would begin makes no difference.
    assert len(list(article.client.rows(whole, {"auto.offset.reset": "latest"}))) == len(article.judged)


def test_a_select_with_emit_changes_is_a_push_query(article):
    sql = "SELECT * FROM CREDITCARDFRAUD_PREPROCESSED_AVRO EMIT CHANGES LIMIT 2"
    messages = [json.loads(item) for item in article.api.query(sql, stream_properties=EARLIEST)]
    assert [next(iter(message)) for message in messages] == ["header", "row", "row", "finalMessage"]
    assert messages[-1] == {"finalMessage": "Limit Reached"}
    assert len(list(article.client.rows(sql, EARLIEST))) == 2
    assert article.query(sql + ";", EARLIEST)[2] == "Limit Reached"


def test_a_push_query_begins_at_the_present_end(article):
    name = "pushed"
    article.client.execute(f"CREATE STREAM {name} (x INT) WITH (kafka_topic='{name}', value_format='DELIMITED', partitions=1);")
    article.client.execute(f"INSERT INTO {name} VALUES (1);")
    with article.client.query(f"SELECT * FROM {name} EMIT CHANGES", timeout=30) as result:
        article.client.execute(f"INSERT INTO {name} VALUES (2);")
        assert next(result.batches(low_latency=True)) == [[2]]
        assert article.api.close_query(result.id) is True
    article.client.execute(f"DROP STREAM {name} DELETE TOPIC;")


@pytest.mark.parametrize(
    ("options", "version"), [([], "1.1"), (["--http2-prior-knowledge"], "2"), (["--http2"], "2")], ids=["http1", "http2", "upgrade"]
)
def test_query_stream_over_each_http(article, options, version):
    body = {"sql": "SELECT Id, MASK_LEFT(User, 2) FROM creditcardfraud_source WHERE Id = -1;"}
    status, spoken, text = article.curl("/query-stream", body, *options)
    header, *rows = map(json.loads, text.splitlines())
    assert (status, spoken) == (200, version)
    assert header == {"queryId": None, "columnNames": ["ID", "KSQL_COL_0"], "columnTypes": ["BIGINT", "STRING"]} and rows == [[-1, "Xxns"]]


def test_mask_left(article):
    rows = article.query("SELECT Id, MASK_LEFT(User, 2) FROM creditcardfraud_source;")[1]
    masked = {"Hans": "Xxns", "Kai": "Xxi", "Maria": "Xxria", "Anna": "Xxna", None: None}
    users = {int(line[0]): line[2] or None for line in article.payments}
    assert len(rows) == len(article.payments)
    # Generated payments count from 1, those of the fixture down from -1.
    for identity, text in rows:
        user = users[identity]
        assert text == (masked[user] if user in masked else "Xx" + user[2:])


@pytest.mark.parametrize("default", ["'-1'", "-1"])
def test_ifnull(article, default):
    expected = collections.Counter((int(line[0]), line[33] or "-1") for line in article.payments)
    sql = f"SELECT Id, IFNULL(Class, {default}) FROM creditcardfraud_source"
    assert collections.Counter(map(tuple, article.query(sql + ";")[1])) == expected
    assert collections.Counter(tuple(row.values()) for row in article.client.rows(sql)) == expected
    objects = article.api.query(sql, return_objects=True)
    assert collections.Counter((row["ID"], row["KSQL_COL_0"]) for row in objects) == expected


def test_the_preprocessed_stream_as_a_frame(article):
    pytest.importorskip("pandas")
    frame = article.client.df("SELECT * FROM CREDITCARDFRAUD_PREPROCESSED_AVRO")
    assert list(frame.columns) == ["TIME", *V, "AMOUNT", "CLASS"] and list(frame.dtypes.astype(str)) == [
        "Int32",
        *["float64"] * 29,
        "string",
    ]
    expected = sorted((int(line[3]), float(line[32]), line[33]) for line in article.judged)
    assert sorted(frame[["TIME", "AMOUNT", "CLASS"]].itertuples(index=False, name=None)) == expected
    assert frame["V2"].isna().sum() == 1 == sum(line[5] == "" for line in article.judged)


def test_the_users_table_has_a_primary_key(article):
    status = article.answers["users"][0]
    assert status["commandStatus"]["message"] == "Table created" and "PRIMARY KEY" in status["warnings"][0]["message"]
    described = article.client.execute("DESCRIBE users;")[0]["sourceDescription"]
    assert [(field["name"], field.get("type")) for field in described["fields"]] == [("USERID", "KEY"), ("NAME", None), ("CITY", None)]
    assert (described["type"], described["keyFormat"], described["valueFormat"]) == ("TABLE", "KAFKA", "AVRO")
    changes = article.query(f"SELECT * FROM users EMIT CHANGES LIMIT {len(USERS)};", EARLIEST)[1]
    assert sorted(changes) == sorted([user, f"{user} X", city] for user, city in USERS.items())
    assert article.api.create_table("users_by_api", ["userid varchar", "city varchar"], "users", "AVRO", key="userid")
    article.api.ksql("DROP TABLE users_by_api")
    with pytest.raises(CreateError, match="no_such_column"):
        article.api.create_table("users_wrong", ["userid varchar"], "users", "AVRO", key="no_such_column")


def lag(article, name):
    """How many records the query that writes ``name`` has still to read."""
    described = article.api.ksql(f"DESCRIBE {name} EXTENDED")[0]["sourceDescription"]
    offsets = [each for summary in described["queryOffsetSummaries"] for each in summary["offsets"]]
    assert offsets
    return sum(each["logEndOffset"] - each["consumerOffset"] for each in offsets)


def test_payments_of_premium_users(article):
    def is_wanted(line):
        return value(line[4]) > 5 and line[5] != "" and USERS.get(line[2], "").startswith("Premium")

    expected = collections.Counter(
        (int(line[3]), *map(value, line[4:33]), line[33] or None) for line in article.payments if is_wanted(line)
    )
    assert sum(expected.values()) >= 3
    article.client.wait_for("SELECT Time FROM creditcardfraud_per_user", rows=sum(expected.values()))
    # All of the source is behind it once its offsets say so.
    article.client.wait_for(lambda: lag(article, "creditcardfraud_per_user") == 0)
    found = collections.Counter(map(tuple, article.query("SELECT * FROM creditcardfraud_per_user;")[1]))
    assert found == expected
    reads = article.api.ksql("DESCRIBE users")[0]["sourceDescription"]["readQueries"]
    assert [query["sinks"] for query in reads] == [["CREDITCARDFRAUD_PER_USER"]]


def test_show(article):
    def names(entity, key):
        return {each["name"] for each in entity[key]}

    for carry_out in (article.api.ksql, article.client.execute, article.ksql):
        streams, tables, topics, queries, properties = (
            carry_out(f"SHOW {what};")[0] for what in ("STREAMS", "TABLES", "TOPICS", "QUERIES", "PROPERTIES")
        )
        assert [each["@type"] for each in (streams, tables, topics, queries, properties)] == [
            "streams", "tables", "kafka_topics", "queries", "properties",
        ]  # fmt: skip
        wanted = {"CREDITCARDFRAUD_SOURCE", "CREDITCARDFRAUD_PREPROCESSED_AVRO", "CREDITCARDFRAUD_PER_USER"}
        assert wanted <= names(streams, "streams") and names(tables, "tables") == {"USERS"}
        listed = {
            "type": "STREAM", "name": "CREDITCARDFRAUD_SOURCE", "topic": "creditcardfraud_source", "keyFormat": "KAFKA",
            "valueFormat": "DELIMITED", "isWindowed": False,
        }  # fmt: skip
        assert listed in streams["streams"]
        assert {name.lower() for name in wanted} | {"users"} <= names(topics, "topics")
        assert {query["sinks"][0]: query["state"] for query in queries["queries"]} == {
            "CREDITCARDFRAUD_PREPROCESSED_AVRO": "RUNNING",
            "CREDITCARDFRAUD_PER_USER": "RUNNING",
        }
        assert {"auto.offset.reset", "ksql.service.id"} <= names(properties, "properties")
    assert article.api.get_properties() == properties["properties"]


def test_describe_extended(article):
    for sql in ("DESCRIBE EXTENDED creditcardfraud_preprocessed_avro", "DESCRIBE creditcardfraud_preprocessed_avro EXTENDED"):
        described = article.api.ksql(sql)[0]["sourceDescription"]
        assert described["extended"] is True and len(described["fields"]) == 31
        assert described["partitions"] == 3 and described["statement"] == CREATE_PREPROCESSED
        assert [query["sinks"] for query in described["writeQueries"]] == [["CREDITCARDFRAUD_PREPROCESSED_AVRO"]]
        offsets = described["queryOffsetSummaries"][0]["offsets"]
        assert sum(each["consumerOffset"] for each in offsets) == len(article.payments)
    with pytest.raises(KSQLError, match="NO_SUCH"):
        article.api.ksql("DESCRIBE no_such")


def test_explain(article):
    identity = article.answers["preprocessed"][0]["commandStatus"]["queryId"]
    for carry_out in (article.api.ksql, article.client.execute, article.ksql):
        described = carry_out(f"EXPLAIN {identity};")[0]["queryDescription"]
        assert described["id"] == identity and described["statementText"] == CREATE_PREPROCESSED
        assert described["sources"] == ["CREDITCARDFRAUD_SOURCE"] and described["sinks"] == ["CREDITCARDFRAUD_PREPROCESSED_AVRO"]
        assert described["executionPlan"] and described["state"] == "RUNNING"
        described = carry_out("EXPLAIN SELECT Id, MASK_LEFT(User, 2) AS m FROM creditcardfraud_source EMIT CHANGES;")[0]["queryDescription"]
        assert [field["name"] for field in described["fields"]] == ["ID", "M"] and described["executionPlan"]
    with pytest.raises(KSQLError, match="NO_SUCH_QUERY"):
        article.api.ksql("EXPLAIN no_such_query")


def test_set_and_unset_hold_for_the_rest_of_the_request(article):
    create = "CREATE STREAM {0} WITH (value_format='JSON') AS SELECT Id FROM creditcardfraud_source EMIT CHANGES;"
    entities = article.api.ksql(
        "SET 'auto.offset.reset'='earliest'; " + create.format("from_start") + " UNSET 'auto.offset.reset'; " + create.format("from_end")
    )
    assert [entity["@type"] for entity in entities] == ["currentStatus", "currentStatus"]
    assert len(article.client.wait_for("SELECT * FROM from_start", rows=len(article.payments))) == len(article.payments)
    assert article.query("SELECT * FROM from_end;")[1] == []
    for name in ("from_start", "from_end"):
        article.client.execute(f"DROP STREAM {name} DELETE TOPIC;")
    assert article.client.execute("SET 'auto.offset.reset'='earliest';") == []
    with pytest.raises(KSQLError, match=r"no\.such\.property"):
        article.api.ksql("SET 'no.such.property'='1'")


def test_print_topic_from_beginning(article):
    sql = "PRINT creditcardfraud_source FROM BEGINNING LIMIT 2"
    by_api = list(article.api.query(sql))
    status, _, text = article.curl("/query", {"ksql": sql + ";"})
    assert status == 200 and list(article.client.lines(sql)) == by_api == text.splitlines()
    formats, lines = by_api[:2], by_api[2:]
    assert [line.split(":")[0] for line in formats] == ["Key format", "Value format"] and "KAFKA_STRING" in formats[1]
    assert len(lines) == 2 and re.fullmatch(r"rowtime: \d{4}-\d\d-\d\dT[\d:.]+Z, key: <null>, value: 1,\"2018-.*\", partition: 0", lines[0])
    avro = list(article.client.lines("PRINT 'creditcardfraud_preprocessed_avro' FROM BEGINNING LIMIT 1"))
    assert "AVRO" in avro[1] and '"AMOUNT":' in avro[2].replace(" ", "")
    with pytest.raises(KSQLError, match="no_such_topic"):
        list(article.api.query("PRINT no_such_topic FROM BEGINNING LIMIT 1"))


def test_insert_values(article):
    article.ksql(
        "CREATE STREAM inserted (id BIGINT KEY, who STRING, amount DOUBLE) "
        "WITH (kafka_topic='inserted', value_format='AVRO', partitions=1);"
    )
    assert article.api.ksql("INSERT INTO inserted (id, who, amount) VALUES (1, 'it''s', 2.5)") == []
    assert article.client.execute("INSERT INTO inserted VALUES (2, 'x', 1 + 2); INSERT INTO inserted (id) VALUES (3);") == []
    assert article.ksql("INSERT INTO inserted (ROWTIME, id) VALUES (1234, 4);") == []
    schema, rows, _ = article.query("SELECT id, who, amount, ROWTIME = 1234 AS early FROM inserted;")
    assert schema == "`ID` BIGINT, `WHO` STRING, `AMOUNT` DOUBLE, `EARLY` BOOLEAN"
    assert rows == [[1, "it's", 2.5, False], [2, "x", 3.0, False], [3, None, None, False], [4, None, None, True]]
    for wrong, reason in (("(id, who) VALUES (1)", "match"), ("(id) VALUES ('x')", "BIGINT"), ("(nosuch) VALUES (1)", "NOSUCH")):
        with pytest.raises(KSQLError, match=reason):
            article.api.ksql(f"INSERT INTO inserted {wrong}")
    article.ksql("DROP STREAM inserted DELETE TOPIC;")


def test_drop_and_terminate(article):
    identity = article.ksql("CREATE STREAM copied WITH (value_format='AVRO') AS SELECT Id FROM creditcardfraud_source;")[0][
        "commandStatus"
    ]["queryId"]
    article.ksql("CREATE STREAM copied_again AS SELECT * FROM copied;")
    status, _, text = article.curl("/ksql", {"ksql": "DROP STREAM copied DELETE TOPIC;"})
    error = json.loads(text)
    assert status == 400 and (error["@type"], error["error_code"]) == ("statement_error", 40001)
    assert "Cannot drop COPIED." in error["message"] and "read from this source: [COPIED_AGAIN]" in error["message"]
    terminated = article.api.ksql(f"TERMINATE {identity}")[0]
    assert terminated["commandStatus"]["status"] == "SUCCESS" and terminated["commandId"] == f"terminate/{identity}/execute"
    assert not any(query["id"] == identity for query in article.api.ksql("SHOW QUERIES")[0]["queries"])
    with pytest.raises(KSQLError, match=identity):
        article.api.ksql(f"TERMINATE {identity}")
    article.ksql("DROP STREAM copied_again;")  # stops the query that writes it
    topics = {topic["name"] for topic in article.ksql("SHOW TOPICS;")[0]["topics"]}
    assert {"COPIED", "COPIED_AGAIN"} <= topics
    dropped = article.api.ksql("DROP STREAM copied DELETE TOPIC")[0]["commandStatus"]
    assert dropped["message"] == "Source `COPIED` (topic: COPIED) was dropped."
    topics = {topic["name"] for topic in article.ksql("SHOW TOPICS;")[0]["topics"]}
    assert "COPIED" not in topics and "COPIED_AGAIN" in topics and "COPIED-value" not in article.registry("/subjects")
    with pytest.raises(KSQLError, match="COPIED does not exist"):
        article.api.ksql("DROP STREAM copied")
    assert article.api.ksql("DROP STREAM IF EXISTS copied")[0]["commandStatus"]["status"] == "SUCCESS"


def test_a_query_sent_to_the_wrong_place_is_told_so(article):
    with pytest.raises(KSQLError) as info:
        article.api.ksql(SELECT_ONE)
    assert info.value.error_code == 40002
    status, _, text = article.curl("/query", {"ksql": "SHOW STREAMS;"})
    assert status == 400 and json.loads(text)["@type"] == "statement_error"


def test_the_shell_shows_the_same(article, tmp_path):
    script = tmp_path / "article.sql"
    script.write_text(
        "SET 'auto.offset.reset'='earliest';\n"
        "SELECT Id,\n       MASK_LEFT(User, 2)\n  FROM creditcardfraud_source WHERE Id = -1 EMIT CHANGES LIMIT 1;\n"
        "SELECT Id, IFNULL(Class, -1) \\\n FROM creditcardfraud_source WHERE Id = -2;\n"
        "SELECT Id, IFNULL(Class, '-1') FROM creditcardfraud_source WHERE Id = -3; SHOW TABLES;\n"
        "PRINT creditcardfraud_source FROM BEGINNING LIMIT 1"
    )
    status, out, errors = article.shell("-f", str(script))
    assert (status, errors) == (0, "")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines() if line.startswith("|")]
    assert [row for row in cells if row[0] != "ID"] == [["-1", "Xxns"], ["-2", "-1"], ["-3", "1"]]
    assert re.search(r"^ USERS +\| users ", out, re.MULTILINE) and 'value: 1,"2018-' in out
    one = article.shell("--output", "json", "-e", SELECT_ONE)
    assert one[0] == 0 and [next(iter(json.loads(line))) for line in one[1].splitlines()] == ["header", "row", "finalMessage"]


def test_the_shell_shows_where_a_mistake_is(article):
    status, out, errors = article.shell("-e", "SELECT Id,\n nosuch FROM creditcardfraud_source; SHOW STREAMS")
    assert status == 1 and out == ""  # it ends at the first error
    assert "NOSUCH" in errors and "line 2:2" in errors
    status, out, errors = article.shell("-e", "DROP STREAM no_such; DROP STREAM creditcardfraud_source")
    assert status == 1 and "NO_SUCH does not exist" in errors
    assert "CREDITCARDFRAUD_SOURCE" in {stream["name"] for stream in article.api.ksql("SHOW STREAMS")[0]["streams"]}
