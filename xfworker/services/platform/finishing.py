"""What holds for the outputs of a job that is to be done, on every way there: a change, a creation, a run's start."""

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.interface import output_violations
from xfworker.domain.records import Job, TaskType
from xfworker.services.platform.access import Access


def output_faults(access: Access, task_type: TaskType, job: Job) -> list[str]:
    """
    Give what is accepted about a job's outputs although it does not fit.

    Raises:
        InvalidParameter: The outputs name results that are not stored, which nobody could add any more, or do not fit
            the interface of the task type and the platform does not let that pass.
    """
    missing = access.missing_results(access, job)
    violations = output_violations(task_type.interface, job.outputs)
    refused = [*missing, *(violations if access.outputs_must_fit else [])]
    if refused:
        name = f"job {job.serial}" if job.serial else "job"
        raise InvalidParameter(f"{name} cannot be finished: " + "; ".join(refused), refused)
    return violations
