"""What people do with workflows and jobs beyond changing their records."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from xfworker.domain.records import Job, Run, RunPriority, Task


class WorkflowControl(Protocol):
    """Starts runs, appends tasks, restarts and aborts jobs."""

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
        """
        Start a run of a workflow.

        Where the workflow has a source task, a job of it is made; the run's other jobs follow when that is done. Else
        the run begins with the tasks that use no other task's output.

        Args:
            workflow_serial: The workflow; it must not be a draft.
            inputs: Inputs of the source job.
            outputs: What the source job gives, where its script need not run: the job is done at once.
            task_serial: Which source task, where there are several.
            name: What the run and its source job are called.
            entity: What the run is about, ``{uuid, name}``; a new one by default.
            priority: How soon its jobs are handed out.
            idempotency_key: A second call with the same key gives the same run.

        Raises:
            IllegalTransition: The workflow is a draft, or obsolete.
            InvalidParameter: The inputs do not fit, or the source task must be named.
        """
        ...

    def copy_run(self, run_serial: int, *, name: str = "", idempotency_key: str | None = None) -> Run:
        """
        Start a run with the inputs, the entity and the priority of another one.

        Args:
            run_serial: The run to copy; it stays as it is.
            name: What the copy is called; by default as the run.
            idempotency_key: A second call with the same key gives the same run.

        Raises:
            IllegalTransition: The workflow is a draft, or obsolete.
            InvalidParameter: The inputs do not fit what the source task takes by now.
        """
        ...

    def append_task(
        self,
        job_serial: int,
        task_type_serial: int,
        *,
        inputs: Sequence[Mapping[str, Any]],
        name: str = "",
        idempotency_key: str | None = None,
    ) -> Task:
        """
        Add a task to a job's workflow that works with what the job's task makes, and let it begin in the job's run.

        The task is one of the workflow as any other: later runs have it as well. In other runs that are there already
        it does not begin.

        Args:
            job_serial: The job that it follows.
            task_type_serial: What the task does.
            inputs: Where its inputs come from, as in a task's record; one at least is an output of the job's task.
            name: What it is called; by default as its task type.
            idempotency_key: A second call with the same key gives the same task.

        Raises:
            IllegalTransition: The job's run is obsolete.
            InvalidParameter: No input takes an output of the job's task.
            InvalidRecord: The inputs do not fit the task type, or what they take is not there.
            RecordLocked: The workflow is locked or obsolete.
        """
        ...

    def restart_job(self, job_serial: int, *, idempotency_key: str | None = None) -> Job:
        """
        Let a job that has ended run again; all jobs that use what it made wait for it.

        Args:
            job_serial: The job.
            idempotency_key: A second call with the same key restarts nothing and gives the job as it is.

        Raises:
            IllegalTransition: The job has not ended, or one that follows from it is running.
        """
        ...

    def abort_job(self, job_serial: int, *, idempotency_key: str | None = None) -> Job:
        """
        Abort a job. One that runs is asked to stop and is aborted when it has.

        Args:
            job_serial: The job.
            idempotency_key: A second call with the same key aborts nothing and gives the job as it is, which may have
                been restarted meanwhile.

        Raises:
            IllegalTransition: The job has ended.
        """
        ...
