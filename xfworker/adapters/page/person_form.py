"""The forms of a job that waits for a person: its outputs, and its inputs where a script goes on with them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from xfworker.adapters.page.form_fields import TEMPLATE_PREFIX, form_fields
from xfworker.adapters.page.values import shown_values
from xfworker.domain.interface import declared_fields
from xfworker.domain.job_metadata import WORKED_ON_BY
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Task, TaskType, TaskTypeKind


def person_form(
    values: Mapping[str, Any],
    *,
    entered: Mapping[str, Mapping[str, str]] | None = None,
    violations: Sequence[str] = (),
) -> dict[str, Any]:
    """
    Give ``form`` for a job's page, ``None`` where the job waits for nobody.

    Args:
        values: What the page shows of the job.
        entered: What was filled in before, by part.
        violations: What was wrong with that.
    """
    job, task_type = values["job"], values["task_type"]
    if job.state is not JobState.READY_FOR_INTERACTIVE:
        return {"form": None}
    goes_on = task_type.kind is not TaskTypeKind.INTERACTIVE
    templates = templates_of(values["task"])
    defined = {key: value for key, value in templates.items() if value is not None}
    # An output by which a template was defined begins as that; who finishes the job may change it for this run.
    outputs = {**defined, **{key: value for key, value in job.outputs.items() if value is not None}}
    fields = {
        part: form_fields(
            task_type.interface,
            part,
            values=job.inputs if part == "inputs" else outputs,
            entered=(entered or {}).get(part),
            violations=violations,
        )
        for part in ("inputs", "outputs")
    }
    shown = shown_values(task_type.interface, "inputs", job.inputs)
    images = [(value.file, value.value) for value in shown if value.kind == "image" and value.file is not None]
    worked_on = job.metadata.get(WORKED_ON_BY)
    return {
        "form": {
            **fields,
            "templates": []
            if goes_on
            else form_fields(
                task_type.interface,
                "inputs",
                keys=to_be_defined(values["task"], task_type),
                values=job.inputs,
                entered=(entered or {}).get("templates"),
                violations=violations,
                prefix=TEMPLATE_PREFIX,
            ),
            "defines": [key for key, value in templates.items() if value is None],
            "kept": list(defined),
            # What boxes and landmarks are drawn on: the first image that the job has got.
            "image": images[0] if images else None,
            "goes_on": goes_on,
            "worked_on": worked_on if isinstance(worked_on, dict) else None,
            "folder": {"inputs": f"userdata/runs/{uuid.uuid4()}", "outputs": f"job_result/{job.serial}"},
            "version": job.occ_lock_version,
            "problem": "",
        }
    }


def templates_of(task: Task) -> dict[str, Any]:
    """Give the templates of a task's inputs by key; ``None`` where the next finished job defines it."""
    return {
        str(item["key"]): item.get("template")
        for item in task.inputs
        if item.get("mode") == "define_on_first" and item.get("key")
    }


def to_be_defined(task: Task, task_type: TaskType) -> list[str]:
    """List the inputs that a person defines for later runs beside the outputs, of which one of the same key does it."""
    outputs = declared_fields(task_type.interface, "outputs")
    return [key for key, value in templates_of(task).items() if value is None and key not in outputs]
