"""How far scripts may go on spawning jobs that spawn jobs: loops are bounded in their depth and in their width."""

from datetime import datetime
from typing import NoReturn

from xfworker.domain.errors import InvalidRecord
from xfworker.domain.job_metadata import SPAWNED_BY
from xfworker.domain.records import Job
from xfworker.services.platform.access import Access

MOST_SPAWNERS = 20
"""How many jobs may spawn each other in a chain, each by the script of the one before."""


def spawners_of(access: Access, job: Job) -> list[Job]:
    """Give the jobs whose scripts led to a job, the nearest first; none where no script spawned it."""
    spawners: list[Job] = []
    seen: set[int] = set()
    serial = job.metadata.get(SPAWNED_BY)
    while isinstance(serial, int) and serial not in seen:
        seen.add(serial)
        spawners.append(access.transaction.get(Job, serial))
        serial = spawners[-1].metadata.get(SPAWNED_BY)
    return spawners


def admit_spawned(access: Access, job: Job, now: datetime) -> None:
    """
    Count a new job for the tree of spawned jobs that it will belong to. Its root itself may spawn as many as it likes.

    Raises:
        InvalidRecord: The chain of its spawners is too long, or the tree is too large.
    """
    chain = spawners_of(access, job)
    if len(chain) > MOST_SPAWNERS:
        by = f"job {chain[0].serial}, which spawns it,"
        _refuse(f"{by} is the last of {MOST_SPAWNERS} jobs that spawned each other one by one")
    if len(chain) > 1:
        root = chain[-1]
        # A root that is run again begins anew.
        key = f"spawned:{root.serial}/{root.attempt}"
        entry = access.transaction.entry(key)
        count = 0 if entry is None else int(entry["jobs"])
        if count >= access.most_spawned_jobs:
            _refuse(
                f"{count} jobs that go back to job {root.serial} were spawned by jobs which were spawned themselves "
                "(serve --most-spawned-jobs lets more pass)"
            )
        access.transaction.put_entry(key, {"jobs": count + 1}, at=now)


def _refuse(reason: str) -> NoReturn:
    violation = f"{reason}; that looks like a loop, so no more is spawned"
    raise InvalidRecord(f"job: {violation}", (violation,))
