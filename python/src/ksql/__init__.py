"""The names of ksql-python, on Martlet's own client: ``from ksql import KSQLAPI``.

Differs from ksql-python on purpose: no dependencies; Python 3.9 to 3.14; each item of `query` is one whole message however
the answer was cut into chunks; errors have a message, a code and a place (``line``, ``column``).
"""

from ksql.api import SimplifiedAPI
from ksql.builder import SQLBuilder
from ksql.client import KSQLAPI
from ksql.errors import CreateError, InvalidQueryError, KSQLError
from ksql.upload import FileUpload

__package_name__ = "ksql"
__ksql_server_version__ = "0.10.1"
__ksql_api_version__ = "0.1.2"
__version__ = f"{__ksql_server_version__}.{__ksql_api_version__}"
__all__ = ["KSQLAPI", "CreateError", "FileUpload", "InvalidQueryError", "KSQLError", "SQLBuilder", "SimplifiedAPI"]
