"""
Who may see and change which records.

Administrators may everything. People see the projects they made or that are shared with them. A script sees its own
project while its attempt at its job runs. What belongs to no project (task types, dependency packages, workers,
entities) is seen by people and scripts; task types and workers are changed by their owners only. A worker sees its own
record, the jobs it has a lease on with their task types, and dependency packages, nothing else.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from attrs import define, field

from xfworker.domain.bookkeeping import JobLease, ProjectMember
from xfworker.domain.errors import JobAborted, LeaseLost, PermissionDenied, RecordNotFound
from xfworker.domain.job_metadata import ABORT_REQUESTED
from xfworker.domain.job_state import JobState
from xfworker.domain.records import (
    ActivityEvent,
    DependencyPackage,
    Entity,
    Job,
    Project,
    Record,
    Run,
    Task,
    TaskType,
    Worker,
    Workflow,
)
from xfworker.ports.record_store import RecordTransaction
from xfworker.services.platform.attempts import described_attempt, is_same_start
from xfworker.services.platform.dependents import task_types_with
from xfworker.services.platform.options import MOST_SPAWNED_JOBS
from xfworker.services.platform.ownership import OWNED, owner_name, owns
from xfworker.services.platform.principal import Principal, PrincipalKind

RecordT = TypeVar("RecordT", bound=Record)

CODE_STAYS = "jobs ran with it, or it belongs to others or is used by them; make a new version"
"""Why what a package runs is not changed any more, for messages."""

_OF_WORKFLOW = (Task, Run)
_OF_PROJECT = (Workflow, Job, ActivityEvent)

_CREATORS: dict[type[Record], tuple[PrincipalKind, ...]] = {
    Project: (PrincipalKind.USER,),
    Workflow: (PrincipalKind.USER,),
    Task: (PrincipalKind.USER, PrincipalKind.JOB),
    Job: (PrincipalKind.USER, PrincipalKind.JOB),
    Run: (PrincipalKind.USER, PrincipalKind.JOB),
    TaskType: (PrincipalKind.USER, PrincipalKind.JOB),
    Entity: (PrincipalKind.USER, PrincipalKind.JOB),
    ActivityEvent: (PrincipalKind.USER, PrincipalKind.JOB, PrincipalKind.WORKER),
    DependencyPackage: (),
    Worker: (PrincipalKind.WORKER,),
}
_EDITORS: dict[type[Record], tuple[PrincipalKind, ...]] = {
    **_CREATORS,
    Project: (PrincipalKind.USER, PrincipalKind.JOB),
    Workflow: (PrincipalKind.USER, PrincipalKind.JOB),
    TaskType: (PrincipalKind.USER,),
    Entity: (PrincipalKind.USER,),
}


@define
class Access:
    """
    One caller's rights within one transaction.

    Attributes:
        principal: The caller.
        transaction: The transaction.
        outputs_must_fit: Whether outputs that do not fit the task type's interface are refused.
        most_spawned_jobs: How many jobs may be spawned behind one job by jobs that were spawned themselves.
        files_may_wait: Whether files may be under way to their store while no transaction is open.
        missing_results: Lists the results that a job's outputs name and that are not stored.
    """

    principal: Principal
    transaction: RecordTransaction
    outputs_must_fit: bool = True
    most_spawned_jobs: int = MOST_SPAWNED_JOBS
    files_may_wait: bool = False
    missing_results: Callable[["Access", Job], list[str]] = lambda _access, _job: []
    _projects: frozenset[int] | None = field(default=None, init=False)

    def require_live(self, *, to_write: bool = False) -> None:
        """
        Refuse a script whose attempt at its job is over.

        Raises:
            LeaseLost: The job ended, or was given to another worker.
            JobAborted: The script wants to write, and a person wants the job to stop.
        """
        job = self._own_job()
        if job is None:
            return
        if not self._is_own_attempt(job) or job.state is not JobState.RUNNING:
            raise self._over(job)
        if to_write and ABORT_REQUESTED in job.metadata:
            raise JobAborted(f"job {job.serial} was aborted, so nothing more is taken from it")

    def require_latest_attempt(self) -> None:
        """
        Refuse a script whose job was given to another attempt.

        Raises:
            LeaseLost: It was.
        """
        job = self._own_job()
        if job is not None and not self._is_own_attempt(job):
            raise self._over(job)

    def is_ended_own_job(self, job: Job) -> bool:
        """Return whether a job is the script's own, and does not run any more."""
        return job.serial == self.principal.job_serial and job.state is not JobState.RUNNING

    def _is_own_attempt(self, job: Job) -> bool:
        principal = self.principal
        return job.attempt == principal.attempt and is_same_start(principal.started_at, job.started_at)

    def _own_job(self) -> Job | None:
        serial = self.principal.job_serial
        return None if serial is None else self.transaction.get(Job, serial)

    def _over(self, job: Job) -> LeaseLost:
        return LeaseLost(
            f"attempt {self.principal.attempt} at job {job.serial} is over: the job is {job.state}, attempt "
            f"{described_attempt(job)}; nothing more is taken from this attempt"
        )

    def sees_all(self) -> bool:
        """Return whether nothing is hidden from the caller."""
        return self.principal.is_admin

    def projects(self) -> frozenset[int]:
        """Give the serials of the projects that the caller sees; not for those who see all."""
        if self._projects is None:
            self._projects = self._visible_projects()
        return self._projects

    def project_of(self, record: Record) -> int | None:
        """Give the project that a record belongs to, or ``None`` where it belongs to none."""
        if isinstance(record, Project):
            return record.serial
        if isinstance(record, _OF_PROJECT):
            return record.project_serial
        if isinstance(record, _OF_WORKFLOW):
            return self.transaction.get(Workflow, record.workflow_serial).project_serial
        return None

    def sees(self, record: Record) -> bool:
        """Return whether the caller may see a record."""
        if self.sees_all():
            return True
        if self.principal.is_worker:
            return self._worker_sees(record)
        project = self.project_of(record)
        if project is None:
            return not isinstance(record, ActivityEvent) or record.user == self.principal.name
        return project in self.projects()

    def get(self, kind: type[RecordT], serial: int) -> RecordT:
        """
        Give a record that the caller may see.

        Raises:
            RecordNotFound: There is none, or it is hidden; the error does not say which.
            LeaseLost: The caller is a worker, and has no lease on the job.
        """
        record = self.transaction.get(kind, serial)
        if not self.sees(record):
            if self.principal.is_worker and isinstance(record, Job):
                raise LeaseLost(f"{self.principal.name} has no lease on job {serial}")
            raise RecordNotFound(f"there is no {kind.noun} {serial}")
        return record

    def narrowed(self, kind: type[Record], where: Mapping[str, Any] | None) -> dict[str, Any]:
        """Give the condition narrowed to what the caller may see."""
        conditions = dict(where or {})
        if self.sees_all() or (self.principal.is_worker and kind is DependencyPackage):
            return conditions
        if self.principal.is_worker:
            return _also(conditions, "serial", self._serials_for_worker(kind))
        if kind is Project:
            return _also(conditions, "serial", self.projects())
        if issubclass(kind, _OF_PROJECT):
            return _also(conditions, "project_serial", self.projects())
        if issubclass(kind, _OF_WORKFLOW):
            return _also(conditions, "workflow_serial", self._visible_workflows(conditions.get("workflow_serial")))
        return conditions

    def require_create(self, record: Record) -> None:
        """
        Refuse to create what the caller may not.

        Raises:
            PermissionDenied: The kind is not for this kind of caller, or belongs to another workflow.
        """
        self.principal.require(*_CREATORS[type(record)], to=f"create {record.a_noun()}")
        if self.principal.is_job and isinstance(record, Task | Job | Run):
            self._require_own_workflow(record, f"create {record.a_noun()}")

    def require_change(self, record: Record) -> None:
        """
        Refuse to change what the caller sees but may not change.

        Raises:
            PermissionDenied: The record is not for this kind of caller, or belongs to another workflow.
        """
        if isinstance(record, ActivityEvent):
            raise PermissionDenied("what is in the activity log stays as it is")
        self.principal.require(*_EDITORS.get(type(record), ()), to=f"change {record}")
        if isinstance(record, OWNED):
            self.require_own(record, f"change {record}")
        if self.principal.is_job and not isinstance(record, Project):
            self._require_own_workflow(record, f"change {record}")

    def require_own(self, record: Record, to: str) -> None:
        """
        Refuse what only the owner of a task type or of a worker's record may do.

        Raises:
            PermissionDenied: It is another's, and the caller is not an administrator.
        """
        if not owns(self.transaction, self.principal, record):
            owner = owner_name(self.transaction, record)
            hint = "; make a version of your own" if isinstance(record, TaskType) else "; choose another name"
            raise PermissionDenied(f"{self.principal.name} may not {to}: it belongs to {owner}{hint}")

    def may_change_code(self, package: TaskType | DependencyPackage) -> bool:
        """Return whether the caller may change what a package runs: its owner, while nobody else relies on it."""
        if self._has_run(package):
            return False
        if self.sees_all() or not (isinstance(package, TaskType) and owns(self.transaction, self.principal, package)):
            return self.sees_all()
        tasks = self.transaction.find(Task, {"task_type_serial": package.serial})
        workflows = self.transaction.find(Workflow, {"serial": tuple({task.workflow_serial for task in tasks})})
        return all(workflow.project_serial in self.projects() for workflow in workflows)

    def _has_run(self, package: TaskType | DependencyPackage) -> bool:
        """Return whether a job with it runs or is done, whose result says by this version how it came about."""
        types = (package.serial,) if isinstance(package, TaskType) else task_types_with(self.transaction, package)
        tasks = tuple(task.serial for task in self.transaction.find(Task, {"task_type_serial": types})) if types else ()
        states = (JobState.RUNNING, JobState.DONE)
        return bool(tasks and self.transaction.find(Job, {"task_serial": tasks, "state": states}, limit=1))

    def may_run(self, job: Job) -> bool:
        """Return whether the caller's workers may run a job."""
        return self.may_run_in(job.project_serial)

    def may_run_in(self, project_serial: int) -> bool:
        """Return whether the caller's workers may run the jobs of a project."""
        return self.principal.is_worker or self.sees_all() or project_serial in self.projects()

    def _worker_sees(self, record: Record) -> bool:
        if isinstance(record, DependencyPackage):
            return True
        if isinstance(record, ActivityEvent):
            return record.user == self.principal.name
        if isinstance(record, Worker):
            return owns(self.transaction, self.principal, record)
        if isinstance(record, Job):
            leases = self.transaction.find(JobLease, {"job_serial": record.serial, "attempt": record.attempt}, limit=1)
            return any(self._is_own_worker(lease.worker_serial) for lease in leases)
        return isinstance(record, TaskType) and record.serial in self._serials_for_worker(TaskType)

    def _is_own_worker(self, serial: int) -> bool:
        return owns(self.transaction, self.principal, self.transaction.get(Worker, serial))

    def _serials_for_worker(self, kind: type[Record]) -> frozenset[int]:
        if kind is Worker:
            workers = self.transaction.find(Worker)
            return frozenset(worker.serial for worker in workers if owns(self.transaction, self.principal, worker))
        if kind not in (Job, TaskType):
            return frozenset()
        leases = [lease for lease in self.transaction.find(JobLease) if self._is_own_worker(lease.worker_serial)]
        if kind is Job:
            return frozenset(lease.job_serial for lease in leases)
        jobs = self.transaction.find(Job, {"serial": tuple(lease.job_serial for lease in leases)})
        tasks = self.transaction.find(Task, {"serial": tuple({job.task_serial for job in jobs})})
        return frozenset(task.task_type_serial for task in tasks)

    def _require_own_workflow(self, record: Record, what: str) -> None:
        workflow = record.serial if isinstance(record, Workflow) else getattr(record, "workflow_serial", None)
        if workflow != self.principal.workflow_serial:
            raise PermissionDenied(
                f"{self.principal.name} may not {what}: its token is for workflow {self.principal.workflow_serial} only"
            )

    def _visible_projects(self) -> frozenset[int]:
        if self.principal.project_serial is not None:
            return frozenset({self.principal.project_serial})
        members = self.transaction.find(ProjectMember, {"account_serial": self.principal.account_serial or 0})
        return frozenset(member.project_serial for member in members)

    def _visible_workflows(self, serials: Any) -> frozenset[int]:
        where: dict[str, Any] = {"project_serial": tuple(sorted(self.projects()))}
        if serials is not None:
            where["serial"] = serials
        return frozenset(workflow.serial for workflow in self.transaction.find(Workflow, where))


def _also(conditions: dict[str, Any], name: str, allowed: frozenset[int]) -> dict[str, Any]:
    condition = conditions.get(name)
    if condition is None and name not in conditions:
        choices = allowed
    else:
        choices = allowed.intersection(condition if isinstance(condition, tuple) else (condition,))
    return {**conditions, name: tuple(sorted(choices))}
