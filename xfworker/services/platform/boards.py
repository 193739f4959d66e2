"""Boards: a workflow's runs and jobs at a glance, and what changed about them since some time."""

from datetime import datetime

from xfworker.domain.board import Board, BoardChanges
from xfworker.domain.records import Job, Run, Workflow
from xfworker.domain.workflow_graph import Step
from xfworker.services.platform.access import Access
from xfworker.services.platform.downstream import graph_of


def board_of(access: Access, workflow_serial: int, now: datetime) -> Board:
    """
    Give a workflow's board.

    Raises:
        RecordNotFound: There is no such workflow, or the caller does not see it.
    """
    return Board(
        workflow=access.get(Workflow, workflow_serial),
        steps=steps_in_order(access, workflow_serial),
        runs=tuple(access.transaction.find(Run, {"workflow_serial": workflow_serial})),
        cells=tuple(access.transaction.job_cells(workflow_serial)),
        read_at=now,
    )


def steps_in_order(access: Access, workflow_serial: int) -> tuple[Step, ...]:
    """
    Give a workflow's active tasks with their types, each behind those whose outputs it uses.

    Raises:
        RecordNotFound: There is no such workflow, or the caller does not see it.
    """
    return graph_of(access, access.get(Workflow, workflow_serial).serial).steps


def changes_of(access: Access, workflow_serial: int, since: datetime, now: datetime) -> BoardChanges:
    """
    Give what changed about a workflow's board since some time.

    Raises:
        RecordNotFound: There is no such workflow, or the caller does not see it.
    """
    where = {"workflow_serial": workflow_serial}
    return BoardChanges(
        workflow=access.get(Workflow, workflow_serial),
        jobs=tuple(access.transaction.modified_since(Job, where, since)),
        runs=tuple(access.transaction.modified_since(Run, where, since)),
        read_at=now,
    )
