"""Workers with what they run and what jobs wait for."""

from collections import defaultdict
from datetime import timedelta
from typing import Any

from litestar import Response, get
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.domain.job_metadata import WORKER_MISSING
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Task, Worker

_MOST_WAITING = 500


def machine_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of workers."""

    @get("/workers")
    async def workers(request: AnyRequest) -> Response[bytes]:
        def read() -> dict[str, Any]:
            server = parts.server(request)
            running: dict[int | None, list[Job]] = defaultdict(list)
            for job in server.find(Job, {"state": JobState.RUNNING}):
                running[job.worker_serial].append(job)
            waiting = server.page(Job, {"state": JobState.READY}, limit=_MOST_WAITING)
            tasks = {job.task_serial for jobs in running.values() for job in jobs}
            names = {task.serial: task.name for task in server.find(Task, {"serial": tuple(tasks)})} if tasks else {}
            now = parts.platform.clock.now()
            silent = timedelta(seconds=parts.platform.options.worker_silent_seconds)
            known = sorted(server.find(Worker), key=lambda worker: worker.name)
            return {
                "workers": [
                    (worker, worker.last_seen_at is not None and now - worker.last_seen_at < silent) for worker in known
                ],
                "running": running,
                "names": names,
                "waiting": len(waiting),
                "lacking": [job for job in waiting if job.metadata.get(WORKER_MISSING)],
                "most": _MOST_WAITING,
            }

        return parts.templates.answer(request, "workers.html", **await in_thread(read))

    return [workers]
