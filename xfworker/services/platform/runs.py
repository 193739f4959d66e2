"""Runs: which run a new job belongs to, and whom a run is about."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from xfworker.domain.records import Entity, Job, Run
from xfworker.services.platform.access import Access


def join_run(access: Access, job: Job, now: datetime) -> None:
    """
    Give a new job its run: the one of the job that started it, else, where a script spawned it, a run of its own.

    A run of its own is about the first ``Entity`` among the job's outputs and inputs; where there is none, it is about
    a new one.
    """
    if job.run_serial is not None:
        return
    run_serial = (
        None if job.source_job_serial is None else access.transaction.get(Job, job.source_job_serial).run_serial
    )
    if run_serial is None and access.principal.is_job:
        begin_run(access, job, now)
    elif run_serial is not None:
        access.transaction.replace(attrs.evolve(job, run_serial=run_serial))


def begin_run(access: Access, job: Job, now: datetime) -> Run:
    """Let a job begin a run of its own, and give the run."""
    run = access.transaction.insert(
        Run(
            workflow_serial=job.workflow_serial,
            source_job_serial=job.serial,
            entity=_entity_of(job) or {"uuid": str(uuid.uuid4()), "name": job.name},
            name=job.name,
            created_at=now,
            modified_at=now,
        )
    )
    keep_entity(access, run, now)
    access.transaction.replace(attrs.evolve(job, run_serial=run.serial))
    return run


def keep_entity(access: Access, run: Run, now: datetime) -> None:
    """Keep a record of the entity that a run is about, so that it can be found by its UUID."""
    entity = run.entity
    if not entity or not isinstance(entity.get("uuid"), str) or not entity["uuid"]:
        return
    if not access.transaction.find(Entity, {"uuid": entity["uuid"]}, limit=1):
        name = entity.get("name")
        access.transaction.insert(
            Entity(uuid=entity["uuid"], name=name if isinstance(name, str) else "", created_at=now, modified_at=now)
        )


def _entity_of(job: Job) -> dict[str, Any] | None:
    for value in (*job.outputs.values(), *job.inputs.values()):
        if isinstance(value, Mapping) and value.get("type") == "Entity" and isinstance(value.get("uuid"), str):
            return {"uuid": value["uuid"], "name": value.get("name") or ""}
    return None
