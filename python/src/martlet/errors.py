"""Errors: one exception type that says what was wrong, where in the statement, and with which code."""

from __future__ import annotations

import json
import re

_POSITION = re.compile(r"\bline (\d+):(\d+)")


class MartletError(Exception):
    """The server refused a statement, or failed while carrying it out.

    - ``message``: the server's sentence.
    - ``code``: the server's error code (HTTP status x 100 + detail, e.g. 40001 for a bad statement) or None.
    - ``line``, ``column``: place in the statement, as the server counts them (``line 1:8``), or None.
    - ``statement``: the text of the refused statement, when the server names it.
    - ``entities``: results of the statements before the refused one, in the same request.
    - ``status``: HTTP status, or None for an error in the middle of an answer.
    """

    def __init__(self, message, code=None, *, line=None, column=None, statement=None, entities=None, status=None):
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
        self.entities = entities or []
        self.status = status

    def __str__(self):
        code = f"{self.code}: " if self.code is not None else ""
        place = ""
        if self.line is not None and not _POSITION.search(self.message):
            place = f"line {self.line}:{self.column}: "
        return f"{code}{place}{self.message}"


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
        entities=body.get("entities"),
        status=status,
    )
