"""``xfworker worker``: runs the jobs of a server on this computer."""

import os
import platform
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from xfworker.api.cli.record_list import list_workers
from xfworker.domain.errors import UsageError
from xfworker.domain.records import INSTANCE, DependencyPackage, Worker
from xfworker.ports.job_queue import Lease
from xfworker.services.event_log import EventLog
from xfworker.services.stop_signals import stop_signals
from xfworker.services.worker.job_executor import EndedJob
from xfworker.services.worker.loop import DIRECTORY_PREFIX, WorkerEvents, WorkerLoop

if TYPE_CHECKING:
    from xfworker.adapters.process.script_user import ScriptUser
    from xfworker.api.composition.client import Client
    from xfworker.api.settings.model import LoadedSettings

app = App(name="worker", help_format="plaintext")

app.command(list_workers, name="list")

_DEPENDENCY = re.compile(r"(?P<name>[a-zA-Z0-9.]+)==(?P<version>\d+\.\d+\.\d+\.\d+)")
_DAY_SECONDS = 24 * 3600.0


@app.default
def worker(
    *,
    server: str | None = None,
    name: str | None = None,
    concurrency: int = 1,
    dependency: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    only_dependencies: Annotated[bool, Parameter(negative="")] = False,
    data: Path | None = None,
    keep_failed_days: float = 7.0,
    until_idle: Annotated[bool, Parameter(negative="")] = False,
    run_as: str | None = None,
    pass_variable: Annotated[tuple[str, ...], Parameter(negative="")] = (),
) -> int:
    """
    Run the jobs of a server on this computer until Ctrl-C or SIGTERM (Ctrl-Break on Windows).

    The first signal takes no more jobs and waits for those that run; the second ends their scripts, and the jobs run
    again elsewhere when their leases have lapsed. The token is that of the settings (XFWORKER_SERVER_TOKEN).
    Exit code 0: stopped in order; 1: it could not start or was refused; 2: called wrongly.
    Example: `xfworker worker --server labdata --concurrency 2`

    Args:
        server: The server's address, or the data folder of one that runs on this computer.
        name: What the worker is called; by default as the computer is, with a number where other workers run on it.
        concurrency: How many jobs run at once.
        dependency: A dependency package that is installed on this computer by hand, as NAME==1.2.3.4; may be repeated.
        only_dependencies: Run only what needs no more than those; without it packages with an install command count as
            well, and are installed when first needed.
        data: Folder for packages, environments and jobs; the platform's cache folder by default. Working directories
            are made in XFTEMP where that is set.
        keep_failed_days: How long the directories of failed jobs stay.
        until_idle: End when there is nothing to do.
        run_as: The user of this computer as whom scripts and install commands run; the worker must be started by root.
            Without it they run as the worker's own user and can read what that user can read.
        pass_variable: An environment variable that scripts get beside the usual ones (PATH, LANG, CUDA_...), or a
            pattern such as LICENSE_*; may be repeated.
    """
    from xfworker.adapters.clock import SystemClock
    from xfworker.adapters.process.own_secrets import hide_environment
    from xfworker.adapters.process.script_user import find_script_user
    from xfworker.adapters.process.worker_name import worker_instance, worker_name
    from xfworker.api.composition.cache_folder import cache_folder
    from xfworker.api.composition.client import awaited_server, connected
    from xfworker.api.composition.script_settings import script_variables
    from xfworker.api.logging import write_server_log
    from xfworker.api.settings.file import load_settings

    if concurrency < 1:
        raise UsageError("--concurrency is at least 1")
    by_hand = [_dependency(text) for text in dependency]
    loaded = load_settings()
    user = None if run_as is None else find_script_user(run_as)
    write_server_log()
    address = awaited_server(server, loaded.settings, SystemClock())
    folder = (data or cache_folder(os.environ)).absolute()
    variables = script_variables(loaded, os.environ, pass_variable)
    hide_environment(variables.keys())
    with worker_name(name, address.url) as held_name, connected(address, loaded.settings) as client:
        instance = worker_instance(held_name, address.url)

        def described() -> Worker:
            packages = [] if only_dependencies else client.server.find(DependencyPackage)
            return Worker(
                name=held_name,
                dependency_packages=_packages(by_hand, packages),
                max_concurrent_jobs=concurrency,
                metadata={
                    "platform": platform.platform(),
                    "python": platform.python_version(),
                    INSTANCE: instance,
                },
            )

        loop = _loop(client, loaded, described, folder, keep_failed_days, concurrency, variables, user)
        events = EventLog("xfworker.worker")
        events.info(
            "xfworker.worker_started",
            server=client.address.url,
            data=str(folder),
            concurrency=concurrency,
            worker=held_name,
        )
        with _Signals(loop):
            loop.run(until_idle=until_idle)
        events.info("xfworker.worker_stopped")
    return 0


