"""Starts runs, restarts and aborts jobs: the port of workflow control over a record store."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, InvalidParameter, RecordNotFound
from xfworker.domain.job_inputs import new_job_violations
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, RunPriority, Task, TaskType, TaskTypeKind, Workflow, WorkflowState
from xfworker.domain.scheduling import OPEN_STATES, Step, upstreams
from xfworker.ports.clock import Clock
from xfworker.ports.record_store import RecordStore
from xfworker.services.platform.access import Access
from xfworker.services.platform.downstream import start_roots, steps_of
from xfworker.services.platform.idempotency import IdempotentRequest
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.principal import Principal, PrincipalKind
from xfworker.services.platform.server import PlatformServer


class PlatformControl:
    """Workflow control as one caller has it."""

    def __init__(
        self,
        principal: Principal,
        server: PlatformServer,
        *,
        records: RecordStore,
        clock: Clock,
        options: PlatformOptions,
    ) -> None:
        """
        Prepare.

        Raises:
            PermissionDenied: The caller is a script or a worker.
        """
        principal.require(PrincipalKind.USER, to="start runs, restart or abort jobs")
        self._principal = principal
        self._server = server
        self._records = records
        self._clock = clock
        self._options = options

    def start_run(
        self,
        workflow_serial: int,
        *,
        inputs: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
        task_serial: int | None = None,
        name: str = "",
        entity: Mapping[str, Any] | None = None,
        priority: RunPriority = RunPriority.NORMAL,
        idempotency_key: str | None = None,
    ) -> Run:
        """Start a run of a workflow."""
        content = [workflow_serial, inputs, outputs, task_serial, name, entity, priority.value]
        with self._records.transaction() as transaction:
            access = Access(self._principal, transaction)
            request = IdempotentRequest(idempotency_key, ("start run", content))
            replayed = request.replayed(access, Run)
            if replayed is not None:
                return replayed
            workflow = access.get(Workflow, workflow_serial)
            if workflow.state is WorkflowState.DRAFT or workflow.obsolete:
                what = "obsolete" if workflow.obsolete else "a draft"
                raise IllegalTransition(f"workflow {workflow.serial} is {what}; start it before a run of it")
            steps = steps_of(access, workflow.serial)
            source = _source(steps, task_serial)
            run = self._server.insert(
                access,
                Run(
                    workflow_serial=workflow.serial,
                    name=name,
                    entity=None if entity is None else dict(entity),
                    priority=priority,
                ),
            )
            if source is not None:
                run = self._with_source_job(access, run, source, dict(inputs or {}), outputs)
            elif inputs or outputs:
                raise InvalidParameter(f"workflow {workflow.serial} has no source task that takes inputs")
            else:
                start_roots(access, steps, run, self._now())
            request.put(access, run, self._now())
            return run

    def restart_job(self, job_serial: int) -> Job:
        """Let a job that has ended run again."""
        job = self._server.get(Job, job_serial)
        if not job.state.is_final:
            raise IllegalTransition(f"job {job.serial} cannot be restarted: it is {job.state}, it has not ended")
        task = self._server.get(Task, job.task_serial)
        task_type = self._server.get(TaskType, task.task_type_serial)
        interactive = task_type.kind is TaskTypeKind.INTERACTIVE or task.initial_state is not None
        state = JobState.READY_FOR_INTERACTIVE if interactive else JobState.READY
        return self._server.update(
            Job, job.serial, Change(values={"/state": state.value}, expected_version=job.occ_lock_version)
        )

    def abort_job(self, job_serial: int) -> Job:
        """Abort a job."""
        job = self._server.get(Job, job_serial)
        if job.state not in OPEN_STATES:
            raise IllegalTransition(f"job {job.serial} cannot be aborted: it is {job.state} already")
        return self._server.update(Job, job.serial, Change(values={"/state": JobState.ABORTED.value}))

    def _with_source_job(
        self, access: Access, run: Run, source: Step, inputs: dict[str, Any], outputs: Mapping[str, Any] | None
    ) -> Run:
        if outputs is None:
            violations = new_job_violations(source.task_type.interface, inputs)
            if violations:
                raise InvalidParameter(f"the run cannot start: {'; '.join(violations)}", violations)
        job = self._server.insert(
            access,
            Job(
                task_serial=source.serial,
                run_serial=run.serial,
                state=JobState.READY if outputs is None else JobState.WAITING,
                inputs=inputs,
                name=run.name,
            ),
        )
        run = attrs.evolve(access.transaction.get(Run, run.serial), source_job_serial=job.serial)
        access.transaction.replace(run)
        if outputs is not None:
            ready = attrs.evolve(job, state=JobState.READY_FOR_INTERACTIVE)
            access.transaction.replace(ready)
            values = {"/outputs": dict(outputs), "/state": JobState.DONE.value}
            self._server.change(access, ready, Change(values=values))
        return access.transaction.get(Run, run.serial)

    def _now(self) -> datetime:
        return self._clock.now()


def _source(steps: list[Step], task_serial: int | None) -> Step | None:
    sources = [step for step in steps if step.task_type.kind is TaskTypeKind.SOURCE and not upstreams(step)]
    if task_serial is not None:
        for step in sources:
            if step.serial == task_serial:
                return step
        raise RecordNotFound(f"there is no source task {task_serial} in the workflow")
    if len(sources) > 1:
        names = ", ".join(f"{step.serial} ({step.task.name})" for step in sources)
        raise InvalidParameter(f"the workflow has several source tasks; name one: {names}")
    return sources[0] if sources else None
