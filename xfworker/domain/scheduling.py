"""Which jobs are handed out, and which follow from a finished one: pure rules over what a workflow holds."""

from xfworker.domain.records import Run, RunPriority, Workflow, WorkflowState


def claim_rank(workflow: Workflow, run: Run | None) -> int | None:
    """Give the rank in which the ready jobs of a run are handed out (0 first), or ``None`` where they are not."""
    if workflow.obsolete or workflow.state is not WorkflowState.ACTIVE:
        return None
    if run is None:
        return 1
    if run.obsolete or run.priority is RunPriority.PAUSED:
        return None
    return 0 if run.priority is RunPriority.HIGH else 1
