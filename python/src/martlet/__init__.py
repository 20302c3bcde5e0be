"""Martlet from Python: ``martlet.connect().df("SELECT ...")``; in a notebook, ``%load_ext martlet``."""

from .client import Client, QueryResult, connect
from .errors import ConnectError, MartletError

__version__ = "0.1.0"
__all__ = ["Client", "ConnectError", "MartletError", "QueryResult", "connect", "load_ipython_extension"]


def load_ipython_extension(ipython):
    """Registers ``%sql``, ``%%sql`` and ``%martlet``; called by ``%load_ext martlet``."""
    from .magic import register

    register(ipython)
