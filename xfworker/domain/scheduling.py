"""
Which jobs are handed out, and which follow from a finished one: pure rules over what a workflow holds.

A **step** is a task with its task type. A task's inputs are ``{key, mode, ...}``:

========================  ===========================================================================================
mode                      further keys and meaning
========================  ===========================================================================================
``none``                  no value: the interface's default, or ``None``
``fixed``                 ``fixed_value``
``output``                ``task_serial`` and ``output_key``: what the job of that task in the same run made; where the
                          input is of type ``Sequence``, the sequence of what all its jobs made
``define_on_first``       ``template``: ``None`` until the task's first job is done, then that job's value
``ui``                    a person gives the value
========================  ===========================================================================================
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define

from xfworker.domain.job_inputs import complete_inputs, is_required
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, RunPriority, Task, TaskType, TaskTypeKind, Workflow, WorkflowState

OPEN_STATES = (JobState.WAITING, JobState.READY, JobState.READY_FOR_INTERACTIVE, JobState.RUNNING)
"""The states of jobs whose work has not ended."""


@define(frozen=True)
class Step:
    """A task with its task type."""

    task: Task
    task_type: TaskType

    @property
    def serial(self) -> int:
        """The task's serial."""
        return self.task.serial


@define(frozen=True, kw_only=True)
class Upstream:
    """
    An input that takes another task's output.

    Attributes:
        key: The input.
        task_serial: The other task.
        output_key: Its output.
        is_sequence: Whether the input takes the values of all its jobs rather than that of the same run.
    """

    key: str
    task_serial: int
    output_key: str
    is_sequence: bool


@define(frozen=True, kw_only=True)
class Decision:
    """
    What becomes of a task's job in a run.

    Attributes:
        state: ``Ready``, ``ReadyForInteractive``, or ``Waiting`` where something that will come is missing.
        inputs: The job's inputs as far as they are known.
    """

    state: JobState
    inputs: dict[str, Any]


def claim_rank(workflow: Workflow, run: Run | None) -> int | None:
    """Give the rank in which the ready jobs of a run are handed out (0 first), or ``None`` where they are not."""
    if workflow.obsolete or workflow.state is not WorkflowState.ACTIVE:
        return None
    if run is None:
        return 1
    if run.obsolete or run.priority is RunPriority.PAUSED:
        return None
    return 0 if run.priority is RunPriority.HIGH else 1


def upstreams(step: Step) -> list[Upstream]:
    """List the inputs that take other tasks' outputs."""
    types = {field.get("key"): field.get("type") for field in step.task_type.interface.get("inputs") or ()}
    return [
        Upstream(
            key=item["key"],
            task_serial=item["task_serial"],
            output_key=item["output_key"],
            is_sequence=types.get(item["key"]) == "Sequence",
        )
        for item in step.task.inputs
        if item.get("mode") == "output"
    ]


def followers(steps: Iterable[Step], task_serial: int) -> list[Step]:
    """List the steps that use a task's output within a run."""
    return [
        step for step in steps if any(up.task_serial == task_serial and not up.is_sequence for up in upstreams(step))
    ]


def group_followers(steps: Iterable[Step], task_serial: int) -> list[Step]:
    """List the steps that use the sequence of a task's outputs over all runs, and nothing of a single run."""
    return [step for step in steps if is_group(step) and any(up.task_serial == task_serial for up in upstreams(step))]


def is_group(step: Step) -> bool:
    """Return whether a step has one job for all runs: it uses other tasks' outputs, and only as sequences."""
    ups = upstreams(step)
    return bool(ups) and all(up.is_sequence for up in ups)


def is_root(step: Step) -> bool:
    """Return whether a step begins with its run: it uses no other task's output, and no script spawned it."""
    return step.task_type.kind is not TaskTypeKind.SOURCE and not upstreams(step) and step.task.spawn_key is None


def following(steps: Sequence[Step], task_serial: int) -> set[int]:
    """Give the serials of all tasks that use a task's output, directly or by others."""
    return _closure(task_serial, {step.serial: {up.task_serial for up in upstreams(step)} for step in steps})


def preceding(steps: Sequence[Step], task_serial: int) -> set[int]:
    """Give the serials of all tasks whose output a task uses, directly or by others."""
    sources = {step.serial: {up.task_serial for up in upstreams(step)} for step in steps}
    serials: set[int] = set()
    pending = [task_serial]
    while pending:
        for serial in sources.get(pending.pop(), set()) - serials:
            serials.add(serial)
            pending.append(serial)
    return serials


def _closure(start: int, sources: Mapping[int, set[int]]) -> set[int]:
    closure: set[int] = set()
    grown = {start}
    while grown:
        grown = {serial for serial, used in sources.items() if used & grown and serial not in closure}
        closure |= grown
    return closure


