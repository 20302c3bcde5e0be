"""Cutting text into statements, and telling which endpoint a statement belongs to."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""
      '(?:[^']|'')*(?:'|\Z)          # string
    | "(?:[^"]|"")*(?:"|\Z)          # quoted name
    | `(?:[^`]|``)*(?:`|\Z)          # quoted name
    | --[^\n]*                       # comment to the end of the line
    | /\*.*?(?:\*/|\Z)               # comment
    | ;
    | [A-Za-z_][A-Za-z0-9_]*
    """,
    re.VERBOSE | re.DOTALL,
)

# At the beginning of a statement, where none is inside a string.
_COMMENT = re.compile(r"\A(?:\s*(?:--[^\n]*\n|/\*.*?\*/))+", re.DOTALL)


def split(text):
    """Returns the statements of ``text``, each with its semicolon; the last one may lack it. Semicolons in strings,
    quoted names and comments do not end a statement; pieces of blanks and comments alone are left out."""
    statements, start = [], 0
    for match in _TOKEN.finditer(text):
        if match.group() == ";":
            statements.append(text[start : match.end()].strip())
            start = match.end()
    statements.append(text[start:].strip())
    return [statement for statement in statements if words(statement)]


def words(text):
    """Returns the words of ``text`` outside strings, quoted names and comments, in upper case."""
    return [word.upper() for word in _TOKEN.findall(text) if word[0].isalpha() or word[0] == "_"]


def terminated(text):
    """Returns ``text`` with a final semicolon, adding one when it is missing."""
    stripped = text.rstrip()
    pieces = split(stripped)
    if pieces and not pieces[-1].endswith(";"):
        # A comment to the end of the line would swallow the semicolon.
        return stripped + ("\n;" if "--" in stripped.rsplit("\n", 1)[-1] else ";")
    return stripped


def kind(statement):
    """Returns "query" for SELECT (with WITH before it, too), "print" for PRINT, "statement" for all else."""
    first = words(statement)[:1]
    if first in (["SELECT"], ["WITH"]):
        return "query"
    return "print" if first == ["PRINT"] else "statement"


_ASSIGNMENT = re.compile(
    r"""\s*(?:(?P<set>SET)\s+'(?P<property>[^']+)'\s*=\s*'(?P<value>(?:[^']|'')*)'
      | (?P<unset>UNSET)\s+'(?P<cleared>[^']+)'
      | (?P<define>DEFINE)\s+(?P<variable>\w+)\s*=\s*'(?P<text>(?:[^']|'')*)'
      | (?P<undefine>UNDEFINE)\s+(?P<forgotten>\w+))\s*;?\s*\Z""",
    re.VERBOSE | re.IGNORECASE,
)


def remember(statement, properties, variables):
    """Carries out SET, UNSET, DEFINE or UNDEFINE on the two dicts; True if ``statement`` was one of them."""
    found = _ASSIGNMENT.match(_COMMENT.sub("", statement))
    if not found:
        return False
    if found["set"]:
        properties[found["property"]] = found["value"].replace("''", "'")
    elif found["unset"]:
        properties.pop(found["cleared"], None)
    elif found["define"]:
        variables[found["variable"]] = found["text"].replace("''", "'")
    else:
        variables.pop(found["forgotten"], None)
    return True


def is_unbounded(statement):
    """True for a query that runs until somebody stops it: EMIT CHANGES or EMIT FINAL without LIMIT."""
    found = words(statement)
    return "EMIT" in found and "LIMIT" not in found
