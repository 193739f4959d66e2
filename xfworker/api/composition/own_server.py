"""
A job and a server for a script that was started by hand: the kinds ``embedded`` and ``memory`` of ``server.kind``.

The job's inputs are ``server.inputs``; an input ``{file = "scan.aim"}`` is a file, typed by its content. What became of
the job is written to stderr when the script's process ends.
"""

import atexit
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from attrs import define

from xfworker.api.composition.file_stores import open_file_store
from xfworker.api.composition.image_formats import session_formats
from xfworker.api.composition.input_files import describe_input_file
from xfworker.api.composition.local_filesystem import local_filesystem
from xfworker.api.composition.network import transport
from xfworker.api.logging import write_script_log
from xfworker.api.settings.model import Settings
from xfworker.domain.errors import ConfigurationError, JobError, XFWorkerError
from xfworker.domain.job_arguments import JobArguments
from xfworker.domain.records import Job, Worker
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore
from xfworker.ports.filesystem import Filesystem
from xfworker.ports.image_codec import ImageFormats
from xfworker.ports.job_queue import JobQueue, Lease
from xfworker.ports.xf_server import XFServer
from xfworker.services.jobs.staging import StagedFile, StagePlan, stage_job
from xfworker.services.script.session import Session

_HEARTBEAT_SECONDS = 15.0


@define(frozen=True, kw_only=True)
class _OwnServer:
    """A server with all rights, and how a script comes in."""

    server: XFServer
    queue: JobQueue
    files: FileStore
    script_server: Callable[[Lease], XFServer]
    host: str
    port: str


def session_by_hand(
    settings: Settings, *, files: FileStore | None, filesystem: Filesystem | None, clock: Clock | None
) -> Session:
    """
    Make a server and a job, and give the session of its script.

    Args:
        settings: ``server.kind`` is ``embedded`` or ``memory``.
        files: The file store instead of the chosen one.
        filesystem: The local disks instead of this machine's.
        clock: The time instead of this machine's.

    Raises:
        InvalidParameter: An input file cannot be used.
        ConfigurationError: A setting is missing or malformed.
    """
    from xfworker.adapters.clock import SystemClock

    if files is None:
        _require_own_files(settings)
    time = clock or SystemClock()
    images = session_formats(settings)
    stack = ExitStack()
    atexit.register(stack.close)
    open_server = _memory if settings.server.kind == "memory" else _embedded
    own = open_server(settings, time, stack, files)
    name = Path(sys.argv[0]).stem or "script"
    job = stage_job(own.server, own.files, _plan(name, settings.server.inputs, images))
    worker = own.queue.register(Worker(name=f"by hand {os.getpid()}"))
    lease = own.queue.claim(worker.serial, job_serial=job.serial)
    if lease is None:
        raise JobError(f"job {job.serial} could not be taken from the server that was made for it")
    write_script_log(settings.logging, job_serial=job.serial)
    _keep_lease(own.queue, lease, stack)
    stack.callback(_report_end, own.server, job.serial)
    return Session(
        server=own.script_server(lease),
        files=own.files,
        filesystem=filesystem or local_filesystem(settings, os.environ),
        images=images,
        clock=time,
        arguments=JobArguments(
            job_serial=job.serial, server_host=own.host, server_port=own.port, server_auth=lease.server_auth
        ),
    )


def _require_own_files(settings: Settings) -> None:
    """
    Refuse a store that other servers share: this server's jobs count from 1, so their files would replace others'.

    Raises:
        ConfigurationError: The settings choose such a store.
    """
    if settings.files.kind not in {"fss", "memory"} or settings.files.archives:
        chosen = settings.files.kind if settings.files.kind not in {"fss", "memory"} else "archives"
        raise ConfigurationError(
            f"server.kind is {settings.server.kind!r}: such a server numbers its jobs from 1, and their files would "
            f"replace those of other servers' jobs in the file store that the settings choose (files: {chosen}); leave "
            "[files] out of the settings for this script, or set XFWORKER_CONFIG to a file of its own"
        )


def _plan(name: str, inputs: Mapping[str, Any], images: ImageFormats) -> StagePlan:
    files: dict[str, StagedFile] = {}
    values: dict[str, Any] = {}
    for key, value in inputs.items():
        if isinstance(value, Mapping) and set(value) == {"file"} and isinstance(value["file"], str):
            files[key] = describe_input_file(Path(value["file"]).expanduser(), None, images)
        else:
            values[key] = value
    return StagePlan(name=name, task_type="xfworker.ByHand", values=values, files=files)


def _memory(_: Settings, clock: Clock, stack: ExitStack, files: FileStore | None) -> _OwnServer:
    from xfworker.adapters.memory.files import MemoryFileStore
    from xfworker.api.composition.platform import memory_platform
    from xfworker.services.platform.principal import ADMIN

    store = files or MemoryFileStore()
    platform = memory_platform(clock, files=store)
    stack.callback(platform.close)
    return _OwnServer(
        server=platform.server_for(ADMIN),
        queue=platform.queue_for(ADMIN),
        files=store,
        script_server=lambda lease: platform.server_for(platform.authenticate(lease.server_auth)),
        host="memory",
        port="1",
    )


def _embedded(settings: Settings, clock: Clock, stack: ExitStack, files: FileStore | None) -> _OwnServer:
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.http.job_queue import HttpJobQueue
    from xfworker.adapters.http.xf_server import HttpXFServer
    from xfworker.adapters.process.owned_folder import owned_folder, sweep_abandoned
    from xfworker.api.composition.embedded_server import EmbeddedServer

    folder = settings.server.data
    if folder is None:
        sweep_abandoned(LocalFilesystem())
        folder = stack.enter_context(owned_folder("script", LocalFilesystem()))
    embedded = stack.enter_context(EmbeddedServer(folder))
    link = transport(settings, embedded.url, embedded.admin_token, clock)
    stack.callback(link.close)
    return _OwnServer(
        server=HttpXFServer(link),
        queue=HttpJobQueue(link),
        files=files or open_file_store(settings, clock),
        script_server=lambda lease: HttpXFServer(transport(settings, embedded.url, lease.server_auth, clock)),
        host=embedded.host,
        port=str(embedded.port),
    )


def _keep_lease(queue: JobQueue, lease: Lease, stack: ExitStack) -> None:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_HEARTBEAT_SECONDS):
            with suppress(XFWorkerError):
                queue.heartbeat([lease])

    threading.Thread(target=beat, name="lease", daemon=True).start()
    stack.callback(ended.set)


def _report_end(server: XFServer, job_serial: int) -> None:
    with suppress(XFWorkerError):
        job = server.get(Job, job_serial)
        outputs = json.dumps(job.outputs, ensure_ascii=False)
        sys.stderr.write(f"xfworker: job {job_serial} is {job.state.value}; outputs: {outputs}\n")
