"""Statements from a file."""

from __future__ import annotations

import os

from ksql.client import KSQLAPI
from ksql.errors import FileTypeError, InvalidQueryError
from martlet import statements


class FileUpload:
    """Carries out the statements of .ksql files."""

    def __init__(self, url, **kwargs):
        self.url = url
        self.client = KSQLAPI(url, **kwargs)

    def upload(self, ksqlfile):
        """Carries out the statements in order and returns the list of their results. Queries cannot be among them.

        Raises `FileTypeError` for another ending than .ksql, `InvalidQueryError` if the last statement lacks its semicolon
        (before anything is carried out), `KSQLError` for a statement that the server refuses (those before it stay done).
        """
        self.checkExtension(ksqlfile)
        return [self.client.ksql(rule) for rule in self.get_rules_list(ksqlfile)]

    def get_rules_list(self, ksqlfile):
        with open(ksqlfile, encoding="utf-8") as file:
            rules = statements.split(file.read())
        if rules and not rules[-1].endswith(";"):
            raise InvalidQueryError(rules[-1])
        return rules

    def checkExtension(self, filename):
        extension = os.path.splitext(filename)[-1].lower()
        if extension != ".ksql":
            raise FileTypeError(extension)
