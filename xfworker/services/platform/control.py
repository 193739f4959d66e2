"""Starts runs, restarts and aborts jobs: the port of workflow control over a record store."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, InvalidParameter
from xfworker.domain.interface import input_violations
from xfworker.domain.job_inputs import new_job_violations
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, RunPriority, Task, TaskType, TaskTypeKind, Workflow
from xfworker.domain.scheduling import OPEN_STATES, own_inputs
from xfworker.domain.workflow_graph import Step, source_of_run
from xfworker.ports.clock import Clock
from xfworker.services.platform.access import Access
from xfworker.services.platform.downstream import begin_appended, graph_of, start_roots
from xfworker.services.platform.holding import is_live
from xfworker.services.platform.idempotency import IdempotentRequest
from xfworker.services.platform.keeping import check_json
from xfworker.services.platform.principal import Principal, PrincipalKind
from xfworker.services.platform.server import PlatformServer


class PlatformControl:
    """Workflow control as one caller has it."""

    def __init__(
        self,
        principal: Principal,
        server: PlatformServer,
        *,
        clock: Clock,
    ) -> None:
        """
        Prepare.

        Raises:
            PermissionDenied: The caller is a script or a worker.
        """
        principal.require(PrincipalKind.USER, to="start runs, restart or abort jobs")
        self._principal = principal
        self._server = server
        self._clock = clock

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
        request = IdempotentRequest(idempotency_key, ("start run", content))
        new_run = Run(
            workflow_serial=workflow_serial,
            name=name,
            entity=None if entity is None else dict(entity),
            priority=priority,
        )
        check_json(new_run)
        check_json(Job(task_serial=0, inputs=dict(inputs or {}), outputs=dict(outputs or {})))
        with self._server.writing(outputs, of=(Workflow, workflow_serial)) as access:
            replayed = request.replayed(access, Run)
            if replayed is not None:
                return replayed
            workflow = access.get(Workflow, workflow_serial)
            graph = graph_of(access, workflow.serial)
            source = source_of_run(workflow, graph, task_serial, takes_values=bool(inputs or outputs))
            run = self._server.insert(access, new_run)
            if source is not None:
                run = self._with_source_job(access, run, source, dict(inputs or {}), outputs)
            else:
                start_roots(access, graph, run, self._now())
            request.put(access, run, self._now())
            return run

    def copy_run(self, run_serial: int, *, name: str = "", idempotency_key: str | None = None) -> Run:
        """Start a run with the inputs, the entity and the priority of another one."""
        run = self._server.get(Run, run_serial)
        source = None if run.source_job_serial is None else self._server.get(Job, run.source_job_serial)
        return self.start_run(
            run.workflow_serial,
            inputs=None if source is None else source.inputs,
            task_serial=None if source is None else source.task_serial,
            name=name or run.name,
            entity=run.entity,
            priority=run.priority,
            idempotency_key=idempotency_key,
        )

    def append_task(
        self,
        job_serial: int,
        task_type_serial: int,
        *,
        inputs: Sequence[Mapping[str, Any]],
        name: str = "",
        idempotency_key: str | None = None,
    ) -> Task:
        """Add a task that works with what a job's task makes, and let it begin in the job's run."""
        listed = [dict(item) for item in inputs]
        request = IdempotentRequest(idempotency_key, ("append task", [job_serial, task_type_serial, listed, name]))
        check_json(Task(workflow_serial=0, task_type_serial=task_type_serial, name=name, inputs=listed))
        with self._server.writing(of=(Job, job_serial)) as access:
            replayed = request.replayed(access, Task)
            if replayed is not None:
                return replayed
            job = access.get(Job, job_serial)
            if not is_live(access, job):
                raise IllegalTransition(
                    f"no task can follow job {job_serial}: its run is obsolete; take that back first"
                )
            if not any(item.get("mode") == "output" and item.get("task_serial") == job.task_serial for item in listed):
                raise InvalidParameter(
                    f"no task can follow job {job_serial}: none of its inputs takes an output of task {job.task_serial}"
                )
            kind = access.get(TaskType, task_type_serial)
            label = name or kind.name.rpartition(".")[2]
            new = Task(workflow_serial=job.workflow_serial, task_type_serial=kind.serial, name=label, inputs=listed)
            task = self._server.insert(access, new)
            begin_appended(access, task, job, self._now())
            request.put(access, task, self._now())
            return access.transaction.get(Task, task.serial)

    def restart_job(self, job_serial: int, *, idempotency_key: str | None = None) -> Job:
        """Let a job that has ended run again."""

        def state(access: Access, job: Job) -> JobState:
            if not job.state.is_final:
                raise IllegalTransition(f"job {job.serial} cannot be restarted: it is {job.state}, it has not ended")
            task = access.get(Task, job.task_serial)
            task_type = access.get(TaskType, task.task_type_serial)
            interactive = task_type.kind is TaskTypeKind.INTERACTIVE or task.initial_state is not None
            return JobState.READY_FOR_INTERACTIVE if interactive else JobState.READY

        return self._move_once(job_serial, IdempotentRequest(idempotency_key, ("restart job", [job_serial])), state)

    def abort_job(self, job_serial: int, *, idempotency_key: str | None = None) -> Job:
        """Abort a job."""

        def state(_: Access, job: Job) -> JobState:
            if job.state not in OPEN_STATES:
                raise IllegalTransition(f"job {job.serial} cannot be aborted: it is {job.state} already")
            return JobState.ABORTED

        return self._move_once(job_serial, IdempotentRequest(idempotency_key, ("abort job", [job_serial])), state)

    def _move_once(
        self, job_serial: int, request: IdempotentRequest, state_for: Callable[[Access, Job], JobState]
    ) -> Job:
        with self._server.writing(of=(Job, job_serial)) as access:
            # Before the state is looked at, which is another one when the request comes again.
            replayed = request.replayed(access, Job)
            if replayed is not None:
                return replayed
            state = state_for(access, access.get(Job, job_serial))
            job = self._server.change_of_caller(access, Job, job_serial, Change(values={"/state": state.value}))
            request.put(access, job, self._now())
            return job

    def _with_source_job(
        self, access: Access, run: Run, source: Step, inputs: dict[str, Any], outputs: Mapping[str, Any] | None
    ) -> Run:
        inputs = {**own_inputs(source), **inputs}
        check = new_job_violations if outputs is None else input_violations
        violations = check(source.task_type.interface, inputs)
        if violations:
            raise InvalidParameter(f"the run cannot start: {'; '.join(violations)}", violations)
        job = self._server.insert(
            access,
            Job(
                task_serial=source.serial,
                workflow_serial=run.workflow_serial,
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
            values = {"/outputs": dict(outputs), "/state": JobState.DONE.value}
            self._server.change(access, ready, Change(values=values))
        return access.transaction.get(Run, run.serial)

    def _now(self) -> datetime:
        return self._clock.now()
