"""The batch systems, and the one whose job this process is."""

from collections.abc import Mapping

from xfworker.adapters.batch.htcondor import HtCondor
from xfworker.adapters.batch.kubernetes import Kubernetes
from xfworker.adapters.batch.lsf import Lsf
from xfworker.adapters.batch.pbs import Pbs
from xfworker.adapters.batch.slurm import Slurm
from xfworker.domain.errors import UsageError
from xfworker.ports.batch_system import BatchJob, BatchSystem


def batch_systems() -> dict[str, BatchSystem]:
    """Give them by name."""
    systems: list[BatchSystem] = [Slurm(), Pbs(), Lsf(), HtCondor(), Kubernetes()]
    return {system.name: system for system in systems}


def own_batch_job(environment: Mapping[str, str], named: str | None) -> tuple[str, BatchJob] | None:
    """
    Give the batch system whose job this process is, and what it gave; ``None`` where it is no batch job.

    Args:
        environment: The environment variables, by which most systems say so.
        named: ``SYSTEM:ID``, where somebody knows it better.

    Raises:
        UsageError: ``named`` is not one.
    """
    systems = batch_systems()
    if named is not None:
        name, _, job = named.partition(":")
        if name not in systems or not job:
            raise UsageError(f"--batch-job {named!r} must be SYSTEM:ID, with one of {', '.join(systems)}")
        found = systems[name].own_job(environment)
        return name, found if found is not None and found.job == job else BatchJob(job=job)
    for name, system in systems.items():
        own = system.own_job(environment)
        if own is not None:
            return name, own
    return None
