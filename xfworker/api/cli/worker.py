"""``xfworker worker``: runs the jobs of a server on this computer."""

import math
import os
import platform
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from attrs import evolve
from cyclopts import App, Parameter
from cyclopts.validators import Number

from xfworker.api.cli.record_list import list_workers
from xfworker.domain.errors import UsageError
from xfworker.domain.records import INSTANCE, DependencyPackage, Worker
from xfworker.domain.resources import PILOT, RESOURCES, Scratch
from xfworker.ports.job_queue import Lease
from xfworker.services.event_log import EventLog
from xfworker.services.stop_signals import receiving_stop_signals
from xfworker.services.worker.job_executor import EndedJob
from xfworker.services.worker.loop import DIRECTORY_PREFIX, WorkerEvents, WorkerLoop

if TYPE_CHECKING:
    from xfworker.adapters.process.script_user import ScriptUser
    from xfworker.api.composition.client import Client
    from xfworker.api.composition.script_limits import ScriptLimits
    from xfworker.api.composition.worker_machine import WorkerMachine
    from xfworker.api.settings.model import LoadedSettings

app = App(name="worker", help_format="plaintext")

app.command(list_workers, name="list")

_DEPENDENCY = re.compile(r"(?P<name>[a-zA-Z0-9.]+)==(?P<version>\d+\.\d+\.\d+\.\d+)")
_DAY_SECONDS = 24 * 3600.0
_MINUTE_SECONDS = 60.0


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
    cores: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    memory_mib: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    gpus: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    scratch: Scratch | None = None,
    walltime: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    idle_minutes: Annotated[float | None, Parameter(validator=Number(gte=0))] = None,
    grace: Annotated[float | None, Parameter(validator=Number(gte=0))] = None,
    batch_job: str | None = None,
) -> int:
    """
    Run the jobs of a server on this computer until Ctrl-C or SIGTERM (Ctrl-Break on Windows).

    The first signal takes no more jobs and waits for those that run, for --grace seconds where that is given or in a
    batch job; the second, and the end of the grace, end their scripts and give the jobs back, so that they run again
    elsewhere at once. The token is that of the settings (XFWORKER_SERVER_TOKEN).
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
        cores: The processor cores that jobs may use; by default what this process may use.
        memory_mib: The memory that jobs may use, MiB; by default what this process may use.
        gpus: How many of the visible GPUs jobs may use; by default all.
        scratch: The kind of disk on which jobs work: of this computer (local) or of the whole cluster (shared); by
            default what the folder is on.
        walltime: How many minutes the worker has, by default what the batch system says; it takes only jobs that end
            before, and leaves in time.
        idle_minutes: After how many minutes without a job the worker leaves.
        grace: How many seconds running jobs may go on after the signal that stops the worker; in a batch job 0 by
            default.
        batch_job: The batch job that the worker is, as SYSTEM:ID, where the environment does not say so.
    """
    from xfworker.adapters.clock import SystemClock
    from xfworker.adapters.process.own_secrets import hide_environment
    from xfworker.adapters.process.script_user import find_script_user
    from xfworker.adapters.process.worker_name import worker_instance, worker_name
    from xfworker.api.composition.cache_folder import cache_folder
    from xfworker.api.composition.client import awaited_server, connected
    from xfworker.api.composition.local_filesystem import TEMPORARY_FOLDER
    from xfworker.api.composition.script_limits import script_limits
    from xfworker.api.composition.script_settings import script_variables
    from xfworker.api.composition.worker_machine import MachineOptions, worker_machine
    from xfworker.api.logging import write_server_log
    from xfworker.api.settings.file import load_settings

    if concurrency < 1:
        raise UsageError("--concurrency is at least 1")
    by_hand = [_dependency(text) for text in dependency]
    options = MachineOptions(
        cores=cores,
        memory_mib=memory_mib,
        gpus=gpus,
        scratch=scratch,
        walltime_minutes=walltime,
        grace_seconds=grace,
        batch_job=batch_job,
    )
    loaded = load_settings()
    user = None if run_as is None else find_script_user(run_as)
    write_server_log()
    address = awaited_server(server, loaded.settings, SystemClock())
    folder = (data or cache_folder(os.environ)).absolute()
    named = os.environ.get(TEMPORARY_FOLDER, "").strip()
    jobs = (Path(named) if named else loaded.settings.disk.temp_directory or folder / "jobs").absolute()
    machine = worker_machine(options, environment=os.environ, jobs=jobs, concurrency=concurrency, clock=SystemClock())
    limits = script_limits(allowed=loaded.settings.worker.control_groups, prepare=True)
    variables = script_variables(loaded, os.environ, pass_variable)
    hide_environment(variables.keys())
    with worker_name(name, address.url) as held_name, connected(address, loaded.settings) as client:
        instance = worker_instance(held_name, address.url)

        def described(*, left: bool = False) -> Worker:
            packages = [] if only_dependencies else client.server.find(DependencyPackage)
            return Worker(
                name=held_name,
                dependency_packages=_packages(by_hand, packages),
                max_concurrent_jobs=concurrency,
                metadata={
                    "platform": platform.platform(),
                    "python": platform.python_version(),
                    INSTANCE: instance,
                    RESOURCES: machine.capacity.total.to_json(),
                    PILOT: None if machine.pilot is None else evolve(machine.pilot, left=left).to_json(),
                },
            )

        loop = _loop(client, loaded, described, folder, jobs, keep_failed_days, variables, user, machine, limits)
        loop.idle_limit_seconds = math.inf if idle_minutes is None else idle_minutes * _MINUTE_SECONDS
        if machine.pilot is not None:
            loop.farewell = lambda: described(left=True)
        events = EventLog("xfworker.worker")
        events.info(
            "xfworker.worker_started",
            server=client.address.url,
            data=str(folder),
            concurrency=concurrency,
            worker=held_name,
            scripts_kept_by=limits.description,
            **machine.capacity.free().to_json(),
        )
        with receiving_stop_signals(_Stop(loop)):
            loop.run(until_idle=until_idle)
        events.info("xfworker.worker_stopped")
    return 0


