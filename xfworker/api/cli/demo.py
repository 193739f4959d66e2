"""``xfworker demo``: the whole way on a phantom, checked against the known answer."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from attrs import define
from cyclopts import App, Parameter

from xfworker.api.cli.console import print_table, results
from xfworker.api.cli.job_display import job_document
from xfworker.api.cli.local_run import LocalRun, LocalRunOptions, local_run
from xfworker.api.composition.target import Target, load_target
from xfworker.api.demo.phantom import THRESHOLD, KnownAnswer, write_phantom
from xfworker.api.demo.pictures import BONE, show_in_terminal, write_pictures
from xfworker.domain.job_inputs import complete_inputs
from xfworker.domain.records import Job
from xfworker.services.jobs.staging import StagedFile, ensure_task_type, new_job, new_run, new_workflow, stage_files

app = App(name="demo", help_format="plaintext")

PACKAGES = Path(__file__).parents[1] / "demo" / "packages"
STEPS = ("threshold", "statistics", "snapshot")
PHANTOM_FILENAME = "phantom.aim"
_TOLERANCE = 1e-6
"""Relative. The answers are exact but for the calibration, which an AIM states as decimal strings."""


@define(frozen=True)
class Comparison:
    """A figure, what it is known to be, and whether they agree."""

    key: str
    actual: Any
    expected: float

    @property
    def agrees(self) -> bool:
        """Whether the figure is the known one within the tolerance."""
        return isinstance(self.actual, int | float) and math.isclose(self.actual, self.expected, rel_tol=_TOLERANCE)

    def to_json(self) -> dict[str, Any]:
        """Give the figure, what it is known to be, and whether they agree."""
        return {"key": self.key, "found": self.actual, "expected": self.expected, "agrees": self.agrees}


@app.default
def demo(
    *,
    out: Path = Path("xf-results"),
    json: Annotated[bool, Parameter(negative="")] = False,
    open: Annotated[bool, Parameter(negative="")] = False,  # noqa: A002  the option's name
) -> int:
    """
    Run a workflow on a phantom and compare with the known answer.

    A bone-like phantom is written as an AIM file; three task type packages (threshold, statistics, snapshot) run on it
    on the built-in server over HTTP. Exit code 0: all figures are the known ones; 1: one is off, or a job failed.
    Example: `xfworker demo --out xf-results`

    Args:
        out: Folder for output files.
        json: Print one JSON document with the jobs, their files and the comparison.
        open: Show the jobs on the server's page in the browser afterwards, until Ctrl-C.
    """
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.process.owned_folder import owned_folder

    options = LocalRunOptions(out=out, as_json=json, open=open)
    with owned_folder("demo", LocalFilesystem()) as folder:
        phantom = folder / PHANTOM_FILENAME
        known = write_phantom(phantom)
        targets = [load_target(PACKAGES / name, folder) for name in STEPS]
        with local_run(options, _document) as local:
            if not _run_steps(local, targets, phantom):
                return 1
            comparisons = _compare(local.jobs[STEPS.index("statistics")].job, known)
            local.comparison = [item.to_json() for item in comparisons]
            (segments, *_) = local.jobs[STEPS.index("threshold")].files["segments"]
            local.pictures = write_pictures(phantom, segments, out)
            if not json:
                _print(comparisons)
                _show(local.pictures)
            wrong = [item.key for item in comparisons if not item.agrees]
            if wrong:
                local.console.print(f"demo failed: not the known answer: {', '.join(wrong)}", style="red")
            return 1 if wrong else 0


def _run_steps(local: LocalRun, targets: list[Target], phantom: Path) -> bool:
    """Run the tasks one after the other, each on what those before it made; give whether all were done."""
    server, files = local.platform.server, local.platform.files
    workflow = new_workflow(server, "Demo")
    scan = StagedFile(type="Image", paths=(phantom,), size=_size(phantom))
    values, source = stage_files(server, files, workflow, {"image": scan})
    run = new_run(server, workflow, "Phantom", source)
    values["threshold"] = THRESHOLD
    for target in targets:
        task_type = ensure_task_type(server, target.task_type, target.version, target.interface or {})
        job = new_job(server, workflow, run, task_type, name=target.name, inputs=_inputs(target, values))
        finished = local.run_job(target, job)
        if finished.code:
            return False
        values |= finished.job.outputs
    return True


def _inputs(target: Target, values: Mapping[str, Any]) -> dict[str, Any]:
    interface = target.interface or {}
    declared = {field["key"] for field in interface.get("inputs") or ()}
    return complete_inputs(interface, {key: value for key, value in values.items() if key in declared})


def _size(path: Path) -> tuple[int, int, int]:
    from xfworker.api.composition.image_formats import image_formats

    return image_formats().describe(path).size_3d


def _compare(job: Job, known: KnownAnswer) -> list[Comparison]:
    expected = {
        "volume_fraction": known.volume_fraction,
        "bone_volume": known.bone_volume,
        "mean_density": known.mean_density,
    }
    return [Comparison(key, job.outputs.get(key), value) for key, value in expected.items()]


def _document(local: LocalRun) -> dict[str, Any]:
    comparison = local.comparison or []
    return {
        # A demo that failed has fewer jobs than steps.
        "jobs": {name: job_document(step.job, step.files) for name, step in zip(STEPS, local.jobs, strict=False)},
        "comparison": comparison,
        "pictures": {what: str(path) for what, path in local.pictures.items()},
        "agrees": bool(comparison) and all(item["agrees"] for item in comparison),
    }


def _print(comparisons: list[Comparison]) -> None:
    rows = [
        (
            item.key,
            f"{item.actual:.9g}" if isinstance(item.actual, int | float) else item.actual,
            f"{item.expected:.9g}",
            "same" if item.agrees else "OFF",
        )
        for item in comparisons
    ]
    print_table(("figure", "actual", "expected", ""), rows, title="compared with the known answer")


def _show(pictures: Mapping[str, Path]) -> None:
    console = results()
    # A terminal without colours, a pipe and NO_COLOR get the paths alone.
    if console.is_terminal and console.color_system in {"256", "truecolor"}:
        picture = next(path for path in pictures.values() if path.name == BONE)
        show_in_terminal(picture, console.width, console.print)
    print_table(("picture", "file"), [(what, str(path)) for what, path in pictures.items()], title="look at")
