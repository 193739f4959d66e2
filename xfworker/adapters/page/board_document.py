"""A board as the page's script takes it: short, because a board of 1,000 runs by 30 tasks has 30,000 cells."""

from collections.abc import Collection
from typing import Any

from xfworker.domain.board import Board, BoardChanges, JobCell, job_cell
from xfworker.domain.conversion import format_time
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Run, TaskTypeKind

STATE_CODES = {
    JobState.WAITING: "W",
    JobState.READY: "Q",
    JobState.READY_FOR_INTERACTIVE: "I",
    JobState.RUNNING: "R",
    JobState.DONE: "D",
    JobState.FAILED: "F",
    JobState.ABORTED: "A",
}
ALL_RUNS = 0
"""What stands for the row of jobs that belong to all runs together."""

_NO_JOB = "."


def board_document(board: Board) -> dict[str, Any]:
    """
    Give a board: ``states`` has one string for each run with one letter for each task, ``.`` where there is no job.

    Where a run has several jobs of a task, the letter is the newest one's, and ``several`` has their number.
    """
    columns = {step.serial: index for index, step in enumerate(board.steps)}
    empty = [_NO_JOB] * len(columns)
    rows = {run.serial: empty.copy() for run in board.runs}
    live: dict[tuple[int, int], JobCell] = {}
    counts: dict[tuple[int, int], int] = {}
    # One pass, and little in it: there may be a hundred thousand cells. Those of one place come with the newest last.
    for cell in board.cells:
        column = columns.get(cell.task_serial)
        if column is None:
            continue
        run = cell.run_serial or ALL_RUNS
        row = rows.get(run)
        if row is None:
            row = rows[run] = empty.copy()
        if row[column] != _NO_JOB:
            place = (run, cell.task_serial)
            counts[place] = counts.get(place, 1) + 1
            live.pop(place, None)
        row[column] = STATE_CODES[cell.state]
        if cell.state is JobState.RUNNING:
            live[run, cell.task_serial] = cell
    runs = {run.serial: _run(run) for run in board.runs}
    return {
        "cursor": format_time(board.read_at),
        "workflow": board.workflow.serial,
        "version": board.workflow.occ_lock_version,
        "tasks": [
            [step.serial, step.task.name or step.task_type.name, step.task_type.kind is TaskTypeKind.INTERACTIVE]
            for step in board.steps
        ],
        "runs": [runs.get(serial, [serial, "", "", "", False, None]) for serial in rows],
        "states": ["".join(row) for row in rows.values()],
        "live": [_cell(cell) for cell in live.values()],
        "several": [[run, task, count] for (run, task), count in counts.items()],
    }


def change_document(changes: BoardChanges, only: Collection[tuple[str, int]] | None = None) -> dict[str, Any]:
    """
    Give what changed about a board.

    Args:
        changes: What changed.
        only: Collection and serial of the records to speak of; by default of all.
    """
    return {
        "cells": [_cell(job_cell(job)) for job in changes.jobs if only is None or (job.collection, job.serial) in only],
        "runs": [_run(run) for run in changes.runs if only is None or (run.collection, run.serial) in only],
        "version": changes.workflow.occ_lock_version,
    }


def _cell(cell: JobCell) -> list[Any]:
    started = None if cell.started_at is None else round(cell.started_at.timestamp())
    run = cell.run_serial or ALL_RUNS
    rest = [cell.progress, started, cell.estimate_seconds] if cell.state is JobState.RUNNING else []
    return [run, cell.task_serial, STATE_CODES[cell.state], cell.serial, *rest]


def _run(run: Run) -> list[Any]:
    entity = (run.entity or {}).get("name")
    created = None if run.created_at is None else round(run.created_at.timestamp())
    name = entity if isinstance(entity, str) else ""
    return [run.serial, run.name, name, run.priority.value, run.obsolete, created]
