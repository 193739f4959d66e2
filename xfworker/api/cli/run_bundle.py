"""``xfworker run --bundle``: runs a bundled job again, and compares its outputs with those in the bundle."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field

from xfworker.adapters.process.python_environment import environment_differences, python_environment
from xfworker.api.cli.items import Inputs, read_inputs
from xfworker.api.cli.local_run import LocalRun, LocalRunOptions, local_run
from xfworker.api.composition.local_platform import LocalPlatform
from xfworker.api.composition.target import Target, load_target
from xfworker.domain.errors import UsageError
from xfworker.domain.files import Resource, Scope, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Workflow
from xfworker.ports.file_store import FileProgress
from xfworker.services.bundle.manifest import OUTPUT
from xfworker.services.bundle.reading import OpenBundle
from xfworker.services.bundle.restoring import restore_job
from xfworker.services.comparison.difference import Difference, Tolerance
from xfworker.services.comparison.outputs import RecordedOutputs, compare_outputs, neutral_outputs
from xfworker.services.jobs.staging import stage_files, stage_sequences
from xfworker.services.transfers.observed import reporting

if TYPE_CHECKING:
    from xfworker.adapters.terminal.transfer_bars import Bars

_MOST_ENVIRONMENT = 12


@define(frozen=True)
class _Comparison:
    differences: list[Difference] = field(factory=list)
    environment: list[str] = field(factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "same": not self.differences,
            "differences": [difference.to_json() for difference in self.differences],
            "environment": self.environment,
        }


def run_bundle(
    path: Path,
    items: Sequence[str],
    options: LocalRunOptions,
    *,
    target: Path | None,
    tolerance: Tolerance | None,
) -> int:
    """
    Run a bundle on a server of its own.

    Args:
        path: The bundle.
        items: Inputs in place of the bundle's own.
        options: How the job runs.
        target: A script or package to run instead of the bundle's own, or ``None``.
        tolerance: By how much numbers and voxels may differ, or ``None`` where nothing is compared.

    Returns:
        The exit code: 1 where the job failed or, compared, its outputs differ.

    Raises:
        UsageError: The bundle cannot be read, holds no script, or holds no outputs to compare with.
    """
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.process.owned_folder import owned_folder

    with OpenBundle(path) as bundle, owned_folder("bundle", LocalFilesystem()) as scratch:
        loaded = _target(bundle, target, scratch)
        inputs = _inputs(bundle, items, is_own=target is None)
        if tolerance is not None:
            _require_outputs(bundle)
        with local_run(options) as local:
            with local.bars() as bars:
                job = restore_job(
                    local.platform.server,
                    local.platform.files,
                    bundle,
                    progress=_progress(bars),
                    replaced=lambda workflow: _staged(local.platform, workflow, inputs),
                )
            finished = local.run_job(loaded, job)
            if tolerance is None:
                return finished.code
            with local.bars():
                comparison = _compared(local.platform, bundle, finished.job, tolerance, scratch)
            local.comparison = comparison.to_json()
            _show(local, comparison, tolerance)
            return finished.code or int(bool(comparison.differences))


def _inputs(bundle: OpenBundle, items: Sequence[str], *, is_own: bool) -> Inputs:
    from xfworker.api.composition.image_formats import image_formats

    declared = bundle.manifest.task_type.interface
    inputs = read_inputs(items, declared if declared.get("inputs") else None, image_formats(), complete=False)
    # The inputs of a script that declares none are those that its job had.
    had = bundle.manifest.job.inputs
    if is_own and (unknown := sorted(inputs.keys - set(had))):
        raise UsageError(f"the job in {bundle.path} has no input {unknown[0]!r}; it has: {', '.join(had) or 'none'}")
    if inputs.earlier:
        key, earlier = next(iter(inputs.earlier.items()))
        hint = f"fetch it (xfworker job download {earlier.serial}) and write {key}@FILE"
        if earlier.kind == "task":
            hint = f"give its values as {key}:=[...]"
        raise UsageError(f"{key}: a bundle's job sees no earlier jobs; {hint}")
    return inputs


def _staged(platform: LocalPlatform, workflow: Workflow, inputs: Inputs) -> dict[str, Any]:
    """Store the files and sequences among inputs, and give all of them as parameters."""
    values = dict(inputs.values)
    if inputs.files:
        values |= stage_files(platform.server, platform.files, workflow, inputs.files)[0]
    return values | stage_sequences(platform.server, platform.files, workflow, inputs.sequences)


def _target(bundle: OpenBundle, instead: Path | None, scratch: Path) -> Target:
    package = scratch / "package"
    package.mkdir()
    if instead is not None:
        return load_target(instead, package)
    archive = next((file for file in bundle.manifest.files if file.resource == bundle.manifest.archive), None)
    if archive is None:
        raise UsageError(
            f"{bundle.path} holds no script, because there was none on its server; name the "
            f"script or package to run: xfworker run TARGET --bundle {bundle.path}"
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
        filenames = {value["filename"]} if value.get("job_serial") == "this job" and value.get("filename") else set()
        return filenames.union(*(_own_files(item) for item in value.values()))
    return set().union(*(_own_files(item) for item in value)) if isinstance(value, list) else set()


def _compared(
    platform: LocalPlatform, bundle: OpenBundle, job: Job, tolerance: Tolerance, scratch: Path
) -> _Comparison:
    from xfworker.adapters.images.bitmap_pixels import read_bitmap
    from xfworker.api.composition.image_formats import image_formats

    before = bundle.manifest
    environment = before.environment.get("bundled_on") or {}
    changes = environment_differences(environment, python_environment())
    if job.state is not before.job.state:
        message = f"the job was {before.job.state} then and is {job.state} now"
        return _Comparison([Difference(path="state", message=message)], changes)
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
    return _Comparison(compare_outputs(expected, actual, tolerance, image_formats(), read_bitmap=read_bitmap), changes)


def _extracted(bundle: OpenBundle, folder: Path) -> dict[str, Path]:
    folder.mkdir()
    paths = {file.resource.filename: folder / file.resource.filename for file in bundle.manifest.files_of(OUTPUT)}
    for file in bundle.manifest.files_of(OUTPUT):
        bundle.extract(file, paths[file.resource.filename])
    return paths


def _stored(platform: LocalPlatform, job: Job, folder: Path) -> dict[str, Path]:
    folder.mkdir()
    folder_in_store = record_resource("job_result", job.serial)
    token = platform.server.file_token([Scope("list", folder_in_store), Scope("read", folder_in_store)])
    paths = {}
    for stat in platform.files.list(token, folder_in_store).files:
        paths[stat.resource.filename] = folder / stat.resource.filename
        target = paths[stat.resource.filename]
        platform.files.download(token, stat.resource, target, progress=reporting("download", stat.resource))
    return paths


def _progress(bars: "Bars") -> FileProgress:
    def report(resource: Resource, done: int, total: int) -> None:
        del resource
        bars.show("unpacking the bundle", done, total)

    return report


def _show(local: LocalRun, comparison: _Comparison, tolerance: Tolerance) -> None:
    console = local.console
    for difference in comparison.differences:
        console.print(f"different: {difference}", style="red")
    if comparison.differences and comparison.environment:
        first = comparison.environment[:_MOST_ENVIRONMENT]
        more = len(comparison.environment) - len(first)
        console.print("the environment is another one: " + "; ".join(first) + (f"; and {more} more" if more else ""))
    if not comparison.differences:
        console.print(f"the outputs are the same (tolerance: {tolerance})", style="green")
