"""Errors: one exception type that says what was wrong, where in the statement, and with which code."""

from __future__ import annotations

import json
import re
import unicodedata

_POSITION = re.compile(r"\bline (\d+):(\d+)")
_WORD = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|[\w@]*""")


class MartletError(Exception):
    """The server refused a statement, or failed while carrying it out.

    - ``message``: the server's sentence.
    - ``code``: the server's error code (HTTP status x 100 + detail, e.g. 40001 for a bad statement) or None.
    - ``line``, ``column``: place in the statement, as the server counts them (``line 1:8``), or None.
    - ``statement``: the text of the refused statement, when the server names it.
    - ``hint``, ``detail``: what to do instead, and more about the cause, where the server says so.
    - ``entities``: results of the statements before the refused one, in the same request.
    - ``status``: HTTP status, or None for an error in the middle of an answer.
    """

    def __init__(
        self, message, code=None, *, line=None, column=None, statement=None, hint=None, detail=None, entities=None, status=None
    ):
        super().__init__(message)
        self.message = str(message)
        self.code = code
        if line is None:
            match = _POSITION.search(self.message)
            if match:
                line, column = int(match.group(1)), int(match.group(2))
        self.line = line
        self.column = column
        self.statement = statement
        self.hint = hint
        self.detail = detail
        self.entities = entities or []
        self.status = status

    def __str__(self):
        """Code, place and message; below them the line of the statement with carets under the culprit, the hint and the detail."""
        code = f"{self.code}: " if self.code is not None else ""
        place, message = "", self.message
        if self.line is not None and self.column is not None:
            # ksqlDB says the place in front of a message in one of two ways; here it is said once.
            for said in (f"line {self.line}:{self.column}:", f"Line: {self.line}, Col: {self.column}:"):
                if message.startswith(said):
                    message = message[len(said) :].lstrip()
            if not _POSITION.search(message):
                place = f"line {self.line}:{self.column}: "
        text = f"{code}{place}{message}"
        hint = self.hint or ""
        shown = _pointed_at(self.statement, self.line, self.column)
        if shown:
            text += f"\n  {shown[0]}\n  {shown[1]}"
            if hint and len(shown[1]) + len(hint) <= 100 and "\n" not in hint:
                text, hint = f"{text}  {hint}", ""
        for more in (hint, self.detail):
            if more:
                text += f"\n  {more}"
        return text


def _pointed_at(statement, line, column):
    """The line of a statement that a place is in, cut to what stands around it, and carets under the word there; None if there is none."""
    lines = statement.split("\n") if statement else []
    if line is None or column is None or not 1 <= line <= len(lines):
        return None
    text = lines[line - 1].replace("\t", " ")
    start = min(max(column - 1, 0), len(text))
    word = _WORD.match(text, start)
    length = max(1, len(word.group())) if word else 1
    first, last = max(0, start - 100), min(len(text), start + length + 100)
    before, after = ("…" if first else ""), ("…" if last < len(text) else "")
    cells = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in before + text[first:start])
    return before + text[first:last] + after, " " * cells + "^" * length


class ConnectError(MartletError, ConnectionError):
    """The server cannot be reached, or went away in the middle of an answer."""


def error_from_body(error_type, body, status=None):
    """Makes the exception for an error object of the server: bytes, text or the decoded object.

    Bodies that are not JSON (a proxy's page, an empty answer) become the message.
    """
    if isinstance(body, (bytes, bytearray)):
        body = bytes(body).decode("utf-8", "replace")
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            text = body.strip()
            return error_type(text[:500] if text else f"the server answered HTTP {status} without a message", status=status)
    if not isinstance(body, dict):
        return error_type(f"the server answered HTTP {status}: {json.dumps(body)[:500]}", status=status)
    message = body.get("message")
    if message is None:
        message = f"the server answered HTTP {status}: {json.dumps(body)[:500]}"
    return error_type(
        message,
        body.get("error_code", body.get("errorCode")),
        line=body.get("line"),
        column=body.get("column"),
        statement=body.get("statementText") or None,
        hint=body.get("hint"),
        detail=body.get("detail"),
        entities=body.get("entities"),
        status=status,
    )
