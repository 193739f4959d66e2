"""``xfworker serve``: the built-in server in the foreground."""

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from attrs import evolve
from cyclopts import App, Parameter

from xfworker.api.cli.console import say
from xfworker.domain.errors import UsageError
from xfworker.services.platform.options import MOST_SPAWNED_JOBS

if TYPE_CHECKING:
    from xfworker.adapters.web.serving import ServeOptions
    from xfworker.api.composition.endpoint_file import ServerEndpoint
    from xfworker.api.composition.platform import PlatformStorage
    from xfworker.services.platform.options import PlatformOptions
    from xfworker.services.platform.platform import Platform

app = App(name="serve", help_format="plaintext")

_OF_THE_FIRST = ("processes", "listener", "end_with_input", "announce")
_SHORTEST_LEASE_SECONDS = 1.0
_MOST_SESSION_TIME = 36500
_MOST_HSTS_DAYS = 3650
_LONGEST_LEASE_SECONDS = 7 * 24 * 3600.0


@app.default
def serve(
    *,
    data: Path = Path("xfworker-data"),
    database: str | None = None,
    files: str | None = None,
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
    files_elsewhere: bool = False,
    max_attempts: int = 3,
    lease_seconds: float = 60.0,
    activity_days: int | None = None,
    most_spawned_jobs: int = MOST_SPAWNED_JOBS,
    image_cache: float = 50.0,
    breached_passwords: Path | None = None,
    session_days: float = 30.0,
    session_idle_hours: float = 72.0,
    most_sessions: int = 50,
    second_factor_for: Literal["nobody", "administrators", "all"] = "nobody",
    trusted_proxy: Annotated[list[str] | None, Parameter(negative="")] = None,
    hsts_days: int = 365,
    image_links: bool = True,
    processes: int = 1,
    listener: Annotated[int | None, Parameter(show=False)] = None,
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
        files: Folder of the files, or s3://bucket/prefix, which is reached as [files] in the settings says; data/files
            by default.
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
        files_elsewhere: Scripts keep files in a store of their own settings ([files]) that this server does not serve,
            so it does not look for the results that outputs name; scripts do so in their store.
        max_attempts: How often a job is handed out before it fails because its workers were lost.
        lease_seconds: How long a worker may be silent before its jobs go to others.
        most_spawned_jobs: How many jobs may be spawned behind one job by jobs that were spawned themselves; more looks
            like a loop and is refused.
        activity_days: After how many days events of the activity log are deleted; by default they are kept for ever.
        image_cache: How many GiB copies of images for viewing may take below data/images; they are made again as
            needed. With a bucket half of them are for images that were fetched from it.
        breached_passwords: File of stolen passwords, which no account may have: SHA-1 hashes in ascending order, as
            Have I Been Pwned offers them. The most common passwords are refused without it.
        session_days: How long a session lasts, used or not.
        session_idle_hours: After how many hours without a request a session ends.
        most_sessions: How many sessions an account has at once; one more ends the one that was unused for longest.
        second_factor_for: Who has to have a second factor to sign in; everybody may set one up.
        trusted_proxy: Address or network of a reverse proxy whose X-Forwarded-For and X-Forwarded-Proto are believed;
            may be given several times. By default nobody's are.
        hsts_days: For how many days browsers that came over TLS come back to this host name over TLS only; 0 where
            others serve plain HTTP under the same name.
        image_links: Whether people make links to an image for other viewers, which hold a token for this image.
        processes: How many processes serve, on one port; more than one need --database postgresql://...
        listener: Descriptor of the socket that several processes share.
        end_with_input: End when standard input ends.
        announce: File to write the server's address and token to.
    """
    given = dict(locals())
    from xfworker.adapters.disk.file_modes import GroupAccess
    from xfworker.adapters.process.allocator import keep_freed_memory
    from xfworker.adapters.web.serving import ServeOptions, check_tls, reachable
    from xfworker.adapters.web.serving import serve as serve_app
    from xfworker.adapters.web.transport import TransportOptions, checked_proxies
    from xfworker.api.composition.endpoint_file import ServerEndpoint, endpoint_path, write_endpoint
    from xfworker.api.composition.files_location import stated_location
    from xfworker.api.composition.platform import (
        PlatformStorage,
        agreed_settings,
        file_store,
        opened_platform,
        web_app,
    )
    from xfworker.api.composition.server_processes import is_postgresql, require_several_possible
    from xfworker.api.composition.viewed_images import viewed_images
    from xfworker.api.logging import write_server_log
    from xfworker.api.settings.file import load_settings
    from xfworker.services.platform.options import PlatformOptions, SecondFactorFor

    if files is not None and files.startswith("s3:") and (direct_access_root is not None or group_access is not None):
        raise UsageError("--direct-access-root and --group-access are for files in a folder, not in a bucket")
    if direct_writes and direct_access_root is None:
        raise UsageError("--direct-writes needs --direct-access-root, by which scripts find the files")
    _check_rules(max_attempts, most_spawned_jobs, lease_seconds, activity_days)
    _check_sessions(session_days, session_idle_hours, most_sessions, hsts_days)
    transport = TransportOptions(
        trusted_proxies=checked_proxies(trusted_proxy or ()), hsts_days=hsts_days, image_links=image_links
    )
    require_several_possible(processes, database)
    options = ServeOptions(
        host=host,
        port=port,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        end_with_input=end_with_input,
        listener=listener,
    )
    check_tls(options)  # before anything is made
    write_server_log()
    keep_freed_memory()
    storage = PlatformStorage(
        data=data.absolute(),
        database=database,
        files=None if files is None else stated_location(files, load_settings().settings),
        direct_access_root=direct_access_root,
        direct_writes=direct_writes,
        group_access=None if group_access is None else GroupAccess(group_access),
        durable=durable,
        sns=sns,
        breached_passwords=breached_passwords,
    )
    rules = PlatformOptions(
        outputs_must_fit=outputs_must_fit,
        files_elsewhere=files_elsewhere,
        max_attempts=max_attempts,
        lease_seconds=lease_seconds,
        activity_days=activity_days,
        most_spawned_jobs=most_spawned_jobs,
        session_seconds=session_days * 24 * 3600,
        session_idle_seconds=session_idle_hours * 3600,
        most_sessions=most_sessions,
        second_factor_for=SecondFactorFor(second_factor_for),
    )
    _warn_of_plain_http(options)
    if processes > 1:
        return _serve_several(storage, rules, options, _arguments(given), processes, announce)
    with (
        _only_server(storage) if listener is None else nullcontext(enter_result=False) as is_first,
        closing(file_store(storage)) as stored,
        opened_platform(storage, rules, files=stored) as platform,
        viewed_images(stored, storage.data / "images", limit_gib=image_cache) as images,
    ):
        if is_postgresql(database):
            platform.join(agreed_settings(storage, stored))

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
            if listener is None:
                say(f"xfworker serves {storage.data} at {endpoint.url}")
                _offer_page(platform, endpoint.url)

        try:
            app, end_answers = web_app(platform, stored, sns=storage.sns, images=images, transport=transport)
            serve_app(app, options, announce=announced, before_stop=end_answers)
        finally:
            if is_first:
                endpoint_path(storage.data).unlink(missing_ok=True)
    return 0


def _serve_several(
    storage: "PlatformStorage",
    rules: "PlatformOptions",
    options: "ServeOptions",
    arguments: list[str],
    processes: int,
    announce: Path | None,
) -> int:
    """Look after several processes that serve, and end with them."""
    from xfworker.adapters.web.serving import free_address, wait_for_end_of_input
    from xfworker.api.composition.endpoint_file import endpoint_path, write_endpoint
    from xfworker.api.composition.platform import opened_platform
    from xfworker.api.composition.server_processes import ServerProcesses, bound_listener
    from xfworker.services.stop_signals import receiving_stop_signals

    with (
        _only_server(storage) as is_first,
        # The schema and the secret are made before several could do so at once.
        opened_platform(storage, rules) as platform,
        bound_listener(*free_address(options.host, options.port)) as listener,
    ):
        command = [sys.executable, "-m", "xfworker", "serve", *arguments, "--end-with-input"]
        several = ServerProcesses(command, listener, say)

        def announced(first: "ServerEndpoint") -> None:
            endpoint = evolve(first, pid=os.getpid())
            for path in (endpoint_path(storage.data) if is_first else None, announce):
                if path is not None:
                    write_endpoint(path, endpoint)
            say(f"xfworker serves {storage.data} at {endpoint.url} by {processes} processes")
            _offer_page(platform, endpoint.url)

        if options.end_with_input:
            threading.Thread(target=wait_for_end_of_input, args=(several.stop,), daemon=True).start()
        try:
            with receiving_stop_signals(several.stop):
                return several.run(processes, announced)
        finally:
            if is_first:
                endpoint_path(storage.data).unlink(missing_ok=True)


def _arguments(given: Mapping[str, object]) -> list[str]:
    """Give the arguments of one of several processes: those that this one was given, but for what is its own."""
    arguments: list[str] = []
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if name in _OF_THE_FIRST or value is None:
            continue
        if isinstance(value, list):
            arguments += [argument for item in value for argument in (option, str(item))]
        elif isinstance(value, bool):
            arguments.append(option if value else f"--no-{option[2:]}")
        else:
            arguments += [option, str(value)]
    return arguments


def _offer_page(platform: "Platform", url: str) -> None:
    """Sign the server's owner in on the page by a link; on a terminal only, because a log is read by others."""
    from xfworker.services.platform.principal import ADMIN

    if sys.stderr.isatty():
        link = platform.page_sessions().link(ADMIN)
        say(f"its page, signed in: {url}{link.path} (works once, within ten minutes)")


def _warn_of_plain_http(options: "ServeOptions") -> None:
    from xfworker.domain.address import is_loopback

    if options.scheme == "http" and options.listener is None and not is_loopback(options.host):
        say(
            f"warning: {options.host} is reached over plain HTTP, which shows tokens to the network; give "
            "--tls-certificate"
        )


def _check_rules(max_attempts: int, most_spawned_jobs: int, lease_seconds: float, activity_days: int | None) -> None:
    for name, least in (("--max-attempts", max_attempts), ("--most-spawned-jobs", most_spawned_jobs)):
        if least < 1:
            raise UsageError(f"{name} is at least 1")
    if not _SHORTEST_LEASE_SECONDS <= lease_seconds <= _LONGEST_LEASE_SECONDS:
        raise UsageError(f"--lease-seconds is between {_SHORTEST_LEASE_SECONDS:g} and {_LONGEST_LEASE_SECONDS:g}")
    if activity_days is not None and activity_days < 1:
        raise UsageError("--activity-days is at least 1; without it the activity log is kept for ever")


def _check_sessions(days: float, idle_hours: float, most: int, hsts_days: int) -> None:
    for name, value in (("--session-days", days), ("--session-idle-hours", idle_hours)):
        if not 0 < value <= _MOST_SESSION_TIME:  # so written, it refuses nan as well
            raise UsageError(f"{name} is more than 0 and at most {_MOST_SESSION_TIME}")
    if most < 1:
        raise UsageError("--most-sessions is at least 1")
    if not 0 <= hsts_days <= _MOST_HSTS_DAYS:
        raise UsageError(f"--hsts-days is between 0 and {_MOST_HSTS_DAYS}")


@contextmanager
def _only_server(storage: "PlatformStorage") -> Iterator[bool]:
    """Make sure that no other server uses the data folder, and give whether the endpoint file is this server's."""
    from xfworker.api.composition.endpoint_file import endpoint_path, read_endpoint, server_lock
    from xfworker.api.composition.platform import make_data_folder
    from xfworker.api.composition.server_processes import is_postgresql

    make_data_folder(storage)
    with server_lock(storage.data) as is_first:
        # Several servers may share a PostgreSQL database, and the folder of the files with it; nothing else.
        if not is_first and not is_postgresql(storage.database):
            other = read_endpoint(endpoint_path(storage.data))
            known = "" if other is None else f" at {other.url} (process {other.pid})"
            raise UsageError(
                f"a server runs on {storage.data} already{known}; use that one, stop it, or name another folder with "
                "--data"
            )
        yield is_first
