"""Sequences over runs as charts: which there are, and their values with the runs they belong to."""

from collections.abc import Iterator
from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.rendering import answer_json
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.adapters.wire.digits import read_digits
from xfworker.domain.errors import RecordNotFound, UsageError
from xfworker.domain.interface import declared_fields
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import Sequence
from xfworker.domain.records import Job, Project, Run, Task, Workflow
from xfworker.domain.workflow_graph import Step
from xfworker.services.platform.server import PlatformServer

_LOOKED_AT = 20
_NUMBERS = ("Int", "Float")
_GROUPS = ("String", "Bool", "Int")


def chart_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of charts."""

    @get("/workflows/{serial:int}/charts")
    async def charts(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def read() -> dict[str, Any]:
            server = parts.server(request)
            workflow = server.get(Workflow, serial)
            keys = [item for step in server.board_steps(serial) for item in _keys(server, step)]
            return {
                "workflow": workflow,
                "project": server.get(Project, workflow.project_serial),
                "numbers": [item for item in keys if item["type"] in _NUMBERS],
                "groups": [item for item in keys if item["type"] in _GROUPS],
            }

        return parts.templates.answer(request, "charts.html", **await in_thread(read))

    @get("/workflows/{serial:int}/values")
    async def values(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        task = read_digits(request.query_params.get("task"), most=18)
        key = request.query_params.get("key")
        if task is None or not key or "\x00" in key:
            raise UsageError("task and key: expected the serial of a task and the key of one of its outputs")

        def read() -> list[list[Any]]:
            server = parts.server(request)
            if server.get(Task, task).workflow_serial != serial:
                raise RecordNotFound(f"workflow {serial} has no task {task}")
            found = server.output_values(Sequence(task_serial=task, key=key))
            return [[item.run_serial, item.job_serial, _plain(item.value)] for item in found]

        return answer_json(request, {"values": await in_thread(read)})

    @get("/workflows/{serial:int}/samples")
    async def samples(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def read() -> list[list[Any]]:
            runs = parts.server(request).find(Run, {"workflow_serial": serial})
            return [[run.serial, run.name, (run.entity or {}).get("name") or ""] for run in runs]

        return answer_json(request, {"runs": await in_thread(read)})

    return [charts, values, samples]


def _keys(server: PlatformServer, step: Step) -> Iterator[dict[str, Any]]:
    """Give what a task's jobs put out that a chart can show: what its type declares, and what its first jobs had."""
    done = server.page(Job, {"task_serial": step.serial, "state": JobState.DONE}, limit=_LOOKED_AT)
    outputs: dict[str, Any] = {}
    units: dict[str, Any] = {}
    for job in reversed(done):
        outputs |= job.outputs
        said = job.metadata.get("output_units")
        units |= said if isinstance(said, dict) else {}
    declared = declared_fields(step.task_type.interface, "outputs")
    for key in dict.fromkeys((*declared, *outputs)):
        about = declared.get(key, {})
        unit = units.get(key) or about.get("unit")
        yield {
            "task": step.serial,
            "key": key,
            "label": f"{step.task.name or step.serial}: {key}",
            "type": about.get("type") or _type(outputs.get(key)),
            "unit": unit if isinstance(unit, str) else "",
        }


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "Bool"
    return {int: "Int", float: "Float", str: "String"}.get(type(value), "")


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else None
