"""
What follows from what in a workflow: its steps, and which of them use what others made.

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

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import define

from xfworker.domain.errors import IllegalTransition, InvalidParameter, RecordNotFound
from xfworker.domain.interface import declared_fields, unusable_fields
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Task, TaskType, TaskTypeKind, Workflow, WorkflowState

MODES = ("none", "output", "fixed", "define_on_first", "ui")
"""Where a task's input can come from."""


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


@define(frozen=True)
class Step:
    """
    A task with its task type.

    Attributes:
        task: The task.
        task_type: Its task type.
        missing_type: Whether the task type is not in the store, so that ``task_type`` only stands for it.
    """

    task: Task
    task_type: TaskType
    missing_type: bool = False

    @property
    def serial(self) -> int:
        """The task's serial."""
        return self.task.serial

    def sources(self) -> list[tuple[str, Mapping[str, Any]]]:
        """List where each input comes from, by its key; what cannot be used is left out."""
        return [(item["key"], item) for item in self.task.inputs if not any(_source_violations(item))]

    def upstreams(self) -> list[Upstream]:
        """List the inputs that take other tasks' outputs."""
        fields = declared_fields(self.task_type.interface, "inputs")
        return [
            Upstream(
                key=key,
                task_serial=item["task_serial"],
                output_key=item["output_key"],
                is_sequence=fields.get(key, {}).get("type") == "Sequence",
            )
            for key, item in self.sources()
            if item["mode"] == "output"
        ]

    def errors(self) -> list[str]:
        """List why no job of this step can be started: a record in the store that nobody would be let write today."""
        if self.missing_type:
            return [f"there is no task type {self.task.task_type_serial}"]
        errors = [f"{self.task_type}: {error}" for error in unusable_fields(self.task_type.interface)]
        for index, item in enumerate(self.task.inputs):
            errors += [f"{self.task}: inputs[{index}]{error}" for error in _source_violations(item)]
        return errors


