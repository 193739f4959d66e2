"""A data folder with a workflow of many runs and tasks, for the page's benchmark and tests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from xfworker.api.composition.platform import PlatformStorage, opened_platform
from xfworker.domain.job_state import JobState
from xfworker.domain.records import (
    Job,
    Project,
    Run,
    RunPriority,
    Task,
    TaskType,
    TaskTypeKind,
    Workflow,
    WorkflowState,
)

_STEPS = ("Import", "Denoise", "Threshold", "Segment", "Register", "Cortical mask", "Trabecular mask", "Morphometry")
_BATCH = 500


def fill_board(data: Path, *, runs: int, tasks: int) -> int:
    """Write a workflow with a job in every cell into a data folder, and give the workflow's serial."""
    with opened_platform(PlatformStorage(data=data, durable=False)) as platform:
        now = datetime.now(UTC)
        with platform.records.transaction() as transaction:
            project = transaction.insert(Project(name="Tibia 2026", created_at=now, modified_at=now)).serial
            workflow = transaction.insert(
                Workflow(
                    project_serial=project,
                    name="HR-pQCT morphometry",
                    state=WorkflowState.ACTIVE,
                    occ_lock_version=1,
                    created_at=now,
                    modified_at=now,
                )
            ).serial
            columns: list[int] = []
            for index in range(tasks):
                name = _STEPS[index % len(_STEPS)] + (f" {index // len(_STEPS) + 1}" if index >= len(_STEPS) else "")
                kind = TaskTypeKind.SOURCE if index == 0 else TaskTypeKind.PROCESSING
                image = [{"key": "image", "type": "Image"}]
                interface = {"inputs": image if columns else [], "outputs": image}
                task_type = transaction.insert(
                    TaskType(name=f"Bone.{name}", kind=kind, interface=interface, created_at=now)
                ).serial
                inputs = [
                    {"key": "image", "mode": "output", "task_serial": (columns or [0])[-1], "output_key": "image"}
                ]
                columns.append(
                    transaction.insert(
                        Task(
                            workflow_serial=workflow,
                            task_type_serial=task_type,
                            name=name,
                            inputs=inputs if columns else [],
                            created_at=now,
                            modified_at=now,
                        )
                    ).serial
                )
        for begin in range(0, runs, _BATCH):
            with platform.records.transaction() as transaction:
                for number in range(begin, min(begin + _BATCH, runs)):
                    created = now - timedelta(minutes=runs - number)
                    run = transaction.insert(
                        Run(
                            workflow_serial=workflow,
                            name=f"TIB-{number:04d} {'left' if number % 2 else 'right'}",
                            entity={"uuid": f"u{number // 2}", "name": f"Participant {number // 2:03d}"},
                            priority=RunPriority.HIGH if number % 97 == 0 else RunPriority.NORMAL,
                            created_at=created,
                            modified_at=created,
                        )
                    ).serial
                    for index, task in enumerate(columns):
                        state = _state(number, index, runs, tasks)
                        running = {"progress_percentage": (number * 7 + 13) % 100, "estimated_duration_seconds": 900}
                        failed = {"error_message": "no bone found: the threshold 400 mg HA/cm3 leaves no voxels"}
                        transaction.insert(
                            Job(
                                task_serial=task,
                                workflow_serial=workflow,
                                project_serial=project,
                                run_serial=run,
                                state=state,
                                sort_order=f"{number:06d}",
                                attempt=1,
                                started_at=now - timedelta(minutes=4),
                                metadata=running
                                if state is JobState.RUNNING
                                else failed
                                if state is JobState.FAILED
                                else {},
                                created_at=created,
                                modified_at=created,
                            )
                        )
        return workflow


def _state(run: int, task: int, runs: int, tasks: int) -> JobState:
    done = tasks if run < runs * 0.9 else int((runs - run) / (runs * 0.1) * tasks)
    if run % 41 == 5 and task == run % tasks:
        return JobState.FAILED
    if run % 41 == 5 and task > run % tasks:
        return JobState.WAITING
    if task < done:
        return JobState.DONE
    if task == done:
        return (JobState.RUNNING, JobState.READY, JobState.READY_FOR_INTERACTIVE)[run % 3]
    return JobState.WAITING
