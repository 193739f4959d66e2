"""``xfworker serve``: the built-in server in the foreground."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from xfworker.api.cli.console import say
from xfworker.domain.errors import UsageError
from xfworker.services.platform.options import MOST_SPAWNED_JOBS

if TYPE_CHECKING:
    from xfworker.api.composition.platform import PlatformStorage
    from xfworker.services.platform.platform import Platform

app = App(name="serve", help_format="plaintext")

_SHORTEST_LEASE_SECONDS = 1.0
_LONGEST_LEASE_SECONDS = 7 * 24 * 3600.0


@app.default
def serve(
    *,
    data: Path = Path("xfworker-data"),
    database: str | None = None,
    files: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    tls_certificate: Path | None = None,
    tls_key: Path | None = None,
    direct_access_root: str | None = None,
    direct_writes: bool = False,
    group_access: Literal["none", "read", "write"] | None = None,
    durable: bool = True,
    sns: Path | None = None,
    outputs_must_fit: bool = True,
    max_attempts: int = 3,
    lease_seconds: float = 60.0,
    activity_days: int | None = None,
    most_spawned_jobs: int = MOST_SPAWNED_JOBS,
    image_cache: float = 50.0,
    end_with_input: Annotated[bool, Parameter(show=False)] = False,
    announce: Annotated[Path | None, Parameter(show=False)] = None,
) -> int:
    """
    Serve projects, workflows, jobs and files over HTTP until Ctrl-C or SIGTERM.

    Exit code 0: stopped in order; 1: it could not start; 2: called wrongly.
    Example: `xfworker serve --data labdata --port 8080`

    Args:
        data: Folder that holds everything the server keeps; made where it is not there.
        database: Address of the database: postgresql://user@host/name; SQLite in the data folder by default.
        files: Folder of the files; data/files by default.
        host: Address to listen on; only this computer can connect unless you choose another.
        port: Port to listen on; 0 takes a free one.
        tls_certificate: PEM file of the certificate; with it the server speaks https.
        tls_key: PEM file of the certificate's key.
        direct_access_root: What scripts can call the folder of the files, where they reach the same disk.
        direct_writes: Whether scripts may also write their outputs there directly, to be registered only.
        group_access: What the group of the folder of the files may do with them, whatever the umask: none, read or
            write. By default none; read with --direct-access-root; write with --direct-writes.
        durable: Whether what was answered outlives a power cut; without it the server is faster.
        sns: Folder of ISQ files to serve as a catalogue of measurements.
        outputs_must_fit: Whether outputs that do not fit the task type's interface are refused; else it is a warning.
        max_attempts: How often a job is handed out before it fails because its workers were lost.
        lease_seconds: How long a worker may be silent before its jobs go to others.
        most_spawned_jobs: How many jobs may be spawned behind one job by jobs that were spawned themselves; more looks
            like a loop and is refused.
        activity_days: After how many days events of the activity log are deleted; by default they are kept for ever.
        image_cache: How many GiB copies of images for viewing may take below data/images; they are made again as
            needed.
        end_with_input: End when standard input ends.
        announce: File to write the server's address and token to.
    """
    from xfworker.adapters.disk.file_modes import GroupAccess
    from xfworker.adapters.process.allocator import keep_freed_memory
    from xfworker.adapters.web.serving import ServeOptions, check_tls, reachable
    from xfworker.adapters.web.serving import serve as serve_app
    from xfworker.api.composition.endpoint_file import ServerEndpoint, endpoint_path, write_endpoint
    from xfworker.api.composition.platform import PlatformStorage, file_store, opened_platform, web_app
    from xfworker.api.composition.viewed_images import viewed_images
    from xfworker.api.logging import write_server_log
    from xfworker.domain.address import is_loopback
    from xfworker.services.platform.options import PlatformOptions

    if direct_writes and direct_access_root is None:
        raise UsageError("--direct-writes needs --direct-access-root, by which scripts find the files")
    for name, least in (("--max-attempts", max_attempts), ("--most-spawned-jobs", most_spawned_jobs)):
        if least < 1:
            raise UsageError(f"{name} is at least 1")
    _check_lease_and_log(lease_seconds, activity_days)
    options = ServeOptions(
        host=host, port=port, tls_certificate=tls_certificate, tls_key=tls_key, end_with_input=end_with_input
    )
    check_tls(options)  # before anything is made
    write_server_log()
    keep_freed_memory()
    storage = PlatformStorage(
        data=data.absolute(),
        database=database,
        files=files,
        direct_access_root=direct_access_root,
        direct_writes=direct_writes,
        group_access=None if group_access is None else GroupAccess(group_access),
        durable=durable,
        sns=sns,
    )
    rules = PlatformOptions(
        outputs_must_fit=outputs_must_fit,
        max_attempts=max_attempts,
        lease_seconds=lease_seconds,
        activity_days=activity_days,
        most_spawned_jobs=most_spawned_jobs,
    )
    with (
        _only_server(storage) as is_first,
        closing(file_store(storage)) as stored,
        opened_platform(storage, rules, files=stored) as platform,
        viewed_images(stored, storage.data / "images", limit_gib=image_cache) as images,
    ):

        def announced(bound: int) -> None:
            endpoint = ServerEndpoint(
                host=reachable(host),
                port=bound,
                scheme=options.scheme,
                pid=os.getpid(),
                admin_token=platform.admin_token(),
            )
            if is_first:
                write_endpoint(endpoint_path(storage.data), endpoint)
            if announce is not None:
                write_endpoint(announce, endpoint)
            say(f"xfworker serves {storage.data} at {endpoint.url}")
            _offer_page(platform, endpoint.url)

        if options.scheme == "http" and not is_loopback(host):
            warning = (
                f"warning: {host} is reached over plain HTTP, which shows tokens to the network; give --tls-certificate"
            )
            say(warning)
        try:
            serve_app(web_app(platform, stored, sns=storage.sns, images=images), options, announce=announced)
        finally:
            if is_first:
                endpoint_path(storage.data).unlink(missing_ok=True)
    return 0


def _offer_page(platform: "Platform", url: str) -> None:
    """Sign the server's owner in on the page by a link; on a terminal only, because a log is read by others."""
    from xfworker.services.platform.principal import ADMIN

    if sys.stderr.isatty():
        link = platform.page_sessions().link(ADMIN)
        say(f"its page, signed in: {url}{link.path} (works once, within ten minutes)")