@define(frozen=True)
class Graph:
    """
    What follows from what in a workflow.

    Attributes:
        steps: The steps, each behind those whose outputs it uses.
        groups: The serials of the steps that have one job for all runs: they use other tasks' outputs, and of each the
            sequence of all values or, where it is such a step itself, the one value.
    """

    steps: tuple[Step, ...]
    groups: frozenset[int]
    _by_serial: Mapping[int, Step]
    _upstreams: Mapping[int, tuple[Upstream, ...]]

    @classmethod
    def of(cls, steps: Iterable[Step]) -> "Graph":
        """Make the graph of a workflow's steps."""
        by_serial = {step.serial: step for step in steps}
        ups = {serial: tuple(step.upstreams()) for serial, step in by_serial.items()}
        order = _in_order(ups)
        groups: set[int] = set()
        for serial in order:
            if ups[serial] and all(up.is_sequence or up.task_serial in groups for up in ups[serial]):
                groups.add(serial)
        return cls(tuple(by_serial[serial] for serial in order), frozenset(groups), by_serial, ups)

    def step(self, serial: int) -> Step | None:
        """Give the step of a task, or ``None`` where the task is none of the workflow's active ones."""
        return self._by_serial.get(serial)

    def upstreams(self, serial: int) -> tuple[Upstream, ...]:
        """Give the inputs of a step that take other tasks' outputs."""
        return self._upstreams.get(serial, ())

    def preceding(self, serial: int) -> set[int]:
        """Give the serials of all tasks whose output a task uses, directly or by others."""
        serials: set[int] = set()
        pending = [serial]
        while pending:
            used = {up.task_serial for up in self.upstreams(pending.pop())} - serials
            serials |= used
            pending += used
        return serials

    def spread(self, serial: int) -> dict[int, bool]:
        """
        Give the tasks that use a task's output, directly or by others, each behind those that it uses.

        Returns:
            Whether they do so across runs (by a sequence), by serial; else only the jobs of the same run do.
        """
        reached: dict[int, bool] = {}
        for step in self.steps:
            used = [up for up in self.upstreams(step.serial) if up.task_serial == serial or up.task_serial in reached]
            if used and step.serial != serial:
                reached[step.serial] = any(up.is_sequence or reached.get(up.task_serial, False) for up in used)
        return reached

    def awaited(self, serial: int) -> set[int]:
        """Give the tasks whose jobs must have ended in every run before a step's sequences are complete."""
        awaited: set[int] = set()
        for up in self.upstreams(serial):
            if up.is_sequence or serial in self.groups:
                awaited |= {up.task_serial} | self.preceding(up.task_serial)
        return awaited

    def concerned(self, serial: int) -> list[Step]:
        """Give the steps that the end of a task's job may let begin, each behind those that it uses."""
        return [
            step
            for step in self.steps
            if any(up.task_serial == serial for up in self.upstreams(step.serial))
            or serial in self.awaited(step.serial)
        ]

    def gaining(self, job: Job) -> list[Step]:
        """Give the steps with one job for all runs that get another value from a done job."""
        return [
            step
            for step in self.steps
            if step.serial in self.groups
            and any(
                up.task_serial == job.task_serial and (up.output_key in job.outputs or not up.is_sequence)
                for up in self.upstreams(step.serial)
            )
        ]

    def roots(self) -> list[Step]:
        """Give the steps that begin with a run: they use no other task's output, and no script spawned them."""
        return [
            step
            for step in self.steps
            if step.task_type.kind is not TaskTypeKind.SOURCE
            and not self.upstreams(step.serial)
            and step.task.spawn_key is None
        ]

    def roots_of_spawned(self, serial: int, spawners: Iterable[int]) -> list[Step]:
        """
        Give the steps that begin with a run which a script spawned: only what the spawned job's own followers need.

        What led to the spawning does not begin again, so that a search does not find its own results without end.

        Args:
            serial: The spawned job's task.
            spawners: The tasks of the jobs whose scripts led to it.
        """
        needed = {used for follower in self.spread(serial) for used in self.preceding(follower)}
        again = {root for spawner in spawners for root in {spawner} | self.preceding(spawner)}
        return [step for step in self.roots() if step.serial in needed - again]

    def held_back(self, job: Job, jobs_of: Callable[[int], Iterable[Job]], is_live: Callable[[Job], bool]) -> list[Job]:
        """
        List the jobs that worked with what a job made, directly or by others.

        Args:
            job: The job as it was when it was done; what has not been done made nothing.
            jobs_of: Gives the jobs of a task that may be among them.
            is_live: Whether a job's run is not obsolete: else its values are in no sequence, and what is taken
                from it would not be made again.
        """
        withdrawn: dict[int, list[Job]] = {job.task_serial: [job] if job.state is JobState.DONE else []}
        affected: list[Job] = []
        for serial in self.spread(job.task_serial):
            for other in jobs_of(serial):
                if other.state is JobState.WAITING or not is_live(other):
                    continue
                if any(
                    _uses(other, up, made, is_live)
                    for up in self.upstreams(serial)
                    for made in withdrawn.get(up.task_serial, ())
                ):
                    affected.append(other)
                    if other.state is JobState.DONE:
                        withdrawn.setdefault(serial, []).append(other)
        return affected


def _uses(other: Job, up: Upstream, made: Job, is_live: Callable[[Job], bool]) -> bool:
    if up.is_sequence:
        return is_live(made) and up.output_key in made.outputs
    return made.run_serial == other.run_serial


def _in_order(upstreams: Mapping[int, Sequence[Upstream]]) -> list[int]:
    """Put the steps behind those that they use; circles, which no server lets in, are cut."""
    order: list[int] = []
    begun: set[int] = set()
    for first in upstreams:
        pending = [(first, False)]
        while pending:
            serial, used_are_done = pending.pop()
            if used_are_done:
                order.append(serial)
            elif serial not in begun:
                begun.add(serial)
                pending.append((serial, True))
                pending += [(up.task_serial, False) for up in upstreams[serial] if up.task_serial in upstreams]
    return order


