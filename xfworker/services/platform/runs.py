"""Runs: which run a new job belongs to, and whom a run is about."""

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Any

import attrs

from xfworker.domain.job_state import JobState
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
    keep_entity(access, run.entity, now)
    access.transaction.replace(attrs.evolve(job, run_serial=run.serial))
    return run


def keep_entity(access: Access, entity: Mapping[str, Any] | None, now: datetime) -> None:
    """Keep a record of an entity that a run or an output names, so that it can be found by its UUID."""
    if not entity or not isinstance(entity.get("uuid"), str) or not entity["uuid"]:
        return
    # Runs of other workflows may be about the same one at this moment.
    access.transaction.hold_name(f"entity {entity['uuid']}")
    if not access.transaction.find(Entity, {"uuid": entity["uuid"]}, limit=1):
        name = entity.get("name")
        access.transaction.insert(
            Entity(uuid=entity["uuid"], name=name if isinstance(name, str) else "", created_at=now, modified_at=now)
        )


def keep_entities(access: Access, job: Job, now: datetime) -> None:
    """Keep a record of every entity among the outputs of a job that is done."""
    if job.state is JobState.DONE:
        for entity in entities(job.outputs):
            keep_entity(access, entity, now)


def entities(parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the entities among inputs or outputs, as ``{uuid, name}``."""
    for value in parameters.values():
        if isinstance(value, Mapping) and value.get("type") == "Entity" and isinstance(value.get("uuid"), str):
            yield {"uuid": value["uuid"], "name": value.get("name") or ""}


def _entity_of(job: Job) -> dict[str, Any] | None:
    return next(chain(entities(job.outputs), entities(job.inputs)), None)
