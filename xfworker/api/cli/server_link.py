"""What commands that ask a server have in common: its address, and the connection to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from xfworker.api.composition.client import Client

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document.")]
Server = Annotated[
    str | None, Parameter(help="The server's address, or the data folder of one that runs on this computer.")
]


@contextmanager
def linked(server: str | None, *, signs_in: bool = False) -> "Iterator[Client]":
    """
    Give the client of the named server, or of the one that the settings name or that runs here.

    Args:
        server: Its address or its data folder.
        signs_in: Whether it is to get a token, and so needs none.
    """
    from xfworker.api.composition.client import connected, find_server
    from xfworker.api.settings.file import load_settings

    settings = load_settings().settings
    with connected(find_server(server, settings, needs_token=not signs_in), settings) as client:
        yield client
