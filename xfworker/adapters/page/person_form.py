"""The forms of a job that waits for a person: its outputs, and its inputs where a script goes on with them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from xfworker.adapters.page.form_fields import form_fields
from xfworker.adapters.page.values import shown_values
from xfworker.domain.job_metadata import WORKED_ON_BY
from xfworker.domain.job_state import JobState
from xfworker.domain.records import TaskTypeKind


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
    fields = {
        part: form_fields(
            task_type.interface,
            part,
            values=getattr(job, part),
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
            # What boxes and landmarks are drawn on: the first image that the job has got.
            "image": images[0] if images else None,
            "goes_on": task_type.kind is not TaskTypeKind.INTERACTIVE,
            "worked_on": worked_on if isinstance(worked_on, dict) else None,
            "folder": {"inputs": f"userdata/runs/{uuid.uuid4()}", "outputs": f"job_result/{job.serial}"},
            "version": job.occ_lock_version,
            "problem": "",
        }
    }
