"""
Which jobs are handed out, and what becomes of a job: pure rules over what a workflow holds.

What follows from what says :mod:`xfworker.domain.workflow_graph`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define

from xfworker.domain.interface import declared_fields
from xfworker.domain.job_inputs import complete_inputs, is_required
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, RunPriority, TaskTypeKind, Workflow, WorkflowState
from xfworker.domain.workflow_graph import Step

OPEN_STATES = (JobState.WAITING, JobState.READY, JobState.READY_FOR_INTERACTIVE, JobState.RUNNING)
"""The states of jobs whose work has not ended."""

COMING_STATES = (JobState.READY, JobState.READY_FOR_INTERACTIVE, JobState.RUNNING)
"""
The states of jobs that will bring a value unless they fail.

A waiting job is not among them: what it waits for is, or has failed, and then nothing comes.
"""


@define(frozen=True, kw_only=True)
class Decision:
    """
    What becomes of a task's job in a run.

    Attributes:
        state: ``Ready``, ``ReadyForInteractive``, ``Waiting`` where something that will come is missing, or ``Failed``
            where the job can never run.
        inputs: The job's inputs as far as they are known.
        reason: Why it failed.
        makes: Whether the job is made where there is none.
    """

    state: JobState
    inputs: dict[str, Any]
    reason: str = ""
    makes: bool = True


def claim_rank(workflow: Workflow, run: Run | None) -> int | None:
    """Give the rank in which the ready jobs of a run are handed out (0 first), or ``None`` where they are not."""
    if workflow.obsolete or workflow.state is not WorkflowState.ACTIVE:
        return None
    if run is None:
        return 1
    if run.obsolete or run.priority is RunPriority.PAUSED:
        return None
    return 0 if run.priority is RunPriority.HIGH else 1


def decide(
    step: Step,
    jobs: Mapping[int, Job],
    entered: Mapping[str, Any] | None = None,
    *,
    may_define: bool = True,
    complete: bool = True,
    answered: bool = False,
) -> Decision | None:
    """
    Decide what becomes of a step's job.

    Args:
        step: The step.
        jobs: The job of each task whose single output it may use: those of the run, and those for all runs.
        entered: Inputs that a person gave the job already (mode ``ui``).
        may_define: Whether this job may be the one that defines the templates which are not defined yet.
        complete: Whether no more values are to come for its sequences.
        answered: Whether a person has said that all is given: then what is optional may be without a value.

    Returns:
        ``None`` where an upstream job is not done.
    """
    errors = step.errors()
    if errors:
        return Decision(state=JobState.FAILED, inputs={}, reason=f"the job cannot be started: {'; '.join(errors)}")
    inputs = complete_inputs(step.task_type.interface, {})
    waits, asks = _take_own(step, inputs, entered or {}, may_define=may_define, answered=answered)
    absent = []
    fields = declared_fields(step.task_type.interface, "inputs")
    for up in step.upstreams():
        if up.is_sequence:
            inputs[up.key] = {"type": "Sequence", "task_serial": up.task_serial, "key": up.output_key}
            continue
        job = jobs.get(up.task_serial)
        if job is None or job.state is not JobState.DONE:
            return None
        inputs[up.key] = job.outputs.get(up.output_key)
        if inputs[up.key] is None and is_required(fields.get(up.key, {})):
            absent.append(f"input {up.key} has no value, because job {job.serial} made no output {up.output_key!r}")
    if absent:
        return Decision(state=JobState.FAILED, inputs=inputs, reason="; ".join(absent), makes=False)
    return Decision(state=_state(step, waits=waits or not complete, asks=asks), inputs=inputs)


def _take_own(
    step: Step, inputs: dict[str, Any], entered: Mapping[str, Any], *, may_define: bool, answered: bool
) -> tuple[bool, bool]:
    """Fill in what the task itself and a person give; return whether a template and whether a person is waited for."""
    waits, asks = False, False
    fields = declared_fields(step.task_type.interface, "inputs")
    for key, item in step.sources():
        match item["mode"]:
            case "fixed":
                inputs[key] = item.get("fixed_value")
            case "define_on_first":
                inputs[key] = item.get("template")
                waits = waits or (inputs[key] is None and not may_define)
            case "ui":
                default = inputs.get(key)
                inputs[key] = entered.get(key)
                if answered and inputs[key] is None:
                    inputs[key] = default
                optional = answered and not is_required(fields.get(key, {}))
                asks = asks or (inputs[key] is None and not optional)
            case _:
                pass
    return waits, asks


def _state(step: Step, *, waits: bool, asks: bool) -> JobState:
    if waits:
        return JobState.WAITING
    if asks or step.task_type.kind is TaskTypeKind.INTERACTIVE:
        return JobState.READY_FOR_INTERACTIVE
    return step.task.initial_state or JobState.READY


def own_inputs(step: Step) -> dict[str, Any]:
    """Give the inputs that a step's task sets itself, for a job that takes none of another task."""
    names = {"fixed": "fixed_value", "define_on_first": "template"}
    sources = [(key, item.get(names.get(item["mode"], ""))) for key, item in step.sources()]
    return {key: value for key, value in sources if value is not None}


def undefined_templates(step: Step) -> list[str]:
    """List the inputs whose template the next finished job defines."""
    return [key for key, item in step.sources() if item["mode"] == "define_on_first" and item.get("template") is None]


def with_templates(step: Step, job: Job) -> list[dict[str, Any]] | None:
    """
    Give the task's inputs with the templates that a finished job defines, or ``None`` where it defines none.

    A template is what the job's input is at the end (a person or the script set it), else the job's output of
    the same name.
    """
    values = {
        key: job.outputs.get(key) if job.inputs.get(key) is None else job.inputs[key]
        for key in undefined_templates(step)
    }
    if all(value is None for value in values.values()):
        return None
    return [
        {**item, "template": values[item["key"]]} if values.get(str(item.get("key"))) is not None else dict(item)
        for item in step.task.inputs
    ]


def first_of_each_task(jobs: Iterable[Job]) -> dict[int, Job]:
    """Give one job of each task: the first done one, else the first one, in sort order."""
    jobs_by_task: dict[int, Job] = {}
    for job in jobs:
        earlier = jobs_by_task.get(job.task_serial)
        if earlier is None or (earlier.state is not JobState.DONE and job.state is JobState.DONE):
            jobs_by_task[job.task_serial] = job
    return jobs_by_task
