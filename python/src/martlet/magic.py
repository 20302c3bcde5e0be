"""``%load_ext martlet``: SQL in notebook cells.

%martlet http://127.0.0.1:8088        the server to talk to (default: MARTLET_SERVER, else that address)
%sql SHOW STREAMS                     one statement
%%sql                                 several; the result of each is shown
%%sql payments                        ... and that of the last is kept in the variable `payments`
"""

from __future__ import annotations

import html
import itertools
import os

from . import statements
from .client import Client
from .errors import MartletError

PUSH_SECONDS_MAX = 10.0
SHOWN_ROWS_MAX = 60


class Table:
    """A small result: ``names`` and ``rows``, shown as a table in notebooks and as text elsewhere."""

    def __init__(self, names, rows, notes=()):
        self.names = list(names)
        self.rows = [list(row) for row in rows]
        self.notes = list(notes)

    def df(self):
        import pandas

        return pandas.DataFrame(self.rows, columns=self.names)

    def _repr_html_(self):
        head = "".join(f"<th>{html.escape(str(name))}</th>" for name in self.names)
        body = "".join(
            "<tr>" + "".join(map(_cell, row)) + "</tr>" for row in self.rows[:SHOWN_ROWS_MAX]
        )
        notes = list(self.notes)
        if len(self.rows) > SHOWN_ROWS_MAX:
            notes.append(f"{len(self.rows)} rows, the first {SHOWN_ROWS_MAX} shown")
        tail = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if self.names else ""
        return table + tail

    def __repr__(self):
        cells = [[str(name) for name in self.names]]
        for row in self.rows[:SHOWN_ROWS_MAX]:
            # A text of several lines goes on below itself.
            cells += [list(line) for line in itertools.zip_longest(*(_text(value).split("\n") for value in row), fillvalue="")]
        widths = [max(len(row[index]) for row in cells) for index in range(len(self.names))]
        lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
        if self.names:
            lines.insert(1, "-+-".join("-" * width for width in widths))
        return "\n".join([line for line in lines if line] + self.notes)


def _cell(value):
    text = _text(value)
    style = ' style="text-align: left; white-space: pre"' if "\n" in text else ""
    return f"<td{style}>{html.escape(text)}</td>"


def _text(value):
    if value is None:
        return "NULL"
    if isinstance(value, (dict, list)):
        return (
            ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
            if isinstance(value, dict)
            else ", ".join(_text(item) for item in value)
        )
    return str(value)


# Where an entity of /ksql keeps its list, by the field's name.
_LISTS = ("streams", "tables", "topics", "queries", "properties", "functions", "variables", "models", "connectors", "fields")


def table_of(entity):
    """Makes a `Table` of one result of /ksql."""
    notes = [f"warning: {warning['message']}" for warning in entity.get("warnings") or [] if "message" in warning]
    if "commandStatus" in entity:
        return Table(["message"], [[entity["commandStatus"].get("message", "")]], notes)
    if isinstance(entity.get("queryDescription"), dict):
        description = entity["queryDescription"]
        return Table(["property", "value"], [[key, _described(key, value)] for key, value in description.items() if value], notes)
    content = entity.get("sourceDescription") or entity
    for name in _LISTS:
        items = content.get(name)
        if isinstance(items, list):
            if items and isinstance(items[0], dict):
                names = list(dict.fromkeys(key for item in items for key in item))
                return Table(names, [[_field(item.get(key)) for key in names] for item in items], notes)
            return Table([name], [[item] for item in items], notes)
    hidden = ("@type", "statementText", "warnings")
    return Table(["property", "value"], [[key, value] for key, value in content.items() if key not in hidden], notes)


def _described(key, value):
    """A property of a query as one text: columns as in SQL, lists with commas."""
    if key == "fields":
        return ", ".join(f"{field['name']} {_field(field['schema'])}" for field in value)
    return _text(value)


def _field(value):
    """A column's schema as a user writes it; other values as they are."""
    if isinstance(value, dict) and "type" in value and "memberSchema" in value:
        return value["type"]
    return value


def run(client, text, limit_seconds=PUSH_SECONDS_MAX):
    """Carries out the statements of ``text`` and returns a list of results: DataFrame or `Table`."""
    results = []
    for statement in statements.split(text):
        which = statements.kind(statement)
        seconds = limit_seconds if statements.is_unbounded(statement) else None
        if which == "query":
            try:
                import pandas  # noqa: F401
            except ImportError:
                with client.query(statement, timeout=seconds) as result:
                    rows = [row for batch in result.batches() for row in batch]
                    results.append(Table(result.names, rows))
            else:
                results.append(client.df(statement, timeout=seconds))
        elif which == "print":
            seconds = None if "LIMIT" in statements.words(statement) else limit_seconds
            results.append(Table(["record"], [[line] for line in client.lines(statement, timeout=seconds)]))
        elif which == "statement" and statements.words(statement)[:1] in (["SET"], ["UNSET"], ["DEFINE"], ["UNDEFINE"]):
            client.execute(statement)  # So that the server can refuse it.
            statements.remember(statement, client.properties, client.variables)
            results.append(Table([], [], ["done"]))
        else:
            results += [table_of(entity) for entity in client.execute(statement)] or [Table([], [], ["done"])]
    return results


def register(ipython):
    from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class
    from IPython.display import display

    @magics_class
    class MartletMagics(Magics):
        def __init__(self, shell):
            super().__init__(shell)
            self.client = Client(os.environ.get("MARTLET_SERVER", "http://127.0.0.1:8088"))

        @line_magic
        def martlet(self, line):
            """Chooses the server: %martlet http://127.0.0.1:8088; without an address, tells which it is."""
            if line.strip():
                self.client = Client(line.strip())
            info = self.client.info()
            return Table(["server", "version"], [[self.client.url, info.get("version")]])

        @line_cell_magic
        def sql(self, line, cell=None):
            """Carries out SQL: %sql STATEMENT, or %%sql [variable] with statements in the cell."""
            try:
                results = run(self.client, line if cell is None else cell)
            except MartletError as refusal:
                # The cell is the statement: frames of this package would only hide what is wrong with it.
                text = f"{type(refusal).__name__}: {refusal}"
                refusal._render_traceback_ = text.splitlines
                raise
            if cell is None:
                return results[-1] if results else None
            for result in results:
                display(result)
            if line.strip():
                if not line.strip().isidentifier():
                    raise ValueError(f"%%sql takes the name of a variable, not {line.strip()!r}")
                self.shell.user_ns[line.strip()] = results[-1] if results else None
            return None

    ipython.register_magics(MartletMagics)
