"""The statements of claims and heartbeats: each changes few small rows, and none waits for more than those."""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Table,
    and_,
    bindparam,
    case,
    exists,
    insert,
    select,
    text,
    update,
)

from xfworker.adapters.sql.prepared import Prepared, Runner
from xfworker.adapters.sql.rows import read_json, record_of, to_row, write_json
from xfworker.adapters.sql.tables import CLAIM_RANK, ENTRIES, SERIAL, TABLES, field_forms
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.conversion import format_time, parse_time
from xfworker.domain.errors import RecordNotFound
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Worker
from xfworker.ports.job_queue import HeldAttempt
from xfworker.ports.record_store import Claimant, RenewedLease

_JOBS = TABLES[Job.collection]
_LEASES = TABLES[JobLease.collection]
_WORKERS = TABLES[Worker.collection]
_EVENTS = TABLES[ActivityEvent.collection]
_OF_LEASE = len(field_forms(JobLease))
_OF_WORKER = len(field_forms(Worker))
_HANDED_OUT = (
    "state",
    "attempt",
    "worker_serial",
    "started_at",
    "finished_at",
    "metadata",
    "occ_lock_version",
    "modified_at",
)
"""What a claim changes of a job; all else of it, which may be large, is not sent."""


def claimant(
    runner: Runner, worker_serial: int, *, owner_key: str, claim_key: str | None, moment: datetime
) -> Claimant:
    """Give all that is to be known of a worker before it gets a job, by one statement."""
    values = {"worker": worker_serial, "owner": owner_key, "claim": claim_key, "moment": format_time(moment)}
    rows = runner.rows(_claimant(), values)
    if not rows:
        raise RecordNotFound(f"there is no {Worker.noun} {worker_serial}")
    row = rows[0]
    lease = row[_OF_WORKER : _OF_WORKER + _OF_LEASE]
    owner, has_expired_leases = row[_OF_WORKER + _OF_LEASE :]
    return Claimant(
        worker=record_of(Worker, row),
        owner=read_json(owner),
        lease=record_of(JobLease, lease) if any(value is not None for value in lease) else None,
        has_expired_leases=bool(has_expired_leases),
    )


@cache
def _claimant() -> Prepared:
    owner = select(ENTRIES.c.value).where(ENTRIES.c.key == bindparam("owner")).scalar_subquery()
    expired = exists().where(_LEASES.c.expires_at < bindparam("moment", type_=_LEASES.c.expires_at.type))
    own = and_(
        _LEASES.c.worker_serial == _WORKERS.c.serial,
        _LEASES.c.claim_key == bindparam("claim", type_=_LEASES.c.claim_key.type),
    )
    statement = (
        select(*_WORKERS.c, *_LEASES.c, owner, case((expired, 1), else_=0))
        .select_from(_WORKERS.outerjoin(_LEASES, own))
        .where(_WORKERS.c.serial == bindparam("worker", type_=SERIAL))
    )
    return Prepared(statement)


def hand_out(runner: Runner, job: Job, lease: JobLease, event: ActivityEvent) -> int:
    """Store a claimed job, its lease and the event of it in one statement, and give the lease's serial."""
    values: dict[str, Any] = {"taken_serial": job.serial}
    job_row = to_row(job)
    values |= {f"taken_{name}": job_row[name] for name in _HANDED_OUT}
    for table, record in ((_LEASES, lease), (_EVENTS, event)):
        row = to_row(record)
        values |= {f"{table.name}_{name}": row.get(name) for name in _unnumbered(table)}
    [(serial,)] = runner.rows(_handing_out(), values)
    return int(serial)