def decide(
    step: Step, run_jobs: Mapping[int, Job], ui_inputs: Mapping[str, Any] | None = None, *, may_define: bool = True
) -> Decision | None:
    """
    Decide what becomes of a step's job in a run.

    Args:
        step: The step.
        run_jobs: The run's job of each task.
        ui_inputs: Inputs that a person gave the job already (mode ``ui``).
        may_define: Whether this job may be the one that defines the templates which are not defined yet.

    Returns:
        ``None`` where an upstream job is not done, or made no value for an input that needs one.
    """
    inputs = complete_inputs(step.task_type.interface, {})
    fields = {field["key"]: field for field in step.task_type.interface.get("inputs") or ()}
    waits, asks = False, False
    for key, item in _keyed(step.task):
        match item.get("mode"):
            case "fixed":
                inputs[key] = item.get("fixed_value")
            case "define_on_first":
                inputs[key] = item.get("template")
                waits = waits or (inputs[key] is None and not may_define)
            case "ui":
                inputs[key] = (ui_inputs or {}).get(key)
                asks = asks or inputs[key] is None
            case _:
                pass
    for up in upstreams(step):
        if up.is_sequence:
            inputs[up.key] = {"type": "Sequence", "task_serial": up.task_serial, "key": up.output_key}
            continue
        job = run_jobs.get(up.task_serial)
        if job is None or job.state is not JobState.DONE:
            return None
        inputs[up.key] = job.outputs.get(up.output_key)
        if inputs[up.key] is None and is_required(fields.get(up.key, {})):
            return None
    return Decision(state=_state(step, waits=waits, asks=asks), inputs=inputs)


def _state(step: Step, *, waits: bool, asks: bool) -> JobState:
    if waits:
        return JobState.WAITING
    if asks or step.task_type.kind is TaskTypeKind.INTERACTIVE:
        return JobState.READY_FOR_INTERACTIVE
    return step.task.initial_state or JobState.READY


def undefined_templates(task: Task) -> list[str]:
    """List the inputs whose template the next finished job defines."""
    return [key for key, item in _keyed(task) if item.get("mode") == "define_on_first" and item.get("template") is None]


def with_templates(task: Task, job: Job) -> list[dict[str, Any]] | None:
    """
    Give the task's inputs with the templates that a finished job defines, or ``None`` where it defines none.

    A template is what the job's input is at the end (a person or the script set it), else the job's output of
    the same name.
    """
    keys = undefined_templates(task)
    values = {key: job.outputs.get(key) if job.inputs.get(key) is None else job.inputs[key] for key in keys}
    if all(value is None for value in values.values()):
        return None
    return [
        {**item, "template": values[item["key"]]} if values.get(item["key"]) is not None else dict(item)
        for item in task.inputs
    ]


def first_of_each_task(jobs: Iterable[Job]) -> dict[int, Job]:
    """Give one job of each task: the first done one, else the first one, in sort order."""
    jobs_by_task: dict[int, Job] = {}
    for job in jobs:
        earlier = jobs_by_task.get(job.task_serial)
        if earlier is None or (earlier.state is not JobState.DONE and job.state is JobState.DONE):
            jobs_by_task[job.task_serial] = job
    return jobs_by_task


def task_input_violations(step: Step, steps: Sequence[Step]) -> list[str]:
    """
    List what is wrong with a task's inputs: unknown modes, missing keys, tasks that are not there, circles.

    Of a new task also keys that its task type does not declare: what is said of them would be said to nobody. A task
    that is there may keep them when it is upgraded.
    """
    known = {other.serial for other in steps}
    declared = [field.get("key") for field in step.task_type.interface.get("inputs") or ()]
    undeclared = (
        [] if step.serial or not declared else [item for item in step.task.inputs if item.get("key") not in declared]
    )
    violations: list[str] = []
    for index, item in enumerate(step.task.inputs):
        mode = item.get("mode")
        if item in undeclared:
            violations.append(
                f"inputs[{index}].key: {item.get('key')!r:.80} is not an input of {step.task_type.name}; its inputs "
                f"are {', '.join(map(str, declared))}"
            )
        elif mode not in MODES:
            violations.append(f"inputs[{index}].mode: expected one of {', '.join(MODES)}")
        elif mode == "output":
            serial = item.get("task_serial")
            texts = isinstance(item.get("key"), str) and isinstance(item.get("output_key"), str)
            if not texts or isinstance(serial, bool) or not isinstance(serial, int):
                violations.append(f"inputs[{index}]: mode output needs key, task_serial and output_key")
            elif serial not in known:
                violations.append(f"inputs[{index}].task_serial: there is no task {serial} in this workflow")
    if not violations and step.serial and step.serial in preceding([*steps, step], step.serial):
        violations.append("inputs: the task would follow itself")
    return violations


def _keyed(task: Task) -> list[tuple[str, Mapping[str, Any]]]:
    return [(item["key"], item) for item in task.inputs if isinstance(item.get("key"), str)]


MODES = ("none", "output", "fixed", "define_on_first", "ui")
"""Where a task's input can come from."""
