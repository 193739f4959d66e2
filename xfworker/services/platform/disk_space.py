"""The disk's use, for administrators: what the files of each workflow take, and how much of it is of obsolete runs."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from attrs import define

from xfworker.domain.disk_space import DiskUse, SourceUse, WorkflowUse
from xfworker.domain.files import SERIAL_KEYS, USERDATA, AuthorizationToken, FileStat, Resource, Scope
from xfworker.domain.records import Job, Project, Run, Workflow
from xfworker.ports.file_store import FileStore
from xfworker.ports.record_store import RecordStore, RecordTransaction

OF_JOBS = ("job_result", "job_log")
"""The sources of the files that belong to jobs."""

_PAGE = 1000
_MOST_FOLDERS = 500_000


def measure(
    records: RecordStore,
    files: FileStore,
    token: AuthorizationToken,
    now: datetime,
    *,
    most_folders: int = _MOST_FOLDERS,
) -> DiskUse:
    """
    Look at every folder of the file store, which may take minutes.

    Args:
        records: Whose files they are.
        files: The store.
        token: Lists all sources of files.
        now: The time.
        most_folders: How many folders are looked at.
    """
    budget = _Budget(most_folders)
    by_job: Counter[int] = Counter()
    others: list[SourceUse] = []
    for source in (*SERIAL_KEYS, USERDATA):
        folder = Resource((source,))
        if source in OF_JOBS:
            for name in filter(str.isdecimal, files.list(token, folder).folders):
                by_job[int(name)] += _size(files, token, folder.child(name), budget)
        else:
            others.append(SourceUse(source=source, bytes=_size(files, token, folder, budget)))
    everything: Counter[int] = Counter()
    obsolete: Counter[int] = Counter()
    with records.transaction(write=False) as transaction:
        for job, is_obsolete in _jobs(transaction):
            everything[job.workflow_serial] += by_job[job.serial]
            obsolete[job.workflow_serial] += by_job[job.serial] if is_obsolete else 0
        projects = {project.serial: project for project in transaction.find(Project)}
        uses = [
            WorkflowUse(
                workflow_serial=workflow.serial,
                workflow_name=workflow.name,
                project_serial=workflow.project_serial,
                project_name=projects[workflow.project_serial].name,
                bytes=everything[workflow.serial],
                obsolete_bytes=obsolete[workflow.serial],
            )
            for workflow in transaction.find(Workflow)
            if workflow.project_serial in projects
        ]
    uses.sort(key=lambda use: -use.bytes)
    return DiskUse(measured_at=now, workflows=uses, sources=others, is_complete=budget.left > 0)


def listing_scopes() -> list[Scope]:
    """Give the scopes of a token that lists all sources of files."""
    return [Scope("list", Resource((source,))) for source in (*SERIAL_KEYS, USERDATA)]


def files_below(files: FileStore, token: AuthorizationToken, folder: Resource) -> Iterator[FileStat]:
    """Give all files in a folder and the folders in it."""
    content = files.list(token, folder)
    yield from content.files
    for name in content.folders:
        yield from files_below(files, token, folder.child(name))


@define
class _Budget:
    left: int


def _size(files: FileStore, token: AuthorizationToken, folder: Resource, budget: _Budget) -> int:
    if budget.left <= 0:
        return 0
    budget.left -= 1
    content = files.list(token, folder)
    own = sum(stat.size for stat in content.files)
    return own + sum(_size(files, token, folder.child(name), budget) for name in content.folders)


def _jobs(transaction: RecordTransaction) -> Iterator[tuple[Job, bool]]:
    """Give all jobs, with whether they are of an obsolete run or workflow."""
    runs = {run.serial for run in transaction.find(Run, {"obsolete": True})}
    workflows = {workflow.serial for workflow in transaction.find(Workflow, {"obsolete": True})}
    after: tuple[str, int] | None = None
    while page := transaction.find(Job, after=after, limit=_PAGE):
        for job in page:
            yield job, job.run_serial in runs or job.workflow_serial in workflows
        after = (page[-1].sort_order, page[-1].serial)
