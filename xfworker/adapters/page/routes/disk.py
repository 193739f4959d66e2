"""An administrator's view of the disk: what the files of each workflow take, and how much is of obsolete runs."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from attrs import define
from litestar import Response, get, post
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.answers import done
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.session import AnyRequest, in_thread, signed_in
from xfworker.adapters.page.strings import strings
from xfworker.domain.files import SERIAL_KEYS, USERDATA, AuthorizationToken, Resource, Scope
from xfworker.domain.records import Job, Project, Run, Workflow
from xfworker.ports.served_files import ServedFiles
from xfworker.services.platform.server import PlatformServer

_OF_JOBS = ("job_result", "job_log")
_PAGE = 1000
_MOST_FOLDERS = 500_000


@define(frozen=True, kw_only=True)
class DiskUse:
    """
    What files take, in bytes.

    Attributes:
        measured_at: When it was measured (UTC).
        workflows: For each workflow its project, its record, all its bytes and those of its obsolete runs.
        sources: For each other source of files its bytes.
        is_whole: Whether every folder was looked at; there may be too many.
    """

    measured_at: datetime
    workflows: tuple[tuple[Project, Workflow, int, int], ...]
    sources: tuple[tuple[str, int], ...]
    is_whole: bool

    @property
    def total(self) -> int:
        """All of it."""
        return sum(size for _, _, size, _ in self.workflows) + sum(size for _, size in self.sources)


def disk_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of the disk's use; the last measurement is kept while the server runs."""
    last: dict[str, DiskUse] = {}

    @get("/disk")
    async def disk(request: AnyRequest) -> Response[bytes]:
        signed_in(request).require(to="see what takes disk space")
        return parts.templates.answer(request, "disk.html", use=last.get("use"))

    @post("/disk", status_code=200)
    async def measure(request: AnyRequest) -> Response[Any]:
        signed_in(request).require(to="see what takes disk space")
        last["use"] = await in_thread(lambda: _measured(parts.server(request), parts.files, parts.platform.clock.now()))
        return done(request, strings()["done"]["measured"], page="/disk", go=True)

    return [disk, measure]


def _measured(server: PlatformServer, files: ServedFiles, now: datetime) -> DiskUse:
    sources = [*SERIAL_KEYS, USERDATA]
    token = server.file_token([Scope("list", Resource((source,))) for source in sources])
    budget = _Budget(_MOST_FOLDERS)
    by_job: Counter[int] = Counter()
    others: list[tuple[str, int]] = []
    for source in sources:
        folder = Resource((source,))
        if source in _OF_JOBS:
            for name in files.list(token, folder).folders:
                by_job[int(name)] += _size(files, token, folder.child(name), budget)
        else:
            others.append((source, _size(files, token, folder, budget)))
    whole: Counter[int] = Counter()
    of_obsolete: Counter[int] = Counter()
    for job, is_obsolete in _jobs(server):
        whole[job.workflow_serial] += by_job[job.serial]
        of_obsolete[job.workflow_serial] += by_job[job.serial] if is_obsolete else 0
    projects = {project.serial: project for project in server.find(Project)}
    rows = [
        (projects[workflow.project_serial], workflow, whole[workflow.serial], of_obsolete[workflow.serial])
        for workflow in server.find(Workflow)
        if workflow.project_serial in projects
    ]
    rows.sort(key=lambda row: -row[2])
    return DiskUse(measured_at=now, workflows=tuple(rows), sources=tuple(others), is_whole=budget.left > 0)


@define
class _Budget:
    left: int


def _size(files: ServedFiles, token: AuthorizationToken, folder: Resource, budget: _Budget) -> int:
    if budget.left <= 0:
        return 0
    budget.left -= 1
    content = files.list(token, folder)
    own = sum(stat.size for stat in content.files)
    return own + sum(_size(files, token, folder.child(name), budget) for name in content.folders)


def _jobs(server: PlatformServer) -> Iterator[tuple[Job, bool]]:
    """Give all jobs, with whether they are of an obsolete run or workflow."""
    runs = {run.serial for run in server.find(Run, {"obsolete": True})}
    workflows = {workflow.serial for workflow in server.find(Workflow, {"obsolete": True})}
    after: tuple[str, int] | None = None
    while page := server.page(Job, after=after, limit=_PAGE):
        for job in page:
            yield job, job.run_serial in runs or job.workflow_serial in workflows
        after = (page[-1].sort_order, page[-1].serial)