def _loop(
    client: "Client",
    loaded: "LoadedSettings",
    described: Callable[[], Worker],
    data: Path,
    keep_failed_days: float,
    concurrency: int,
    variables: Mapping[str, str],
    user: "ScriptUser | None",
) -> WorkerLoop:
    from xfworker.adapters.clock import SystemClock
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.process.environments import Environments
    from xfworker.adapters.process.job_directories import JobDirectories
    from xfworker.adapters.process.private_folder import private_folder
    from xfworker.adapters.process.runner import ProcessRunner
    from xfworker.api.composition.local_filesystem import TEMPORARY_FOLDER
    from xfworker.api.composition.package_source import PackageSource
    from xfworker.api.composition.script_preload import PRELOAD
    from xfworker.api.composition.script_settings import script_settings
    from xfworker.services.packages.cache import PackageCache
    from xfworker.services.worker.job_executor import JobExecutor

    named = os.environ.get(TEMPORARY_FOLDER, "").strip()
    jobs = (Path(named) if named else loaded.settings.disk.temp_directory or data / "jobs").absolute()
    # Another user's scripts pass through, and see the names of nothing.
    mode = 0o700 if user is None else 0o711
    for folder in (data, data / "packages", data / "environments"):
        private_folder(folder, mode=mode)
    jobs.mkdir(mode=mode, parents=True, exist_ok=True)
    if user is not None:
        user.check(jobs)
    directories = JobDirectories(jobs, DIRECTORY_PREFIX)
    clock = SystemClock()
    environments = Environments(data / "environments", variables=variables, user=user)
    environments.sweep()
    source = PackageSource(
        server=client.server,
        files=client.files,
        cache=PackageCache(data / "packages"),
        environments=environments,
        variables=variables,
        settings=script_settings(loaded),
    )
    executor = JobExecutor(
        queue=client.queue,
        server=client.server,
        files=client.files,
        runner=ProcessRunner(user=user, preload=[PRELOAD] if loaded.settings.worker.fork_server else ()),
        clock=clock,
        source=source,
        server_host=client.address.script_host,
        server_port=client.address.script_port,
    )
    return WorkerLoop(
        worker=described,
        queue=client.queue,
        executor=executor,
        filesystem=LocalFilesystem(jobs),
        clock=clock,
        list_old=directories.unused,
        hold=directories.held,
        log=_LoggedEvents(),
        keep_failed_seconds=keep_failed_days * _DAY_SECONDS,
        concurrency=concurrency,
    )


class _LoggedEvents(WorkerEvents):
    """Writes what a worker does as events."""

    def __init__(self) -> None:
        self._log = EventLog("xfworker.worker")

    def claimed(self, lease: Lease) -> None:
        self._log.info(
            "xfworker.job_claimed",
            job_serial=lease.job.serial,
            attempt=lease.attempt,
            task_type=f"{lease.task_type.name} {lease.task_type.version}",
        )

    def ended(self, lease: Lease, ended: EndedJob) -> None:
        outcome = ended.outcome
        self._log.info(
            "xfworker.job_ended", job_serial=lease.job.serial, ending=outcome.ending.value, message=outcome.message
        )

    def lost(self, lease: Lease, reason: str) -> None:
        self._log.warning("xfworker.job_lost", job_serial=lease.job.serial, attempt=lease.attempt, reason=reason)

    def server_away(self, reason: str) -> None:
        self._log.warning("xfworker.server_away", reason=reason)

    def directory_left(self, directory: Path, reason: str) -> None:
        self._log.warning("xfworker.directory_left", directory=str(directory), reason=reason)


class _Signals:
    """Lets the first signal stop a worker, and the second drop its jobs."""

    def __init__(self, loop: WorkerLoop) -> None:
        self._loop = loop
        self._count = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in stop_signals():
            self._before[number] = signal.signal(number, self._received)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _received(self, number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        self._count += 1
        log = EventLog("xfworker.worker")
        if self._count == 1:
            log.info("xfworker.worker_stopping", reason=name, running=self._loop.running)
            self._loop.stop()
        else:
            log.warning("xfworker.jobs_dropped", reason=name, running=self._loop.running)
            self._loop.drop()


def _dependency(named: str) -> dict[str, str]:
    match = _DEPENDENCY.fullmatch(named)
    if match is None:
        raise UsageError(f"--dependency {named!r} must be NAME==1.2.3.4")
    return {"name": match["name"], "version": match["version"]}


def _packages(by_hand: list[dict[str, str]], on_server: list[DependencyPackage]) -> list[dict[str, Any]]:
    from xfworker.api.composition.package_source import installs_by_itself

    by_itself = [{"name": item.name, "version": item.version} for item in on_server if installs_by_itself(item)]
    return [*by_hand, *(item for item in by_itself if item not in by_hand)]
