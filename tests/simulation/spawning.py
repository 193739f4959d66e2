"""Jobs that scripts spawn: one for each spawning job, however often that runs."""

from xfworker.domain.records import Job, Task, TaskType

PACKAGE = "T.spawned"


def spawned_jobs(world, workflow):
    """
    Give the spawned jobs of a workflow by the job that spawned them.

    Raises:
        ViolationError: A job spawned two, two scripts made two tasks of one spawn key, or one that was acknowledged is
            not there.
    """
    from tests.simulation.ledger import require

    types = [kind.serial for kind in world.records.matching(TaskType, name=PACKAGE)]
    tasks = world.records.matching(Task, task_type_serial=types[0], workflow_serial=workflow)
    require(len(tasks) <= 1, f"one spawn key made {len(tasks)} tasks")
    spawned = {}
    for job in world.records.matching(Job, task_serial=tasks[0].serial) if tasks else ():
        other = spawned.setdefault(job.source_job_serial, job)
        require(other is job, f"job {job.source_job_serial} spawned both {other} and {job}")
    jobs = world.ledger.jobs
    lost = {source for source in world.spawned_by if jobs[source].workflow_serial == workflow} - spawned.keys()
    require(not lost, f"what jobs {sorted(lost)} spawned was lost")
    return spawned