def _loop(
    client: "Client",
    loaded: "LoadedSettings",
    described: Callable[[], Worker],
    data: Path,
    jobs: Path,
    keep_failed_days: float,
    variables: Mapping[str, str],
    user: "ScriptUser | None",
    machine: "WorkerMachine",
    limits: "ScriptLimits",
) -> WorkerLoop:
    from xfworker.adapters.clock import SystemClock
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.process.environments import Environments
    from xfworker.adapters.process.job_directories import JobDirectories
    from xfworker.adapters.process.private_folder import private_folder
    from xfworker.adapters.process.runner import ProcessRunner
    from xfworker.api.composition.package_source import PackageSource
    from xfworker.api.composition.script_preload import PRELOAD
    from xfworker.api.composition.script_settings import script_settings
    from xfworker.services.packages.cache import PackageCache
    from xfworker.services.worker.job_executor import JobExecutor

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
        runner=ProcessRunner(
            user=user,
            preload=[PRELOAD] if loaded.settings.worker.fork_server else (),
            control_groups=limits.control_groups,
        ),
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
        concurrency=machine.capacity.concurrency,
        capacity=machine.capacity,
        leave_at=machine.leave_at,
        grace_seconds=machine.grace_seconds,
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

    def preempted(self, lease: Lease, reason: str) -> None:
        self._log.warning("xfworker.job_preempted", job_serial=lease.job.serial, attempt=lease.attempt, reason=reason)

    def server_away(self, reason: str) -> None:
        self._log.warning("xfworker.server_away", reason=reason)

    def directory_left(self, directory: Path, reason: str) -> None:
        self._log.warning("xfworker.directory_left", directory=str(directory), reason=reason)


class _Stop:
    """Lets the first signal stop a worker, and the second drop its jobs."""

    def __init__(self, loop: WorkerLoop) -> None:
        self._loop = loop
        self._count = 0

    def __call__(self, name: str) -> None:
        self._count += 1
        log = EventLog("xfworker.worker")
        if self._count == 1:
            log.info("xfworker.worker_stopping", reason=name, running=self._loop.running)
            self._loop.stop(f"{name}: the worker stops")
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
