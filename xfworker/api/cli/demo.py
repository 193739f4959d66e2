"""``xfworker demo``: the whole way on a phantom, checked against the known answer."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from attrs import define
from cyclopts import App, Parameter

from xfworker.api.cli.console import messages, print_json, results
from xfworker.api.cli.job_display import LiveJob, job_document, outputs_table, show_failure
from xfworker.api.cli.run import check_out
from xfworker.api.cli.target_source import TargetSource
from xfworker.api.composition.target import Target, load_target
from xfworker.api.demo.phantom import THRESHOLD, KnownAnswer, write_phantom
from xfworker.domain.job_inputs import complete_inputs
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.services.jobs.results import collect_files
from xfworker.services.jobs.staging import (
    StagedFile,
    ensure_task_type,
    new_job,
    new_run,
    new_workflow,
    stage_files,
)

if TYPE_CHECKING:
    from rich.console import Console

    from xfworker.api.composition.local_platform import LocalPlatform

app = App(name="demo", help="Run a workflow on a phantom and compare with the known answer.", help_format="plaintext")

PACKAGES = Path(__file__).parents[1] / "demo" / "packages"
PHANTOM_FILENAME = "phantom.aim"
_TOLERANCE = 1e-6
"""Relative. The answers are exact but for the calibration, which an AIM states in decimal text."""


@define(frozen=True)
class Step:
    """A finished job of the demo and where its files went."""

    job: Job
    files: Mapping[str, Sequence[Path]]


@define(frozen=True)
class Comparison:
    """A figure, what it is known to be, and whether they agree."""

    key: str
    found: Any
    expected: float

    @property
    def agrees(self) -> bool:
        """Whether the figure is the known one within the tolerance."""
        return isinstance(self.found, int | float) and math.isclose(self.found, self.expected, rel_tol=_TOLERANCE)


@app.default
def demo(*, out: Path = Path("xf-results"), json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """
    Run a workflow on a phantom and compare with the known answer.

    A bone-like phantom is written as an AIM file; three task type packages (threshold, statistics, snapshot) run on it
    on the built-in server over HTTP. Exit code 0: all figures are the known ones; 1: one is off, or a job failed.

    Args:
        out: Folder for output files.
        json: Print one JSON document with the jobs, their files and the comparison.
    """
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.process.owned_folder import owned_folder
    from xfworker.api.composition.local_platform import local_platform

    check_out(out)
    console = messages()
    steps: dict[str, Step] = {}
    with owned_folder("demo", LocalFilesystem()) as folder:
        phantom = folder / PHANTOM_FILENAME
        known = write_phantom(phantom)
        with console.status("starting the server") as status, local_platform(None) as platform:
            status.stop()
            done = _run_steps(platform, phantom, out, console, steps)
    comparisons = _compare(steps["statistics"].job, known) if done else []
    if json:
        print_json(_document(steps, comparisons))
    elif done:
        _print(steps, comparisons)
    if not done:
        return 1
    wrong = [comparison.key for comparison in comparisons if not comparison.agrees]
    if wrong:
        console.print(f"demo failed: not the known answer: {', '.join(wrong)}", style="red")
    return 1 if wrong else 0


def _run_steps(platform: "LocalPlatform", phantom: Path, out: Path, console: "Console", steps: dict[str, Step]) -> bool:
    """Run the tasks one after the other and note what came of each; tell whether all were done."""
    targets = {name: load_target(PACKAGES / name, phantom.parent) for name in ("threshold", "statistics", "snapshot")}
    source = TargetSource({target.task_type: target for target in targets.values()})
    server = platform.server
    workflow = new_workflow(server, "Demo")
    live = LiveJob(console, server, alive=[platform.check_alive])
    with live.shown():
        scan = StagedFile(type="Image", paths=(phantom,), size=_size(phantom))
        given, first = stage_files(server, platform.files, workflow, {"image": scan})
        run = new_run(server, workflow, "Phantom", first)
        for name, target in targets.items():
            wanted = {**given, "threshold": THRESHOLD}
            task_type = ensure_task_type(server, target.task_type, target.version, target.interface or {})
            job = new_job(server, workflow, run, task_type, name=target.name, inputs=_inputs(target, wanted))
            ended = platform.run_job(job, source, live)
            live.finished()
            if ended.job.state is not JobState.DONE:
                show_failure(console, ended, target.name)
                steps[name] = Step(ended.job, {})
                return False
            collected = collect_files(server, platform.files, platform.filesystem, ended.job.outputs, out)
            steps[name] = Step(ended.job, collected.paths)
            if collected.faults:
                console.print("; ".join(collected.faults), style="red")
                return False
            console.print(f"{target.name}: done")
            given |= ended.job.outputs
    return True


def _inputs(target: Target, wanted: Mapping[str, Any]) -> dict[str, Any]:
    interface = target.interface or {}
    declared = {field["key"] for field in interface.get("inputs") or ()}
    return complete_inputs(interface, {key: value for key, value in wanted.items() if key in declared})


def _size(path: Path) -> tuple[int, int, int]:
    from xfworker.adapters.images.registry import image_formats

    return image_formats().describe(path).size_3d


def _compare(job: Job, known: KnownAnswer) -> list[Comparison]:
    expected = {
        "volume_fraction": known.volume_fraction,
        "bone_volume": known.bone_volume,
        "mean_density": known.mean_density,
    }
    return [Comparison(key, job.outputs.get(key), value) for key, value in expected.items()]


def _document(steps: Mapping[str, Step], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    return {
        "jobs": {name: job_document(step.job, step.files) for name, step in steps.items()},
        "comparison": [
            {"key": item.key, "found": item.found, "expected": item.expected, "agrees": item.agrees}
            for item in comparisons
        ],
        "agrees": bool(comparisons) and all(item.agrees for item in comparisons),
    }


def _print(steps: Mapping[str, Step], comparisons: Sequence[Comparison]) -> None:
    from rich.table import Table

    console = results()
    for step in steps.values():
        console.print(outputs_table(step.job, step.files, title=step.job.name))
    table = Table(title="compared with the known answer", title_justify="left")
    for heading in ("figure", "found", "known", ""):
        table.add_column(heading)
    for item in comparisons:
        found = f"{item.found:.9g}" if isinstance(item.found, int | float) else str(item.found)
        table.add_row(item.key, found, f"{item.expected:.9g}", "same" if item.agrees else "OFF")
    console.print(table)
