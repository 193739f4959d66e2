"""``xfworker cluster scale|list|stop``: workers as pilots on a batch system."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from xfworker.api.cli.console import print_json, print_table, say
from xfworker.api.cli.help_text import group_help
from xfworker.api.cli.server_link import Json, Server
from xfworker.domain.conversion import format_time
from xfworker.domain.errors import UsageError

if TYPE_CHECKING:
    from xfworker.api.settings.model import LoadedSettings
    from xfworker.services.pilots.known_pilot import KnownPilot
    from xfworker.services.pilots.pilots import Pilots

app = App(
    name="cluster",
    help_format="plaintext",
    help=group_help(
        "Run workers as pilots: a batch system gives machines, and each pilot takes jobs from the server.",
        "xfworker cluster scale --slurm 4 --server https://xf.lab:8443",
    ),
)

Count = Annotated[int | None, Parameter(validator=Number(gte=0))]
Ask = Annotated[bool, Parameter(negative="")]


@app.command
def scale(
    *,
    slurm: Count = None,
    pbs: Count = None,
    lsf: Count = None,
    htcondor: Count = None,
    kubernetes: Count = None,
    template: Path | None = None,
    server: Server = None,
    cores: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    memory_mib: Annotated[int, Parameter(validator=Number(gte=1))] = 4096,
    gpus: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    minutes: Annotated[int, Parameter(validator=Number(gte=1))] = 240,
    idle_minutes: Annotated[float, Parameter(validator=Number(gte=0))] = 10.0,
    concurrency: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    image: str = "",
    value: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    data: Path | None = None,
    ask: Ask = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    print_template: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> int:
    """
    Submit pilots to a batch system until there are so many.

    Those that are there, by the workers' records, and those that wait in the queue count, so the same command again
    submits nothing. There are never fewer: pilots leave by themselves when there is nothing to do.
    Exit code 0: so many are there or wait; 1: the batch system refused; 2: called wrongly.
    Example: `xfworker cluster scale --slurm 4 --cores 8 --memory-mib 32000 --minutes 720 --value partition=long`

    Args:
        slurm: How many pilots there are to be in Slurm.
        pbs: How many there are to be in PBS.
        lsf: How many there are to be in LSF.
        htcondor: How many there are to be in HTCondor.
        kubernetes: How many there are to be in Kubernetes.
        template: The text that is submitted, with placeholders such as {{command}} and {{cores}}; one of the system's
            own by default.
        server: The server's address, or the data folder of one that the cluster's machines can reach by it.
        cores: The processor cores of a pilot.
        memory_mib: The memory of a pilot, MiB.
        gpus: The GPUs of a pilot.
        minutes: How long a pilot may run.
        idle_minutes: After how many minutes without a job a pilot leaves.
        concurrency: How many jobs a pilot runs at once.
        image: The container image of a pilot (Kubernetes).
        value: A value for a placeholder of the template, as NAME=TEXT (partition=long); may be repeated.
        data: The folder for packages and environments that all pilots share, also for what was submitted and for logs;
            the platform's cache folder by default.
        ask: Ask the batch system first, and do not count a pilot that waits and is not in its list any more.
        dry_run: Print what would be submitted for a pilot, and submit nothing.
        print_template: Print the template and its placeholders, to begin one of your own.
        as_json: Print one JSON document.
    """
    from xfworker.api.composition.batch_systems import batch_systems
    from xfworker.api.composition.pilot_submission import PilotOptions, server_location, submitted_text, token_file_of

    counts = {"slurm": slurm, "pbs": pbs, "lsf": lsf, "htcondor": htcondor, "kubernetes": kubernetes}
    name, count = _one(counts)
    system = batch_systems()[name]
    if print_template:
        print(system.template, end="")  # noqa: T201  the result
        return 0
    loaded, folder = _settings(), _data(data)
    location = server_location(server, loaded)
    options = PilotOptions(
        cores=cores,
        memory_mib=memory_mib,
        gpus=gpus,
        minutes=minutes,
        idle_minutes=idle_minutes,
        concurrency=concurrency,
        image=image,
        data=folder,
        values=dict(_value(text) for text in value),
    )
    config = "" if loaded.file is None else str(loaded.file.absolute())
    pilots_folder = folder / "pilots"

    def token_file(*, write: bool) -> str:
        return token_file_of(loaded, pilots_folder, location, write=write) if system.shares_files else ""

    text = submitted_text(
        system,
        template,
        options,
        server=location,
        logs=pilots_folder,
        token_file=token_file(write=False),
        config=config,
    )
    if dry_run:
        print(text, end="")  # noqa: T201  the result
        return 0
    with _pilots(server, loaded, location, folder) as pilots:
        token_file(write=True)
        counted = pilots.scale(system, count, text, ask=ask, report=lambda pilot: say(f"submitted {pilot}"))
    return _show(counted, as_json=as_json)


@app.command(name="list")
def list_pilots(*, server: Server = None, data: Path | None = None, ask: Ask = False, as_json: Json = False) -> int:
    """
    List pilots: those that were submitted from here, and those that the workers' records show.

    Exit code 0: listed; 1: the batch system was asked and did not answer. Example: `xfworker cluster list --ask`

    Args:
        server: The server's address, or the data folder of one that runs on this computer.
        data: The folder of --data when they were submitted.
        ask: Ask the batch systems as well, and show what they say of each pilot.
        as_json: Print one JSON document.
    """
    with pilots_here(server, data) as pilots:
        known = pilots.known(ask=ask)
    return _show(known, as_json=as_json)


@app.command
def stop(
    *ids: str,
    stop_all: Annotated[bool, Parameter(name="--all", negative="")] = False,
    job: Annotated[tuple[int, ...], Parameter(negative="")] = (),
    worker: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    unanswering: Annotated[bool, Parameter(negative="")] = False,
    server: Server = None,
    data: Path | None = None,
    as_json: Json = False,
) -> int:
    """
    Cancel pilots by the batch system: they hand their jobs back, which run again elsewhere, and leave.

    A job that is to end is aborted first (`xfworker job abort`), which its pilot sees within seconds. Where the pilot
    does not answer, because its machine hangs or is suspended, --job cancels its batch job, and so does
    `xfworker job abort --cancel-batch-job` by itself.
    Exit code 0: cancelled, or there was none to cancel; 1: there is no such job, or the batch system refused; 2: there
    is no such pilot.
    Example: `xfworker cluster stop --job 12`

    Args:
        ids: The pilots, as `xfworker cluster list` shows them (slurm:123, or 123).
        stop_all: All that are there or wait.
        job: The pilot that runs this job, by the job's serial; may be repeated.
        worker: The pilot that is this worker, by its name or serial; may be repeated.
        unanswering: All that have not been heard of for five minutes and did not say that they leave, as far as the
            batch system still lists them for you.
        server: The server's address, or the data folder of one that runs on this computer.
        data: The folder of --data when they were submitted.
        as_json: Print one JSON document.
    """
    from xfworker.services.pilots.choice import Choice

    if sum(map(bool, (ids, stop_all, job, worker, unanswering))) != 1:
        raise UsageError("name the pilots to stop, or give one of --job, --worker, --unanswering and --all")
    with pilots_here(server, data) as pilots:
        chosen = Choice(ids=ids, jobs=job, workers=worker, unanswering=unanswering)
        stopped = pilots.stop(chosen, ask=unanswering)
        again = pilots.handed_back(job)
    for pilot in stopped:
        say_stopped(pilot)
    if unanswering and not stopped:
        say("every pilot that has not left was heard of in the last five minutes")
    for serial in again:
        say(f"job {serial} will run again on another pilot; to end it: xfworker job abort {serial}")
    if as_json:
        print_json({"pilots": [_described(pilot) for pilot in stopped]})
    return 0


def say_stopped(pilot: "KnownPilot") -> None:
    """Say what became of the batch job of a pilot that was to be cancelled."""
    from xfworker.services.pilots.known_pilot import ABSENT

    if pilot.batch_state == ABSENT:
        say(f"{pilot.id} is not among your batch jobs: it has ended, or another user submitted it")
    else:
        say(f"cancelled {pilot.id}")


@contextmanager
def pilots_here(server: str | None, data: Path | None) -> "Iterator[Pilots]":
    """
    Give the pilots of the named server, or of the one that the settings name or that runs here.

    Args:
        server: Its address or its data folder.
        data: The folder in which what was submitted is kept; the platform's cache folder by default.
    """
    from xfworker.api.composition.pilot_submission import server_location

    loaded = _settings()
    with _pilots(server, loaded, server_location(server, loaded), _data(data)) as pilots:
        yield pilots


@contextmanager
def _pilots(server: str | None, loaded: "LoadedSettings", location: str, data: Path) -> "Iterator[Pilots]":
    from xfworker.api.composition.client import connected, find_server
    from xfworker.api.composition.pilots import pilots_of

    with connected(find_server(server, loaded.settings), loaded.settings) as client:
        yield pilots_of(client.server, location, data)


def _settings() -> "LoadedSettings":
    from xfworker.api.settings.file import load_settings

    return load_settings()


def _data(named: Path | None) -> Path:
    from xfworker.api.composition.cache_folder import cache_folder

    return (named or cache_folder(os.environ)).absolute()


def _one(counts: dict[str, int | None]) -> tuple[str, int]:
    named = [(name, count) for name, count in counts.items() if count is not None]
    if len(named) != 1:
        raise UsageError(
            f"give one of {', '.join(f'--{name}' for name in counts)} with how many pilots there are to be"
        )
    return named[0]


def _value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or "\n" in value:
        raise UsageError(f"--value {text!r} must be NAME=TEXT, such as partition=long")
    return name, value


def _show(pilots: "Sequence[KnownPilot]", *, as_json: bool) -> int:
    if as_json:
        print_json({"pilots": [_described(pilot) for pilot in pilots]})
        return 0
    asked = any(pilot.batch_state is not None for pilot in pilots)
    print_table(
        ("pilot", "state", *(["in the queue"] if asked else []), "worker", "submitted", "last seen", "leaves", "name"),
        [
            (
                pilot.id,
                pilot.state.value,
                *([pilot.batch_state or ""] if asked else []),
                pilot.worker and pilot.worker.serial,
                _moment(pilot.submitted_at),
                _moment(None if pilot.worker is None else pilot.worker.last_seen_at),
                _moment(pilot.ends_at),
                pilot.worker and pilot.worker.name,
            )
            for pilot in pilots
        ],
        text=("name",),
    )
    return 0


def _described(pilot: "KnownPilot") -> dict[str, Any]:
    worker = pilot.worker
    return {
        "pilot": pilot.id,
        "system": pilot.system,
        "batch_job": pilot.job,
        "state": pilot.state.value,
        "batch_state": pilot.batch_state,
        "worker": None if worker is None else worker.serial,
        "name": None if worker is None else worker.name,
        "submitted_at": _moment(pilot.submitted_at) or None,
        "last_seen_at": (worker and _moment(worker.last_seen_at)) or None,
        "ends_at": _moment(pilot.ends_at) or None,
    }


def _moment(time: datetime | None) -> str:
    return "" if time is None else format_time(time)[:19]
