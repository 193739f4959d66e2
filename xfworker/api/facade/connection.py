"""Connections, as scripts hand them to the functions of the module."""

from typing import Any

from xfworker.domain.errors import UsageError
from xfworker.ports.file_store import FileStore
from xfworker.ports.xf_server import XFServer
from xfworker.services.script.session import Session


class Connection:
    """A script's connection: to the XF Server (:class:`ServerConnection`), or to an SNS server."""

    __slots__ = ()


class ServerConnection(Connection):
    """
    What ``with worker.server_connection() as connection`` gives: the right to ask the server, over connections that
    are kept alive between requests and shared with the job.
    """

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def __repr__(self) -> str:
        arguments = self._session.arguments
        return f"<connection of job {arguments.job_serial} to {arguments.server_host}:{arguments.server_port}>"

    @property
    def session(self) -> Session:
        """The session that the connection belongs to."""
        return self._session

    @property
    def server(self) -> XFServer:
        """The XF Server."""
        return self._session.server

    @property
    def files(self) -> FileStore:
        """The file store."""
        return self._session.files


def server_of(connection: Any) -> XFServer:
    """
    Give the server behind a connection that a script handed over.

    Raises:
        UsageError: It is not a connection to the XF Server.
    """
    return connected(connection).server


def connected(connection: Any) -> ServerConnection:
    """
    Give the connection back if it is one to the XF Server.

    Raises:
        UsageError: It is something else.
    """
    if not isinstance(connection, ServerConnection):
        raise UsageError(
            "the first argument must be a connection to the XF Server, from 'with worker.server_connection() as "
            f"connection', not {type(connection).__name__} {repr(connection)[:80]}"
        )
    return connection