def source_of_run(workflow: Workflow, graph: Graph, task_serial: int | None, *, takes_values: bool) -> Step | None:
    """
    Give the source task that a run of a workflow starts with, or ``None`` where it has none.

    Args:
        workflow: The workflow.
        graph: Its tasks.
        task_serial: Which source task, where there are several.
        takes_values: Whether there are inputs or outputs for the source task.

    Raises:
        IllegalTransition: The workflow is a draft, or obsolete.
        RecordNotFound: The named task is not a source task of the workflow.
        InvalidParameter: There are several and none is named, or there is none that takes the values.
    """
    if workflow.state is WorkflowState.DRAFT or workflow.obsolete:
        what = "obsolete" if workflow.obsolete else "a draft"
        raise IllegalTransition(f"workflow {workflow.serial} is {what}; start it before a run of it")
    sources = [step for step in graph.steps if step.task_type.kind is TaskTypeKind.SOURCE and not step.upstreams()]
    if task_serial is not None:
        for step in sources:
            if step.serial == task_serial:
                return step
        raise RecordNotFound(f"there is no source task {task_serial} in the workflow")
    # What a script spawned begins when that script does its work, not with a run that a person starts.
    sources = [step for step in sources if step.task.spawn_key is None]
    if len(sources) > 1:
        names = ", ".join(f"{step.serial} ({step.task.name})" for step in sources)
        raise InvalidParameter(f"the workflow has several source tasks; name one: {names}")
    if not sources and takes_values:
        raise InvalidParameter(f"workflow {workflow.serial} has no source task that takes inputs")
    return sources[0] if sources else None


def task_input_violations(step: Step, steps: Sequence[Step]) -> list[str]:
    """
    List what is wrong with a task's inputs: unknown modes, missing keys, tasks that are not there, circles.

    Of a new task also keys that its task type does not declare: what is said of them would be said to nobody. A task
    that is there may keep them when it is upgraded.
    """
    known = {other.serial for other in steps}
    declared = list(declared_fields(step.task_type.interface, "inputs"))
    violations: list[str] = []
    keys: set[str] = set()
    for index, item in enumerate(step.task.inputs):
        path = f"inputs[{index}]"
        wrong = list(_source_violations(item))
        if wrong:
            violations += [f"{path}{violation}" for violation in wrong]
            continue
        if item["key"] in keys:
            violations.append(f"{path}.key: {item['key']!r} is given twice")
        keys.add(item["key"])
        if not step.serial and declared and item["key"] not in declared:
            violations.append(
                f"{path}.key: {item['key']!r:.80} is not an input of {step.task_type.name}; its inputs are "
                f"{', '.join(declared)}"
            )
        elif item["mode"] == "output" and item["task_serial"] not in known:
            violations.append(f"{path}.task_serial: there is no task {item['task_serial']} in this workflow")
    return violations or _graph_violations(step, steps)


def _graph_violations(step: Step, steps: Sequence[Step]) -> list[str]:
    graph = Graph.of([*steps, step])  # in the place of the step as it was
    if step.serial and step.serial in graph.preceding(step.serial):
        return ["inputs: the task would follow itself"]
    singles = [up for up in graph.upstreams(step.serial) if not up.is_sequence and up.task_serial in graph.groups]
    if singles and step.serial not in graph.groups:
        return [
            f"inputs: {up.key} takes the output of task {up.task_serial}, which has one job for all runs, and others "
            "are of a single run; declare it as a Sequence"
            for up in singles
        ]
    return []


def _source_violations(item: Mapping[str, Any]) -> list[str]:
    if not isinstance(item.get("key"), str) or not item["key"]:
        return [".key: expected the key of an input"]
    mode = item.get("mode")
    if not isinstance(mode, str) or mode not in MODES:
        return [f".mode: expected one of {', '.join(MODES)}"]
    if mode == "output":
        serial = item.get("task_serial")
        if not isinstance(item.get("output_key"), str) or isinstance(serial, bool) or not isinstance(serial, int):
            return [": mode output needs key, task_serial and output_key"]
    return []
