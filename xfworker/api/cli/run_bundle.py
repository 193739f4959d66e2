"""``xfworker run --bundle``: runs a bundled job again, and compares its outputs with those in the bundle."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field

from xfworker.adapters.process.python_environment import environment_differences, python_environment
from xfworker.api.cli.console import messages, print_json, results
from xfworker.api.cli.job_display import LiveJob, exit_code, job_document, outputs_table, show_failure
from xfworker.api.cli.target_source import TargetSource
from xfworker.api.composition.target import Target, load_target
from xfworker.domain.errors import UsageError
from xfworker.domain.files import Resource, Scope, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.services.bundle.manifest import OUTPUT
from xfworker.services.bundle.reading import OpenBundle
from xfworker.services.bundle.restoring import Progress, restore_job
from xfworker.services.comparison.difference import Difference, Tolerance
from xfworker.services.comparison.outputs import RecordedOutputs, compare_outputs, neutral_outputs
from xfworker.services.jobs.results import collect_files
from xfworker.services.transfers.watch import reporting

if TYPE_CHECKING:
    from xfworker.adapters.terminal.transfer_bars import Bars
    from xfworker.api.composition.local_platform import LocalPlatform
    from xfworker.services.worker.job_executor import EndedJob

_SHOWN_ENVIRONMENT = 12


@define(frozen=True, kw_only=True)
class BundleRun:
    """
    How a bundle is to be run.

    Attributes:
        bundle: The bundle.
        target: A script or package to run instead of the bundle's own, or ``None``.
        compare: By how much numbers and voxels may differ, or ``None`` where nothing is compared.
        out: Folder for output files.
        as_json: Whether to print one JSON document.
        keep: Whether to leave the server's data.
        data: Folder for the server's data, or ``None`` for a temporary one.
    """

    bundle: Path
    target: Path | None = None
    compare: Tolerance | None = None
    out: Path
    as_json: bool = False
    keep: bool = False
    data: Path | None = None


@define(frozen=True)
class _Report:
    differences: list[Difference] = field(factory=list)
    environment: list[str] = field(factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "same": not self.differences,
            "differences": [difference.to_json() for difference in self.differences],
            "environment": self.environment,
        }


def run_bundle(wanted: BundleRun) -> int:
    """
    Run a bundle on a server of its own.

    Returns:
        The exit code: 1 where the job failed or, compared, its outputs differ.

    Raises:
        UsageError: The bundle cannot be read, holds no script, or holds no outputs to compare with.
    """
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.process.owned_folder import owned_folder
    from xfworker.adapters.terminal.transfer_bars import transfer_bars
    from xfworker.api.composition.local_platform import local_platform

    console = messages()
    with OpenBundle(wanted.bundle) as bundle, owned_folder("bundle", LocalFilesystem()) as scratch:
        target = _target(wanted, bundle, scratch)
        if wanted.compare is not None:
            _require_outputs(bundle)
        with console.status("starting the server") as status, local_platform(wanted.data, keep=wanted.keep) as platform:
            status.stop()
            live = LiveJob(console, platform.server, alive=[platform.check_alive])
            shown = not wanted.as_json
            with live.shown():
                with transfer_bars(console, shown=shown) as bars:
                    job = restore_job(platform.server, platform.files, bundle, progress=_progress(bars))
                ended = platform.run_job(job, TargetSource({bundle.manifest.task_type.name: target}), live)
                live.finished()
                with transfer_bars(console, shown=shown):
                    collected = collect_files(
                        platform.server, platform.files, platform.filesystem, ended.job.outputs, wanted.out
                    )
            report = None
            if wanted.compare is not None:
                with transfer_bars(console, shown=shown):
                    report = _compared(platform, bundle, ended.job, wanted.compare, scratch)
            _show(wanted, target, ended, collected.paths, report)
            for fault in collected.faults:
                console.print(fault, style="red")
            if collected.left and wanted.data is None:
                platform.keep()
            if wanted.keep or wanted.data is not None or collected.left:
                console.print(f"kept: {wanted.data or platform.folder}")
    code = exit_code(ended.job)
    return code or (1 if collected.faults or (report is not None and report.differences) else 0)


def _target(wanted: BundleRun, bundle: OpenBundle, scratch: Path) -> Target:
    package = scratch / "package"
    package.mkdir()
    if wanted.target is not None:
        return load_target(wanted.target, package)
    archive = next((file for file in bundle.manifest.files if file.resource == bundle.manifest.archive), None)
    if archive is None:
        raise UsageError(
            f"{wanted.bundle} holds no script, because there was none on its server; name the "
            f"script or package to run: xfworker run TARGET --bundle {wanted.bundle}"
        )
    path = scratch / "package.xfp"
    bundle.extract(archive, path)
    return load_target(path, package)


def _require_outputs(bundle: OpenBundle) -> None:
    manifest = bundle.manifest
    if manifest.job.state is not JobState.DONE:
        raise UsageError(
            f"{bundle.path}: the job in it is {manifest.job.state}, so it has no outputs to compare with; leave out "
            "--compare to run it"
        )
    own = {file.resource.filename for file in manifest.files_of(OUTPUT)}
    named = _own_files(neutral_outputs(manifest.job.outputs, manifest.job.serial))
    if not named <= own:
        raise UsageError(
            f"{bundle.path} was made without the files of the outputs, so there is nothing to compare with; make it "
            "anew without --no-outputs, or leave out --compare"
        )


def _own_files(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        found = {value["filename"]} if value.get("job_serial") == "this job" and value.get("filename") else set()
        return found.union(*(_own_files(item) for item in value.values()))
    return set().union(*(_own_files(item) for item in value)) if isinstance(value, list) else set()


def _compared(platform: "LocalPlatform", bundle: OpenBundle, job: Job, tolerance: Tolerance, scratch: Path) -> _Report:
    from xfworker.adapters.images.bitmap_pixels import read_bitmap
    from xfworker.api.composition.image_formats import image_formats

    before = bundle.manifest
    environment = before.environment.get("bundled_on") or {}
    notes = environment_differences(environment, python_environment())
    if job.state is not before.job.state:
        message = f"the job was {before.job.state} then and is {job.state} now"
        return _Report([Difference(path="state", message=message)], notes)
    expected = RecordedOutputs(
        values=neutral_outputs(before.job.outputs, before.job.serial),
        files=_extracted(bundle, scratch / "expected"),
        units=before.job.metadata.get("output_units") or {},
    )
    actual = RecordedOutputs(
        values=neutral_outputs(job.outputs, job.serial),
        files=_stored(platform, job, scratch / "actual"),
        units=job.metadata.get("output_units") or {},
    )
    return _Report(compare_outputs(expected, actual, tolerance, image_formats(), read_bitmap=read_bitmap), notes)


def _extracted(bundle: OpenBundle, folder: Path) -> dict[str, Path]:
    folder.mkdir()
    found = {file.resource.filename: folder / file.resource.filename for file in bundle.manifest.files_of(OUTPUT)}
    for file in bundle.manifest.files_of(OUTPUT):
        bundle.extract(file, found[file.resource.filename])
    return found


def _stored(platform: "LocalPlatform", job: Job, folder: Path) -> dict[str, Path]:
    folder.mkdir()
    place = record_resource("job_result", job.serial)
    token = platform.server.file_token([Scope("list", place), Scope("read", place)])
    found = {}
    for stat in platform.files.list(token, place).files:
        found[stat.resource.filename] = folder / stat.resource.filename
        target = found[stat.resource.filename]
        platform.files.download(token, stat.resource, target, progress=reporting("download", stat.resource))
    return found


def _progress(bars: "Bars") -> Progress:
    def report(resource: Resource, done: int, total: int) -> None:
        del resource
        bars.show("unpacking the bundle", done, total)

    return report


def _show(
    wanted: BundleRun, target: Target, ended: "EndedJob", files: Mapping[str, list[Path]], report: _Report | None
) -> None:
    console, job = messages(), ended.job
    if exit_code(job) == 1:
        show_failure(console, ended, target.name)
    elif job.state is not JobState.DONE:
        console.print(f"{target.name} handed the job over to a person: {ended.outcome.message or 'no message'}")
    if wanted.as_json:
        document = job_document(job, files)
        if report is not None:
            document["comparison"] = report.to_json()
        print_json(document)
    elif job.state is JobState.DONE:
        results().print(outputs_table(job, files, title=f"{target.name}: done"))
    if report is None:
        return
    for difference in report.differences:
        console.print(f"different: {difference}", style="red")
    if report.differences and report.environment:
        shown = report.environment[:_SHOWN_ENVIRONMENT]
        more = len(report.environment) - len(shown)
        console.print("the environment is another one: " + "; ".join(shown) + (f"; and {more} more" if more else ""))
    if not report.differences:
        console.print(f"the outputs are the same (tolerance: {wanted.compare})", style="green")
