"""
Picks the adapters and puts together what a task script works with.

Everything can be passed in instead. Nothing is read from the environment before :func:`session` is called.
"""

import os
from typing import TYPE_CHECKING

from xfworker.api.composition.deferred import Deferred
from xfworker.api.composition.image_formats import session_formats
from xfworker.api.composition.local_filesystem import local_filesystem
from xfworker.api.composition.network import server_url, transport
from xfworker.api.composition.provided_session import current_session
from xfworker.api.logging import write_script_log
from xfworker.api.settings.file import load_settings
from xfworker.api.settings.model import Settings
from xfworker.domain.job_arguments import JOB_SERIAL, JobArguments, read_job_arguments
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore
from xfworker.ports.filesystem import Filesystem
from xfworker.ports.xf_server import XFServer
from xfworker.services.script.session import Session

if TYPE_CHECKING:
    from xfworker.api.composition.genuine import GenuineParts

OWN_SERVERS = ("http", "embedded", "memory", "genuine")
"""XF Servers that need no registration."""
_BY_HAND = ("embedded", "memory")


def session(
    settings: Settings | None = None,
    *,
    arguments: JobArguments | None = None,
    server: XFServer | None = None,
    files: FileStore | None = None,
    filesystem: Filesystem | None = None,
    clock: Clock | None = None,
) -> Session:
    """
    Put together what a task script works with.

    Where the settings choose an ``embedded`` or ``memory`` server and no environment says which job it is, the script
    was started by hand: a job is made for it on a server of its own.

    Called without arguments inside :func:`.provided_session` it gives that session.

    Args:
        settings: Which adapters to use and how; by default what the settings file and the environment say.
        arguments: Which job it is; by default what ``XF_JOB_SERIAL``, ``XF_SERVER_HOST``, ``XF_SERVER_PORT`` and
            ``XF_SERVER_AUTH`` say.
        server: The XF Server instead of the one that the arguments name.
        files: The file store instead of the one that the settings name.
        filesystem: The local disks instead of this machine's.
        clock: The time instead of this machine's.

    Returns:
        The session; connections are made when they are first needed.

    Raises:
        ConfigurationError: An environment variable or a setting is missing or malformed; the message names it.
    """
    if all(part is None for part in (settings, arguments, server, files, filesystem, clock)):
        provided = current_session()
        if provided is not None:
            return provided
    chosen = load_settings().settings if settings is None else settings
    if arguments is None and server is None and chosen.server.kind in _BY_HAND and JOB_SERIAL not in os.environ:
        from xfworker.api.composition.own_server import session_by_hand

        return session_by_hand(chosen, files=files, filesystem=filesystem, clock=clock)
    if chosen.server.kind == "genuine" and server is None:
        genuine = _genuine(chosen)
        server = genuine.server
        files = genuine.files if files is None else files
        arguments = genuine.arguments if arguments is None else arguments
    who = read_job_arguments(os.environ) if arguments is None else arguments
    write_script_log(chosen.logging, job_serial=who.job_serial)
    if clock is None:
        from xfworker.adapters.clock import SystemClock

        clock = SystemClock()
    return Session(
        server=_server(chosen, who, clock) if server is None else server,
        files=_deferred(chosen, clock) if files is None else files,
        filesystem=local_filesystem(chosen, os.environ) if filesystem is None else filesystem,
        images=session_formats(chosen),
        clock=clock,
        arguments=who,
    )


def _genuine(settings: Settings) -> "GenuineParts":
    from xfworker.api.composition.genuine import genuine_parts

    return genuine_parts(settings)


def _server(settings: Settings, arguments: JobArguments, clock: Clock) -> XFServer:
    if settings.server.kind not in OWN_SERVERS:
        from xfworker.api.composition.adapter_registry import make_adapter

        options = {"arguments": arguments, **settings.server.options}
        server: XFServer = make_adapter("server", settings.server.kind, options, own=OWN_SERVERS, setting="server.kind")
        return server
    from xfworker.adapters.http.xf_server import HttpXFServer

    return HttpXFServer(transport(settings, server_url(arguments), arguments.server_auth, clock))


def _deferred(settings: Settings, clock: Clock) -> FileStore:
    def make() -> FileStore:
        from xfworker.api.composition.file_stores import open_file_store

        return open_file_store(settings, clock)

    store: FileStore = Deferred(make)
    return store
