"""SQL types as the server writes them, and the Python values of each.

| SQL | Python |
| --- | --- |
| BOOLEAN, INTEGER, BIGINT, DOUBLE, STRING | bool, int, int, float, str |
| DECIMAL(p, s) | decimal.Decimal with scale s |
| BYTES | bytes |
| TIMESTAMP, DATE, TIME | datetime.datetime, datetime.date, datetime.time |
| ARRAY, MAP, STRUCT | list, dict, dict |

NULL is None.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import re

_TOKEN = re.compile(r"\s*(`(?:[^`]|``)*`|[A-Za-z_][A-Za-z0-9_]*|\d+|[<>(),])")
_ALIASES = {"VARCHAR": "STRING", "INT": "INTEGER", "DEC": "DECIMAL"}
_EPOCH = datetime.datetime(1970, 1, 1)


class SQLType:
    """A parsed type: ``name`` in upper case; ``scale`` of a DECIMAL; ``element`` of ARRAY and MAP; ``fields`` of a STRUCT."""

    __slots__ = ("element", "fields", "name", "precision", "scale")

    def __init__(self, name, precision=None, scale=None, element=None, fields=None):
        self.name = name
        self.precision = precision
        self.scale = scale
        self.element = element
        self.fields = fields

    def __repr__(self):
        if self.name == "DECIMAL" and self.precision is not None:
            return f"DECIMAL({self.precision}, {self.scale})"
        if self.name == "ARRAY":
            return f"ARRAY<{self.element}>"
        if self.name == "MAP":
            return f"MAP<STRING, {self.element}>"
        if self.name == "STRUCT":
            return "STRUCT<" + ", ".join(f"`{name}` {type}" for name, type in self.fields) + ">"
        return self.name

    def has(self, name):
        """True if this type is, or contains, the type called ``name``."""
        if self.name == name:
            return True
        if self.element is not None and self.element.has(name):
            return True
        return any(type.has(name) for _, type in self.fields or ())


def parse_type(text):
    """Parses e.g. ``STRUCT<`A` ARRAY<DECIMAL(4, 2)>>``; raises ValueError for what is not a type."""
    tokens = _tokens(text)
    type, end = _type(tokens, 0, text)
    if end != len(tokens):
        raise ValueError(f"not a SQL type: {text!r}")
    return type


def parse_schema(text):
    """Parses the schema of a query's header, e.g. ``\\`ID\\` BIGINT KEY, \\`NAME\\` STRING``, to a list of (name, SQLType)."""
    tokens = _tokens(text)
    fields, position = [], 0
    while position < len(tokens):
        name = _name(tokens[position])
        type, position = _type(tokens, position + 1, text)
        while position < len(tokens) and tokens[position].upper() in ("KEY", "PRIMARY", "HEADERS", "HEADER"):
            position += 1
        fields.append((name, type))
        if position < len(tokens):
            if tokens[position] != ",":
                raise ValueError(f"not a schema: {text!r}")
            position += 1
    return fields


def _tokens(text):
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise ValueError(f"not a SQL type: {text!r}")
        tokens.append(match.group(1))
        position = match.end()
    return tokens


def _name(token):
    return token[1:-1].replace("``", "`") if token.startswith("`") else token


def _type(tokens, position, text):
    def expect(symbol):
        nonlocal position
        if position >= len(tokens) or tokens[position] != symbol:
            raise ValueError(f"not a SQL type: {text!r}")
        position += 1

    def following(symbol):
        return position < len(tokens) and tokens[position] == symbol

    if position >= len(tokens) or not (tokens[position][0].isalpha() or tokens[position][0] == "_"):
        raise ValueError(f"not a SQL type: {text!r}")
    name = tokens[position].upper()
    name = _ALIASES.get(name, name)
    position += 1
    if name == "ARRAY":
        expect("<")
        element, position = _type(tokens, position, text)
        expect(">")
        return SQLType(name, element=element), position
    if name == "MAP":
        expect("<")
        _, position = _type(tokens, position, text)
        expect(",")
        element, position = _type(tokens, position, text)
        expect(">")
        return SQLType(name, element=element), position
    if name == "STRUCT":
        expect("<")
        fields = []
        while not following(">"):
            if fields:
                expect(",")
            if position >= len(tokens):
                raise ValueError(f"not a SQL type: {text!r}")
            field = _name(tokens[position])
            type, position = _type(tokens, position + 1, text)
            fields.append((field, type))
        expect(">")
        return SQLType(name, fields=fields), position
    precision = scale = None
    if following("("):
        expect("(")
        numbers = []
        while not following(")"):
            if position >= len(tokens):
                raise ValueError(f"not a SQL type: {text!r}")
            if tokens[position] != ",":
                numbers.append(int(tokens[position]))
            position += 1
        expect(")")
        if name == "DECIMAL":
            precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
    return SQLType(name, precision, scale), position


def timestamp(value):
    """A datetime for ``2023-01-02T03:04:05.678`` or for milliseconds since 1970; text when the year does not fit."""
    if isinstance(value, str):
        try:
            return datetime.datetime.fromisoformat(value[:-1] if value.endswith("Z") else value)
        except ValueError:
            return value
    return _EPOCH + datetime.timedelta(milliseconds=value)


def converter(type):
    """Returns the function from a JSON value to the Python value, or None where they are the same. NULL stays None."""
    name = type.name
    if name == "DOUBLE":
        return lambda value: None if value is None else float(value)
    if name == "DECIMAL":
        quantum = None if type.scale is None else decimal.Decimal(1).scaleb(-type.scale)
        context = decimal.Context(prec=max(type.precision or 0, 38) + 2)

        def to_decimal(value):
            if value is None:
                return None
            number = value if isinstance(value, decimal.Decimal) else decimal.Decimal(str(value))
            return number if quantum is None else number.quantize(quantum, context=context)

        return to_decimal
    if name == "BYTES":
        return lambda value: None if value is None else base64.b64decode(value)
    if name == "TIMESTAMP":
        return lambda value: None if value is None else timestamp(value)
    if name == "DATE":
        return lambda value: None if value is None else datetime.date.fromisoformat(value)
    if name == "TIME":
        return lambda value: None if value is None else datetime.time.fromisoformat(value)
    if name in ("ARRAY", "MAP"):
        element = converter(type.element)
        if element is None:
            return None
        if name == "ARRAY":
            return lambda value: None if value is None else [element(item) for item in value]
        return lambda value: None if value is None else {key: element(item) for key, item in value.items()}
    if name == "STRUCT":
        members = {field: converter(member) for field, member in type.fields}
        if not any(members.values()):
            return None

        def to_struct(value):
            if value is None:
                return None
            return {key: members[key](item) if members.get(key) else item for key, item in value.items()}

        return to_struct
    return None


def encode(value):
    """The JSON value to insert for a Python, NumPy or pandas value; raises TypeError for what has no SQL type.

    Decimals go as text, as ksqlDB's own client sends them: a JSON number would pass through a double.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value == value else None
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode("ascii")
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if type(value).__name__ == "datetime64":
        return encode(value.astype("datetime64[ms]").tolist())
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return encode(value.tolist())
    raise TypeError(f"no SQL type for a {type(value).__name__}: {value!r}")
