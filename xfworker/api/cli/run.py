"""``xfworker run``: runs a script or a task type package on a server of its own."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from attrs import evolve
from cyclopts import App, Parameter

from xfworker.api.cli.console import messages, print_json, results
from xfworker.api.cli.items import Inputs, read_inputs
from xfworker.api.cli.job_display import LiveJob, exit_code, job_document, outputs_table, show_failure
from xfworker.api.cli.kept_script import keep_script
from xfworker.api.cli.target_source import TargetSource
from xfworker.api.composition.target import Target, load_target
from xfworker.domain.errors import FileError, ServerError, UsageError
from xfworker.domain.job_inputs import complete_inputs
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.services.comparison.difference import Tolerance
from xfworker.services.jobs.results import collect_files
from xfworker.services.jobs.staging import StagedFile, StagePlan, stage_job
from xfworker.services.worker.job_executor import LOG_FILENAME, EndedJob
from xfworker.services.worker.outcome import server_lost

if TYPE_CHECKING:
    from rich.console import Console

    from xfworker.api.composition.local_platform import LocalPlatform

app = App(name="run", help="Run a task script or a task type package on a server of its own.", help_format="plaintext")


@app.default
def run(
    target: Path | None = None,
    *items: str,
    out: Path = Path("xf-results"),
    json: Annotated[bool, Parameter(negative="")] = False,
    keep: Annotated[bool, Parameter(negative="")] = False,
    data: Path | None = None,
    bundle: Path | None = None,
    compare: Annotated[bool, Parameter(negative="")] = False,
    absolute: float = 0.0,
    relative: float = 1e-9,
) -> int:
    """
    Run a task script or a task type package on a server of its own.

    Exit code 0: done; 1: failed; 2: called wrongly; 3: handed over to a person.

    Args:
        target: A Python script, a task type package folder, or an .xfp archive. With --bundle it is run in place of
            the bundle's own.
        items: Inputs. key=value (a number, true, false or text; typed by the package's interface where there is one),
            key:=json (any JSON value), key@file (an image becomes an Image, a table a CSV, all else a ForeignFile).
        out: Folder for output files; it is made when there are any.
        json: Print the finished job's record with its outputs and files as one JSON document.
        keep: Leave the server's data and the working directories where they are, and say where.
        data: Folder for the server's data, which stays; a temporary one by default.
        bundle: Run the job of this bundle (`xfworker job bundle`) with its own inputs.
        compare: Compare the outputs with those in the bundle; exit code 1 where they differ.
        absolute: By how much numbers and voxels (in raw values) may differ when compared.
        relative: By how much more, as a part of the expected value.
    """
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.process.owned_folder import owned_folder
    from xfworker.api.composition.image_formats import image_formats

    check_out(out)
    if bundle is not None:
        from xfworker.api.cli.run_bundle import BundleRun, run_bundle

        if items:
            raise UsageError(f"{items[0]!r}: the job in a bundle has its own inputs; give none")
        tolerance = Tolerance(absolute=absolute, relative=relative) if compare else None
        return run_bundle(
            BundleRun(bundle=bundle, target=target, compare=tolerance, out=out, as_json=json, keep=keep, data=data)
        )
    if compare:
        raise UsageError("--compare needs the --bundle to compare with")
    if target is None:
        raise UsageError("name a TARGET to run: a script, a task type package folder or an .xfp file; or a --bundle")
    console = messages()
    with owned_folder("target", LocalFilesystem()) as scratch:
        loaded = load_target(target, scratch)
        inputs = read_inputs(items, loaded.interface, image_formats())
        return _run(loaded, inputs, out=out, as_json=json, keep=keep, data=data, console=console)


def _run(
    target: Target, inputs: Inputs, *, out: Path, as_json: bool, keep: bool, data: Path | None, console: "Console"
) -> int:
    from xfworker.adapters.terminal.transfer_bars import transfer_bars
    from xfworker.api.composition.local_platform import local_platform

    with console.status("starting the server") as status, local_platform(data, keep=keep) as platform:
        status.stop()
        live = LiveJob(console, platform.server, alive=[platform.check_alive])
        with live.shown():
            with transfer_bars(console, shown=not as_json):
                job = stage_job(platform.server, platform.files, _plan(target, inputs))
                if keep or data is not None:
                    keep_script(platform.server, platform.files, target, job.task_serial)
            try:
                ended = platform.run_job(job, TargetSource({target.task_type: target}), live)
            except ServerError as error:
                if as_json:
                    print_json(job_document(_lost(job, str(error)), {}))
                raise
            live.finished()
            with transfer_bars(console, shown=not as_json):
                collected = collect_files(platform.server, platform.files, platform.filesystem, ended.job.outputs, out)
        code = exit_code(ended.job)
        _report(ended, collected.paths, as_json=as_json, target=target, console=console)
        for fault in collected.faults:
            console.print(fault, style="red")
            code = code or 1
        if code == 1:
            _keep_log(platform, ended, out, console)
        if collected.left and data is None:
            platform.keep()
        if keep or data is not None or collected.left:
            console.print(f"kept: {data or platform.folder}")
    return code


def check_out(out: Path) -> None:
    """
    Make sure, before a job works for hours, that its files can be brought there.

    Raises:
        UsageError: It is no folder, or cannot be made or written to.
    """
    place = out.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        what = "a file" if place.is_file() else "no folder"
        raise UsageError(f"--out {out}: {place} is {what}; name a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"--out {out}: {place} cannot be written to; name another folder")


def _plan(target: Target, inputs: Inputs) -> StagePlan:
    interface = target.interface or {}
    return StagePlan(
        name=target.name,
        task_type=target.task_type,
        version=target.version,
        interface=interface,
        values={
            key: value for key, value in complete_inputs(interface, inputs.values).items() if key not in inputs.files
        },
        files={key: StagedFile(type=file.type, paths=file.paths, size=file.size) for key, file in inputs.files.items()},
    )


def _report(
    ended: EndedJob, files: Mapping[str, Sequence[Path]], *, as_json: bool, target: Target, console: "Console"
) -> None:
    code = exit_code(ended.job)
    if code == 1:
        show_failure(console, ended, target.name)
    elif code:
        console.print(f"{target.name} handed the job over to a person: {ended.outcome.message or 'no message'}")
    if as_json:
        print_json(job_document(ended.job, files))
    elif not code:
        results().print(outputs_table(ended.job, files, title=f"{target.name}: done"))


def _lost(job: Job, reason: str) -> Job:
    """Give a job as it must be taken where its server is gone: it is not known what was stored."""
    outcome = server_lost(None, reason)
    metadata = {**job.metadata, "outcome": outcome.to_json(), "error_message": outcome.message}
    return evolve(job, state=JobState.FAILED, metadata=metadata)


def _keep_log(platform: "LocalPlatform", ended: EndedJob, out: Path, console: "Console") -> None:
    path = platform.filesystem.unique_path(out / LOG_FILENAME)
    try:
        if not ended.log_path.stat().st_size:
            return
        out.mkdir(parents=True, exist_ok=True)
        platform.filesystem.copy(ended.log_path, path)
    except (FileError, OSError) as error:
        # What became of the job is known and shown; a script may have removed its log, and a disk may be full.
        console.print(f"the whole log could not be kept: {error}")
    else:
        console.print(f"the whole log: {path}")
