"""What files take on the disk, and what is given back when the files of obsolete runs are deleted."""

from datetime import datetime

from attrs import define


@define(frozen=True, kw_only=True)
class WorkflowUse:
    """
    What the files of a workflow's jobs take.

    Attributes:
        workflow_serial: The workflow.
        workflow_name: What it is called.
        project_serial: Its project.
        project_name: What that is called.
        bytes: The files of all its jobs, in bytes.
        obsolete_bytes: Those of its obsolete runs, or all where the workflow is obsolete.
    """

    workflow_serial: int
    workflow_name: str
    project_serial: int
    project_name: str
    bytes: int
    obsolete_bytes: int


@define(frozen=True, kw_only=True)
class SourceUse:
    """
    What other files take.

    Attributes:
        source: The source of the files, ``userdata`` or ``task_type_config``.
        bytes: All of it, in bytes.
    """

    source: str
    bytes: int


@define(frozen=True, kw_only=True)
class DiskUse:
    """
    What files take.

    Attributes:
        measured_at: When it was measured (UTC).
        workflows: The files of jobs, by workflow, the largest first.
        sources: All other files.
        is_complete: Whether every folder was looked at; there may be too many.
    """

    measured_at: datetime
    workflows: list[WorkflowUse]
    sources: list[SourceUse]
    is_complete: bool

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return sum(use.bytes for use in self.workflows) + sum(use.bytes for use in self.sources)


@define(frozen=True, kw_only=True)
class FreedFiles:
    """
    What became, or would become, of the files of a run's jobs.

    Attributes:
        workflow_serial: The workflow.
        run_serial: The run; ``None`` for the jobs of no run of a workflow that is obsolete.
        name: What the run is called.
        files: How many files go.
        bytes: How large they are together.
        kept_jobs: The jobs whose files stay, because something else uses them.
        reason: Why files stay: of all jobs, or of those; an empty string where none stays.
        deleted: Whether the files are gone.
    """

    workflow_serial: int
    run_serial: int | None
    name: str
    files: int
    bytes: int
    kept_jobs: list[int]
    reason: str
    deleted: bool
