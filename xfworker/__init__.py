"""
The open implementation of ``xfworkerutil``: task scripts for micro-CT workflows, with a built-in server.

Scripts import :mod:`xfworkerutil`. The rooms of this package are ``domain`` (words and rules), ``ports`` (what the
rules need from outside), ``services`` (use cases), ``adapters`` (technologies) and ``api`` (what people touch).
"""

import os
from importlib import import_module
from typing import Any

__all__ = ["__version__", "connect"]

__version__ = "0.1.0"


def connect(server: str | os.PathLike[str] | None = None, *, token: str | None = None) -> Any:
    """
    Connect to a server, in a notebook say; see :func:`xfworker.api.notebook.connect.connect`.

    Args:
        server: Its address, or the data folder of one that runs on this computer.
        token: The token for an address; by default that of the settings.

    Returns:
        The :class:`~xfworker.api.notebook.server.Server`.
    """
    # By name, because the package itself knows none of its rooms: all of them import it.
    return import_module("xfworker.api.notebook.connect").connect(server, token=token)
