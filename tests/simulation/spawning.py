"""Jobs that scripts spawn: one for each spawning job, however often that runs."""

from attrs import evolve

from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Task, TaskType
from xfworker.services.script.spawning import ensure_task, job_spawn_key, task_types_of

PACKAGE = "T.spawned"


def spawn_job(world, session, job):
    """Spawn the task of a workflow's spawned jobs, and a job of it that joins the run of the spawning one."""
    [task_type] = task_types_of(session.server, PACKAGE)
    requested = Task(
        workflow_serial=job.workflow_serial, task_type_serial=task_type.serial, name="spawned", spawn_key="spawned"
    )
    task = ensure_task(session.server, session.clock, requested, task_type)
    spawned = Job(task_serial=task.serial, source_job_serial=job.serial, state=JobState.READY)
    session.server.create(evolve(spawned, spawn_key=job_spawn_key(spawned, 0)))
    world.spawned_by.add(job.serial)


def spawned_jobs(world):
    """
    Give the spawned jobs by the job that spawned them.

    Raises:
        ViolationError: A job spawned two, two scripts made two tasks of one spawn key, or one that was acknowledged is
            not there.
    """
    from tests.simulation.ledger import require

    types = [kind.serial for kind in world.records.matching(TaskType, name=PACKAGE)]
    tasks = world.records.matching(Task, task_type_serial=types[0])
    require(len(tasks) <= 1, f"one spawn key made {len(tasks)} tasks")
    spawned = {}
    for job in world.records.matching(Job, task_serial=tasks[0].serial) if tasks else ():
        other = spawned.setdefault(job.source_job_serial, job)
        require(other is job, f"job {job.source_job_serial} spawned both {other} and {job}")
    lost = world.spawned_by - spawned.keys()
    require(not lost, f"what jobs {sorted(lost)} spawned was lost")
    return spawned
