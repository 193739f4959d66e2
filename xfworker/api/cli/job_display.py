"""Shows what came of jobs: their outputs, and why they failed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xfworker.adapters.process.script_log import read_end
from xfworker.api.cli.console import print_table
from xfworker.domain.conversion import to_json
from xfworker.domain.job_outcome import Ending
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.services.worker.job_executor import EndedJob

if TYPE_CHECKING:
    from rich.console import Console

_MOST_CHARACTERS = 100

HEADLINES: dict[Ending, str] = {
    Ending.ERROR_REPORTED: "the script reported an error",
    Ending.CRASHED: "the script crashed",
    Ending.KILLED: "the script was killed",
    Ending.OUT_OF_MEMORY: "the script ran out of memory",
    Ending.TIMED_OUT: "the script took too long",
    Ending.ABORTED: "the job was aborted",
    **dict.fromkeys((Ending.PREEMPTED, Ending.HANDED_BACK), "the worker stopped and gave the job back"),
    Ending.NO_FINISH: "the script ended without calling finish()",
    Ending.NOT_STARTED: "the script could not be started",
    Ending.SERVER_LOST: "the server was lost",
}
"""The kinds of failures, as people read them."""


def show_failure(console: "Console", ended: EndedJob, name: str) -> None:
    """Say what kind of failure it was, with the message and the end of the log."""
    end = read_end(ended.log_path)
    if end:
        console.rule(f"end of the log of {name}", style="dim")
        console.out(end, highlight=False)
        console.rule(style="dim")
    outcome = ended.outcome
    headline = HEADLINES.get(outcome.ending, "the job failed")
    message = outcome.message
    error = ended.job.metadata.get("error_message")
    if isinstance(error, str) and error and error not in message:
        message = f"{message}; it had reported: {error}" if message else error
    said = message if message.startswith(headline) else f"{headline}: {message}" if message else headline
    console.print(f"{name} failed: {said}", style="red")


def print_outputs(job: Job, files: Mapping[str, Sequence[Path]], *, title: str) -> None:
    """Print a table of a job's outputs: key, type, value and where the files are."""
    rows = [
        (key, type_of(value), formatted_value(value, unit_of(job, key)), _paths(files.get(key, ())))
        for key, value in job.outputs.items()
    ]
    print_table(("output", "type", "value", "files"), rows, title=title, text=("output", "value", "files"))


def unit_of(job: Job, key: str) -> str:
    """Give the unit of an output, or an empty string."""
    units = job.metadata.get("output_units")
    unit = units.get(key) if isinstance(units, Mapping) else None
    return unit if isinstance(unit, str) else ""


def job_document(job: Job, files: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    """Give a job's record as JSON, with ``files``: for each output with files their absolute paths."""
    return {**to_json(job), "files": {key: [str(path.resolve()) for path in paths] for key, paths in files.items()}}


def _paths(paths: Sequence[Path]) -> str:
    return "\n".join(map(_relative, paths))


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def type_of(value: Any) -> str:
    """Give the name of a value's parameter type."""
    if isinstance(value, Mapping):
        return str(value.get("type", "object"))
    names = {bool: "Bool", int: "Int", float: "Float", str: "String", type(None): "none"}
    return names.get(type(value), type(value).__name__)


def formatted_value(value: Any, unit: str = "") -> str:
    """Write a value on one line, shortened; of a composite its main file or name."""
    if isinstance(value, Mapping):
        size = value.get("size")
        words = [str(value[key]) for key in ("filename", "name", "virtualpath") if value.get(key)][:1]
        if isinstance(size, list):
            words.append(" x ".join(map(str, size)))
        if words or "type" in value:
            return ", ".join(words)
    text = f"{value:.6g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    if len(text) > _MOST_CHARACTERS:
        text = f"{text[: _MOST_CHARACTERS - 3]}..."
    # "1" is the unit of fractions and counts: behind a number it would read as a second one.
    return text if unit in ("", "1") else f"{text} {unit}"


def exit_code(job: Job) -> int:
    """Give the command line's exit code for a job: 0 done, 3 handed over to a person, 1 otherwise."""
    if job.state is JobState.DONE:
        return 0
    return 3 if job.state is JobState.READY_FOR_INTERACTIVE else 1
