"""What the READMEs show runs as it stands there, from the first block to the last."""

import json
import re

import pytest

import martlet
from conftest import ROOT, running_node

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def node():
    with running_node() as node:
        yield node


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def test_the_packages_readme(node, tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    found = blocks(ROOT / "python" / "README.md", "python")
    assert len(found) == 2  # martlet, ksql
    (tmp_path / "rules.ksql").write_text("CREATE STREAM ruled AS SELECT item FROM sold; -- a comment; with a semicolon\nSHOW STREAMS;\n")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in found:
        assert "http://127.0.0.1:8088" in block
        exec(compile(block.replace("http://127.0.0.1:8088", node.url), "README.md", "exec"), names)
    client = martlet.connect(node.url)
    streams = {stream["name"] for stream in client.execute("SHOW STREAMS;")[0]["streams"]}
    assert {"ORDERS", "SOLD", "LAMPS", "RULED"} <= streams
    assert [row["ITEM"] for row in client.rows("SELECT * FROM orders")] == ["lamp", "table"]


def test_the_repositorys_readme(node):
    pytest.importorskip("pandas")
    text = (ROOT / "README.md").read_text()
    client = martlet.connect(node.url)
    create, select = blocks(ROOT / "README.md", "sql")[0].rsplit("\n", 2)[:2]
    client.execute(create)
    (payment,) = re.findall(r"echo '(\{.*?\})' \| kcat", text)
    client.insert("payments", [{key.upper(): value for key, value in json.loads(payment).items()}])
    assert next(client.rows(select, {"auto.offset.reset": "earliest"}, timeout=30)) == {"ID": 1, "WHO": "Xxns", "AMOUNT": 250.0}
    names = {}
    (block,) = blocks(ROOT / "README.md", "python")
    block = block.replace("http://localhost:8088", node.url).replace("martlet.connect()", f"martlet.connect({node.url!r})")
    exec(compile(block, "README.md", "exec"), names)
    assert names["frame"].to_dict("list") == {"ID": [1], "WHO": ["Xxns"], "AMOUNT": [250.0]}
