"""
Deletes the files of obsolete runs for good: results and logs go, records and values stay.

A file goes only where nothing else can miss it: its run is obsolete (or its workflow is), no script is at work in it,
and no record beside the runs that are deleted with it names a file of its job. The jobs are marked before the first
file goes, under the lock that every new reference needs, so that nothing begins to use a file that is about to go; a
server that is killed in between leaves marked jobs, and deleting again goes on with them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import attrs
from attrs import define, field

from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.change import Change
from xfworker.domain.conversion import format_time
from xfworker.domain.disk_space import FreedFiles
from xfworker.domain.errors import FileNotInStore
from xfworker.domain.files import SERIAL_KEYS, AuthorizationToken, FileStat, own_token, record_resource
from xfworker.domain.job_metadata import FILES_DELETED
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Record, Run, Task, Workflow
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore
from xfworker.ports.record_store import RecordStore, RecordTransaction
from xfworker.services.platform.access import Access
from xfworker.services.platform.activity import log_event
from xfworker.services.platform.disk_space import OF_JOBS, files_below
from xfworker.services.platform.principal import PrincipalKind
from xfworker.services.platform.publications import Publications
from xfworker.services.platform.server import PlatformServer

_PAGE = 1000
# Servers have clocks of their own, and a transaction is seen after the time that it wrote.
_OVERLAP = timedelta(minutes=5)
_SHOWN_USERS = 3


class _TakenBackError(Exception):
    """The job is to run again, so its files stay."""


@define
class _Batch:
    """The jobs of one run, or of no run of one workflow, whose files are to go."""

    workflow: Workflow
    run: Run | None
    jobs: list[Job] = field(factory=list)
    reason: str = ""
    kept: dict[int, str] = field(factory=dict)

    @property
    def name(self) -> str:
        return self.workflow.name if self.run is None else self.run.name

    def going(self) -> list[Job]:
        return [] if self.reason else [job for job in self.jobs if job.serial not in self.kept]


class FileDeletion:
    """Deletes files of runs as one caller may."""

    def __init__(
        self, server: PlatformServer, records: RecordStore, files: FileStore, clock: Clock, publications: Publications
    ) -> None:
        """
        Prepare.

        Raises:
            PermissionDenied: The caller is a script or a worker.
        """
        server.principal.require(PrincipalKind.USER, to="delete files of runs")
        self._server = server
        self._records = records
        self._files = files
        self._clock = clock
        self._publications = publications

    def delete(
        self,
        runs: Sequence[int] = (),
        workflows: Sequence[int] = (),
        *,
        dry_run: bool = False,
        make_obsolete: bool = False,
    ) -> list[FreedFiles]:
        """
        Delete the files of obsolete runs, and give what became of each run.

        Args:
            runs: The runs.
            workflows: Obsolete workflows, whose jobs that belong to no run are meant as well.
            dry_run: Only say what would be deleted.
            make_obsolete: Make runs obsolete that are not; for a dry run, count them as if they were.

        Raises:
            RecordNotFound: There is no such run or workflow, or the caller does not see it; then nothing is deleted.
            PermissionDenied: The caller may not change it; likewise.
        """
        began_at = self._clock.now()
        with self._records.transaction(write=False) as transaction:
            access = Access(self._server.principal, transaction)
            batches = _batches(access, runs, workflows, make_obsolete=make_obsolete)
            users = _users(transaction, _serials(batches), _all_records(transaction))
        if not dry_run:
            if make_obsolete:
                self._make_obsolete(batches)
            batches = self._marked(runs, workflows, users, began_at - _OVERLAP)
        else:
            _keep_used(batches, users)
        return [self._carried_out(batch, dry_run=dry_run) for batch in batches]

    def _make_obsolete(self, batches: Sequence[_Batch]) -> None:
        for batch in batches:
            if batch.run is not None and not batch.run.obsolete and not batch.reason:
                self._server.update(Run, batch.run.serial, Change(values={"/obsolete": True}))

    def _marked(
        self, runs: Sequence[int], workflows: Sequence[int], users: Mapping[int, set[str]], since: datetime
    ) -> list[_Batch]:
        """Mark the jobs whose files go, where nothing began to use them since they were looked at."""
        with self._server.writing() as access:
            transaction = access.transaction
            batches = _batches(access, runs, workflows)
            # What was looked at before still holds, and what came since is little.
            fresh = _users(transaction, _serials(batches), _records_since(transaction, since))
            _keep_used(
                batches, {serial: {*users.get(serial, ()), *fresh.get(serial, ())} for serial in (*users, *fresh)}
            )
            now = self._clock.now()
            mark = {"by": self._server.principal.name, "at": format_time(now)}
            for batch in batches:
                for job in batch.going():
                    metadata = {**job.metadata, FILES_DELETED: job.metadata.get(FILES_DELETED, mark)}
                    transaction.replace(attrs.evolve(job, metadata=metadata, modified_at=now))
        return batches

    def _carried_out(self, batch: _Batch, *, dry_run: bool) -> FreedFiles:
        going = batch.going()
        count, size = 0, 0
        for job in going:
            for stat in self._of_job(job) if dry_run else self._deleted(job):
                count, size = count + 1, size + stat.size
        reasons = (
            [batch.reason] if batch.reason else [f"{text} uses files of job {job}" for job, text in batch.kept.items()]
        )
        freed = FreedFiles(
            workflow_serial=batch.workflow.serial,
            run_serial=None if batch.run is None else batch.run.serial,
            name=batch.name,
            files=count,
            bytes=size,
            kept_jobs=[job.serial for job in batch.jobs if job not in going],
            reason="; ".join(reasons),
            deleted=not dry_run and bool(going),
        )
        if freed.deleted and count:
            self._log(batch, freed)
        return freed

    def _of_job(self, job: Job) -> Iterator[FileStat]:
        for source in OF_JOBS:
            yield from files_below(self._files, _token(job), record_resource(source, job.serial))

    def _deleted(self, job: Job) -> Iterator[FileStat]:
        def require_marked(transaction: RecordTransaction) -> None:
            if FILES_DELETED not in transaction.get(Job, job.serial).metadata:
                raise _TakenBackError

        # Meanwhile nobody takes the job back and has it run again, which would make new files, nor stores one.
        with (
            suppress(_TakenBackError),
            self._publications.under_way((Job, job.serial), require_marked, alone=True),
        ):
            for stat in list(self._of_job(job)):
                try:
                    self._files.delete(_token(job), stat.resource)
                except FileNotInStore:
                    continue  # somebody else deletes them as well
                yield stat

    def _log(self, batch: _Batch, freed: FreedFiles) -> None:
        subject: Record = batch.run if batch.run is not None else batch.workflow
        payload = {"action": "files deleted", "files": freed.files, "bytes": freed.bytes}
        with self._records.transaction(of=(type(subject), subject.serial)) as transaction:
            access = Access(self._server.principal, transaction)
            title = f"deleted {freed.files} files of {subject} ({freed.bytes:,} bytes)"
            log_event(access, title, subject, payload, self._clock.now())


def _token(job: Job) -> AuthorizationToken:
    # The caller's rights were looked at.
    return own_token(("list", "delete"), *(record_resource(source, job.serial) for source in OF_JOBS))


def _batches(
    access: Access, runs: Sequence[int], workflows: Sequence[int], *, make_obsolete: bool = False
) -> list[_Batch]:
    batches: list[_Batch] = []
    for serial in dict.fromkeys(runs):
        run = access.get(Run, serial)
        access.require_change(run)
        workflow = access.transaction.get(Workflow, run.workflow_serial)
        batch = _Batch(workflow, run, list(access.transaction.find(Job, {"run_serial": serial})))
        if not (run.obsolete or make_obsolete or workflow.obsolete):
            batch.reason = f"run {serial} is not obsolete"
        batches.append(batch)
    for serial in dict.fromkeys(workflows):
        workflow = access.get(Workflow, serial)
        access.require_change(workflow)
        where = {"workflow_serial": serial, "run_serial": None}
        batch = _Batch(workflow, None, list(access.transaction.find(Job, where)))
        if not workflow.obsolete:
            batch.reason = f"workflow {serial} is not obsolete"
        batches.append(batch)
    leased = {lease.job_serial for lease in access.transaction.find(JobLease)}
    for batch in batches:
        busy = next((job for job in batch.jobs if job.state is JobState.RUNNING or job.serial in leased), None)
        if busy is not None:
            batch.reason = f"job {busy.serial} is running; abort it first"
    return batches


def _serials(batches: Sequence[_Batch]) -> set[int]:
    return {job.serial for batch in batches if not batch.reason for job in batch.jobs}


def _keep_used(batches: Sequence[_Batch], users: Mapping[int, set[str]]) -> None:
    for batch in batches:
        for job in batch.jobs:
            named = sorted(users.get(job.serial, ()))
            if named:
                more = f" and {len(named) - _SHOWN_USERS} more" if len(named) > _SHOWN_USERS else ""
                batch.kept[job.serial] = ", ".join(named[:_SHOWN_USERS]) + more


def _all_records(transaction: RecordTransaction) -> Iterator[Record]:
    """Give whatever may name files and is not obsolete itself; of what is, its jobs."""
    after: tuple[str, int] | None = None
    while page := transaction.find(Job, after=after, limit=_PAGE):
        yield from page
        after = (page[-1].sort_order, page[-1].serial)
    for kind in (Task, Run, Workflow, Project):
        yield from transaction.find(kind)


def _records_since(transaction: RecordTransaction, since: datetime) -> Iterator[Record]:
    for kind in (Job, Task, Run, Workflow, Project):
        yield from transaction.modified_since(kind, {}, since)


def _users(transaction: RecordTransaction, jobs: Collection[int], records: Iterator[Record]) -> dict[int, set[str]]:
    """Give, for each of some jobs that others use, who names a file of it: anything but these jobs themselves."""
    users: dict[int, set[str]] = defaultdict(set)
    obsolete = {workflow.serial for workflow in transaction.find(Workflow, {"obsolete": True})}
    for record in records:
        own = isinstance(record, Job) and record.serial in jobs
        # A task of an obsolete workflow starts nothing; taken back, its fixed values may name what is gone.
        over = isinstance(record, Task | Run) and record.workflow_serial in obsolete
        if own or over:
            continue
        for serial in _jobs_named_in(_values(record)):
            if serial in jobs:
                users[serial].add(f"{record.noun} {record.serial}")
    return users


def _values(record: Record) -> list[Any]:
    names = ("inputs", "outputs", "metadata", "entity")
    return [getattr(record, name, None) for name in names]


def _jobs_named_in(value: Any) -> Iterator[int]:
    """
    List the jobs whose files a value names, however deep and whatever stands beside it.

    It asks for less than a file reference has to have: what only looks like one keeps files as well.
    """
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, Mapping):
            if item.get("source") in OF_JOBS:
                serial = str(item.get(SERIAL_KEYS[item["source"]]))
                if serial.isascii() and serial.isdigit():
                    yield int(serial)
            left.extend(item.values())
        elif isinstance(item, list | tuple):
            left.extend(item)
