"""The message of a workflow's board."""

from datetime import datetime
from typing import Any

from attrs import define

from xfworker.adapters.wire.codec import Message, write
from xfworker.adapters.wire.field_types import Serial
from xfworker.domain.board import Board, BoardChanges, JobCell, job_cell
from xfworker.domain.conversion import format_time
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Run, TaskTypeKind, Workflow


@define(frozen=True, kw_only=True)
class BoardTask(Message):
    """A column: an active task, behind those whose outputs it uses."""

    task_serial: Serial
    name: str
    kind: TaskTypeKind


@define(frozen=True, kw_only=True)
class BoardCell(Message):
    """A job; the last three only of one that runs, as its script reports them (percent, seconds)."""

    job_serial: Serial
    task_serial: Serial
    run_serial: Serial | None
    state: JobState
    started_at: datetime | None
    progress_percentage: float | None
    estimated_duration_seconds: float | None


@define(frozen=True, kw_only=True)
class BoardBody(Message):
    """A workflow's board, or what changed about it; ``read_at`` is what the next question is to name as ``since``."""

    read_at: datetime
    workflow: Workflow
    tasks: list[BoardTask]
    runs: list[Run]
    cells: list[BoardCell]


def board_body(board: Board) -> dict[str, Any]:
    """Give a board as JSON value; it may have a hundred thousand cells."""
    tasks = [
        {"task_serial": step.serial, "name": step.task.name, "kind": step.task_type.kind.value} for step in board.steps
    ]
    return {
        "read_at": format_time(board.read_at),
        "workflow": write(board.workflow),
        "tasks": tasks,
        "runs": [write(run) for run in board.runs],
        "cells": [_cell(cell) for cell in board.cells],
    }


def changes_body(changes: BoardChanges) -> dict[str, Any]:
    """Give what changed about a board as JSON value; its tasks are not repeated."""
    return {
        "read_at": format_time(changes.read_at),
        "workflow": write(changes.workflow),
        "tasks": [],
        "runs": [write(run) for run in changes.runs],
        "cells": [_cell(job_cell(job)) for job in changes.jobs],
    }


def _cell(cell: JobCell) -> dict[str, Any]:
    return {
        "job_serial": cell.serial,
        "task_serial": cell.task_serial,
        "run_serial": cell.run_serial,
        "state": cell.state.value,
        "started_at": None if cell.started_at is None else format_time(cell.started_at),
        "progress_percentage": cell.progress,
        "estimated_duration_seconds": cell.estimate_seconds,
    }