@cache
def _handing_out() -> Prepared:
    changed = {_JOBS.c[name]: bindparam(f"taken_{name}", type_=_JOBS.c[name].type) for name in _HANDED_OUT}
    taken = (
        update(_JOBS)
        .where(_JOBS.c.serial == bindparam("taken_serial", type_=SERIAL))
        .values({**changed, _JOBS.c[CLAIM_RANK]: None})
        .returning(_JOBS.c.serial)
        .cte("taken")
    )
    leased, logged = (
        insert(table)
        .values({name: bindparam(f"{table.name}_{name}", type_=table.c[name].type) for name in _unnumbered(table)})
        .returning(table.c.serial)
        .cte(name)
        for table, name in ((_LEASES, "leased"), (_EVENTS, "logged"))
    )
    return Prepared(select(leased.c.serial).add_cte(taken, logged))


def _unnumbered(table: Table) -> list[str]:
    return [column.name for column in table.c if column.name != "serial"]


def renew_leases(
    runner: Runner, worker_serial: int, attempts: Collection[HeldAttempt], expires_at: datetime, *, member: str
) -> list[RenewedLease]:
    """Let the leases on attempts at jobs hold until a later time, and give those that there were."""
    values: dict[str, Any] = {"worker": worker_serial, "member": f'%"{member}"%', "until": format_time(expires_at)}
    listed = [
        (held.job_serial, held.attempt, None if held.started_at is None else format_time(held.started_at))
        for held in attempts
    ]
    if runner.dialect.name == "sqlite":
        values |= {"listed": write_json([[*held] for held in listed])}
        rows = runner.rows(_LEASED_ON_SQLITE, values)
        runner.later(_RENEWING_ON_SQLITE, values)
    else:
        for number, name in enumerate(("jobs", "attempts", "starts")):
            values[name] = [held[number] for held in listed]
        rows = runner.rows(_RENEWING, values)
    return [
        RenewedLease(
            job_serial=job_serial,
            attempt=attempt,
            started_at=None if started_at is None else parse_time(started_at),
            state=JobState(state),
            metadata=read_json(metadata) or {},
        )
        for job_serial, attempt, started_at, state, metadata in rows
    ]


# Metadata may be large, and hardly any has the member.
_OF_JOB = """
    jobs.serial, job_leases.attempt, jobs.started_at, jobs.state,
    CASE WHEN jobs.metadata LIKE :member THEN jobs.metadata END
"""
# Numbers alone do not say which attempt is meant: those of a time that a restored backup does not know are given again.
_IS_LISTED = """
    job_leases.worker_serial = :worker AND job_leases.job_serial = listed.job AND job_leases.attempt = listed.attempt
    AND jobs.serial = listed.job
    AND (listed.start IS NULL OR jobs.started_at IS NULL OR jobs.started_at = listed.start)
"""
_LISTED_ON_SQLITE = f"""
    FROM job_leases, jobs, (
        SELECT json_extract(value, '$[0]') AS job, json_extract(value, '$[1]') AS attempt,
            json_extract(value, '$[2]') AS start
        FROM json_each(:listed)
    ) AS listed
    WHERE {_IS_LISTED}
"""  # noqa: S608  made of constants
_LEASED_ON_SQLITE, _RENEWING_ON_SQLITE, _RENEWING = (
    Prepared(text(statement))
    for statement in (
        f"SELECT {_OF_JOB} {_LISTED_ON_SQLITE}",
        f"UPDATE job_leases SET expires_at = :until WHERE serial IN (SELECT job_leases.serial {_LISTED_ON_SQLITE})",  # noqa: S608  as above
        f"""
        UPDATE job_leases SET expires_at = :until
        FROM jobs, unnest(CAST(:jobs AS bigint[]), CAST(:attempts AS bigint[]), CAST(:starts AS text[]))
            AS listed(job, attempt, start)
        WHERE {_IS_LISTED}
        RETURNING {_OF_JOB}
        """,  # noqa: S608  as above
    )
)


def renew_all(runner: Runner, expires_at: datetime) -> None:
    """Let all leases hold until a later time."""
    runner.connection.execute(update(_LEASES).values(expires_at=format_time(expires_at)))


def touch_worker(runner: Runner, serial: int, moment: datetime) -> None:
    """Record when a worker was last heard of."""
    runner.replace_later(Worker.collection, serial, {"last_seen_at": format_time(moment)})
