"""The exceptions of ksql-python. Each has ``msg``; those from the server also code, line and column."""

from martlet.errors import MartletError


class KSQLError(MartletError):
    """The server refused a statement or failed: ``msg``, ``error_code``, ``stackTrace``, ``line``, ``column``."""

    def __init__(self, e, error_code=None, stackTrace=None, **details):
        super().__init__(e, error_code, **details)
        self.stackTrace = stackTrace

    @property
    def msg(self):
        return self.message

    @property
    def error_code(self):
        return self.code


class CreateError(KSQLError):
    """A stream or table was not created."""


class KSQLConnectionError(KSQLError, ConnectionError):
    """The server cannot be reached, or went away in the middle of an answer."""


class _LocalError(Exception):
    """Found before anything was sent."""

    def __init__(self, msg):
        super().__init__(msg)
        self.msg = msg


class SQLTypeNotImplementYetError(_LocalError):
    def __init__(self, sql_type):
        super().__init__(f"no statement of type {sql_type!r} can be built; there are 'create' and 'create_as'")


class IllegalTableTypeError(_LocalError):
    def __init__(self, table_type):
        super().__init__(f"illegal table type {table_type!r}: it is 'stream' or 'table'")


class IllegalValueFormatError(_LocalError):
    def __init__(self, value_format):
        super().__init__(f"illegal value format {value_format!r}")


class SQLFormatNotImplementError(_LocalError):
    def __init__(self, msg="the builder has no statement format"):
        super().__init__(msg)


class BuildNotImplmentError(_LocalError):
    def __init__(self, msg="the builder cannot build"):
        super().__init__(msg)


class FileTypeError(_LocalError):
    def __init__(self, ext):
        super().__init__(f"files of statements end in .ksql, this one in {ext!r}")


class InvalidQueryError(_LocalError):
    def __init__(self, query):
        super().__init__(f"not a statement: {query!r}")