def _check_lease_and_log(lease_seconds: float, activity_days: int | None) -> None:
    if not _SHORTEST_LEASE_SECONDS <= lease_seconds <= _LONGEST_LEASE_SECONDS:
        raise UsageError(f"--lease-seconds is between {_SHORTEST_LEASE_SECONDS:g} and {_LONGEST_LEASE_SECONDS:g}")
    if activity_days is not None and activity_days < 1:
        raise UsageError("--activity-days is at least 1; without it the activity log is kept for ever")


@contextmanager
def _only_server(storage: "PlatformStorage") -> Iterator[bool]:
    """Make sure that no other server uses the data folder, and give whether the endpoint file is this server's."""
    from xfworker.api.composition.endpoint_file import endpoint_path, read_endpoint, server_lock
    from xfworker.api.composition.platform import make_data_folder

    make_data_folder(storage)
    with server_lock(storage.data) as is_first:
        # Several servers may share a PostgreSQL database, and the folder of the files with it; nothing else.
        if not is_first and not (storage.database or "").startswith("postgresql"):
            other = read_endpoint(endpoint_path(storage.data))
            known = "" if other is None else f" at {other.url} (process {other.pid})"
            raise UsageError(
                f"a server runs on {storage.data} already{known}; use that one, stop it, or name another folder with "
                "--data"
            )
        yield is_first
