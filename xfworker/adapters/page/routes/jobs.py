"""A job's page: its inputs and outputs as what they are."""

from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.adapters.page.values import shown_values
from xfworker.domain.records import Job, Project, Run, Task, TaskType, Workflow


def job_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of jobs."""

    @get("/jobs/{serial:int}")
    async def job(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def read() -> dict[str, Any]:
            server = parts.server(request)
            record = server.get(Job, serial)
            task = server.get(Task, record.task_serial)
            task_type = server.get(TaskType, task.task_type_serial)
            return {
                "job": record,
                "task": task,
                "task_type": task_type,
                "workflow": server.get(Workflow, record.workflow_serial),
                "project": server.get(Project, record.project_serial),
                "run": None if record.run_serial is None else server.get(Run, record.run_serial),
                "inputs": shown_values(task_type.interface, "inputs", record.inputs),
                "outputs": shown_values(task_type.interface, "outputs", record.outputs),
            }

        return parts.templates.answer(request, "job.html", **await in_thread(read))

    return [job]
