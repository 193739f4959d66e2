"""
The records that a server keeps, as frozen classes.

Records are JSON objects on the wire and ``dict`` at the facade; inside they are these classes. A key that a class does
not know is kept in ``extra`` and survives a round trip, because a server may be newer than the script that reads it.
:mod:`xfworker.domain.conversion` turns one form into the other. What all share and the job have modules of their own,
because a script begins with its job alone, and making classes takes time.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import define, field

from xfworker.domain.job import Job
from xfworker.domain.job_state import JobState
from xfworker.domain.record import Record

__all__ = [
    "INSTANCE",
    "RECORD_KINDS",
    "ActivityEvent",
    "DependencyPackage",
    "Entity",
    "Job",
    "Project",
    "Record",
    "Run",
    "RunPriority",
    "Task",
    "TaskState",
    "TaskType",
    "TaskTypeKind",
    "Worker",
    "Workflow",
    "WorkflowState",
]


@define(frozen=True, kw_only=True, eq=False, repr=False)
class Project(Record):
    """A project: the shelf on which workflows stand."""

    collection = "projects"
    noun = "project"

    name: str = ""
    obsolete: bool = False


class WorkflowState(StrEnum):
    """A workflow begins as a draft, is started, and can be stopped."""

    DRAFT = "Draft"
    ACTIVE = "Active"
    STOPPED = "Stopped"


@define(frozen=True, kw_only=True, eq=False, repr=False)
class Workflow(Record):
    """A workflow: the aggregate of its tasks; changing a task checks and bumps the workflow's lock version."""

    collection = "workflows"
    noun = "workflow"

    project_serial: int
    name: str = ""
    state: WorkflowState = WorkflowState.DRAFT
    obsolete: bool = False
    locked: bool = False


class TaskState(StrEnum):
    """Whether a task makes jobs (design: the task's ``state`` is kept for interactive tasks and soft deletes)."""

    ACTIVE = "Active"
    OBSOLETE = "Obsolete"


@define(frozen=True, kw_only=True, eq=False, repr=False)
class Task(Record):
    """
    A task: one configured step of a workflow, made from a task type.

    Attributes:
        inputs: One object per input, ``{key, mode, ...}`` with mode ``none``, ``output``, ``fixed``,
            ``define_on_first`` or ``ui``.
        spawn_key: The caller's own name for a spawned task; spawning twice with one key makes one task.
        initial_state: In which state the task's jobs begin once their inputs are there, where it is not the one that
            the task type's kind gives: ``ReadyForInteractive`` once a script handed over to a person.
    """

    collection = "tasks"
    noun = "task"

    workflow_serial: int
    task_type_serial: int
    name: str = ""
    inputs: list[dict[str, Any]] = field(factory=list)
    spawn_key: str | None = None
    state: TaskState = TaskState.ACTIVE
    initial_state: JobState | None = None


class RunPriority(StrEnum):
    """How soon the jobs of a run are handed out."""

    PAUSED = "Paused"
    NORMAL = "Normal"
    HIGH = "High"


@define(frozen=True, kw_only=True, eq=False, repr=False)
class Run(Record):
    """
    A run: the jobs that one job of a source task started.

    Attributes:
        entity: The physical sample, animal or person, as ``{uuid, name}``.
    """

    collection = "runs"
    noun = "run"

    workflow_serial: int
    source_job_serial: int | None = None
    entity: dict[str, Any] | None = None
    priority: RunPriority = RunPriority.NORMAL
    obsolete: bool = False
    name: str = ""


class TaskTypeKind(StrEnum):
    """Who does a task's work."""

    PROCESSING = "Processing"
    INTERACTIVE = "Interactive"
    SOURCE = "Source"


@define(frozen=True, kw_only=True, eq=False, repr=False)
class TaskType(Record):
    """
    A task type: an installed package with a script.

    Attributes:
        version: Four numbers with dots, ``1.10.7.0``.
        interface: The content of the package's ``interface.json``: ``{inputs: [...], outputs: [...]}``.
    """

    collection = "task-types"
    noun = "task type"

    name: str
    version: str = "0.0.0.0"  # noqa: S104  a version of four numbers, not an address
    kind: TaskTypeKind = TaskTypeKind.PROCESSING
    interface: dict[str, Any] = field(factory=dict)
    obsolete: bool = False


@define(frozen=True, kw_only=True, eq=False, repr=False)
class DependencyPackage(Record):
    """A dependency package: what a script needs installed, and the parameter types it declares."""

    collection = "dependency-packages"
    noun = "dependency package"

    name: str
    version: str = "0.0.0.0"  # noqa: S104  a version of four numbers, not an address
    install: str | None = None
    dependencies: list[dict[str, Any]] = field(factory=list)
    parameter_types: list[dict[str, Any]] = field(factory=list)


INSTANCE = "instance"
"""The key of a worker's metadata that says which of several workers of one name it is; it keeps it when it restarts."""


@define(frozen=True, kw_only=True, eq=False, repr=False)
class Worker(Record):
    """A worker: a service on one computer that runs jobs."""

    collection = "workers"
    noun = "worker"

    name: str
    dependency_packages: list[dict[str, Any]] = field(factory=list)
    max_concurrent_jobs: int = 1
    last_seen_at: datetime | None = None


@define(frozen=True, kw_only=True, eq=False, repr=False)
class Entity(Record):
    """An entity: the physical sample, animal or person that a run is about."""

    collection = "entities"
    noun = "entity"

    uuid: str
    name: str = ""


@define(frozen=True, kw_only=True, eq=False, repr=False)
class ActivityEvent(Record):
    """An event in the activity log: who did what, when."""

    collection = "activity-events"
    noun = "activity event"

    title: str
    level: str = "INFO"
    type: str = "Message"
    source: str = "XamFlowTaskType"
    payload: dict[str, Any] = field(factory=dict)
    user: str | None = None
    job_serial: int | None = None
    project_serial: int | None = None


RECORD_KINDS: dict[str, type[Record]] = {
    kind.collection: kind
    for kind in (
        Project,
        Workflow,
        Task,
        Job,
        Run,
        TaskType,
        DependencyPackage,
        Worker,
        Entity,
        ActivityEvent,
    )
}
"""Every record class by its plural name on the wire."""
