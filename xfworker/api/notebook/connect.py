"""Connects a notebook to a server."""

import atexit
import os
from contextlib import ExitStack

from xfworker.api.notebook.server import Server


def connect(server: str | os.PathLike[str] | None = None, *, token: str | None = None) -> Server:
    """
    Connect to a server.

    Args:
        server: Its address (``https://host:port``), or the data folder of one that runs on this computer; by default
            what the settings say, else the server whose data are in ``xfworker-data`` here.
        token: The token for an address; by default that of the settings (``XFWORKER_SERVER_TOKEN``).

    Returns:
        The server. Connections are made when they are first needed, and closed by ``close()``, at the end of a ``with``
        block, or when Python ends.

    Raises:
        UsageError: No server is named and none runs here, or none runs on the folder.
        ConfigurationError: There is no token for it.
    """
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.http.workflow_control import HttpWorkflowControl
    from xfworker.adapters.process.owned_folder import owned_folder
    from xfworker.api.composition.client import ServerAddress, connected, find_server
    from xfworker.api.settings.file import load_settings

    settings = load_settings().settings
    named = None if server is None else os.fspath(server)
    if token is not None and named is not None and "://" in named:
        address = ServerAddress(named, token)
    else:
        address = find_server(named, settings)
    stack = ExitStack()
    client = stack.enter_context(connected(address, settings))
    filesystem = LocalFilesystem()
    folder = stack.enter_context(owned_folder("notebook", filesystem))
    atexit.register(stack.close)
    return Server(
        name=address.url,
        server=client.server,
        control=HttpWorkflowControl(client.transport),
        files=client.files,
        filesystem=filesystem,
        folder=folder,
        stack=stack,
    )
