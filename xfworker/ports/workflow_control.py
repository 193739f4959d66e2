"""What people do with workflows and jobs beyond changing their records."""

from collections.abc import Mapping
from typing import Any, Protocol

from xfworker.domain.records import Job, Run, RunPriority


class WorkflowControl(Protocol):
    """Starts runs, restarts and aborts jobs."""

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

    def restart_job(self, job_serial: int) -> Job:
        """
        Let a job that has ended run again; all jobs that use what it made wait for it.

        Raises:
            IllegalTransition: The job has not ended, or one that follows from it is running.
        """
        ...

    def abort_job(self, job_serial: int) -> Job:
        """
        Abort a job. One that runs is asked to stop and is aborted when it has.

        Raises:
            IllegalTransition: The job has ended.
        """
        ...
